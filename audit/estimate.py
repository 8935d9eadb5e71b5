"""What an audit will cost, from timing a few images through the loaded models. Writes nothing."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from audit.config import ModelConfig
from audit.data.images import Decoded
from audit.engine.job import FileSource, OutputMap
from audit.models.adapter import ModelAdapter
from audit.models.loading import load_model
from audit.pipeline import check_folder
from audit.preflight import Preflight

__all__ = ["estimate"]


def estimate(checked: Preflight, out: Path, *, trust_code: bool, resume: bool) -> list[str]:
    """Load every model, time one micro-batch of it, and say what the whole will take.

    Parameters
    ----------
    checked : Preflight
    out : Path
        Run folder that the audit would write; checked, not made.
    trust_code, resume : bool
        As for the audit.

    Returns
    -------
    list of str
        Lines for a person.
    """
    check_folder(out, checked.plan, resume)
    config = checked.config
    rows = len(checked.dataset)
    lines = [
        f"{rows} images, {len(config.models)} models, {len(checked.plan.shards)} shards a model. Nothing is written."
    ]
    explain = [shard for shard in checked.plan.shards if shard.stage == "explain"]
    sample = rows if config.explanations.sample == "all" else sum(shard.stop - shard.start for shard in explain)
    total, disk = 0.0, 0.0
    for model in config.models:
        outputs = OutputMap.build(model, checked.classes)
        adapter = load_model(model, checked.base, outputs.own, config.execution, trust_code)
        forward, gradient, peak, size = _time(checked, model, adapter)
        passes = 0 if config.explanations.sample == "all" else rows
        seconds = passes * forward + sample * gradient
        total += seconds
        disk += sample * size
        spec = adapter.spec
        lines.append(
            f"{model.name}: {spec.framework} on {spec.device}, {spec.parameters:,} parameters, input "
            f"{' x '.join(str(length) for length in spec.input_shape)}, CAM layer {spec.layer or 'none'}, "
            f"score {spec.score}; about {_duration(seconds)}, a micro-batch holds about {peak / 1e6:.0f} MB of images"
        )
        adapter.close()
    free = shutil.disk_usage(out.parent if out.parent.exists() else Path()).free
    lines.append(f"In all about {_duration(total)} and {disk / 1e6:.0f} MB of maps; {free / 1e9:.0f} GB are free.")
    if free < disk:
        lines.append("There is not enough room for the maps: lower explanations.sample.")
    return lines


def _time(checked: Preflight, model: ModelConfig, adapter: ModelAdapter) -> tuple[float, float, float, float]:
    """Seconds an image forward and with gradients, bytes of a micro-batch, bytes of an image's maps."""
    source = FileSource(checked.dataset, model.preprocessing, checked.config.data.max_pixels)
    size = min(checked.config.execution.micro_batch, len(checked.dataset))
    started = time.perf_counter()
    decoded = [source.read(position) for position in range(size)]
    decode = (time.perf_counter() - started) / size
    images = _batch(decoded, adapter)
    layers = (adapter.spec.layer,) if adapter.spec.layer else ()
    forward = _best(lambda: adapter.scores(images)) / len(images)
    gradient = _best(lambda: adapter.gradient_pass(images, "predicted", layers)) / len(images)
    maps = 2 * 4 * images.shape[1] * images.shape[2]
    return decode + forward, decode + gradient, float(images.nbytes), float(maps)


def _batch(decoded: list[Decoded], adapter: ModelAdapter) -> np.ndarray:
    shape = adapter.spec.input_shape
    arrays = [item.array for item in decoded if item.array is not None and item.array.shape == shape]
    return np.stack(arrays) if arrays else np.zeros((1, *shape), np.float32)


def _best(call: Callable[[], object]) -> float:
    """Shortest of three, after one that warms up."""
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
