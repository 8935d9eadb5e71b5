"""Pictures made worse on purpose: noise, blur, JPEG, brightness and contrast at five severities.

Bytes in, bytes out: what a model makes of them is not here. The families and their grading follow Hendrycks and
Dietterich (2019, ImageNet-C and CIFAR-10-C), adapted to pictures of any size.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from functools import lru_cache
from typing import Final

import numpy as np
from PIL import Image

from audit.errors import InputError, nearest

__all__ = ["SEVERITIES", "corrupt"]

SEVERITIES: Final[dict[str, tuple[float, ...]]] = {
    "noise": (0.04, 0.08, 0.12, 0.18, 0.26),
    "blur": (0.008, 0.012, 0.018, 0.025, 0.035),
    "jpeg": (65, 40, 25, 15, 7),
    "brightness": (0.1, 0.2, 0.3, 0.4, 0.5),
    "contrast": (0.7, 0.5, 0.35, 0.2, 0.1),
}
"""Parameter of each corruption at the severities 1 to 5.

noise
    Standard deviation of added Gaussian noise, as a share of the range of bytes; one pattern an image, scaled.
blur
    Standard deviation of a Gaussian blur, as a share of the shorter side (1.8 to 7.8 pixels at 224).
jpeg
    Quality at which the picture is compressed and read again, chroma at half resolution.
brightness
    Added to the largest channel of each pixel as a share of the range, hue and saturation kept.
contrast
    Factor of the distance of every pixel from its channel's mean.
"""

_FULL: Final = 255.0
_REACH: Final = 4.0  # where the blur's kernel ends, in standard deviations


def corrupt(pixels: np.ndarray, corruption: str, severity: int, image_id: str) -> np.ndarray:
    """Make a picture worse.

    Parameters
    ----------
    pixels : ndarray
        ``(H, W, 1)`` or ``(H, W, 3)`` RGB, uint8; not changed.
    corruption : str
        A key of `SEVERITIES`.
    severity : int
        1 to 5.
    image_id : str
        Seeds what is random, together with the corruption: one image is corrupted alike for every model of one
        input size, in every framework and on every machine.

    Returns
    -------
    ndarray
        As `pixels`.

    Raises
    ------
    InputError
        The corruption or the severity is unknown, or the picture has another shape or type.
    """
    if corruption not in SEVERITIES:
        raise InputError(
            f"corruption '{corruption}' is unknown, allowed: {', '.join(SEVERITIES)}.{nearest(corruption, SEVERITIES)}"
        )
    if severity not in range(1, 6):
        raise InputError(f"severity is {severity}, allowed: 1 to 5")
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in (1, 3):
        raise InputError(f"picture is {pixels.dtype} {pixels.shape}, allowed: uint8 (H, W, 1) or (H, W, 3)")
    return _FUNCTIONS[corruption](pixels, SEVERITIES[corruption][severity - 1], f"{corruption}:{image_id}")


def _noise(pixels: np.ndarray, spread: float, seed: str) -> np.ndarray:
    digest = hashlib.sha256(seed.encode()).digest()
    generator = np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))
    return _bytes(pixels + spread * _FULL * generator.standard_normal(pixels.shape))


def _blur(pixels: np.ndarray, share: float, _seed: str) -> np.ndarray:
    """Gaussian along the columns, then along the rows; edges mirrored."""
    height, width = pixels.shape[:2]
    spread = share * min(height, width)
    columns = np.tensordot(_smoothing(height, spread), pixels.astype(np.float64), axes=(1, 0))
    return _bytes(np.tensordot(columns, _smoothing(width, spread), axes=(1, 1)).swapaxes(1, 2))


@lru_cache(maxsize=64)
def _smoothing(length: int, spread: float) -> np.ndarray:
    """``(length, length)`` matrix whose rows hold the weights of each place's neighbours."""
    reach = max(1, round(_REACH * spread))
    steps = np.arange(-reach, reach + 1)
    kernel = np.exp(-0.5 * (steps / spread) ** 2)
    places = np.arange(length)[:, None] + steps
    mirrored = places % (2 * length)
    mirrored = np.minimum(mirrored, 2 * length - 1 - mirrored)
    matrix = np.zeros((length, length))
    np.add.at(matrix, (np.arange(length)[:, None], mirrored), kernel / kernel.sum())
    return matrix


def _jpeg(pixels: np.ndarray, quality: float, _seed: str) -> np.ndarray:
    grey = pixels.shape[2] == 1
    stream = io.BytesIO()
    picture = Image.fromarray(pixels[:, :, 0] if grey else pixels)
    picture.save(stream, format="JPEG", quality=int(quality), subsampling="4:2:0")
    with Image.open(stream, formats=("JPEG",)) as read:
        again = np.asarray(read, np.uint8)
    return again[:, :, None] if grey else again


def _brightness(pixels: np.ndarray, share: float, _seed: str) -> np.ndarray:
    """The value of HSV goes up; a black pixel, which has no hue, becomes grey."""
    value = pixels.max(axis=2, keepdims=True).astype(np.float64)
    brighter = np.minimum(value + share * _FULL, _FULL)
    factor = np.divide(brighter, value, out=np.zeros_like(value), where=value > 0)
    return _bytes(np.where(value > 0, pixels * factor, brighter))


def _contrast(pixels: np.ndarray, factor: float, _seed: str) -> np.ndarray:
    mean = pixels.mean(axis=(0, 1), keepdims=True)
    return _bytes((pixels - mean) * factor + mean)


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)


_FUNCTIONS: Final[dict[str, Callable[[np.ndarray, float, str], np.ndarray]]] = {
    "noise": _noise,
    "blur": _blur,
    "jpeg": _jpeg,
    "brightness": _brightness,
    "contrast": _contrast,
}
