"""What stands where a pixel is absent, the same whatever the mask: a blurred copy, or the mean colour."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from audit.errors import InputError, nearest
from audit.explanations.quality.measured import flattened

__all__ = ["BLUR", "FILLS", "blurred", "filled", "image_span", "mean_colour"]

BLUR = 0.05
"""Standard deviation of the blur as a share of the shorter side: 11 pixels at 224, 3.2 at 64."""


def blurred(images: np.ndarray, spread: float = BLUR) -> np.ndarray:
    """Images blurred by a Gaussian, every channel by itself.

    Parameters
    ----------
    images : ndarray
        ``(N, H, W, C)``.
    spread : float
        Standard deviation as a share of the shorter side; edges are mirrored and the kernel ends at 4 deviations.

    Returns
    -------
    ndarray
        As `images`. Colour and layout at a coarse scale remain, and with them whatever evidence they hold: a
        marker larger than the blur is dimmed rather than removed.
    """
    from scipy.ndimage import gaussian_filter

    if not spread > 0:
        raise InputError(f"spread of the blur is {spread}, allowed: above 0")
    deviation = spread * min(images.shape[1:3])
    return np.asarray(gaussian_filter(images, (0, deviation, deviation, 0), mode="reflect"))


def mean_colour(images: np.ndarray) -> np.ndarray:
    """The mean of each image and channel, at every pixel; ``(N, H, W, C)``.

    Nothing of the layout remains, but a removed pixel stands out by an edge.
    """
    means = images.mean(axis=(1, 2), keepdims=True, dtype=np.float64).astype(images.dtype)
    return np.broadcast_to(means, images.shape)


FILLS: dict[str, Callable[[np.ndarray], np.ndarray]] = {"blur": blurred, "mean": mean_colour}


def filled(name: str, images: np.ndarray) -> np.ndarray:
    """The fill of that name for ``(N, H, W, C)`` images.

    Raises
    ------
    InputError
        There is none.
    """
    if name not in FILLS:
        raise InputError(f"fill '{name}' is unknown, allowed: {', '.join(FILLS)}.{nearest(name, FILLS)}")
    return FILLS[name](images)


def image_span(images: np.ndarray) -> np.ndarray:
    """``(N,)`` largest less smallest value of each ``(N, H, W, C)`` image, over all channels: the unit of noise."""
    flat = flattened(images)
    return np.asarray(flat.max(axis=1) - flat.min(axis=1), np.float64)
