"""Confidence intervals: one rate, the difference and ratio of two, a mean. All take arrays.

What is estimated, and which interval a table shows, is decided elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

__all__ = [
    "Mean",
    "clopper_pearson",
    "effective_size",
    "korn_graubard",
    "mean_interval",
    "mover_difference",
    "mover_ratio",
    "newcombe",
    "wilson",
]

Floats = npt.NDArray[np.float64]
Bounds = tuple[Floats, Floats]


def clopper_pearson(count: npt.ArrayLike, total: npt.ArrayLike, alpha: float = 0.05) -> Bounds:
    """Exact interval of a proportion (Clopper & Pearson 1934).

    Parameters
    ----------
    count, total : array_like
        Successes and trials; need not be whole (effective sizes are not).
    alpha : float
        One minus the confidence level; half of it on either side.

    Returns
    -------
    low, high : ndarray of float64
        Bounds in [0, 1]; NaN where `total` is 0.
    """
    successes, trials = np.broadcast_arrays(np.asarray(count, np.float64), np.asarray(total, np.float64))
    failures = trials - successes
    with np.errstate(invalid="ignore"):
        low = special.betaincinv(np.where(successes > 0, successes, 1.0), failures + 1, alpha / 2)
        high = special.betaincinv(successes + 1, np.where(failures > 0, failures, 1.0), 1 - alpha / 2)
    low = np.where(successes > 0, low, 0.0)
    high = np.where(failures > 0, high, 1.0)
    empty = ~(trials > 0)
    return np.where(empty, np.nan, low), np.where(empty, np.nan, high)


def wilson(count: npt.ArrayLike, total: npt.ArrayLike, alpha: float = 0.05) -> Bounds:
    """Wilson's score interval of a proportion; NaN where `total` is 0."""
    from statsmodels.stats.proportion import proportion_confint  # here, as it loads all of scipy.stats

    # Copied, because statsmodels asks for arrays that can be written to.
    successes, trials = (np.array(side, np.float64) for side in np.broadcast_arrays(count, total))
    with np.errstate(invalid="ignore", divide="ignore"):
        low, high = proportion_confint(successes, trials, alpha=alpha, method="wilson")
    # Where nothing, or everything, succeeded the bound is 0 or 1; rounding must not push it past the estimate.
    low = np.where(successes == 0, 0.0, low)
    high = np.where(successes == trials, 1.0, high)
    empty = ~(trials > 0)
    return np.where(empty, np.nan, low), np.where(empty, np.nan, high)


