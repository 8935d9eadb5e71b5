"""The passes beside prediction and explanation: embeddings, corrupted copies, training images.

Each gives the raw rows of a shard; tables and what is concluded from them are not here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from audit.data.corruptions import corrupt
from audit.data.images import Decoded
from audit.data.looks import looks
from audit.engine.batches import batches, chunks, outcomes, sized, stack
from audit.engine.job import Job
from audit.engine.projection import projection
from audit.models.adapter import ModelAdapter

__all__ = ["corrupt_rows", "embed_rows", "member_rows"]

_SMALLEST = np.finfo(np.float64).tiny  # the loss of a probability that is zero in double precision stays finite


def embed_rows(job: Job, adapter: ModelAdapter, positions: Sequence[int]) -> pd.DataFrame:
    """Embedding of each image, projected where it is longer than asked for.

    Returns
    -------
    DataFrame
        ``image_id, embedding`` (list of float32), ``status, detail``. A model without embeddings gives rows that
        say `not_measured`.
    """
    if job.embeddings is None or "embeddings" not in adapter.spec.capabilities:
        missing = {"embedding": None, "status": "not_measured", "detail": "the model gives no embeddings"}
        return pd.DataFrame([{"image_id": _name(job, position), **missing} for position in positions])
    signs = _projection(adapter.spec.embedding_size, job.embeddings.dimensions, job.seed)
    rows: list[dict[str, Any]] = []
    for chunk, decoded, images in batches(job, positions, adapter.spec.input_shape):
        vectors = adapter.embeddings(images).astype(np.float32, copy=False)
        vectors = vectors if signs is None else vectors @ signs
        rows += [
            {"image_id": _name(job, position), **_embedded(item, vector)}
            for position, item, vector in zip(chunk, decoded, vectors, strict=True)
        ]
    return pd.DataFrame(rows)


_projection = lru_cache(maxsize=1)(projection)


def _embedded(item: Decoded, vector: np.ndarray) -> dict[str, Any]:
    if item.array is None:
        return {"embedding": None, "status": item.status, "detail": item.detail}
    if not np.isfinite(vector).all():
        detail = "the model gave an activation that is not a finite number"
        return {"embedding": None, "status": "nonfinite", "detail": detail}
    return {"embedding": vector, "status": "ok", "detail": ""}


def corrupt_rows(job: Job, adapter: ModelAdapter, positions: Sequence[int]) -> pd.DataFrame:
    """Prediction for every corruption and severity of each image.

    Returns
    -------
    DataFrame
        ``image_id, corruption, severity, predicted, status, detail``.
    """
    config = job.robustness
    if config is None:
        return pd.DataFrame()
    shape = adapter.spec.input_shape
    rows: list[dict[str, Any]] = []
    for chunk in chunks(positions, job.micro_batch):
        pictures = [job.source.pixels(position) for position in chunk]
        for corruption in config.corruptions:
            for severity in config.severities:
                named = zip(chunk, pictures, strict=True)
                copies = [_copy(job, picture, corruption, severity, position) for position, picture in named]
                decoded = [sized(item, shape) for item in copies]
                found = outcomes(adapter.spec, job.outputs, adapter.scores(stack(decoded, shape)))
                rows += [
                    {"image_id": _name(job, position), "corruption": corruption, "severity": severity}
                    | _predicted(item, values)
                    for position, item, values in zip(chunk, decoded, found, strict=True)
                ]
    return pd.DataFrame(rows)


def _copy(job: Job, picture: np.ndarray | Decoded, corruption: str, severity: int, position: int) -> Decoded:
    if isinstance(picture, Decoded):
        return picture
    return Decoded("ok", job.source.array(corrupt(picture, corruption, severity, _name(job, position))))


def member_rows(job: Job, adapter: ModelAdapter, positions: Sequence[int]) -> pd.DataFrame:
    """Prediction and loss for images that the model was trained on.

    Returns
    -------
    DataFrame
        ``position, image_id, sha256, looks, predicted, loss, status, detail``; the loss is ``-ln p``
        of the label's class.
    """
    if job.members is None:
        return pd.DataFrame()
    names = job.members.rows
    rows: list[dict[str, Any]] = []
    for chunk, decoded, images in batches(job, positions, adapter.spec.input_shape, job.members):
        found = outcomes(adapter.spec, job.outputs, adapter.scores(images))
        seen = looks([item.picture for item in decoded]) if job.looks else [None] * len(chunk)
        for position, item, values, look in zip(chunk, decoded, found, seen, strict=True):
            row = {"position": position, "image_id": str(names["image_id"].iloc[position]), "sha256": item.sha256}
            row["looks"] = look
            label = job.outputs.classes.index(str(names["label"].iloc[position]))
            rows.append(row | _predicted(item, values) | {"loss": _loss(item, values, label)})
    return pd.DataFrame(rows)


def _loss(item: Decoded, values: dict[str, Any], label: int) -> float | None:
    if item.array is None or values["status"] != "ok":
        return None
    return -math.log(max(values["probabilities"][label], _SMALLEST))


def _predicted(item: Decoded, values: dict[str, Any]) -> dict[str, Any]:
    if item.array is None:
        return {"predicted": None, "status": item.status, "detail": item.detail}
    return {"predicted": values.get("predicted"), "status": values["status"], "detail": values.get("detail", "")}


def _name(job: Job, position: int) -> str:
    return str(job.source.rows["image_id"].iloc[position])
