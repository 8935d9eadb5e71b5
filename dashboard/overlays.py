"""Maps laid over their image, with a strength that the viewer sets. Colours come from `reports.maps`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from reports.maps import DIVERGING, SIGNED_METHODS, UNSIGNED, colours, normalise, resize

__all__ = ["SIDE", "legend", "overlay", "picture"]

SIDE = 240
"""Longest side of a picture on the page, in pixels."""

Bytes = npt.NDArray[np.uint8]


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


def overlay(values: npt.NDArray[np.float32], method: str, under: Bytes | None, strength: float) -> Bytes:
    """A raw map over its image.

    Parameters
    ----------
    values : ndarray of float32, shape (h, w)
        Raw map at the method's own resolution.
    method : str
        Decides whether the map is signed, and so its colour scale.
    under : ndarray of uint8, shape (H, W, 3), or None
        The image; without one the map stands alone.
    strength : float
        0 shows the image alone; 1 covers it where the map is strongest, a third of that where it is 0.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)
    """
    signed = method in SIGNED_METHODS
    height, width = under.shape[:2] if under is not None else _size(values)
    raw = np.nan_to_num(np.asarray(values, np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    data = normalise(resize(raw, height, width), signed=signed)
    index = np.rint((data + 1) * 127.5 if signed else data * 255).astype(np.int64)
    painted = colours(DIVERGING if signed else UNSIGNED)[index]
    if under is None:
        return painted
    grey = np.asarray(Image.fromarray(under).convert("L"), np.float32)[..., None].repeat(3, axis=2)
    base = under * (1 - min(strength * 2, 1)) + grey * min(strength * 2, 1)
    weight = strength * (0.35 + 0.65 * np.abs(data))[..., None]
    return np.asarray(np.clip(np.rint(painted * weight + base * (1 - weight)), 0, 255), np.uint8)


def legend(*, signed: bool) -> Bytes:
    """A colour scale as a strip, low values to the left."""
    return np.repeat(colours(DIVERGING if signed else UNSIGNED)[None], 14, axis=0)


def _size(values: npt.NDArray[np.float32]) -> tuple[int, int]:
    scale = SIDE / max(values.shape)
    return max(1, round(values.shape[0] * scale)), max(1, round(values.shape[1] * scale))
