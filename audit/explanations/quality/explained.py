"""Images, the classes that their maps explain, and the maps: what the perturbing measures take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from audit.errors import InputError
from audit.explanations.quality.measured import flattened
from audit.models.adapter import ModelAdapter
from audit.models.checks import check_images, check_targets

__all__ = ["Explained", "pixel_ranks"]


@dataclass(frozen=True)
class Explained:
    """Maps of the same images by several methods.

    Attributes
    ----------
    images : ndarray
        ``(N, H, W, C)`` float, as the model saw them.
    targets : ndarray
        ``(N,)`` class that each map explains.
    maps : mapping of str to ndarray
        ``(N, H, W)`` by method or reference, of the size of the images (`audit.explanations.resize_map`). A
        larger value means a pixel that speaks more for the target: signed maps are ranked with their sign.

    Raises
    ------
    InputError
        Shapes do not fit together.
    """

    images: np.ndarray
    targets: np.ndarray
    maps: Mapping[str, np.ndarray]

    def __post_init__(self) -> None:
        if self.images.ndim != 4:
            raise InputError(f"images have shape {self.images.shape}, expected (N, H, W, C)")
        if np.shape(self.targets) != (len(self.images),):
            raise InputError(f"targets have shape {np.shape(self.targets)}, expected ({len(self.images)},)")
        for name, maps in self.maps.items():
            if maps.shape != self.images.shape[:3]:
                raise InputError(
                    f"map '{name}' has shape {maps.shape}, expected {self.images.shape[:3]}",
                    fix="resize it to the image first (audit.explanations.resize_map)",
                )

    def checked(self, adapter: ModelAdapter) -> Explained:
        """The same in the model's type, or an error where images or targets do not fit the model."""
        images = check_images(adapter.spec, self.images)
        targets = check_targets(adapter.spec, np.asarray(self.targets), len(images))
        return Explained(images, np.asarray(targets), self.maps)


def pixel_ranks(maps: np.ndarray, seed: int) -> np.ndarray:
    """Place of every pixel in the order of its map.

    Parameters
    ----------
    maps : ndarray
        ``(N, H, W)``; what is not finite counts as 0.
    seed : int
        Of the random order in which tied pixels follow each other: the same for every map of one size.

    Returns
    -------
    ndarray
        ``(N, H * W)`` int32; 0 is the pixel with the largest value.
    """
    flat = flattened(maps)
    flat = np.nan_to_num(flat if flat.dtype.kind == "f" else flat.astype(np.float64), posinf=0.0, neginf=0.0)
    among_ties = np.random.default_rng(seed).permutation(flat.shape[1])
    order = among_ties[np.argsort(-flat[:, among_ties], axis=1, kind="stable")]
    ranks = np.empty(flat.shape, np.int32)
    np.put_along_axis(ranks, order, np.arange(flat.shape[1], dtype=np.int32)[None], axis=1)
    return ranks
