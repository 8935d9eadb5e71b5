"""The policy that stands in where the user gives none; nobody has approved it."""

from __future__ import annotations

from collections.abc import Sequence

from audit.fairness import METRICS
from audit.findings.policy import Policy, Rule
from audit.findings.subjects import INTERVENTION_EFFECT, REGION_SHARE

__all__ = ["JUDGED_METHODS", "DefaultPolicy", "default_policy"]

JUDGED_METHODS = ("saliency", "gradient_x_input")
"""Methods whose region shares the default policy judges; why Grad-CAM is not among them: decision 5."""


class DefaultPolicy(Policy):
    """What is judged where the user gives no policy; nobody has approved it. May be without rules."""

    rules: tuple[Rule, ...] = ()


def default_policy(
    attributes: Sequence[str],
    positive: str | None = None,
    should_not_matter: Sequence[str] = (),
    methods: Sequence[str] = JUDGED_METHODS,
    excess: float = 1.0,
    *,
    interventions: bool = False,
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
    interventions : bool
        Whether regions were hidden to see what changes: then hiding a region that should not matter may change at
        most 0.05 more of the predictions than hiding as large an area elsewhere.

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
    if interventions:
        rules += [_intervention_rule(region) for region in should_not_matter]
    return DefaultPolicy(name="default", rules=tuple(rules))


def _intervention_rule(region: str) -> Rule:
    return Rule(
        id=f"{INTERVENTION_EFFECT}-{region}",
        metric=INTERVENTION_EFFECT,
        attribute="overall",
        compare="floor",
        region=region,
        tolerance=0.05,
        tier="supporting",
        rationale="the data's owner says that this region should not matter",
    )
