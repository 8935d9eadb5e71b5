"""Criteria made of two rates: equalised odds and average odds, over the true and the false positive rate.

The two rates of a class rest on different images, but may share clusters; their contrasts are joined as those
of one rate are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from audit.fairness.contrasts import (
    Comparison,
    Interval,
    absolute,
    bonferroni,
    no_comparison,
    unit_variances,
    widest,
)
from audit.fairness.intervals import Floats
from audit.fairness.joint import Family, all_pairs
from audit.fairness.rates import GroupRates, cluster_correlation

__all__ = ["COMPOSITES", "average_odds", "equalised_odds"]

COMPOSITES = ("equalised_odds", "average_odds")
"""Criteria over the true and the false positive rate of a class; compared by range."""

Pair = tuple[GroupRates, GroupRates]


def equalised_odds(rates: Pair, ps: Sequence[float], how: Literal["max", "mean"] = "max") -> Comparison:
    """Equalised odds difference: the larger, or the mean, of the ranges of true and false positive rate.

    Parameters
    ----------
    rates : (GroupRates, GroupRates)
        True and false positive rate of the same groups, each group with a denominator for both.
    ps : sequence of float
        P-values of the permutation tests of the two rates.
    how : {"max", "mean"}
        The larger of the two ranges (Hardt et al. 2016), or their mean.

    Returns
    -------
    Comparison
        The interval joins all pairs of groups in both rates (max-T). For the mean it is half the sum of
        the two ranges' joint bounds, which errs on the side of width. ``p`` is Bonferroni's over the
        two permutation tests.
    """
    size = len(rates[0].groups)
    pairs = all_pairs(size)
    none = np.zeros_like(pairs)
    joint = _family(rates, np.block([[pairs, none], [none, pairs]]))
    half = len(pairs)
    ranges = [float(part.rate.max() - part.rate.min()) for part in rates]

    def interval(alpha: float) -> Interval:
        low, high = absolute(*joint.bounds(alpha))
        if how == "max":
            return widest(low, high)
        both = [widest(low[part], high[part]) for part in (slice(half), slice(half, None))]
        return (both[0][0] + both[1][0]) / 2, (both[0][1] + both[1][1]) / 2

    part = int(ranges[1] > ranges[0])
    one = rates[part]
    low, high = one.intervals(0.05)
    ends = [int(np.argmin(one.rate)), int(np.argmax(one.rate))][:: -1 if part else 1]
    if np.isnan(interval(0.05)[0]):
        return no_comparison("too_few_clusters")
    return Comparison(
        max(ranges) if how == "max" else sum(ranges) / 2,
        one.groups[ends[0]],
        one.groups[ends[1]],
        "above",
        interval,
        len(joint.contrasts),
        _method(rates, len(joint.contrasts)),
        bonferroni(ps),
        "ok",
        (),
        None,
        float(unit_variances(one)[ends].sum()),
        tuple((one.groups[end], float(one.rate[end]), float(low[end]), float(high[end])) for end in ends),
        int(one.clusters[ends].min()),
        _repeated(rates),
        float(np.linalg.norm(joint.spread.reshape(2, size)[part, ends])),
        joint.level,
    )


def average_odds(rates: Pair) -> Comparison:
    """Average odds difference: the largest, over pairs of groups, of half the summed differences of both rates.

    Parameters
    ----------
    rates : (GroupRates, GroupRates)
        True and false positive rate of the same groups.

    Returns
    -------
    Comparison
        As in Bellamy et al. (2018), with its sign taken off. A group that is selected more often in both
        rates has a large one; errors of opposite kinds cancel in it.
    """
    size = len(rates[0].groups)
    pairs = all_pairs(size)
    joint = _family(rates, np.hstack([pairs, pairs]) / 2)
    mean = (rates[0].rate + rates[1].rate) / 2
    values = np.abs(joint.values)
    if np.isnan(joint.bounds(0.05)[0]).any():
        return no_comparison("too_few_clusters")
    chosen = int(np.argmax(values))
    first, second = int(np.argmax(pairs[chosen])), int(np.argmin(pairs[chosen]))
    ends = [second, first] if joint.values[chosen] > 0 else [first, second]
    units = sum(unit_variances(part)[ends].sum() for part in rates) / 4
    return Comparison(
        float(values.max()),
        rates[0].groups[ends[0]],
        rates[0].groups[ends[1]],
        "above",
        lambda alpha: widest(*absolute(*joint.bounds(alpha))),
        len(pairs),
        _method(rates, len(pairs)),
        float("nan"),
        "ok",
        (),
        None,
        float(units),
        tuple((rates[0].groups[end], float(mean[end]), float("nan"), float("nan")) for end in ends),
        min(int(part.clusters[ends].min()) for part in rates),
        _repeated(rates),
        float(joint.deviations[chosen]),
        joint.level,
    )


def _method(rates: Pair, count: int) -> str:
    name = "mover_korn_graubard" if _repeated(rates) else "mover_paired" if rates[0].mixed else "newcombe"
    return f"{name}_max_t" if count > 1 else name


def _repeated(rates: Pair) -> bool:
    """Whether clusters, not images, are what is counted."""
    return any(bool(part.dependent.any()) for part in rates)


def _family(rates: Pair, contrasts: Floats) -> Family:
    """Contrasts over both rates' groups, the true positive rates first."""

    def limits(alpha: float) -> tuple[Floats, Floats]:
        bounds = [part.score_intervals(alpha) for part in rates]
        return np.concatenate([low for low, _ in bounds]), np.concatenate([high for _, high in bounds])

    values = np.concatenate([part.rate for part in rates])
    return Family(contrasts, values, limits, cluster_correlation(rates))
