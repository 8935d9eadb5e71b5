"""The ways in which groups are set against each other on one metric, each with a joint interval.

Which way is asked for, and which groups take part, is decided in `comparisons`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from audit.fairness.estimates import Estimates
from audit.fairness.intervals import Floats, mover_ratio
from audit.fairness.joint import WIDTH, Family, all_pairs
from audit.fairness.metrics import Direction
from audit.fairness.rates import GroupRates

__all__ = [
    "Comparison",
    "Excluded",
    "Interval",
    "Side",
    "Test",
    "absolute",
    "bonferroni",
    "family",
    "finish",
    "joint_name",
    "no_comparison",
    "unit_variances",
    "widest",
]

Excluded = tuple[tuple[str, int], ...]
Interval = tuple[float, float]
Side = Literal["above", "below"]
Arm = tuple[str, float, float, float]
Test = Callable[[GroupRates], float]


@dataclass(frozen=True)
class Comparison:
    """Groups compared on one metric.

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
        How many single intervals that joins.
    method : str
        How the interval is made.
    p : float
        P-value of no difference at all; NaN for a floor, which tests none.
    status : str
        ``ok``, ``undefined`` (fewer than two groups have a denominator) or ``too_few_clusters``.
    excluded : tuple of (str, int)
        Groups left out as too small, with their clusters (images where there are none).
    arms : GroupRates, optional
        Rates of the group and the reference, in this order; None for a metric that is no single rate.
    unit_variance : float
        Variance of the value if each group had one image (cluster), for planning; of the logarithm for a
        ratio.
    sides : tuple of (str, float, float, float)
        Name, value and 95 % interval of the group and the reference, each for itself.
    smallest : int
        Images (clusters) in the smaller of the two.
    clustered : bool
        Whether clusters are what is counted.
    deviation : float
        Standard deviation of the difference of the two, from the widths of their intervals.
    level : callable, optional
        From alpha to that of one of the intervals taken together, for planning.
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
    arms: GroupRates | None
    unit_variance: float
    sides: tuple[Arm, ...] = ()
    smallest: int = 0
    clustered: bool = False
    deviation: float = float("nan")
    level: Callable[[float], float] = lambda alpha: alpha


def no_comparison(status: str, excluded: Excluded = ()) -> Comparison:
    """A comparison that could not be made, and why."""
    nan = float("nan")
    return Comparison(nan, None, None, "above", lambda _: (nan, nan), 0, "none", nan, status, excluded, None, nan)


def _ends(found: Estimates, direction: Direction | None) -> tuple[int, int]:
    """Positions of the group served worst and of the one served best."""
    low, high = int(np.argmin(found.rate)), int(np.argmax(found.rate))
    if low == high:
        high = (low + 1) % len(found.groups)
    return (high, low) if direction == "lower" else (low, high)


def joint_name(found: Estimates, plain: str, count: int, joint: str = "max_t") -> str:
    """Name of an interval of a contrast, or of several together."""
    if not isinstance(found, GroupRates):
        base = "mover_effective_size"
    else:
        base = "mover_korn_graubard" if found.dependent.any() else "mover_paired" if found.mixed else plain
    return f"{base}_{joint}" if count > 1 else base


def family(found: Estimates, contrasts: Floats) -> Family:
    """Contrasts of the groups' estimates, to be judged together."""
    return Family(contrasts, found.rate, found.score_intervals, found.correlation)


