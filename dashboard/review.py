"""The claim under review: it stays in the address from page to page, with links to all that a reviewer needs next."""

from __future__ import annotations

from typing import Any

import streamlit as st

from audit.errors import InputError
from audit.run import Run
from audit.run.claims import claim_of, find_claim
from dashboard import data, parts, state
from dashboard.places import Place, claim_place, images_place
from dashboard.text import escape
from reports.format import clean

__all__ = ["CLAIM", "claim_of_finding", "link", "turn", "under_review"]

CLAIM = "claim"
"""Query parameter: the claim that is looked into."""


def claim_of_finding(row: dict[str, Any]) -> str:
    """Claim of a row of table `findings`."""
    return claim_of("findings", row)


def under_review(run: Run, page: str) -> None:
    """A bar with the claim under review and the steps from it, on some page; nothing where no claim is."""
    claim = state.carry(CLAIM)
    if claim is None:
        return
    with st.container(border=True, key="under_review", gap="xsmall"):
        found = _finding(run, claim)
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.caption("Under review", width="content")
            if found is not None:
                parts.badge(found["verdict"])
            st.text(clean(_words(claim, found)), width="stretch")
            st.button("Close", key="close_review", on_click=_close, type="tertiary", icon=":material/close:")
        with st.container(horizontal=True, vertical_alignment="center", gap="medium", key="review_steps"):
            _steps(run, page, claim, found)


def link(run: Run, place: Place, icon: str, label: str | None = None, **further: str) -> None:
    """Link to a view of the run, with further query parameters."""
    st.page_link(
        f"views/{place.page}.py",
        label=escape(label or place.label),
        icon=icon,
        query_params={"run": run.path.name, **place.query, **further},
    )


def turn(
    label: str, key: str, value: str, *, icon: str = ":material/edit_note:", beside: str = "", **further: str
) -> None:
    """Button that selects something else on the page that is shown; `beside` tells buttons for the same apart."""
    name = "-".join((label, beside, value, *further.values()))
    args, kwargs = (key, value), further
    st.button(label, key=f"turn_{name}", on_click=state.put, args=args, kwargs=kwargs, icon=icon, type="tertiary")


def _finding(run: Run, claim: str) -> dict[str, Any] | None:
    try:
        found = data.records(find_claim(data.table(run, "findings"), claim)) if claim.startswith("findings:") else []
    except InputError:  # the address can say anything
        return None
    return found[0] if found else None


def _words(claim: str, found: dict[str, Any] | None) -> str:
    if found is not None:
        return f"rule {found['rule']}, {found['model']}"
    return f"{claim}, which is not in this run" if claim.startswith("findings:") else claim


def _steps(run: Run, page: str, claim: str, found: dict[str, Any] | None) -> None:
    place = claim_place(run, claim)
    kept = {CLAIM: claim}
    if place is not None:
        link(run, place, ":material/grid_on:", "Its cell" if found else "Where it is shown", **kept)
    if found is not None:
        link(run, images_place(run, found), ":material/image:", "Images behind it", **kept)
    said = {"about": claim, "kind": "statement"}
    for words, part, icon, further in (
        ("Statement or waiver", "statements", ":material/edit_note:", said),
        ("Bundle", "bundle", ":material/inventory_2:", {}),
    ):
        if page == "compliance":
            turn(words, "compliance", part, icon=icon, **further)
        else:
            link(run, Place("compliance", {"compliance": part, **further}), icon, words, **kept)


def _close() -> None:
    state.put(CLAIM, "")
