"""Pixels of the built-in synthetic set, given what is on each image; which image shows what is not decided here.

Integer arithmetic on raw 64-bit words of PCG64, so that every machine draws the same bytes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from audit.data.synthetic_shapes import ROTATION_STEPS, SHAPES, coverage, rotation

__all__ = ["WORDS", "Scene", "below", "cover", "expose", "marker_mask", "paint"]

WORDS: Final = 16  # random words an image; cover, marker_mask and paint use columns 1 to 11

_ONE: Final = 1 << 16  # one grey level in fixed point
_LEVELS: Final = (0.78, 0.68, 0.58, 0.42, 0.32, 0.22)  # of the background, light to dark
_TINT: Final = (0.02, 0.0, -0.02)  # a slightly warm grey
_CONTRAST: Final = 0.18  # object against background, on every tone
_SHADING: Final = 0.03  # largest change from the centre to an edge, along each axis
_MARKER: Final = (0.22, 0.34, 0.78)  # blue
_NOISE_UNIT: Final = math.sqrt(4 * (256**2 - 1) / 12)  # standard deviation of a sum of four random bytes

Bytes = npt.NDArray[np.uint8]
Fixed = npt.NDArray[np.int32]
Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Plane = npt.NDArray[np.float32]
Words = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Scene:
    """What is on each image; every array has one row an image.

    Parameters
    ----------
    size : int
        Height and width in pixels.
    shapes : ndarray of int64, (N,)
        Position in `SHAPES`.
    tones : ndarray of int64, (N,)
        0 (lightest) to 5 (darkest).
    markers : ndarray of bool, (N,)
    words : ndarray of uint64, (N, WORDS)
        Random words that place and turn what is drawn.
    """

    size: int
    shapes: Integers
    tones: Integers
    markers: Mask
    words: Words

    def rows(self, rows: slice) -> Scene:
        """Part of the images."""
        return Scene(self.size, self.shapes[rows], self.tones[rows], self.markers[rows], self.words[rows])


def below(words: Words, limit: int) -> Integers:
    """Whole numbers from 0 to `limit` - 1 out of raw 64-bit words."""
    return (((words >> np.uint64(40)) * np.uint64(limit)) >> np.uint64(24)).astype(np.int64)


def cover(scene: Scene) -> Plane:
    """Share of each pixel covered by the object: float32, (N, H, W)."""
    unit = scene.size / 48
    spread, radii = round(12 * unit * 16), round(1.5 * unit * 16)
    low = round(18 * unit * 16) - 8  # centre and radius in sixteenths of a pixel, pixel centres on whole numbers
    centre_x = _sixteenths(low + below(scene.words[:, 1], spread + 1))
    centre_y = _sixteenths(low + below(scene.words[:, 2], spread + 1))
    radius = _sixteenths(round(6.25 * unit * 16) + below(scene.words[:, 3], radii + 1))
    cosine, sine = rotation(below(scene.words[:, 4], ROTATION_STEPS), below(scene.words[:, 5], 4))
    axis = np.arange(scene.size, dtype=np.float32)
    x, y = axis[None, None, :] - centre_x, axis[None, :, None] - centre_y
    names = tuple(SHAPES)
    result = np.empty((len(scene.shapes), scene.size, scene.size), dtype=np.float32)
    for shape in np.unique(scene.shapes):
        one = scene.shapes == shape
        cosines, sines = cosine[one, None, None], sine[one, None, None]
        u = x[one] * cosines + y[one] * sines
        v = y[one] * cosines - x[one] * sines
        result[one] = coverage(names[shape], u, v, radius[one])
    return result


def _sixteenths(values: Integers) -> Plane:
    return (values.astype(np.float32) * np.float32(1 / 16))[:, None, None]


def marker_mask(scene: Scene) -> Mask:
    """Where the bar is: bool, (N, H, W). It stays outside the square that the object can reach."""
    unit = scene.size / 48
    long, thick = round(9 * unit), round(3 * unit)
    corner, upright = below(scene.words[:, 8], 4), below(scene.words[:, 9], 2) == 1
    across = 1 + below(scene.words[:, 10], max(1, round(2 * unit)))
    along = 1 + below(scene.words[:, 11], max(1, round(4 * unit)))
    axis = np.arange(scene.size)
    spans = []
    for is_long, far in ((~upright, corner % 2 == 1), (upright, corner // 2 == 1)):
        start, length = np.where(is_long, along, across), np.where(is_long, long, thick)
        start = np.where(far, scene.size - start - length, start)
        spans.append((axis >= start[:, None]) & (axis < (start + length)[:, None]))
    mask: Mask = spans[0][:, None, :] & spans[1][:, :, None] & scene.markers[:, None, None]
    return mask


def _fixed(share: float) -> int:
    """A share of the pixel range in fixed point."""
    return round(share * 255 * _ONE)


def paint(scene: Scene, covered: Plane, marked: Mask, blur: tuple[int, ...]) -> Fixed:
    """Draw the images without noise.

    Parameters
    ----------
    scene : Scene
    covered : ndarray of float32, (N, H, W)
        From `cover`.
    marked : ndarray of bool, (N, H, W)
        From `marker_mask`.
    blur : tuple of int
        Passes of a 3 x 3 binomial blur for each tone.

    Returns
    -------
    ndarray of int32, (N, H, W, 3)
        Fixed point, 65,536 a grey level.
    """
    steps = 256
    slopes = [(below(scene.words[:, column], 2 * steps + 1) - steps).astype(np.int32) for column in (6, 7)]
    ticks = 2 * np.arange(scene.size) - (scene.size - 1)
    axis = (ticks * _fixed(_SHADING) // (steps * (scene.size - 1))).astype(np.int32)
    shade = slopes[0][:, None, None] * axis + slopes[1][:, None, None] * axis[:, None]
    step = np.where(scene.tones < 3, -1, 1).astype(np.int32) * np.int32(_fixed(_CONTRAST) // 256)
    grey = shade + step[:, None, None] * np.rint(covered * np.float32(256)).astype(np.int32)
    colours = np.array([[_fixed(level + tint) for tint in _TINT] for level in _LEVELS], dtype=np.int32)
    image: Fixed = grey[..., None] + colours[scene.tones][:, None, None, :]
    image[marked] = shade[marked][:, None] + np.array([_fixed(value) for value in _MARKER], dtype=np.int32)
    for passes in range(max(blur)):
        soft = np.array(blur)[scene.tones] > passes
        image[soft] = _blur(_blur(image[soft], 1), 2)
    return image


def _blur(image: Fixed, axis: int) -> Fixed:
    """One pass of (1 2 1) / 4 along an axis, the edge pixel repeated."""
    padding = [(1, 1) if place == axis else (0, 0) for place in range(4)]
    padded = np.moveaxis(np.pad(image, padding, mode="edge"), axis, 0)
    soft: Fixed = (padded[:-2] + np.int32(2) * padded[1:-1] + padded[2:] + np.int32(2)) >> np.int32(2)
    return np.moveaxis(soft, 0, axis)


def expose(clean: Fixed, tones: Integers, noise: tuple[float, ...], stream: np.random.PCG64) -> Bytes:
    """Add noise (a sum of four random bytes, near to a Gaussian; Irwin-Hall) and round to bytes.

    Parameters
    ----------
    clean : ndarray of int32, (N, H, W, 3)
        From `paint`.
    tones : ndarray of int64, (N,)
    noise : tuple of float
        Standard deviation for each tone, as a share of the pixel range.
    stream : numpy.random.PCG64
        Where the random bytes come from; two channels take one word.

    Returns
    -------
    ndarray of uint8, (N, H, W, 3)
    """
    raw = np.asarray(stream.random_raw((clean.size + 1) // 2), dtype="<u8").view("<u4")[: clean.size]
    pairs = (raw & np.uint32(0x00FF00FF)) + ((raw >> np.uint32(8)) & np.uint32(0x00FF00FF))
    sums = ((pairs + (pairs >> np.uint32(16))) & np.uint32(0xFFFF)).astype(np.int32).reshape(clean.shape)
    gains = np.array([round(value * 255 * _ONE / _NOISE_UNIT) for value in noise], dtype=np.int32)
    sums -= np.int32(510)
    sums *= gains[tones][:, None, None, None]
    sums += clean
    sums += np.int32(_ONE // 2)
    sums >>= np.int32(16)
    pixels: Bytes = np.clip(sums, 0, 255, out=sums).astype(np.uint8)
    return pixels
