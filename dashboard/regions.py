"""The section on where attribution falls: mean share in a region by group, model beside model."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from audit.run import Run
from dashboard import data, parts, plots, state
from dashboard.forests import in_order, region_forest
from dashboard.text import escape
from reports.format import method_words, plain, status_words

__all__ = ["region_section"]


def region_section(run: Run) -> None:
    """Selection, a chart a model, and the table."""
    st.header("Where attribution falls, by group")
    table = data.table(run, "region_groups")
    if table.empty:
        st.info("No region shares: the data name no regions, or no image was explained.")
        return
    region, method, attribute = _selection(table)
    chosen = table[(table["region"] == region) & (table["method"] == method) & (table["attribute"] == attribute)]
    chosen = in_order(chosen)
    models = [name for name in run.models if name in set(chosen["model"])]
    if not models:
        st.info(escape(f"{method_words(method)} was not measured on {region} by {plain(attribute)}."))
        return
    for start in range(0, len(models), 2):
        for place, model in zip(st.columns(2), models[start : start + 2], strict=False):
            with place:
                _chart(chosen[chosen["model"] == model], region, model)
    st.caption(
        f"Mean share of the absolute attribution of {method_words(method)} in the region, with 95 % intervals. "
        "The mark is the region’s share of the area: what attribution spread evenly would give. "
        "Values away from it show that a model responds there more or less than evenly, not that it should."
    )
    shown = (
        pd.concat([chosen[chosen["model"] == model] for model in models])
        .drop(columns=["region", "method", "attribute"])
        .rename(columns={"value": "mean share", "area": "mean area", "method_interval": "interval by"})
    )
    shown = shown.assign(status=shown["status"].map(status_words))
    parts.data_table(run, shown, f"regions-{region}-{method}-{attribute}")


def _selection(table: pd.DataFrame) -> tuple[str, str, str]:
    first, second, third = st.columns(3)
    with first:
        region = state.choose("Region", "region", _names(table["region"]), show=plain)
    with second:
        method = state.choose("Method", "method", _names(table["method"]), show=method_words)
    with third:
        names = _names(table["attribute"])
        default = next((name for name in names if name != "overall"), names[0])
        attribute = state.choose("Regions by", "regions-by", names, default=default, show=plain)
    return region, method, attribute


def _names(column: pd.Series) -> list[str]:
    return [str(name) for name in column.drop_duplicates()]


def _chart(rows: pd.DataFrame, region: str, model: str) -> None:
    st.markdown(f"**{escape(model)}**")
    if rows["value"].notna().any():
        figure = region_forest(rows, region, model)
        parts.chart(plots.forest(figure, parts.mode()), key=f"regions_{model}", description=figure.description)
    else:
        reason = status_words(rows["status"].iloc[0])
        st.info(escape(f"No share could be measured in {region}: {reason}."))
