"""Means of many measures by group at once, each cluster counting once, with t intervals over clusters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse, special

from audit.fairness.explained.values import Bools, Design
from audit.fairness.intervals import Floats
from audit.fairness.rows import Ints

__all__ = ["GroupMeans", "asked_counts", "group_means", "one_hot", "widened"]

NEGLIGIBLE = 1e-20


@dataclass(frozen=True)
class GroupMeans:
    """Means by group, shape (G, C) each.

    Parameters
    ----------
    n, clusters : ndarray of int64
        Images with a value, and clusters with one.
    value : ndarray of float64
        Mean of the cluster means; NaN without any.
    variance : ndarray of float64
        Of the cluster means within the group; NaN for fewer than two.
    bounds : ndarray of float64, shape (2, C)
        What the mean cannot pass; NaN where that is not known.
    """

    n: Ints
    clusters: Ints
    value: Floats
    variance: Floats
    bounds: Floats

    def intervals(self, alpha: float = 0.05) -> tuple[Floats, Floats]:
        """T interval of each mean over its clusters (`widened`), cut at the bounds; NaN for fewer than two clusters."""
        m = self.clusters
        spread = widened(self.variance / np.maximum(m, 1), self.value, m, self.bounds)
        half = special.stdtrit(np.maximum(m - 1, 1), 1 - alpha / 2) * np.sqrt(spread)
        low, high = np.fmax(self.value - half, self.bounds[0]), np.fmin(self.value + half, self.bounds[1])
        return np.where(np.isnan(half), np.nan, low), np.where(np.isnan(half), np.nan, high)

    def status(self, asked: Ints) -> npt.NDArray[np.object_]:
        """Why there is no value or no interval.

        Parameters
        ----------
        asked : ndarray of int64, shape (G, C)
            Images of the group that the measure was asked of.
        """
        found = np.where(self.n == 0, "undefined", np.where(self.clusters < 2, "too_few_clusters", "ok"))
        return np.where(asked == 0, "not_measured", found).astype(object)


def group_means(values: Floats, design: Design, bounds: Floats) -> GroupMeans:
    """Average every measure in every group.

    Parameters
    ----------
    values : ndarray, shape (N, C)
        NaN where undefined.
    design : Design
        Of the N images; its strata are not regarded.
    bounds : ndarray, shape (2, C)
        As `bounds_of` gives them.

    Notes
    -----
    For one measure and group this is `intervals.mean_interval`, but for a bounded measure without any spread.
    """
    g = len(design.groups)
    known = np.isfinite(values)
    keys, unit = np.unique(design.cluster * g + design.group, return_inverse=True)
    gather = one_hot(unit.reshape(-1), len(keys))
    sums, counts = gather @ np.where(known, values, 0.0), gather @ known.astype(np.float64)
    present = counts > 0
    means = np.where(present, sums / np.maximum(counts, 1), 0.0)
    own = keys % g
    over = one_hot(own, g)
    m = over @ present.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        value = np.where(m > 0, (over @ means) / m, np.nan)
        away = np.where(present, means - value[own], 0.0)
        variance = np.where(m > 1, (over @ away**2) / (m - 1), np.nan)
    n = np.rint(over @ counts).astype(np.int64)
    return GroupMeans(n, np.rint(m).astype(np.int64), value, variance, bounds)


def widened(variance: Floats, mean: Floats, clusters: Ints, bounds: Floats) -> Floats:
    """Variance of a mean over clusters; where all are the same, that with one more value at either bound.

    A few equal values are no proof that all are equal. Where the bounds are not known the variance stays 0.
    """
    low, high = bounds
    m = np.maximum(clusters, 1)
    middle = (m * mean + low + high) / (m + 2)
    other = (m * (mean - middle) ** 2 + (low - middle) ** 2 + (high - middle) ** 2) / (m + 2) / m
    alike = variance <= NEGLIGIBLE * mean**2
    return np.asarray(np.where(alike & np.isfinite(other), other, variance), dtype=np.float64)


def asked_counts(asked: Bools, design: Design) -> Ints:
    """Images of each group that each measure was asked of, shape (G, C)."""
    counts = one_hot(design.group, len(design.groups)) @ asked.astype(np.float64)
    return np.asarray(np.rint(counts), dtype=np.int64)


def one_hot(code: Ints, size: int) -> sparse.csr_array:
    """Matrix of shape (size, N) that sums rows by their code."""
    places = np.arange(len(code))
    return sparse.csr_array((np.ones(len(code)), (code, places)), shape=(size, len(code)))
