"""The classes that an audit scores, and labels that are held against them."""

from __future__ import annotations

import re

from audit.config import AuditConfig
from audit.data.manifest import Dataset
from audit.errors import ConfigError, DataError, nearest

__all__ = ["audit_classes", "check_labels"]

_SEPARATORS = re.compile(r"\s*[|;,]\s*")


def audit_classes(config: AuditConfig, dataset: Dataset) -> tuple[str, ...]:
    """Classes that the audit scores, one set for all models.

    Raises
    ------
    ConfigError
        The models disagree, or the positive class is none of them.
    DataError
        No model declares its classes, and the labels are all of one class or several in a cell.
    """
    named: dict[str, tuple[str, ...]] = {}
    for model in config.models:
        classes = tuple(model.outputs) if model.outputs else model.classes
        if classes is not None:
            named[model.name] = tuple(sorted(classes))
    found = set(named.values())
    if len(found) > 1:
        raise ConfigError(
            f"models are scored on different classes: {named}", fix="use 'outputs' to bring them together"
        )
    where = config.data.source
    classes = found.pop() if found else _undeclared(dataset, where)
    if config.positive is not None and config.positive not in classes:
        raise ConfigError(
            f"'{config.positive}' is none of the classes {list(classes)}.{nearest(config.positive, classes)}",
            where="positive",
        )
    return classes


def _undeclared(dataset: Dataset, where: str) -> tuple[str, ...]:
    """Classes of the data, for models that do not name theirs."""
    if len(dataset.classes) < 2:
        raise DataError(
            f"every label is '{dataset.classes[0]}', and no model declares its classes",
            where=where,
            fix="list the model's own classes in output order under 'classes'",
        )
    for label in dataset.classes:
        others = tuple(name for name in dataset.classes if name != label)
        _refuse_several(label, others, dataset, where)
    return dataset.classes


def _refuse_several(label: str, classes: tuple[str, ...], dataset: Dataset, where: str) -> None:
    """A cell such as ``a|b`` whose every part is a class means several labels an image."""
    parts = [part for part in _SEPARATORS.split(label.strip()) if part]
    if len(parts) < 2 or not set(parts) <= set(classes):
        return
    rows = dataset.rows.loc[dataset.rows["label"] == label, "path"]
    raise DataError(
        f"the label '{label}' of '{rows.iloc[0]}' holds {len(parts)} classes ({len(rows)} such rows); faircam audits "
        "single-label classification, one class an image",
        where=where,
        fix="audit one question at a time: a column that holds one class of each image",
    )


def check_labels(dataset: Dataset, classes: tuple[str, ...], where: str) -> None:
    """Refuse labels that are no class of the audit.

    Raises
    ------
    DataError
        Naming the first such row and the nearest class, or saying that a cell holds several classes.
    """
    unknown = dataset.rows.index[~dataset.rows["label"].isin(classes)]
    if not len(unknown):
        return
    for label in dataset.rows.loc[unknown, "label"].unique():
        _refuse_several(label, classes, dataset, where)
    row = dataset.rows.loc[unknown[0]]
    raise DataError(
        f"label '{row['label']}' of '{row['path']}' is none of the classes {list(classes)} "
        f"({len(unknown)} such rows).{nearest(str(row['label']), classes)}",
        where=where,
        fix="correct the labels, or map the model's classes with 'outputs'",
    )
