"""How alike two maps of one image are: by rank, by their top pixels, by where their mass lies.

Whose maps are compared (two models, two methods, two seeds, a network and its randomised self) is up to the caller.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from audit.errors import InputError
from audit.explanations.maps import resize_map
from audit.explanations.quality.measured import Measure, flattened, measure, without_mass, without_order

__all__ = ["TOP", "RankedMaps", "mass_distance", "ranked", "same_size", "spearman", "top_overlap"]

TOP = 0.1
"""Share of the pixels that count as a map's top."""


@dataclass(frozen=True)
class RankedMaps:
    """Maps ready for many rank correlations; made by `ranked`.

    Attributes
    ----------
    unit : ndarray
        ``(N, P)`` float64 ranks, average ranks for ties, less their mean and scaled to length 1.
    problems : ndarray
        ``(N,)`` reasons why a map has no ranks, empty where it has.
    """

    unit: np.ndarray
    problems: np.ndarray


def ranked(maps: np.ndarray) -> RankedMaps:
    """Rank the pixels of ``(N, h, w)`` maps, signed values as they are."""
    from scipy.stats import rankdata

    problems = without_order(maps)
    flat = np.where((problems == "")[:, None], flattened(maps), 0)
    ranks = rankdata(flat, axis=1) - (flat.shape[1] + 1) / 2
    lengths = np.sqrt(np.einsum("np,np->n", ranks, ranks))
    return RankedMaps(ranks / np.where(lengths > 0, lengths, 1)[:, None], problems)


def spearman(first: RankedMaps, second: RankedMaps) -> Measure:
    """Rank correlation of each pair of maps.

    Parameters
    ----------
    first, second : RankedMaps
        Of maps of one size (`same_size`).

    Returns
    -------
    Measure
        ``(N,)`` -1 to 1; undefined where a map is not finite or the same everywhere. Neighbouring pixels are alike,
        so two smooth maps can correlate by chance far more than their number of pixels suggests.
    """
    if first.unit.shape != second.unit.shape:
        raise InputError(
            f"ranked maps have shapes {first.unit.shape} and {second.unit.shape}", fix="bring them to the same size"
        )
    product = np.einsum("np,np->n", first.unit, second.unit)
    return measure(np.clip(product, -1, 1), first.problems, second.problems)


def same_size(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Maps ``(N, h, w)`` of two sizes, each resized to the larger height and the larger width."""
    size = (max(first.shape[-2], second.shape[-2]), max(first.shape[-1], second.shape[-1]))
    with np.errstate(invalid="ignore"):  # an infinite map stays one that is not finite
        return resize_map(first, size), resize_map(second, size)


def top_overlap(first: np.ndarray, second: np.ndarray, share: float = TOP) -> Measure:
    """Intersection over union of the pixels with the largest absolute values.

    Parameters
    ----------
    first, second : ndarray
        ``(N, h, w)``; the smaller is resized to the larger.
    share : float
        Share of the pixels that count as top, above 0 and at most 1; at least one pixel.

    Returns
    -------
    Measure
        ``(N,)`` 0 (no pixel in common) to 1. Pixels tied for the last places share these evenly: each belongs to
        the top to that degree, and intersection and union are sums of the smaller and of the larger degree.
        Undefined where a map is not finite or the same everywhere in absolute value. Two tops drawn at random
        overlap by about ``share / (2 - share)``.
    """
    if not 0 < share <= 1:
        raise InputError(f"share of top pixels is {share}, allowed: above 0 and at most 1")
    one, other = (np.abs(maps) for maps in same_size(first, second))
    degrees = [_top(flattened(maps), share) for maps in (one, other)]
    both, either = np.minimum(*degrees).sum(axis=1), np.maximum(*degrees).sum(axis=1)
    return measure(both / np.maximum(either, np.finfo(float).tiny), without_order(one), without_order(other))


def mass_distance(first: np.ndarray, second: np.ndarray) -> Measure:
    """L1 distance of the absolute maps, each scaled to sum to 1.

    Parameters
    ----------
    first, second : ndarray
        ``(N, h, w)``; the smaller is resized to the larger, then both are made absolute.

    Returns
    -------
    Measure
        ``(N,)`` 0 (the same mass everywhere) to 2 (no pixel in common). Undefined for a map that is zero everywhere
        or not finite. Mass one pixel away counts as much as mass across the image.
    """
    maps = same_size(first, second)
    problems = [without_mass(each) for each in maps]
    shares = [_mass_shares(each, problem) for each, problem in zip(maps, problems, strict=True)]
    return measure(np.abs(shares[0] - shares[1]).sum(axis=1), *problems)


def _top(flat: np.ndarray, share: float) -> np.ndarray:
    """``(N, P)`` degree, 0 to 1, to which each pixel belongs to the top."""
    pixels = flat.shape[1]
    count = max(1, round(share * pixels))
    last = np.partition(flat, pixels - count, axis=1)[:, pixels - count, None]
    above, tied = flat > last, flat == last
    left = count - above.sum(axis=1, keepdims=True)
    return np.where(above, 1.0, tied * (left / np.maximum(tied.sum(axis=1, keepdims=True), 1)))


def _mass_shares(maps: np.ndarray, problems: np.ndarray) -> np.ndarray:
    flat = np.abs(flattened(maps).astype(np.float64))
    flat[problems != ""] = 1  # stands in for what is undefined
    flat /= flat.max(axis=1, keepdims=True)  # sums of huge and of tiny values stay finite
    return np.asarray(flat / flat.sum(axis=1, keepdims=True))
