"""The table `mean_maps`: where a group's attribution falls on average, and how that differs from everybody else's.

Only means are computed here; maps come from the run's shards.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from audit.errors import InputError
from audit.fairness.explained.means import one_hot
from audit.fairness.explained.permuted import dealt, exchangeable
from audit.fairness.explained.values import Bools, Design, frame_of
from audit.fairness.intervals import Floats
from audit.fairness.permutation import Permutations
from audit.fairness.rows import Ints, slice_columns
from audit.run.schema import columns

__all__ = ["LARGEST_SIDE", "MEAN_MAP_COLUMNS", "mean_map_table"]

MEAN_MAP_COLUMNS = tuple(columns("mean_maps"))
LARGEST_SIDE = 64
"""Maps with a longer side are averaged down to this many cells."""

Maps = Mapping[tuple[str, str], Mapping[str, npt.NDArray[np.floating]]]


def mean_map_table(
    maps: Maps, images: pd.DataFrame, attributes: Sequence[str], seed: int = 0, draws: int = 999
) -> pd.DataFrame:
    """Compute table `mean_maps`.

    Parameters
    ----------
    maps : mapping of (model, method) to mapping of image_id to ndarray, shape (h, w)
        Raw maps, signed or not; within one model and method all of the same shape.
    images : DataFrame
        Table `images`; only those with status ``ok`` count.
    attributes : sequence of str
        Attribute names, without the prefix ``attr_``.
    seed, draws : int
        Of the permutation tests.

    Returns
    -------
    DataFrame
        Columns `MEAN_MAP_COLUMNS`; ``map`` holds ``height * width`` values row by row. A side longer than
        `LARGEST_SIDE` is averaged down to it by area, so a cell holds the share of attribution that falls on it.

        ``mean``
            The mean over images (each cluster counting once) of the absolute map divided by its sum: it adds up to
            1. ``largest`` is its largest cell.
        ``difference``
            Mean map of the group less that of everybody else: it adds up to 0. ``largest`` is the largest absolute
            difference; ``p`` how often it would be at least as large anywhere on the map if groups were dealt anew
            (`Notes`). Not corrected for the number of groups, attributes and methods.

        Status ``undefined`` where no image of the group has a map with any attribution, ``too_few_clusters`` for a
        difference where the group or everybody else has fewer than two clusters, ``not_measured`` where no image of
        the group has a map.

    Raises
    ------
    InputError
        A map is no matrix or differs in shape from the others, or an image is unknown.

    Notes
    -----
    It means something only where a place on the map is the same place on the object in every image: on aligned
    images, such as faces cropped by their eyes. Elsewhere a mean map shows where objects tend to lie.

    The test compares the largest absolute difference over all cells with its distribution under permutation
    (Westfall & Young 1993), so it holds for all cells together. Clusters that lie in one group are dealt as wholes; in
    the others images are dealt within their cluster, and count by their distance from its mean.
    """
    slices = slice_columns(attributes)
    permutations = Permutations(draws, seed)
    rows: list[tuple[object, ...]] = []
    for (model, method), own in maps.items():
        stack = _Stack.of(own, images, f"{model}, {method}")
        if stack is None:
            continue
        for attribute, parts in slices.items():
            design = Design.along(images, stack.place, parts)
            key = (model, method, attribute)
            rows += [(*key, *row) for row in _rows(stack, design, permutations, key)]
    return frame_of(rows, MEAN_MAP_COLUMNS)


@dataclass(frozen=True)
class _Stack:
    """Maps of one model and method as rows of shares, shape (N, P); `known` says which have any attribution."""

    place: Ints
    shares: Floats
    known: Bools
    height: int
    width: int

    @classmethod
    def of(cls, maps: Mapping[str, npt.NDArray[np.floating]], images: pd.DataFrame, where: str) -> _Stack | None:
        place = pd.Index(images["image_id"]).get_indexer(pd.Index(list(maps)))
        if (place < 0).any():
            unknown = list(maps)[int(np.flatnonzero(place < 0)[0])]
            raise InputError(f"a map of {where} is of image_id '{unknown}', which the images table does not have")
        fine = (images["status"] == "ok").to_numpy(bool)[place]
        chosen = [np.asarray(one) for one, keep in zip(maps.values(), fine, strict=True) if keep]
        if not chosen:
            return None
        shapes = sorted({one.shape for one in chosen}, key=str)
        if len(shapes) > 1 or len(shapes[0]) != 2:
            raise InputError(f"maps of {where} have the shapes {shapes}, allowed: one shape (h, w)")
        down, across = (_areas(side) for side in shapes[0])
        cells = np.stack([(down @ np.abs(one.astype(np.float64)) @ across.T).ravel() for one in chosen])
        total = cells.sum(axis=1)
        known = np.isfinite(total) & (total > 0)
        shares = np.where(known[:, None], cells / np.where(known, total, 1.0)[:, None], 0.0)
        return cls(place[fine].astype(np.int64), shares, known, len(down), len(across))


def _areas(size: int) -> Floats:
    """Share of each of `size` pixels that falls into each of at most `LARGEST_SIDE` cells of equal length."""
    cells = min(size, LARGEST_SIDE)
    edges = np.arange(cells + 1) * size / cells
    pixel = np.arange(size)
    overlap = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    return np.asarray(np.maximum(overlap, 0.0), dtype=np.float64)


def _rows(
    stack: _Stack, design: Design, permutations: Permutations, key: tuple[str, str, str]
) -> Iterator[tuple[object, ...]]:
    """``group`` and what follows, the means first."""
    nan, size = float("nan"), (stack.height, stack.width)
    asked = np.bincount(design.group, minlength=len(design.groups))
    part, shares = design.only(stack.known), stack.shares[stack.known]
    counts = [(int((part.group == g).sum()), int(part.clusters[g])) for g in range(len(design.groups))]
    means = [_mean(shares, part, part.group == g) for g in range(len(design.groups))]
    for name, mean, count, number in zip(design.groups, means, counts, asked.tolist(), strict=True):
        status = "not_measured" if not number else "ok" if count[0] else "undefined"
        cells, largest = (mean.tolist(), float(mean.max())) if count[0] else (None, nan)
        yield name, "mean", *count, *size, cells, largest, nan, status
    if len(design.groups) < 2:
        return
    found = _differences(shares, part)
    ps = _ps(shares, part, [g for g, one in enumerate(found) if one is not None], permutations, key)
    for g, name in enumerate(design.groups):
        difference = found[g]
        if difference is None:
            status = "not_measured" if not asked[g] else "too_few_clusters" if counts[g][0] else "undefined"
            yield name, "difference", *counts[g], *size, None, nan, nan, status
        else:
            largest = float(np.abs(difference).max())
            yield name, "difference", *counts[g], *size, difference.tolist(), largest, ps[g], "ok"


def _mean(shares: Floats, design: Design, rows: Bools) -> Floats:
    """Mean over clusters of the mean share of these images."""
    code = np.unique(design.cluster[rows], return_inverse=True)[1].reshape(-1)
    if not len(code):
        return np.zeros(shares.shape[1])
    size = np.bincount(code)
    return np.asarray((one_hot(code, len(size)) @ shares[rows] / size[:, None]).mean(axis=0), dtype=np.float64)


def _differences(shares: Floats, design: Design) -> list[Floats | None]:
    """Each group less everybody else; None where either has fewer than two clusters."""
    found: list[Floats | None] = []
    for g in range(len(design.groups)):
        own = design.group == g
        enough = min(len(np.unique(design.cluster[rows])) for rows in (own, ~own)) >= 2
        found.append(_mean(shares, design, own) - _mean(shares, design, ~own) if enough else None)
    return found


def _ps(
    shares: Floats, design: Design, chosen: Sequence[int], permutations: Permutations, key: tuple[str, ...]
) -> dict[int, float]:
    """P-value of each group's largest difference."""
    if not chosen:
        return {}
    units = exchangeable(shares, design)
    data = units.data.astype(np.float32)

    def largest(labels: Ints, g: int) -> Floats:
        # Units add up to 0, so the sum over the group tells as much as the difference from everybody else.
        sums = np.abs((labels == g).astype(np.float32) @ data).max(axis=1)
        return np.asarray(sums, dtype=np.float64)

    observed = {g: float(largest(units.group[None], g)[0]) for g in chosen}
    beyond = dict.fromkeys(chosen, 0)
    rng = permutations.stream("mean_maps", *key)
    for labels in dealt(units.group, units.block, permutations.draws, rng):
        for g in chosen:
            beyond[g] += int((largest(labels, g) >= observed[g] * (1 - 1e-6)).sum())
    return {g: (1 + count) / (1 + permutations.draws) for g, count in beyond.items()}
