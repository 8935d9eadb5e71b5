"""Whether a policy can be held against the data: its attributes, groups, classes and regions, before anything runs."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

from audit.errors import ConfigError, nearest
from audit.fairness import MISSING, OVERALL
from audit.findings.policy import BEST, EVERYBODY_ELSE, Policy, Rule
from audit.findings.subjects import REGION_METRICS, describe

__all__ = ["check_class", "check_policy", "check_region", "class_of", "parts_of"]

JOIN = " x "
OF_ONE_CLASS = ("true_positive_rate", "false_negative_rate")
"""Metrics that are measured on the images of one class alone."""


def check_policy(
    policy: Policy,
    groups: Mapping[str, Collection[object]],
    classes: Sequence[str],
    positive: str | None,
    regions: Sequence[str],
    labels: Collection[object] | None = None,
) -> None:
    """Hold a policy against what the data has, before anything is computed.

    Parameters
    ----------
    policy : Policy
    groups : mapping of str to collection
        Groups of every attribute; a null stands for a missing one.
    classes : sequence of str
        Every class.
    positive : str or None
        The declared positive class.
    regions : sequence of str
        Names of the regions of the region maps.
    labels : collection, optional
        The classes that really occur among the labels.

    Raises
    ------
    ConfigError
        A rule names an attribute, a group, a class or a region that the data does not have, compares groups
        where there is one, or needs a class of which there is no image.
    """
    named = {name: sorted({_group(value) for value in values}) for name, values in groups.items()}
    for rule in policy.rules:
        check_class(rule, classes, positive)
        check_region(rule, regions)
        if labels is not None and rule.metric not in REGION_METRICS:
            _check_labels(rule, classes, positive, {str(label) for label in labels})
        if rule.attribute != OVERALL:
            _check_groups(rule, named)


def _group(value: object) -> str:
    return MISSING if value is None or (isinstance(value, float) and math.isnan(value)) else str(value)


def _check_groups(rule: Rule, groups: Mapping[str, Sequence[str]]) -> None:
    where = f"rule '{rule.id}'"
    parts = parts_of(rule, list(groups))
    if rule.compare != "floor" and math.prod(len(groups[part]) for part in parts) < 2:
        raise ConfigError(
            f"attribute '{rule.attribute}' has one group only ({', '.join(groups[parts[0]]) or 'none'}), so there "
            f"is nothing to compare; compare is '{rule.compare}', allowed: floor",
            where=where,
            fix="audit data with at least two groups, or judge the group by compare: floor",
        )
    if rule.reference is None or len(parts) > 1:
        return
    known = groups[parts[0]]
    if rule.reference in (BEST, EVERYBODY_ELSE):
        if rule.reference in known:
            raise ConfigError(
                f"reference '{rule.reference}' is both a word of policies and a group of '{parts[0]}'",
                where=where,
                fix="give the group another name in the data",
            )
    elif rule.reference not in known:
        raise ConfigError(
            f"reference '{rule.reference}' is no group of '{parts[0]}', allowed: {known}, {BEST}, {EVERYBODY_ELSE}."
            f"{nearest(rule.reference, known)}",
            where=where,
        )


def _check_labels(rule: Rule, classes: Sequence[str], positive: str | None, labels: set[str]) -> None:
    """Refuse a rule whose metric the labels leave undefined for everybody, or which would mislead."""
    name = class_of(rule, positive)
    where = f"rule '{rule.id}'"
    if rule.metric in OF_ONE_CLASS:
        if name not in labels:
            raise ConfigError(
                f"metric '{rule.metric}' needs images of class '{name}', and no label is; labels: {sorted(labels)}",
                where=where,
            )
        return
    if len(labels) < 2:
        found = ", ".join(sorted(labels)) or "none"
        raise ConfigError(
            f"all labels are of one class ({found}), on which metric '{rule.metric}' cannot be judged",
            where=where,
            fix=f"audit images of at least two of the classes {list(classes)}",
        )


def parts_of(rule: Rule, known: Sequence[str]) -> tuple[str, ...]:
    """Attributes that a rule's attribute is made of.

    Raises
    ------
    ConfigError
        One of them is not in the data.
    """
    parts = (rule.attribute,) if rule.attribute in known else tuple(rule.attribute.split(JOIN))
    for part in parts:
        if part not in known:
            raise ConfigError(
                f"attribute '{part}' is not in the data, allowed: {list(known)}.{nearest(part, known)}",
                where=f"rule '{rule.id}'",
            )
    return parts


def class_of(rule: Rule, positive: str | None) -> str | None:
    """The class that a rule is about: its own, else the positive one; None where it is about none."""
    if rule.metric in REGION_METRICS or not describe(rule.metric).per_class:
        return None
    return rule.class_name or positive


def check_class(rule: Rule, classes: Sequence[str], positive: str | None) -> None:
    """Refuse a rule about a class that is not named, or is none."""
    if rule.metric in REGION_METRICS or not describe(rule.metric).per_class:
        return
    name = class_of(rule, positive)
    if name is None:
        raise ConfigError(
            f"metric '{rule.metric}' is about one class, and none is named",
            where=f"rule '{rule.id}'",
            fix=f"give 'class', one of {list(classes)}, or declare 'positive' in the audit",
        )
    if name not in classes:
        raise ConfigError(
            f"class '{name}' is no class, allowed: {list(classes)}.{nearest(name, classes)}",
            where=f"rule '{rule.id}'",
        )


def check_region(rule: Rule, known: Sequence[str]) -> None:
    """Refuse a rule about a region that the data does not have."""
    if rule.metric in REGION_METRICS and rule.region not in known:
        raise ConfigError(
            f"region '{rule.region}' is not in the data, allowed: {list(known)}.{nearest(str(rule.region), known)}",
            where=f"rule '{rule.id}'",
        )
