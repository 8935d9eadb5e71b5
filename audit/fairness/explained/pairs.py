"""Differences of means between every two groups, plain or within strata, with intervals that hold for all pairs.

Tests are in `permuted`; what is made of both, in `gaps`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import special

from audit.fairness.explained.means import one_hot, widened
from audit.fairness.explained.values import Bools, Design
from audit.fairness.intervals import Bounds, Floats
from audit.fairness.rows import Ints

__all__ = ["PairDifferences", "pair_differences"]

ROUNDING = 1e-9
TRUSTED = 4.0
"""Degrees of freedom from which a group's own variance is good enough for Satterthwaite's formula."""


@dataclass(frozen=True)
class PairDifferences:
    """Mean of the first group minus that of the second, for every pair that has an interval.

    Parameters
    ----------
    first, second : ndarray of int64, shape (P,)
        Positions of the groups.
    value : ndarray of float64, shape (P, C)
        Differences.
    variance : ndarray of float64, shape (P, C)
        Of the differences, between clusters.
    freedom : ndarray of float64, shape (P, C)
        Degrees of freedom (Welch and Satterthwaite).
    smallest : ndarray of int64, shape (P,)
        Clusters in the smaller of the two groups.
    unit_variance : ndarray of float64, shape (P, C)
        Variance of the difference if each group had one cluster, for planning.
    width : ndarray of float64, shape (C,)
        What no difference can pass; NaN where that is not known.
    """

    first: Ints
    second: Ints
    value: Floats
    variance: Floats
    freedom: Floats
    smallest: Ints
    unit_variance: Floats
    width: Floats

    def bounds(self, alpha: float = 0.05) -> Bounds:
        """Welch's t interval of each difference at Bonferroni's level over the pairs, shape (P, C) each."""
        quantile = special.stdtrit(self.freedom, 1 - alpha / (2 * max(len(self.first), 1)))
        half = quantile * np.sqrt(self.variance)
        return self.value - half, self.value + half

    def range_bounds(self, alpha: float = 0.05) -> Bounds:
        """Interval of the largest absolute difference of each measure, shape (C,) each: the widest of the pairs'."""
        low, high = self.bounds(alpha)
        most = np.maximum(high, -low).max(axis=0)
        return np.maximum(np.maximum(low, -high), 0.0).max(axis=0), np.fmin(most, self.width)

    def largest(self) -> Ints:
        """Pair that is furthest apart on each measure, shape (C,)."""
        return np.asarray(np.abs(self.value).argmax(axis=0), dtype=np.int64)


def pair_differences(values: Floats, design: Design, bounds: Floats) -> PairDifferences:
    """Compare every two groups.

    Parameters
    ----------
    values : ndarray, shape (N, C)
        Without gaps: every image has every measure.
    design : Design
        Of the N images.
    bounds : ndarray, shape (2, C)
        As `bounds_of` gives them.

    Returns
    -------
    PairDifferences
        Without a pair that no stratum brings together, or one of whose groups has a single cluster in every such
        stratum, so that no spread is seen.

    Notes
    -----
    An image weighs one over the images of its cluster in its group, so that each cluster counts once; within one
    stratum the group's value is the mean of its cluster means. Over several, the difference is the mean of the
    strata's own, weighted by ``a b / (a + b)`` for weights a and b of the two groups (Cochran 1954): the coefficient
    of the group in a weighted regression on group and strata. Its variance comes from the sums of each cluster's
    residuals from the means of group and stratum, and is corrected, as its degrees of freedom are, for what taking
    those means has cost (Bell & McCaffrey 2002, for images alike and independent; in one stratum that is Welch's
    interval of the cluster means). Groups that share clusters get the covariance, and the smaller degrees of freedom
    of the two; so do pairs in which one has fewer than 4, where Welch's interval of 2 clusters against 20 leaves out
    the true difference in 12 % of cases. A group whose values are all the same has, where the measure is bounded, the
    variance that one more value at either bound would give it: so no small group without spread is taken for certain.
    """
    made = []
    for first, second in combinations(range(len(design.groups)), 2):
        rows = np.isin(design.group, (first, second))
        of_second = (design.group == second)[rows].astype(np.int64)
        met = _met(of_second, design.stratum[rows])
        if not met.any():
            continue
        chosen = np.flatnonzero(rows)[met]
        part = _compared(values[chosen], of_second[met], design.only(chosen), bounds)
        if part is not None:
            made.append((first, second, *part))
    if not made:
        nothing, none = np.zeros((0, values.shape[1])), np.zeros(0, np.int64)
        return PairDifferences(none, none, nothing, nothing, nothing, none, nothing, bounds[1] - bounds[0])
    first_, second_, value, variance, freedom, smallest, unit = zip(*made, strict=True)
    pairs = np.array([first_, second_], np.int64)
    numbers = [np.stack(part) for part in (value, variance, freedom)]
    least = np.array(smallest, np.int64)
    return PairDifferences(
        pairs[0], pairs[1], numbers[0], numbers[1], numbers[2], least, np.stack(unit), bounds[1] - bounds[0]
    )


