"""Nodes of the document tree that show pictures: cards, panels of small maps, what colours and stamps mean."""

from __future__ import annotations

from dataclasses import dataclass

from reports.figures import MapTile

__all__ = [
    "Gallery",
    "GalleryCard",
    "GalleryModel",
    "Legend",
    "Panel",
    "SliceCard",
    "SliceCards",
    "StampLegend",
]


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
    """What the two colour scales of the maps mean, and of which methods; a scale that no method uses is left out."""

    unsigned: str
    signed: str


@dataclass(frozen=True)
class StampLegend:
    """What the stamps mean."""


@dataclass(frozen=True)
class Panel:
    """Small pictures side by side under one colour scale.

    Attributes
    ----------
    title : str
    tiles : tuple of MapTile
    low, high : str
        What the two ends of the scale stand for.
    signed : bool
        Whether the scale runs to both sides of 0.
    stamp : str
        As in `Cell`.
    note : str
        Stands below.
    """

    title: str
    tiles: tuple[MapTile, ...]
    low: str
    high: str
    signed: bool
    stamp: str = ""
    note: str = ""


@dataclass(frozen=True)
class Gallery:
    """Cards under one heading."""

    title: str
    cards: tuple[GalleryCard, ...]
