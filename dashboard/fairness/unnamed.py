"""Beyond the named groups: subgroups that were searched, slices nobody labelled, groups read from embeddings."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from audit.run import Run
from dashboard import data, parts, state
from dashboard.fairness.pictures import pictures
from dashboard.forests import same_class
from dashboard.plots import forest
from dashboard.text import escape
from reports.figures import ForestFigure, ForestRow
from reports.format import clean, known, metric_words, plain, status_words
from reports.sections.unnamed import leakage_sentence, slice_sentence, slice_state, worst_first

__all__ = ["leakage", "slices", "subgroups"]

_DRAWN = 15


def subgroups(run: Run, model: str) -> None:
    """The lattice, worst first: a chart of the first ones and the table of all."""
    st.header("Subgroups, searched")
    table = data.table(run, "lattice", filters=(("model", "=", model),))
    if table.empty:
        st.info("No subgroups were searched in this run.")
        return
    keys = _metrics(table)
    chosen = state.choose("Metric of the search", "searched", list(keys), show=lambda name: metric_words(*keys[name]))
    metric, class_name = keys[chosen]
    part = worst_first(table[(table["metric"] == metric) & same_class(table, class_name)])
    st.caption(
        "Groups of one to three attributes together, each against all other images, worst first, with 95 % intervals "
        "of each for itself. This is exploration: what stands at the top was chosen because it looks worst. p adjusted "
        "is Benjamini and Hochberg’s over all subgroups and metrics of the model. A claim needs fresh images."
    )
    rows = [_line(row) for row in data.records(part.head(_DRAWN))]
    ends = [end for row in rows for end in (row.low, row.high, row.value) if end is not None]
    words = f"how much worse than the others: {metric_words(metric, class_name)}"
    bounds = (min([0.0, *ends]), max([0.1, *ends]))
    figure = ForestFigure("Subgroups served worst", words, tuple(rows), 0.0, "no difference", bounds=bounds)
    parts.chart(forest(figure, parts.mode()), key="lattice", description=figure.description)
    shown = part.drop(columns=["model", "metric", "class"]).assign(status=part["status"].map(status_words))
    if len(part) > _DRAWN:
        st.caption(f"The first {_DRAWN} of {len(part)} subgroups are drawn; the table holds all.")
    parts.data_table(run, shown.rename(columns={"rest": "others"}), f"subgroups-{chosen}", model=model)


def _metrics(table: pd.DataFrame) -> dict[str, tuple[str, str | None]]:
    keys = table[["metric", "class"]].drop_duplicates()
    pairs = [(str(m), str(c) if known(c) else None) for m, c in keys.to_numpy()]
    return {metric if name is None else f"{metric}, {name}": (metric, name) for metric, name in pairs}


def _line(row: dict[str, Any]) -> ForestRow:
    def number(name: str) -> float | None:
        return float(row[name]) if known(row[name]) else None

    return ForestRow(
        label=str(row["group"]),
        n=int(row["n"]),
        clusters=int(row["clusters"]),
        value=number("difference"),
        low=number("low"),
        high=number("high"),
        status=str(row["status"]),
    )


def slices(run: Run, model: str) -> None:
    """Slices with their images, the worst first, confirmed or not."""
    st.header("Slices that nobody labelled")
    table = data.table(run, "slices", filters=(("model", "=", model),))
    if table.empty:
        st.info("No slices were searched in this run: they need `embeddings` in the configuration.")
        return
    found = worst_first(table[table["slice"].notna()])
    if found.empty:
        reason = table["status"].iloc[0]
        text = "No group of images alike promised more errors than the others."
        st.info(escape(text if reason == "ok" else f"Nothing was searched: {status_words(reason)}."))
        return
    st.caption(
        "Images that the model sees as alike, found in one half of the data without any label and tested in the "
        "other. Look at the images before giving a slice a name; one that was not confirmed may be chance."
    )
    names = [str(name) for name in found["slice"]]
    rows = {str(row["slice"]): row for row in data.records(found)}
    chosen = state.choose("Slice", "slice", names, show=lambda name: f"{name}: {slice_state(rows[name])[1]}")
    symbol, words = slice_state(rows[chosen])
    st.markdown(f"**{escape(f'{symbol} {chosen}: {words}')}**")
    st.text(clean(slice_sentence(rows[chosen])))
    _pictures(run, model, chosen)
    named = {"value": "error rate", "rest": "others", "makeup": "make-up"}
    shown = found.drop(columns=["model"]).assign(status=found["status"].map(status_words))
    parts.data_table(run, shown.rename(columns=named), "slices", model=model)


def _pictures(run: Run, model: str, name: str) -> None:
    wanted = (("model", "=", model), ("slice", "=", name))
    members = data.table(run, "slice_images", ("image_id", "distance"), wanted)
    members = members.sort_values("distance", kind="stable")
    pictures(run, [str(image) for image in members["image_id"]], "slice_images", "the most typical first")


def leakage(run: Run, model: str) -> None:
    """How well each attribute can be read from the embeddings, against labels dealt at random."""
    st.header("Groups that can be read from the embeddings")
    table = data.table(run, "leakage", filters=(("model", "=", model),))
    if table.empty:
        st.info("Not measured in this run: it needs `embeddings` in the configuration.")
        return
    for row in data.records(table):
        st.text(clean(leakage_sentence(row)))
    st.caption(
        "That a group can be read does not show that the decision uses it; that a linear probe cannot read it does "
        "not show that it is absent."
    )
    named = {"value": "balanced accuracy", "baseline": "at random", "baseline_high": "95 % at random below"}
    shown = table.drop(columns=["model"]).assign(
        status=table["status"].map(status_words), method=table["method"].map(plain, na_action="ignore")
    )
    parts.data_table(run, shown.rename(columns=named), "leakage", model=model)
