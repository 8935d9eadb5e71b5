"""The ways in which groups are set against each other on one rate, each with a joint interval.

Which way is asked for, and which groups take part, is decided in `comparisons`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np

from audit.fairness.intervals import Floats, mover_difference, mover_ratio
from audit.fairness.metrics import Direction
from audit.fairness.rates import GroupRates

__all__ = ["Comparison", "Excluded", "Interval", "Side", "no_comparison", "unit_variances"]

Excluded = tuple[tuple[str, int], ...]
Interval = tuple[float, float]
Side = Literal["above", "below"]
Test = Callable[[GroupRates], float]


@dataclass(frozen=True)
class Comparison:
    """Groups compared on one rate.

    Parameters
    ----------
    value : float
        The observed comparison; NaN where it is undefined.
    group, reference : str, optional
        The group served worse, and what it is compared with.
    bad : {"above", "below"}
        On which side of a tolerance the trouble lies.
    interval : callable
        From alpha to the bounds of the value, valid for all groups taken together.
    taken_together : int
        How many single intervals that joins (Bonferroni).
    method : str
        How the interval is made.
    p : float
        Permutation p-value of no difference at all; NaN for a floor, which tests none.
    status : str
        ``ok``, ``undefined`` (fewer than two groups have a denominator) or ``too_few_clusters``.
    excluded : tuple of (str, int)
        Groups left out as too small, with their clusters (images where there are none).
    arms : GroupRates
        Rates of the group and the reference, in this order.
    unit_variance : float
        Variance of the value if each group had one image (cluster), for planning; of the logarithm for a
        ratio.
    """

    value: float
    group: str | None
    reference: str | None
    bad: Side
    interval: Callable[[float], Interval]
    taken_together: int
    method: str
    p: float
    status: str
    excluded: Excluded
    arms: GroupRates
    unit_variance: float


def no_comparison(rates: GroupRates, status: str, excluded: Excluded = ()) -> Comparison:
    """A comparison that could not be made, and why."""
    nan = float("nan")
    return Comparison(nan, None, None, "above", lambda _: (nan, nan), 0, "none", nan, status, excluded, rates, nan)


def _ends(rates: GroupRates, direction: Direction | None) -> tuple[int, int]:
    """Positions of the group served worst and of the one served best."""
    low, high = int(np.argmin(rates.rate)), int(np.argmax(rates.rate))
    if low == high:
        high = (low + 1) % len(rates.groups)
    return (high, low) if direction == "lower" else (low, high)


def _name(rates: GroupRates, plain: str, count: int) -> str:
    base = "mover_korn_graubard" if rates.dependent.any() else "mover_paired" if rates.mixed else plain
    return base + ("_bonferroni" if count > 1 else "")


def _finish(
    rates: GroupRates,
    ends: tuple[int, int],
    value: float,
    interval: Callable[[float], Interval],
    *,
    count: int,
    method: str,
    p: float,
    bad: Side = "above",
    unit_variance: float | None = None,
) -> Comparison:
    group, reference = (rates.groups[place] for place in ends)
    arms = rates.only([group, reference])
    status = "too_few_clusters" if np.isnan(interval(0.05)[0]) else "ok"
    spread = float(unit_variances(arms).sum()) if unit_variance is None else unit_variance
    return Comparison(value, group, reference, bad, interval, count, method, p, status, (), arms, spread)


def unit_variances(rates: GroupRates) -> Floats:
    """Variance of each group's rate times its clusters (images where there are none), kept above 0."""
    size = np.maximum(rates.clusters, 1).astype(np.float64)
    smooth = (rates.rate * size + 1) / (size + 2)
    between = np.where(rates.dependent, np.nan_to_num(rates.variance) * size, 0.0)
    return np.where(between > 0, between, smooth * (1 - smooth))


def _differences(rates: GroupRates, first: list[int], second: list[int], alpha: float) -> tuple[Floats, Floats]:
    """Simultaneous intervals of ``first - second``, one a pair."""
    low, high = rates.score_intervals(alpha / len(first))
    arms = [(rates.rate[place], low[place], high[place]) for place in (first, second)]
    return mover_difference(arms[0], arms[1], rates.correlation[first, second])


def _absolute(low: Floats, high: Floats) -> tuple[Floats, Floats]:
    return np.maximum(np.maximum(low, -high), 0.0), np.maximum(high, -low)


def _widest(low: Floats, high: Floats) -> Interval:
    """Bounds of the largest of several values; NaN where one of them has none."""
    return float(np.max(low)), float(np.max(high))


def range_of(rates: GroupRates, direction: Direction | None, test: Test) -> Comparison:
    """Largest minus smallest rate, with simultaneous pairwise intervals."""
    worst, best = _ends(rates, direction)
    first, second = (list(side) for side in zip(*combinations(range(len(rates.groups)), 2), strict=True))

    def interval(alpha: float) -> Interval:
        return _widest(*_absolute(*_differences(rates, first, second, alpha)))

    value = float(rates.rate.max() - rates.rate.min())
    method = _name(rates, "newcombe", len(first))
    return _finish(rates, (worst, best), value, interval, count=len(first), method=method, p=test(rates))


