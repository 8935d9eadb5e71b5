"""The worker: decodes, predicts, explains and commits one shard. The same one in process and out of it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from audit.data.images import Decoded, thumbnail
from audit.data.looks import looks
from audit.data.manifest import text_array
from audit.engine.batches import batches, outcomes, read_batch
from audit.engine.cache import ShardCache
from audit.engine.concept_pass import concept_rows
from audit.engine.explaining import Explaining
from audit.engine.intervene_pass import intervene_rows
from audit.engine.job import Job
from audit.engine.passes import corrupt_rows, embed_rows, member_rows
from audit.engine.quality_pass import quality_rows
from audit.engine.sampling import fixed_sample
from audit.explanations.crosscheck import cross_check
from audit.explanations.maps import Maps
from audit.models.adapter import ModelAdapter
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
    cache : ShardCache, optional
        Where shards of other runs may lie.
    """

    def __init__(self, job: Job, adapter: ModelAdapter, cache: ShardCache | None = None) -> None:
        self.job = job
        self.adapter = adapter
        self.cache = cache
        self._least = 0.0  # forward-equivalents that the shard at hand takes at least

    def use_sample(self, sample: Sequence[int]) -> None:
        """Learn which images are explained, once every model has predicted."""
        self.job = replace(self.job, sample=sample)

    def run(self, shard: Shard) -> Receipt:
        """Compute and commit one shard.

        Returns
        -------
        Receipt
            Also stored in the shard's file.
        """
        key = self.cache.key(self.job, shard, self._positions(shard)) if self.cache else None
        taken = self._taken(key, shard)
        if taken is not None:
            return taken
        started, before = time.monotonic(), self.adapter.used
        self._least = self._explaining.least_used = 0.0
        rows, maps = self._compute(shard)
        statuses = dict(Counter(rows["status"])) if len(rows) else {}
        receipt = Receipt(
            self.job.fingerprint,
            self.job.model,
            shard,
            statuses,
            self.adapter.micro_batch,
            seconds=round(time.monotonic() - started, 3),
            used=self.adapter.used - before,
            least=self._least + self._explaining.least_used,
        )
        write_shard(self.job.run, receipt, rows, maps)
        if self.cache and key:
            self.cache.keep(key, self.job.run, receipt)
        return receipt

    def _taken(self, key: str | None, shard: Shard) -> Receipt | None:
        """A shard of another run with the same content, and the pictures that go with it."""
        if self.cache is None or key is None:
            return None
        fresh = Receipt(self.job.fingerprint, self.job.model, shard, {}, self.adapter.micro_batch, seconds=0.0)
        taken = self.cache.take(key, self.job.run, fresh)
        if taken is not None and (shard.stage == "explain" or self.job.explanations.sample == "all"):
            for position in self._positions(shard) if shard.stage in ("predict", "explain") else ():
                self._keep_thumbnail(position, self.job.source.read(position))
        return taken

    def _positions(self, shard: Shard) -> Sequence[int]:
        """Rows of the data that a shard is about; none for training images and concepts."""
        place = slice(shard.start, shard.stop)
        match shard.stage:
            case "predict":
                return range(shard.start, shard.stop)
            case "explain":
                return self.job.sample[place]
            case "quality":
                return self._spread(self.job.quality.sample)[place] if self.job.quality else ()
            case "intervene":
                return self._changed[place]
            case "embed":
                return self._embedded[place]
            case "corrupt":
                return self._corrupted[place]
        return ()

    def _compute(self, shard: Shard) -> tuple[pd.DataFrame, dict[str, list[Any]]]:
        """Rows and maps of a shard, by its stage."""
        positions = list(self._positions(shard))
        match shard.stage:
            case "predict":
                return self._rows(positions, explain=self.job.explanations.sample == "all")
            case "explain":
                return self._rows(positions, explain=True)
            case "crosscheck":
                return self._cross_check(self._spread(shard.stop)), {}
            case "quality":
                return self._quality(positions), {}
            case "intervene":
                rows, self._least = intervene_rows(self.job, self.adapter, positions)
                return rows, {}
            case "concepts":
                return concept_rows(self._explaining, self.job.concepts[shard.start]), {}
            case "embed":
                return self._counted(embed_rows(self.job, self.adapter, positions)), {}
            case "corrupt":
                return self._counted(corrupt_rows(self.job, self.adapter, positions)), {}
            case "members":
                return self._counted(member_rows(self.job, self.adapter, range(shard.start, shard.stop))), {}

    def _counted(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Rows that cost one forward pass each."""
        self._least = float((rows["status"] != "not_measured").sum()) if len(rows) else 0.0
        return rows

    def _quality(self, positions: Sequence[int]) -> pd.DataFrame:
        """Measures of the maps of some images of the sample."""
        config = self.job.quality
        if config is None:
            return pd.DataFrame()
        chosen = self._spread(config.sample)
        again = min(config.repeat_images, len(chosen))
        repeated = frozenset(chosen[number * len(chosen) // again] for number in range(again))
        rows, self._least = quality_rows(self._explaining, positions, repeated)
        return rows

    @cached_property
    def _explaining(self) -> Explaining:
        return Explaining(self.job, self.adapter)

    @cached_property
    def _names(self) -> pa.Array:
        return text_array(self.job.source.rows["image_id"])

    def _name(self, position: int) -> str:
        return str(self._names[position])

    @cached_property
    def _changed(self) -> tuple[int, ...]:
        config = self.job.interventions
        return fixed_sample(self.job.source.rows, config.sample, self.job.seed) if config else ()

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
        maps: dict[str, list[Any]] = {method: [] for method in self._explaining.methods} if explain else {}
        for chunk, decoded, images in batches(self.job, positions, self.adapter.spec.input_shape):
            found = self._explained(chunk, decoded, images, maps) if explain else self._predicted(images)
            seen = looks([item.picture for item in decoded]) if self.job.looks else [None] * len(chunk)
            for position, item, values, look in zip(chunk, decoded, found, seen, strict=True):
                rows.append(self._row(position, item, values) | {"looks": look})
        if not explain:
            self._least = float(len(positions))
        return pd.DataFrame(rows), maps

    def _read(self, positions: list[int]) -> tuple[list[Decoded], np.ndarray]:
        return read_batch(self.job.source, positions, self.adapter.spec.input_shape)

    def _predicted(self, images: np.ndarray) -> list[dict[str, Any]]:
        return outcomes(self.adapter.spec, self.job.outputs, self.adapter.scores(images))

    def _explained(
        self, positions: list[int], decoded: list[Decoded], images: np.ndarray, maps: dict[str, list[Any]]
    ) -> list[dict[str, Any]]:
        """Prediction, targets and maps of a batch from one pass."""
        batch, values = self._explaining.rows(positions, decoded, images, maps)
        for position, item in zip(positions, decoded, strict=True):
            self._keep_thumbnail(position, item)
        plain = outcomes(self.adapter.spec, self.job.outputs, batch.scores)
        return [row | explained for row, explained in zip(plain, values, strict=True)]

    def _row(self, position: int, item: Decoded, values: dict[str, Any]) -> dict[str, Any]:
        names = {"position": position, "image_id": self._name(position)}
        defaults = {"predicted": None, "probabilities": None, "confidence": None, "disagrees": None, "detail": ""}
        image = {"image_status": item.status, "sha256": item.sha256}
        if item.array is None:
            kept = {key: value for key, value in values.items() if key.startswith(("status_", "reason_"))}
            blank = dict.fromkeys([key for key in values if key not in kept])
            return names | image | blank | defaults | kept | {"status": item.status, "detail": item.detail}
        return names | image | defaults | values

    def _keep_thumbnail(self, position: int, item: Decoded) -> None:
        """Write the picture once; the first model to explain the image does."""
        every = self.job.explanations.sample == "all"
        if item.picture is None or (every and position >= _MOST_THUMBNAILS):
            return
        path = self.job.run / "thumbnails" / f"{self._name(position)}.jpg"
        if path.exists():
            return
        preprocessing = getattr(self.job.source, "preprocessing", None)
        _save(item.picture if preprocessing is None else thumbnail(item.picture, preprocessing), path)

    def _spread(self, count: int) -> tuple[int, ...]:
        """Positions of a few images, evenly over the sample."""
        sample = self.job.sample
        count = min(count, len(sample))
        return tuple(sample[place * len(sample) // count] for place in range(count))

    def _cross_check(self, positions: tuple[int, ...]) -> pd.DataFrame:
        """Compare our maps with an outside implementation, image by image."""
        if not positions:
            return pd.DataFrame()
        decoded, images = self._read(list(positions))
        batch = self._explaining.batch(images, self._explaining.targets(list(positions)))
        found = self._explaining.maps(batch)
        maps = {name: list(drawn.raw) for name, drawn in found.items() if isinstance(drawn, Maps)}
        rows = [
            {
                "method": check.method,
                "provider": check.provider,
                "image_id": self._name(positions[check.image_index]),
                "max_difference": check.max_difference,
                "spearman": check.spearman,
                "status": check.status,
                "note": check.note,
            }
            for check in cross_check(self.adapter, images, batch.targets, maps, self._explaining.methods, self.job.seed)
            if decoded[check.image_index].array is not None
        ]
        return pd.DataFrame(rows)


def _save(picture: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    picture.save(partial, format="JPEG", quality=92, subsampling=0)
    partial.replace(path)
