"""What a model costs an image: timed on a few real images through the loaded model."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from audit.data.corruptions import SEVERITIES, corrupt
from audit.data.images import Decoded
from audit.engine.explaining import Explaining
from audit.engine.job import Job
from audit.engine.quality_pass import quality_cost
from audit.models.adapter import ModelAdapter

__all__ = ["measure"]


def measure(job: Job, adapter: ModelAdapter) -> dict[str, float]:
    """Time one micro-batch.

    Parameters
    ----------
    job : Job
        The first images of its source are used.
    adapter : ModelAdapter
        The loaded model.

    Returns
    -------
    dict of str to float
        ``forward``: seconds to decode an image and pass it forward; ``explained``: to decode and explain it by every
        method; ``measured``: to measure the quality of its maps; ``changed``: for a changed copy's forward pass;
        ``corrupted``: to make a corrupted copy and pass it forward; ``batch_bytes``: images of a micro-batch;
        ``map_bytes``: an input-sized map of an image by every method.
    """
    source = job.source
    size = min(adapter.micro_batch, len(source.rows))
    started = time.perf_counter()
    decoded = [source.read(position) for position in range(size)]
    decode = (time.perf_counter() - started) / size
    images = _batch(decoded, adapter)
    forward = _best(lambda: adapter.scores(images)) / len(images)
    gradient = forward
    if "gradients" in adapter.spec.capabilities:
        layers = (adapter.spec.layer,) if adapter.spec.layer else ()
        gradient = _best(lambda: adapter.gradient_pass(images, "predicted", layers)) / len(images)
    explaining = Explaining(job, adapter)
    beyond = explaining.least() - explaining.pass_cost
    return {
        "forward": decode + forward,
        "explained": decode + gradient + beyond * forward,
        "measured": quality_cost(explaining, job.quality) * forward if job.quality else 0.0,
        "changed": forward,
        "corrupted": forward + _corrupting(job),
        "batch_bytes": float(images.nbytes),
        "map_bytes": len(explaining.methods) * 4.0 * images.shape[1] * images.shape[2],
    }


def _batch(decoded: list[Decoded], adapter: ModelAdapter) -> np.ndarray:
    shape = adapter.spec.input_shape
    arrays = [item.array for item in decoded if item.array is not None and item.array.shape == shape]
    return np.stack(arrays) if arrays else np.zeros((1, *shape), np.float32)


def _corrupting(job: Job) -> float:
    """Seconds to make one corrupted copy, a mean over the corruptions that are wanted."""
    picture = job.source.pixels(0)
    if job.robustness is None or isinstance(picture, Decoded):
        return 0.0
    worst = len(next(iter(SEVERITIES.values())))
    names = job.robustness.corruptions
    return _best(lambda: [job.source.array(corrupt(picture, name, worst, "0")) for name in names]) / len(names)


def _best(call: Callable[[], object]) -> float:
    """Shortest of three, after one that warms up."""
    call()
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return min(seconds)
