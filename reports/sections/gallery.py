"""Which explained images the report shows, and how they are told apart by group and outcome."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from reports.format import clean, count
from reports.language import say
from reports.nodes import Block, Gallery, GalleryCard, Legend, Paragraph, Section
from reports.sections.cards import Cards
from reports.sections.explained import leading
from reports.sections.facts import MISSING, Facts, records

__all__ = ["MOST_BYTES", "MOST_IMAGES", "Shown", "choose", "gallery", "legend"]

MOST_IMAGES = 24
MOST_TILES = 420
MOST_METHODS = 15
MOST_BYTES = 1_700_000
"""Pictures of up to three models take at most this many characters, so that a report stays below 5 MB; of more models,
whose tables are longer, they take less."""

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
    text = say(
        "{shown} of {explained} explained images are shown{methods}; the run holds the maps of all. For display, each "
        "map is divided by its own largest absolute value, so brightness cannot be compared between pictures. Maps of "
        "a layer are laid over the image in grey, enlarged bilinearly with half-pixel centres. Under each map stand "
        "its stamp, its layer where it has one, the class that is explained with how it was chosen, and the score. "
        "Images are chosen by group and outcome, those that a model got wrong first; they illustrate and prove "
        "nothing. They come from the audited data: whoever receives this report receives these images.",
        shown=count(shown.cards),
        explained=count(explained),
        methods=_methods(facts, shown),
    )
    blocks: tuple[Block, ...] = (Paragraph(text, "note"), legend(facts, shown.methods), *shown.galleries)
    return Section("gallery", say("Maps by group and outcome"), blocks)


def _methods(facts: Facts, shown: Shown) -> str:
    numbers = {"shown": count(len(shown.methods)), "all": count(len(facts.methods))}
    return say(", with the maps of {shown} of {all} methods", **numbers) if shown.methods else ""


def legend(facts: Facts, methods: tuple[str, ...]) -> Legend:
    """Which methods each colour scale is of."""
    named = [facts.method(name) for name in methods]
    unsigned, signed = ([one.title for one in named if one.signed is sign] for sign in (False, True))
    return Legend(say(", ").join(unsigned), say(", ").join(signed))


def _shown(facts: Facts) -> Shown:
    """Cards by group of the first attribute, those that a model got wrong first."""
    seen = set(facts.run.table("explanations", columns=["image_id"])["image_id"])
    images = facts.rows_of("images", seen)
    predictions = facts.rows_of("predictions", seen, ["image_id", "label", "predicted"])
    first = set(leading(facts, facts.methods)[:MOST_METHODS])
    methods = tuple(name for name in facts.methods if name in first)
    tiles = max(1, len(methods) * len(facts.run.models))
    chosen = choose(facts, images, predictions, min(MOST_IMAGES, max(_FEWEST, MOST_TILES // tiles)))
    most = round(MOST_BYTES * min(1.0, 3 / max(1, len(facts.run.models))))
    cards = Cards.of(facts, methods, most).make([image for _, image in chosen], facts.run.models)
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
        group = f"{facts.names[0]}: {row[column]}" if column and column in row else say("Explained images")
        cells.setdefault((group, -int(wrong.get(row["image_id"], 0))), []).append(str(row["image_id"]))
    keys = sorted(cells, key=lambda key: (key[1], key[0]))
    found: list[tuple[str, str]] = []
    depth = 0
    while len(found) < most and any(depth < len(cells[key]) for key in keys):
        found += [(key[0], cells[key][depth]) for key in keys if depth < len(cells[key])]
        depth += 1
    return found[:most]
