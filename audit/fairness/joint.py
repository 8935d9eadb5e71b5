"""Linear contrasts of several estimates, with intervals that hold for all of them together (max-T).

Which contrasts are taken, and what is made of them, is decided in `contrasts` and `composites`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt
from scipy import special

from audit.fairness.intervals import Bounds, Floats

__all__ = ["WIDTH", "Family", "all_pairs"]

DRAWS = (5_000, 20_000)
CELLS = 2_000_000
AT_ONCE = 4_000_000
"""Drawn contrasts that are held in memory together."""
TRUSTED = 50
"""Draws that must lie beyond a quantile before it is used; further out Bonferroni's level stands in."""
WIDTH = 2 * float(special.ndtri(0.975))
"""Width of a normal 95 % interval in standard deviations."""

Limits = Callable[[float], Bounds]
Places = npt.NDArray[np.intp]


def all_pairs(size: int) -> Floats:
    """Contrasts of every two of `size` estimates, the first minus the second, shape ``(pairs, size)``."""
    first, second = np.triu_indices(size, 1)
    out, rows = np.zeros((len(first), size)), np.arange(len(first))
    out[rows, first], out[rows, second] = 1.0, -1.0
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

    @property
    def values(self) -> Floats:
        """The contrasts as observed."""
        if self._pairs is not None and np.isfinite(self.estimates).all():
            first, second = self._pairs
            return np.asarray(self.estimates[first] - self.estimates[second], dtype=np.float64)
        return np.asarray(self.contrasts @ self.estimates, dtype=np.float64)

    @property
    def spread(self) -> Floats:
        """Standard deviation of each estimate, from the width of its 95 % interval."""
        low, high = self.limits(0.05)
        return np.asarray((high - low) / WIDTH, dtype=np.float64)

    @property
    def deviations(self) -> Floats:
        """Standard deviation of each contrast."""
        return self._lengths(self.spread, self.spread)

    def level(self, alpha: float) -> float:
        """Alpha of the single intervals that together hold at `alpha`."""
        count = len(self.contrasts)
        if count == 1:
            return alpha
        maxima = self._maxima
        if maxima is None or alpha * len(maxima) < TRUSTED:
            return alpha / count
        quantile = float(np.quantile(maxima, 1 - alpha, method="higher"))
        return max(alpha / count, float(2 * special.ndtr(-quantile)))

    def bounds(self, alpha: float) -> Bounds:
        """Simultaneous interval of each contrast, shape (C,) each."""
        low, high = self.limits(self.level(alpha))
        down, up = self.estimates - low, high - self.estimates
        values = self.values
        return values - self._lengths(down, up), values + self._lengths(up, down)

    @cached_property
    def _pairs(self) -> tuple[Places, Places] | None:
        """Which estimate each contrast adds and which it subtracts; None where one is more than a difference of two."""
        counts = [(self.contrasts == sign).sum(axis=1) for sign in (1.0, -1.0)]
        differences = (self.contrasts != 0).sum(axis=1) == 2
        if not (differences & (counts[0] == 1) & (counts[1] == 1)).all():
            return None
        return np.argmax(self.contrasts, axis=1), np.argmin(self.contrasts, axis=1)

    @cached_property
    def _off(self) -> Floats:
        """The correlation without its diagonal."""
        return np.asarray(self.correlation - np.diag(np.diag(self.correlation)), dtype=np.float64)

    def _lengths(self, added: Floats, subtracted: Floats) -> Floats:
        """Length of each contrast's arm, from those of the estimates that it adds and of those that it subtracts.

        Of differences of two it is written out: a table of 160 groups has 12 720 of them.
        """
        if self._pairs is None or not (np.isfinite(added).all() and np.isfinite(subtracted).all()):
            return self._norm(self.contrasts * np.where(self.contrasts > 0, added, subtracted))
        first, second = self._pairs
        one, other = added[first], -subtracted[second]
        square = one**2 + other**2
        if self._off.any():
            square = square + (one * self._off[first, second] * other + other * self._off[second, first] * one)
        return np.asarray(np.sqrt(np.maximum(square, 0.0)), dtype=np.float64)

    def _norm(self, arms: Floats) -> Floats:
        """Root of the quadratic form of each row in the correlation."""
        square = (arms**2).sum(axis=1)
        if self._off.any():
            square = square + np.einsum("cm,mn,cn->c", arms, self._off, arms)
        return np.asarray(np.sqrt(np.maximum(square, 0.0)), dtype=np.float64)

    @cached_property
    def _maxima(self) -> Floats | None:
        """Sorted draws of the largest absolute standardised contrast; None where a spread is unknown."""
        spread = self.spread
        if np.isnan(spread).any():
            return None
        scaled = self.contrasts * spread
        size = self._lengths(spread, spread)
        kept = size > 0
        if not kept.any():
            return None
        # In an order of their own, so that renaming or reordering groups changes nothing.
        order = np.lexsort((np.abs(self.contrasts).sum(axis=0), self.estimates, spread))
        draws = int(np.clip(CELLS // len(scaled), *DRAWS))
        normal = _normals(draws, len(spread))
        off = self._off[np.ix_(order, order)]
        if off.any():
            values, vectors = np.linalg.eigh(off + np.eye(len(spread)))
            normal = normal @ (vectors * np.sqrt(np.maximum(values, 0.0))).T.astype(np.float32)
        scaled = scaled[:, order]
        weights = (scaled[kept] / size[kept, None]).T.astype(np.float32)
        return np.sort(np.concatenate(list(_largest(normal, weights))).astype(np.float64))


def _largest(normal: npt.NDArray[np.float32], weights: npt.NDArray[np.float32]) -> Iterator[npt.NDArray[np.float32]]:
    """Largest absolute contrast of each draw, some draws at a time so that little memory is taken."""
    step = max(1, AT_ONCE // weights.shape[1])
    for start in range(0, len(normal), step):
        drawn = normal[start : start + step] @ weights
        yield np.abs(drawn, out=drawn).max(axis=1)


@lru_cache(maxsize=8)
def _normals(draws: int, size: int) -> npt.NDArray[np.float32]:
    """Independent standard normal draws, the same for every family of this size."""
    found = np.random.default_rng(0).standard_normal((draws, size), dtype=np.float32)
    found.flags.writeable = False
    return found
