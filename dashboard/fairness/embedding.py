"""The embedding map: images that the model sees as alike lie near each other; those picked on it are shown."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from audit.run import Run
from dashboard import columns, data, parts, state
from dashboard.fairness.embedding_points import MOST, PROJECTIONS, Points, points, projections
from dashboard.fairness.pictures import pictures
from dashboard.plots import dress
from dashboard.text import escape, mark_up
from reports.format import clean, count, plain
from reports.palette import GROUP_COLOURS, GROUP_SHAPES, Theme

__all__ = ["coloured", "embedding_map", "scatter"]

_OUTCOME, _LABEL, _PREDICTED = "outcome", "label", "predicted"
_WORDS = {_OUTCOME: "right or wrong", _LABEL: "true class", _PREDICTED: "predicted class"}
_RIGHT, _WRONG, _NOTHING = "right", "wrong", "no prediction"
_OTHERS = "all others"
_HEIGHT = 620
_WHOLE = (0, 100)
_TOOLS: Any = {
    "displayModeBar": True,
    "displaylogo": False,
    "scrollZoom": False,
    "modeBarButtons": [["lasso2d", "select2d"]],
}

Bools = npt.NDArray[np.bool_]


def embedding_map(run: Run, model: str) -> None:
    """Controls, the map, what it does not show, and the images picked on it."""
    st.header("Embedding map")
    first, second, third, fourth = st.columns(4)
    with first:
        projection = state.choose("Projection", "projection", projections(), show=PROJECTIONS.__getitem__)
    with second:
        options = [*_WORDS, *(f"attr_{name}" for name in data.attributes(run))]
        colour = state.choose("Colour and shape", "colour", options, show=_colour_words)
    found = points(run, model, projection)
    if found is None:
        st.info("There is no map: it needs `embeddings` in the configuration, and embeddings that differ.")
        return
    with third:
        across = state.span("Pick, across", "map-x", _WHOLE, help="Part of the map’s width whose images are shown.")
    with fourth:
        up = state.span("Pick, upwards", "map-y", _WHOLE, help="Part of the map’s height whose images are shown.")
    names = coloured(run, model, found, colour)
    boxed = _box(found, across, up)
    drawn = scatter(found, names, columns.ids(run), parts.mode())
    if not boxed.all():
        _frame(drawn, found, across, up, parts.mode())
    key = f"map_{model}_{projection}"
    picked = _picked(st.plotly_chart(drawn, **_chart(found, names, colour), key=key), len(found.place))
    _caption(found, projection)
    every = _rows(run, model, found)
    _selected(run, model, every, picked if picked.any() else boxed)
    with st.expander("Every point as a table"):
        parts.data_table(run, every, f"embedding-map-{projection}", model=model)


def coloured(run: Run, model: str, found: Points, colour: str) -> list[str]:
    """What each point is coloured by, in words."""
    said = columns.outcomes(run, model)
    if colour == _OUTCOME:
        wrong = said.label.codes != said.predicted.codes
        kind = np.where(said.usable, np.where(wrong, 1, 0), 2)[found.place]
        return [(_RIGHT, _WRONG, _NOTHING)[value] for value in kind]
    known = {_LABEL: said.label, _PREDICTED: said.predicted}
    column = known[colour] if colour in known else columns.attribute(run, colour.removeprefix("attr_"))
    return _named(column, found)


def scatter(found: Points, names: list[str], ids: columns.Ids, theme: Theme) -> go.Figure:
    """The points as WebGL, a colour and a shape a name; more than eight names share the last.

    Parameters
    ----------
    found : Points
    names : list of str
        Of each point.
    ids : Ids
        Of the run's images.
    theme : Theme
        Colours of the mode that is shown.
    """
    sizes = pd.Series(names).value_counts(sort=True)
    most = len(GROUP_COLOURS)
    own = sorted(sizes.index) if len(sizes) <= most else sorted(sizes.index[: most - 1])
    own = sorted(own, key=lambda name: (name in (_WRONG, _NOTHING), name == _NOTHING, name))
    shown = np.array([name if name in set(own) else _OTHERS for name in names], dtype=object)
    figure = go.Figure()
    for style, name in enumerate([*own, *([_OTHERS] if len(sizes) > most else [])]):
        rows = np.flatnonzero(shown == name)
        figure.add_trace(
            go.Scattergl(
                x=found.xy[rows, 0],
                y=found.xy[rows, 1],
                mode="markers",
                name=mark_up(f"{name} ({len(rows)})", 40),
                marker={
                    "color": GROUP_COLOURS[-1 if name == _OTHERS else style],
                    "symbol": GROUP_SHAPES[style],
                    "size": 7,
                    "opacity": 0.8,
                    "line": {"width": 0.5, "color": theme.page},
                },
                customdata=[[int(row), mark_up(ids[found.place[row]], 60), mark_up(names[row], 60)] for row in rows],
                hovertemplate="%{customdata[1]}<br>%{customdata[2]}<extra></extra>",
            )
        )
    dress(figure, theme, _HEIGHT)
    figure.update_layout(dragmode="lasso", margin={"t": 56})
    for axis, place in ((figure.update_xaxes, 0), (figure.update_yaxes, 1)):
        axis(title={"text": _axis(found, place)}, showticklabels=False, showgrid=False)
    if found.spread:  # components have one unit, so both axes have one scale
        figure.update_yaxes(scaleanchor="x")
    return figure


def _axis(found: Points, place: int) -> str:
    if not found.spread:
        return ""
    return f"component {place + 1}: {found.spread[place]:.0%} of the spread"


def _named(column: columns.Codes, found: Points) -> list[str]:
    names = [*column.names, "(none)"]
    return [names[code] for code in column.codes[found.place]]


def _colour_words(name: str) -> str:
    return _WORDS.get(name) or plain(name.removeprefix("attr_"))


def _chart(found: Points, names: list[str], colour: str) -> dict[str, Any]:
    sizes = "; ".join(f"{name}: {number}" for name, number in pd.Series(names).value_counts().head(8).items())
    words = f"Map of {len(found.place)} images by {_colour_words(colour)}. {sizes}. The table below holds every point."
    return {
        "theme": None,
        "on_select": "rerun",
        "selection_mode": ("points", "box", "lasso"),
        "config": _TOOLS,
        "alt": clean(words),
    }


def _picked(event: Any, size: int) -> Bools:
    """Points inside what was drawn on the map."""
    out = np.zeros(size, bool)
    selected = (event or {}).get("selection", {}).get("points", [])
    rows = [int(item["customdata"][0]) for item in selected if item.get("customdata")]
    out[[row for row in rows if row < size]] = True
    return out


def _ends(values: npt.NDArray[np.float64], part: tuple[int, int]) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    return low + (high - low) * part[0] / 100, low + (high - low) * part[1] / 100


def _box(found: Points, across: tuple[int, int], up: tuple[int, int]) -> Bools:
    """Points inside the part of the map that the sliders name."""
    inside = np.ones(len(found.place), bool)
    for values, part in ((found.xy[:, 0], across), (found.xy[:, 1], up)):
        if part != _WHOLE:
            low, high = _ends(values, part)
            inside &= (values >= low) & (values <= high)
    return inside


def _frame(figure: go.Figure, found: Points, across: tuple[int, int], up: tuple[int, int], theme: Theme) -> None:
    left, right = _ends(found.xy[:, 0], across)
    low, high = _ends(found.xy[:, 1], up)
    line = {"color": theme.ink, "width": 1.5, "dash": "dash"}
    figure.add_shape(type="rect", x0=left, x1=right, y0=low, y1=high, line=line)


def _caption(found: Points, projection: str) -> None:
    drawn = f"All {count(len(found.place))} images with an embedding are drawn."
    if found.images > MOST:
        drawn = f"{count(MOST)} of {count(found.images)} images with an embedding are drawn, by a draw of fixed seed."
    if projection == "umap":
        kept = (
            "UMAP keeps neighbours together; how far apart clusters lie, and how large they are, means nothing, and "
            "another seed gives another picture."
        )
    else:
        kept = (
            f"The two axes hold {sum(found.spread):.0%} of the spread of {found.dimensions} dimensions: what lies "
            "together here may lie far apart in the others."
        )
    st.caption(
        f"{drawn} Near each other means alike to the model’s last layer before the decision. {kept} Being near is no "
        "evidence that two images are treated alike, or that a group is a cause: look at the images, then test on "
        "others."
    )


def _rows(run: Run, model: str, found: Points) -> pd.DataFrame:
    said, ids = columns.outcomes(run, model), columns.ids(run)
    groups = {name: _named(columns.attribute(run, name), found) for name in data.attributes(run)}
    return pd.DataFrame(
        {
            "image_id": ids.array.take(found.place).to_pylist(),
            "label": _named(said.label, found),
            "predicted": _named(said.predicted, found),
            "outcome": coloured(run, model, found, _OUTCOME),
            "confidence": said.confidence[found.place].astype(np.float64),
            **groups,
            "x": found.xy[:, 0],
            "y": found.xy[:, 1],
        }
    )


def _selected(run: Run, model: str, every: pd.DataFrame, chosen: Bools) -> None:
    st.header("Picked on the map")
    if chosen.all() or not chosen.any():
        nobody = "" if chosen.any() else "No point lies there. "
        st.info(f"{nobody}Draw around points, or move the two sliders, to see their images.")
        return
    rows = every[chosen]
    wrong, all_wrong = (int((part["outcome"] == _WRONG).sum()) for part in (rows, every))
    st.text(
        f"{count(len(rows))} images, {count(wrong)} of them wrong; of all {count(len(every))} drawn, "
        f"{count(all_wrong)}. They were picked by eye, so that this is no finding."
    )
    pictures(run, [str(name) for name in rows["image_id"]], "map", "as in the data")
    parts.data_table(run, rows, "picked-on-the-map", model=model)
    st.caption(escape("The sliders stand in the address of this view; what is drawn by hand does not."))
