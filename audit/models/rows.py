"""One micro-batch of perturbed copies: which images they come from, and how each is made.

A copy is built on the device by the adapters of the frameworks, and here, in NumPy, for the others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from audit.models.adapter import Copies

__all__ = ["CopyRows", "MaskRows"]


@dataclass(frozen=True)
class CopyRows:
    """Rows of a micro-batch, each a weighted copy of one of a few images.

    Attributes
    ----------
    images : slice
        Which images of the whole.
    sources : ndarray
        ``(m, H, W, C)`` those images.
    targets : ndarray
        ``(m,)`` their targets.
    owner : ndarray
        ``(B,)`` index into `sources` of each row.
    weights : ndarray
        ``(B,)``.
    scales : ndarray or None
        ``(B,)``.
    baseline : ndarray or None
        ``(H, W, C)``.
    offsets : ndarray or None
        ``(B, H, W, C)``.
    """

    images: slice
    sources: np.ndarray
    targets: np.ndarray
    owner: np.ndarray
    weights: np.ndarray
    scales: np.ndarray | None
    baseline: np.ndarray | None
    offsets: np.ndarray | None

    @staticmethod
    def of(images: np.ndarray, targets: np.ndarray, copies: Copies, rows: slice) -> CopyRows:
        """Rows of the whole, which is ordered by image and then by copy."""
        owner, which = np.divmod(np.arange(rows.start, rows.stop), len(copies.weights))
        place = slice(int(owner[0]), int(owner[-1]) + 1)
        return CopyRows(
            images=place,
            sources=images[place],
            targets=targets[place],
            owner=owner - owner[0],
            weights=copies.weights[which],
            scales=None if copies.scales is None else copies.scales[which],
            baseline=copies.baseline,
            offsets=_offsets(copies, owner, which),
        )

    def build(self) -> np.ndarray:
        """``(B, H, W, C)`` copies."""
        made = self.sources[self.owner]
        if self.scales is not None:
            scales = self.scales[:, None, None, None]
            made = made * scales
            if self.baseline is not None:
                made = made + (1 - scales) * self.baseline
        return np.asarray(made if self.offsets is None else made + self.offsets)


def _offsets(copies: Copies, owner: np.ndarray, which: np.ndarray) -> np.ndarray | None:
    if copies.offsets is None or copies.strength is None:
        return None if copies.offsets is None else copies.offsets[which]
    return np.asarray(copies.offsets[which] * copies.strength[owner, None, None, None])


@dataclass(frozen=True)
class MaskRows:
    """Rows of a micro-batch, each one of a few images seen through a mask.

    Attributes
    ----------
    sources, fill : ndarray
        ``(m, H, W, C)`` images and what shows where a mask is 0.
    owner : ndarray
        ``(B,)`` index into `sources` of each row.
    masks : ndarray
        ``(B, H, W)`` bool where pixels are shown or hidden whole, else in the type of the images.
    """

    sources: np.ndarray
    fill: np.ndarray
    owner: np.ndarray
    masks: np.ndarray

    @staticmethod
    def of(images: np.ndarray, masks: np.ndarray, fill: np.ndarray, rows: slice) -> MaskRows:
        """Rows of the whole, which is ordered by image and then by mask."""
        owner, which = np.divmod(np.arange(rows.start, rows.stop), masks.shape[-3])
        place = slice(int(owner[0]), int(owner[-1]) + 1)
        own = masks[which] if masks.ndim == 3 else masks.reshape(-1, *masks.shape[2:])[rows]
        kind = bool if own.dtype == bool else images.dtype
        return MaskRows(images[place], fill[place], owner - owner[0], np.asarray(own, kind))

    def build(self) -> np.ndarray:
        """``(B, H, W, C)`` masked images; exact where nothing is hidden."""
        shown = self.sources[self.owner]
        masks = self.masks[..., None]
        if masks.dtype == bool:
            return np.asarray(np.where(masks, shown, self.fill[self.owner]))
        return np.asarray(shown + (1 - masks) * (self.fill - self.sources)[self.owner])
