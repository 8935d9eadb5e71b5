"""The stages of an audit in order, from the configuration to the tables of a run."""

from __future__ import annotations

import contextlib
import os
import platform
import sys
import time
import uuid
from array import array
from collections.abc import Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from audit.config import AuditConfig
from audit.data.corruptions import SEVERITIES
from audit.engine.cache import ShardCache
from audit.engine.crew import Crew
from audit.engine.interrupt import Interruptible
from audit.engine.placement import Placement
from audit.engine.sampling import choose_sample
from audit.errors import RunError
from audit.explanations.registry import build, describe_method
from audit.preflight import Preflight
from audit.recorded import recorded
from audit.results import write_results
from audit.run import Run, open_run
from audit.run.files import canonical_json, is_leftover, lock, sha256_bytes, sha256_file, write_json
from audit.run.journal import add_line, read_journal
from audit.run.plan import STAGES, Plan, Shard, Stage, read_plan, shard_path, write_plan
from audit.run.schema import SCHEMA_VERSION
from audit.run.shards import read_receipt, read_rows
from audit.trust import NOTHING, Trust
from audit.version import __version__

__all__ = ["Progress", "execute", "run_audit", "silent"]


class Progress(Protocol):
    """How a stage tells of its advance."""

    def __call__(self, stage: str, model: str, done: int, total: int) -> None:
        """Report that `done` of `total` rows are committed."""
        ...


