"""Cascading model randomisation: whether a method's maps depend on what the model has learnt."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from audit.errors import InputError
from audit.explanations.quality.likeness import ranked, spearman
from audit.explanations.quality.measured import Measure, measure
from audit.models.adapter import ModelAdapter

__all__ = ["Cascade", "Randomisation", "cascading_randomisation"]


@dataclass(frozen=True)
class Cascade:
    """Which weights are shuffled, level by level.

    Attributes
    ----------
    layers : sequence of str
        Layers with weights, the one next to the output first.
    levels : int or None
        At most this many levels, evenly chosen: the first shuffles the top layer alone, the last all layers (a
        single level: all layers). None: a level a layer.
    seed : int
        Of the shuffling; a layer is shuffled alike at every level.
    """

    layers: Sequence[str]
    levels: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.layers or (self.levels is not None and self.levels < 1):
            raise InputError(f"layers are {list(self.layers)} and levels {self.levels}, allowed: at least one of each")

    def depths(self) -> list[int]:
        """How many layers, from the top, each level shuffles; ascending."""
        count = len(self.layers)
        if self.levels == 1:
            return [count]
        chosen = np.linspace(1, count, min(self.levels or count, count))
        return [int(depth) for depth in np.unique(np.rint(chosen))]


@dataclass(frozen=True)
class Randomisation:
    """How like the maps of one method stay as its model loses what it has learnt.

    Attributes
    ----------
    depths : tuple of int
        Layers shuffled at each level, from the top; the untouched model is no level.
    by_level : Measure
        ``(N, levels)`` Spearman correlation of the signed map with that of the untouched model, -1 to 1.
    mean : Measure
        ``(N,)`` mean over the levels at which the correlation is defined; undefined where it is at none. Near 0
        where the method depends on the model, near 1 where it does not.
    counted : ndarray
        ``(N,)`` int64 number of levels in that mean.
    """

    depths: tuple[int, ...]
    by_level: Measure
    mean: Measure
    counted: np.ndarray


def cascading_randomisation(
    adapter: ModelAdapter,
    cascade: Cascade,
    explain: Callable[[], Mapping[str, np.ndarray]],
    maps: Mapping[str, np.ndarray],
) -> dict[str, Randomisation]:
    """Shuffle the weights from the top down and compare the maps (Adebayo et al. 2018).

    Weights are shuffled within each tensor rather than drawn anew, so that they keep their own distribution. They
    are put back after every level, whatever happens.

    Parameters
    ----------
    adapter : ModelAdapter
        Needs ``weights``.
    cascade : Cascade
    explain : callable
        Maps ``(N, h, w)`` of the images by method for the weights that the model has when it is called. It holds
        the targets of the untouched model fast, and should compute all methods in shared passes.
    maps : mapping of str to ndarray
        Maps of the untouched model by method.

    Returns
    -------
    dict of str to Randomisation
        By method. A level is undefined where a map is not finite or the same everywhere, as that of a Grad-CAM
        whose sum is negative at every pixel.

    Raises
    ------
    ModelError
        The model has no such layer, or shows no weights.

    Notes
    -----
    Cost: a call of `explain` a level. The test asks whether the method depends on the model, not whether its maps
    are right; maps that follow the image's edges stay alike for the image's sake.
    """
    before = {name: ranked(found) for name, found in maps.items()}
    depths = cascade.depths()
    found: dict[str, list[Measure]] = {name: [] for name in maps}
    for depth in depths:
        with adapter.randomised(cascade.layers[:depth], cascade.seed):
            changed = explain()
        for name in maps:
            found[name].append(spearman(before[name], ranked(changed[name])))
    return {name: _summed(tuple(depths), levels) for name, levels in found.items()}


def _summed(depths: tuple[int, ...], levels: Sequence[Measure]) -> Randomisation:
    values = np.stack([level.values for level in levels], axis=1)
    details = np.stack([level.details for level in levels], axis=1)
    defined = details == ""
    counted = defined.sum(axis=1)
    mean = np.where(defined, values, 0).sum(axis=1) / np.maximum(counted, 1)
    return Randomisation(
        depths=depths,
        by_level=measure(values, details),
        mean=measure(mean, np.where(counted > 0, "", details[:, 0])),
        counted=counted.astype(np.int64),
    )
