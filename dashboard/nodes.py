"""Sections of a report on the page: the same sentences, tables and figures, drawn by Streamlit and Plotly.

A number on a page and the same number in a report are thus made in one place. Pictures are not drawn here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from audit.run import Run
from dashboard import parts, plots
from dashboard.line_plots import lines
from dashboard.text import escape
from reports.figures import CurvesFigure, Figure, ForestFigure, Line, LinesFigure, Point
from reports.format import clean
from reports.nodes import Bullets, Callout, FigureBlock, FigureRow, Folded, KeyValues, Paragraph, Section, Table
from reports.palette import Theme

__all__ = ["Place", "draw", "show", "table_frame"]

_MOST_DRAWN = 8


@dataclass(frozen=True)
class Place:
    """Whose numbers are shown, and what downloads and charts are called after.

    Attributes
    ----------
    run : Run
    model : str
        As file names carry it.
    name : str
        Start of the keys and of the file names; different for every use on a page.
    """

    run: Run
    model: str
    name: str

    def of(self, further: object) -> Place:
        """The place of a part."""
        return Place(self.run, self.model, f"{self.name}-{further}")


def show(blocks: Iterable[Any], place: Place, level: int = 3) -> None:
    """Blocks of a report, one below another; kinds that a page draws in its own way are left out.

    Parameters
    ----------
    blocks : iterable of reports.nodes.Block
    place : Place
    level : int
        Of the headings of sections among them.
    """
    for number, block in enumerate(blocks):
        drawn = _KINDS.get(type(block))
        if drawn is not None:
            drawn(block, place.of(number), level)


def draw(figure: Figure, theme: Theme) -> go.Figure:
    """A figure of a report with Plotly."""
    if isinstance(figure, ForestFigure):
        return plots.forest(figure, theme)
    if isinstance(figure, LinesFigure):
        return lines(figure, theme)
    drawn = lines(_as_lines(figure), theme)
    if figure.marked_epoch is not None:
        drawn = go.Figure(drawn)  # the other is kept, and drawn again
        drawn.add_vline(x=figure.marked_epoch, line={"color": theme.muted, "width": 1, "dash": "dot"})
    return drawn


def table_frame(table: Table) -> pd.DataFrame:
    """A report's table as text, with the claims that its numbers rest on."""
    names = _unique([column.title for column in table.columns])
    rows = []
    for cells in table.rows:
        words = [f"{cell.text} ({'; '.join(cell.note.splitlines())})" if cell.note else cell.text for cell in cells]
        claims = dict.fromkeys(cell.claim for cell in cells if cell.claim)
        rows.append(dict(zip(names, words, strict=True)) | ({"claims": ", ".join(claims)} if claims else {}))
    return pd.DataFrame(rows, columns=[*names, "claims"] if any("claims" in row for row in rows) else names)


def _as_lines(figure: CurvesFigure) -> LinesFigure:
    drawn = []
    for style, curve in enumerate(figure.curves):
        pairs = zip(figure.epochs, curve.values, strict=True)
        points = tuple(Point(float(epoch), value) for epoch, value in pairs if value is not None)
        drawn.append(Line(curve.name, points, style))
    values = [point.value for line in drawn for point in line.points] or [0.0, 1.0]
    room = max((max(values) - min(values)) * 0.06, 1e-3)
    heights = (min(values) - room, max(values) + room)
    bounds = (float(min(figure.epochs, default=0)), float(max(figure.epochs, default=1)))
    return LinesFigure(figure.title, "epoch", figure.axis, tuple(drawn), bounds=bounds, heights=heights)


def _paragraph(block: Paragraph, _place: Place, _level: int) -> None:
    if block.kind == "note":
        st.caption(escape(block.text))
    elif block.text:
        st.text(clean(block.text))


def _bullets(block: Bullets, _place: Place, _level: int) -> None:
    st.markdown("\n".join(f"- {escape(item)}" for item in block.items))


def _callout(block: Callout, _place: Place, _level: int) -> None:
    (st.warning if block.kind == "alarm" else st.info)(escape(f"{block.title}. {block.text}"))


def _key_values(block: KeyValues, _place: Place, _level: int) -> None:
    if block.title:
        st.markdown(f"**{escape(block.title)}**")
    parts.facts(dict(block.items))


def _table(block: Table, place: Place, _level: int) -> None:
    if block.caption:
        st.markdown(f"**{escape(block.caption)}**")
    parts.data_table(place.run, table_frame(block), place.name, model=place.model)
    if block.note:
        st.caption(escape(block.note))


def _figure(block: FigureBlock, place: Place, _level: int) -> None:
    if block.caption:
        st.markdown(f"**{escape(block.caption)}**")
    parts.chart(draw(block.figure, parts.mode()), key=place.name, description=block.figure.description)


def _figures(block: FigureRow, place: Place, level: int) -> None:
    shown = block.figures[:_MOST_DRAWN]
    for start in range(0, len(shown), 2):
        for number, (column, figure) in enumerate(zip(st.columns(2), shown[start : start + 2], strict=False)):
            with column:
                _figure(figure, place.of(start + number), level)


def _folded(block: Folded, place: Place, level: int) -> None:
    with st.expander(escape(block.title)):
        show(block.blocks, place, level)


def _section(block: Section, place: Place, level: int) -> None:
    title = escape(block.title)
    (st.header if level < 3 else st.subheader)(title, anchor=False)
    show(block.blocks, place, level + 1)


_KINDS: dict[type, Callable[[Any, Place, int], None]] = {
    Paragraph: _paragraph,
    Bullets: _bullets,
    Callout: _callout,
    KeyValues: _key_values,
    Table: _table,
    FigureBlock: _figure,
    FigureRow: _figures,
    Folded: _folded,
    Section: _section,
}


def _unique(names: list[str]) -> list[str]:
    """Column names told apart by a number where they are the same."""
    seen: Counter[str] = Counter()
    out = []
    for name in names:
        seen[name] += 1
        out.append(name if seen[name] == 1 else f"{name} {seen[name]}")
    return out
