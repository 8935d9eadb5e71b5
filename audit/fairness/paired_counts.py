"""Two models' successes on the same images, counted per group and cluster: intervals and tests of their difference.

Newcombe's and McNemar's methods and their versions under clusters. The range over groups is in `paired_range`,
tables are made in `paired`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

from audit.fairness.intervals import Bounds, Floats, effective_size, mover_difference, wilson
from audit.fairness.permutation import Permutations
from audit.fairness.rates import GroupRates
from audit.fairness.rows import Ints

__all__ = ["PairedUnits", "newcombe_paired", "sign_flip_p"]

EXACT = 50_000_000
NEGLIGIBLE = 1e-12


def newcombe_paired(
    both: npt.ArrayLike, only_first: npt.ArrayLike, only_second: npt.ArrayLike, neither: npt.ArrayLike,
    alpha: float = 0.05,
) -> Bounds:  # fmt: skip
    """Interval of the difference of two proportions on the same images, second minus first.

    Newcombe (1998), "Improved confidence intervals for the difference between binomial proportions based on
    paired data", method 10: Wilson intervals of both, joined with a continuity-corrected correlation.

    Parameters
    ----------
    both, only_first, only_second, neither : array_like
        Images that both, one, or neither of the two got right.
    alpha : float
        One minus the confidence level.

    Returns
    -------
    low, high : ndarray of float64
        NaN where there are no images.
    """
    cells = np.stack(np.broadcast_arrays(*(np.atleast_1d(v) for v in (both, only_first, only_second, neither))), 1)
    places = np.arange(len(cells))
    names = tuple(str(place) for place in places)
    return PairedUnits(names, False, places, 0 * places, cells.astype(np.int64)).interval(alpha)


@dataclass(frozen=True)
class PairedUnits:
    """How often both models, one of them, or neither succeeded, per unit of (group, cluster).

    Parameters
    ----------
    groups : tuple of str
        The groups, G of them.
    clustered : bool
        Whether units are split by cluster; else a unit is a group.
    group, cluster : ndarray of int64, shape (U,)
        Group and cluster of each unit.
    cells : ndarray of int64, shape (U, 4)
        Images on which both models succeeded, only the first, only the second, neither.
    """

    groups: tuple[str, ...]
    clustered: bool
    group: Ints
    cluster: Ints
    cells: Ints

    @classmethod
    def count(
        cls, groups: tuple[str, ...], group: Ints, cluster: Ints, hits: tuple[Any, Any], *, clustered: bool
    ) -> PairedUnits:
        """Count images, given each one's group, cluster, and whether each model succeeded on it."""
        cell = 3 - 2 * np.asarray(hits[0], np.int64) - np.asarray(hits[1], np.int64)
        if clustered:
            key, unit = np.unique(np.stack([group, cluster]), axis=1, return_inverse=True)
        else:
            key, unit = np.stack([np.arange(len(groups)), np.zeros(len(groups), np.int64)]), group
        cells = np.zeros((key.shape[1], 4), dtype=np.int64)
        np.add.at(cells, (unit.reshape(-1), cell), 1)
        return cls(groups, clustered, key[0], key[1], cells)

    @cached_property
    def totals(self) -> Ints:
        """Counts per group, shape (G, 4)."""
        out = np.zeros((len(self.groups), 4), dtype=np.int64)
        np.add.at(out, self.group, self.cells)
        return out

    def arm(self, which: int) -> GroupRates:
        """Rates of the first (0) or the second (1) model."""
        kept = self.cells.sum(axis=1) > 0
        cells = self.cells[kept]
        successes = cells[:, 0] + cells[:, 1 + which]
        return GroupRates(
            self.groups, self.clustered, self.group[kept], self.cluster[kept], successes, cells.sum(axis=1)
        )

    def interval(self, alpha: float = 0.05) -> Bounds:
        """Interval of each group's difference, second minus first, for itself; NaN with too few clusters."""
        first, second = self.arm(0), self.arm(1)
        arms = []
        for side in (second, first):
            low, high = side.score_intervals(alpha) if not side.dependent.any() else _mixed(side, alpha)
            arms.append((side.rate, low, high))
        return mover_difference(arms[0], arms[1], self._correlation(first, second, alpha))

    def _correlation(self, first: GroupRates, second: GroupRates, alpha: float) -> Floats:
        """Correlation of the two rates, a positive one lowered by Newcombe's continuity correction.

        That is 1 / (2 n) off their covariance, with n the effective size where clusters repeat.
        """
        g = len(self.groups)
        if self.clustered:
            one, two = first.residual, second.residual
            group = first.group
        else:
            both, alone, other, neither = self.totals.T
            product = (both + alone) * (neither + other) * 1.0 * (both + other) * (neither + alone)
            with np.errstate(invalid="ignore", divide="ignore"):
                raw = np.where(product > 0, (both * neither - alone * other) / np.sqrt(product), 0.0)
        if self.clustered:
            sums = [np.bincount(group, weights=w, minlength=g) for w in (one * two, one**2, two**2)]
            scale = np.sqrt(sums[1] * sums[2])
            with np.errstate(invalid="ignore", divide="ignore"):
                raw = np.where(scale > NEGLIGIBLE, np.clip(sums[0] / scale, -1, 1), 0.0)
        size = np.minimum(_size(first, alpha), _size(second, alpha))
        spread = np.sqrt(first.rate * (1 - first.rate) * second.rate * (1 - second.rate))
        with np.errstate(invalid="ignore", divide="ignore"):
            lowered = np.maximum(raw - 1 / (2 * size * spread), 0.0)
        return np.where(raw > 0, np.nan_to_num(lowered), raw)

    def p_value(self, place: int, permutations: Permutations, stream: tuple[object, ...] = ()) -> float:
        """P-value of no difference in one group: McNemar's exact test, under clusters the sign-flip test."""
        own = self.cells[self.group == place]
        return sign_flip_p(own[:, 2] - own[:, 1] if self.clustered else _singles(own), permutations, stream)


