"""The outlines of the built-in synthetic set: for each class, how much of every pixel the shape covers.

Only additions, products, square roots, minima and maxima of float32 are used, one NumPy call each:
IEEE arithmetic fixes every one of them to the last bit, so all machines draw the same outline.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["SHAPES", "coverage", "rotation"]

Plane = npt.NDArray[np.float32]

# Steps of the half-angle tangent in a quarter turn. Cosine and sine come from it by a division, without libm.
ROTATION_STEPS: Final = 64


def _length(u: Plane, v: Plane) -> Plane:
    return np.asarray(np.sqrt(u * u + v * v), dtype=np.float32)


def _disc(u: Plane, v: Plane, r: Plane) -> Plane:
    return r - _length(u, v)


def _box(u: Plane, v: Plane, half_u: Plane, half_v: Plane) -> Plane:
    inside: Plane = np.minimum(half_u - np.abs(u), half_v - np.abs(v))
    return inside


def _cross(u: Plane, v: Plane, r: Plane) -> Plane:
    arm = r * np.float32(0.3125)
    inside: Plane = np.maximum(_box(u, v, r, arm), _box(u, v, arm, r))
    return inside


def _square(u: Plane, v: Plane, r: Plane) -> Plane:
    side = r * np.float32(0.75)
    return _box(u, v, side, side)


def _triangle(u: Plane, v: Plane, r: Plane) -> Plane:
    half = r * np.float32(0.5)
    slope = np.abs(u) * np.float32(0.8660254) + v * np.float32(0.5)
    inside: Plane = np.minimum(half - slope, v + half)
    return inside


def _ring(u: Plane, v: Plane, r: Plane) -> Plane:
    band = r * np.float32(0.1875)
    return band - np.abs(_length(u, v) - r * np.float32(0.8125))


def _bar(u: Plane, v: Plane, r: Plane) -> Plane:
    return _box(u, v, r, r * np.float32(0.3125))


def _half_disc(u: Plane, v: Plane, r: Plane) -> Plane:
    shift = r * np.float32(0.375)
    inside: Plane = np.minimum(_disc(u, v - shift, r), shift - v)
    return inside


def _corner(u: Plane, v: Plane, r: Plane) -> Plane:
    arm, side, near = r * np.float32(0.25), r * np.float32(0.6875), r * np.float32(0.4375)
    inside: Plane = np.maximum(_box(u + near, v, arm, side), _box(u, v + near, side, arm))
    return inside


def _tee(u: Plane, v: Plane, r: Plane) -> Plane:
    arm, side, near = r * np.float32(0.25), r * np.float32(0.6875), r * np.float32(0.4375)
    inside: Plane = np.maximum(_box(u, v, arm, side), _box(u, v + near, side, arm))
    return inside


def _frame(u: Plane, v: Plane, r: Plane) -> Plane:
    outer, inner = r * np.float32(0.75), r * np.float32(0.375)
    inside: Plane = np.minimum(_box(u, v, outer, outer), -_box(u, v, inner, inner))
    return inside


SHAPES: Final[dict[str, Callable[[Plane, Plane, Plane], Plane]]] = {
    "disc": _disc,
    "cross": _cross,
    "square": _square,
    "triangle": _triangle,
    "ring": _ring,
    "bar": _bar,
    "half_disc": _half_disc,
    "corner": _corner,
    "tee": _tee,
    "frame": _frame,
}


def rotation(step: npt.NDArray[np.int64], quarter: npt.NDArray[np.int64]) -> tuple[Plane, Plane]:
    """Cosine and sine of a turn.

    Parameters
    ----------
    step : ndarray of int64, (N,)
        0 to `ROTATION_STEPS` - 1: tangent of the half angle, in steps of 1 / `ROTATION_STEPS`; under a quarter turn.
    quarter : ndarray of int64, (N,)
        Whole quarter turns added, 0 to 3.

    Returns
    -------
    tuple of two ndarrays of float32, (N,)
    """
    tangent = step / np.float64(ROTATION_STEPS)
    scale = 1.0 + tangent * tangent
    cosine, sine = (1.0 - tangent * tangent) / scale, 2.0 * tangent / scale
    turned = [(cosine, sine), (-sine, cosine), (-cosine, -sine), (sine, -cosine)]
    cosines = np.choose(quarter, [pair[0] for pair in turned])
    sines = np.choose(quarter, [pair[1] for pair in turned])
    return cosines.astype(np.float32), sines.astype(np.float32)


def coverage(name: str, u: Plane, v: Plane, radius: Plane) -> Plane:
    """Share of each pixel that a shape covers, with an edge one pixel wide.

    Parameters
    ----------
    name : str
        A key of `SHAPES`.
    u, v : ndarray of float32, (N, H, W)
        Pixel coordinates from the shape's centre along its own axes, in pixels.
    radius : ndarray of float32, (N, 1, 1)
        Radius in pixels.

    Returns
    -------
    ndarray of float32, (N, H, W)
        0 outside to 1 inside.
    """
    inside = SHAPES[name](u, v, radius) + np.float32(0.5)
    share: Plane = np.minimum(np.maximum(inside, np.float32(0.0)), np.float32(1.0))
    return share
