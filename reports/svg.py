"""Draws figures as inline SVG with matplotlib, and is the only module that imports it.

Text stays text (so that a browser shapes every script), colours are CSS variables (so that a figure follows
light and dark), and equal figures give equal bytes.
"""

from __future__ import annotations

import html
import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import FixedLocator, MaxNLocator

from reports.figures import CurvesFigure, Figure, ForestFigure, ForestRow, Line, LinesFigure
from reports.format import clean
from reports.language import language, say
from reports.palette import line_colour, stamp_style
from reports.pdf_text import fitted
from reports.svg_short import shortened

__all__ = ["draw"]

_WIDTH, _SMALL = 390.0, 232.0
_ROW = 18.0
_LABELS, _SIZES = 122.0, 48.0
_LABEL_SIGNS = 21
_DASHES = ((), (5, 2), (2, 1.5), (6, 2, 1.5, 2))
_MARKERS = ("o", "s", "D", "^", "P", "v", "*", "h")

# Colours that stand for CSS variables until the drawing is done.
_ROLES = {
    "ink": "#010101",
    "muted": "#020202",
    "grid": "#030303",
    "accent": "#040404",
    "second": "#050505",
    "third": "#060606",
    "surface": "#070707",
}

_SETTINGS: Any = {
    "svg.hashsalt": "faircam",
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "axes.edgecolor": _ROLES["grid"],
    "axes.labelcolor": _ROLES["muted"],
    "xtick.color": _ROLES["muted"],
    "ytick.color": _ROLES["muted"],
    "text.color": _ROLES["ink"],
    "axes.unicode_minus": False,
}


def draw(figure: Figure, identifier: str) -> str:
    """Draw a figure as an accessible SVG element.

    Parameters
    ----------
    figure : ForestFigure, CurvesFigure or LinesFigure
    identifier : str
        Unique in the document; every id inside starts with it.

    Returns
    -------
    str
        ``<svg role="img">`` with title and description, without reference to anything outside.
    """
    return _inline(_drawn(figure, language()), figure, identifier)


