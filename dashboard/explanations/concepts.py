"""Whether a concept moves the explained scores, by group."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from audit.run import Run
from dashboard import data, parts, state
from dashboard.explanations.among import WHOLE, choose_attribute, group_rows, names, side_by_side
from dashboard.explanations.words import not_measured
from dashboard.forests import mean_forest
from dashboard.text import escape
from reports.figures import ForestFigure
from reports.format import status_words

__all__ = ["concepts"]


def concepts(run: Run) -> None:
    """Selection, a chart a model, and the table."""
    st.header("Concepts, by group")
    known = data.distinct(run, "concepts", ("concept", "target_class", "attribute"))
    if known.empty:
        st.info(escape(not_measured(run, "concepts", "Whether a concept moves the scores")))
        return
    first, second, third = st.columns(3)
    with first:
        concept = state.choose("Concept", "concept", names(known["concept"]))
    known = known[known["concept"] == concept]
    with second:
        target = state.choose("Class explained", "concept-class", names(known["target_class"]))
    with third:
        attribute = choose_attribute(known.loc[known["target_class"] == target, "attribute"])
    wanted = (("concept", "=", concept), ("target_class", "=", target), ("attribute", "in", (attribute, WHOLE)))
    rows = group_rows(data.table(run, "concepts", filters=wanted).assign(clusters=None), attribute)
    drawn = rows.rename(columns={"random": "random directions"})

    def draw(part: pd.DataFrame, model: str) -> ForestFigure:
        return mean_forest(part, model, f"share of images whose score rises with {concept}", mark="random directions")

    side_by_side(run, drawn, "concepts", draw)
    st.caption(
        "Share of images whose score would rise if the layer’s activations moved towards the concept, with 95 % "
        "intervals; the mark is what random directions give. Accuracy is how well the direction tells the concept’s "
        "images from others. It shows an association inside the model; it does not show that a decision rests on it."
    )
    table = rows.drop(columns=["concept", "target_class", "attribute", "clusters"])
    table = table.assign(status=table["status"].map(status_words)).rename(columns={"value": "share"})
    parts.data_table(run, table, f"concept-{concept}-{target}-{attribute}")
