"""Everything that can be checked before a model is loaded or a file written, and the plan that follows from it."""

from __future__ import annotations

import contextlib
import importlib.metadata
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from audit.config import AuditConfig
from audit.data.manifest import MISSING, Dataset, load_dataset
from audit.data.stores import has_image
from audit.engine.job import OutputMap
from audit.engine.labels import audit_classes, check_labels
from audit.engine.members import load_members
from audit.errors import ConfigError, DataError, nearest
from audit.explanations.registry import build
from audit.findings import Policy, check_policy, load_policy
from audit.models.files import model_digest
from audit.recorded import recorded
from audit.run.files import sha256_file
from audit.run.plan import Plan, Shard, cut
from audit.version import __version__

__all__ = ["Preflight", "make_plan", "preflight", "versions"]

_QUALITY_SHARD = 32  # images whose maps are measured at once: each costs hundreds of forward passes


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
    training : mapping of str to Dataset
        Training images of each model that names them.
    notes : tuple of str
        What is allowed and worth saying of the data.
    """

    config: AuditConfig
    base: Path
    dataset: Dataset
    classes: tuple[str, ...]
    plan: Plan
    policy: Policy | None
    training: Mapping[str, Dataset] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


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
    check_labels(dataset, classes, config.data.source)
    _check_images_there(dataset, "data")
    check_methods(config)
    check_concepts(config, dataset)
    check_population(config, dataset)
    for model in config.models:
        OutputMap.build(model, classes)
    training = _training(config, base, classes)
    policy = _policy(config, base, dataset, classes)
    content = {
        "config": recorded(config, base),
        "data": dataset.fingerprint,
        "models": {model.name: model_digest(model, base) for model in config.models},
        "policy": sha256_file(base / config.policy) if config.policy else None,
        "versions": versions(config),
    }
    if training:
        content["training"] = {name: members.fingerprint for name, members in training.items()}
    members = {name: len(found) for name, found in training.items()}
    plan = make_plan(config, len(dataset), content, members)
    return Preflight(config, base, dataset, classes, plan, policy, training, data_notes(dataset))


def _training(config: AuditConfig, base: Path, classes: tuple[str, ...]) -> dict[str, Dataset]:
    """Training images of each model that names them, held against the classes of the audit."""
    found = {}
    for model in config.models:
        dataset = load_members(model, base)
        if dataset is not None:
            where = f"models.{model.name}.training_data"
            check_labels(dataset, classes, where)
            _check_images_there(dataset, where)
            found[model.name] = dataset
    return found


def check_methods(config: AuditConfig) -> None:
    """Refuse a method that is unknown, wrongly set, or that no model of the audit can be explained by.

    Raises
    ------
    ConfigError
    """
    frameworks = {model.framework for model in config.models}
    for name, method in build(config.explanations.methods).items():
        served = method.frameworks
        if served is not None and "memory" not in frameworks and not frameworks & served:
            raise ConfigError(
                f"method '{name}' explains {' and '.join(sorted(served))} models, and the audit has only "
                f"{' and '.join(sorted(frameworks))}",
                where="explanations.methods",
                fix="leave it out, or choose a method of this framework (`faircam methods`)",
            )


def check_concepts(config: AuditConfig, dataset: Dataset) -> None:
    """Refuse a concept that no image shows.

    Raises
    ------
    ConfigError
    """
    for concept in config.concepts:
        column = "label" if concept.attribute == "label" else f"attr_{concept.attribute}"
        groups = sorted(set(dataset.rows[column].astype(str)))
        if concept.group not in groups:
            raise ConfigError(
                f"no image has {concept.attribute} '{concept.group}', allowed: {groups}."
                f"{nearest(concept.group, groups)}",
                where=f"concepts.{concept.name}",
            )


def data_notes(dataset: Dataset) -> tuple[str, ...]:
    """What is allowed and yet leaves a question unanswered: attributes of one group, labels of one class."""
    notes = []
    for attribute in dataset.attributes:
        groups = dataset.rows[f"attr_{attribute.name}"].unique()
        if len(groups) == 1:
            notes.append(
                f"attribute '{attribute.name}' has one group only, '{groups[0]}': no gap can be measured by it"
            )
    if len(dataset.classes) == 1:
        notes.append(f"every label is '{dataset.classes[0]}': rates among other classes are undefined")
    return tuple(notes)


def check_population(config: AuditConfig, dataset: Dataset) -> None:
    """Hold the stated mix of each attribute against the groups that the data has.

    Raises
    ------
    ConfigError
        A group is named that no image belongs to, or one of the data's groups is left out.
    """
    for name, shares in config.data.population.items():
        groups = set(dataset.rows[f"attr_{name}"]) - {MISSING}
        for group in shares:
            if group not in groups:
                raise ConfigError(
                    f"'{group}' is none of the groups {sorted(groups)}.{nearest(group, groups)}",
                    where=f"data.population.{name}",
                )
        left = sorted(groups - set(shares))
        if left:
            raise ConfigError(
                f"leaves out {', '.join(repr(group) for group in left)}",
                where=f"data.population.{name}",
                fix="give every group of the data a share, 0 where the population has none of it",
            )


def _policy(config: AuditConfig, base: Path, dataset: Dataset, classes: tuple[str, ...]) -> Policy | None:
    """Load the user's policy, held against what the data has."""
    if config.policy is None:
        return None
    policy = load_policy(base / config.policy)
    groups = {item.name: set(dataset.rows[f"attr_{item.name}"]) for item in dataset.attributes}
    regions = list(config.data.regions.names.values()) if config.data.regions else []
    check_policy(policy, groups, list(classes), config.positive, regions, set(dataset.classes))
    return policy


