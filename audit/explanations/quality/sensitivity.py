"""How far a map moves when its image is changed by a little noise."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from audit.errors import InputError
from audit.explanations.quality.fills import image_span
from audit.explanations.quality.likeness import ranked, spearman
from audit.explanations.quality.measured import Measure, first_reason, measure, no_problem, without_mass

__all__ = ["Jitter", "Sensitivity", "map_sensitivity"]

MapsOf = Callable[[np.ndarray], Mapping[str, np.ndarray]]


@dataclass(frozen=True)
class Jitter:
    """The small changes made to an image.

    Attributes
    ----------
    copies : int
        Changed copies of each image, at least 1.
    radius : float
        Largest change of a value, as a share of the image's own span (largest less smallest value), above 0. The
        noise is uniform, and copies are not clipped to the range of real images.
    seed : int
        Of the noise: drawn by NumPy, the same for every image, model and framework.
    """

    copies: int = 4
    radius: float = 0.02
    seed: int = 0

    def __post_init__(self) -> None:
        if self.copies < 1 or not self.radius > 0:
            raise InputError(f"copies are {self.copies} and radius {self.radius}, allowed: at least 1, and above 0")

    def noise(self, shape: tuple[int, ...]) -> Iterable[np.ndarray]:
        """Patterns of `shape` in -1 to 1, one a copy."""
        generator = np.random.default_rng(self.seed)
        return (generator.uniform(-1, 1, shape) for _ in range(self.copies))


@dataclass(frozen=True)
class Sensitivity:
    """How far the maps of one method moved, ``(N,)`` each; 0 is no move at all.

    Attributes
    ----------
    mean_change, max_change : Measure
        Over the copies, length of the difference to the unchanged image's map over the length of that map. The
        largest over sampled copies is the estimate of max-sensitivity (Yeh et al. 2019) over that
        length; it grows with the number of copies, so it is only compared at one number.
    mean_rank_change, max_rank_change : Measure
        Over the copies, 1 less the Spearman correlation with the unchanged image's map, 0 to 2.
    """

    mean_change: Measure
    max_change: Measure
    mean_rank_change: Measure
    max_rank_change: Measure


def map_sensitivity(
    explain: MapsOf, images: np.ndarray, maps: Mapping[str, np.ndarray], jitter: Jitter | None = None
) -> dict[str, Sensitivity]:
    """Explain slightly changed copies and compare.

    Parameters
    ----------
    explain : callable
        From ``(N, H, W, C)`` images to maps ``(N, h, w)`` by method; it holds the targets of the unchanged images
        fast, and should compute all methods in shared passes.
    images : ndarray
        ``(N, H, W, C)``.
    maps : mapping of str to ndarray
        Maps of the unchanged images by method.
    jitter : Jitter, optional

    Returns
    -------
    dict of str to Sensitivity
        By method. Undefined where the map, or that of a copy, is not finite; where the unchanged map is zero
        everywhere; and by rank where a map is the same everywhere.

    Notes
    -----
    Cost: `Jitter.copies` calls of `explain`. A method that ignores model and image alike does not move at all, so a
    small value is no evidence by itself. Methods with noise of their own move by that too: fix their seed.
    """
    jitter = jitter or Jitter()
    spans = (jitter.radius * image_span(images))[:, None, None, None]
    moves: dict[str, list[tuple[Measure, Measure]]] = {name: [] for name in maps}
    before = {name: ranked(found) for name, found in maps.items()}
    for pattern in jitter.noise(images.shape[1:]):
        changed = explain((images + spans * pattern).astype(images.dtype))
        for name, found in maps.items():
            moves[name].append(
                (_change(found, changed[name]), _one_less(spearman(before[name], ranked(changed[name]))))
            )
    return {
        name: Sensitivity(*_extent([m[0] for m in all_]), *_extent([m[1] for m in all_]))
        for name, all_ in moves.items()
    }


def _change(before: np.ndarray, after: np.ndarray) -> Measure:
    """``|after - before| / |before|``."""
    problems = without_mass(before)
    lost = np.where(np.isfinite(after).all(axis=(1, 2)), "", "the map of a changed copy is not finite")
    reasons = first_reason(problems, lost)
    old, new = (np.where((reasons == "")[:, None, None], maps, 1).astype(np.float64) for maps in (before, after))
    scale = np.abs(old).max(axis=(1, 2), keepdims=True)  # squares of tiny values would vanish
    lengths = [np.sqrt(((maps / scale) ** 2).sum(axis=(1, 2))) for maps in (new - old, old)]
    return measure(lengths[0] / lengths[1], reasons)


def _one_less(found: Measure) -> Measure:
    return Measure(1 - found.values, found.details)


def _extent(copies: list[Measure]) -> tuple[Measure, Measure]:
    """Mean and largest over the copies; undefined where one of them is."""
    reasons = first_reason(*(copy.details for copy in copies), no_problem(len(copies[0].values)))
    values = np.stack([copy.values for copy in copies])
    return measure(values.mean(axis=0), reasons), measure(values.max(axis=0), reasons)
