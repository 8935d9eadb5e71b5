"""Metrics of stored probabilities by group: AUC, log loss and Brier score with their intervals.

They are not counts; they work on arrays of images. Calibration is in `calibration`, tables in `groups`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from audit.fairness.intervals import Floats
from audit.fairness.rows import Ints

__all__ = [
    "Members",
    "Score",
    "Scores",
    "area_under_curve",
    "areas_under_curve",
    "brier_losses",
    "brier_score",
    "log_loss",
    "log_losses",
    "mean_scores",
]

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Score:
    """A value with its interval, where it has one; `method` is ``none`` where it has not."""

    value: float
    low: float = np.nan
    high: float = np.nan
    method: str = "none"
    status: str = "ok"


@dataclass(frozen=True)
class Scores:
    """A value of each group with its interval, where it has one; arrays of shape (G,)."""

    value: Floats
    low: Floats
    high: Floats
    method: npt.NDArray[np.object_]
    status: npt.NDArray[np.object_]

    @classmethod
    def of(cls, value: Floats, bounds: tuple[Floats, Floats], method: str, short: Bools) -> Scores:
        """Scores with one kind of interval; none, and a status that says so, where there are too few clusters."""
        status = np.where(np.isnan(value), "undefined", np.where(short, "too_few_clusters", "ok")).astype(object)
        low, high = (np.where(short | np.isnan(value), np.nan, bound) for bound in bounds)
        return cls(value, low, high, np.where(np.isnan(low), "none", method).astype(object), status)


@dataclass(frozen=True)
class Members:
    """Which group and which unit (cluster within a group) each image belongs to.

    Parameters
    ----------
    group, unit : ndarray of int64, shape (N,)
        Of each image.
    unit_group : ndarray of int64, shape (U,)
        Group of each unit.
    size : int
        Groups, those without an image too.
    """

    group: Ints
    unit: Ints
    unit_group: Ints
    size: int

    @classmethod
    def of(cls, group: Ints, cluster: Ints, size: int) -> Members:
        """From the group and the cluster of each image."""
        most = int(cluster.max(initial=0)) + 1
        key, unit = np.unique(group * most + cluster, return_inverse=True)
        return cls(group, unit.reshape(-1), key // most, size)

    def total(self, values: npt.ArrayLike) -> Floats:
        """Sum over each group of one value an image."""
        sums = np.bincount(self.group, weights=np.asarray(values, np.float64), minlength=self.size)
        return np.asarray(sums, dtype=np.float64)

    def over_units(self, values: npt.ArrayLike) -> Floats:
        """Sum over each group of one value a unit."""
        sums = np.bincount(self.unit_group, weights=np.asarray(values, np.float64), minlength=self.size)
        return np.asarray(sums, dtype=np.float64)

    def by_unit(self, values: Floats, rows: Bools | slice = slice(None)) -> Floats:
        """Sum over each unit of one value an image."""
        sums = np.bincount(self.unit[rows], weights=values[rows], minlength=len(self.unit_group))
        return np.asarray(sums, dtype=np.float64)

    @property
    def images(self) -> Floats:
        """Images of each group."""
        return self.total(np.ones(len(self.group)))

    @property
    def clusters(self) -> Floats:
        """Units of each group."""
        return self.over_units(np.ones(len(self.unit_group)))


def area_under_curve(scores: Floats, positive: Bools, clusters: Ints, alpha: float = 0.05) -> Score:
    """Area under the ROC curve of one group, ties counted half; see `areas_under_curve`.

    Parameters
    ----------
    scores : ndarray of float64, shape (N,)
        Score of the class.
    positive : ndarray of bool, shape (N,)
        Whether the image is of the class.
    clusters : ndarray of int64, shape (N,)
        Cluster of each image; all different where there are none.
    alpha : float
        One minus the confidence level.
    """
    code = np.unique(clusters, return_inverse=True)[1].reshape(-1)
    members = Members.of(np.zeros(len(scores), np.int64), code, 1)
    found = areas_under_curve(scores, positive, members, np.argsort(scores, kind="stable"), alpha)
    value, low, high = (float(values[0]) for values in (found.value, found.low, found.high))
    return Score(value, low, high, str(found.method[0]), str(found.status[0]))


def areas_under_curve(scores: Floats, positive: Bools, members: Members, order: Ints, alpha: float = 0.05) -> Scores:
    """Area under the ROC curve of every group, ties counted half.

    Parameters
    ----------
    scores : ndarray of float64, shape (N,)
        Score of the class.
    positive : ndarray of bool, shape (N,)
        Whether the image is of the class.
    members : Members
        Group and cluster of each image.
    order : ndarray of int64, shape (N,)
        What sorts the scores, upwards.
    alpha : float
        One minus the confidence level.

    Returns
    -------
    Scores
        Method ``delong`` (DeLong et al. 1988), or ``obuchowski`` where clusters repeat (Obuchowski 1997),
        both on the logit scale. They degenerate at 0 and 1: there ``exact_pairs``, the exact bound from
        the largest number of disjoint pairs of independent images. Undefined where all images, or none,
        are of the class. Without an interval where fewer than two clusters have a positive, or a
        negative, image, and where all scores are equal.
    """
    hits, misses = members.total(positive), members.total(~positive)
    placement, area = _placements(scores, positive, members, order)
    sums, with_kind = [], []
    for kind in (positive, ~positive):
        sums.append(members.by_unit(placement - area[members.group], kind))
        with_kind.append(members.over_units(np.bincount(members.unit[kind], minlength=len(sums[0])) > 0))
    m, n, size = (*with_kind, members.clusters)
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = (
            m / (m - 1) * members.over_units(sums[0] ** 2) / hits**2
            + n / (n - 1) * members.over_units(sums[1] ** 2) / misses**2
            + 2 * size / (size - 1) * members.over_units(sums[0] * sums[1]) / (hits * misses)
        )
        repeats = size < members.images
        quantile = np.where(
            repeats, special.stdtrit(np.maximum(np.minimum(m, n) - 1, 1), 1 - alpha / 2), special.ndtri(1 - alpha / 2)
        )
        half = quantile * np.sqrt(variance) / (area * (1 - area))
        low, high = (special.expit(special.logit(area) + sign * half) for sign in (-1, 1))
        pairs = np.minimum(np.minimum(m, n), size // 2)
        bound = (alpha / 2) ** (1 / pairs)
    edge = (area == 0) | (area == 1)
    short = np.where(edge, pairs == 0, np.minimum(m, n) < 2)
    low = np.where(edge, np.where(area == 1, bound, 0.0), np.where(variance > 0, low, np.nan))
    high = np.where(edge, np.where(area == 1, 1.0, 1 - bound), np.where(variance > 0, high, np.nan))
    found = Scores.of(area, (low, high), "delong", short)
    method = np.where(edge, "exact_pairs", np.where(repeats, "obuchowski", "delong"))
    return Scores(found.value, found.low, found.high, np.where(np.isnan(found.low), "none", method), found.status)


def _placements(scores: Floats, positive: Bools, members: Members, order: Ints) -> tuple[Floats, Floats]:
    """Each image's share of its group's images of the other kind that it beats (or is beaten by), and the area."""
    # Sorted by group, and by score within groups; then every group is ranked in one pass.
    order = order[np.argsort(members.group[order].astype(np.int32), kind="stable")]
    score, hit, group = scores[order], positive[order].astype(np.float64), members.group[order]
    starts = np.ones(len(order), dtype=bool)
    starts[1:] = (group[1:] != group[:-1]) | (score[1:] != score[:-1])
    tie, of = np.cumsum(starts) - 1, group[starts]
    counts = []
    for weight in (hit, 1 - hit):
        here = np.bincount(tie, weights=weight)
        whole = np.bincount(group, weights=weight, minlength=members.size)
        below = np.cumsum(here) - here - (np.cumsum(whole) - whole)[of]
        counts.append((here, below, whole))
    (hits, hits_below, all_hits), (misses, misses_below, all_misses) = counts
    with np.errstate(invalid="ignore", divide="ignore"):
        beats = (misses_below + misses / 2) / all_misses[of]
        beaten = (all_hits[of] - hits_below - hits / 2) / all_hits[of]
        area = np.bincount(of, weights=np.nan_to_num(hits * beats), minlength=members.size) / all_hits
    out = np.empty(len(order))
    out[order] = np.where(hit > 0, beats[tie], beaten[tie])
    return out, np.where((all_hits > 0) & (all_misses > 0), area, np.nan)


def mean_scores(values: Floats, members: Members, alpha: float, bounds: tuple[float, float]) -> Scores:
    """Mean over the images of each group, with a t interval from its variance between clusters.

    Parameters
    ----------
    values : ndarray of float64, shape (N,)
        One value an image; each image counts once.
    members : Members
        Group and cluster of each.
    alpha : float
        One minus the confidence level.
    bounds : (float, float)
        What the mean cannot pass; the interval is cut there.

    Returns
    -------
    Scores
        Method ``t`` (``t_clusters`` where clusters repeat) with ``clusters - 1`` degrees of freedom. No
        interval where all values are equal, which says nothing about their spread.
    """
    n, m = members.images, members.clusters
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = members.total(values) / n
        residual = members.by_unit(values - mean[members.group])
        variance = m / (m - 1) * members.over_units(residual**2) / n**2
        half = special.stdtrit(np.maximum(m - 1, 1), 1 - alpha / 2) * np.sqrt(variance)
        half = np.where(half > 1e-12 * np.maximum(np.abs(mean), 1e-300), half, np.nan)
    cut = np.maximum(mean - half, bounds[0]), np.minimum(mean + half, bounds[1])
    found = Scores.of(mean, cut, "t", m < 2)
    method = np.where(np.isnan(found.low), "none", np.where(m < n, "t_clusters", "t")).astype(object)
    return Scores(found.value, found.low, found.high, method, found.status)


def log_losses(probabilities: Floats, truth: Ints) -> Floats:
    """Minus the logarithm of each image's probability of its true class, which is kept above 2.2e-16."""
    given = probabilities[np.arange(len(truth)), truth]
    return np.asarray(-np.log(np.clip(given, np.finfo(np.float64).eps, 1)), dtype=np.float64)


def brier_losses(probabilities: Floats, truth: Ints) -> Floats:
    """Squared distance between each image's probabilities and truth, summed over the classes.

    For two classes it is halved, which gives the usual score of one of them (as scikit-learn does).
    """
    given = probabilities[np.arange(len(truth)), truth]
    distance = np.einsum("nk,nk->n", probabilities, probabilities) - 2 * given + 1
    distance = np.maximum(distance, 0.0)
    return np.asarray(distance / 2 if probabilities.shape[1] == 2 else distance, dtype=np.float64)


def log_loss(probabilities: Floats, truth: Ints) -> float:
    """Mean of `log_losses`."""
    return float(log_losses(probabilities, truth).mean())


def brier_score(probabilities: Floats, truth: Ints) -> float:
    """Mean of `brier_losses`."""
    return float(brier_losses(probabilities, truth).mean())
