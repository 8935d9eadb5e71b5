"""Compliance: legal packs clause by clause, what only a person can say, and the bundle for those who ask."""

from __future__ import annotations

import streamlit as st

from audit.run import Run
from dashboard import data, state
from dashboard.compliance.bundle import make_bundle
from dashboard.compliance.clauses import clause_tree
from dashboard.compliance.statements import statement_form, statement_log, statements_missing
from dashboard.review import CLAIM

__all__ = ["page"]

_PARTS = {"clauses": "Clauses", "statements": "Statements and waivers", "bundle": "Bundle"}


def page(run: Run) -> None:
    """Show the page."""
    st.title("Compliance")
    default = "statements" if CLAIM in st.query_params else "clauses"
    part = state.tabs("Part of the page", "compliance", list(_PARTS), default=default, show=_PARTS.__getitem__)
    if part == "clauses":
        clause_tree(run)
    elif part == "statements":
        statement_form(run)
        statements_missing(run)
        statement_log(run)
    else:
        make_bundle(run)


if __name__ == "__main__":
    page(data.current())