@lru_cache(maxsize=512)
def _drawn(figure: Figure, _: str) -> str:
    """The file that matplotlib writes of a figure in the language spoken, under no identifier yet."""
    with mpl.rc_context(_SETTINGS), _quiet():
        canvas = _canvas(figure)
        stream = io.StringIO()
        renderer: Any = FigureCanvasSVG(canvas)
        renderer.print_svg(stream, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    return stream.getvalue()


def _canvas(figure: Figure) -> Canvas:
    if isinstance(figure, ForestFigure):
        return _forest(figure)
    return _lines(figure) if isinstance(figure, LinesFigure) else _curves(figure)


@contextmanager
def _quiet() -> Iterator[None]:
    """Names may be in scripts that the measuring font lacks; the browser has its own."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from", category=UserWarning)
        warnings.filterwarnings(
            "ignore", message=r"Matplotlib currently does not support .* natively", category=UserWarning
        )
        yield


def _forest(figure: ForestFigure) -> Canvas:
    top, bottom = 6.0, 38.0
    height = top + bottom + _ROW * max(len(figure.rows), 1)
    canvas = Canvas(figsize=(_WIDTH / 72, height / 72))
    axes = canvas.add_axes(
        (_LABELS / _WIDTH, bottom / height, (_WIDTH - _LABELS - _SIZES) / _WIDTH, (height - top - bottom) / height)
    )
    low, high = figure.bounds
    margin = (high - low) * 0.02
    axes.set_xlim(low - margin, high + margin)
    axes.set_ylim(max(len(figure.rows), 1) - 0.5, -0.5)
    _plain(axes, "x")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    if figure.reference is not None:
        axes.axvline(figure.reference, color=_ROLES["muted"], linewidth=0.9, dashes=(3, 2.5), zorder=1)
    for place, row in enumerate(figure.rows):
        _forest_row(axes, place, row, low)
    axes.set_yticks([])
    axes.set_xlabel(figure.axis, fontsize=9, labelpad=4)
    return canvas


def _forest_row(axes: Axes, place: int, row: ForestRow, low: float) -> None:
    worst, whole = row.emphasis == "worst", row.emphasis == "whole"
    beside: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "va": "center", "clip_on": False}
    sign = f" {stamp_style(row.stamp).symbol}" if row.stamp else ""
    label = _label(row.label, _LABEL_SIGNS - bool(sign)) + sign
    look: dict[str, Any] = {"fontsize": 9.0 if sign else 9.5, "weight": "bold" if worst or whole else "normal"}
    axes.text(-0.035, place, label, ha="right", **look, **beside)
    size = f"n={row.n}" if row.n is not None else ""
    axes.text(1.035, place, size, ha="left", fontsize=8.5, color=_ROLES["muted"], **beside)
    if row.value is None:
        reason = re.split("[:：]", row.status)[0]
        axes.text(low, place, reason, ha="left", va="center", fontsize=8.5, style="italic", color=_ROLES["muted"])
        return
    colour = _ROLES["second"] if worst else _ROLES["ink"] if whole else _ROLES["accent"]
    if row.low is not None and row.high is not None:
        axes.plot([row.low, row.high], [place, place], color=colour, linewidth=1.8, solid_capstyle="butt", zorder=2)
    if row.mark is not None:
        axes.plot([row.mark], [place], marker="|", markersize=11, markeredgewidth=2, color=_ROLES["third"], zorder=3)
    face = colour if row.low is not None else _ROLES["surface"]
    shape, size_of_mark = ("D", 5.4) if worst else ("s", 5.2) if whole else ("o", 5.6)
    axes.plot(
        [row.value],
        [place],
        marker=shape,
        markersize=size_of_mark,
        markerfacecolor=face,
        markeredgecolor=colour,
        linestyle="none",
        zorder=4,
    )


def _curves(figure: CurvesFigure) -> Canvas:
    height = 190.0
    canvas = Canvas(figsize=(_WIDTH / 72, height / 72))
    axes = canvas.add_axes((46 / _WIDTH, 38 / height, (_WIDTH - 46 - 76) / _WIDTH, (height - 38 - 10) / height))
    _plain(axes, "both")
    ends: list[tuple[float, str, str]] = []
    for position, curve in enumerate(figure.curves):
        known = [(epoch, value) for epoch, value in zip(figure.epochs, curve.values, strict=True) if value is not None]
        if not known:
            continue
        colour = _ROLES["second"] if position % 2 else _ROLES["accent"]
        xs, ys = [epoch for epoch, _ in known], [value for _, value in known]
        marker = "o" if len(xs) < 40 else ""
        axes.plot(
            xs, ys, color=colour, linewidth=1.7, marker=marker, markersize=3, dashes=(4, 2) if curve.dashed else ()
        )
        ends.append((ys[-1], curve.name, colour))
    if figure.marked_epoch is not None:
        axes.axvline(figure.marked_epoch, color=_ROLES["muted"], linewidth=0.9, dashes=(2, 2), zorder=1)
    axes.margins(x=0.03, y=0.08)
    _name_ends(axes, ends)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.set_xlabel(say("epoch") + _mark(figure), fontsize=9)
    _upright(axes, figure.axis)
    return canvas


def _mark(figure: CurvesFigure) -> str:
    if figure.marked_epoch is None or not figure.marked_label:
        return ""
    return say(" (dotted: {label})", label=figure.marked_label)


def _upright(axes: Axes, name: str) -> None:
    """Name the vertical axis; what the measuring font cannot measure is centred by the browser."""
    centred: dict[str, Any] = {} if name.isascii() else {"rotation_mode": "anchor"}
    axes.set_ylabel(name, fontsize=9, **centred)


def _label(name: str, limit: float) -> str:
    return fitted(" ".join(clean(name).split()), limit)


def _lines(figure: LinesFigure) -> Canvas:
    width, height = (_SMALL, 200.0) if figure.small else (_WIDTH, 235.0)
    names = 8.0 if figure.small else 104.0
    canvas = Canvas(figsize=(width / 72, height / 72))
    axes = canvas.add_axes((46 / width, 38 / height, (width - 46 - names) / width, (height - 38 - 10) / height))
    _plain(axes, "both")
    for ends, limit in ((figure.bounds, axes.set_xlim), (figure.heights, axes.set_ylim)):
        margin = (ends[1] - ends[0]) * 0.03
        limit(ends[0] - margin, ends[1] + margin)
    if figure.diagonal:
        axes.plot([0, 1], [0, 1], color=_ROLES["muted"], linewidth=0.9, dashes=(3, 2.5), zorder=1)
    for line in figure.lines:
        _line(axes, line)
    if not figure.small:
        _name_lines(axes, [line for line in figure.lines if line.points])
    axes.xaxis.set_major_locator(FixedLocator(list(figure.ticks)) if figure.ticks else MaxNLocator(5))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.set_xlabel(figure.across, fontsize=9)
    _upright(axes, figure.axis)
    return canvas


def _line(axes: Axes, line: Line) -> None:
    """One line, told from others by colour, dashes and marker; its intervals as thin uprights."""
    look = _look(line)
    for point in line.points:
        if point.low is not None and point.high is not None:
            axes.plot([point.x] * 2, [point.low, point.high], color=look["color"], linewidth=0.9, alpha=0.55, zorder=2)
    xs, ys = [point.x for point in line.points], [point.value for point in line.points]
    dashes = () if line.style < 0 else _DASHES[line.style % len(_DASHES)]
    axes.plot(
        xs,
        ys,
        **look,
        linewidth=2.0 if line.style < 0 else 1.5,
        markevery=1 if len(xs) <= 16 else max(1, len(xs) // 6),
        dashes=dashes,
        zorder=3,
    )


def _look(line: Line) -> dict[str, Any]:
    everybody = line.style < 0
    colour = _ROLES["ink"] if everybody else line_colour(line.style)
    return {"color": colour, "marker": "o" if everybody else _MARKERS[line.style % len(_MARKERS)], "markersize": 4}


def _name_lines(axes: Axes, lines: list[Line]) -> None:
    """Name each line at its end beside its marker, names kept apart and within the axes."""
    low, high = axes.get_ylim()
    least = (high - low) * 0.085
    ordered = sorted(lines, key=lambda line: line.points[-1].value)
    places: list[float] = []
    for line in ordered:
        places.append(max(line.points[-1].value, places[-1] + least if places else low))
    top = float(high)
    for number in reversed(range(len(places))):
        places[number] = top = min(places[number], top)
        top -= least
    beside: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "clip_on": False}
    for line, place in zip(ordered, places, strict=True):
        axes.plot([1.04], [place], **_look(line), linestyle="none", **beside)
        axes.text(1.08, place, _label(line.name, 16), va="center", color=_ROLES["ink"], fontsize=9, **beside)


def _name_ends(axes: Axes, ends: list[tuple[float, str, str]]) -> None:
    """Name each curve at its end, names kept apart by one line of text."""
    low, high = axes.get_ylim()
    least = (high - low) * 0.085
    below = float("-inf")
    for value, name, colour in sorted(ends):
        place = max(value, below + least)
        below = place
        axes.text(1.02, place, name, transform=axes.get_yaxis_transform(), va="center", color=colour, fontsize=9)


def _plain(axes: Axes, grid: Any) -> None:
    axes.patch.set_visible(False)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.grid(visible=True, axis=grid, color=_ROLES["grid"], linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelsize=8.5)


def _inline(text: str, figure: Figure, identifier: str) -> str:
    """Turn matplotlib's file into an element of an HTML page."""
    body = text[text.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", body, flags=re.DOTALL)
    opening, body = body.split(">", 1)
    view = re.search(r'viewBox="([^"]+)"', opening)
    box = view.group(1) if view else f"0 0 {_WIDTH:g} 200"
    body = re.sub(r"<g id=\"patch_1\">.*?</g>", "", body, count=1, flags=re.DOTALL)
    body = re.sub(r"<[^>]+>", lambda found: _own(found.group(0), identifier), shortened(body))
    title, words = html.escape(clean(figure.title)), html.escape(clean(figure.description))
    return (
        f'<svg role="img" aria-labelledby="{identifier}-title" aria-describedby="{identifier}-desc" '
        f'viewBox="{box}" class="figure" style="font-family: var(--sans)">'
        f'<title id="{identifier}-title">{title}</title><desc id="{identifier}-desc">{words}</desc>{body.strip()}'
    )


def _own(tag: str, identifier: str) -> str:
    """Make a tag's ids unique in the page and its colours those of the page; text between tags stays as it is."""
    tag = re.sub(r'\bid="', f'id="{identifier}-', tag)
    tag = tag.replace("url(#", f"url(#{identifier}-").replace('xlink:href="#', f'href="#{identifier}-')
    for role, colour in _ROLES.items():
        tag = tag.replace(colour, f"var(--{role})")
    return tag
