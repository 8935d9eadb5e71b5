"""Many groups, each against everybody else, on one rate: intervals and one-sided p-values, all at once.

It agrees with `GroupRates.against_rest`, without a pass over the images for every group. What the
groups are is decided in `lattice` and `slices`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

from audit.fairness.intervals import Bounds, Floats, clopper_pearson, korn_graubard, mover_difference, wilson
from audit.fairness.rows import Ints

__all__ = ["Arm", "Excess", "Units", "excess_of_counts", "excess_of_units", "joined"]

Bools = npt.NDArray[np.bool_]

NEGLIGIBLE = 1e-12
LEAST, MOST = -12.0, float(np.log10(0.999))
STEPS = 22


@dataclass(frozen=True)
class Arm:
    """One rate of many groups, shape (C,) each; `telling` counts the clusters with the rarer outcome."""

    count: Floats
    total: Floats
    clusters: Floats
    variance: Floats
    telling: Floats

    @property
    def rate(self) -> Floats:
        """Successes over trials; NaN where there are none."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.count / self.total, dtype=np.float64)

    @property
    def dependent(self) -> Bools:
        """Whether any cluster has more than one trial."""
        return np.asarray(self.total > self.clusters)

    def take(self, chosen: Ints | Bools) -> Arm:
        """These groups alone."""
        parts = (self.count, self.total, self.clusters, self.variance, self.telling)
        return Arm(*(part[chosen] for part in parts))

    def bounds(self, alpha: npt.ArrayLike, robust: Bools) -> Bounds:
        """Interval of each rate that differences are built from.

        Wilson's; where `robust`, Korn-Graubard's (Clopper-Pearson's in an arm whose clusters do not repeat).
        """
        level: Any = np.broadcast_to(np.asarray(alpha, np.float64), self.total.shape)
        low, high = np.full(self.total.shape, np.nan), np.full(self.total.shape, np.nan)
        for chosen, kind in (
            (~robust, wilson),
            (robust & ~self.dependent, clopper_pearson),
        ):
            if chosen.any():
                low[chosen], high[chosen] = kind(self.count[chosen], self.total[chosen], level[chosen])
        chosen = robust & self.dependent
        if chosen.any():
            arm = self.take(chosen)
            counts = (arm.count, arm.total, arm.clusters, arm.variance)
            low[chosen], high[chosen] = korn_graubard(*counts, level[chosen], arm.telling)
        return low, high


