"""Reading a section of the report in tests: its blocks, its tables by caption, its page."""

from __future__ import annotations

from typing import Any

import pandas as pd

from reports.html import render_html
from reports.nodes import Cell, Document, Section, Table

__all__ = ["blocks", "cells", "page", "table", "written"]


def blocks(part: Section | None, kind: type) -> list[Any]:
    """Blocks of a kind, depth first."""
    assert part is not None
    return [block for block in Document("", "", complete=True, sections=(part,)).walk() if isinstance(block, kind)]


def page(*parts: Section | None) -> str:
    """Sections as a page of their own."""
    return render_html(Document("a", "b", complete=True, sections=tuple(part for part in parts if part is not None)))


def table(part: Section | None, caption: str) -> Table:
    """The one table with this caption."""
    [found] = [block for block in blocks(part, Table) if block.caption == caption]
    return found


def cells(found: Table) -> list[dict[str, Cell]]:
    """Rows of a table as cells by heading."""
    return [{c.title: cell for c, cell in zip(found.columns, row, strict=True)} for row in found.rows]


def written(frame: pd.DataFrame, **wanted: Any) -> dict[str, Any]:
    """The one row with these values."""
    for name, value in wanted.items():
        frame = frame[frame[name] == value]
    assert len(frame) == 1, wanted
    return dict(frame.iloc[0])
