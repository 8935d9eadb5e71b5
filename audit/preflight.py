"""Everything that can be checked before a model is loaded or a file written, and the plan that follows from it."""

from __future__ import annotations

import contextlib
import importlib.metadata
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audit.config import AuditConfig, ModelConfig
from audit.data.manifest import Dataset, load_dataset
from audit.engine.job import OutputMap, audit_classes, check_labels
from audit.errors import ConfigError, DataError, ModelError
from audit.findings import Policy, check_policy, load_policy
from audit.run.files import sha256_file
from audit.run.plan import Plan, Shard, cut
from audit.version import __version__

__all__ = ["Preflight", "make_plan", "preflight", "versions"]


@dataclass(frozen=True)
class Preflight:
    """An audit whose every input was checked, before anything is written.

    Attributes
    ----------
    config : AuditConfig
    base : Path
        Folder that the config's paths are relative to.
    dataset : Dataset
    classes : tuple of str
    plan : Plan
    policy : Policy or None
        The user's policy, if the config names one.
    """

    config: AuditConfig
    base: Path
    dataset: Dataset
    classes: tuple[str, ...]
    plan: Plan
    policy: Policy | None


def preflight(config: AuditConfig, base: Path) -> Preflight:
    """Check everything that can be checked without loading a model.

    Parameters
    ----------
    config : AuditConfig
    base : Path
        Folder that the config's paths are relative to.

    Returns
    -------
    Preflight

    Raises
    ------
    InputError
        A file, column, label, class or policy is not usable.
    """
    for model in config.models:
        if model.framework == "memory":
            raise ConfigError(
                "framework 'memory' is for `audit.audit(...)` in a notebook", where=f"models.{model.name}"
            )
    dataset = load_dataset(config.data, base)
    classes = audit_classes(config, dataset)
    check_labels(dataset, classes, str(config.data.manifest or config.data.image_folder))
    _check_images_there(dataset)
    for model in config.models:
        OutputMap.build(model, classes)
    policy = _policy(config, base, dataset, classes)
    content = {
        "config": config.model_dump(mode="json"),
        "data": dataset.fingerprint,
        "models": {model.name: model_digest(model, base) for model in config.models},
        "policy": sha256_file(base / config.policy) if config.policy else None,
        "versions": versions(config),
    }
    return Preflight(config, base, dataset, classes, make_plan(config, len(dataset), content), policy)


def _policy(config: AuditConfig, base: Path, dataset: Dataset, classes: tuple[str, ...]) -> Policy | None:
    """Load the user's policy, held against what the data has."""
    if config.policy is None:
        return None
    policy = load_policy(base / config.policy)
    groups = {item.name: set(dataset.rows[f"attr_{item.name}"]) for item in dataset.attributes}
    regions = list(config.data.regions.names.values()) if config.data.regions else []
    check_policy(policy, groups, list(classes), config.positive, regions)
    return policy


def make_plan(config: AuditConfig, rows: int, content: dict[str, Any]) -> Plan:
    """Cut the work of every model into shards."""
    size = config.execution.shard_size
    wanted = config.explanations.sample
    sample = rows if wanted == "all" else min(wanted, rows)
    shards = cut("predict", rows, size)
    if wanted != "all":
        shards += cut("explain", sample, size)
    checks = min(config.explanations.cross_check, sample)
    shards += [Shard("crosscheck", 0, 0, checks)] if checks and config.explanations.methods else []
    return Plan(content, tuple(model.name for model in config.models), tuple(shards))


def _check_images_there(dataset: Dataset) -> None:
    """One missing file is listed in the run; if all are missing, the root is wrong."""
    if not any((dataset.root / path).is_file() for path in dataset.rows["path"]):
        raise DataError(
            f"none of the {len(dataset)} images is there; the first is '{dataset.rows['path'].iloc[0]}'",
            where="data",
            fix="set data.root to the folder that the image paths are relative to",
        )


def model_digest(model: ModelConfig, base: Path) -> str | None:
    """SHA-256 of the model's file, or None where it has none."""
    name = model.path or model.weights
    if name is None:
        return None
    path = base / name
    if not path.is_file():
        raise ModelError(f"no such file '{name}'", where=f"models.{model.name}", fix="check the path in the config")
    return sha256_file(path)


def versions(config: AuditConfig) -> dict[str, str]:
    """Versions of what the numbers depend on."""
    wanted = {"numpy", "pillow", "pandas", "pyarrow", "scipy", "statsmodels"}
    wanted |= {"torch", "captum"} if any(model.framework == "torch" for model in config.models) else set()
    keras = any(model.framework == "keras" for model in config.models)
    wanted |= {"tensorflow", "keras", "tf-explain"} if keras else set()
    found = {"faircam": __version__, "python": platform.python_version()}
    for name in sorted(wanted):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found
