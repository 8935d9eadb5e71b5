"""What an audit will take, from timing a few images through every model. Writes nothing."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from typing import Any

from audit.engine.local import WorkerProcess
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
    shards = len(checked.plan.shards)
    lines = [f"{rows} images, {len(config.models)} models, {shards} shards a model. Nothing is written."]
    every = config.explanations.sample == "all"
    explained = rows if every else sum(shard.stop - shard.start for shard in checked.plan.stage("explain"))
    total, disk = 0.0, 0.0
    for model in config.models:
        spec, cost = _measured(checked, model.name, trust_code)
        seconds = (0 if every else rows) * cost["forward"] + explained * cost["gradient"]
        total += seconds
        disk += explained * cost["map_bytes"]
        size = " x ".join(str(length) for length in spec["input_shape"])
        lines.append(
            f"{model.name}: {spec['framework']} on {spec['device']}, {spec['parameters']:,} parameters, input {size}, "
            f"layer for Grad-CAM {spec['layer'] or 'none'}, score {spec['score']}; about {_duration(seconds)}, "
            f"a micro-batch of images holds {cost['batch_bytes'] / 1e6:.1f} MB"
        )
    free = shutil.disk_usage(next(path for path in (out.resolve(), *out.resolve().parents) if path.exists())).free
    lines.append(f"In all about {_duration(total)} and {disk / 1e6:.0f} MB of maps; {free / 1e9:.0f} GB are free.")
    if free < disk:
        lines.append("There is not enough room for the maps: lower explanations.sample.")
    return lines


def _measured(checked: Preflight, model: str, trust_code: bool) -> tuple[dict[str, Any], dict[str, float]]:
    """Description and cost of a model, found in a process of its own."""
    with contextlib.closing(WorkerProcess(checked.config, model, checked.base, trust_code)) as worker:
        worker.wait_until_ready()
        return worker.description, worker.measure()


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
