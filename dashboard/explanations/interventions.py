"""What hiding a region changes, by group, against hiding as large an area elsewhere."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from audit.fairness.interventions import INTERVENTION_METHOD
from audit.run import Run
from dashboard import data, parts, state
from dashboard.explanations.among import WHOLE, Among, by_model, choose_attribute, group_rows, model_charts, names
from dashboard.explanations.matched import matched_gaps
from dashboard.explanations.words import MEASURES_OF_CHANGE, action_words, not_measured
from dashboard.text import escape
from reports.format import plain, status_words

__all__ = ["interventions"]

_EFFECT = "effect"
_ORDER = (_EFFECT, "hide", "control", "swap")
_TESTED = ("changed", "drop")


def interventions(run: Run) -> None:
    """Selection, a chart a model, the table of every change, and the gaps between the groups' effects."""
    st.header("What hiding a region changes, by group")
    known = data.distinct(run, "intervention_groups", ("region", "action", "measure", "attribute"))
    if known.empty:
        st.info(escape(not_measured(run, "interventions", "What hiding a region changes")))
        return
    first, second = st.columns(2)
    third, fourth = st.columns(2)
    with first:
        region = state.choose("Region", "region", names(known["region"]), show=plain)
    known = known[known["region"] == region]
    with second:
        actions = sorted(names(known["action"]), key=_rank)
        action = state.choose("What was changed", "action", actions, show=action_words)
    known = known[known["action"] == action]
    with third:
        measure = state.choose("Measure", "change", names(known["measure"]), show=_measure_words)
    with fourth:
        attribute = choose_attribute(known.loc[known["measure"] == measure, "attribute"])
    wanted = (("region", "=", region), ("measure", "=", measure), ("attribute", "in", (attribute, WHOLE)))
    rows = data.table(run, "intervention_groups", filters=wanted)
    shown = group_rows(rows[rows["action"] == action], attribute)
    axis = f"{_measure_words(measure)}: {action_words(action)}"
    model_charts(run, shown, axis, "interventions", zero=action == _EFFECT)
    st.caption(
        "Images are shown to the model again with pixels replaced. The region less equal areas elsewhere is the effect "
        "that is the region’s own, image by image; 95 % intervals over independent clusters; p is that of no effect, "
        "not corrected for the number of groups. An effect shows that what the region showed took part in these "
        "predictions. It depends on what the region is filled with, and says nothing of images without the region."
    )
    ranked = rows.sort_values("action", key=lambda column: column.map(_rank), kind="stable")
    table = by_model(run, pd.concat([group_rows(part, attribute) for _, part in ranked.groupby("action", sort=False)]))
    table = table.drop(columns=["region", "measure", "attribute"])
    table = table.assign(action=table["action"].map(action_words), status=table["status"].map(status_words))
    parts.data_table(
        run, table.rename(columns={"action": "what was changed"}), f"hidden-{region}-{measure}-{attribute}"
    )
    if action == _EFFECT and measure in _TESTED:
        words = f"{_measure_words(measure)} with {plain(region)} hidden"
        matched_gaps(run, Among(INTERVENTION_METHOD, attribute), f"effect_{measure}:{region}", words)


def _rank(action: str) -> int:
    return _ORDER.index(action) if action in _ORDER else len(_ORDER)


def _measure_words(name: str) -> str:
    return MEASURES_OF_CHANGE.get(name, plain(name))
