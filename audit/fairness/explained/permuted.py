"""Permutation tests of equal means in all groups for many measures at once: one set of draws serves them all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from audit.fairness.explained.means import one_hot
from audit.fairness.explained.values import Bools, Design
from audit.fairness.intervals import Floats
from audit.fairness.rows import Ints

__all__ = ["Units", "dealt", "equal_means_ps", "exchangeable", "telling_strata"]

AT_ONCE = 4_000_000
NEGLIGIBLE = 1e-12
ROUNDING = 1e-12


def equal_means_ps(values: Floats, design: Design, draws: int, rng: np.random.Generator) -> Floats:
    """P-value of equal means in all groups, of every measure.

    Parameters
    ----------
    values : ndarray, shape (N, C)
        Without gaps: every image has every measure.
    design : Design
        Only the groups that are compared. With several strata, groups are compared within them.
    draws : int
        Permutations; p is ``(1 + those at least as far apart) / (1 + draws)``.
    rng : Generator
        Source of the draws, the same for all measures: their p-values are dependent, as Holm's correction allows.

    Returns
    -------
    ndarray of float64, shape (C,)
        1 where no permutation can change anything.

    Notes
    -----
    What is dealt anew are the `exchangeable` units. Where every cluster lies in one group, the statistic is the
    groups' squared distances from their weighted mean, each over its own variance about the common one; without
    strata that is the test of `permutation.mean_gap_p`. Else it is the squared sum of each group's units over the sum
    of their squares.
    """
    if not len(values):
        return np.full(values.shape[1], np.nan)
    units = exchangeable(values, design)
    columns = values.shape[1]
    size = np.bincount(units.group, minlength=len(design.groups)).astype(np.float64)
    present = np.flatnonzero(size)
    data = _scaled(units.data, values)
    both = np.hstack([data, (data - data.mean(axis=0)) ** 2 if units.whole else data**2])

    def statistic(labels: Ints) -> Floats:
        sums = np.stack([(labels == g).astype(np.float64) @ both for g in present])
        total, squares = sums[..., :columns], sums[..., columns:]
        if not units.whole:
            return np.asarray((total**2 / np.maximum(squares, NEGLIGIBLE)).sum(axis=0), dtype=np.float64)
        members = size[present, None, None]
        mean, weight = total / members, 1 / np.maximum(squares / members**2, NEGLIGIBLE)
        centre = (weight * mean).sum(axis=0) / weight.sum(axis=0)
        return np.asarray((weight * (mean - centre) ** 2).sum(axis=0), dtype=np.float64)

    reference = statistic(units.group[None])[0]
    limit = reference - 1e-9 * np.maximum(1.0, np.abs(reference))
    beyond = np.zeros(columns)
    for labels in dealt(units.group, units.block, draws, rng):
        beyond += (statistic(labels) >= limit).sum(axis=0)
    return (1 + beyond) / (1 + draws)


@dataclass(frozen=True)
class Units:
    """What groups are dealt to.

    Parameters
    ----------
    data : ndarray of float64, shape (U, C)
        Values with nothing but the group left to tell them apart.
    group, block : ndarray of int64, shape (U,)
        Group of each unit, and the units among which groups are dealt.
    whole : bool
        Whether all units are clusters.
    """

    data: Floats
    group: Ints
    block: Ints
    whole: bool


def exchangeable(values: Floats, design: Design) -> Units:
    """Units that could have had each other's groups if groups made no difference.

    A cluster that lies in one group is a unit: the mean over its images of their distance from the mean of their
    stratum (over these clusters, each counting once), to be dealt among clusters of the same stratum. For a cluster
    that spans several strata the one with most of its images stands in: so its images stay together, at the price of
    an approximation; elsewhere the test is exact. In a cluster that spans groups each image is a unit: its distance
    from the mean of its cluster and stratum over the images of the cluster, to be dealt among them. One such cluster
    does not keep all the others from being dealt.
    """
    cluster = np.unique(design.cluster, return_inverse=True)[1].reshape(-1).astype(np.int64)
    stratum = np.unique(design.stratum, return_inverse=True)[1].reshape(-1).astype(np.int64)
    pairs = np.unique(cluster * len(design.groups) + design.group)
    mixed = (np.bincount(pairs // len(design.groups)) > 1)[cluster]
    parts = []
    if not mixed.all():
        own = ~mixed
        parts.append(_of_clusters(values[own], design.group[own], cluster[own], stratum[own]))
    if mixed.any():
        cell = np.unique((cluster * (stratum.max() + 1) + stratum)[mixed], return_inverse=True)[1].reshape(-1)
        away = values[mixed] - _means(values[mixed], cell, np.ones(len(cell)))[cell]
        weight = 1 / np.bincount(cluster)[cluster[mixed]]
        parts.append((weight[:, None] * away, design.group[mixed], cell + int(stratum.max()) + 1))
    data, group, block = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Units(data, group.astype(np.int64), block.astype(np.int64), not mixed.any())


def dealt(group: Ints, block: Ints, draws: int, rng: np.random.Generator) -> Iterator[Ints]:
    """Labels dealt anew within blocks, in chunks of shape (draws, N)."""
    ordered = np.argsort(block, kind="stable")
    done = 0
    while done < draws:
        size = min(draws - done, max(1, AT_ONCE // len(group)))
        # Sorting by block plus noise shuffles within blocks; the stable order undoes the sort of blocks.
        order = np.argsort(block + rng.random((size, len(group))), axis=1)
        labels = np.empty((size, len(group)), dtype=np.int64)
        labels[:, ordered] = group[order]
        yield labels
        done += size


def telling_strata(design: Design) -> Bools:
    """Images in strata that hold more than one group."""
    code = np.unique(design.stratum, return_inverse=True)[1].reshape(-1)
    pairs = np.unique(code * len(design.groups) + design.group)
    several = np.bincount(pairs // len(design.groups), minlength=int(code.max(initial=-1)) + 1) > 1
    return np.asarray(several[code], dtype=bool)


def _of_clusters(values: Floats, group: Ints, cluster: Ints, stratum: Ints) -> tuple[Floats, Ints, Ints]:
    """Mean distance of each cluster from its strata, its group, and the stratum with most of its images."""
    code = np.unique(cluster, return_inverse=True)[1].reshape(-1)
    size = np.bincount(code)
    away = values - _means(values, stratum, 1 / size[code])[stratum]
    data = (one_hot(code, len(size)) @ away) / size[:, None]
    counts = np.zeros((len(size), int(stratum.max()) + 1), np.int64)
    np.add.at(counts, (code, stratum), 1)
    own = np.empty(len(size), np.int64)
    own[code] = group
    return data, own, counts.argmax(axis=1).astype(np.int64)


def _scaled(data: Floats, values: Floats) -> Floats:
    """Distances in units of their standard deviation; an exact 0 where they are rounding alone."""
    spread = data.std(axis=0)
    real = spread > ROUNDING * np.abs(values).max(axis=0)
    return np.where(real, data / np.where(real, spread, 1.0), 0.0)


def _means(values: Floats, code: Ints, weight: Floats) -> Floats:
    """Weighted mean of each part, shape (parts, C)."""
    mass = np.bincount(code, weights=weight)
    sums = one_hot(code, len(mass)) @ (weight[:, None] * values)
    return np.asarray(sums / np.where(mass > 0, mass, 1.0)[:, None], dtype=np.float64)
