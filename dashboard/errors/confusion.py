"""Which class is taken for which, by group: shares of the true class with intervals, counted from the predictions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from audit.fairness.rates import GroupRates
from audit.fairness.rows import sorted_groups
from audit.run import Run
from dashboard import columns, data, parts, plots, state
from dashboard.columns import Codes, Outcomes
from dashboard.errors.filters import images_query
from dashboard.forests import EVERYBODY
from dashboard.text import escape, mark_up
from reports.format import count, plain, rate
from reports.palette import Theme

__all__ = ["confusion", "confusion_table"]

Ints = npt.NDArray[np.int64]

_MOST_CLASSES = 12
_MOST_PAIRS = 30
_LINKED = 6


def confusion(run: Run, model: str) -> None:
    """A group's matrix beside that of everybody, and the table of all groups."""
    st.header("Which class is taken for which")
    names = data.attributes(run)
    first, second = st.columns(2)
    attribute = group = None
    if names:
        with first:
            attribute = state.choose("Attribute", "by", names, show=plain)
        with second:
            groups = sorted_groups(set(columns.attribute(run, attribute).names))
            group = state.choose("Group beside everybody", "confused", groups)
    table = confusion_table(run, model, attribute)
    if table.empty:
        st.info("No usable image has a label and a prediction.")
        return
    labels = [name for name in columns.outcomes(run, model).label.names if name in set(table["label"])]
    if len(labels) <= _MOST_CLASSES:
        _matrices(table, [name for name in (group, EVERYBODY) if name is not None])
    else:
        st.caption(f"With {len(labels)} classes, the {_MOST_PAIRS} most frequent confusions are listed, not drawn.")
    st.caption(
        "Each row is a true class; its shares add up to 1. Interval: 95 %, exact, and wider where images come in "
        "clusters. Compare groups by the share, not by the count: their classes may be mixed in other parts."
    )
    _links(run, model, table, attribute, group)
    parts.data_table(run, _in_order(table, len(labels)), f"confusion-{attribute or 'everybody'}", model=model)


def confusion_table(run: Run, model: str, attribute: str | None) -> pd.DataFrame:
    """Shares of each true class by predicted class and group, everybody last.

    Returns
    -------
    DataFrame
        ``group, label, predicted, images, n, share, low, high``: ``n`` usable images of the group with that label.
        Of more than twelve classes, only the pairs that are confused most often over everybody.
    """
    stamps = (data.changed(run, "images"), data.changed(run, "predictions"))
    return _table(str(run.path), stamps, model, attribute, run)


@st.cache_resource(max_entries=64, show_spinner=False)
def _table(path: str, stamps: tuple[int, int], model: str, attribute: str | None, _run: Run) -> pd.DataFrame:  # noqa: ARG001
    said, unit = columns.outcomes(_run, model), columns.clusters(_run)
    groups = [] if attribute is None else [columns.attribute(_run, attribute)]
    groups.append(Codes((EVERYBODY,), np.zeros(len(said.usable), np.int32)))
    pairs = _pairs(said)
    rows = [row for group in groups for label in dict(pairs) for row in _rows(said, unit, group, label, pairs)]
    names = ("group", "label", "predicted", "images", "n", "share", "low", "high")
    return pd.DataFrame(rows, columns=list(names))


def _pairs(said: Outcomes) -> list[tuple[int, int]]:
    """True and predicted class: every pair that can occur, or of many classes those confused most often."""
    size = len(said.label.names)
    label, predicted = said.label.codes[said.usable], said.predicted.codes[said.usable]
    counts = np.bincount(label.astype(np.int64) * size + predicted, minlength=size * size).reshape(size, size)
    labels, answers = np.flatnonzero(counts.any(axis=1)), np.flatnonzero(counts.any(axis=0) | counts.any(axis=1))
    if len(labels) <= _MOST_CLASSES:
        return [(int(i), int(j)) for i in labels for j in answers]
    np.fill_diagonal(counts, 0)
    worst = np.argsort(-counts, axis=None, kind="stable")[:_MOST_PAIRS]
    return [divmod(int(place), size) for place in worst if counts.flat[place]]


