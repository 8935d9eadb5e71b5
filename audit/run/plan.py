"""The plan: what will be computed, cut into shards, fixed before the first shard is."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from audit.errors import RunError
from audit.run.files import canonical_json, sha256_bytes, write_json

__all__ = ["STAGES", "Plan", "Shard", "Stage", "cut", "read_plan", "shard_path", "write_plan"]

Stage = Literal["predict", "explain", "crosscheck", "quality", "intervene", "concepts", "embed", "corrupt", "members"]

STAGES: tuple[Stage, ...] = get_args(Stage)
"""In the order in which they run; each is a pass over every model."""


@dataclass(frozen=True)
class Shard:
    """A range of rows that is computed and committed as one file.

    Attributes
    ----------
    stage : str
        What the rows are: positions in the data (`predict`), in the explained sample (`explain`,
        `crosscheck`), in those of its images whose maps are measured (`quality`), in the stage's own fixed sample of
        the data (`intervene`, `embed`, `corrupt`), concepts (`concepts`), or the model's training images (`members`).
    index : int
        Number within the stage.
    start, stop : int
        Half-open range of rows.
    """

    stage: Stage
    index: int
    start: int
    stop: int


@dataclass(frozen=True)
class Plan:
    """Everything that results depend on.

    Attributes
    ----------
    content : dict
        Configuration, digests of models and manifest, versions, number of rows and sample size.
    models : tuple of str
        Names of the models, in order.
    shards : tuple of Shard
        The same for every model.
    own : dict of str to tuple of Shard
        Shards of one model alone, by its name: those over its training images.
    """

    content: dict[str, Any]
    models: tuple[str, ...]
    shards: tuple[Shard, ...]
    own: dict[str, tuple[Shard, ...]] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the content and the shards."""
        parts = [self.content, self.models, [asdict(shard) for shard in self.shards]]
        return sha256_bytes(canonical_json([*parts, _listed(self.own)] if self.own else parts))

    def for_model(self, model: str) -> tuple[Shard, ...]:
        """Every shard of one model."""
        return self.shards + self.own.get(model, ())

    def stage(self, stage: Stage, model: str | None = None) -> tuple[Shard, ...]:
        """Shards of one stage: those of a model, or those that all models share."""
        shards = self.shards if model is None else self.for_model(model)
        return tuple(shard for shard in shards if shard.stage == stage)

    def differences(self, other: Plan) -> list[str]:
        """Dotted keys in which another plan's content differs from this one's."""
        return sorted(_differences(self.content, other.content, ""))


def _listed(own: dict[str, tuple[Shard, ...]]) -> dict[str, list[dict[str, Any]]]:
    return {model: [asdict(shard) for shard in shards] for model, shards in own.items()}


def _differences(left: Any, right: Any, path: str) -> list[str]:
    if isinstance(left, dict) and isinstance(right, dict):
        found = []
        for key in {**left, **right}:
            found += _differences(left.get(key), right.get(key), f"{path}.{key}" if path else str(key))
        return found
    return [] if canonical_json(left) == canonical_json(right) else [path]


def cut(stage: Stage, rows: int, size: int) -> list[Shard]:
    """Cut a number of rows into shards of at most `size`."""
    starts = range(0, rows, size)
    return [Shard(stage, index, start, min(start + size, rows)) for index, start in enumerate(starts)]


def shard_path(run: Path, model: str, shard: Shard) -> Path:
    """Path of a shard's file inside a run folder."""
    return run / "shards" / model / f"{shard.stage}-{shard.index:05d}.parquet"


def write_plan(run: Path, plan: Plan) -> None:
    """Commit the plan to ``plan.json``."""
    write_json(
        run / "plan.json",
        {
            "fingerprint": plan.fingerprint,
            "content": plan.content,
            "models": list(plan.models),
            "shards": [asdict(shard) for shard in plan.shards],
            "own": _listed(plan.own),
        },
    )


def read_plan(run: Path) -> Plan:
    """Read the plan of a run.

    Raises
    ------
    RunError
        The file is absent, no plan, or was changed since it was written.
    """
    path = run / "plan.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        shards = tuple(Shard(**shard) for shard in content["shards"])
        own = {model: tuple(Shard(**shard) for shard in found) for model, found in content.get("own", {}).items()}
        plan = Plan(content["content"], tuple(content["models"]), shards, own)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError("is no plan of a run", where=str(path), fix="start the run in a new folder") from error
    if plan.fingerprint != content["fingerprint"]:
        raise RunError("was changed after it was written", where=str(path), fix="start the run in a new folder")
    return plan
