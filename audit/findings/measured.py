"""What a rule asks for, measured on one model: value, interval and p-value, ready to be judged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from audit.errors import ConfigError, InputError
from audit.fairness import (
    EVERYBODY,
    OVERALL,
    Comparison,
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
from audit.findings.applicable import check_class, check_region, class_of, parts_of
from audit.findings.policy import BEST, EVERYBODY_ELSE, Policy, Rule
from audit.findings.subjects import REGION_SHARE

__all__ = ["Evidence", "Measured", "gather", "measure_rule", "measured_as", "not_measured", "question_of"]


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
        Rates of the group and the reference; None for a metric that is no single rate.
    sides : tuple of (str, float, float, float)
        Name, value and interval of the group and the reference, where there are no rates.
    level : callable
        From the alpha of the joint interval to that of one of those it is made of, for planning.
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
    sides: tuple[tuple[str, float, float, float], ...] = ()
    level: Callable[[float], float] = float
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
    wanted = {rule.attribute: parts_of(rule, known) for rule in policy.rules if rule.attribute != OVERALL}
    crossed = [parts for parts in wanted.values() if len(parts) > 1]
    attributes = list(dict.fromkeys(name for parts in wanted.values() for name in parts))
    for rule in policy.rules:
        check_class(rule, classes, positive)
    regions = pd.DataFrame(columns=["model", "image_id", "method", "region", "share", "area", "cluster"])
    if region_mass is not None and len(region_mass):
        regions = region_rows(region_mass, images)
        for rule in policy.rules:
            check_region(rule, [str(name) for name in region_mass["region"].unique()])
    tensors = count_predictions(images, predictions, classes, attributes, crossed)
    return Evidence(tensors, regions, tuple(classes), positive)


def measure_rule(rule: Rule, model: str, evidence: Evidence, permutations: Permutations) -> Measured:
    """Measure one rule on one model.

    Raises
    ------
    ConfigError
        The rule's reference is no group.
    """
    if rule.metric == REGION_SHARE:
        return _measure_region(rule, model, evidence)
    name = class_of(rule, evidence.positive)
    try:
        found = measure(evidence.tensors[model], rule.attribute, (rule.metric, name), question_of(rule), permutations)
    except InputError as error:
        raise ConfigError(error.what, where=f"rule '{rule.id}'") from error
    claims = _claims(rule, model, name, (found.group, found.reference), evidence)
    return measured_as(rule, model, name, found, claims)


def measured_as(rule: Rule, model: str, name: str | None, found: Comparison, claims: tuple[str, ...] = ()) -> Measured:
    """What a comparison says of a rule.

    Parameters
    ----------
    rule : Rule
    model : str
    name : str or None
        The class it is about.
    found : Comparison
        As the rule's question asks.
    claims : tuple of str
        Table rows that the numbers come from.
    """
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
        found.smallest,
        found.clustered,
        found.excluded,
        found.arms,
        found.sides,
        found.level,
        claims=claims,
    )


def not_measured(rule: Rule, model: str) -> Measured:
    """A rule on a model of which the run holds nothing."""
    nothing = (float("nan"),) * 4
    return Measured(rule, model, rule.class_name, None, None, *nothing, "not_measured")


def question_of(rule: Rule) -> Question:
    """The comparison that a rule about groups asks for.

    Against the best group is the range of a metric of which one way is better; against everybody else is
    what compare overall asks.
    """
    kind: Kind
    if rule.compare == "excess":
        raise ConfigError("compare excess is for region_share only", where=f"rule '{rule.id}'")
    if rule.compare == "reference" and rule.reference in (BEST, EVERYBODY_ELSE):
        kind = "range" if rule.reference == BEST else "overall"
        return Question(kind, rule.better, rule.min_n)
    kind = rule.compare
    return Question(kind, rule.better, rule.min_n, rule.reference)


def _claims(
    rule: Rule, model: str, name: str | None, groups: tuple[str | None, str | None], evidence: Evidence
) -> tuple[str, ...]:
    known = evidence.tensors[model].groups[rule.attribute]
    rows = [f"groups:{model}:{rule.attribute}:{group}:{rule.metric}:{name or ''}" for group in groups if group in known]
    kind = question_of(rule).kind
    if kind == "overall" and rows:
        rows.append(f"groups:{model}:{OVERALL}:{EVERYBODY}:{rule.metric}:{name or ''}")
    for metric, about, shown, asked in gap_metrics(evidence.classes, evidence.positive):
        if (metric, about, asked) == (rule.metric, name, kind):
            way = "" if shown == "range" else f":{shown}"
            rows.append(f"gaps:{model}:{rule.attribute}:{rule.metric}:{name or ''}{way}")
    return tuple(rows)


def _measure_region(rule: Rule, model: str, evidence: Evidence) -> Measured:
    rows = evidence.regions
    rows = rows[(rows["model"] == model) & (rows["method"] == rule.method) & (rows["region"] == rule.region)]
    mean = region_excess(rows, rule.alpha)
    if mean.n == 0:
        nothing = (float("nan"),) * 4
        return Measured(rule, model, None, rule.region, None, *nothing, "undefined" if len(rows) else "not_measured")

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
