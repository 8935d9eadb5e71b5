"""Nodes of the document tree: what a report says, free of how any format writes it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from reports.figures import Figure
from reports.picture_nodes import (
    Gallery,
    GalleryCard,
    GalleryModel,
    Legend,
    Panel,
    SliceCard,
    SliceCards,
    StampLegend,
)

__all__ = [
    "Block",
    "Bullets",
    "Callout",
    "Cell",
    "Code",
    "Column",
    "Document",
    "FigureBlock",
    "FigureRow",
    "Finding",
    "Findings",
    "Folded",
    "Gallery",
    "GalleryCard",
    "GalleryModel",
    "KeyValues",
    "Legend",
    "Panel",
    "Paragraph",
    "Section",
    "SliceCard",
    "SliceCards",
    "StampLegend",
    "Table",
    "VerdictCount",
    "VerdictCounts",
]


@dataclass(frozen=True)
class Paragraph:
    """Text; `kind` tells the lead and side notes from the body."""

    text: str
    kind: Literal["body", "lead", "note"] = "body"


@dataclass(frozen=True)
class Bullets:
    """A list of sentences."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Callout:
    """A box that must not be overlooked."""

    title: str
    text: str
    kind: Literal["note", "alarm"] = "note"


@dataclass(frozen=True)
class KeyValues:
    """Facts by name."""

    items: tuple[tuple[str, str], ...]
    title: str = ""


@dataclass(frozen=True)
class Code:
    """Text to be shown as it is, folded away under a title."""

    title: str
    text: str


@dataclass(frozen=True)
class Column:
    """Heading of a table's column."""

    title: str
    numeric: bool = False


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes
    ----------
    text : str
    kind : str
        How it reads.
    note : str
        Stands below in small print.
    stamp : str
        Stands after the text: whether a method's maps are evidence on a model, a key of `palette.STAMPS`.
    claim : str
        The row of a table that the number comes from, `audit.run.claims`; empty where it is no number of a table.
    """

    text: str
    kind: Literal["plain", "muted", "strong", "verdict"] = "plain"
    note: str = ""
    stamp: str = ""
    claim: str = ""


@dataclass(frozen=True)
class Table:
    """A table; the first cell of a row is its heading.

    Attributes
    ----------
    caption : str
        What the table holds.
    columns : tuple of Column
    rows : tuple of tuple of Cell
    note : str
        Stands below: what was left out, which method was used.
    folded : bool
        Whether it is folded away on screen; in print it is not.
    source : str
        Table of the run that its numbers come from; empty where they come from none.
    total : int
        Rows that there are of a table that may show its first ones only; 0 where it always shows all.
    """

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    folded: bool = False
    source: str = ""
    total: int = 0


@dataclass(frozen=True)
class FigureBlock:
    """A figure, its caption, and the stamp of the one method that it is about."""

    figure: Figure
    caption: str = ""
    stamp: str = ""


@dataclass(frozen=True)
class FigureRow:
    """Figures that belong beside each other, where there is room; `small` ones stand closer."""

    figures: tuple[FigureBlock, ...]
    small: bool = False


@dataclass(frozen=True)
class Folded:
    """Blocks that are folded away on screen under a title; in print they are not."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class VerdictCount:
    """How many findings have a verdict."""

    verdict: str
    count: int


@dataclass(frozen=True)
class VerdictCounts:
    """All verdicts with their counts."""

    items: tuple[VerdictCount, ...]


@dataclass(frozen=True)
class Finding:
    """One finding: verdict, sentence, the numbers behind it, what else bears on it, and the claims that it rests on."""

    identifier: str
    verdict: str
    text: str
    details: tuple[str, ...]
    remarks: tuple[str, ...] = ()
    claims: tuple[str, ...] = ()


@dataclass(frozen=True)
class Findings:
    """Findings in the order of their weight."""

    items: tuple[Finding, ...]


Block: TypeAlias = (
    "Paragraph | Bullets | Callout | KeyValues | Legend | Code | Table | FigureBlock | FigureRow | VerdictCounts"
    " | Findings | Folded | Gallery | Panel | Section | SliceCards | StampLegend"
)


@dataclass(frozen=True)
class Section:
    """A heading with what stands under it; sections nest."""

    identifier: str
    title: str
    blocks: tuple[Block, ...] = ()


@dataclass(frozen=True)
class Document:
    """A whole report.

    Attributes
    ----------
    title, subtitle : str
    complete : bool
        False shows the INCOMPLETE banner.
    warning : str
        What the banner says.
    sections : tuple of Section
    language : str
        What its fixed wording is in, one of `reports.language.LANGUAGES`.
    """

    title: str
    subtitle: str
    complete: bool
    warning: str = ""
    sections: tuple[Section, ...] = field(default_factory=tuple)
    language: str = "en"

    def walk(self) -> Iterator[Block]:
        """Every block, depth first."""
        stack: list[Block] = list(reversed(self.sections))
        while stack:
            block = stack.pop()
            yield block
            if isinstance(block, Section | Folded):
                stack.extend(reversed(block.blocks))
