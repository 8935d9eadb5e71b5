"""How much of a map lies in each region of an image.

Which regions ought not to matter, and for whom the shares differ, is judged elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np

from audit.errors import DataError
from audit.explanations.maps import resize_map

__all__ = ["RegionShare", "region_mass", "total_attribution"]


class RegionShare(NamedTuple):
    """One region of one map.

    Attributes
    ----------
    share : float or None
        Share of the absolute attribution, 0 to 1; None where it is undefined.
    area : float
        Share of the image, 0 to 1. An even map has `share` equal to `area`.
    status : str
        ``ok``, or ``undefined``: the map is zero everywhere or not finite, or the region is empty.
    """

    share: float | None
    area: float
    status: Literal["ok", "undefined"]


def total_attribution(raw: np.ndarray) -> float:
    """Sum of the absolute attribution of one raw map."""
    return float(np.abs(raw.astype(np.float64)).sum())


def region_mass(raw: np.ndarray, regions: np.ndarray, names: Mapping[int, str]) -> dict[str, RegionShare]:
    """Share of absolute attribution and of area, region by region.

    Parameters
    ----------
    raw : ndarray
        ``(h, w)`` raw map; resized to the region map first, then made absolute.
    regions : ndarray
        ``(H, W)`` whole numbers; 0 is outside every region.
    names : mapping of int to str
        Name of each value.

    Returns
    -------
    dict of str to RegionShare
        By name, in the order of `names`.

    Raises
    ------
    DataError
        The region map has another shape, or holds a value without a name.
    """
    if regions.ndim != 2 or regions.dtype.kind not in "iu":
        raise DataError(f"a region map must be (H, W) whole numbers, got {regions.shape} {regions.dtype}")
    unknown = sorted(set(np.unique(regions).tolist()) - {0, *names})
    if unknown:
        raise DataError(f"region map holds the values {unknown} without a name; named are {sorted(names)}")
    height, width = regions.shape
    mass = np.abs(resize_map(raw.astype(np.float64), (height, width)))
    total = float(mass.sum())
    defined = bool(np.isfinite(total)) and total > 0
    return {name: _share(mass, regions == value, total, defined) for value, name in names.items()}


def _share(mass: np.ndarray, inside: np.ndarray, total: float, defined: bool) -> RegionShare:
    area = float(inside.mean())
    if not defined or area == 0:
        return RegionShare(None, area, "undefined")
    return RegionShare(float(mass[inside].sum()) / total, area, "ok")