def effective_size(
    count: npt.ArrayLike,
    total: npt.ArrayLike,
    clusters: npt.ArrayLike,
    variance: npt.ArrayLike,
    alpha: float = 0.05,
    telling: npt.ArrayLike | None = None,
) -> Floats:
    """Effective sample size of a rate over clusters (Korn & Graubard 1998).

    ``p (1 - p) / variance``, times the squared ratio of the t quantiles with ``total - 1`` and
    ``clusters - 1`` degrees of freedom, and never more than ``total``. Where the variance is 0 it is the
    number of clusters.

    A design effect is seen only in the `telling` clusters, those with the rarer outcome. Where they are
    given, one more is added whose images all go together, so that the effect of few of them is not taken
    at its word: with two or three failing clusters of fifty the plain interval covers .91.

    Returns
    -------
    ndarray of float64
        NaN where there are fewer than two clusters.
    """
    successes, trials, groups, spread = (
        np.asarray(value, np.float64) for value in np.broadcast_arrays(count, total, clusters, variance)
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        rate = successes / trials
        size = rate * (1 - rate) / spread
        if telling is not None:
            few = np.asarray(telling, np.float64)
            together = np.maximum(trials / size, trials / groups)
            size = trials * (few + 1) / (few * trials / size + together)
        tail = 1 - alpha / 2
        shrink = special.stdtrit(np.maximum(trials - 1, 1), tail) / special.stdtrit(np.maximum(groups - 1, 1), tail)
        size = np.minimum(trials, size * shrink**2)
    size = np.where(spread > 0, size, groups)
    return np.where(groups >= 2, size, np.nan)


def korn_graubard(
    count: npt.ArrayLike,
    total: npt.ArrayLike,
    clusters: npt.ArrayLike,
    variance: npt.ArrayLike,
    alpha: float = 0.05,
    telling: npt.ArrayLike | None = None,
) -> Bounds:
    """Exact interval of a rate over clusters, adjusted for the design effect (Korn & Graubard 1998).

    Parameters
    ----------
    count, total : array_like
        Successes and trials.
    clusters : array_like
        Clusters with at least one trial.
    variance : array_like
        Linearised variance of ``count / total`` between clusters.
    alpha : float
        One minus the confidence level.
    telling : array_like, optional
        Clusters with the rarer of the two outcomes; see `effective_size`.

    Returns
    -------
    low, high : ndarray of float64
        The Clopper-Pearson interval at the effective size; NaN where there are fewer than two clusters.

    Notes
    -----
    With one image in every cluster the caller takes `clopper_pearson` on the counts themselves.
    """
    size = effective_size(count, total, clusters, variance, alpha, telling)
    with np.errstate(invalid="ignore", divide="ignore"):
        rate = np.asarray(count, np.float64) / np.asarray(total, np.float64)
    low, high = clopper_pearson(np.where(np.isnan(size), 0.0, rate * size), np.nan_to_num(size), alpha)
    return low, high


def mover_difference(
    first: tuple[npt.ArrayLike, npt.ArrayLike, npt.ArrayLike],
    second: tuple[npt.ArrayLike, npt.ArrayLike, npt.ArrayLike],
    correlation: npt.ArrayLike = 0.0,
) -> Bounds:
    """Interval of ``first - second``, two rates, from an interval of each (MOVER; Zou & Donner 2008).

    Parameters
    ----------
    first, second : (estimate, low, high)
        Estimates with their intervals, all at the level that the result shall have.
    correlation : array_like
        Correlation of the two estimates; 0 where they rest on different clusters.

    Returns
    -------
    low, high : ndarray of float64
        Cut at -1 and 1. With Wilson intervals and no correlation this is Newcombe's hybrid score interval.
    """
    (p, p_low, p_high), (q, q_low, q_high) = (
        tuple(np.asarray(value, np.float64) for value in arm) for arm in (first, second)
    )
    r = np.asarray(correlation, np.float64)
    down, up = p - p_low, q_high - q
    below = np.sqrt(np.maximum(down**2 + up**2 - 2 * r * down * up, 0))
    up, down = p_high - p, q - q_low
    above = np.sqrt(np.maximum(up**2 + down**2 - 2 * r * up * down, 0))
    return np.maximum(p - q - below, -1.0), np.minimum(p - q + above, 1.0)


def newcombe(
    count: npt.ArrayLike,
    total: npt.ArrayLike,
    count2: npt.ArrayLike,
    total2: npt.ArrayLike,
    alpha: float = 0.05,
) -> Bounds:
    """Newcombe's hybrid score interval of the difference of two independent proportions (1998, method 10)."""
    arms = []
    for successes, trials in ((count, total), (count2, total2)):
        with np.errstate(invalid="ignore", divide="ignore"):
            rate = np.asarray(successes, np.float64) / np.asarray(trials, np.float64)
        arms.append((rate, *wilson(successes, trials, alpha)))
    return mover_difference(arms[0], arms[1])


def mover_ratio(
    first: tuple[npt.ArrayLike, npt.ArrayLike, npt.ArrayLike],
    second: tuple[npt.ArrayLike, npt.ArrayLike, npt.ArrayLike],
    correlation: npt.ArrayLike = 0.0,
) -> Bounds:
    """Interval of ``first / second`` from an interval of each (MOVER-R; Donner & Zou 2012, eq. 6 and 7).

    Parameters
    ----------
    first, second : (estimate, low, high)
        Non-negative estimates with their intervals.
    correlation : array_like
        Correlation of the two estimates.

    Returns
    -------
    low, high : ndarray of float64
        `high` is infinite where the lower bound of `second` is 0; NaN where both estimates are 0.
    """
    (p, p_low, p_high), (q, q_low, q_high) = (
        tuple(np.asarray(value, np.float64) for value in arm) for arm in (first, second)
    )
    r = np.asarray(correlation, np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        # The root of the quadratic is written in the form that survives a vanishing leading coefficient.
        a = p * q - r * (p - p_low) * (q_high - q)
        b, c = p_low * (2 * p - p_low), q_high * (2 * q - q_high)
        denominator = a + np.sqrt(np.maximum(a**2 - b * c, 0))
        low = np.where(b > 0, b / denominator, 0.0)
        a = p * q - r * (p_high - p) * (q - q_low)
        b, c = p_high * (2 * p - p_high), q_low * (2 * q - q_low)
        high = np.where(c > 0, (a + np.sqrt(np.maximum(a**2 - b * c, 0))) / c, np.inf)
    undefined = (p == 0) & (q == 0)
    return np.where(undefined, np.nan, np.maximum(low, 0.0)), np.where(undefined, np.nan, high)


@dataclass(frozen=True)
class Mean:
    """A mean over clusters with its t interval.

    `variance` is that between the cluster means, for planning. `status` is ``ok``, ``undefined`` (no
    value) or ``too_few_clusters`` (one: a value without an interval).
    """

    value: float
    low: float
    high: float
    n: int
    clusters: int
    variance: float
    status: str


def mean_interval(
    values: npt.ArrayLike,
    clusters: npt.ArrayLike,
    alpha: float = 0.05,
    bounds: tuple[float, float] | None = None,
) -> Mean:
    """Mean of the cluster means, each cluster counting once, with a t interval over clusters.

    Parameters
    ----------
    values : array_like, shape (N,)
        One value an image; without clusters, name each image a cluster of its own.
    clusters : array_like, shape (N,)
        Cluster of each.
    alpha : float
        One minus the confidence level.
    bounds : (float, float), optional
        What the mean cannot pass; the interval is cut there.
    """
    data = np.asarray(values, np.float64)
    if data.size == 0:
        return Mean(np.nan, np.nan, np.nan, 0, 0, np.nan, "undefined")
    code = np.unique(np.asarray(clusters), return_inverse=True)[1].reshape(-1)
    means = np.bincount(code, weights=data) / np.bincount(code)
    m, value = len(means), float(means.mean())
    if m < 2:
        return Mean(value, np.nan, np.nan, data.size, m, np.nan, "too_few_clusters")
    variance = float(means.var(ddof=1))
    half = float(special.stdtrit(m - 1, 1 - alpha / 2)) * float(np.sqrt(variance / m))
    least, most = bounds if bounds is not None else (-np.inf, np.inf)
    return Mean(value, max(value - half, least), min(value + half, most), data.size, m, variance, "ok")
