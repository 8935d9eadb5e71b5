"""The pass that changes images: a region hidden, an equal area hidden elsewhere, another image's region put in.

It gives predictions before and after; what follows for groups is computed from its table.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from audit.config import InterventionsConfig
from audit.data.images import Decoded
from audit.engine.batches import batches, outcomes
from audit.engine.explaining import region_labels
from audit.engine.job import Job
from audit.explanations.quality import filled
from audit.models.adapter import ModelAdapter
from audit.run.mentions import TAKEN

__all__ = ["ABSENT", "elsewhere", "intervene_rows"]

ABSENT = "the image does not show the region"
"""Why there is nothing to hide: no problem of the image."""


class _Missing(NamedTuple):
    """A change that could not be made, and why."""

    region: str
    action: str
    detail: str
    status: str = "undefined"


class _Change(NamedTuple):
    """One changed copy of an image: its pixels where `mask` is 1, `shown` where it is 0."""

    region: str
    action: str
    mask: np.ndarray
    shown: np.ndarray
    detail: str


def intervene_rows(job: Job, adapter: ModelAdapter, positions: Sequence[int]) -> tuple[pd.DataFrame, float]:
    """Prediction of every image before and after each change.

    Parameters
    ----------
    job : Job
    adapter : ModelAdapter
        A black box will do.
    positions : sequence of int
        Rows of the data.

    Returns
    -------
    DataFrame
        ``image_id, region, action, area, predicted, predicted_after, changed, probability, probability_after,
        positive_after, status, detail``; an image has several rows of the action ``control``.
    float
        Least forward-equivalents that these rows take.
    """
    config = job.interventions
    if config is None:
        return pd.DataFrame(), 0.0
    rows: list[dict[str, Any]] = []
    least = 0.0
    for chunk, decoded, images in batches(job, positions, adapter.spec.input_shape):
        before = outcomes(adapter.spec, job.outputs, adapter.scores(images))
        changer = _Changer(job, config, chunk, images)
        asked = [
            (place, change)
            for place, item in enumerate(decoded)
            for change in _asked(changer, place, item, before[place]["status"])
        ]
        made = [(place, change) for place, change in asked if isinstance(change, _Change)]
        after = iter(_scored(job, adapter, images, made))
        for place, change in asked:
            name = str(job.source.rows["image_id"].iloc[chunk[place]])
            rows.append({"image_id": name, **_told(job, change, before[place], after)})
        least += len(chunk) + len(made)
    return pd.DataFrame(rows), least


def _asked(changer: _Changer, place: int, item: Decoded, status: str) -> list[_Change | _Missing]:
    """Changes of one image; of one that was not read or predicted, only the reason."""
    if item.array is None:
        return [_Missing("", "", item.detail, item.status)]
    if status != "ok":
        return [_Missing("", "", "the image has no prediction", status)]
    return changer.changes(place)


def _scored(
    job: Job, adapter: ModelAdapter, images: np.ndarray, made: Sequence[tuple[int, _Change]]
) -> list[dict[str, Any]]:
    """Outcomes of the changed copies of a whole batch, so that micro-batches fill."""
    if not made:
        return []
    copies = np.stack([np.where(change.mask[..., None] > 0, images[place], change.shown) for place, change in made])
    return outcomes(adapter.spec, job.outputs, adapter.scores(copies.astype(images.dtype)))


def _told(
    job: Job, change: _Change | _Missing, before: dict[str, Any], after: Iterator[dict[str, Any]]
) -> dict[str, Any]:
    """Row of one change."""
    if isinstance(change, _Missing):
        return _row(change, before, change.status)
    values = next(after)
    return _row(change, before, values["status"]) | _after(job, before, values)


def _row(change: _Change | _Missing, before: dict[str, Any], status: str) -> dict[str, Any]:
    """A row without what comes after the change."""
    area = float((change.mask == 0).mean()) if isinstance(change, _Change) else None
    about = {"region": change.region, "action": change.action, "area": area}
    known = {"predicted": before.get("predicted"), "probability": before.get("confidence")}
    blank = dict.fromkeys(("predicted_after", "changed", "probability_after", "positive_after"))
    return {**about, **known, **blank, "status": status, "detail": change.detail}


def _after(job: Job, before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """What the changed copy gives, in terms of the class that was predicted before."""
    if after["status"] != "ok":
        return {}
    classes = job.outputs.classes
    place = classes.index(before["predicted"])
    positive = after["probabilities"][classes.index(job.positive)] if job.positive is not None else None
    return {
        "predicted_after": after["predicted"],
        "changed": after["predicted"] != before["predicted"],
        "probability_after": after["probabilities"][place],
        "positive_after": positive,
    }


class _Changer:
    """Makes the changed copies of a batch of images."""

    def __init__(self, job: Job, config: InterventionsConfig, positions: list[int], images: np.ndarray) -> None:
        self.job = job
        self.config = config
        self.positions = positions
        self.images = images
        self.hidden = filled(config.fill, images) if config.fill == "blur" else None
        self.regions = {
            value: name for value, name in job.regions.items() if name in (config.regions or job.regions.values())
        }

    def changes(self, place: int) -> list[_Change | _Missing]:
        """Every change of one image, and what could not be made of it."""
        labels = region_labels(self.job, self.positions[place], self.images.shape[1:3])
        if not isinstance(labels, np.ndarray):
            return [_Missing("", "", labels.detail if labels else "the image has no region map")]
        found: list[_Change | _Missing] = []
        for value, name in self.regions.items():
            inside = labels == value
            if inside.any():
                found.append(self._hide(name, "hide", place, inside, inside))
                found += self._controls(name, place, inside)
            else:
                found.append(_Missing(name, "hide", ABSENT))
            if self.config.swap:
                found += self._swap(name, value, place)
        return found

    def _hide(self, name: str, action: str, place: int, gone: np.ndarray, region: np.ndarray) -> _Change:
        image = self.images[place]
        if self.hidden is not None:
            return _Change(name, action, ~gone, self.hidden[place], "")
        around = image[~(gone | region)] if not (gone | region).all() else image.reshape(-1, image.shape[-1])
        return _Change(name, action, ~gone, np.broadcast_to(around.mean(axis=0), image.shape), "")

    def _controls(self, name: str, place: int, inside: np.ndarray) -> Iterator[_Change | _Missing]:
        rng = self._generator(place, name)
        moved = elsewhere(inside, self.config.controls, rng)
        for gone in moved:
            yield self._hide(name, "control", place, gone, inside)
        if len(moved) < self.config.controls:
            yield _Missing(name, "control", "the region is too large to lie beside itself, so it has no control")

    def _swap(self, name: str, value: int, place: int) -> Iterator[_Change | _Missing]:
        """The region of another image, of another label, put in at its own place."""
        rows = self.job.source.rows
        label = rows["label"].iloc[self.positions[place]]
        others = np.flatnonzero((rows["label"] != label).to_numpy())
        rng = self._generator(place, f"swap {name}")
        for other in rng.permutation(others)[:20].tolist():
            labels = region_labels(self.job, other, self.images.shape[1:3])
            read = self.job.source.read(other)
            if read.array is None or read.array.shape != self.images[place].shape:
                continue
            if isinstance(labels, np.ndarray) and (labels == value).any():
                yield _Change(name, "swap", labels != value, read.array, f"{TAKEN}{rows['image_id'].iloc[other]}")
                return
        yield _Missing(name, "swap", "none of 20 images of another label shows the region")

    def _generator(self, place: int, what: str) -> np.random.Generator:
        name = str(self.job.source.rows["image_id"].iloc[self.positions[place]])
        return np.random.default_rng([self.job.seed, zlib.crc32(f"{name}\x1f{what}".encode())])


def elsewhere(inside: np.ndarray, count: int, rng: np.random.Generator) -> list[np.ndarray]:
    """The region moved to other places where it overlaps nothing of itself.

    Parameters
    ----------
    inside : ndarray
        ``(H, W)`` bool, not empty.
    count : int
        Places wanted.
    rng : Generator

    Returns
    -------
    list of ndarray
        At most `count` masks of the same shape and area, wholly within the image; places may overlap each other.
        Empty where the region is too large to lie beside itself.
    """
    if count == 0:
        return []
    from scipy.signal import fftconvolve

    rows, columns = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
    shape = inside[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(float)
    # Overlap of the shape with the region, for every place of its corner.
    overlap = fftconvolve(inside.astype(float), shape[::-1, ::-1], mode="valid")
    free = np.argwhere(overlap < 0.5)
    if not len(free):
        return []
    moved = []
    for top, left in free[rng.choice(len(free), size=min(count, len(free)), replace=False)]:
        mask = np.zeros_like(inside)
        mask[top : top + shape.shape[0], left : left + shape.shape[1]] = shape > 0
        moved.append(mask)
    return moved
