"""Maps that know nothing of the model: what a method's map has to beat on the same image."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from audit.explanations.maps import resize_map

__all__ = ["CENTRE", "REFERENCES", "centre_maps", "edge_maps", "random_maps", "reference_maps"]

CENTRE = 0.25
"""Standard deviation of the centre-bias map as a share of height and width."""

REFERENCES = ("random", "centre", "edges")
"""Names in the result of `reference_maps`."""


def random_maps(
    keys: Sequence[str | int], size: tuple[int, int], seed: int = 0, grid: tuple[int, int] | None = None
) -> np.ndarray:
    """Uniform noise, drawn anew for every image.

    Parameters
    ----------
    keys : sequence of str or int
        ``N`` ids of the images: an image has the same map in whatever batch it comes.
    size : tuple of int
        Height and width.
    seed : int
        Together with the key it seeds the noise.
    grid : tuple of int, optional
        Height and width at which the noise is drawn and then resized: single pixels when left out. A method whose
        own maps are coarse is fairly compared with noise as coarse, since scattered pixels upset a network more
        than a patch of the same area does.

    Returns
    -------
    ndarray
        ``(N, H, W)`` float64, 0 to 1.
    """
    if len(keys) == 0:
        return np.zeros((0, *size))
    drawn = np.stack([_generator(seed, key).random(grid or size) for key in keys])
    return resize_map(drawn, size)


def centre_maps(images: int, size: tuple[int, int], spread: float = CENTRE) -> np.ndarray:
    """A Gaussian in the middle of the image.

    Parameters
    ----------
    images : int
        How many: the map is the same for all.
    size : tuple of int
        Height and width.
    spread : float
        Standard deviation as a share of the height along columns, of the width along rows.

    Returns
    -------
    ndarray
        ``(N, H, W)`` float64, above 0 and at most 1.
    """
    down, right = (np.exp(-0.5 * ((np.arange(n) - (n - 1) / 2) / (spread * n)) ** 2) for n in size)
    return np.broadcast_to(np.outer(down, right), (images, *size))


def edge_maps(images: np.ndarray) -> np.ndarray:
    """Magnitude of the Sobel gradient of the grey image.

    Parameters
    ----------
    images : ndarray
        ``(N, H, W, C)``; grey is the plain mean of the channels, edges of the image are mirrored.

    Returns
    -------
    ndarray
        ``(N, H, W)`` float64, not negative; zero everywhere on an even image, which makes measures of it undefined.
    """
    grey = images.mean(axis=3, dtype=np.float64)
    return np.asarray(np.hypot(_slope(grey, 1, 2), _slope(grey, 2, 1)))


def reference_maps(images: np.ndarray, keys: Sequence[str | int], seed: int = 0) -> dict[str, np.ndarray]:
    """All references of ``(N, H, W, C)`` images with their ids: `REFERENCES` to ``(N, H, W)``."""
    size = (images.shape[1], images.shape[2])
    maps = (random_maps(keys, size, seed), centre_maps(len(images), size), edge_maps(images))
    return dict(zip(REFERENCES, maps, strict=True))


def _slope(grey: np.ndarray, along: int, across: int) -> np.ndarray:
    """Sobel's difference along one axis, smoothed across it; images do not touch each other."""
    from scipy.ndimage import correlate1d

    smooth = correlate1d(grey, [1, 2, 1], axis=across, mode="reflect")
    return np.asarray(correlate1d(smooth, [-1, 0, 1], axis=along, mode="reflect"))


def _generator(seed: int, key: str | int) -> np.random.Generator:
    digest = hashlib.sha256(f"random map:{seed}:{key}".encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))
