"""What rules are held against, and what one comes to on one model: value, interval and p-value, ready to be judged.

It is filled in by `measuring`, for rules about regions by `regional`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from audit.errors import ConfigError
from audit.fairness import (
    OVERALL,
    Comparison,
    CountTensor,
    GroupRates,
    Question,
    count_predictions,
    exceedance_level,
    region_rows,
)
from audit.fairness.comparisons import Kind
from audit.fairness.interventions_effect import action_rows, effect_rows
from audit.findings.applicable import check_class, check_region, parts_of
from audit.findings.policy import BEST, EVERYBODY_ELSE, Policy, Rule
from audit.run.tables import empty_table

__all__ = ["Evidence", "Measured", "gather", "measured_as", "not_measured", "question_of"]


@dataclass(frozen=True)
class Evidence:
    """What the rules are held against.

    Parameters
    ----------
    tensors : dict of str to CountTensor
        Counts per model.
    regions : DataFrame
        Region shares, as `region_rows` gives them.
    effects : DataFrame
        Effects of hiding regions, as `effect_rows` gives them.
    doubts : dict of (str, str) to str
        Model and method of every explanation that is stamped "not evidence", with the stamp's own words.
    images, predictions : DataFrame
        The run's tables.
    classes : tuple of str
    positive : str or None
    """

    tensors: dict[str, CountTensor]
    regions: pd.DataFrame
    effects: pd.DataFrame
    doubts: dict[tuple[str, str], str]
    images: pd.DataFrame
    predictions: pd.DataFrame
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
    doubt : str
        Why the numbers are no evidence, so that no verdict may rest on them; empty where they are.
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
    doubt: str = ""


def gather(
    policy: Policy,
    images: pd.DataFrame,
    predictions: pd.DataFrame,
    region_mass: pd.DataFrame | None,
    classes: Sequence[str],
    positive: str | None,
    *,
    interventions: pd.DataFrame | None = None,
    stamps: pd.DataFrame | None = None,
) -> Evidence:
    """Count once what all rules need.

    Parameters
    ----------
    policy : Policy
    images, predictions, region_mass, interventions, stamps : DataFrame
        The run's tables; the last three may be None.
    classes : sequence of str
    positive : str or None

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
    given = {
        "region_mass": _given("region_mass", region_mass),
        "interventions": _given("interventions", interventions),
    }
    known_regions = dict.fromkeys(str(name) for table in given.values() for name in table["region"])
    for rule in policy.rules:
        if known_regions:
            check_region(rule, list(known_regions))
    regions, effects = (
        region_rows(given["region_mass"], images),
        effect_rows(action_rows(given["interventions"], images)),
    )
    tensors = count_predictions(images, predictions, classes, attributes, crossed)
    return Evidence(tensors, regions, effects, _doubts(stamps), images, predictions, tuple(classes), positive)


def _given(name: str, table: pd.DataFrame | None) -> pd.DataFrame:
    return empty_table(name) if table is None or table.empty else table


def _doubts(stamps: pd.DataFrame | None) -> dict[tuple[str, str], str]:
    """Explanations that are stamped as no evidence."""
    if stamps is None or stamps.empty:
        return {}
    refused = stamps[(stamps["check"] == OVERALL) & (stamps["result"] == "not_evidence")]
    return {
        (str(row["model"]), str(row["method"])): str(row["text"] or "it failed its checks").strip().rstrip(".")
        for row in refused.to_dict("records")
    }


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
