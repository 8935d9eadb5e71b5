"""Whether a map's largest value lies in a region. Mass in regions is in `audit.explanations.regions`."""

from __future__ import annotations

import numpy as np

from audit.errors import DataError
from audit.explanations.maps import resize_map
from audit.explanations.quality.measured import Measure, measure, without_mass

__all__ = ["pointing_game"]


def pointing_game(maps: np.ndarray, inside: np.ndarray) -> Measure:
    """Pointing game (Zhang et al. 2016), without their tolerance of 15 pixels around the region.

    Parameters
    ----------
    maps : ndarray
        ``(N, h, w)`` raw; resized to the regions first, then made absolute.
    inside : ndarray
        ``(N, H, W)`` bool, the region in each image.

    Returns
    -------
    Measure
        ``(N,)`` 1 where the largest absolute value lies in the region, 0 where it does not; of several equal
        maxima the share that lies inside. Undefined where the region is empty, and for a map that is zero
        everywhere or not finite. A region as large as the image is always hit: read it beside its area.

    Raises
    ------
    DataError
        The region has another type or another number of images.
    """
    if inside.dtype != bool or inside.ndim != 3 or len(inside) != len(maps):
        raise DataError(f"regions are {inside.dtype} {inside.shape}, expected bool ({len(maps)}, H, W)")
    empty = np.where(inside.any(axis=(1, 2)), "", "the region is empty")
    with np.errstate(invalid="ignore"):  # infinite maps are undefined below
        absolute = np.abs(resize_map(maps.astype(np.float64), (inside.shape[1], inside.shape[2])))
    largest = absolute == absolute.max(axis=(1, 2), keepdims=True, initial=0)
    hits = (largest & inside).sum(axis=(1, 2)) / np.maximum(largest.sum(axis=(1, 2)), 1)
    return measure(hits, empty, without_mass(maps))
