"""What an audit will take, from timing a few images through every model. Writes nothing."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from typing import Any, NamedTuple

from audit.config import AuditConfig
from audit.engine.placement import Placement
from audit.pipeline import check_folder
from audit.preflight import Preflight
from audit.run.plan import STAGES
from audit.trust import Trust

__all__ = ["estimate"]


def estimate(checked: Preflight, out: Path, *, trust: Trust, resume: bool) -> list[str]:
    """Load every model, time one micro-batch of it, and say what the whole will take.

    Parameters
    ----------
    checked : Preflight
    out : Path
        Run folder that the audit would write; checked, not made.
    trust : Trust
    resume : bool
        As for the audit.

    Returns
    -------
    list of str
        Lines for a person.
    """
    check_folder(out, checked.plan, resume)
    config = checked.config
    rows = len(checked.dataset)
    shards = sum(len(checked.plan.for_model(name)) for name in checked.plan.models)
    lines = [f"{rows} images, {len(config.models)} models, {shards} shards. Nothing is written."]
    total, disk = 0.0, 0.0
    for model in config.models:
        passes = _passes(checked, model.name)
        lines.append(f"{model.name}: {', '.join(f'{done.images:,} {done.what}' for done in passes)}.")
        spec, cost = _measured(checked, model.name, trust)
        seconds = sum(done.images * cost[done.cost] for done in passes)
        total += seconds
        disk += _bytes(checked, passes, spec, cost)
        size = " x ".join(str(length) for length in spec["input_shape"])
        lines.append(
            f"{model.name}: {spec['framework']} on {spec['device']}, {spec['parameters']:,} parameters, input {size}, "
            f"layer for Grad-CAM {spec['layer'] or 'none'}, score {spec['score']}; about {_duration(seconds)}, "
            f"a micro-batch of images holds {cost['batch_bytes'] / 1e6:.1f} MB"
        )
    free = shutil.disk_usage(next(path for path in (out.resolve(), *out.resolve().parents) if path.exists())).free
    lines.append(
        f"In all about {_duration(total)} of passes and {disk / 1e6:.0f} MB of maps and embeddings; "
        f"{free / 1e9:.0f} GB are free. The statistics of the groups come on top."
    )
    if free < disk:
        lines.append("There is not enough room: lower explanations.sample or embeddings.sample.")
    return lines


class _Pass(NamedTuple):
    """How many images go through a model, what for, and which measured cost each has."""

    what: str
    images: int
    cost: str


def _passes(checked: Preflight, model: str) -> list[_Pass]:
    """The passes of one model, from the plan; those without images are left out."""
    config = checked.config
    images = {stage: sum(shard.stop - shard.start for shard in checked.plan.stage(stage, model)) for stage in STAGES}
    if config.explanations.sample == "all":
        images |= {"predict": 0, "explain": len(checked.dataset)}
    copies = len(config.robustness.corruptions) * len(config.robustness.severities) if config.robustness else 0
    found = [
        _Pass("images predicted", images["predict"], "forward"),
        _Pass("explained", images["explain"], "explained"),
        _Pass("measured for quality", images["quality"], "measured"),
        _Pass("changed copies", images["intervene"] * _changes(config), "changed"),
        _Pass("embedded", images["embed"], "forward"),
        _Pass("corrupted copies", images["corrupt"] * copies, "corrupted"),
        _Pass("training images", images["members"], "forward"),
    ]
    return [done for done in found if done.images]


def _changes(config: AuditConfig) -> int:
    """Most copies of an image that interventions make, and the image itself."""
    wanted = config.interventions
    if wanted is None or config.data.regions is None:
        return 0
    regions = len(wanted.regions or config.data.regions.names)
    return 1 + regions * (1 + wanted.controls + wanted.swap)


def _bytes(checked: Preflight, passes: list[_Pass], spec: dict[str, Any], cost: dict[str, float]) -> float:
    """Room that the maps and embeddings of a model take, in bytes."""
    images = {done.what: done.images for done in passes}
    kept = checked.config.embeddings.dimensions if checked.config.embeddings else 0
    maps = images.get("explained", 0) * cost["map_bytes"]
    return maps + images.get("embedded", 0) * 4.0 * min(kept, int(spec["embedding_size"]))


def _measured(checked: Preflight, model: str, trust: Trust) -> tuple[dict[str, Any], dict[str, float]]:
    """Description and cost of a model, found in a process of its own."""
    digest = checked.plan.content["models"][model]
    with contextlib.closing(Placement().crew(checked.config, model, checked.base, digest, trust)) as worker:
        worker.wait_until_ready()
        return worker.description, worker.measure()


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
