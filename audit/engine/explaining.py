"""Explaining in the worker: one shared pass a batch, every method on it, and what each row says of its maps."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from audit.data.images import Decoded
from audit.engine.job import Job
from audit.errors import DataError, FaircamError
from audit.explanations.explainer import Batch, Explainer
from audit.explanations.maps import Maps
from audit.explanations.regions import region_mass, total_attribution
from audit.explanations.registry import build
from audit.models.adapter import CamKind, ModelAdapter, Targets

__all__ = ["Explaining", "region_labels"]


class Explaining:
    """The methods of a job on one model.

    Parameters
    ----------
    job : Job
    adapter : ModelAdapter

    Attributes
    ----------
    methods : dict of str to Explainer
        By name, in the order of the configuration.
    least_used : float
        Least forward-equivalents of everything explained so far.
    """

    def __init__(self, job: Job, adapter: ModelAdapter) -> None:
        self.job = job
        self.adapter = adapter
        self.methods: dict[str, Explainer] = build(job.explanations.methods)
        self.least_used = 0.0

    @cached_property
    def cams(self) -> tuple[CamKind, ...]:
        """Class activation maps that the shared pass gives."""
        return tuple(dict.fromkeys(kind for method in self.methods.values() for kind in method.cams))

    @cached_property
    def pass_cost(self) -> float:
        """Forward-equivalents of the shared pass on one image."""
        return 2.0 if "gradients" in self.adapter.spec.capabilities else 1.0

    def least(self, methods: Sequence[str] | None = None) -> float:
        """Least forward-equivalents an image of explaining by some methods, the shared pass included."""
        spec = self.adapter.spec
        chosen = self.methods if methods is None else {name: self.methods[name] for name in methods}
        return self.pass_cost + sum(each.least(spec) for each in chosen.values() if each.refusal(spec) is None)

    def batch(self, images: np.ndarray, targets: Targets, seed: int | None = None) -> Batch:
        """The shared pass over some images."""
        return Batch.of(self.adapter, images, targets, self.job.seed if seed is None else seed, self.cams)

    def maps(self, batch: Batch, methods: Sequence[str] | None = None) -> dict[str, Maps | str]:
        """Maps by method; where a method cannot be carried out, the reason."""
        names = list(self.methods) if methods is None else methods
        found = {name: self._maps(self.methods[name], batch) for name in names}
        self.least_used += self.pass_cost * len(batch.images)
        for name, maps in found.items():
            if isinstance(maps, Maps):
                own = len(batch.images) * self.methods[name].least(batch.spec)
                self.least_used += own if maps.least is None else maps.least
        return found

    def _maps(self, method: Explainer, batch: Batch) -> Maps | str:
        try:
            return method.explain_or_refuse(batch)
        except FaircamError as error:
            return error.what
        except Exception as error:
            if method.provider == "faircam":
                raise
            # Whatever the other package fails with is said, not hidden.
            return f"{method.provider} failed: {type(error).__name__}: {' '.join(str(error).split())[:200]}"

    def targets(self, positions: Sequence[int]) -> Targets:
        """What is explained of each image."""
        if self.job.explanations.target == "predicted":
            return "predicted"
        return self.job.outputs.own_target([str(self.job.source.rows["label"].iloc[row]) for row in positions])

    def rows(
        self, positions: list[int], decoded: list[Decoded], images: np.ndarray, kept: dict[str, list[Any]]
    ) -> tuple[Batch, list[dict[str, Any]]]:
        """Explain a batch: the shared pass, and of each image what the maps are; the maps go into `kept`."""
        batch = self.batch(images, self.targets(positions))
        spec = batch.spec
        explained = batch.shared.explained if batch.shared else batch.scores[np.arange(len(images)), batch.targets]
        values: list[dict[str, Any]] = [
            {
                "target": int(target),
                "target_class": spec.classes[int(target)],
                "score": float(score) if np.isfinite(score) else None,
            }
            for target, score in zip(batch.targets, explained, strict=True)
        ]
        regions = [self._region_labels(position, images.shape[1:3]) for position in positions]
        for row, labels in zip(values, regions, strict=True):
            if isinstance(labels, Decoded):
                row["region_problem"] = labels.detail
        for name, found in self.maps(batch).items():
            for index, item in enumerate(decoded):
                raw = self._describe(name, found, index, item, values[index])
                kept[name].append(raw)
                if raw is not None and isinstance(regions[index], np.ndarray):
                    values[index] |= self._shares(name, raw, regions[index])
        return batch, values

    def _describe(
        self, name: str, found: Maps | str, index: int, item: Decoded, row: dict[str, Any]
    ) -> np.ndarray | None:
        """Write status, reason, total and measures of one map into its row; the map, where there is one."""
        measured = isinstance(found, Maps)
        status = found.status_of(index) if isinstance(found, Maps) else "not_measured"
        status = item.status if item.array is None else status
        raw = found.raw[index] if isinstance(found, Maps) and status in ("ok", "not_converged") else None
        row |= {
            f"status_{name}": status,
            f"reason_{name}": "" if measured else found,
            f"total_{name}": None if raw is None else total_attribution(raw),
        }
        if isinstance(found, Maps):
            for measure, numbers in found.measures.items():
                value = float(numbers[index])
                row[f"measure_{name}_{measure}"] = value if raw is not None and np.isfinite(value) else None
        return raw

    def _region_labels(self, position: int, size: tuple[int, ...]) -> np.ndarray | Decoded | None:
        return region_labels(self.job, position, size) if self.job.regions else None

    def _shares(self, name: str, raw: np.ndarray, labels: Any) -> dict[str, Any]:
        """Share of the attribution and of the image in each region, as columns of the shard."""
        values: dict[str, Any] = {}
        for region, (share, area, status) in region_mass(raw, labels, self.job.regions).items():
            values |= {f"share_{name}_{region}": share, f"area_{region}": area, f"region_{name}_{region}": status}
        return values


def region_labels(job: Job, position: int, size: tuple[int, ...]) -> np.ndarray | Decoded | None:
    """Region map of an image, or why there is none of its size."""
    labels = job.source.regions(position)
    if not isinstance(labels, np.ndarray):
        return labels
    if labels.shape != size:
        return Decoded("wrong_size", detail=f"region map is {labels.shape}, the image {tuple(size)}")
    unknown = sorted(set(np.unique(labels).tolist()) - {0, *job.regions})
    if unknown:
        raise DataError(f"region map holds the values {unknown} without a name; named are {sorted(job.regions)}")
    return labels