def ratio_of(rates: GroupRates, direction: Direction | None, test: Test) -> Comparison:
    """Smallest over largest rate, with simultaneous pairwise intervals; undefined where all are 0."""
    if not rates.count.any():
        return no_comparison(rates, "undefined")
    worst, best = _ends(rates, direction)
    first, second = (list(side) for side in zip(*combinations(range(len(rates.groups)), 2), strict=True))

    def interval(alpha: float) -> Interval:
        low, high = rates.score_intervals(alpha / len(first))
        if np.isnan(low).any():
            return float("nan"), float("nan")
        arms = [(rates.rate[place], low[place], high[place]) for place in (first, second)]
        lower, upper = mover_ratio(arms[0], arms[1], rates.correlation[first, second])
        with np.errstate(divide="ignore"):
            turned = 1 / upper, 1 / lower
        # The smaller over the larger of the two, whichever is which.
        least = np.where(upper < 1, lower, np.where(lower > 1, turned[0], np.minimum(lower, turned[0])))
        most = np.where(upper < 1, upper, np.where(lower > 1, turned[1], 1.0))
        blank = np.isnan(lower)
        return float(np.where(blank, 0.0, least).min()), float(np.where(blank, 1.0, most).min())

    smooth = (rates.rate * rates.clusters + 1) / (rates.clusters + 2)
    spread = (unit_variances(rates) / smooth**2)[[worst, best]].sum()
    return _finish(
        rates,
        (worst, best),
        float(rates.rate.min() / rates.rate.max()),
        interval,
        count=len(first),
        method=_name(rates, "mover_ratio", len(first)),
        p=test(rates),
        bad="below",
        unit_variance=float(spread),
    )


def _shortfalls(low: Floats, high: Floats, direction: Direction | None) -> tuple[Floats, Floats]:
    """Turn intervals of ``other - group`` into how much worse the group is."""
    if direction is None:
        return _absolute(low, high)
    return (low, high) if direction == "higher" else (-high, -low)


def against_of(rates: GroupRates, direction: Direction | None, test: Test, reference: str) -> Comparison:
    """How much worse than `reference` the worst other group is."""
    base = rates.groups.index(reference)
    others = [place for place in range(len(rates.groups)) if place != base]

    def interval(alpha: float) -> Interval:
        bounds = _differences(rates, [base] * len(others), others, alpha)
        return _widest(*_shortfalls(*bounds, direction))

    difference = rates.rate[base] - rates.rate[others]
    worse = _shortfalls(difference, difference, direction)[0]
    place = others[int(np.argmax(worse))]
    tests = [test(rates.only([rates.groups[other], rates.groups[base]])) for other in others]
    return _finish(
        rates,
        (place, base),
        float(worse.max()),
        interval,
        count=len(others),
        method=_name(rates, "newcombe", len(others)),
        p=min(1.0, min(tests) * len(others)),
    )


def overall_of(rates: GroupRates, judged: tuple[str, ...], direction: Direction | None, test: Test) -> Comparison:
    """How much worse than everybody else the worst of the `judged` groups is."""
    splits = [rates.against_rest(name) for name in judged]

    def interval(alpha: float) -> Interval:
        bounds = [_differences(split, [1], [0], alpha / len(splits)) for split in splits]
        low, high = (np.concatenate(side) for side in zip(*bounds, strict=True))
        return _widest(*_shortfalls(low, high, direction))

    difference = np.array([split.rate[1] - split.rate[0] for split in splits])
    worse = _shortfalls(difference, difference, direction)[0]
    arms = splits[int(np.argmax(worse))]
    own, rest = unit_variances(arms)
    method = _name(arms, "newcombe", len(splits))
    p = min(1.0, min(test(split) for split in splits) * len(splits))
    spread = float(own + rest * arms.clusters[0] / arms.clusters[1])
    return _finish(
        arms,
        (0, 1),
        float(worse.max()),
        interval,
        count=len(splits),
        method=method,
        p=p,
        unit_variance=spread,
    )


def floor_of(rates: GroupRates, direction: Direction | None) -> Comparison:
    """The worst group's own rate."""
    ceiling = direction == "lower"
    choose, place = (np.max, int(np.argmax(rates.rate))) if ceiling else (np.min, int(np.argmin(rates.rate)))

    def interval(alpha: float) -> Interval:
        low, high = rates.intervals(alpha / len(rates.groups))
        return float(choose(low)), float(choose(high))

    arms = rates.only([rates.groups[place]])
    method = "korn_graubard" if rates.dependent.any() else "clopper_pearson"
    status = "too_few_clusters" if np.isnan(interval(0.05)[0]) else "ok"
    return Comparison(
        float(rates.rate[place]),
        arms.groups[0],
        None,
        "above" if ceiling else "below",
        interval,
        len(rates.groups),
        method + ("_bonferroni" if len(rates.groups) > 1 else ""),
        float("nan"),
        status,
        (),
        arms,
        float(unit_variances(arms)[0]),
    )
