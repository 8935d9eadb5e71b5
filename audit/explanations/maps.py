"""Raw maps: what an explainer gives, and bringing one to another size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

__all__ = ["Maps", "resize_map"]


@dataclass(frozen=True)
class Maps:
    """Raw maps of some images by one method.

    Attributes
    ----------
    raw : ndarray
        ``(N, h, w)`` at the method's own resolution, not normalised.
    measures : mapping of str to ndarray
        What the method says of its own exactness, ``(N,)`` each; NaN where it is undefined.
    status : ndarray or None
        ``(N,)`` of ``ok`` or ``not_converged``; ``ok`` throughout where None.
    least : float or None
        Least forward-equivalents that these maps take beyond the shared pass, where only the work itself shows it;
        else `Explainer.least` an image.
    """

    raw: np.ndarray
    measures: Mapping[str, np.ndarray] = field(default_factory=dict)
    status: np.ndarray | None = None
    least: float | None = None

    def status_of(self, index: int) -> str:
        """``ok``, ``not_converged`` or ``nonfinite``: a map that holds a number which is not finite is no map."""
        if not np.isfinite(self.raw[index]).all():
            return "nonfinite"
        return "ok" if self.status is None else str(self.status[index])


def resize_map(raw: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bilinear resize with half-pixel centres, edges held, no antialiasing.

    Parameters
    ----------
    raw : ndarray
        ``(..., h, w)``.
    size : tuple of int
        Height and width of the result.

    Returns
    -------
    ndarray
        ``(..., H, W)``; equal to PyTorch's ``interpolate(mode='bilinear', align_corners=False)``
        and TensorFlow's ``tf.image.resize``.
    """
    if raw.shape[-2:] == tuple(size):
        return raw
    rows = _interpolation(raw.shape[-2], size[0]).astype(raw.dtype)
    columns = _interpolation(raw.shape[-1], size[1]).astype(raw.dtype)
    return np.asarray(rows @ raw @ columns.T)


@lru_cache(maxsize=64)
def _interpolation(old: int, new: int) -> np.ndarray:
    """``(new, old)`` matrix whose rows hold the two weights of each new pixel."""
    centres = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
    below = np.floor(centres).astype(int)
    above = np.minimum(below + 1, old - 1)
    share = centres - below
    matrix = np.zeros((new, old))
    np.add.at(matrix, (np.arange(new), below), 1 - share)
    np.add.at(matrix, (np.arange(new), above), share)
    matrix.flags.writeable = False
    return matrix
