"""How concentrated a map is. A concentrated map is easier to read; it need not be the truer one."""

from __future__ import annotations

import numpy as np

from audit.errors import InputError
from audit.explanations.quality.measured import Measure, flattened, measure, without_mass

__all__ = ["effective_area", "gini"]


def gini(maps: np.ndarray) -> Measure:
    """Gini index of the absolute values (Hurley and Rickard 2009).

    ``1 - 2 sum_k (c_k / sum c) ((P - k + 1/2) / P)`` with the absolute values c in ascending order, k from 1 to P.

    Parameters
    ----------
    maps : ndarray
        ``(N, h, w)``; at their own resolution or resized, and only compared at one resolution.

    Returns
    -------
    Measure
        ``(N,)`` from 0 (all pixels alike) to ``1 - 1 / P`` (one pixel has all); undefined for a map that is zero
        everywhere or not finite.
    """
    ordered, reasons = _shares(maps)
    pixels = ordered.shape[1]
    weights = (pixels - np.arange(1, pixels + 1) + 0.5) / pixels
    return measure(1 - 2 * ordered @ weights, reasons)


def effective_area(maps: np.ndarray, mass: float = 0.9) -> Measure:
    """Share of the pixels that hold most of the absolute mass.

    Parameters
    ----------
    maps : ndarray
        ``(N, h, w)``.
    mass : float
        Share of the mass, above 0 and at most 1.

    Returns
    -------
    Measure
        ``(N,)`` the smallest number of pixels whose absolute values reach that share of their sum, over the number
        of pixels: ``1 / P`` to 1. Undefined for a map that is zero everywhere or not finite.
    """
    if not 0 < mass <= 1:
        raise InputError(f"mass is {mass}, allowed: above 0 and at most 1")
    ordered, reasons = _shares(maps)
    held = np.cumsum(ordered[:, ::-1], axis=1)
    short = (held < mass * held[:, -1:] * (1 - 1e-12)).sum(axis=1)  # a rounding error does not cost a pixel
    return measure((short + 1) / ordered.shape[1], reasons)


def _shares(maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``(N, P)`` ascending shares of the absolute mass, and why a map has none."""
    reasons = without_mass(maps)
    absolute = np.abs(flattened(maps).astype(np.float64))
    absolute[reasons != ""] = 1
    absolute /= absolute.max(axis=1, keepdims=True)  # sums of huge and of tiny values stay finite
    absolute /= absolute.sum(axis=1, keepdims=True)
    absolute.sort(axis=1)
    return absolute, reasons
