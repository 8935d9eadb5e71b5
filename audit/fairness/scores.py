"""Metrics of stored probabilities: AUC with its interval, log loss, Brier score, calibration error.

They are not counts; they work on arrays of one group's images. Tables are made in `groups`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from audit.fairness.intervals import Floats
from audit.fairness.rows import Ints

__all__ = ["Score", "area_under_curve", "brier_score", "calibration_error", "log_loss"]

BINS = 15


@dataclass(frozen=True)
class Score:
    """A value with its interval, where it has one; `method` is ``none`` where it has not."""

    value: float
    low: float = np.nan
    high: float = np.nan
    method: str = "none"
    status: str = "ok"


def area_under_curve(scores: Floats, positive: npt.NDArray[np.bool_], clusters: Ints, alpha: float = 0.05) -> Score:
    """Area under the ROC curve, ties counted half.

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

    Returns
    -------
    Score
        Method ``delong`` (DeLong et al. 1988), or ``obuchowski`` where clusters repeat (Obuchowski 1997),
        both on the logit scale. They degenerate at 0 and 1: there ``exact_pairs``, the exact bound from
        the largest number of disjoint pairs of independent images. Undefined where all images, or none,
        are of the class. Without an interval where fewer than two clusters have a positive, or a
        negative, image.
    """
    hits, misses = int(positive.sum()), int((~positive).sum())
    if hits == 0 or misses == 0:
        return Score(np.nan, status="undefined")
    # Mann-Whitney placements from mid-ranks: each image's share of the other kind that it beats.
    rank = stats.rankdata(scores)
    placement = np.empty(len(scores))
    placement[positive] = (rank[positive] - stats.rankdata(scores[positive])) / misses
    placement[~positive] = 1 - (rank[~positive] - stats.rankdata(scores[~positive])) / hits
    area = float(placement[positive].mean())
    code = np.unique(clusters, return_inverse=True)[1].reshape(-1)
    with_hit, with_miss = len(np.unique(code[positive])), len(np.unique(code[~positive]))
    if area in (0.0, 1.0):
        pairs = min(with_hit, with_miss, (int(code.max()) + 1) // 2)
        if pairs == 0:
            return Score(area, status="too_few_clusters")
        bound = float((alpha / 2) ** (1 / pairs))
        low, high = (bound, 1.0) if area == 1 else (0.0, 1 - bound)
        return Score(area, low, high, "exact_pairs")
    if min(with_hit, with_miss) < 2:
        return Score(area, status="too_few_clusters")
    return _logit_interval(area, placement, positive, code, alpha)


def _logit_interval(area: float, placement: Floats, positive: npt.NDArray[np.bool_], code: Ints, alpha: float) -> Score:
    """Interval from the placements summed over clusters (Obuchowski 1997); DeLong's where none repeats."""
    size = int(code.max()) + 1
    sums, counts = [], []
    for kind in (positive, ~positive):
        sums.append(np.bincount(code[kind], weights=placement[kind] - area, minlength=size))
        counts.append(np.bincount(code[kind], minlength=size) > 0)
    hits, misses = int(positive.sum()), int((~positive).sum())
    m, n = int(counts[0].sum()), int(counts[1].sum())
    variance = (
        m / (m - 1) * float(sums[0] @ sums[0]) / hits**2
        + n / (n - 1) * float(sums[1] @ sums[1]) / misses**2
        + 2 * size / (size - 1) * float(sums[0] @ sums[1]) / (hits * misses)
    )
    if not variance > 0:
        return Score(area)
    repeats = size < len(code)
    quantile = special.stdtrit(min(m, n) - 1, 1 - alpha / 2) if repeats else special.ndtri(1 - alpha / 2)
    half = float(quantile) * np.sqrt(variance) / (area * (1 - area))
    centre = float(special.logit(area))
    low, high = (float(special.expit(centre + sign * half)) for sign in (-1, 1))
    return Score(area, low, high, "obuchowski" if repeats else "delong")


def log_loss(probabilities: Floats, truth: Ints) -> float:
    """Mean of minus the logarithm of the true class's probability, which is kept above 2.2e-16."""
    given = probabilities[np.arange(len(truth)), truth]
    return float(-np.log(np.clip(given, np.finfo(np.float64).eps, 1)).mean())


def brier_score(probabilities: Floats, truth: Ints) -> float:
    """Mean squared distance between probabilities and truth, summed over the classes.

    For two classes it is halved, which gives the usual score of one of them (as scikit-learn does).
    """
    target = np.zeros_like(probabilities)
    target[np.arange(len(truth)), truth] = 1
    distance = float(((probabilities - target) ** 2).sum(axis=1).mean())
    return distance / 2 if probabilities.shape[1] == 2 else distance


def calibration_error(probabilities: Floats, truth: Ints) -> float:
    """Expected calibration error of the most probable class over 15 equal bins of [0, 1].

    A bin takes its lower edge, the last one both. The most probable class is the one of the stored
    probabilities, also where the model's decision, made before its outputs were mapped, is another.
    It is biased upwards for few images.
    """
    confidence = probabilities.max(axis=1)
    hit = probabilities.argmax(axis=1) == truth
    place = np.clip(np.floor(confidence * BINS).astype(np.int64), 0, BINS - 1)
    distance = np.bincount(place, weights=confidence - hit, minlength=BINS)
    return float(np.abs(distance).sum() / len(truth))
