"""How wide the columns of a printed table are, and where a table that is too wide is cut into parts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from reports.nodes import Cell, Column, Table
from reports.palette import stamp_word
from reports.pdf_text import width

__all__ = ["LONGEST", "Part", "divide", "tied"]

LONGEST = 17
"""Words that are wider are broken in a table."""

_LINE = 116.0
"""Characters that a line of a table holds at the size in which tables are set."""
_MARGIN = 2.0
_WIDEST = 60.0
_KEYS = 3
_SMALLEST = 0.86
_CHINESE = "\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef"
_WORDS = re.compile(f"[{_CHINESE}]+|[^ {_CHINESE}]+")
_CHINESE_LINE = 7.0
"""Chinese breaks between any two characters, but a column of single ones cannot be read."""
_BRACKETS = re.compile(r"\[[^\[\]]{1,24}\]|(?<=\d) (?=\d{3}\b)|[<>≤≥] (?=[\d.])")


@dataclass(frozen=True)
class Part:
    """Columns of a table that are printed together.

    Attributes
    ----------
    places : tuple of int
        Positions of the columns in the whole table.
    widths : tuple of float
        Shares of the line, in characters; they add up to at most a line where the columns need no more.
    fills : bool
        Whether the part takes the whole width of the page.
    scale : float
        By how much its type is smaller than that of other tables.
    """

    places: tuple[int, ...]
    widths: tuple[float, ...]
    fills: bool
    scale: float


def tied(text: str) -> str:
    """A cell's text whose intervals, thousands and comparisons stay on one line."""
    return _BRACKETS.sub(lambda found: found.group(0).replace(" ", "\u00a0"), text)


def divide(table: Table) -> list[Part]:
    """Cut a table into parts that fit on a page.

    Parameters
    ----------
    table : Table

    Returns
    -------
    list of Part
        One where the table fits, in slightly smaller type if need be. Otherwise each begins with the columns that
        say what a row is about, which are the leading ones without numbers, three at most.
    """
    columns = [(column, [row[place] for row in table.rows]) for place, column in enumerate(table.columns)]
    needs = [_need(column, cells) for column, cells in columns]
    wants = [max(need, _want(column, cells)) for need, (column, cells) in zip(needs, columns, strict=True)]
    return [_part(places, needs, wants) for places in _cut(table.columns, needs)]


def _cut(columns: Sequence[Column], needs: Sequence[float]) -> list[tuple[int, ...]]:
    everything = tuple(range(len(columns)))
    most = _LINE / _SMALLEST
    if sum(needs) <= most:
        return [everything]
    keys = [place for place in everything[:_KEYS] if not any(column.numeric for column in columns[: place + 1])] or [0]
    others = everything[len(keys) :]
    room = max(most - sum(needs[place] for place in keys), 1.0)
    parts = _fill(others, needs, room)
    even = sum(needs[place] for place in others) / len(parts)
    balanced = _fill(others, needs, min(room, even + max(needs[place] for place in others) / 2))
    return [(*keys, *part) for part in (balanced if len(balanced) <= len(parts) else parts)]


def _fill(places: Sequence[int], needs: Sequence[float], room: float) -> list[list[int]]:
    parts: list[list[int]] = [[]]
    for place in places:
        if parts[-1] and sum(needs[other] for other in [*parts[-1], place]) > room:
            parts.append([])
        parts[-1].append(place)
    return parts


def _part(places: tuple[int, ...], needs: Sequence[float], wants: Sequence[float]) -> Part:
    """Give every column what it needs, and what is left to those that want more."""
    need, want = [needs[place] for place in places], [wants[place] for place in places]
    spare, wish = max(_LINE - sum(need), 0.0), sum(want) - sum(need)
    share = min(1.0, spare / wish) if wish else 0.0
    widths = tuple(round(least + share * (most - least), 2) for least, most in zip(need, want, strict=True))
    scale = max(min(1.0, _LINE / sum(need)), _SMALLEST)
    return Part(places, widths, sum(widths) > 0.75 * _LINE, round(scale, 3))


def _need(column: Column, cells: Sequence[Cell]) -> float:
    """Width of the longest word; longer ones are broken."""
    words = (_least(word) for text in _texts(column, cells) for word in _WORDS.findall(text))
    return min(max(words, default=1.0), float(LONGEST)) + _MARGIN


def _least(word: str) -> float:
    return min(width(word), _CHINESE_LINE) if re.match(f"[{_CHINESE}]", word) else width(word)


def _want(column: Column, cells: Sequence[Cell]) -> float:
    """Width at which nothing wraps, up to a limit."""
    return min(max(map(width, _texts(column, cells))), _WIDEST) + _MARGIN


def _texts(column: Column, cells: Sequence[Cell]) -> list[str]:
    """What stands in a column; a stamp is written after the text."""
    found = [column.title]
    for cell in cells:
        badge = f" ✓  {stamp_word(cell.stamp)}".replace(" ", "\u00a0") if cell.stamp else ""
        found += [tied(cell.text), badge, tied(cell.note), tied(cell.text) + badge]
    return found
