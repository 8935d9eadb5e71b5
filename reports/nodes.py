"""Nodes of the document tree: what a report says, free of how any format writes it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from reports.figures import Figure, MapTile

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
    "Paragraph",
    "Section",
    "SliceCard",
    "SliceCards",
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
    """One cell: its text, and how it reads."""

    text: str
    kind: Literal["plain", "muted", "strong", "verdict"] = "plain"


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
    """

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    folded: bool = False


@dataclass(frozen=True)
class FigureBlock:
    """A figure and its caption."""

    figure: Figure
    caption: str = ""


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
    """One finding: verdict, sentence, the numbers behind it, and what else bears on it."""

    identifier: str
    verdict: str
    text: str
    details: tuple[str, ...]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Findings:
    """Findings in the order of their weight."""

    items: tuple[Finding, ...]


@dataclass(frozen=True)
class GalleryModel:
    """What one model made of one image."""

    name: str
    outcome: str
    correct: bool
    tiles: tuple[MapTile, ...]


@dataclass(frozen=True)
class GalleryCard:
    """One image with the maps of every model."""

    image_id: str
    picture: str | None
    facts: tuple[str, ...]
    models: tuple[GalleryModel, ...]


@dataclass(frozen=True)
class SliceCard:
    """Images that belong together without a name: what they are called, what was found, and some of them.

    Attributes
    ----------
    title : str
    symbol, state : str
        Whether it was confirmed, as a sign and in words.
    confirmed : bool
    text : str
        A sentence with the numbers.
    pictures : tuple of (str, str)
        ``data:`` address and the image's name.
    note : str
        What is to be said of the pictures.
    """

    title: str
    symbol: str
    state: str
    confirmed: bool
    text: str
    pictures: tuple[tuple[str, str], ...]
    note: str = ""


@dataclass(frozen=True)
class SliceCards:
    """Slices in the order of their error rates."""

    items: tuple[SliceCard, ...]


@dataclass(frozen=True)
class Legend:
    """What the two colour scales of the maps mean."""


@dataclass(frozen=True)
class Gallery:
    """Cards under one heading."""

    title: str
    cards: tuple[GalleryCard, ...]


Block: TypeAlias = (
    "Paragraph | Bullets | Callout | KeyValues | Legend | Code | Table | FigureBlock | FigureRow | VerdictCounts"
    " | Findings | Folded | Gallery | Section | SliceCards"
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
    """

    title: str
    subtitle: str
    complete: bool
    warning: str = ""
    sections: tuple[Section, ...] = field(default_factory=tuple)

    def walk(self) -> Iterator[Block]:
        """Every block, depth first."""
        stack: list[Block] = list(reversed(self.sections))
        while stack:
            block = stack.pop()
            yield block
            if isinstance(block, Section | Folded):
                stack.extend(reversed(block.blocks))
