"""Raw explanation maps as small pictures: colour scales, normalisation and overlay.

A map is divided by its own largest absolute value, for display only; two pictures therefore compare where
a model looks, not how much. Colour scales are interpolated here from anchors, so nothing heavy is imported.
"""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

__all__ = [
    "DIVERGING",
    "SIGNED_METHODS",
    "UNSIGNED",
    "colours",
    "css_gradient",
    "data_uri",
    "map_uri",
    "normalise",
    "picture_uri",
    "render_map",
    "resize",
]

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

SIGNED_METHODS = frozenset({"gradient_x_input", "integrated_gradients"})
"""Methods whose maps tell evidence for the class from evidence against it, where a run's record does not say so."""

_LOSSLESS = 64

UNSIGNED = (
    "#000004",
    "#1b0c41",
    "#4a0c6b",
    "#781c6d",
    "#a52c60",
    "#cf4446",
    "#ed6925",
    "#fb9b06",
    "#f7d13d",
    "#fcffa4",
)
"""Anchors of the scale for unsigned maps (inferno: even in lightness, told apart in grey and by the colour-blind)."""

DIVERGING = (
    "#053061",
    "#2166ac",
    "#4393c3",
    "#92c5de",
    "#d1e5f0",
    "#f7f7f7",
    "#fee0b6",
    "#fdb863",
    "#e08214",
    "#b35806",
    "#7f3b08",
)
"""Anchors of the scale for signed maps: blue against, white nothing, orange for the class."""


def colours(anchors: tuple[str, ...], size: int = 256) -> Bytes:
    """Colour table interpolated between anchors, ``(size, 3)`` uint8."""
    points = np.array([[int(anchor[i : i + 2], 16) for i in (1, 3, 5)] for anchor in anchors], np.float64)
    where = np.linspace(0, len(anchors) - 1, size)
    table = np.stack([np.interp(where, np.arange(len(anchors)), points[:, c]) for c in range(3)], axis=1)
    return np.asarray(np.rint(table), np.uint8)


def css_gradient(anchors: tuple[str, ...]) -> str:
    """The scale as a CSS gradient, for a legend."""
    return f"linear-gradient(to right, {', '.join(anchors)})"