def _mixed(side: GroupRates, alpha: float) -> Bounds:
    """Korn-Graubard intervals where the group's clusters repeat, Wilson's where not."""
    robust, plain = side.intervals(alpha), wilson(side.count, side.total, alpha)
    return np.where(side.dependent, robust[0], plain[0]), np.where(side.dependent, robust[1], plain[1])


def _size(side: GroupRates, alpha: float) -> Floats:
    """Effective number of images of each group's rate."""
    robust = effective_size(side.count, side.total, side.clusters, side.variance, alpha)
    return np.where(side.dependent, np.nan_to_num(robust), side.total)


def _singles(cells: Ints) -> Ints:
    """Differences of images that are each a cluster of their own."""
    _, alone, other, _ = cells.sum(axis=0)
    return np.repeat(np.array([-1, 1]), [alone, other])


def sign_flip_p(differences: Ints, permutations: Permutations, stream: tuple[object, ...] = ()) -> float:
    """P-value of no difference, by exchanging the two models in each cluster.

    Parameters
    ----------
    differences : ndarray of int64
        Per cluster, images that only the second model got right minus those that only the first did.
    permutations : Permutations
        Draws and seed, for sums too long to be enumerated.
    stream : tuple
        Names the test's random numbers.

    Returns
    -------
    float
        Two-sided: how often the sum is at least as far from 0 with random signs. Exact where the
        distribution can be added up, so with one image a cluster it is McNemar's exact test; else from
        draws, ``(1 + those at least as far) / (1 + draws)``. 1 where no cluster differs.
    """
    observed = abs(int(differences.sum()))
    sizes, counts = np.unique(np.abs(differences[differences != 0]), return_counts=True)
    if not observed:
        return 1.0
    if len(sizes) == 1:
        steps = (int(counts[0]) - observed // int(sizes[0])) // 2
        return min(1.0, 2 * float(special.bdtr(steps, int(counts[0]), 0.5)))
    length = int((sizes * counts).sum())
    if length * int((sizes * counts)[:-1].max()) <= EXACT:
        return _exact(sizes, counts, observed)
    rng = permutations.stream("sign-flip", *stream)
    signs = 2 * rng.binomial(counts, 0.5, size=(permutations.draws, len(counts))) - counts
    return float(1 + (np.abs(signs @ sizes) >= observed).sum()) / (1 + permutations.draws)


def _exact(sizes: Ints, counts: Ints, observed: int) -> float:
    """Tail of the sum of random signs, its distribution added up one size after another."""
    chances, middle = np.ones(1), 0
    for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
        steps = np.arange(count + 1)
        own = np.zeros(2 * size * count + 1)
        own[2 * size * steps] = np.exp(
            special.gammaln(count + 1) - special.gammaln(steps + 1) - special.gammaln(count - steps + 1)
            - count * np.log(2)
        )  # fmt: skip
        chances, middle = np.convolve(chances, own), middle + size * count
    away = np.abs(np.arange(len(chances)) - middle)
    return float(min(1.0, chances[away >= observed].sum()))
