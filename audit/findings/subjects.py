"""The metrics that a rule may name, each with its words; what is computed of them lives in `audit.fairness`."""

from __future__ import annotations

from audit.fairness import METRICS, Metric
from audit.fairness.gaps import COMPARABLE

__all__ = ["INTERVENTION_EFFECT", "JUDGED_METRICS", "ODDS", "REGION_METRICS", "REGION_SHARE", "describe"]

REGION_SHARE, INTERVENTION_EFFECT = "region_share", "intervention_effect"

REGION_METRICS = (REGION_SHARE, INTERVENTION_EFFECT)
"""Metrics of a region of the image: attribution on it, and what hiding it changes."""

ODDS = ("equalised_odds", "average_odds")
"""Criteria over two rates at once, so that only their range (and mean) is defined."""


def _criterion(name: str, words: str, does_not_show: str) -> Metric:
    return Metric(
        name=name,
        words=words,
        counted="images",
        direction=None,
        bounds=(0.0, 1.0),
        per_class=True,
        undefined="fewer than two groups have images of the class and of others",
        does_not_show=does_not_show,
    )


_CRITERIA = {
    "equalised_odds": _criterion(
        "equalised_odds",
        "true or false positive rate of class '{class}', whichever lies further apart between groups,",
        "whether the images of the groups are equally hard",
    ),
    "average_odds": _criterion(
        "average_odds",
        "mean of true and false positive rate of class '{class}'",
        "gaps of opposite sign in the two rates: they cancel in it",
    ),
}


JUDGED_METRICS = (*COMPARABLE, *REGION_METRICS)
"""Metrics with an interval to judge by."""


def describe(name: str) -> Metric:
    """Definition of a metric that a rule may name, the criteria over two rates included.

    Parameters
    ----------
    name : str
        One of `JUDGED_METRICS`, but none of `REGION_METRICS`, which are no metrics of labels and predictions.
    """
    return METRICS[name] if name in METRICS else _CRITERIA[name]
