"""Another mix of groups: what the figures over everybody would be if the groups came in other shares."""

from __future__ import annotations

import streamlit as st

from dashboard import data, parts, state
from dashboard.fairness.choice import Choice, file_name
from dashboard.forests import group_forest
from dashboard.plots import forest
from dashboard.text import escape
from reports.format import metric_words, plain, status_words

__all__ = ["shift"]


def shift(choice: Choice) -> None:
    """Figures over everybody under other shares of the groups."""
    st.header(escape(f"Another mix of {plain(choice.attribute)}"))
    wanted = (("model", "=", choice.model), ("attribute", "=", choice.attribute))
    table = data.table(choice.run, "shift", filters=wanted)
    if table.empty:
        st.info("No other mix of these groups was computed.")
        return
    metrics = [metric_words(m, c) for m, c in zip(table["metric"], table["class"], strict=True)]
    chosen = state.choose("Figure", "figure", list(dict.fromkeys(metrics)))
    part = table[[name == chosen for name in metrics]]
    observed = part["observed"].iloc[0]
    rows = part.assign(group=part["scenario"], n=None, clusters=None)
    figure = group_forest(rows, rows.iloc[:0], None, chosen, reference=float(observed))
    parts.chart(forest(figure, parts.mode()), key="shift", description=figure.description)
    st.caption(
        "What the figure over everybody would be if the groups came in other shares, each served as it was here. "
        "The dotted line is the figure as audited."
    )
    shown = part.assign(change=part["value"] - part["observed"], status=part["status"].map(status_words))
    columns = ["scenario", "observed", "value", "low", "high", "change", "status"]
    parts.data_table(choice.run, shown[columns], file_name("mix", choice.attribute, chosen), model=choice.model)