def silent(stage: str, model: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


def run_audit(
    checked: Preflight,
    out: Path,
    *,
    resume: bool = False,
    trust: Trust = NOTHING,
    progress: Progress = silent,
    cache: Path | None = None,
    placement: Placement | None = None,
) -> Run:
    """Carry out an audit, or the rest of one.

    Parameters
    ----------
    checked : Preflight
        What `preflight` gave.
    out : Path
        Run folder; made if it is missing.
    resume : bool
        Whether to go on with what the folder holds. Right from nothing, from any point and for a
        finished run.
    trust : Trust
        What may run that comes with the config or a model; recorded.
    progress : Progress
        Told of every committed shard.
    cache : Path, optional
        Folder where shards are kept by their content, for this run and later ones.
    placement : Placement, optional
        How many workers hold each model, and where; one process a model by default.

    Returns
    -------
    Run

    Raises
    ------
    RunError
        The folder holds another run, or any run without `resume`.
    IncompleteRun
        A worker kept dying, or somebody asked to stop; what was committed is kept.
    """
    check_folder(out, checked.plan, resume)
    if resume and (out / "run.json").exists() and open_run(out).complete:
        return open_run(out)
    with contextlib.ExitStack() as stack:
        place = placement or Placement()
        stack.enter_context(place.ready(len(checked.config.models), checked.config.execution))
        crews: dict[str, Crew] = {}
        for model in checked.config.models:
            digest = checked.plan.content["models"][model.name]
            placed = place.crew(checked.config, model.name, checked.base, digest, trust)
            stack.callback(placed.close)
            crews[model.name] = placed
        return execute(checked, crews, out, trust.as_json(), progress, cache)


def check_folder(out: Path, plan: Plan, resume: bool) -> None:
    """Refuse a folder that holds anything but this very run.

    Raises
    ------
    RunError
        With the keys in which the two runs differ.
    """
    if out.exists() and not out.is_dir():
        raise RunError("is a file", where=str(out), fix="name a folder")
    held = [path for path in out.iterdir() if not is_leftover(path) and path.name != ".lock"] if out.exists() else []
    if not held:
        return
    if not (out / "plan.json").exists():
        raise RunError("is not empty and holds no run", where=str(out), fix="name an empty or new folder")
    if not resume:
        raise RunError(
            "already holds a run", where=str(out), fix="use --resume to go on with it, or name another folder"
        )
    differences = read_plan(out).differences(plan)
    if differences:
        raise RunError(
            f"holds another run; they differ in {', '.join(differences)}", where=str(out), fix="name another folder"
        )


def execute(
    checked: Preflight,
    crews: Mapping[str, Crew],
    out: Path,
    notes: dict[str, Any],
    progress: Progress,
    cache: Path | None = None,
) -> Run:
    """Run every shard that is not committed, then build the tables and the record."""
    started = time.monotonic()
    begun = (out / "plan.json").exists()
    if not begun:
        wait_for(crews)  # a model that cannot be loaded leaves no folder behind
    out.mkdir(parents=True, exist_ok=True)
    with lock(out):
        held = _held(checked.plan, out)
        if begun:
            wait_for(crews)  # what is there was checked while models were loaded
        with Interruptible() as stop:
            if not (out / "plan.json").exists():
                write_plan(out, checked.plan)
            record = _first_record(checked, crews, notes)
            write_json(out / "run.json", record)
            for name, crew in crews.items():
                kept = None if cache is None else ShardCache(cache, identity(checked, name))
                crew.begin(out, checked.plan.fingerprint, kept)
            work = _Work(checked.plan, crews, out, held, progress, stop)
            work.do("predict")
            sample = _sample(checked, out)
            for crew in crews.values():
                crew.use_sample(sample)
            for stage in STAGES[1:]:
                work.do(stage)
            record["timings"] = _timings(checked.plan, out, time.monotonic() - started)
            write_results(checked, out, record)
    return open_run(out)


def wait_for(crews: Mapping[str, Crew]) -> None:
    """Wait for every model to be loaded."""
    for crew in crews.values():
        crew.wait_until_ready()


def identity(checked: Preflight, model: str) -> str:
    """Digest of what every shard of a model depends on beside the images: its file, its configuration, versions."""
    config = next(each for each in checked.config.models if each.name == model)
    content = {
        "model": config.model_dump(mode="json", exclude={"name", "training", "training_data"}),
        "file": checked.plan.content["models"][model],
        "versions": checked.plan.content["versions"],
        "execution": checked.config.execution.model_dump(mode="json"),
    }
    return sha256_bytes(canonical_json(content))


@dataclass(frozen=True)
class _Work:
    """The shards of a run, stage by stage."""

    plan: Plan
    crews: Mapping[str, Crew]
    out: Path
    held: Set[tuple[str, Shard]]
    progress: Progress
    stop: Interruptible

    def do(self, stage: Stage) -> None:
        """Run what is not held of one stage, model by model."""
        for name, crew in self.crews.items():
            shards = self.plan.stage(stage, name)
            if not shards:
                continue
            total = sum(shard.stop - shard.start for shard in shards)
            waiting = [shard for shard in shards if (name, shard) not in self.held]
            done = total - sum(shard.stop - shard.start for shard in waiting)
            self.progress(stage, name, done, total)
            for receipt in crew.map(self.stop.until_asked(waiting)):
                add_line(self.out, shard_path(self.out, name, receipt.shard))
                done += receipt.shard.stop - receipt.shard.start
                self.progress(stage, name, done, total)
            self.stop.check()


def _held(plan: Plan, out: Path) -> Set[tuple[str, Shard]]:
    """Shards that are committed, under this plan, and still what they were when they were noted."""
    noted = read_journal(out)
    shards = [(name, shard) for name in plan.models for shard in plan.for_model(name)]
    with ThreadPoolExecutor() as readers:
        found = readers.map(lambda each: _committed(out, each[0], each[1], plan.fingerprint, noted), shards)
        return {shard for shard, there in zip(shards, found, strict=True) if there}


def _committed(out: Path, model: str, shard: Shard, fingerprint: str, noted: Mapping[str, str]) -> bool:
    path = shard_path(out, model, shard)
    digest = noted.get(f"{model}/{path.name}")
    if digest is None:
        return False
    receipt = read_receipt(out, model, shard)
    return receipt is not None and receipt.fingerprint == fingerprint and digest == sha256_file(path)


def _sample(checked: Preflight, out: Path) -> Sequence[int]:
    """Positions to explain, from what every model predicted."""
    rows = checked.dataset.rows
    wanted = checked.config.explanations.sample
    usable = pd.Series(True, index=rows.index)
    strata = pd.Series("", index=rows.index, dtype="str")
    if wanted != "all":
        for column in rows.columns:
            if column == "label" or column.startswith("attr_"):
                strata = strata + "|" + rows[column]
    for name in checked.plan.models:
        found = read_rows(out, name, checked.plan.stage("predict"), ("position", "status", "predicted"))
        found = found.set_index("position")
        usable &= found["status"].eq("ok").reindex(rows.index, fill_value=False)
        if wanted != "all":
            right = found["predicted"].eq(rows["label"]).map({True: "right", False: "wrong"})
            strata = strata + "|" + right.reindex(rows.index).astype("str")
    if wanted == "all":
        return array("q", np.flatnonzero(usable).tobytes())
    return choose_sample(strata[usable], wanted, checked.config.seed)


def _first_record(checked: Preflight, crews: Mapping[str, Crew], notes: dict[str, Any]) -> dict[str, Any]:
    config = checked.config
    models = []
    for model in config.models:
        given = {"name": model.name, "sha256": checked.plan.content["models"][model.name]}
        given |= {"preprocessing": model.preprocessing.model_dump(mode="json")}
        given |= {"outputs": model.outputs, "architecture": model.architecture, "arguments": model.arguments}
        described = crews[model.name].description
        models.append({**described, **given, "embeddings": _embeddings(config, described)})
    return {
        "schema_version": SCHEMA_VERSION,
        "run_id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"faircam:{checked.plan.fingerprint}")),
        "name": config.name,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "faircam": __version__,
        "config": recorded(config, checked.base),
        "fingerprint": checked.plan.fingerprint,
        "environment": {**environment(), "versions": checked.plan.content["versions"]},
        "models": models,
        "methods": {name: describe_method(method) for name, method in build(config.explanations.methods).items()},
        "data": {
            "planned": len(checked.dataset),
            "classes": list(checked.classes),
            "positive": config.positive,
            "attributes": [
                {"name": a.name, "provenance": a.provenance, "bins": a.bins} for a in checked.dataset.attributes
            ],
            "intersections": [list(crossing) for crossing in config.data.intersections],
            "cluster": config.data.cluster,
            "regions": list(config.data.regions.names.values()) if config.data.regions else [],
            "population": config.data.population,
            "members": {name: len(dataset) for name, dataset in checked.training.items()},
            "notes": list(checked.notes),
        },
        "robustness": _robustness(config),
        "policy": _policy(checked),
        "trust": notes,
        "complete": False,
    }


def _policy(checked: Preflight) -> dict[str, Any]:
    """The policy that the run names, word for word, so that its verdicts can be drawn again from the run alone."""
    if checked.policy is None or checked.config.policy is None:
        return {"sha256": None, "name": None, "text": None}
    text = (checked.base / checked.config.policy).read_bytes().decode("utf-8")
    return {"sha256": checked.plan.content["policy"], "name": checked.policy.name, "text": text}


def _embeddings(config: AuditConfig, described: Mapping[str, Any]) -> dict[str, Any] | None:
    """Where a model's embeddings come from and what was kept of them; None where none were taken."""
    size = described.get("embedding_size", 0)
    if config.embeddings is None or not size:
        return None
    kept = min(size, config.embeddings.dimensions)
    how = "none" if kept == size else f"random signs, seed {config.seed}"
    return {"layer": described["embedding_layer"], "size": size, "kept": kept, "projection": how}


def _robustness(config: AuditConfig) -> dict[str, Any] | None:
    """The corruptions made, and the parameter of each at each severity."""
    if config.robustness is None:
        return None
    severities = config.robustness.severities
    return {name: {str(k): SEVERITIES[name][k - 1] for k in severities} for name in config.robustness.corruptions}


def environment() -> dict[str, Any]:
    """What the machine is, without saying whose."""
    return {
        "platform": platform.platform(),
        "machine": platform.machine(),
        "processors": os.cpu_count(),
        "python": sys.version.split()[0],
    }


def _timings(plan: Plan, out: Path, total: float) -> dict[str, Any]:
    """Seconds that the shards took, by model and stage, and of this call."""
    found: dict[str, Any] = {"seconds": round(total, 2)}
    for name in plan.models:
        for shard in plan.for_model(name):
            receipt = read_receipt(out, name, shard)
            key = f"{name}:{shard.stage}"
            found[key] = round(found.get(key, 0.0) + (receipt.seconds if receipt else 0.0), 2)
    return found
