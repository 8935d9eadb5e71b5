"""Tolerance, smallest group, correction and level to be moved, and the verdicts that follow from them at once."""

from __future__ import annotations

from typing import get_args

import pandas as pd
import streamlit as st

from audit.fairness import COMPARABLE
from audit.run import Run
from dashboard import data, parts, state
from dashboard.fairness.choice import WHOLE, Choice, file_name
from dashboard.fairness.counted import compared
from dashboard.fairness.verdicts import CORRECTIONS, Cell, Correction, Judged, Settings, judge_cells
from dashboard.text import escape
from reports.format import clean, metric_words, plain
from reports.palette import verdict_style

__all__ = ["live_family", "live_verdict"]

_MOST_PERCENT = 50
_MOST_UNITS = 100
_ALPHAS = ("0.05", "0.01", "0.10")


def live_verdict(choice: Choice) -> list[Judged]:
    """Controls, and the verdict on the chosen cell at their settings.

    Returns
    -------
    list of Judged
        All cells that were judged together, the chosen one first; none where nothing can be compared.
    """
    if choice.metric not in COMPARABLE or choice.attribute == WHOLE:
        words = metric_words(choice.metric)
        st.caption(escape(f"Differences in {words} have no interval to judge by, so it has no verdict here."))
        return []
    settings = _controls()
    judged = judge_cells(choice.model, _cells(choice, settings.min_n), settings)
    if not judged:
        st.info("Nothing was predicted, so there is nothing to compare.")
        return []
    with st.container(border=True, gap="xsmall", key="live_verdict"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            parts.badge(judged[0].verdict)
            said = f"at a tolerance of {settings.tolerance:.2f}, set here and post hoc: no policy says so"
            st.caption(escape(said), width="content")
        st.text(clean(judged[0].text))
    return judged


def _controls() -> Settings:
    first, second, third, fourth = st.columns(4)
    with first:
        tolerance = state.number("Tolerance", "tolerance", (0, _MOST_PERCENT), 10, help="Largest gap allowed.")
    with second:
        help_text = "Groups with fewer independent units (clusters, or images where there are none) are left out."
        bounds = (1, _MOST_UNITS)
        min_n = state.number("Smallest group", "min-n", bounds, 10, unit="", help=help_text)
    with third:
        help_text = (
            "For the number of comparisons judged together. Holm bounds the chance of any false failure. "
            "Benjamini–Hochberg bounds the share of false ones among the failures: for exploration."
        )
        names = list(CORRECTIONS)
        chosen = state.choose("Correction", "correction", names, show=CORRECTIONS.__getitem__, help=help_text)
    with fourth:
        help_text = "One minus the level of the interval."
        alpha = state.choose("Alpha", "alpha", _ALPHAS, help=help_text)
    correction: Correction = next(name for name in get_args(Correction) if name == chosen)
    return Settings(tolerance / 100, float(alpha), min_n, correction)


def _cells(choice: Choice, min_n: int) -> list[Cell]:
    """The chosen cell, then every attribute on accuracy and the positive class's rates."""
    keys = [(choice.attribute, choice.metric, choice.class_name)]
    keys += [(name, *metric) for name in data.attributes(choice.run) for metric in _headline(choice.run)]
    cells = []
    for attribute, metric, class_name in dict.fromkeys(keys):
        found = compared(choice.run, choice.model, attribute, (metric, class_name), min_n)
        if found is not None:
            cells.append(Cell(attribute, metric, class_name, found))
    return cells


def _headline(run: Run) -> list[tuple[str, str | None]]:
    positive = run.record.get("data", {}).get("positive")
    if positive is None:
        return [("accuracy", None), ("balanced_accuracy", None)]
    return [("accuracy", None), ("true_positive_rate", str(positive)), ("false_positive_rate", str(positive))]


def live_family(choice: Choice, judged: list[Judged]) -> None:
    """Every comparison that was judged together, as a table."""
    if len(judged) < 2:
        return
    st.header(escape(f"Judged together at these settings, {choice.model}"))
    st.caption(
        f"{len(judged)} comparisons, over all of which claims of failure are corrected: the one above, and accuracy "
        "and the positive class’s rates by every attribute. p is of the claim that the tolerance is exceeded. Settings "
        "moved after the numbers were seen support no claim: a policy fixes them before."
    )
    rows = [_row(item) for item in judged]
    parts.data_table(choice.run, pd.DataFrame(rows), file_name("live", choice.attribute), model=choice.model)


def _row(item: Judged) -> dict[str, object]:
    style = verdict_style(item.verdict)
    found = item.cell.found
    return {
        "verdict": f"{style.symbol} {style.word}",
        "attribute": plain(item.cell.attribute),
        "metric": metric_words(item.cell.metric, item.cell.class_name),
        "worst group": found.group,
        "best group": found.reference,
        "gap": found.value,
        "low": item.low,
        "high": item.high,
        "p": item.p,
        "p_adjusted": item.p_adjusted,
    }