def normalise(values: npt.ArrayLike, *, signed: bool, scale: float | None = None) -> Floats:
    """Divide a map by its largest absolute value, or by that of several which are to be compared.

    Parameters
    ----------
    values : array_like, shape (h, w)
        Raw map.
    signed : bool
        Whether negative values mean something; else they are cut at 0.
    scale : float, optional
        What is divided by; values beyond it count as much.

    Returns
    -------
    ndarray of float32
        In [-1, 1] if signed, else [0, 1]. A map that is 0 everywhere stays so; values that are not
        finite count as 0.
    """
    data = np.nan_to_num(np.asarray(values, np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    if not signed:
        data = np.maximum(data, 0)
    largest = float(np.abs(data).max(initial=0.0)) if scale is None else scale
    return np.asarray(np.clip(data / largest, -1, 1) if largest > 0 else data, np.float32)


def resize(values: npt.NDArray[np.float32], height: int, width: int) -> Floats:
    """Resize a map bilinearly with half-pixel centres; where it shrinks, pixels are averaged."""
    if values.shape == (height, width):
        return values
    picture = Image.fromarray(np.ascontiguousarray(values, np.float32))
    small = height < values.shape[0] or width < values.shape[1]
    if small:
        return np.asarray(picture.resize((width, height), Image.Resampling.BOX), np.float32)
    return _enlarge(_enlarge(values, height).T, width).T


def _enlarge(values: Floats, rows: int) -> Floats:
    """Interpolate along the first axis; beyond the outermost centres the edge value holds."""
    count = values.shape[0]
    place = np.clip((np.arange(rows) + 0.5) * count / rows - 0.5, 0, count - 1)
    low = np.floor(place).astype(np.int64)
    high = np.minimum(low + 1, count - 1)
    part = (place - low).astype(np.float32)[:, None]
    return np.asarray(values[low] * (1 - part) + values[high] * part, np.float32)


def render_map(
    values: npt.ArrayLike, *, signed: bool, size: tuple[int, int] | None = None, under: Bytes | None = None
) -> Bytes:
    """Colour a raw map.

    Parameters
    ----------
    values : array_like, shape (h, w)
        Raw map at the method's own resolution.
    signed : bool
        Chooses the colour scale.
    size : (int, int), optional
        Height and width of the picture; the map's own by default.
    under : ndarray of uint8, shape (H, W, 3), optional
        Image to lay the map over, in grey; the stronger the map, the less of it shows.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)
    """
    data = _scaled(values, signed, size, None)
    painted = _table(signed)[_places(data, signed)]
    if under is None:
        return painted
    height, width = data.shape
    grey = np.asarray(
        Image.fromarray(under).convert("L").resize((width, height), Image.Resampling.BILINEAR), np.float32
    )
    weight = 0.3 + 0.55 * np.abs(data)[..., None]
    mixed = painted * weight + (grey[..., None] * 0.75 + 40) * (1 - weight)
    return np.asarray(np.clip(np.rint(mixed), 0, 255), np.uint8)


def _scaled(values: npt.ArrayLike, signed: bool, size: tuple[int, int] | None, scale: float | None) -> Floats:
    raw = np.asarray(values, np.float32)
    height, width = size or (raw.shape[0], raw.shape[1])
    finite = np.nan_to_num(raw, nan=0.0, posinf=0.0, neginf=0.0)
    return normalise(resize(finite, height, width), signed=signed, scale=scale)


def _table(signed: bool) -> Bytes:
    return colours(DIVERGING if signed else UNSIGNED)


def _places(data: Floats, signed: bool) -> Bytes:
    """Places of normalised values in the colour table."""
    return np.asarray(np.rint((data + 1) * 127.5 if signed else data * 255), np.uint8)


def data_uri(picture: Bytes) -> str:
    """A picture as a ``data:`` address: PNG up to 64 pixels a side, JPEG above."""
    return _address(Image.fromarray(picture))


def _address(image: Image.Image) -> str:
    stream = io.BytesIO()
    if max(image.size) <= _LOSSLESS:
        image.save(stream, format="PNG", optimize=True)
        kind = "png"
    else:
        image.convert("RGB").save(stream, format="JPEG", quality=82, subsampling=0)
        kind = "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"


def map_uri(
    values: npt.ArrayLike,
    *,
    signed: bool,
    under: Bytes | None = None,
    largest: int = 96,
    scale: float | None = None,
) -> str:
    """A raw map as a ``data:`` address.

    Parameters
    ----------
    values : array_like, shape (h, w)
        Raw map.
    signed : bool
        Chooses the colour scale.
    under : ndarray of uint8, optional
        Image to lay it over.
    largest : int
        Longest side in pixels; coarser maps laid over an image are enlarged to it.
    scale : float, optional
        As in `normalise`; not for maps that are laid over an image.
    """
    raw = np.asarray(values, np.float32)
    height, width = raw.shape
    factor = largest / max(height, width)
    size = (height, width)
    if factor < 1 or under is not None:
        size = (max(1, round(height * factor)), max(1, round(width * factor)))
    if under is not None:
        return data_uri(render_map(raw, signed=signed, size=size, under=under))
    places = _places(_scaled(raw, signed, size, scale), signed)
    image = Image.frombytes("P", (size[1], size[0]), places.tobytes())
    image.putpalette(_table(signed).tobytes())
    return _address(image)


def picture_uri(path: Path, largest: int = 96) -> tuple[str, Bytes] | None:
    """A thumbnail file as a ``data:`` address and as pixels, made again so that nothing else in the file travels.

    Returns
    -------
    (str, ndarray) or None
        None where the file is no readable image.
    """
    try:
        with Image.open(path) as opened:
            opened.thumbnail((largest, largest), Image.Resampling.LANCZOS)
            pixels = np.asarray(opened.convert("RGB"), np.uint8)
    except (OSError, ValueError, Image.DecompressionBombError):
        return None
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode('ascii')}", pixels
