"""What a rule asks for, measured on one model: value, interval and p-value, ready to be judged."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from audit.errors import ConfigError, InputError, nearest
from audit.fairness import (
    EVERYBODY,
    METRICS,
    OVERALL,
    CountTensor,
    GroupRates,
    Mean,
    Permutations,
    Question,
    count_predictions,
    exceedance_level,
    gap_metrics,
    measure,
    region_excess,
    region_means,
    region_rows,
)
from audit.fairness.comparisons import Kind
from audit.findings.policy import REGION_SHARE, Policy, Rule

__all__ = ["Evidence", "Measured", "gather", "measure_rule"]

JOIN = " x "


@dataclass(frozen=True)
class Evidence:
    """What the rules are held against: counts per model, and region shares."""

    tensors: dict[str, CountTensor]
    regions: pd.DataFrame
    classes: tuple[str, ...]
    positive: str | None


@dataclass(frozen=True)
class Measured:
    """One rule on one model.

    Parameters
    ----------
    value, low, high : float
        The comparison and its interval at the rule's alpha; NaN where there is none.
    p : float
        P-value of the claim that the tolerance is exceeded: the larger of that of the permutation test of
        no gap at all and of the level at which the interval just reaches the tolerance.
    status : str
        As in table `gaps`; ``not_measured`` where the run holds nothing on it.
    taken_together : int
        Single intervals that the joint one is made of.
    unit_variance : float
        For planning: variance of the value if each group had one image (cluster); of its logarithm for a
        ratio.
    smallest : int
        Images (clusters) in the smaller of the groups compared.
    clustered : bool
        Whether clusters are what is counted.
    excluded : tuple of (str, int)
        Groups left out as too small.
    arms : GroupRates, optional
        Rates of the group and the reference.
    share, area : float
        For a region: mean share of attribution, mean share of the image.
    claims : tuple of str
        Table rows that the numbers come from.
    """

    rule: Rule
    model: str
    class_name: str | None
    group: str | None
    reference: str | None
    value: float
    low: float
    high: float
    p: float
    status: str
    taken_together: int = 0
    unit_variance: float = float("nan")
    smallest: int = 0
    clustered: bool = False
    excluded: tuple[tuple[str, int], ...] = ()
    arms: GroupRates | None = None
    share: float = float("nan")
    area: float = float("nan")
    claims: tuple[str, ...] = ()


def gather(
    policy: Policy,
    images: pd.DataFrame,
    predictions: pd.DataFrame,
    region_mass: pd.DataFrame | None,
    classes: Sequence[str],
    positive: str | None,
) -> Evidence:
    """Count once what all rules need.

    Raises
    ------
    ConfigError
        A rule names an attribute, a class, a region or a method that the run does not have.
    """
    known = [str(name).removeprefix("attr_") for name in images if str(name).startswith("attr_")]
    wanted = {rule.attribute: _parts(rule, known) for rule in policy.rules if rule.attribute != OVERALL}
    crossed = [parts for parts in wanted.values() if len(parts) > 1]
    attributes = list(dict.fromkeys(name for parts in wanted.values() for name in parts))
    for rule in policy.rules:
        _check_class(rule, classes, positive)
    regions = pd.DataFrame(columns=["model", "image_id", "method", "region", "share", "area", "cluster"])
    if region_mass is not None and len(region_mass):
        regions = region_rows(region_mass, images)
        for rule in policy.rules:
            _check_region(rule, [str(name) for name in region_mass["region"].unique()])
    tensors = count_predictions(images, predictions, classes, attributes, crossed)
    return Evidence(tensors, regions, tuple(classes), positive)


def check_policy(
    policy: Policy,
    groups: Mapping[str, Collection[str]],
    classes: Sequence[str],
    positive: str | None,
    regions: Sequence[str],
) -> None:
    """Hold a policy against what the data has, before anything is computed.

    Parameters
    ----------
    policy : Policy
    groups : mapping of str to collection of str
        Groups of every attribute.
    classes : sequence of str
        Every class.
    positive : str or None
        The declared positive class.
    regions : sequence of str
        Names of the regions of the region maps.

    Raises
    ------
    ConfigError
        A rule names an attribute, a group, a class or a region that the data does not have.
    """
    for rule in policy.rules:
        _check_class(rule, classes, positive)
        _check_region(rule, regions)
        if rule.attribute == OVERALL or rule.metric == REGION_SHARE:
            continue
        parts = _parts(rule, list(groups))
        if rule.reference is not None and len(parts) == 1 and rule.reference not in groups[parts[0]]:
            known = sorted(groups[parts[0]])
            raise ConfigError(
                f"reference '{rule.reference}' is no group of '{parts[0]}', allowed: {known}."
                f"{nearest(rule.reference, known)}",
                where=f"rule '{rule.id}'",
            )


def _parts(rule: Rule, known: Sequence[str]) -> tuple[str, ...]:
    parts = (rule.attribute,) if rule.attribute in known else tuple(rule.attribute.split(JOIN))
    for part in parts:
        if part not in known:
            raise ConfigError(
                f"attribute '{part}' is not in the data, allowed: {list(known)}.{nearest(part, known)}",
                where=f"rule '{rule.id}'",
            )
    return parts


def _class_of(rule: Rule, positive: str | None) -> str | None:
    per_class = rule.metric in METRICS and METRICS[rule.metric].per_class
    return (rule.class_name or positive) if per_class else None


def _check_class(rule: Rule, classes: Sequence[str], positive: str | None) -> None:
    if rule.metric == REGION_SHARE or not METRICS[rule.metric].per_class:
        return
    name = _class_of(rule, positive)
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


def _check_region(rule: Rule, known: Sequence[str]) -> None:
    if rule.metric != REGION_SHARE:
        return
    if rule.region not in known:
        raise ConfigError(
            f"region '{rule.region}' is not in the data, allowed: {list(known)}.{nearest(str(rule.region), known)}",
            where=f"rule '{rule.id}'",
        )


def measure_rule(rule: Rule, model: str, evidence: Evidence, permutations: Permutations) -> Measured:
    """Measure one rule on one model.

    Raises
    ------
    ConfigError
        The rule's reference is no group.
    """
    if rule.metric == REGION_SHARE:
        return _measure_region(rule, model, evidence)
    tensor, name = evidence.tensors[model], _class_of(rule, evidence.positive)
    question = Question(_kind(rule), METRICS[rule.metric].direction, rule.min_n, rule.reference)
    try:
        found = measure(tensor, rule.attribute, (rule.metric, name), question, permutations)
    except InputError as error:
        raise ConfigError(error.what, where=f"rule '{rule.id}'") from error
    low, high = found.interval(rule.alpha)
    beyond = exceedance_level(found.interval, rule.tolerance, rule.bad)
    blocked = rule.small_groups == "block" and found.excluded
    return Measured(
        rule,
        model,
        name,
        found.group,
        found.reference,
        found.value,
        low,
        high,
        float(np.fmax(found.p, beyond)),
        "too_few_clusters" if blocked and found.status == "ok" else found.status,
        found.taken_together,
        found.unit_variance,
        int(found.arms.clusters.min()) if found.status == "ok" else 0,
        bool(found.arms.dependent.any()),
        found.excluded,
        found.arms,
        claims=_claims(rule, model, name, (found.group, found.reference), evidence),
    )


def _kind(rule: Rule) -> Kind:
    if rule.compare == "excess":
        raise ConfigError("compare excess is for region_share only", where=f"rule '{rule.id}'")
    return rule.compare


def _claims(
    rule: Rule, model: str, name: str | None, groups: tuple[str | None, str | None], evidence: Evidence
) -> tuple[str, ...]:
    known = evidence.tensors[model].groups[rule.attribute]
    rows = [f"groups:{model}:{rule.attribute}:{group}:{rule.metric}:{name or ''}" for group in groups if group in known]
    if rule.compare == "overall" and rows:
        rows.append(f"groups:{model}:{OVERALL}:{EVERYBODY}:{rule.metric}:{name or ''}")
    if rule.compare == "range" and (rule.metric, name) in gap_metrics(evidence.classes, evidence.positive):
        rows.append(f"gaps:{model}:{rule.attribute}:{rule.metric}:{name or ''}")
    return tuple(rows)


def _measure_region(rule: Rule, model: str, evidence: Evidence) -> Measured:
    rows = evidence.regions
    rows = rows[(rows["model"] == model) & (rows["method"] == rule.method) & (rows["region"] == rule.region)]
    blank = Measured(
        rule,
        model,
        None,
        rule.region,
        None,
        *(float("nan"),) * 4,
        "undefined" if len(rows) else "not_measured",
    )
    mean = region_excess(rows, rule.alpha)
    if mean.n == 0:
        return blank

    def interval(alpha: float) -> tuple[float, float]:
        found = region_excess(rows, alpha)
        return found.low, found.high

    share, area = region_means(rows)
    return Measured(
        rule,
        model,
        None,
        rule.region,
        None,
        mean.value,
        mean.low,
        mean.high,
        exceedance_level(interval, rule.tolerance, "above"),
        _region_status(mean, rule),
        1,
        mean.variance,
        mean.clusters,
        mean.clusters < mean.n,
        share=share.value,
        area=area.value,
        claims=(f"region_groups:{model}:{rule.method}:{rule.region}:{OVERALL}:{EVERYBODY}",),
    )


def _region_status(mean: Mean, rule: Rule) -> str:
    return "too_few_clusters" if mean.status == "ok" and mean.clusters < rule.min_n else mean.status
