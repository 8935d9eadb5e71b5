"""Images under other conditions: corrupted ever more, by group, and those known from training."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboard import data, parts, state
from dashboard.fairness.choice import WHOLE, Choice, file_name
from dashboard.forests import EVERYBODY, group_forest, in_order
from dashboard.line_plots import lines
from dashboard.plots import forest
from dashboard.text import escape
from reports.format import clean, count, plain, rate_with_interval, status_words
from reports.sections.conditions import corruption_figure

__all__ = ["membership", "robustness"]

_MOST = 12


def robustness(choice: Choice) -> None:
    """Accuracy over severity by group, a corruption at a time, and the gap at each severity."""
    st.header(escape(f"Corrupted images{_by(choice)}"))
    table = data.table(choice.run, "robustness", filters=(("model", "=", choice.model),))
    if table.empty:
        st.info("Not measured in this run: it needs `robustness` in the configuration.")
        return
    names = [str(name) for name in table["corruption"].drop_duplicates()]
    corruption = state.choose("Corruption", "corruption", names, show=plain)
    part = table[table["corruption"] == corruption]
    whole, own = part[part["attribute"] == WHOLE], part[part["attribute"] == choice.attribute]
    if choice.attribute == WHOLE:
        own = part.iloc[:0]
    elif own.empty:
        st.caption(escape(f"Not measured by {plain(choice.attribute)}; everybody is shown."))
    groups = [str(name) for name in in_order(own.drop_duplicates("group"))["group"]]
    st.text(_fall(whole, plain(corruption)))
    drawn = [(group, own[own["group"] == group]) for group in groups[:_MOST]] or [(EVERYBODY, whole)]
    figure = corruption_figure(drawn, plain(corruption))
    parts.chart(lines(figure, parts.mode()), key="robustness", description=figure.description)
    st.caption(
        "Accuracy on the same images, uncorrupted (severity 0) and corrupted ever more. Drops are paired, image by "
        "image. The corruptions are made by a program; those of a real camera can differ."
    )
    shown = pd.concat([own, whole.assign(group=EVERYBODY)]).drop(columns=["model", "corruption", "attribute", "metric"])
    shown = shown.assign(status=shown["status"].map(status_words))
    parts.data_table(choice.run, shown, file_name("corrupted", corruption, choice.attribute), model=choice.model)
    _gaps(choice, corruption)


def _fall(whole: pd.DataFrame, corruption: str) -> str:
    """From where to where the accuracy over everybody goes, in a sentence."""
    rows = data.records(whole[whole["value"].notna()].sort_values("severity", kind="stable"))
    if len(rows) < 2:
        return f"Accuracy over everybody under {clean(corruption)} was not measured at two severities."
    first, last = rows[0], rows[-1]
    return (
        f"Everybody: accuracy goes from {rate_with_interval(first)} to {rate_with_interval(last)} "
        f"under {clean(corruption)} of severity {count(last['severity'])}."
    )


def _gaps(choice: Choice, corruption: str) -> None:
    wanted = (("model", "=", choice.model), ("attribute", "=", choice.attribute), ("corruption", "=", corruption))
    table = data.table(choice.run, "robustness_gaps", filters=wanted)
    if table.empty:
        return
    st.markdown("**Gap at each severity**")
    shown = table.drop(columns=["model", "corruption", "attribute"]).assign(
        status=table["status"].map(status_words), method=table["method"].map(plain, na_action="ignore")
    )
    renamed = {"group": "worst group", "reference": "best group", "value": "gap"}
    name = file_name("corrupted-gaps", corruption, choice.attribute)
    parts.data_table(choice.run, shown.rename(columns=renamed), name, model=choice.model)
    st.caption("p is not corrected for the number of severities and corruptions.")


def membership(choice: Choice) -> None:
    """How well the loss tells training images from others, by group."""
    st.header(escape(f"Images known from training{_by(choice)}"))
    table = data.table(choice.run, "membership", filters=(("model", "=", choice.model),))
    if table.empty:
        st.info("Not measured in this run: it needs `training_data` of the model in the configuration.")
        return
    own = in_order(table[table["attribute"] == choice.attribute]) if choice.attribute != WHOLE else table.iloc[:0]
    whole = table[table["attribute"] == WHOLE]
    rows = pd.concat([own, whole.assign(group=EVERYBODY)])
    sized = [
        part.assign(metric="area under the curve of the attack", n=part["members"] + part["others"], **{"class": None})
        for part in (own, whole)
    ]
    drawn = sized if len(own) else [sized[1], sized[0]]
    figure = group_forest(drawn[0], drawn[1], None, "membership", reference=0.5)
    parts.chart(forest(figure, parts.mode()), key="membership", description=figure.description)
    st.caption(
        "0.5, the dotted line, is guessing. Above it, the model’s answers show which images it was trained on. "
        "Stronger attacks may find more."
    )
    shown = rows.drop(columns=["model", "attribute"]).assign(
        status=rows["status"].map(status_words), method=rows["method"].map(plain, na_action="ignore")
    )
    named = {"value": "area under the curve", "members": "trained on"}
    parts.data_table(
        choice.run, shown.rename(columns=named), file_name("membership", choice.attribute), model=choice.model
    )


def _by(choice: Choice) -> str:
    return "" if choice.attribute == WHOLE else f", by {plain(choice.attribute)}"
