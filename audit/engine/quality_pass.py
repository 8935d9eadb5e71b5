"""The pass that asks whether maps are evidence: every measure of their quality, one row an image and measure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from audit.config import QualityConfig
from audit.engine.batches import read_batch
from audit.engine.explaining import Explaining, region_labels
from audit.engine.stored import Stored, stored_maps
from audit.explanations.maps import Maps, resize_map
from audit.explanations.quality import (
    REFERENCES,
    Cascade,
    Curve,
    Explained,
    Jitter,
    Measure,
    Removal,
    Stepping,
    cascading_randomisation,
    deletion_and_insertion,
    effective_area,
    faithfulness_cost,
    filled,
    gini,
    map_sensitivity,
    pointing_game,
    ranked,
    reference_maps,
    road_cost,
    road_curves,
    spearman,
)

__all__ = ["quality_cost", "quality_rows"]

_ROAD_SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)


class _Row(NamedTuple):
    image_id: str
    method: str
    measure: str
    value: float | None
    status: str
    detail: str


def quality_rows(
    explaining: Explaining, positions: Sequence[int], repeated: frozenset[int]
) -> tuple[pd.DataFrame, float]:
    """Measure the maps that the explain stage committed.

    Parameters
    ----------
    explaining : Explaining
        The methods, on the model whose shards hold the maps.
    positions : sequence of int
        Explained images.
    repeated : frozenset of int
        Those of them on which methods are repeated.

    Returns
    -------
    DataFrame
        ``image_id, method, measure, value, status, detail``. A method without a map of an image has no row of it.
    float
        Least forward-equivalents that these measures take.
    """
    config = explaining.job.quality
    stored = stored_maps(explaining.job, positions)
    if config is None or not stored.positions:
        return pd.DataFrame(columns=list(_Row._fields)), 0.0
    _, images = read_batch(explaining.job.source, stored.positions, explaining.adapter.spec.input_shape)
    work = _Work(explaining, config, stored, images)
    rows = [*work.faithfulness(), *work.shape(), *work.pointing(), *work.repeats(repeated)]
    return pd.DataFrame(rows, columns=list(_Row._fields)), work.least


def quality_cost(explaining: Explaining, config: QualityConfig) -> float:
    """About how many forward-equivalents it takes to measure the maps of one image."""
    spec = explaining.adapter.spec
    names = [name for name, method in explaining.methods.items() if method.refusal(spec) is None]
    maps = len(names) + len(REFERENCES)
    cost = float(len(config.fills) * faithfulness_cost(maps, config.steps))
    if config.road:
        cost += road_cost(maps, len(_ROAD_SHARES))
    share = min(1.0, config.repeat_images / config.sample)
    times = config.copies + (config.levels if "weights" in spec.capabilities else 0)
    for name in names:
        again = times * explaining.least([name])
        cost += share * again if again <= config.most else 0.0
    return cost


class _Work:
    """The measures of one shard."""

    def __init__(self, explaining: Explaining, config: QualityConfig, stored: Stored, images: np.ndarray) -> None:
        self.explaining = explaining
        self.adapter = explaining.adapter
        self.config = config
        self.stored = stored
        self.images = images.astype(self.adapter.spec.dtype, copy=False)
        self.least = 0.0

    def faithfulness(self) -> Iterator[_Row]:
        """Deletion and insertion with each fill, and ROAD, for methods and reference maps alike."""
        size = (self.images.shape[1], self.images.shape[2])
        maps = {name: resize_map(found, size) for name, found in self.stored.maps.items()}
        maps |= reference_maps(self.images, self.stored.names, self.explaining.job.seed)
        explained = Explained(self.images, self.stored.targets, maps)
        stepping = Stepping(steps=min(self.config.steps, size[0] * size[1]), seed=self.explaining.job.seed)
        for fill in self.config.fills:
            curves = deletion_and_insertion(self.adapter, explained, filled(fill, self.images), stepping)
            self.least += len(self.images) * faithfulness_cost(len(maps), stepping.steps)
            for kind, by_map in curves.items():
                yield from self._curves(by_map, f"{kind}_{fill}")
        if self.config.road:
            removal = Removal(shares=_ROAD_SHARES, seed=self.explaining.job.seed)
            yield from self._curves(road_curves(self.adapter, explained, removal), "road")
            self.least += len(self.images) * road_cost(len(maps), len(_ROAD_SHARES))

    def _curves(self, by_map: Mapping[str, Curve], measure: str) -> Iterator[_Row]:
        for name, curve in by_map.items():
            yield from self._rows(name, measure, curve.normalised)

    def shape(self) -> Iterator[_Row]:
        """How concentrated each map is, at its own resolution."""
        for name, maps in self.stored.maps.items():
            yield from self._rows(name, "gini", gini(maps))
            yield from self._rows(name, "effective_area", effective_area(maps))

    def pointing(self) -> Iterator[_Row]:
        """Whether the largest value of a map lies in each region."""
        job = self.explaining.job
        if not job.regions:
            return
        size = self.images.shape[1:3]
        labels = [region_labels(job, position, size) for position in self.stored.positions]
        whole = np.stack([found if isinstance(found, np.ndarray) else np.zeros(size, np.uint8) for found in labels])
        for value, region in job.regions.items():
            for name, maps in self.stored.maps.items():
                yield from self._rows(name, f"pointing:{region}", pointing_game(maps, whole == value))

    def repeats(self, repeated: frozenset[int]) -> Iterator[_Row]:
        """What needs the methods again: noise of their own, small changes of the image, a randomised model."""
        rows = np.array([position in repeated for position in self.stored.positions])
        if not rows.any():
            return
        some = self.stored.rows(rows)
        images = self.images[rows]
        again = _Again(self.explaining, some)
        noisy = [name for name in some.maps if self.explaining.methods[name].noisy]
        layers = list(reversed(self.adapter.weights())) if "weights" in self.adapter.spec.capabilities else []
        cascade = Cascade(layers, self.config.levels or None, self.explaining.job.seed) if layers else None
        levels = len(cascade.depths()) if cascade and self.config.levels else 0
        yield from self._repeated(some, "noise_floor", 1, noisy, lambda maps: _noise_floor(again, images, maps))
        yield from self._repeated(
            some,
            "sensitivity",
            self.config.copies,
            list(some.maps),
            lambda maps: self._sensitivity(again, images, maps),
        )
        if cascade is not None:
            yield from self._repeated(
                some,
                "randomisation",
                levels,
                list(some.maps),
                lambda maps: {
                    name: found.mean
                    for name, found in cascading_randomisation(
                        self.adapter, cascade, lambda: again(images, list(maps)), maps
                    ).items()
                },
            )

    def _sensitivity(self, again: _Again, images: np.ndarray, maps: Mapping[str, np.ndarray]) -> dict[str, Measure]:
        jitter = Jitter(self.config.copies, self.config.radius, self.explaining.job.seed)
        found = map_sensitivity(lambda changed: again(changed, list(maps)), images, maps, jitter)
        return {name: each.mean_change for name, each in found.items()}

    def _repeated(
        self,
        some: Stored,
        measure: str,
        times: int,
        names: list[str],
        run: Callable[[Mapping[str, np.ndarray]], Mapping[str, Measure]],
    ) -> Iterator[_Row]:
        """One measure for the methods that can be repeated so often, and why not for the others."""
        if not times or not names:
            return
        costs = {name: times * self.explaining.least([name]) for name in names}
        cheap = {name: some.maps[name] for name in names if costs[name] <= self.config.most}
        for name in names:
            if name not in cheap:
                detail = (
                    f"it costs {costs[name]:.0f} forward-equivalents an image, quality.most is {self.config.most:g}"
                )
                yield from (_Row(image, name, measure, None, "not_measured", detail) for image in some.names)
        if cheap:
            for name, found in run(cheap).items():
                yield from self._rows(name, measure, found, some.names)

    def _rows(self, method: str, measure: str, found: Measure, names: Sequence[str] | None = None) -> Iterator[_Row]:
        missing = self.stored.missing.get(method, frozenset())
        for image, value, status, detail in zip(
            names or self.stored.names, found.values, found.status, found.details, strict=True
        ):
            if image not in missing:
                number = float(value) if status == "ok" else None
                yield _Row(image, method, measure, number, str(status), str(detail))


class _Again:
    """Explains images once more, for the targets of the first time."""

    def __init__(self, explaining: Explaining, first: Stored) -> None:
        self.explaining = explaining
        self.first = first

    def __call__(self, images: np.ndarray, methods: Sequence[str], seed: int | None = None) -> dict[str, np.ndarray]:
        """Raw maps; of a method that fails now, maps that are not finite."""
        batch = self.explaining.batch(images, self.first.targets, seed)
        found = self.explaining.maps(batch, methods)
        lost = {name: np.full_like(self.first.maps[name], np.nan) for name in methods}
        return {name: maps.raw if isinstance(maps, Maps) else lost[name] for name, maps in found.items()}


def _noise_floor(again: _Again, images: np.ndarray, maps: Mapping[str, np.ndarray]) -> dict[str, Measure]:
    """Rank correlation of each map with that of another seed."""
    other = again(images, list(maps), seed=again.explaining.job.seed + 1)
    return {name: spearman(ranked(found), ranked(other[name])) for name, found in maps.items()}
