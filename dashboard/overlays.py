"""Maps laid over their image, as strongly, in part and on the scale that the viewer asks for."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from reports.maps import DIVERGING, UNSIGNED, colours, resize

__all__ = ["SCALES", "SIDE", "Look", "cells", "kept", "legend", "levels", "overlay", "picture", "png", "reach"]

SIDE = 168
"""Longest side of a picture on the page, in pixels."""

SCALES = {
    "mass": "share of the mass, one scale for all models",
    "own": "each map by its own largest value",
    "rank": "rank of each pixel within its map",
}
"""Display scales and their words. Only `own` makes every map as strong as any other; the others compare models."""

_EMPTY = 128
_PERCENTILE = 99

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Look:
    """How maps are shown.

    Attributes
    ----------
    opacity : float
        0 shows the image alone, 1 the map alone.
    top : float
        Share of the map's absolute mass that is shown, the strongest pixels first; 1 shows all of it.
    scale : str
        Key of `SCALES`.
    """

    opacity: float = 0.7
    top: float = 1.0
    scale: str = "mass"


def picture(path: Path | None) -> Bytes | None:
    """A stored thumbnail, enlarged to the page's size; None where there is none or it cannot be read."""
    if path is None:
        return None
    try:
        with Image.open(path) as opened:
            scale = SIDE / max(opened.size)
            size = (max(1, round(opened.width * scale)), max(1, round(opened.height * scale)))
            return np.asarray(opened.convert("RGB").resize(size, Image.Resampling.BICUBIC), np.uint8)
    except (OSError, ValueError, Image.DecompressionBombError):
        return None


def overlay(
    values: npt.ArrayLike, under: Bytes | None, look: Look, *, signed: bool, limit: float | None = None
) -> Bytes:
    """A raw map over its image.

    Parameters
    ----------
    values : array_like, shape (h, w)
        Raw map at the method's own resolution; what is not finite counts as 0.
    under : ndarray of uint8, shape (H, W, 3), or None
        The image; without one the map stands alone, and what is not shown of it is grey.
    look : Look
    signed : bool
        Whether negative values are evidence against the class; else they are cut at 0. Chooses the colour scale.
    limit : float, optional
        On the scale `mass`: from how many times an even spread on the colour is the strongest; the largest value by
        default.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)
        At opacity 1 the colours of the legend; below, the weaker a pixel the more of the image shows through it.
    """
    height, width = under.shape[:2] if under is not None else _size(np.asarray(values))
    data = _enlarged(values, (height, width), signed=signed)
    shown = kept(data, look.top)
    level = levels(data, look.scale, limit)
    index = np.rint((level + 1) * 127.5 if signed else level * 255).astype(np.int64)
    painted = _scale(signed=signed)[index]
    if under is None:
        return np.asarray(np.where(shown[..., None], painted, _EMPTY), np.uint8)
    grey = np.asarray(Image.fromarray(under).convert("L"), np.float32)[..., None].repeat(3, axis=2)
    faded = min(look.opacity * 2, 1.0)
    base = under * (1 - faded) + grey * faded
    weight = (shown * look.opacity ** (4 - 3 * np.abs(level)))[..., None]
    return np.asarray(np.clip(np.rint(painted * weight + base * (1 - weight)), 0, 255), np.uint8)


def levels(data: Floats, scale: str, limit: float | None = None) -> Floats:
    """Values as places on the colour scale.

    Parameters
    ----------
    data : ndarray of float32, shape (h, w)
        Finite values; none below 0 for an unsigned map.
    scale : str
        ``mass``: the absolute value over the mean absolute value (1 is an even spread), over `limit`. ``own``:
        over the largest absolute value. ``rank``: share of the other pixels whose absolute value is smaller.
    limit : float, optional
        For ``mass``; the largest value by default.

    Returns
    -------
    ndarray of float32, shape (h, w)
        In [-1, 1], the sign that of the value; 0 throughout for a map that is 0 everywhere.
    """
    size = np.abs(data.astype(np.float64))
    largest = float(size.max(initial=0.0))
    if largest == 0:
        return np.zeros(data.shape, np.float32)
    if scale == "rank":
        level = np.searchsorted(np.sort(size, axis=None), size, side="left") / max(size.size - 1, 1)
    elif scale == "mass":
        level = size / size.mean() / (limit or largest / size.mean())
    else:
        level = size / largest
    return np.asarray(np.sign(data) * np.clip(level, 0, 1), np.float32)


def kept(data: Floats, top: float) -> npt.NDArray[np.bool_]:
    """The fewest pixels that hold a share of the absolute mass, the strongest first; those as strong as the last too.

    Pixels without any mass are kept only where `top` is 1.
    """
    size = np.abs(data.astype(np.float64))
    if top >= 1 or not size.any():
        return np.ones(size.shape, bool)
    ordered = np.sort(size, axis=None)[::-1]
    held = np.cumsum(ordered)
    last = int(np.searchsorted(held, top * held[-1] * (1 - 1e-9)))
    return np.asarray((size >= ordered[last]) & (size > 0))


def reach(values: Iterable[npt.ArrayLike], *, signed: bool) -> float:
    """Where the strongest colour of some maps begins, in multiples of an even spread.

    Parameters
    ----------
    values : iterable of array_like, shape (h, w)
        Raw maps that are to share a scale.
    signed : bool
        As in `overlay`.

    Returns
    -------
    float
        The largest over the maps of the 99th percentile of the absolute value over its mean, so that a few outlying
        pixels do not darken the rest; at least 1.
    """
    found = 1.0
    for raw in values:
        array = np.asarray(raw)
        size = np.abs(_enlarged(array, _size(array), signed=signed).astype(np.float64))
        if size.any():
            found = max(found, float(np.percentile(size, _PERCENTILE) / size.mean()))
    return found


def png(pixels: Bytes, width: int | None = None) -> bytes:
    """A picture as a PNG file, no wider than asked, made quickly rather than small: it travels on this machine only."""
    drawn = Image.fromarray(pixels)
    if width is not None and width < drawn.width:
        drawn = drawn.resize((width, round(drawn.height * width / drawn.width)), Image.Resampling.BILINEAR)
    stream = io.BytesIO()
    drawn.save(stream, format="PNG", compress_level=1)
    return stream.getvalue()


def cells(values: npt.ArrayLike, limit: float, *, signed: bool, side: int = SIDE) -> Bytes:
    """A coarse map such as a mean over images, every cell a square of one colour; `limit` is the strongest one's."""
    data = np.asarray(values, np.float64)
    level = np.clip(data / limit if limit > 0 else data * 0, -1 if signed else 0, 1)
    index = np.rint((level + 1) * 127.5 if signed else level * 255).astype(np.int64)
    each = max(1, round(side / max(data.shape)))
    return _scale(signed=signed)[index].repeat(each, axis=0).repeat(each, axis=1)


def legend(*, signed: bool) -> Bytes:
    """A colour scale as a strip, low values to the left."""
    return np.repeat(_scale(signed=signed)[None], 14, axis=0)


@cache
def _scale(*, signed: bool) -> Bytes:
    return colours(DIVERGING if signed else UNSIGNED)


def _enlarged(values: npt.ArrayLike, size: tuple[int, int], *, signed: bool) -> Floats:
    raw = np.nan_to_num(np.asarray(values, np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    data = resize(raw, *size)
    return data if signed else np.maximum(data, 0)


def _size(values: npt.NDArray[np.generic]) -> tuple[int, int]:
    scale = SIDE / max(values.shape)
    return max(1, round(values.shape[0] * scale)), max(1, round(values.shape[1] * scale))