def _rows(
    said: Outcomes, unit: Any, group: Codes, label: int, pairs: list[tuple[int, int]]
) -> Iterator[tuple[Any, ...]]:
    """What becomes of one true class in every group that has it: a row a group and predicted class."""
    own = said.usable & (said.label.codes == label)
    of_unit, place = _units(group.codes[own].astype(np.int64), None if unit is None else unit[own], len(group.names))
    trials = np.bincount(place, minlength=len(of_unit[0])).astype(np.int64)
    kept = trials > 0
    names = said.label.names
    for answer in [predicted for truth, predicted in pairs if truth == label]:
        hits = np.bincount(place, said.predicted.codes[own] == answer, len(of_unit[0])).astype(np.int64)
        units = (of_unit[0][kept], of_unit[1][kept], hits[kept], trials[kept])
        rates = GroupRates(group.names, unit is not None, *units)
        low, high = rates.intervals()
        for number in map(group.names.index, sorted_groups(set(group.names))):
            if rates.total[number]:
                sizes = (int(rates.count[number]), int(rates.total[number]))
                values = (float(rates.rate[number]), float(low[number]), float(high[number]))
                yield (group.names[number], names[label], names[answer], *sizes, *values)


def _units(group: Ints, unit: Any, groups: int) -> tuple[tuple[Ints, Ints], Ints]:
    """Group and cluster of each unit that is counted, and the unit of each image; without clusters, the groups."""
    if unit is None:
        return (np.arange(groups), np.zeros(groups, np.int64)), group
    width = int(unit.max(initial=0)) + 1
    kept, place = np.unique(group * width + unit, return_inverse=True)
    return (kept // width, kept % width), place


def _in_order(table: pd.DataFrame, classes: int) -> pd.DataFrame:
    if classes <= _MOST_CLASSES:
        return table
    return table.sort_values("images", ascending=False, kind="stable")


def _links(run: Run, model: str, table: pd.DataFrame, attribute: str | None, group: str | None) -> None:
    """To the images of the most frequent confusions of the group."""
    part = table[
        (table["group"] == (group or EVERYBODY)) & (table["label"] != table["predicted"]) & table["images"].gt(0)
    ]
    among = {"by": attribute, "group": group} if attribute and group else {}
    with st.container(horizontal=True, gap="small", key="confusion_links"):
        for row in data.records(part.sort_values("images", ascending=False, kind="stable").head(_LINKED)):
            query = images_query(run, model, label=row["label"], predicted=row["predicted"], **among)
            label = f"{row['label']} taken for {row['predicted']}: {count(row['images'])}"
            st.page_link("views/errors.py", label=escape(label), icon=":material/arrow_forward:", query_params=query)


def _matrices(table: pd.DataFrame, groups: list[str]) -> None:
    for place, name in zip(st.columns(len(groups)), groups, strict=True):
        part = table[table["group"] == name]
        with place:
            st.markdown(f"**{escape(name)}**")
            words = [f"{r.label} as {r.predicted}: {rate(r.share)} of {r.n}" for r in part.itertuples()]
            parts.chart(_heat(part, parts.mode()), key=f"confusion_{name}", description="; ".join(words))


def _heat(part: pd.DataFrame, theme: Theme) -> go.Figure:
    """Shares as shades, each with its number and count written in."""
    labels, answers = list(dict.fromkeys(part["label"])), list(dict.fromkeys(part["predicted"]))
    cells = {(row["label"], row["predicted"]): row for row in data.records(part)}
    shares = [[cells[label, answer]["share"] for answer in answers] for label in labels]
    text = [
        [f"{rate(cells[label, answer]['share'])}<br>{count(cells[label, answer]['images'])}" for answer in answers]
        for label in labels
    ]
    drawn = go.Figure(
        go.Heatmap(
            z=shares,
            text=text,
            texttemplate="%{text}" if len(labels) <= 6 else "",
            hovertemplate="%{y} as %{x}<br>%{text}<extra></extra>",
            x=list(range(len(answers))),
            y=list(range(len(labels))),
            zmin=0,
            zmax=1,
            colorscale=[[0, theme.surface], [1, _blend(theme.surface, theme.accent)]],
            textfont={"color": theme.ink},
            showscale=False,
            xgap=2,
            ygap=2,
        )
    )
    plots.dress(drawn, theme, height=120 + 56 * max(len(labels), 2))
    drawn.update_layout(showlegend=False)
    ticks = {"tickvals": list(range(len(answers))), "ticktext": [mark_up(name, 16) for name in answers]}
    drawn.update_xaxes(title={"text": "predicted"}, side="bottom", showgrid=False, **ticks)
    drawn.update_yaxes(
        title={"text": "true class"},
        tickvals=list(range(len(labels))),
        ticktext=[mark_up(name, 16) for name in labels],
        autorange="reversed",
        showgrid=False,
    )
    return drawn


def _blend(under: str, over: str, share: float = 0.5) -> str:
    """A colour between two, pale enough for text in the page's ink."""
    channels = [(int(under[at : at + 2], 16), int(over[at : at + 2], 16)) for at in (1, 3, 5)]
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in channels)
