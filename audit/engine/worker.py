"""The worker: decodes, predicts, explains and commits one shard. The same one in process and out of it."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from audit.data.images import Decoded, thumbnail
from audit.engine.batches import chunks, outcomes, read_batch
from audit.engine.job import Job
from audit.engine.passes import corrupt_rows, embed_rows, member_rows
from audit.engine.sampling import fixed_sample
from audit.explanations.crosscheck import cross_check
from audit.explanations.methods import get_method
from audit.explanations.regions import region_mass, total_attribution
from audit.models.adapter import GradientPass, ModelAdapter, Targets
from audit.run.plan import Shard
from audit.run.shards import Receipt, write_shard

__all__ = ["Worker"]

_MOST_THUMBNAILS = 2000


class Worker:
    """Runs the shards of one model.

    Parameters
    ----------
    job : Job
        What to compute, on what.
    adapter : ModelAdapter
        The loaded model.
    """

    def __init__(self, job: Job, adapter: ModelAdapter) -> None:
        self.job = job
        self.adapter = adapter

    def use_sample(self, sample: tuple[int, ...]) -> None:
        """Learn which images are explained, once every model has predicted."""
        self.job = replace(self.job, sample=sample)

    def run(self, shard: Shard) -> Receipt:
        """Compute and commit one shard.

        Returns
        -------
        Receipt
            Also stored in the shard's file.
        """
        started = time.monotonic()
        rows, maps = self._compute(shard)
        statuses = dict(Counter(rows["status"])) if len(rows) else {}
        seconds = round(time.monotonic() - started, 3)
        receipt = Receipt(self.job.fingerprint, self.job.model, shard, statuses, self.adapter.micro_batch, seconds)
        write_shard(self.job.run, receipt, rows, maps)
        return receipt

    def _compute(self, shard: Shard) -> tuple[pd.DataFrame, dict[str, list[Any]]]:
        """Rows and maps of a shard, by its stage."""
        place = slice(shard.start, shard.stop)
        every = list(range(shard.start, shard.stop))
        match shard.stage:
            case "predict":
                return self._rows(every, explain=self.job.explanations.sample == "all")
            case "explain":
                return self._rows(list(self.job.sample[place]), explain=True)
            case "crosscheck":
                return self._cross_check(self._spread(shard.stop)), {}
            case "embed":
                return embed_rows(self.job, self.adapter, self._embedded[place]), {}
            case "corrupt":
                return corrupt_rows(self.job, self.adapter, self._corrupted[place]), {}
            case "members":
                return member_rows(self.job, self.adapter, every), {}

    @cached_property
    def _embedded(self) -> tuple[int, ...]:
        config = self.job.embeddings
        return fixed_sample(self.job.source.rows, config.sample, self.job.seed) if config else ()

    @cached_property
    def _corrupted(self) -> tuple[int, ...]:
        config = self.job.robustness
        return fixed_sample(self.job.source.rows, config.sample, self.job.seed) if config else ()

    def _rows(self, positions: list[int], explain: bool) -> tuple[pd.DataFrame, dict[str, list[Any]]]:
        rows: list[dict[str, Any]] = []
        maps: dict[str, list[Any]] = {method: [] for method in self.job.explanations.methods} if explain else {}
        for chunk in chunks(positions, self.job.micro_batch):
            decoded, images = self._read(chunk)
            found = self._explained(chunk, decoded, images, maps) if explain else self._predicted(images)
            for position, item, values in zip(chunk, decoded, found, strict=True):
                rows.append(self._row(position, item, values))
        return pd.DataFrame(rows), maps

    def _read(self, positions: list[int]) -> tuple[list[Decoded], np.ndarray]:
        return read_batch(self.job.source, positions, self.adapter.spec.input_shape)

    def _predicted(self, images: np.ndarray) -> list[dict[str, Any]]:
        return outcomes(self.adapter.spec, self.job.outputs, self.adapter.scores(images))

    def _explained(
        self, positions: list[int], decoded: list[Decoded], images: np.ndarray, maps: dict[str, list[Any]]
    ) -> list[dict[str, Any]]:
        """Prediction, targets and maps of a batch from one pass."""
        spec = self.adapter.spec
        if not self._has_gradients:
            return self._unexplained(positions, decoded, images, maps)
        layers = (spec.layer,) if spec.layer and "grad_cam" in maps else ()
        done = self.adapter.gradient_pass(images, self._targets(positions), layers)
        values = outcomes(spec, self.job.outputs, done.scores)
        for index, (position, item) in enumerate(zip(positions, decoded, strict=True)):
            values[index] |= {
                "target": int(done.targets[index]),
                "target_class": spec.classes[int(done.targets[index])],
                "score": _finite(done.explained[index]),
            }
            self._keep_thumbnail(position, item)
        for method, kept in maps.items():
            self._add_maps(method, done, images, positions, decoded, values, kept)
        return values

    @property
    def _has_gradients(self) -> bool:
        return "gradients" in self.adapter.spec.capabilities

    def _unexplained(
        self, positions: list[int], decoded: list[Decoded], images: np.ndarray, maps: dict[str, list[Any]]
    ) -> list[dict[str, Any]]:
        """Predictions of a black box, whose maps are not measured and say so."""
        values = self._predicted(images)
        for row, position, item in zip(values, positions, decoded, strict=True):
            self._keep_thumbnail(position, item)
            for method, kept in maps.items():
                row |= {f"status_{method}": "not_measured", f"total_{method}": None}
                kept.append(None)
        return values

    def _add_maps(
        self,
        method: str,
        done: GradientPass,
        images: np.ndarray,
        positions: list[int],
        decoded: list[Decoded],
        values: list[dict[str, Any]],
        kept: list[Any],
    ) -> None:
        drawn = get_method(method).maps(done, images, self.adapter.spec.layer)
        for index, position in enumerate(positions):
            found = None if drawn is None else drawn[index]
            status = "not_measured" if found is None else "ok"
            if decoded[index].array is None:
                status, found = decoded[index].status, None
            elif found is not None and not np.isfinite(found).all():
                status, found = "nonfinite", None
            kept.append(found)
            values[index][f"status_{method}"] = status
            values[index][f"total_{method}"] = None if found is None else total_attribution(found)
            if self.job.regions:
                values[index] |= self._regions(method, position, found, images.shape[1:3])

    def _regions(
        self, method: str, position: int, found: np.ndarray | None, size: tuple[int, int]
    ) -> dict[str, float | str | None]:
        """Share of the attribution and of the image in each region, as columns of the shard."""
        labels = self.job.source.regions(position)
        values: dict[str, float | str | None] = {}
        if isinstance(labels, np.ndarray) and labels.shape != size:
            labels = Decoded("wrong_size", detail=f"region map is {labels.shape}, the image {size}")
        if found is not None and isinstance(labels, np.ndarray):
            for name, (share, area, status) in region_mass(found, labels, self.job.regions).items():
                values |= {f"share_{method}_{name}": share, f"area_{name}": area, f"region_{method}_{name}": status}
        if isinstance(labels, Decoded):
            values["region_problem"] = labels.detail
        return values

    def _targets(self, positions: list[int]) -> Targets:
        if self.job.explanations.target == "predicted":
            return "predicted"
        return self.job.outputs.own_target([str(self.job.source.rows["label"].iloc[row]) for row in positions])

    def _row(self, position: int, item: Decoded, values: dict[str, Any]) -> dict[str, Any]:
        names = {"position": position, "image_id": str(self.job.source.rows["image_id"].iloc[position])}
        defaults = {"predicted": None, "probabilities": None, "confidence": None, "disagrees": None, "detail": ""}
        image = {"image_status": item.status, "sha256": item.sha256}
        if item.array is None:
            kept = {key: value for key, value in values.items() if key.startswith("status_")}
            blank = dict.fromkeys([key for key in values if key not in kept])
            return names | image | blank | defaults | kept | {"status": item.status, "detail": item.detail}
        return names | image | defaults | values

    def _keep_thumbnail(self, position: int, item: Decoded) -> None:
        """Write the picture once; the first model to explain the image does."""
        name = str(self.job.source.rows["image_id"].iloc[position])
        path = self.job.run / "thumbnails" / f"{name}.jpg"
        every = self.job.explanations.sample == "all"
        if item.picture is None or path.exists() or (every and position >= _MOST_THUMBNAILS):
            return
        preprocessing = getattr(self.job.source, "preprocessing", None)
        _save(item.picture if preprocessing is None else thumbnail(item.picture, preprocessing), path)

    def _spread(self, count: int) -> tuple[int, ...]:
        """Positions of a few images, evenly over the sample."""
        sample = self.job.sample
        return tuple(sample[place * len(sample) // count] for place in range(min(count, len(sample))))

    def _cross_check(self, positions: tuple[int, ...]) -> pd.DataFrame:
        """Compare our maps with an outside implementation, image by image."""
        if not self._has_gradients or not positions:
            return pd.DataFrame()
        decoded, images = self._read(list(positions))
        layers = (self.adapter.spec.layer,) if self.adapter.spec.layer else ()
        done = self.adapter.gradient_pass(images, self._targets(list(positions)), layers)
        drawn = {
            method: get_method(method).maps(done, images, self.adapter.spec.layer)
            for method in self.job.explanations.methods
        }
        maps: dict[str, list[np.ndarray]] = {
            method: list(found) for method, found in drawn.items() if found is not None
        }
        names = self.job.source.rows["image_id"]
        rows = [
            {
                "method": check.method,
                "provider": check.provider,
                "image_id": str(names.iloc[positions[check.image_index]]),
                "max_difference": check.max_difference,
                "spearman": check.spearman,
                "status": check.status,
                "note": check.note,
            }
            for check in cross_check(self.adapter, images, done.targets, maps)
            if decoded[check.image_index].array is not None
        ]
        return pd.DataFrame(rows)


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _save(picture: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    picture.save(partial, format="JPEG", quality=92, subsampling=0)
    partial.replace(path)