@dataclass(frozen=True)
class Excess:
    """How much higher the rate of each group is than everybody else's.

    Parameters
    ----------
    own, rest : Arm
        The groups, and everybody but them.
    correlation : ndarray, shape (C,)
        Correlation of the two estimates through clusters with images on both sides.
    """

    own: Arm
    rest: Arm
    correlation: Floats
    shared: Bools

    @property
    def difference(self) -> Floats:
        """Rate of the group minus that of everybody else."""
        return np.asarray(self.own.rate - self.rest.rate, dtype=np.float64)

    @property
    def robust(self) -> Bools:
        """Whether a cluster repeats within an arm."""
        return np.asarray(self.own.dependent | self.rest.dependent)

    def bounds(self, alpha: npt.ArrayLike) -> Bounds:
        """Interval of each difference: Newcombe's, or MOVER over Korn-Graubard's where clusters repeat."""
        arms = [(arm.rate, *arm.bounds(alpha, self.robust)) for arm in (self.own, self.rest)]
        return mover_difference(arms[0], arms[1], self.correlation)

    def p_higher(self) -> Floats:
        """One-sided p-value of "not higher than everybody else's".

        Fisher's exact test where no cluster repeats; elsewhere half of the smallest alpha at which the
        interval of `bounds` lies above 0 (1 where none does). NaN where there is no interval.
        """
        return self._p(1)

    def p_lower(self) -> Floats:
        """One-sided p-value of "not lower than everybody else's", as in `p_higher`."""
        return self._p(-1)

    def _p(self, sign: int) -> Floats:
        p = np.full(len(self.own.total), np.nan)
        defined = (self.own.total > 0) & (self.rest.total > 0)
        exact = defined & ~self.robust & ~self.shared
        count, size = self.own.count, self.own.total
        hits, everybody = count + self.rest.count, size + self.rest.total
        if exact.any():
            seen, total, own, all_own = count[exact], everybody[exact], size[exact], hits[exact]
            # Few hits among the hits are many misses among the misses.
            p[exact] = (
                _fisher(seen, all_own, own, total) if sign > 0 else _fisher(own - seen, total - all_own, own, total)
            )
        chosen = np.flatnonzero(defined & ~exact)
        if len(chosen):
            p[chosen] = self._take(chosen)._inverted(sign)
        return np.asarray(np.minimum(p, 1.0), dtype=np.float64)

    def _inverted(self, sign: int) -> Floats:
        """Half of the smallest alpha at which the interval lies on the side of `sign`."""

        def beyond(part: Excess, exponent: Floats) -> Bools:
            low, high = part.bounds(10**exponent)
            return np.asarray(low > 0 if sign > 0 else high < 0)

        size = len(self.own.total)
        possible = np.flatnonzero(beyond(self, np.full(size, MOST)))
        part = self._take(possible)
        least, most = np.full(len(possible), LEAST), np.full(len(possible), MOST)
        for _ in range(STEPS if len(possible) else 0):
            middle = (least + most) / 2
            inside = beyond(part, middle)
            least, most = np.where(inside, least, middle), np.where(inside, middle, most)
        p = np.ones(size)
        p[possible] = 10**most / 2
        return np.where(np.isnan(self.bounds(0.05)[0]), np.nan, p)

    def _take(self, chosen: Ints) -> Excess:
        own, rest = self.own.take(chosen), self.rest.take(chosen)
        return Excess(own, rest, self.correlation[chosen], self.shared[chosen])


def joined(parts: Sequence[Excess]) -> Excess:
    """Several lots of groups as one."""
    arms = []
    for side in ("own", "rest"):
        lots = [getattr(part, side) for part in parts]
        fields = ("count", "total", "clusters", "variance", "telling")
        arms.append(Arm(*(np.concatenate([getattr(lot, name) for lot in lots]) for name in fields)))
    correlation, shared = ([getattr(part, name) for part in parts] for name in ("correlation", "shared"))
    return Excess(arms[0], arms[1], np.concatenate(correlation), np.concatenate(shared))


def _fisher(count: Floats, hits: Floats, size: Floats, total: Floats) -> Floats:
    """Chance of at least `count` of the `hits` among `size` drawn from `total` (hypergeometric), one a group.

    The shorter tail is added up, for all groups in step; scipy's own law goes from group to group.
    """
    upper = count * total > hits * size
    most, least = np.minimum(hits, size), np.maximum(0.0, hits + size - total)
    place = np.where(upper, count, count - 1)
    valid = (place <= most) & (place >= least)
    start = np.clip(place, least, most)
    chance = sum(sign * special.gammaln(value + 1) for sign, value in _factorials(start, hits, size, total))
    term = np.where(valid, np.exp(chance), 0.0)
    tail = term.copy()
    while (term > 1e-17 * tail).any():
        with np.errstate(invalid="ignore", divide="ignore"):
            up = (hits - start) * (size - start) / ((start + 1) * (total - hits - size + start + 1))
            down = start * (total - hits - size + start) / ((hits - start + 1) * (size - start + 1))
        term = np.where(term > 0, term * np.where(upper, up, down), 0.0)
        start = start + np.where(upper, 1.0, -1.0)
        tail += term
    return np.asarray(np.clip(np.where(upper, tail, 1 - tail), 0.0, 1.0), dtype=np.float64)


def _factorials(count: Floats, hits: Floats, size: Floats, total: Floats) -> list[tuple[int, Floats]]:
    """Factorials of the hypergeometric probability: sign of the exponent, and of what."""
    above = [hits, total - hits, size, total - size]
    below = [total, count, hits - count, size - count, total - hits - size + count]
    return [*((1, value) for value in above), *((-1, value) for value in below)]