def make_plan(
    config: AuditConfig, rows: int, content: dict[str, Any], members: Mapping[str, int] | None = None
) -> Plan:
    """Cut the work of every model into shards.

    Parameters
    ----------
    config : AuditConfig
    rows : int
        Images of the data.
    content : dict
        What else results depend on.
    members : mapping of str to int, optional
        Number of training images of the models that name them.
    """
    size = config.execution.shard_size
    wanted = config.explanations.sample
    sample = _size(wanted, rows)
    shards = cut("predict", rows, size)
    if wanted != "all":
        shards += cut("explain", sample, size)
    checks = min(config.explanations.cross_check, sample)
    shards += [Shard("crosscheck", 0, 0, checks)] if checks and config.explanations.methods else []
    if config.quality is not None and config.explanations.methods:
        shards += cut("quality", min(config.quality.sample, sample), min(size, _QUALITY_SHARD))
    if config.interventions is not None:
        regions = len(config.data.regions.names) if config.data.regions else 1
        copies = regions * (1 + config.interventions.controls + config.interventions.swap)
        shards += cut("intervene", _size(config.interventions.sample, rows), _filled(size // copies, config))
    shards += cut("concepts", len(config.concepts), 1)
    if config.embeddings is not None:
        shards += cut("embed", _size(config.embeddings.sample, rows), size)
    if config.robustness is not None:
        copies = len(config.robustness.corruptions) * len(config.robustness.severities)
        shards += cut("corrupt", _size(config.robustness.sample, rows), _filled(size // copies, config))
    own = {name: tuple(cut("members", count, size)) for name, count in (members or {}).items()}
    return Plan(content, tuple(model.name for model in config.models), tuple(shards), own)


def _filled(wanted: int, config: AuditConfig) -> int:
    """Rows of a shard, at least one micro-batch and a multiple of it, so that no pass is part blank."""
    batch = config.execution.micro_batch
    return max(1, wanted // batch) * batch


def _size(wanted: int | str, rows: int) -> int:
    return min(wanted, rows) if isinstance(wanted, int) else rows


def _check_images_there(dataset: Dataset, where: str) -> None:
    """One missing file is listed in the run; if all are missing, the root is wrong."""
    if not any(has_image(dataset.place, path) for path in dataset.rows["path"]):
        raise DataError(
            f"none of the {len(dataset)} images is there; the first is '{dataset.rows['path'].iloc[0]}'",
            where=where,
            fix=f"set {where}.root to the folder that the image paths are relative to",
        )


def versions(config: AuditConfig) -> dict[str, str]:
    """Versions of what the numbers depend on."""
    wanted = {"numpy", "pillow", "pandas", "pyarrow", "scipy", "statsmodels"}
    wanted |= {"torch", "captum"} if any(model.framework == "torch" for model in config.models) else set()
    keras = any(model.framework == "keras" for model in config.models)
    wanted |= {"tensorflow", "keras", "tf-explain"} if keras else set()
    onnx = any(model.framework == "onnx" for model in config.models)
    wanted |= {"onnxruntime", "onnxruntime-gpu"} if onnx else set()
    wanted |= {"datasets"} if config.data.huggingface else set()
    wanted |= {"torchvision"} if config.data.torchvision else set()
    found = {"faircam": __version__, "python": platform.python_version()}
    for name in sorted(wanted):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found
