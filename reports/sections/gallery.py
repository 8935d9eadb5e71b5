"""Which explained images the report shows, and the cards that show them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from reports.figures import MapTile
from reports.format import clean, known, method_words, plain, rate, status_words
from reports.maps import map_uri, picture_uri
from reports.nodes import Gallery, GalleryCard, GalleryModel
from reports.sections.facts import MISSING, Facts, records

__all__ = ["MOST_BYTES", "MOST_IMAGES", "choose", "galleries"]

MOST_IMAGES = 24
MOST_BYTES = 3_000_000
"""Pictures take at most this many characters, so that a report stays below 5 MB."""

_OVERLAID = frozenset({"grad_cam"})


@dataclass(frozen=True)
class _Source:
    """Everything a card is made of."""

    facts: Facts
    methods: tuple[str, ...]
    outcomes: dict[tuple[str, str], dict[str, Any]]
    explained: dict[tuple[str, str, str], dict[str, Any]]
    maps: dict[tuple[str, str], dict[str, npt.NDArray[np.float32]]]


def galleries(facts: Facts) -> list[Gallery]:
    """Cards by group of the first attribute, those that a model got wrong first."""
    images = facts.run.table("images")
    explained = facts.run.table("explanations")
    predictions = facts.run.table("predictions")
    seen = set(explained["image_id"])
    images, predictions = images[images["image_id"].isin(seen)], predictions[predictions["image_id"].isin(seen)]
    chosen = choose(facts, images, predictions)
    if not chosen:
        return []
    source = _source(facts, explained, predictions, [image for _, image in chosen])
    rows = {str(row["image_id"]): row for row in records(images)}
    used, cards = 0, dict[str, list[GalleryCard]]()
    for group, image in chosen:
        card = _card(source, rows[image])
        used += _size(card)
        if used > MOST_BYTES:
            break
        cards.setdefault(group, []).append(card)
    return [Gallery(clean(group), tuple(found)) for group, found in cards.items()]


def choose(
    facts: Facts, images: pd.DataFrame, predictions: pd.DataFrame, most: int = MOST_IMAGES
) -> list[tuple[str, str]]:
    """Pick images evenly over group and outcome.

    Returns
    -------
    list of (str, str)
        Heading and image, heading by heading: a group of the first attribute, or all images where there
        is no attribute.
    """
    right = predictions["label"] == predictions["predicted"]
    wrong = (~right).groupby(predictions["image_id"]).sum()
    column = f"attr_{facts.names[0]}" if facts.names else None
    cells: dict[tuple[str, int], list[str]] = {}
    for row in records(images):
        group = f"{facts.names[0]}: {row[column]}" if column and column in row else "Explained images"
        cells.setdefault((group, -int(wrong.get(row["image_id"], 0))), []).append(str(row["image_id"]))
    queues = [cells[key] for key in sorted(cells, key=lambda key: (key[1], key[0]))]
    named = [key[0] for key in sorted(cells, key=lambda key: (key[1], key[0]))]
    found: list[tuple[str, str]] = []
    depth = 0
    while len(found) < most and any(depth < len(queue) for queue in queues):
        found += [(name, queue[depth]) for name, queue in zip(named, queues, strict=True) if depth < len(queue)]
        depth += 1
    return sorted(found[:most], key=lambda pair: (pair[0].endswith(MISSING), pair[0]))


def _source(facts: Facts, explained: pd.DataFrame, predictions: pd.DataFrame, images: list[str]) -> _Source:
    explained = explained[explained["image_id"].isin(images)]
    methods = tuple(str(method) for method in explained["method"].drop_duplicates())
    rows = {(str(r["model"]), str(r["image_id"]), str(r["method"])): r for r in records(explained)}
    outcomes = {(str(row["model"]), str(row["image_id"])): row for row in records(predictions)}
    maps = {(model, method): facts.run.maps(model, method, images) for model in facts.run.models for method in methods}
    return _Source(facts, methods, outcomes, rows, maps)


def _card(source: _Source, image: Mapping[str, Any]) -> GalleryCard:
    name = str(image["image_id"])
    path = source.facts.run.thumbnail(name)
    picture = picture_uri(path) if path is not None else None
    pixels = picture[1] if picture is not None else None
    facts = [f"label {clean(image['label'])}"]
    facts += [f"{clean(key)} {clean(image.get(f'attr_{key}'))}" for key in source.facts.names]
    models = tuple(_model(source, model, name, pixels) for model in source.facts.run.models)
    return GalleryCard(clean(name), picture[0] if picture is not None else None, tuple(facts), models)


def _model(source: _Source, model: str, image: str, pixels: npt.NDArray[np.uint8] | None) -> GalleryModel:
    row = source.outcomes.get((model, image), {})
    predicted = row.get("predicted")
    correct = known(predicted) and predicted == row.get("label")
    outcome = "no prediction"
    if known(predicted):
        sure = f", confidence {rate(row['confidence'])}" if known(row.get("confidence")) else ""
        outcome = f"says {clean(predicted)}{sure}"
    tiles = tuple(_tile(source, model, image, method, pixels) for method in source.methods)
    return GalleryModel(clean(model), outcome, bool(correct), tiles)


def _tile(source: _Source, model: str, image: str, method: str, pixels: npt.NDArray[np.uint8] | None) -> MapTile:
    name = method_words(method)
    values = source.maps[model, method].get(image)
    row = source.explained.get((model, image, method), {})
    if values is None:
        reason = status_words(row.get("status"))
        return MapTile(name, None, f"{name}: {reason}", reason if reason != "ok" else "map not kept")
    uri = map_uri(values, method, under=pixels if method in _OVERLAID else None)
    details = [clean(row["layer"])] if known(row.get("layer")) else []
    if known(row.get("target_class")):
        details.append(f"for {clean(row['target_class'])}")
    if known(row.get("score_kind")):
        details.append(plain(str(row["score_kind"])))
    caption = ", ".join(details)
    return MapTile(name, uri, f"{name} of {clean(model)} on {clean(image)}, {caption}", caption)


def _size(card: GalleryCard) -> int:
    tiles = sum(len(tile.uri or "") for model in card.models for tile in model.tiles)
    return len(card.picture or "") + tiles