def _met(of_second: Ints, stratum: Ints) -> Bools:
    """Images whose stratum holds both groups."""
    code = np.unique(stratum, return_inverse=True)[1].reshape(-1)
    size = int(code.max(initial=-1)) + 1
    both = (np.bincount(code, weights=of_second, minlength=size) > 0) & (
        np.bincount(code, weights=1 - of_second, minlength=size) > 0
    )
    return np.asarray(both[code], dtype=bool)


def _compared(
    values: Floats, of_second: Ints, design: Design, bounds: Floats
) -> tuple[Floats, Floats, Floats, int, Floats] | None:
    """Difference, variance, degrees of freedom, clusters of the smaller group, variance of one cluster."""
    stratum = np.unique(design.stratum, return_inverse=True)[1].reshape(-1)
    cluster = np.unique(design.cluster, return_inverse=True)[1].reshape(-1)
    unit = 2 * cluster + of_second
    weight = 1 / np.bincount(unit)[unit]
    mass = np.bincount(2 * stratum + of_second, weights=weight).reshape(-1, 2)
    share = mass.prod(axis=1) / mass.sum(axis=1)
    share = share / share.sum()
    sides = []
    for number in (0, 1):
        own = of_second == number
        part = weight[own] / mass[stratum[own], number]
        sides.append(_Side.of(values[own], stratum[own], cluster[own], part, share))
    if min(side.freedom for side in sides) < 1 - ROUNDING:
        return None
    spread = [widened(side.variance, side.value, np.array(side.clusters), bounds) for side in sides]
    variance, freedom = spread[0] + spread[1], np.array([side.freedom for side in sides])
    units = spread[0] * sides[0].clusters + spread[1] * sides[1].clusters
    smallest = min(side.clusters for side in sides)
    if len(np.unique(unit)) > int(cluster.max()) + 1:
        shared = (sides[0].influence(cluster) * sides[1].influence(cluster)).sum(axis=0)
        degrees = np.full(values.shape[1], float(freedom.min()))
        variance = np.maximum(variance - 2 * shared, 0.0)
    else:
        with np.errstate(invalid="ignore", divide="ignore"):
            degrees = variance**2 / (spread[0] ** 2 / freedom[0] + spread[1] ** 2 / freedom[1])
        degrees = np.where(np.isfinite(degrees) & (freedom.min() >= TRUSTED), degrees, float(freedom.min()))
    return sides[0].value - sides[1].value, variance, degrees, smallest, units


@dataclass(frozen=True)
class _Side:
    """One group of a pair: its standardised means, and what each of its clusters adds to their error."""

    value: Floats
    names: Ints
    sums: Floats
    scale: float
    freedom: float

    @classmethod
    def of(cls, values: Floats, stratum: Ints, cluster: Ints, part: Floats, share: Floats) -> _Side:
        """From its images, with the part of its stratum that each one makes up (`part` adds up to 1 in each)."""
        names, code = np.unique(cluster, return_inverse=True)
        code = code.reshape(-1)
        means = one_hot(stratum, len(share)) @ (part[:, None] * values)
        away = (share[stratum] * part)[:, None] * (values - means[stratum])
        scale, freedom = _lost(stratum, code, part, share)
        return cls(np.asarray(share @ means), names, one_hot(code, len(names)) @ away, scale, freedom)

    @property
    def clusters(self) -> int:
        return len(self.names)

    @property
    def variance(self) -> Floats:
        return np.asarray(self.scale * (self.sums**2).sum(axis=0), dtype=np.float64)

    def influence(self, cluster: Ints) -> Floats:
        """What each of these clusters adds, in units whose squares add up to the variance."""
        out = np.zeros((int(cluster.max()) + 1, self.sums.shape[1]))
        out[self.names] = np.sqrt(self.scale) * self.sums
        return out


def _lost(stratum: Ints, cluster: Ints, part: Floats, share: Floats) -> tuple[float, float]:
    """By what the squared sums of residuals fall short of the variance, and the degrees of freedom they have.

    If images were alike and independent, the clusters' sums would have the covariance ``M = D - P B' - B P' + B W B'``
    with B and Q the sums over cluster and stratum of the parts and of their squares, ``P = share^2 Q``, D its row
    sums and W its column sums; the variance is the sum of W, and the sums of squares give the trace of M. It is
    ``m / (m - 1)`` and ``m - 1`` in one stratum of m equal clusters.
    """
    size = int(cluster.max()) + 1
    key = cluster * len(share) + stratum
    shape = (size, len(share))
    whole = np.bincount(key, weights=part, minlength=size * len(share)).reshape(shape)
    own = share**2 * np.bincount(key, weights=part**2, minlength=size * len(share)).reshape(shape)
    rows, strata = own.sum(axis=1), own.sum(axis=0)
    away = (whole**2 @ strata) - 2 * (own * whole).sum(axis=1)
    trace = float((rows + away).sum())
    if trace <= ROUNDING * float(strata.sum()):
        return float("nan"), 0.0
    both = np.hstack([own, whole])
    zero, one = np.zeros((len(share), len(share))), np.eye(len(share))
    turned = np.block([[zero, -one], [-one, np.diag(strata)]]) @ (both.T @ both)
    square = float((rows**2 + 2 * rows * away).sum() + (turned * turned.T).sum())
    return float(strata.sum()) / trace, trace**2 / square
