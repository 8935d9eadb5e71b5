"""Mean share of attribution in a region by group, model beside model."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from audit.run import Run
from dashboard import data, parts, state
from dashboard.explanations.among import Among, by_model, names, side_by_side
from dashboard.explanations.matched import matched_gaps
from dashboard.explanations.words import measure_words, title
from dashboard.forests import in_order, region_forest
from dashboard.text import escape
from reports.figures import ForestFigure
from reports.format import plain, status_words

__all__ = ["region_shares"]


def region_shares(run: Run, among: Among) -> None:
    """Selection of the region, a chart a model, the table, and the gaps between groups."""
    st.header("Where attribution falls, by group")
    regions = names(data.distinct(run, "region_groups", ("region",))["region"])
    if not regions:
        st.info("No region shares: the data name no regions, or no image was explained.")
        return
    left, _ = st.columns([1, 2])
    with left:
        region = state.choose("Region", "region", regions, show=plain)
    wanted = (("region", "=", region), ("method", "=", among.method), ("attribute", "=", among.attribute))
    rows = in_order(data.table(run, "region_groups", filters=wanted))
    words = title(run, among.method)
    if rows.empty:
        st.info(escape(f"{words} was not measured on {region} by {plain(among.attribute)}."))
        return

    def draw(part: pd.DataFrame, model: str) -> ForestFigure:
        return region_forest(part, region, model)

    side_by_side(run, rows, "regions", draw)
    st.caption(
        escape(
            f"Mean share of the absolute attribution of {words} in the region, with 95 % intervals. The mark is the "
            "region’s share of the area: what attribution spread evenly would give. Values away from it show that a "
            "model responds there more or less than evenly, not that it should."
        )
    )
    shown = by_model(run, rows)
    shown = shown.drop(columns=["region", "method", "attribute"]).assign(
        status=shown["status"].map(status_words),
        method_interval=shown["method_interval"].map(plain, na_action="ignore"),
    )
    renamed = {"value": "mean share", "area": "mean area", "method_interval": "interval by"}
    parts.data_table(run, shown.rename(columns=renamed), f"regions-{region}-{among.method}-{among.attribute}")
    measure = f"share:{region}"
    matched_gaps(run, among, measure, measure_words(measure))
