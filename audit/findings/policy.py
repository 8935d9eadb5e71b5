"""What a policy may say: rules over group metrics and region shares; frozen, unknown keys refused.

Reading and checking policies lives here, and the one that stands in where the user gives none. Verdicts
are drawn in `judge`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from audit.errors import ConfigError, nearest
from audit.fairness import METRICS

__all__ = ["REGION_SHARE", "DefaultPolicy", "Policy", "Rule", "default_policy", "load_policy", "parse_policy"]

REGION_SHARE = "region_share"
JUDGED_METRICS = (*(name for name, metric in METRICS.items() if metric.is_rate), REGION_SHARE)
METHODS = ("saliency", "gradient_x_input", "grad_cam")
JUDGED_METHODS = ("saliency", "gradient_x_input")
"""Methods whose region shares the default policy judges; why Grad-CAM is not among them: decision 5."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Rule(_Section):
    """One rule: a metric, compared across the groups of an attribute, against a tolerance."""

    id: str = Field(default="", description="Name of the rule; METRIC-ATTRIBUTE by default.")
    metric: str = Field(description="A rate of table `groups`, or region_share.")
    class_name: str | None = Field(
        default=None,
        alias="class",
        description="Class of a metric about one class; the positive class by default.",
    )
    attribute: str = Field(
        description="Attribute, or several joined by ' x '; overall for a floor over everybody or a region."
    )
    compare: Literal["range", "ratio", "reference", "overall", "floor", "excess"] = Field(
        description=(
            "range: best minus worst group. ratio: smallest over largest. reference: worst group against one "
            "group. overall: worst group against everybody else. floor: worst group's own value (a ceiling "
            "where lower is better). excess: attribution on a region over the region's area."
        )
    )
    reference: str | None = Field(default=None, description="The group that `compare: reference` compares with.")
    tolerance: float = Field(description="Largest gap allowed; for ratio and floor the smallest value allowed.")
    warn: float | None = Field(default=None, description="A pass whose interval reaches past this is a warning.")
    alpha: float = Field(default=0.05, gt=0, lt=0.5, description="One minus the level of the interval.")
    judge: Literal["interval", "point"] = Field(
        default="interval", description="point judges the observed value alone; findings say so."
    )
    min_n: int = Field(default=10, ge=1, description="Smallest number of clusters (images) a group needs.")
    small_groups: Literal["exclude_and_list", "block"] = "exclude_and_list"
    correction: Literal["holm", "none"] = "holm"
    tier: Literal["required", "supporting", "informational"] = Field(description="What hangs on the rule.")
    rationale: str = Field(default="", description="Why this rule, why this number.")
    region: str | None = Field(default=None, description="Region of a region_share rule.")
    method: str | None = Field(default=None, description="Explanation method of a region_share rule.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        for problem in _rule_problems(self):
            raise ValueError(problem)
        if not self.id:
            object.__setattr__(self, "id", f"{self.metric}-{self.attribute}")
        return self

    @property
    def bad(self) -> Literal["above", "below"]:
        """On which side of the tolerance the trouble lies."""
        ceiling = self.metric in METRICS and METRICS[self.metric].direction == "lower"
        return "below" if self.compare == "ratio" or (self.compare == "floor" and not ceiling) else "above"


def _rule_problems(rule: Rule) -> Iterable[str]:
    if rule.metric not in JUDGED_METRICS:
        known = "has no interval to judge by" if rule.metric in METRICS else "is unknown"
        yield (
            f"metric '{rule.metric}' {known}, allowed: {', '.join(JUDGED_METRICS)}."
            f"{nearest(rule.metric, JUDGED_METRICS)}"
        )
        return
    if (rule.metric == REGION_SHARE) != (rule.compare == "excess"):
        yield "metric region_share goes with compare excess, and only with it"
    if (rule.metric == REGION_SHARE) != (rule.region is not None and rule.method is not None):
        yield "'region' and 'method' are needed for metric region_share, and only there"
    if rule.metric == REGION_SHARE and rule.attribute != "overall":
        yield f"metric region_share is judged over everybody: attribute is '{rule.attribute}', allowed: overall"
    if rule.attribute == "overall" and rule.compare not in ("floor", "excess"):
        yield f"attribute overall has one group: compare is '{rule.compare}', allowed: floor, excess"
    if (rule.compare == "reference") != (rule.reference is not None):
        yield "'reference' names the group of compare reference; it is needed there, and only there"
    if rule.class_name is not None and not (rule.metric in METRICS and METRICS[rule.metric].per_class):
        yield f"'class' has no meaning for metric '{rule.metric}'"
    most = float("inf") if rule.compare == "excess" else 1.0
    if not 0 <= rule.tolerance <= most:
        yield f"tolerance is {rule.tolerance}, allowed: 0 to {most:g}"
    if rule.warn is not None and (rule.warn > rule.tolerance if rule.bad == "above" else rule.warn < rule.tolerance):
        side = "at most" if rule.bad == "above" else "at least"
        yield f"warn is {rule.warn}, allowed: {side} the tolerance {rule.tolerance}"


class Policy(_Section):
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


class DefaultPolicy(Policy):
    """What is judged where the user gives no policy; nobody has approved it. May be without rules."""

    rules: tuple[Rule, ...] = ()


def load_policy(path: Path) -> Policy:
    """Read a policy from a YAML file.

    Raises
    ------
    ConfigError
        The file is missing or not YAML, a key is unknown or a value is not allowed.
    """
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot be read: {error}", where=str(path), fix="check the path") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"is not valid YAML: {' '.join(str(error).split())}", where=str(path)) from error
    return parse_policy(content, where=str(path))


def parse_policy(content: object, *, where: str = "policy") -> Policy:
    """Check a mapping against `Policy`; one error that lists every problem.

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
    path = problem["loc"]
    key = ".".join(str(part) for part in path)
    if problem["type"] == "extra_forbidden":
        kind = Rule if "rules" in path else Policy
        allowed = [field.alias or name for name, field in kind.model_fields.items()]
        return f"unknown key '{key}'; allowed: {', '.join(allowed)}.{nearest(str(path[-1]), allowed)}"
    if problem["type"] == "missing":
        return f"key '{key}' is missing"
    if problem["type"] == "literal_error":
        allowed = [word.strip("'") for word in problem["ctx"]["expected"].replace(" or ", ", ").split(", ")]
        near = nearest(str(problem["input"]), allowed)
        return f"'{key}' is {problem['input']!r}, allowed: {', '.join(allowed)}.{near}"
    message = problem["msg"].removeprefix("Value error, ")
    return f"'{key}': {message}" if key else message


def default_policy(
    attributes: Sequence[str],
    positive: str | None = None,
    should_not_matter: Sequence[str] = (),
    methods: Sequence[str] = JUDGED_METHODS,
    excess: float = 1.0,
) -> DefaultPolicy:
    """What is judged where the user gives no policy.

    Parameters
    ----------
    attributes : sequence of str
        For each one the range of accuracy (tolerance 0.05) and, with a positive class, of its true and
        false positive rate (tolerance 0.10). Intersections are shown in tables, not judged.
    positive : str, optional
        The declared positive class.
    should_not_matter : sequence of str
        Regions on which the decision should not rest: attribution on each, by each method, may draw at
        most `excess` times the region's share of the image.
    methods : sequence of str
        Explanation methods of the run; those in `JUDGED_METHODS` are judged.
    excess : float
        Tolerance of the region rules; an even map draws 1 times the region's share of the image.

    Returns
    -------
    DefaultPolicy
        Every rule supporting.
    """
    rules = []
    for attribute in attributes:
        kinds: list[tuple[str, float]] = [("accuracy", 0.05)]
        if positive is not None:
            kinds += [("true_positive_rate", 0.10), ("false_positive_rate", 0.10)]
        rules += [
            Rule(
                metric=metric,
                class_name=positive if METRICS[metric].per_class else None,
                attribute=attribute,
                compare="range",
                tolerance=tolerance,
                tier="supporting",
                rationale="default of faircam, used where no policy is given",
            )
            for metric, tolerance in kinds
        ]
    rules += [
        Rule(
            id=f"{REGION_SHARE}-{region}-{method}",
            metric=REGION_SHARE,
            attribute="overall",
            compare="excess",
            region=region,
            method=method,
            tolerance=excess,
            tier="supporting",
            rationale="the data's owner says that this region should not matter",
        )
        for region in should_not_matter
        for method in methods
        if method in JUDGED_METHODS
    ]
    return DefaultPolicy(name="default", rules=tuple(rules))
