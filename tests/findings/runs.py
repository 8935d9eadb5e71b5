"""Small runs of invented models with known counts: what `faircam check` is tested on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from audit.run import Run, open_run
from audit.run.files import sha256_file, write_json
from audit.run.integrity import table_digests
from audit.run.plan import Plan, cut, write_plan
from audit.run.schema import TABLES, columns
from audit.run.shards import Receipt, write_shard
from audit.run.tables import write_table

CLASSES = ["neg", "pos"]

Counts = Mapping[tuple[str, str, str], int]
"""Images by (label, predicted, group)."""


def accuracy(**groups: tuple[int, int]) -> dict[tuple[str, str, str], int]:
    """Groups of (correct, all), half of each class."""
    counts: dict[tuple[str, str, str], int] = {}
    for name, (right, total) in groups.items():
        wrong = total - right
        counts |= {("pos", "pos", name): right // 2, ("neg", "neg", name): right - right // 2}
        counts |= {("pos", "neg", name): wrong // 2, ("neg", "pos", name): wrong - wrong // 2}
    return counts


WIDE = accuracy(light=(390, 400), dark=(300, 400))
"""A gap of 0.225 in accuracy."""
NARROW = accuracy(light=(992, 1000), dark=(990, 1000))
"""A gap of 0.002 in accuracy."""
FEW = accuracy(light=(45, 50), dark=(40, 50))
"""A gap of 0.1 in accuracy that settles nothing at a tolerance of 0.05."""

RULE: dict[str, Any] = {
    "id": "gap", "metric": "accuracy", "attribute": "tone", "compare": "range", "tolerance": 0.05, "tier": "required",
}  # fmt: skip


def policy_file(path: Path, *rules: dict[str, Any]) -> Path:
    """Write a policy; each rule is `RULE` with changes."""
    content = {"name": "p", "approver": "A. Person", "rules": [{**RULE, **rule} for rule in rules or ({},)]}
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def build(
    folder: Path,
    counts: Counts,
    *,
    policy: Path | None = None,
    constant: bool = False,
    complete: bool = True,
    digests: bool = True,
    models: tuple[str, ...] = ("m",),
    judged: tuple[str, ...] | None = None,
    own: Mapping[str, int] | None = None,
) -> Run:
    """Write a run.

    Parameters
    ----------
    folder : Path
    counts : mapping
        Images by (label, predicted, group).
    policy : Path, optional
        Named in the plan.
    constant : bool
        Whether every image gets the same probabilities.
    complete, digests : bool
        What the record says.
    models : tuple of str
        Models of the record.
    judged : tuple of str, optional
        Those with predictions; all by default.
    own : mapping of str to int, optional
        Training images of single models, which have shards of their own.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = [row for row, number in counts.items() for _ in range(number)]
    ids = [f"i{place:05d}" for place in range(len(rows))]
    images = pd.DataFrame({"image_id": ids, "path": ids, "label": [row[0] for row in rows], "split": None})
    images = images.assign(sha256=None, cluster=None, status="ok", attr_tone=[row[2] for row in rows])
    digest = sha256_file(policy) if policy is not None else None
    alone = {name: tuple(cut("members", size, 512)) for name, size in (own or {}).items()}
    plan = Plan({"config": {"seed": 0}, "policy": digest}, models, tuple(cut("predict", len(rows), 512)), alone)
    write_plan(folder, plan)
    frames = [_predictions(name, images, [row[1] for row in rows], constant) for name in judged or models]
    for name in models:
        for shard in plan.for_model(name):
            size = shard.stop - shard.start
            receipt = Receipt(plan.fingerprint, name, shard, {"ok": size}, 32, 0.1)
            write_shard(folder, receipt, images[["image_id"]].iloc[shard.start : shard.stop], {})
    for name in TABLES:
        frame = {"images": images, "predictions": pd.concat(frames, ignore_index=True)}.get(name)
        write_table(folder, name, frame if frame is not None else pd.DataFrame(columns=columns(name)))
    record = {
        "schema_version": 1,
        "run_id": plan.fingerprint[:12],
        "name": "small",
        "config": {"seed": 0},
        "fingerprint": plan.fingerprint,
        "models": [{"name": name} for name in models],
        "data": {"planned": len(rows), "classes": CLASSES, "positive": "pos", "regions": []},
        "policy": {"sha256": digest, "name": "p"},
        "complete": complete,
    }
    write_json(folder / "run.json", {**record, "tables": table_digests(folder)} if digests else record)
    return open_run(folder)


def _predictions(model: str, images: pd.DataFrame, predicted: list[str], constant: bool) -> pd.DataFrame:
    sure = [0.9 if name == "pos" else 0.1 for name in predicted]
    chances = [[0.5, 0.5] if constant else [1 - chance, chance] for chance in sure]
    frame = pd.DataFrame({"model": model, "image_id": images["image_id"], "label": images["label"]})
    return frame.assign(predicted=predicted, probabilities=chances, confidence=0.9, status="ok", disagrees=False)


def digest_of(folder: Path) -> dict[str, str]:
    """SHA-256 of every file under a folder, by path."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
