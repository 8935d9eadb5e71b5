"""Micro-batches: images with blanks where one cannot be read, and plain outcomes from scores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeAlias

import numpy as np

from audit.data.images import Decoded
from audit.engine.job import ImageSource, Job, OutputMap
from audit.models.adapter import ModelSpec, predicted, probabilities

__all__ = ["batches", "chunks", "outcomes", "read_batch", "sized", "stack"]

Batch: TypeAlias = "tuple[list[int], list[Decoded], np.ndarray]"


def chunks(positions: Sequence[int], size: int) -> Iterator[list[int]]:
    """Positions, at most `size` at a time."""
    return (list(positions[start : start + size]) for start in range(0, len(positions), size))


def batches(
    job: Job, positions: Sequence[int], shape: tuple[int, ...], source: ImageSource | None = None
) -> Iterator[Batch]:
    """Micro-batches of a job's images, or of another source's: positions, what was read, and ``(N, H, W, C)``.

    Where the job says so, a thread reads the next micro-batch while the one at hand is worked on.
    """
    parts = chunks(positions, job.micro_batch)

    def read(part: list[int]) -> Batch:
        return (part, *read_batch(source or job.source, part, shape))

    if not job.ahead:
        yield from map(read, parts)
        return
    with ThreadPoolExecutor(1) as reader:
        coming: Future[Batch] | None = None
        for part in parts:
            ready, coming = coming, reader.submit(read, part)
            if ready is not None:
                yield ready.result()
        if coming is not None:
            yield coming.result()


def read_batch(
    source: ImageSource, positions: Sequence[int], shape: tuple[int, ...]
) -> tuple[list[Decoded], np.ndarray]:
    """Images of a batch, and what was met while reading each."""
    decoded = [sized(source.read(position), shape) for position in positions]
    return decoded, stack(decoded, shape)


def sized(item: Decoded, shape: tuple[int, ...]) -> Decoded:
    """Refuse an image whose shape is not the model's."""
    if item.array is None or item.array.shape == shape:
        return item
    detail = f"the image is {item.array.shape} (height, width, channels), the model takes {tuple(shape)}"
    return Decoded("wrong_size", sha256=item.sha256, detail=detail)


def stack(decoded: Sequence[Decoded], shape: tuple[int, ...]) -> np.ndarray:
    """``(N, H, W, C)``; an image that could not be read is blank, so that the others' shapes do not change."""
    blank = np.zeros(shape, np.float32)
    return np.stack([blank if item.array is None else item.array for item in decoded])


def outcomes(spec: ModelSpec, outputs: OutputMap, scores: np.ndarray) -> list[dict[str, Any]]:
    """Predicted class and probabilities of each row; none where a score is not finite."""
    finite = np.isfinite(scores).all(axis=1)
    safe = np.where(finite[:, None], scores, 0.0)
    own = predicted(spec, safe)
    summed = outputs.probabilities(probabilities(spec, safe))
    codes = np.asarray(outputs.code)[own]
    return [
        {
            "status": "ok",
            "predicted": outputs.classes[codes[row]],
            "probabilities": summed[row].tolist(),
            "confidence": float(summed[row, codes[row]]),
            "disagrees": bool(summed[row].argmax() != codes[row]),
        }
        if finite[row]
        else {"status": "nonfinite", "detail": "the model gave a score that is not a finite number"}
        for row in range(len(scores))
    ]
