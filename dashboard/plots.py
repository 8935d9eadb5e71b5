"""Drawing with Plotly what `reports.figures` and the pages hold as data. Measures and computes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from textwrap import wrap
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from dashboard.text import mark_up
from reports.figures import ForestFigure, ForestRow
from reports.format import count, rate, status_words
from reports.palette import GROUP_COLOURS, Theme

__all__ = ["dress", "dressed", "forest", "label_bars"]

_KEPT = 128
"""Charts that are kept, as most of a page stays when one filter moves."""
_ROW = 44
_LINE = 16
_LINE_SIGNS = 38
_JOINT = " & "
"""Between the attributes of a searched subgroup; each stands on a line of its own."""
_STYLES = {"none": ("circle", "accent"), "worst": ("diamond", "second"), "whole": ("square", "muted")}
_NAMES = {"none": "group", "worst": "worst group", "whole": "everybody"}


@lru_cache(_KEPT)
def forest(figure: ForestFigure, theme: Theme) -> go.Figure:
    """Forest plot: a row a group, value and interval, n under the name; undefined rows say why.

    Parameters
    ----------
    figure : ForestFigure
    theme : Theme
        Colours of the mode that is shown.

    Returns
    -------
    go.Figure
        The same object for the same arguments: not to be changed.
    """
    rows = figure.rows
    traces: list[dict[str, Any]] = []
    for kind, (symbol, part) in _STYLES.items():
        places = [place for place, row in enumerate(rows) if row.emphasis == kind and row.value is not None]
        if places:
            traces.append(_points([rows[place] for place in places], places, kind, symbol, getattr(theme, part)))
    if any(row.mark is not None for row in rows):
        traces.append(_marks(figure, theme))
    low, high = figure.bounds
    margin = (high - low) * 0.02
    layout: dict[str, Any] = {
        "showlegend": len(traces) > 1,
        "yaxis": {
            "tickvals": list(range(len(rows))),
            "ticktext": [_tick(row, theme) for row in rows],
            "range": [len(rows) - 0.4, -0.6],
            "showgrid": False,
        },
        "xaxis": {"title": {"text": _wrapped(figure.axis)}, "range": [low - margin, high + margin]},
    }
    reasons = [_reason(row, place, low, theme) for place, row in enumerate(rows) if row.value is None]
    if reasons:
        layout["annotations"] = reasons
    if figure.reference is not None:
        layout["shapes"] = [_upright(figure.reference, theme)]
    parts = max((row.label.count(_JOINT) for row in rows), default=0)
    return dressed(traces, layout, theme, height=104 + (_ROW + _LINE * parts) * max(len(rows), 1))


def label_bars(frame: pd.DataFrame, theme: Theme) -> go.Figure:
    """Stacked bars of images by group, a colour a label.

    Parameters
    ----------
    frame : DataFrame
        Columns ``group``, ``label``, ``images``.
    theme : Theme
        Colours of the mode that is shown.
    """
    groups = list(dict.fromkeys(frame["group"]))
    labels = list(dict.fromkeys(frame["label"]))
    drawn = go.Figure()
    for number, label in enumerate(labels):
        part = frame[frame["label"] == label].set_index("group")["images"].reindex(groups).fillna(0)
        drawn.add_trace(
            go.Bar(
                x=part.tolist(),
                y=list(range(len(groups))),
                orientation="h",
                name=mark_up(label),
                customdata=[[mark_up(group, 60)] for group in groups],
                hovertemplate="%{customdata[0]}: %{x} images<extra>%{fullData.name}</extra>",
                marker={
                    "color": GROUP_COLOURS[number % len(GROUP_COLOURS)],
                    "line": {"color": theme.page, "width": 1},
                    "pattern": {
                        "shape": ("", "/", ".", "x", "-", "+", "\\", "|")[number % 8],
                        "fillmode": "overlay",
                        "fgopacity": 0.5,
                        "size": 6,
                    },
                },
            )
        )
    dress(drawn, theme, height=104 + 30 * max(len(groups), 2))
    drawn.update_layout(barmode="stack", bargap=0.3)
    drawn.update_xaxes(title={"text": "images"}, rangemode="tozero")
    drawn.update_yaxes(
        tickvals=list(range(len(groups))),
        ticktext=[mark_up(group, 22) for group in groups],
        autorange="reversed",
        showgrid=False,
    )
    return drawn


def _points(rows: Sequence[ForestRow], places: list[int], kind: str, symbol: str, colour: str) -> dict[str, Any]:
    above = [(row.high - row.value) if row.high is not None and row.value is not None else 0 for row in rows]
    below = [(row.value - row.low) if row.low is not None and row.value is not None else 0 for row in rows]
    return {
        "type": "scatter",
        "x": [row.value for row in rows],
        "y": places,
        "mode": "markers",
        "name": _NAMES[kind],
        "marker": {"symbol": symbol, "size": 11, "color": colour},
        "error_x": {"array": above, "arrayminus": below, "color": colour, "thickness": 2, "width": 5},
        "customdata": [[mark_up(row.label, 60), rate(row.value), _bounds(row), count(row.n)] for row in rows],
        "hovertemplate": "%{customdata[0]}: %{customdata[1]}<br>interval %{customdata[2]}<br>"
        "n %{customdata[3]}<extra></extra>",
    }


def _marks(figure: ForestFigure, theme: Theme) -> dict[str, Any]:
    marked = [(place, row) for place, row in enumerate(figure.rows) if row.mark is not None]
    return {
        "type": "scatter",
        "x": [row.mark for _, row in marked],
        "y": [place for place, _ in marked],
        "mode": "markers",
        "name": mark_up(figure.mark_label, 40),
        "marker": {"symbol": "line-ns-open", "size": 16, "color": theme.third, "line": {"width": 2}},
        "customdata": [[mark_up(row.label, 60), rate(row.mark)] for _, row in marked],
        "hovertemplate": "%{customdata[0]}: %{customdata[1]}<extra>%{fullData.name}</extra>",
    }


def _reason(row: ForestRow, place: int, left: float, theme: Theme) -> dict[str, Any]:
    """Why a row has no value, in its place."""
    return {
        "x": left,
        "y": place,
        "text": f"<i>{mark_up(status_words(row.status), 60)}</i>",
        "showarrow": False,
        "xanchor": "left",
        "font": {"color": theme.muted, "size": 12},
    }


def _upright(place: float, theme: Theme) -> dict[str, Any]:
    """A dotted line from below to above."""
    line = {"color": theme.muted, "width": 1, "dash": "dot"}
    return {"type": "line", "x0": place, "x1": place, "y0": 0, "y1": 1, "xref": "x", "yref": "y domain", "line": line}


def _wrapped(text: str) -> str:
    """An axis's name in as many lines as half a page's width asks for."""
    return "<br>".join(mark_up(line, _LINE_SIGNS) for line in wrap(text, _LINE_SIGNS))


def _bounds(row: ForestRow) -> str:
    if row.low is None or row.high is None:
        return f"none ({mark_up(status_words(row.status), 60)})"
    return f"{rate(row.low)} to {rate(row.high)}"


def _tick(row: ForestRow, theme: Theme) -> str:
    size = f"n {count(row.n)}" if row.n is not None else "n not known" if row.clusters is not None else ""
    name = " &amp;<br>".join(mark_up(part, 22) for part in row.label.split(_JOINT))
    return f'{name}<br><span style="color:{theme.muted};font-size:11px">{size}</span>'


def dressed(traces: list[dict[str, Any]], layout: dict[str, Any], theme: Theme, height: int) -> go.Figure:
    """A chart dressed as all are, made in one step: Plotly takes three times as long where it is told bit by bit."""
    return go.Figure({"data": traces, "layout": {"template": _template(theme), "height": height, **layout}})


def dress(drawn: go.Figure, theme: Theme, height: int) -> None:
    """What every chart has in common: quiet grid, legend above, no zooming by accident."""
    drawn.update_layout(template=_template(theme), height=height)


@lru_cache
def _template(theme: Theme) -> go.layout.Template:
    """The one template of all charts, made once a mode: Plotly takes long to check what it is told."""
    axis = {"gridcolor": theme.grid, "linecolor": theme.line, "zeroline": False, "automargin": True, "fixedrange": True}
    axis |= {"title": {"standoff": 12}, "ticklabeloverflow": "allow"}  # else each label is measured at every draw
    return go.layout.Template(
        layout={
            "margin": {"l": 8, "r": 12, "t": 36, "b": 8},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "colorway": GROUP_COLOURS,
            "font": {"color": theme.ink, "size": 13, "family": '"Source Sans", sans-serif'},
            "legend": {"orientation": "h", "y": 1, "yanchor": "bottom", "x": 0, "xanchor": "left"},
            "showlegend": True,
            "dragmode": False,
            "hoverlabel": {"bgcolor": theme.raised, "font": {"color": theme.ink}, "bordercolor": theme.line},
            "xaxis": axis,
            "yaxis": axis,
        }
    )
