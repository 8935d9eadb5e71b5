"""Draws with known truth: clusters whose images go together, and rates over many groups at once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from audit.fairness import GroupRates

__all__ = ["DRAWINGS", "SIZES", "cluster_chances", "cluster_sizes", "rates_of"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SIZES = (2, 5)
"""Images a cluster, unless said otherwise."""
DRAWINGS = ("beta", "mixture")
"""How a cluster's own rate is drawn: from a beta distribution, or all or nothing with the chance of the
intra-cluster correlation and else the common rate. Both have exactly that correlation; they agree at 0 and 1."""


def cluster_sizes(rng: np.random.Generator, shape: tuple[int, ...] | int, sizes: tuple[int, int] = SIZES) -> Ints:
    """Images in each cluster, from the smallest to the largest size, each as likely."""
    return rng.integers(sizes[0], sizes[1] + 1, size=shape)


def cluster_chances(
    rng: np.random.Generator, shape: tuple[int, ...] | int, rate: float | Floats, icc: float, drawing: str
) -> Floats:
    """Each cluster's own chance of success; images within it are independent given that chance.

    Parameters
    ----------
    rate : float or ndarray
        Chance over all clusters.
    icc : float
        Correlation of two images of one cluster, 0 to 1.
    drawing : str
        One of `DRAWINGS`.
    """
    mean = np.broadcast_to(np.asarray(rate, np.float64), shape)
    if icc == 0:
        return mean.copy()
    all_or_nothing = (rng.random(shape) < mean).astype(np.float64)
    if icc == 1:
        return all_or_nothing
    if drawing == "beta":
        scale = (1 - icc) / icc
        return rng.beta(mean * scale, (1 - mean) * scale)
    return np.where(rng.random(shape) < icc, all_or_nothing, mean)


def rates_of(successes: npt.ArrayLike, trials: npt.ArrayLike, *, clustered: bool) -> GroupRates:
    """Successes out of trials, one group a row and one cluster a column, as the product holds them.

    Parameters
    ----------
    successes, trials : array_like, shape (G, M)
        Every cell with at least one trial. Without clusters M is 1.
    """
    hits, total = (np.atleast_2d(np.asarray(values, np.int64)) for values in (successes, trials))
    g, m = hits.shape
    return GroupRates(
        tuple(f"g{place:05d}" for place in range(g)),
        clustered,
        np.repeat(np.arange(g), m),
        np.arange(g * m),
        hits.reshape(-1),
        total.reshape(-1),
    )
