"""What a policy may say: rules over group metrics, region shares and interventions; frozen, unknown keys refused.

Reading and checking policies lives here. The policy that stands in where the user gives none is in
`defaults`; a policy is held against data in `applicable`; verdicts are drawn in `judge`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from audit.errors import ConfigError, nearest
from audit.fairness import METRICS
from audit.findings.subjects import (
    INTERVENTION_EFFECT,
    JUDGED_METRICS,
    ODDS,
    REGION_METRICS,
    REGION_SHARE,
    describe,
)
from audit.findings.yaml_input import Section, explain, keys_of, read_yaml

__all__ = ["BEST", "REGION_SHARE", "Policy", "Rule", "load_policy", "parse_policy"]

BEST = "best"
EVERYBODY_ELSE = "overall"

Compare = Literal["range", "ratio", "reference", "overall", "floor", "excess", "mean"]

_NO_FALSE_DISCOVERY = (
    "correction benjamini_hochberg is not offered for verdicts: it bounds the share of false claims among the "
    "failures, not the chance of any, so each single failure would be less sure than its alpha says; allowed: "
    "holm, none. Benjamini-Hochberg values for exploration are in table gaps"
)


class Rule(Section):
    """One rule: a metric, compared across the groups of an attribute, against a tolerance."""

    id: str = Field(default="", description="Name of the rule; METRIC-ATTRIBUTE by default.")
    metric: str = Field(description="A metric with an interval to judge by, region_share or intervention_effect.")
    class_name: str | None = Field(
        default=None,
        alias="class",
        description="Class of a metric about one class; the positive class by default.",
    )
    attribute: str = Field(
        description="Attribute, or several joined by ' x '; overall for a floor over everybody or a region."
    )
    compare: Compare = Field(
        description=(
            "range: best minus worst group. ratio: smallest over largest. reference: worst group against "
            "`reference`. overall: worst group against everybody else. floor: worst group's own value (a ceiling "
            "where lower is better). excess: attribution on a region over the region's area. mean: for "
            "equalised_odds, the mean of its two ranges."
        )
    )
    reference: str | None = Field(
        default=None,
        description="Of `compare: reference`: a group, best (the best group), or overall (everybody else).",
    )
    direction: Literal["higher", "lower"] | None = Field(
        default=None,
        description="Which way is better, for a metric that does not say so itself; two-sided by default.",
    )
    tolerance: float = Field(
        allow_inf_nan=False, description="Largest gap allowed; for ratio and floor the smallest value allowed."
    )
    warn: float | None = Field(
        default=None, allow_inf_nan=False, description="A pass whose interval reaches past this is a warning."
    )
    alpha: float = Field(default=0.05, gt=0, lt=0.5, description="One minus the level of the interval.")
    judge: Literal["interval", "point"] = Field(
        default="interval", description="point judges the observed value alone; findings say so."
    )
    power: float = Field(
        default=0.8, ge=0.5, lt=1, description="Of the number of images that would settle an inconclusive rule."
    )
    min_n: int = Field(default=10, ge=1, description="Smallest number of clusters (images) a group needs.")
    small_groups: Literal["exclude_and_list", "block"] = Field(
        default="exclude_and_list",
        description="exclude_and_list: groups below min_n are listed; block: they make the rule inconclusive.",
    )
    correction: Literal["holm", "none"] = Field(
        default="holm", description="Of claims of failure, over the rules of a model."
    )
    tier: Literal["required", "supporting", "informational"] = Field(description="What hangs on the rule.")
    rationale: str = Field(default="", description="Why this rule, why this number.")
    approver: str = Field(default="", description="Who approved this rule; the policy's approver by default.")
    region: str | None = Field(default=None, description="Region of a region_share or intervention_effect rule.")
    method: str | None = Field(default=None, description="Explanation method of a region_share rule.")
    matched: bool = Field(
        default=False,
        description="Of a region rule with compare range: groups are compared within label and fifths of confidence.",
    )

    @field_validator("tolerance", "warn", "alpha", "power", "min_n", mode="before")
    @classmethod
    def _number(cls, value: object) -> object:
        if isinstance(value, bool):
            raise ValueError(f"is {value}, a number is needed")
        return value

    @field_validator("correction", mode="before")
    @classmethod
    def _verdict_correction(cls, value: object) -> object:
        if str(value).lower().replace("-", "_") in ("benjamini_hochberg", "bh", "fdr", "fdr_bh"):
            raise ValueError(_NO_FALSE_DISCOVERY)
        return value

    @model_validator(mode="after")
    def _check(self) -> Self:
        for problem in _rule_problems(self):
            raise ValueError(problem)
        if not self.id:
            object.__setattr__(self, "id", f"{self.metric}-{self.attribute}")
        return self

    @property
    def better(self) -> Literal["higher", "lower"] | None:
        """Which way is better: the metric's own way, else the rule's; None where both ways count."""
        if self.metric in REGION_METRICS:
            return "lower" if self.metric == INTERVENTION_EFFECT else None
        return describe(self.metric).direction or self.direction

    @property
    def bad(self) -> Literal["above", "below"]:
        """On which side of the tolerance the trouble lies."""
        return "below" if self.compare == "ratio" or (self.compare == "floor" and self.better != "lower") else "above"


def _rule_problems(rule: Rule) -> Iterable[str]:
    if rule.metric not in JUDGED_METRICS:
        known = "has no interval to judge by" if rule.metric in METRICS else "is unknown"
        yield (
            f"metric '{rule.metric}' {known}, allowed: {', '.join(JUDGED_METRICS)}."
            f"{nearest(rule.metric, JUDGED_METRICS)}"
        )
        return
    yield from _region_problems(rule) if rule.metric in REGION_METRICS else _metric_problems(rule)
    if rule.attribute == "overall" and rule.compare not in ("floor", "excess"):
        yield f"attribute overall has one group: compare is '{rule.compare}', allowed: floor, excess"
    if (rule.compare == "reference") != (rule.reference is not None):
        yield "'reference' names the group of compare reference; it is needed there, and only there"
    yield from _number_problems(rule)


_REGION_COMPARES = {REGION_SHARE: ("excess", "range"), INTERVENTION_EFFECT: ("floor", "range")}
_NEEDS_REGION = "'region' is needed for metrics region_share and intervention_effect, and only there"
_NEEDS_METHOD = "'method' is needed for metric region_share, and only there"
_MATCHED = "'matched' is for metrics region_share and intervention_effect with compare range only"


def _region_problems(rule: Rule) -> Iterable[str]:
    allowed = _REGION_COMPARES[rule.metric]
    if rule.compare not in allowed:
        yield f"compare is '{rule.compare}' for metric '{rule.metric}', allowed: {', '.join(allowed)}"
    if rule.region is None:
        yield _NEEDS_REGION
    if (rule.method is None) == (rule.metric == REGION_SHARE):
        yield _NEEDS_METHOD
    if rule.compare == "excess" and rule.attribute != "overall":
        yield f"compare excess is judged over everybody: attribute is '{rule.attribute}', allowed: overall"
    if rule.matched and rule.compare != "range":
        yield _MATCHED
    for key, value in (("class", rule.class_name), ("direction", rule.direction)):
        if value is not None:
            yield f"'{key}' has no meaning for metric '{rule.metric}'"


def _metric_problems(rule: Rule) -> Iterable[str]:
    metric = describe(rule.metric)
    if rule.compare == "excess":
        yield "compare excess is for metric region_share only"
    if rule.region is not None:
        yield _NEEDS_REGION
    if rule.method is not None:
        yield _NEEDS_METHOD
    if rule.matched:
        yield _MATCHED
    if rule.class_name is not None and not metric.per_class:
        yield f"'class' has no meaning for metric '{rule.metric}'"
    allowed = ["range", "mean"] if rule.metric == "equalised_odds" else ["range"]
    if rule.metric in ODDS and rule.compare not in allowed:
        yield f"compare is '{rule.compare}' for metric '{rule.metric}', allowed: {', '.join(allowed)}"
    if rule.metric != "equalised_odds" and rule.compare == "mean":
        yield "compare mean is for metric equalised_odds only; range is the usual choice"
    if rule.direction is not None and rule.metric in ODDS:
        yield f"'direction' has no meaning for metric '{rule.metric}': it measures a distance"
    elif rule.direction is not None and metric.direction not in (None, rule.direction):
        yield f"direction is '{rule.direction}', but of metric '{rule.metric}' {metric.direction} is better"
    if rule.reference == BEST and rule.better is None:
        yield f"reference best needs 'direction' for metric '{rule.metric}': neither way is better by itself"


def _number_problems(rule: Rule) -> Iterable[str]:
    most = math.inf if rule.compare == "excess" else 1.0
    if not 0 <= rule.tolerance <= most:
        share = f"; tolerances are shares: write {rule.tolerance / 100:g} for {rule.tolerance:g} %"
        yield f"tolerance is {rule.tolerance}, allowed: 0 to {most:g}{share if 1 < rule.tolerance <= 100 else ''}"
    if rule.compare == "ratio" and rule.tolerance == 0:
        yield "tolerance is 0.0 for compare ratio, which every ratio keeps; allowed: above 0, to 1"
    if rule.warn is not None and (rule.warn > rule.tolerance if rule.bad == "above" else rule.warn < rule.tolerance):
        side = "at most" if rule.bad == "above" else "at least"
        yield f"warn is {rule.warn}, allowed: {side} the tolerance {rule.tolerance}"
    if rule.warn is not None and not 0 <= rule.warn <= most:
        yield f"warn is {rule.warn}, allowed: 0 to {most:g}"


class Policy(Section):
    """Rules that a person stands for."""

    name: str = Field(description="Name of the policy.")
    approver: str = Field(default="", description="Name and role of whoever approves it.")
    rules: tuple[Rule, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check(self) -> Self:
        repeated = [name for name, count in Counter(rule.id for rule in self.rules).items() if count > 1]
        if repeated:
            raise ValueError(f"rule id '{repeated[0]}' occurs more than once; give each rule an id of its own")
        return self


def load_policy(path: Path) -> Policy:
    """Read a policy from a YAML file.

    Parameters
    ----------
    path : Path

    Returns
    -------
    Policy

    Raises
    ------
    ConfigError
        The file is missing or not YAML, a key is unknown or a value is not allowed.
    """
    return parse_policy(read_yaml(path), where=str(path))


def parse_policy(content: object, *, where: str = "policy") -> Policy:
    """Check a mapping against `Policy`; one error that lists every problem.

    Parameters
    ----------
    content : object
        What a policy file holds.
    where : str
        Named in the error.

    Returns
    -------
    Policy

    Raises
    ------
    ConfigError
        A key is unknown or missing, or a value is not allowed.
    """
    if not isinstance(content, Mapping):
        raise ConfigError("must hold keys and values", where=where, fix="start from `faircam init DIR`")
    try:
        return Policy.model_validate(content)
    except ValidationError as error:
        problems = [dict(problem) for problem in error.errors()]
        if len(problems) > 1:  # a rule that was refused also leaves the tuple too short; that is no news
            problems = [problem for problem in problems if problem["type"] != "too_short"]
        raise ConfigError("; ".join(map(_explain, problems)), where=where) from None


def _explain(problem: dict[str, Any]) -> str:
    return explain(problem, keys_of(Rule if "rules" in problem["loc"] else Policy))
