"""Where attribution falls and how good the maps are as evidence, by group."""

from __future__ import annotations

import streamlit as st

from audit.run import Run
from dashboard import data, parts, state
from dashboard.explanations.among import WHOLE, Among, by_model, choose_among, group_rows, model_charts, names
from dashboard.explanations.matched import matched_gaps
from dashboard.explanations.regions import region_shares
from dashboard.explanations.stamps import show_stamps
from dashboard.explanations.words import meaning, measure_words, not_measured, title
from dashboard.text import escape
from reports.format import status_words

__all__ = ["regions_and_quality"]

_SHARE = "share:"


def regions_and_quality(run: Run) -> None:
    """Region shares, then a measure of quality, each with gaps between all and between matched images."""
    among = choose_among(run, "region_groups", "quality_groups")
    if among is None:
        st.info("No region shares: the data name no regions, or no image was explained.")
        st.info(escape(not_measured(run, "quality", "Quality of explanations")))
        return
    show_stamps(run, among.method)
    region_shares(run, among)
    _quality(run, among)


def _quality(run: Run, among: Among) -> None:
    st.header("Quality of the maps, by group")
    found = names(data.distinct(run, "quality_groups", ("measure",), (("method", "=", among.method),))["measure"])
    measures = [name for name in found if not name.startswith(_SHARE)]
    if not measures:
        st.info(escape(not_measured(run, "quality", "Quality of explanations")))
        return
    left, _ = st.columns([1, 2])
    with left:
        measure = state.choose("Measure", "measure", measures, show=measure_words)
    either = (among.attribute, WHOLE)
    wanted = (("method", "=", among.method), ("measure", "=", measure), ("attribute", "in", either))
    shown = group_rows(data.table(run, "quality_groups", filters=wanted), among.attribute)
    words = measure_words(measure)
    model_charts(run, shown, f"mean: {words}", "quality")
    st.caption(
        escape(
            f"{words[:1].upper()}{words[1:]} of {title(run, among.method)}: mean over images, 95 % intervals over "
            f"independent clusters. {meaning(measure)} It says how far the maps can be relied on for this group’s "
            "images, not how well the model serves the group."
        )
    )
    table = by_model(run, shown).drop(columns=["method", "measure", "attribute"])
    table = table.assign(status=table["status"].map(status_words))
    what = f"quality-{measure}-{among.method}-{among.attribute}"
    parts.data_table(run, table.rename(columns={"value": "mean"}), what)
    matched_gaps(run, among, measure, words)