def excess_of_counts(count: npt.ArrayLike, total: npt.ArrayLike, everybody: tuple[int, int]) -> Excess:
    """Groups of independent images, from successes and trials of each and of everybody."""
    successes, trials = np.asarray(count, np.float64), np.asarray(total, np.float64)
    blank = np.full(len(trials), np.nan)
    own = Arm(successes, trials, trials, blank, blank)
    others = everybody[1] - trials
    rest = Arm(everybody[0] - successes, others, others, blank, blank)
    return Excess(own, rest, np.zeros(len(trials)), np.zeros(len(trials), dtype=bool))


@dataclass(frozen=True)
class Units:
    """Successes and trials per unit of (group, cluster), and per cluster of everybody.

    Parameters
    ----------
    group, cluster : ndarray of int64, shape (U,)
        Positions; no pair occurs twice. An image may be in many groups.
    successes, trials : ndarray, shape (U,)
        Of the unit.
    all_successes, all_trials : ndarray, shape (K,)
        Of each cluster, in the group or not.
    """

    group: Ints
    cluster: Ints
    successes: Floats
    trials: Floats
    all_successes: Floats
    all_trials: Floats


def excess_of_units(units: Units, groups: int) -> Excess:
    """Groups of images in clusters, of which one may have images on both sides."""

    def summed(values: npt.ArrayLike) -> Floats:
        return np.bincount(units.group, weights=np.asarray(values, np.float64), minlength=groups).astype(np.float64)

    s, t = units.successes, units.trials
    s2, t2 = units.all_successes[units.cluster] - s, units.all_trials[units.cluster] - t
    every_s, every_t = units.all_successes, units.all_trials
    rarer = np.minimum(summed(s > 0), summed(t > s))
    own = _arm(summed(s), summed(t), summed(t > 0), (summed(s * s), summed(s * t), summed(t * t)), rarer)
    # The other side is everybody, corrected in the clusters that the group reaches into.
    whole_s, whole_t = s + s2, t + t2
    squares = (
        every_s @ every_s - summed(whole_s**2 - s2**2),
        every_s @ every_t - summed(whole_s * whole_t - s2 * t2),
        every_t @ every_t - summed(whole_t**2 - t2**2),
    )
    reached = summed((t > 0) & (t2 == 0))
    hits = (every_s > 0).sum() - summed(whole_s > 0) + summed(s2 > 0)
    rarer = np.minimum(hits, (every_t > every_s).sum() - summed(whole_t > whole_s) + summed(t2 > s2))
    rest = _arm(every_s.sum() - own.count, every_t.sum() - own.total, (every_t > 0).sum() - reached, squares, rarer)
    with np.errstate(invalid="ignore", divide="ignore"):
        p, q = own.rate, rest.rate
        product = summed(s * s2) - q * summed(s * t2) - p * summed(t * s2) + p * q * summed(t * t2)
        scale = np.sqrt(_squares(own, (summed(s * s), summed(s * t), summed(t * t))) * _squares(rest, squares))
        correlation = np.where(scale > 0, np.clip(product / scale, -1.0, 1.0), 0.0)
    return Excess(own, rest, correlation, summed((t > 0) & (t2 > 0)) > 0)


def _squares(arm: Arm, sums: tuple[Floats, Floats, Floats]) -> Floats:
    """Sum over clusters of the squared residuals ``successes - rate * trials``; an exact 0 where they agree."""
    ss, st, tt = sums
    with np.errstate(invalid="ignore"):
        spread = ss - 2 * arm.rate * st + arm.rate**2 * tt
    return np.where(np.abs(spread) < NEGLIGIBLE * np.maximum(tt, 1.0), 0.0, spread)


def _arm(count: Floats, total: Floats, clusters: Floats, sums: tuple[Floats, Floats, Floats], telling: Floats) -> Arm:
    bare = Arm(count, total, clusters, np.full(len(total), np.nan), telling)
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = clusters / (clusters - 1) * _squares(bare, sums) / total**2
    return Arm(count, total, clusters, np.where(clusters >= 2, variance, np.nan), telling)
