"""Which explained images the report shows, and how they are told apart by group and outcome."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from reports.format import clean, count
from reports.maps import NORMALISATION
from reports.nodes import Block, Gallery, GalleryCard, Legend, Paragraph, Section
from reports.sections.cards import Cards
from reports.sections.explained import leading
from reports.sections.facts import MISSING, Facts, records

__all__ = ["MOST_BYTES", "MOST_IMAGES", "Shown", "choose", "gallery", "legend"]

MOST_IMAGES = 24
MOST_TILES = 420
MOST_METHODS = 15
MOST_BYTES = 1_700_000
"""Pictures take at most this many characters, so that a report stays below 5 MB."""

_FEWEST = 4


@dataclass(frozen=True)
class Shown:
    """What of the explained images is shown.

    Attributes
    ----------
    galleries : tuple of Gallery
    methods : tuple of str
        Methods with a tile.
    """

    galleries: tuple[Gallery, ...]
    methods: tuple[str, ...]

    @property
    def cards(self) -> int:
        """Images shown."""
        return sum(len(one.cards) for one in self.galleries)


def gallery(facts: Facts) -> Section | None:
    """The gallery with what is to be said of it; None where there is nothing to show."""
    shown = _shown(facts)
    if not shown.galleries:
        return None
    explained = facts.run.table("explanations", columns=["image_id"])["image_id"].nunique()
    methods = count(len(facts.methods))
    some = f", with the maps of {count(len(shown.methods))} of {methods} methods" if shown.methods else ""
    text = (
        f"{count(shown.cards)} of {count(explained)} explained images are shown{some}; the run holds the "
        f"maps of all. For display, {NORMALISATION}; brightness can therefore not be compared between pictures. "
        "Maps of a layer are laid over the image in grey, enlarged bilinearly with half-pixel centres. Under each map "
        "stand its stamp, its layer where it has one, the class that is explained with how it was chosen, and the "
        "score. Images are chosen by group and outcome, those that a model got wrong first; they illustrate and prove "
        "nothing. They come from the audited data: whoever receives this report receives these images."
    )
    blocks: tuple[Block, ...] = (Paragraph(text, "note"), legend(facts, shown.methods), *shown.galleries)
    return Section("gallery", "Maps by group and outcome", blocks)


def legend(facts: Facts, methods: tuple[str, ...]) -> Legend:
    """Which methods each colour scale is of."""
    named = [facts.method(name) for name in methods]
    unsigned = ", ".join(one.title for one in named if not one.signed)
    return Legend(unsigned, ", ".join(one.title for one in named if one.signed))


def _shown(facts: Facts) -> Shown:
    """Cards by group of the first attribute, those that a model got wrong first."""
    images, predictions = facts.run.table("images"), facts.run.table("predictions")
    seen = set(facts.run.table("explanations", columns=["image_id"])["image_id"])
    images, predictions = images[images["image_id"].isin(seen)], predictions[predictions["image_id"].isin(seen)]
    first = set(leading(facts, facts.methods)[:MOST_METHODS])
    methods = tuple(name for name in facts.methods if name in first)
    tiles = max(1, len(methods) * len(facts.run.models))
    chosen = choose(facts, images, predictions, min(MOST_IMAGES, max(_FEWEST, MOST_TILES // tiles)))
    cards = Cards.of(facts, methods, MOST_BYTES).make([image for _, image in chosen], facts.run.models)
    groups: dict[str, list[GalleryCard]] = {}
    for (group, _), card in zip(chosen, cards, strict=False):
        groups.setdefault(group, []).append(card)
    ordered = sorted(groups, key=lambda name: (name.endswith(MISSING), name))
    return Shown(tuple(Gallery(clean(name), tuple(groups[name])) for name in ordered), methods)


def choose(
    facts: Facts, images: pd.DataFrame, predictions: pd.DataFrame, most: int = MOST_IMAGES
) -> list[tuple[str, str]]:
    """Pick images evenly over group and outcome.

    Returns
    -------
    list of (str, str)
        Heading and image, in the order in which they were picked, so that any first part of them is spread as
        evenly: a heading is a group of the first attribute, or all images where there is no attribute.
    """
    right = predictions["label"] == predictions["predicted"]
    wrong = (~right).groupby(predictions["image_id"]).sum()
    column = f"attr_{facts.names[0]}" if facts.names else None
    cells: dict[tuple[str, int], list[str]] = {}
    for row in records(images):
        group = f"{facts.names[0]}: {row[column]}" if column and column in row else "Explained images"
        cells.setdefault((group, -int(wrong.get(row["image_id"], 0))), []).append(str(row["image_id"]))
    keys = sorted(cells, key=lambda key: (key[1], key[0]))
    found: list[tuple[str, str]] = []
    depth = 0
    while len(found) < most and any(depth < len(cells[key]) for key in keys):
        found += [(key[0], cells[key][depth]) for key in keys if depth < len(cells[key])]
        depth += 1
    return found[:most]
