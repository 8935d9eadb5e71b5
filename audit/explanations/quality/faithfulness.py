"""Deletion and insertion: how the target's probability moves as a map's pixels leave or enter the image.

Which fill stands for an absent pixel is in `fills`; imputation that depends on the mask is in `road`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from audit.errors import InputError, nearest
from audit.explanations.quality.curves import FLOOR, Curve, to_curve
from audit.explanations.quality.explained import Explained, pixel_ranks
from audit.explanations.quality.measured import without_order
from audit.explanations.targets import target_probabilities
from audit.models.adapter import ModelAdapter

__all__ = ["CURVES", "Stepping", "deletion_and_insertion", "faithfulness_cost"]

CURVES = ("deletion", "insertion")

_MASK_BYTES = 64 * 2**20  # masks held at once, one byte a pixel


@dataclass(frozen=True)
class Stepping:
    """How finely pixels leave and enter.

    Attributes
    ----------
    steps : int
        Equal parts of the pixels that move one after another (they differ by one pixel where the number of pixels
        is no multiple).
    seed : int
        Of the order of tied pixels, the same for every map.
    floor : float
        Starting probability below which the normalised area is undefined, 0 to 1.
    """

    steps: int = 32
    seed: int = 0
    floor: float = FLOOR

    def cuts(self, pixels: int) -> np.ndarray:
        """``(steps + 1,)`` int32 number of pixels that have moved, from none to all."""
        if not 1 <= self.steps <= pixels:
            raise InputError(f"steps are {self.steps}, allowed: 1 to the number of pixels, {pixels}")
        return np.rint(np.linspace(0, pixels, self.steps + 1)).astype(np.int32)


def deletion_and_insertion(
    adapter: ModelAdapter,
    explained: Explained,
    fill: np.ndarray,
    stepping: Stepping | None = None,
    curves: Sequence[str] = CURVES,
) -> dict[str, dict[str, Curve]]:
    """Deletion and insertion (Petsiuk, Das and Saenko 2018, RISE).

    Deletion starts from the image and replaces its pixels by the fill, those with the largest values in the map
    first; insertion starts from the fill and puts the image's pixels in, in the same order. Deletion and insertion
    share the two ends, and these are shared by all maps of an image.

    Parameters
    ----------
    adapter : ModelAdapter
        Needs scores only, so a black box will do.
    explained : Explained
        Images, targets and the maps, those of methods and those of references alike.
    fill : ndarray
        ``(N, H, W, C)``, or what broadcasts to it: what stands where a pixel is absent.
    stepping : Stepping, optional
    curves : sequence of str
        Of ``deletion`` and ``insertion``.

    Returns
    -------
    dict of str to dict of str to Curve
        By curve and map. Undefined for a map that is not finite or that is the same everywhere, for an image with
        scores that are not finite, and, normalised, where the starting probability is below the floor.

    Raises
    ------
    InputError
        Shapes, targets, steps or names do not fit.

    Notes
    -----
    Cost: `faithfulness_cost`. At most 64 MiB of masks are held at once, or those of one curve of one image.

    A filled image is no image that the model was trained on: the probability also moves because of that, which is
    why areas are read against those of reference maps on the same image with the same fill. A low deletion area
    does not show that a person would find the map plausible.
    """
    unknown = [name for name in curves if name not in CURVES]
    if unknown:
        raise InputError(f"curve '{unknown[0]}' is unknown, allowed: {', '.join(CURVES)}.{nearest(unknown[0], CURVES)}")
    explained = explained.checked(adapter)
    stepping = stepping or Stepping()
    images = explained.images
    filled = np.broadcast_to(np.asarray(fill, images.dtype), images.shape)
    cuts = stepping.cuts(images.shape[1] * images.shape[2])
    ends = target_probabilities(
        adapter.spec, adapter.scores(np.concatenate([images, filled])), np.tile(explained.targets, 2)
    ).reshape(2, len(images))
    rows = [_Row(curve, name) for curve in dict.fromkeys(curves) for name in explained.maps]
    inner = _inner(adapter, explained, filled, rows, stepping)
    problems = {name: without_order(maps) for name, maps in explained.maps.items()}
    found: dict[str, dict[str, Curve]] = {curve: {} for curve in curves}
    for place, (curve, name) in enumerate(rows):
        first, last = ends if curve == "deletion" else ends[::-1]
        values = np.concatenate([first[:, None], inner[:, place], last[:, None]], axis=1)
        found[curve][name] = to_curve(cuts / cuts[-1], values, ends[0], problems[name], stepping.floor)
    return found


def faithfulness_cost(maps: int, steps: int, curves: int = 2) -> int:
    """Forward passes an image for one fill: the two ends, and what lies between them for every map and curve.

    Parameters
    ----------
    maps : int
        Methods and references together.
    steps : int
        As in `Stepping`.
    curves : int
        1 for deletion or insertion alone, 2 for both.

    Returns
    -------
    int
        ``2 + maps * curves * (steps - 1)``; no implementation that evaluates each point can do with less.
    """
    return 2 + maps * curves * (steps - 1)


class _Row(NamedTuple):
    """One curve of one map: its inner steps are evaluated together."""

    curve: str
    name: str


def _inner(
    adapter: ModelAdapter, explained: Explained, filled: np.ndarray, rows: Sequence[_Row], stepping: Stepping
) -> np.ndarray:
    """``(N, rows, steps - 1)`` probabilities between the ends."""
    size = explained.images.shape[1:3]
    cuts = stepping.cuts(size[0] * size[1])
    found = np.empty((len(explained.images), len(rows), stepping.steps - 1))
    if found.size == 0:
        return found
    # A pixel is shown from the cut-th place on; for insertion places count from the other end.
    shown_from = np.stack([cuts[1:-1] if row.curve == "deletion" else cuts[-1] - cuts[1:-1] for row in rows])
    for which, some in _blocks(len(found), len(rows), _MASK_BYTES // int(cuts[-1] * shown_from.shape[1])):
        places = _places(explained, rows[some], which, stepping.seed)
        masks = places[:, :, None, :] >= shown_from[some][None, :, :, None]
        scores = adapter.masked_scores(explained.images[which], masks.reshape(len(places), -1, *size), filled[which])
        found[which, some] = target_probabilities(adapter.spec, scores, explained.targets[which]).reshape(
            masks.shape[:3]
        )
    return found


def _blocks(images: int, rows: int, most: int) -> Iterator[tuple[slice, slice]]:
    """Cut images x rows into blocks of at most `most`: whole images where they fit, else some rows of one image."""
    many, some = max(1, most // rows), min(rows, max(1, most))
    for first in range(0, images, many):
        for row in range(0, rows, some):
            yield slice(first, min(first + many, images)), slice(row, min(row + some, rows))


def _places(explained: Explained, rows: Sequence[_Row], which: slice, seed: int) -> np.ndarray:
    """``(n, rows, pixels)`` place of each pixel: from the front for deletion, from the back for insertion."""
    ranks = {name: pixel_ranks(explained.maps[name][which], seed) for name in dict.fromkeys(row.name for row in rows)}
    last = np.int32(next(iter(ranks.values())).shape[1] - 1)
    return np.stack([ranks[name] if curve == "deletion" else last - ranks[name] for curve, name in rows], axis=1)
