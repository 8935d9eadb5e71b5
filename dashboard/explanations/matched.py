"""How far groups are apart in a measure of explanations: between all images, and between matched ones beside it."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from audit.run import Run
from dashboard import data, parts
from dashboard.explanations.among import WHOLE, Among, side_by_side
from dashboard.explanations.words import MATCHINGS
from dashboard.forests import mean_forest
from dashboard.text import escape
from reports.figures import ForestFigure
from reports.format import plain, status_words

__all__ = ["matched_gaps"]


def matched_gaps(run: Run, among: Among, measure: str, words: str) -> None:
    """Chart and table of table `quality_gaps` for one measure.

    Parameters
    ----------
    run : Run
    among : Among
        Method and attribute, as they stand in the table.
    measure : str
        As it stands in the table.
    words : str
        What the measure is called.
    """
    if among.attribute == WHOLE:
        st.caption("A gap takes groups: choose an attribute to see how far they are apart.")
        return
    st.markdown(f"**{escape(f'How far the groups of {plain(among.attribute)} are apart: {words}')}**")
    wanted = (("method", "=", among.method), ("measure", "=", measure), ("attribute", "=", among.attribute))
    rows = data.table(run, "quality_gaps", filters=wanted)
    if rows.empty:
        st.info("No gap was computed here: the run holds no table of gaps in explanations, or no second group.")
        return
    rows = _in_order(run, rows)

    def draw(part: pd.DataFrame, model: str) -> ForestFigure:
        named = part.assign(group=[_between(name)[0] for name in part["matching"]])
        return mean_forest(named, model, f"largest gap: {words}", zero=True)

    side_by_side(run, rows, f"gaps_{measure}", draw)
    st.caption(
        "Largest difference between two groups’ means, with an interval over all pairs of groups. “Matched” compares "
        "images only with those of the same label and the same fifth of the model’s confidence: a gap that is gone "
        "there went with how hard the images are. “By outcome” compares those that the model got right, and those that "
        "it got wrong; that conditions on an outcome, so it is a breakdown without a test. p adjusted is Holm’s over "
        "the measures and attributes of the same model, method and matching. A large p does not show that groups are "
        "alike."
    )
    shown = rows.assign(
        matching=[_between(name)[1] for name in rows["matching"]],
        status=rows["status"].map(status_words),
    ).drop(columns=["method", "measure", "attribute"])
    renamed = {"group": "higher group", "reference": "lower group", "value": "gap", "matching": "between"}
    parts.data_table(run, shown.rename(columns=renamed), f"gaps-{measure}-{among.method}-{among.attribute}")


def _between(matching: Any) -> tuple[str, str]:
    words = plain(str(matching))
    return MATCHINGS.get(str(matching), (words, words))


def _in_order(run: Run, rows: pd.DataFrame) -> pd.DataFrame:
    """Models as in the run, and under each all images before matched ones."""
    models = {name: place for place, name in enumerate(run.models)}
    kinds = {name: place for place, name in enumerate(MATCHINGS)}
    ranks = rows.assign(
        by_model=rows["model"].map(models).fillna(len(models)), by_kind=rows["matching"].map(kinds).fillna(len(kinds))
    )
    ordered = ranks.sort_values(["by_model", "by_kind"], kind="stable")
    return ordered.drop(columns=["by_model", "by_kind"])
