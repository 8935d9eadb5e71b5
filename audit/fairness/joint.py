"""Linear contrasts of several estimates, with intervals that hold for all of them together (max-T).

Which contrasts are taken, and what is made of them, is decided in `contrasts` and `composites`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np
import numpy.typing as npt
from scipy import special

from audit.fairness.intervals import Bounds, Floats

__all__ = ["WIDTH", "Family", "all_pairs"]

DRAWS = (5_000, 20_000)
CELLS = 2_000_000
TRUSTED = 50
"""Draws that must lie beyond a quantile before it is used; further out Bonferroni's level stands in."""
WIDTH = 2 * float(special.ndtri(0.975))
"""Width of a normal 95 % interval in standard deviations."""

Limits = Callable[[float], Bounds]


def all_pairs(size: int) -> Floats:
    """Contrasts of every two of `size` estimates, the first minus the second, shape ``(pairs, size)``."""
    pairs = list(combinations(range(size), 2))
    out = np.zeros((len(pairs), size))
    for row, (first, second) in enumerate(pairs):
        out[row, first], out[row, second] = 1.0, -1.0
    return out


@dataclass(frozen=True)
class Family:
    """Contrasts of estimates that are judged together.

    Parameters
    ----------
    contrasts : ndarray, shape (C, M)
        One linear combination a row.
    estimates : ndarray, shape (M,)
        The estimates.
    limits : callable
        From alpha to the bounds of every estimate, each for itself.
    correlation : ndarray, shape (M, M)
        Correlation of the estimates.

    Notes
    -----
    One contrast has the interval that MOVER makes of the estimates' own (Zou & Donner 2008; for two
    proportions with Wilson bounds Newcombe's). Several have it at the level at which the largest
    standardised contrast stays within in all but `alpha` of draws from the joint normal distribution
    (max-T; Hothorn, Bretz & Westfall 2008). The standard deviations are those that the estimates' own
    95 % intervals imply, so that none is 0. For levels so small that too few draws lie beyond,
    Bonferroni's level is taken; it is also the least that is.
    """

    contrasts: Floats
    estimates: Floats
    limits: Limits
    correlation: Floats

    def __post_init__(self) -> None:
        object.__setattr__(self, "_maxima", None)

    @property
    def values(self) -> Floats:
        """The contrasts as observed."""
        return np.asarray(self.contrasts @ self.estimates, dtype=np.float64)

    @property
    def spread(self) -> Floats:
        """Standard deviation of each estimate, from the width of its 95 % interval."""
        low, high = self.limits(0.05)
        return np.asarray((high - low) / WIDTH, dtype=np.float64)

    @property
    def deviations(self) -> Floats:
        """Standard deviation of each contrast."""
        return self._norm(self.contrasts * self.spread)

    def level(self, alpha: float) -> float:
        """Alpha of the single intervals that together hold at `alpha`."""
        count = len(self.contrasts)
        if count == 1:
            return alpha
        maxima = self._drawn()
        if maxima is None or alpha * len(maxima) < TRUSTED:
            return alpha / count
        quantile = float(np.quantile(maxima, 1 - alpha, method="higher"))
        return max(alpha / count, float(2 * special.ndtr(-quantile)))

    def bounds(self, alpha: float) -> Bounds:
        """Simultaneous interval of each contrast, shape (C,) each."""
        low, high = self.limits(self.level(alpha))
        down, up = self.estimates - low, high - self.estimates
        raised = self.contrasts > 0
        values = self.values
        below = self._norm(self.contrasts * np.where(raised, down, up))
        above = self._norm(self.contrasts * np.where(raised, up, down))
        return values - below, values + above

    def _norm(self, arms: Floats) -> Floats:
        """Root of the quadratic form of each row in the correlation."""
        square = (arms**2).sum(axis=1)
        off = self.correlation - np.diag(np.diag(self.correlation))
        if off.any():
            square = square + np.einsum("cm,mn,cn->c", arms, off, arms)
        return np.asarray(np.sqrt(np.maximum(square, 0.0)), dtype=np.float64)

    def _drawn(self) -> Floats | None:
        """Sorted draws of the largest absolute standardised contrast; None where a spread is unknown."""
        stored: Floats | None = getattr(self, "_maxima", None)
        spread = self.spread
        if stored is not None or np.isnan(spread).any():
            return stored
        scaled = self.contrasts * spread
        size = self._norm(scaled)
        kept = size > 0
        if not kept.any():
            return None
        # In an order of their own, so that renaming or reordering groups changes nothing.
        order = np.lexsort((np.abs(self.contrasts).sum(axis=0), self.estimates, spread))
        draws = int(np.clip(CELLS // len(scaled), *DRAWS))
        normal = _normals(draws, len(spread))
        off = (self.correlation - np.diag(np.diag(self.correlation)))[np.ix_(order, order)]
        if off.any():
            values, vectors = np.linalg.eigh(off + np.eye(len(spread)))
            normal = normal @ (vectors * np.sqrt(np.maximum(values, 0.0))).T.astype(np.float32)
        scaled = scaled[:, order]
        weights = (scaled[kept] / size[kept, None]).T.astype(np.float32)
        drawn = np.sort(np.abs(normal @ weights).max(axis=1).astype(np.float64))
        object.__setattr__(self, "_maxima", drawn)
        return drawn


@lru_cache(maxsize=8)
def _normals(draws: int, size: int) -> npt.NDArray[np.float32]:
    """Independent standard normal draws, the same for every family of this size."""
    found = np.random.default_rng(0).standard_normal((draws, size), dtype=np.float32)
    found.flags.writeable = False
    return found
