"""Fairness: groups and verdicts, confidence, beyond the named groups, the embedding map, and another mix."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import streamlit as st

from audit.run import Run
from dashboard import data, parts, state
from dashboard.fairness import conditions, curves, groups, live, unnamed
from dashboard.fairness.choice import Choice, choose_cell
from dashboard.fairness.embedding import embedding_map
from dashboard.text import escape
from reports.format import plain

__all__ = ["page"]


def page(run: Run) -> None:
    """Show the page."""
    st.title("Fairness")
    if not parts.model_notice(run):
        return
    if not run.has("groups"):
        st.info("No metrics by group were written yet. Finish the run with `faircam run --resume`.")
        return
    with st.container(key="fairness_model"):
        model = state.choose("Model", "model", run.models)
    table = data.table(run, "groups", filters=(("model", "=", model),))
    if table.empty:
        st.info(escape(f"No metric was measured for {model}; “Problems and copies” on Robustness and data says why."))
        return
    choice = choose_cell(run, model, table)
    view = state.tabs("Part of the page", "view", list(_VIEWS), show=lambda name: _VIEWS[name][0])
    _VIEWS[view][1](choice, table)


def _groups(choice: Choice, table: pd.DataFrame) -> None:
    st.header(escape(f"{choice.words} by {plain(choice.attribute)}"))
    judged = live.live_verdict(choice)
    groups.one_metric(choice, table)
    live.live_family(choice, judged)
    groups.all_metrics(choice)
    groups.gaps(choice)


def _curves(choice: Choice, table: pd.DataFrame) -> None:  # noqa: ARG001
    curves.curves(choice)


def _unnamed(choice: Choice, table: pd.DataFrame) -> None:  # noqa: ARG001
    unnamed.subgroups(choice.run, choice.model)
    unnamed.slices(choice.run, choice.model)
    unnamed.leakage(choice.run, choice.model)


def _conditions(choice: Choice, table: pd.DataFrame) -> None:  # noqa: ARG001
    conditions.shift(choice)


def _map(choice: Choice, table: pd.DataFrame) -> None:  # noqa: ARG001
    embedding_map(choice.run, choice.model)


_VIEWS: dict[str, tuple[str, Callable[[Choice, pd.DataFrame], None]]] = {
    "groups": ("Groups and verdicts", _groups),
    "confidence": ("Confidence and threshold", _curves),
    "unnamed": ("Beyond the named groups", _unnamed),
    "map": ("Embedding map", _map),
    "conditions": ("Another mix of groups", _conditions),
}

if __name__ == "__main__":
    page(data.current())
