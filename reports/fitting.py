"""Keeps a report short enough to be read and sent, whatever the size of its run: how many rows its tables show.

Each section caps its own tables; here all tables together get a number of rows that the whole document can hold, and
each says how many of its rows are shown and where all of them are.
"""

from __future__ import annotations

from dataclasses import replace

from reports.format import count
from reports.language import say
from reports.nodes import Block, Document, FigureBlock, FigureRow, Folded, Section, Table

__all__ = ["MOST_CELLS", "fitted"]

MOST_CELLS = 30_000
"""Cells that the long tables of a document may have together; a figure takes the room of `_FIGURE` of them."""

_STEPS = (150, 100, 70, 50, 35, 25, 15, 10)
_FIGURE = 90
_OPEN = 20  # rows of a table that is not folded away, at least


def fitted(document: Document, most: int = MOST_CELLS) -> Document:
    """Shorten the long tables of a document alike until they have no more cells than that.

    Parameters
    ----------
    document : Document
    most : int
        Cells of all tables that come from tables of the run, with the room that figures take.

    Returns
    -------
    Document
        A table that shows only its first rows says so below. Where even the fewest rows are too many, they stay.
    """
    tables = [block for block in document.walk() if isinstance(block, Table) and block.total]
    room = most - _FIGURE * sum(_figures(block) for block in document.walk())
    rows = next((step for step in _STEPS if sum(_cells(table, step) for table in tables) <= room), _STEPS[-1])
    return replace(document, sections=tuple(_section(section, rows) for section in document.sections))


def _figures(block: Block) -> int:
    return len(block.figures) if isinstance(block, FigureRow) else int(isinstance(block, FigureBlock))


def _rows(table: Table, most: int) -> int:
    return min(len(table.rows), most if table.folded else max(most, _OPEN))


def _cells(table: Table, most: int) -> int:
    return _rows(table, most) * len(table.columns)


def _section(section: Section, most: int) -> Section:
    return replace(section, blocks=tuple(_block(block, most) for block in section.blocks))


def _block(block: Block, most: int) -> Block:
    """A block with every table in it cut."""
    if isinstance(block, Section):
        return _section(block, most)
    if isinstance(block, Folded):
        return replace(block, blocks=tuple(_block(inner, most) for inner in block.blocks))
    return _table(block, most) if isinstance(block, Table) and block.total else block


def _table(block: Table, most: int) -> Table:
    shown = _rows(block, most)
    if shown == block.total:
        return block
    said = say(
        "The first {shown} of {total} rows are shown; all stand in tables/{source}.parquet of the run.",
        shown=count(shown),
        total=count(block.total),
        source=block.source,
    )
    return replace(block, rows=block.rows[:shown], note=f"{block.note} {said}".strip())
