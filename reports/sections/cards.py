"""Cards of explained images: the picture, what each model says, and a tile for every map with what it is of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from reports.figures import MapTile
from reports.format import clean, known, rate, status_words
from reports.language import say
from reports.maps import map_uri, picture_uri
from reports.nodes import GalleryCard, GalleryModel
from reports.palette import stamp_word
from reports.sections.explained import score_words, target_words
from reports.sections.facts import Facts, records

__all__ = ["Cards"]

Pixels = npt.NDArray[np.uint8]
Maps = dict[tuple[str, str], dict[str, npt.NDArray[np.float32]]]


@dataclass
class Cards:
    """Makes cards until their pictures have taken the room that there is.

    Attributes
    ----------
    facts : Facts
    methods : tuple of str
        Those with a tile, in this order.
    room : int
        Characters that pictures may take.
    used : int
        Characters that they have taken.
    """

    facts: Facts
    methods: tuple[str, ...]
    room: int
    used: int = 0

    @classmethod
    def of(cls, facts: Facts, methods: Iterable[str], room: int) -> Cards:
        """For a run."""
        return cls(facts, tuple(methods), room)

    def make(
        self, images: Sequence[str], models: Sequence[str], notes: Mapping[str, str] | None = None
    ) -> list[GalleryCard]:
        """Cards of these images in this order, as many as there is room for.

        Parameters
        ----------
        images, models : sequence of str
        notes : mapping of str to str, optional
            What else is to be said of an image.
        """
        source = _Source.of(self.facts, images, models, self.methods)
        cards: list[GalleryCard] = []
        for image in images:
            card = source.card(image, (notes or {}).get(image))
            self.used += _size(card)
            if self.used > self.room:
                break
            cards.append(card)
        return cards


@dataclass(frozen=True)
class _Source:
    """Everything that some cards are made of."""

    facts: Facts
    models: tuple[str, ...]
    methods: tuple[str, ...]
    images: dict[str, dict[str, Any]]
    outcomes: dict[tuple[str, str], dict[str, Any]]
    explained: dict[tuple[str, str, str], dict[str, Any]]
    maps: Maps

    @classmethod
    def of(cls, facts: Facts, images: Sequence[str], models: Sequence[str], methods: tuple[str, ...]) -> _Source:
        wanted = list(images)
        run = facts.run
        outcome = ["model", "image_id", "label", "predicted", "confidence"]
        rows, said, explained = (
            records(facts.rows_of(name, wanted, columns))
            for name, columns in (("images", None), ("predictions", outcome), ("explanations", None))
        )
        return cls(
            facts,
            tuple(models),
            methods,
            {str(row["image_id"]): row for row in rows},
            {(str(row["model"]), str(row["image_id"])): row for row in said},
            {(str(row["model"]), str(row["image_id"]), str(row["method"])): row for row in explained},
            {(model, method): run.maps(model, method, wanted) for model in models for method in methods},
        )

    def card(self, name: str, note: str | None) -> GalleryCard:
        image = self.images.get(name, {})
        path = self.facts.run.thumbnail(name)
        picture = picture_uri(path) if path is not None else None
        pixels = picture[1] if picture is not None else None
        facts = [say("label {name}", name=clean(image.get("label")))]
        facts += [f"{clean(key)} {clean(image.get(f'attr_{key}'))}" for key in self.facts.names]
        facts += [note] if note else []
        models = tuple(self._model(model, name, pixels) for model in self.models)
        return GalleryCard(clean(name), picture[0] if picture is not None else None, tuple(facts), models)

    def _model(self, model: str, image: str, pixels: Pixels | None) -> GalleryModel:
        row = self.outcomes.get((model, image), {})
        predicted = row.get("predicted")
        correct = known(predicted) and predicted == row.get("label")
        outcome = say("no prediction")
        if known(predicted):
            sure = say(", confidence {value}", value=rate(row["confidence"])) if known(row.get("confidence")) else ""
            outcome = say("says {predicted}{confidence}", predicted=clean(predicted), confidence=sure)
        tiles = tuple(self._tile(model, image, method, pixels) for method in self.methods)
        return GalleryModel(clean(model), outcome, bool(correct), tiles)

    def _tile(self, model: str, image: str, name: str, pixels: Pixels | None) -> MapTile:
        method, stamp = self.facts.method(name), self.facts.stamp(model, name)
        values = self.maps[model, name].get(image)
        row = self.explained.get((model, image, name), {})
        if values is None:
            reason = status_words(row.get("status"))
            spoken = say("{name}: {value}", name=method.title, value=reason)
            shown = reason if row.get("status") != "ok" else say("map not kept")
            return MapTile(method.title, None, spoken, shown, stamp)
        caption = _caption(row, empty=not np.any(values))
        uri = map_uri(values, signed=method.signed, under=pixels if method.needs_layer else None)
        alternative = say(
            "{method} of {model} on {image} ({stamp}), {caption}",
            method=method.title,
            model=clean(model),
            image=clean(image),
            stamp=stamp_word(stamp).lower(),
            caption=caption,
        )
        return MapTile(method.title, uri, alternative, caption, stamp)


def _caption(row: Mapping[str, Any], *, empty: bool) -> str:
    """Layer, class with how it was chosen, and score that a map is of; what is amiss with it."""
    details = [clean(row["layer"])] if known(row.get("layer")) else []
    if known(row.get("target_class")):
        chosen = say(" ({how})", how=target_words(row["target"])) if known(row.get("target")) else ""
        details.append(say("for {target}{chosen}", target=clean(row["target_class"]), chosen=chosen))
    if known(row.get("score_kind")):
        details.append(score_words(row["score_kind"]))
    if known(row.get("status")) and row["status"] != "ok":
        details.append(re.split("[:：]", status_words(row["status"]))[0])
    details += [say("zero everywhere")] if empty else []
    return say(", ").join(details)


def _size(card: GalleryCard) -> int:
    tiles = sum(len(tile.uri or "") for model in card.models for tile in model.tiles)
    return len(card.picture or "") + tiles
