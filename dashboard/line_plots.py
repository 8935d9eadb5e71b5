"""Drawing lines over a scale of numbers with Plotly, from `reports.figures.LinesFigure`."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import plotly.graph_objects as go

from dashboard.plots import dressed
from dashboard.text import mark_up
from reports.figures import Line, LinesFigure
from reports.format import count, rate
from reports.palette import GROUP_SHAPES, Theme, line_colour

__all__ = ["lines"]

_DASHES = ("solid", "dash", "dot", "dashdot")
_MARKED = 20
_KEPT = 128
_HEIGHTS = {True: 250, False: 340}


@lru_cache(_KEPT)
def lines(figure: LinesFigure, theme: Theme) -> go.Figure:
    """A line a name, told from others by colour, dashes and marker, with intervals where there are some.

    Parameters
    ----------
    figure : LinesFigure
    theme : Theme
        Colours of the mode that is shown.

    Returns
    -------
    go.Figure
        The same object for the same arguments: not to be changed.
    """
    rows = 0 if figure.small else (len(figure.lines) + 2) // 3
    across = {"title": {"text": mark_up(figure.across, 60)}, "range": _widened(figure.bounds)}
    layout = {
        "showlegend": not figure.small,
        "margin": {"t": 12 if figure.small else 20 * rows + 16},
        "xaxis": {**across, "tickvals": list(figure.ticks)} if figure.ticks else across,
        "yaxis": {"title": {"text": mark_up(figure.axis, 60)}, "range": _widened(figure.heights)},
    }
    traces = [_diagonal(theme)] if figure.diagonal else []
    traces += [_trace(line, theme) for line in figure.lines]
    return dressed(traces, layout, theme, height=_HEIGHTS[figure.small] + 20 * rows)


def _widened(ends: tuple[float, float]) -> list[float]:
    margin = (ends[1] - ends[0]) * 0.03
    return [ends[0] - margin, ends[1] + margin]


def _diagonal(theme: Theme) -> dict[str, Any]:
    return {
        "type": "scatter",
        "x": [0, 1],
        "y": [0, 1],
        "mode": "lines",
        "line": {"color": theme.muted, "width": 1, "dash": "dot"},
        "hoverinfo": "skip",
        "showlegend": False,
    }


def _trace(line: Line, theme: Theme) -> dict[str, Any]:
    everybody = line.style < 0
    colour = theme.ink if everybody else line_colour(line.style)
    above = [point.high - point.value if point.high is not None else 0 for point in line.points]
    below = [point.value - point.low if point.low is not None else 0 for point in line.points]
    few = len(line.points) <= _MARKED
    trace: dict[str, Any] = {
        "type": "scatter",
        "x": [point.x for point in line.points],
        "y": [point.value for point in line.points],
        "mode": "lines+markers" if few else "lines",
        "name": mark_up(line.name, 24),
        "line": {
            "color": colour,
            "width": 3 if everybody else 2,
            "dash": "solid" if everybody else _DASHES[line.style % len(_DASHES)],
        },
        "marker": {"symbol": "circle" if everybody else GROUP_SHAPES[line.style % len(GROUP_SHAPES)], "size": 8},
        "customdata": [[mark_up(line.name, 60), count(point.n), rate(point.value)] for point in line.points],
        "hovertemplate": "%{customdata[0]}: %{customdata[2]} at %{x:.3g}<br>n %{customdata[1]}<extra></extra>",
    }
    if any(above) or any(below):
        trace["error_y"] = {"array": above, "arrayminus": below, "color": colour, "thickness": 1, "width": 3}
    return trace