def finish(
    found: Estimates,
    ends: tuple[int, int],
    value: float,
    interval: Callable[[float], Interval],
    *,
    count: int,
    method: str,
    p: float,
    bad: Side = "above",
    unit_variance: float | None = None,
    level: Callable[[float], float] = lambda alpha: alpha,
) -> Comparison:
    """Put a comparison together; without a p-value it is the smallest alpha whose interval leaves 0 out."""
    two = found.only([found.groups[place] for place in ends])
    low, high = two.intervals(0.05)
    columns = (two.groups, two.rate.tolist(), low.tolist(), high.tolist())
    return Comparison(
        value,
        two.groups[0],
        two.groups[1],
        bad,
        interval,
        count,
        method,
        p,
        "too_few_clusters" if np.isnan(interval(0.05)[0]) else "ok",
        (),
        two if isinstance(two, GroupRates) else None,
        float(unit_variances(two).sum()) if unit_variance is None else unit_variance,
        tuple(zip(*columns, strict=True)),
        int(two.clusters.min()),
        bool(two.dependent.any()),
        float(np.sqrt(((high - low) ** 2).sum()) / WIDTH),
        level,
    )


def unit_variances(found: Estimates) -> Floats:
    """Variance of each group's value times its clusters (images where there are none), kept above 0."""
    size = np.maximum(found.clusters, 1).astype(np.float64)
    smooth = (found.rate * size + 1) / (size + 2)
    measured = np.nan_to_num(found.variance) * size
    if isinstance(found, GroupRates):
        measured = np.where(found.dependent, measured, 0.0)
    return np.where(measured > 0, measured, smooth * (1 - smooth))


def absolute(low: Floats, high: Floats) -> tuple[Floats, Floats]:
    """Bounds of absolute values from those of signed ones."""
    return np.maximum(np.maximum(low, -high), 0.0), np.maximum(high, -low)


def widest(low: Floats, high: Floats) -> Interval:
    """Bounds of the largest of several values, at most 1; NaN where one of them has none."""
    return float(np.clip(np.max(low), -1, 1)), float(np.clip(np.max(high), -1, 1))


def range_of(found: Estimates, direction: Direction | None, test: Test) -> Comparison:
    """Largest minus smallest value, with simultaneous pairwise intervals."""
    joint = family(found, all_pairs(len(found.groups)))
    count = len(joint.contrasts)
    return finish(
        found,
        _ends(found, direction),
        float(found.rate.max() - found.rate.min()),
        lambda alpha: widest(*absolute(*joint.bounds(alpha))),
        count=count,
        method=joint_name(found, "newcombe", count),
        p=_p(found, test),
        level=joint.level,
    )


def _p(found: Estimates, test: Test) -> float:
    """P-value of a permutation test where counts can be permuted; NaN elsewhere."""
    return test(found) if isinstance(found, GroupRates) else float("nan")


def ratio_of(found: Estimates, direction: Direction | None, test: Test) -> Comparison:
    """Smallest over largest value, with pairwise intervals at Bonferroni's level; undefined where all are 0."""
    if not found.rate.any():
        return no_comparison("undefined")
    worst, best = _ends(found, direction)
    pairs = all_pairs(len(found.groups))
    first, second = np.argmax(pairs, axis=1), np.argmin(pairs, axis=1)

    def interval(alpha: float) -> Interval:
        low, high = found.score_intervals(alpha / len(pairs))
        if np.isnan(low).any():
            return float("nan"), float("nan")
        arms = [(found.rate[place], low[place], high[place]) for place in (first, second)]
        lower, upper = mover_ratio(arms[0], arms[1], found.correlation[first, second])
        with np.errstate(divide="ignore"):
            turned = 1 / upper, 1 / lower
        # The smaller over the larger of the two, whichever is which.
        least = np.where(upper < 1, lower, np.where(lower > 1, turned[0], np.minimum(lower, turned[0])))
        most = np.where(upper < 1, upper, np.where(lower > 1, turned[1], 1.0))
        blank = np.isnan(lower)
        return float(np.where(blank, 0.0, least).min()), float(np.where(blank, 1.0, most).min())

    smooth = (found.rate * found.clusters + 1) / (found.clusters + 2)
    spread = (unit_variances(found) / smooth**2)[[worst, best]].sum()
    return finish(
        found,
        (worst, best),
        float(found.rate.min() / found.rate.max()),
        interval,
        count=len(pairs),
        method=joint_name(found, "mover_ratio", len(pairs), "bonferroni"),
        p=_p(found, test),
        bad="below",
        unit_variance=float(spread),
        level=lambda alpha: alpha / len(pairs),
    )


