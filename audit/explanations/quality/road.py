"""ROAD: the target's probability as a map's pixels are replaced by what their surroundings would lead one to expect."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Literal

import numpy as np

from audit.errors import InputError
from audit.explanations.quality.curves import FLOOR, Curve, to_curve
from audit.explanations.quality.explained import Explained, pixel_ranks
from audit.explanations.quality.fills import image_span
from audit.explanations.quality.imputation import linear_imputation
from audit.explanations.quality.measured import without_order
from audit.explanations.targets import target_probabilities
from audit.models.adapter import ModelAdapter

__all__ = ["Removal", "road_cost", "road_curves"]

_BATCHES = 8  # micro-batches of imputed images that are held at once


@dataclass(frozen=True)
class Removal:
    """How many pixels are removed, and what is added to the imputed ones.

    Attributes
    ----------
    shares : tuple of float
        Shares of the pixels removed, ascending, above 0 and below 1.
    first : str
        ``most``: pixels with the largest values go first, and a small area is good; ``least``: the other way round.
    noise : float
        Standard deviation of the Gaussian noise on imputed pixels, as a share of the image's own span (largest less
        smallest value). One pattern a share, the same for every image and map.
    seed : int
        Of the noise and of the order of tied pixels.
    floor : float
        Starting probability below which the normalised area is undefined, 0 to 1.

    Raises
    ------
    InputError
        Shares are not ascending between 0 and 1.
    """

    shares: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    first: Literal["most", "least"] = "most"
    noise: float = 0.01
    seed: int = 0
    floor: float = FLOOR

    def __post_init__(self) -> None:
        inside = all(0 < share < 1 for share in self.shares)
        if not self.shares or not inside or list(self.shares) != sorted(set(self.shares)):
            raise InputError(f"shares removed are {self.shares}, allowed: ascending, above 0 and below 1")
        if self.first not in ("most", "least"):
            raise InputError(f"first removed is '{self.first}', allowed: most, least")

    def cuts(self, pixels: int) -> np.ndarray:
        """``(len(shares) + 1,)`` numbers of pixels removed, from 0; at least one goes, and one stays."""
        cuts: np.ndarray = np.rint(np.array((0.0, *self.shares)) * pixels).astype(np.int64)
        if (np.diff(cuts) <= 0).any() or cuts[-1] >= pixels:
            raise InputError(f"shares removed {self.shares} are too fine for {pixels} pixels")
        return cuts


def road_curves(adapter: ModelAdapter, explained: Explained, removal: Removal | None = None) -> dict[str, Curve]:
    """Remove and debias with noisy linear imputation (Rong et al. 2022).

    Parameters
    ----------
    adapter : ModelAdapter
        Needs scores only.
    explained : Explained
        Images, targets and maps.
    removal : Removal, optional

    Returns
    -------
    dict of str to Curve
        By map. The first point is the untouched image; the last share is below 1, so the area is that over the
        shares asked for. Undefined as in `audit.explanations.quality.deletion_and_insertion`.

    Raises
    ------
    InputError
        Shapes, targets or shares do not fit.

    Notes
    -----
    Cost: `road_cost` forward passes an image, and as many solves of a sparse system (`linear_imputation`), which
    outweigh the passes of a small network and of large images.

    An imputed region betrays less of the mask's outline than a constant fill does, but smooth evidence (a tone, a
    background) is imputed right back, and so looks unimportant. Blurring a map after the fact can better its area
    (Song et al. 2023, arXiv 2304.13836).
    """
    explained = explained.checked(adapter)
    removal = removal or Removal()
    images, targets = explained.images, explained.targets
    cuts = removal.cuts(images.shape[1] * images.shape[2])
    start = target_probabilities(adapter.spec, adapter.scores(images), targets)
    made = _perturbed(explained, removal)
    parts = [np.zeros((0, adapter.spec.outputs), images.dtype)]
    while chunk := list(islice(made, _BATCHES * adapter.micro_batch)):
        parts.append(adapter.scores(np.stack(chunk)))
    scores = np.concatenate(parts).reshape(len(images), len(explained.maps), len(cuts) - 1, adapter.spec.outputs)
    inner = target_probabilities(adapter.spec, scores, targets)
    shares = cuts / (images.shape[1] * images.shape[2])
    return {
        name: to_curve(
            shares,
            np.concatenate([start[:, None], inner[:, place]], axis=1),
            start,
            without_order(maps),
            removal.floor,
        )
        for place, (name, maps) in enumerate(explained.maps.items())
    }


def road_cost(maps: int, shares: int) -> int:
    """Forward passes an image: the untouched one, and one for every map and share."""
    return 1 + maps * shares


def _perturbed(explained: Explained, removal: Removal) -> Iterator[np.ndarray]:
    """Imputed images, by image, map and share."""
    size = explained.images.shape[1:3]
    cuts = removal.cuts(size[0] * size[1])[1:]
    noise = np.random.default_rng(removal.seed).standard_normal((len(cuts), *explained.images.shape[1:]))
    spans = removal.noise * image_span(explained.images)
    for place, image in enumerate(explained.images):
        for maps in explained.maps.values():
            ranks = pixel_ranks(maps[place : place + 1], removal.seed).reshape(size)
            ranks = ranks if removal.first == "most" else ranks.size - 1 - ranks
            for cut, pattern in zip(cuts, noise, strict=True):
                removed = ranks < cut
                imputed = linear_imputation(image, removed)
                imputed[removed] += spans[place] * pattern[removed]
                yield imputed.astype(image.dtype)