def bonferroni(ps: Sequence[float]) -> float:
    """P-value of the least of several, corrected for their number; NaN where one is unknown."""
    return float(np.minimum(1.0, np.min(ps) * len(ps)))


def _shortfalls(low: Floats, high: Floats, direction: Direction | None) -> tuple[Floats, Floats]:
    """Turn intervals of ``other - group`` into how much worse the group is."""
    if direction is None:
        return absolute(low, high)
    return (low, high) if direction == "higher" else (-high, -low)


def against_of(found: Estimates, direction: Direction | None, test: Test, reference: str) -> Comparison:
    """How much worse than `reference` the worst other group is."""
    base = found.groups.index(reference)
    others = [place for place in range(len(found.groups)) if place != base]
    contrasts = -np.eye(len(found.groups))[others]
    contrasts[:, base] = 1.0
    joint = family(found, contrasts)
    worse = _shortfalls(joint.values, joint.values, direction)[0]
    tests = [_p(found.only([found.groups[other], found.groups[base]]), test) for other in others]
    return finish(
        found,
        (others[int(np.argmax(worse))], base),
        float(worse.max()),
        lambda alpha: widest(*_shortfalls(*joint.bounds(alpha), direction)),
        count=len(others),
        method=joint_name(found, "newcombe", len(others)),
        p=bonferroni(tests),
        level=joint.level,
    )


def overall_of(splits: Sequence[Estimates], direction: Direction | None, test: Test) -> Comparison:
    """How much worse than everybody else the worst of several groups is; one split (group, rest) each.

    The splits share images, so their intervals are joined at Bonferroni's level.
    """
    joints = [family(split, np.array([[-1.0, 1.0]])) for split in splits]
    difference = np.array([split.rate[1] - split.rate[0] for split in splits])
    worse = _shortfalls(difference, difference, direction)[0]
    arms = splits[int(np.argmax(worse))]
    own, rest = unit_variances(arms)

    def interval(alpha: float) -> Interval:
        bounds = [joint.bounds(alpha / len(splits)) for joint in joints]
        low, high = (np.concatenate(side) for side in zip(*bounds, strict=True))
        return widest(*_shortfalls(low, high, direction))

    return finish(
        arms,
        (0, 1),
        float(worse.max()),
        interval,
        count=len(splits),
        method=joint_name(arms, "newcombe", len(splits), "bonferroni"),
        p=bonferroni([_p(split, test) for split in splits]),
        unit_variance=float(own + rest * arms.clusters[0] / arms.clusters[1]),
        level=lambda alpha: alpha / len(splits),
    )


def floor_of(found: Estimates, direction: Direction | None) -> Comparison:
    """The worst group's own value, with the groups' intervals at Bonferroni's level."""
    ceiling = direction == "lower"
    choose, place = (np.max, int(np.argmax(found.rate))) if ceiling else (np.min, int(np.argmin(found.rate)))
    one = found.only([found.groups[place]])
    count = len(found.groups)

    def interval(alpha: float) -> Interval:
        low, high = found.intervals(alpha / count)
        return float(choose(low)), float(choose(high))

    method = "korn_graubard" if found.dependent.any() else "clopper_pearson"
    if not isinstance(found, GroupRates):
        method = "effective_size"
    low, high = one.intervals(0.05)
    return Comparison(
        float(found.rate[place]),
        one.groups[0],
        None,
        "above" if ceiling else "below",
        interval,
        count,
        method + ("_bonferroni" if count > 1 else ""),
        float("nan"),
        "too_few_clusters" if np.isnan(interval(0.05)[0]) else "ok",
        (),
        one if isinstance(one, GroupRates) else None,
        float(unit_variances(one)[0]),
        ((one.groups[0], float(one.rate[0]), float(low[0]), float(high[0])),),
        int(one.clusters[0]),
        bool(one.dependent.any()),
        level=lambda alpha: alpha / count,
    )
