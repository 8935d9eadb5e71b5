"""Permutation tests of "no gap at all": for a rate, by drawing counts; for a mean, by shuffling values.

Whole clusters are permuted where the group is constant within them, else images within clusters.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from audit.errors import InputError
from audit.fairness.intervals import Floats
from audit.fairness.rates import GroupRates
from audit.fairness.rows import Ints

__all__ = ["Permutations", "mean_gap_p", "rate_gap_p"]

AT_ONCE = 4_000_000
ENUMERATED = 500
NEGLIGIBLE = 1e-12


@dataclass(frozen=True)
class Permutations:
    """How many draws a test makes, and from which seed.

    Each test takes its own stream, named by what it tests, so that adding another changes no result.
    """

    draws: int = 9999
    seed: int = 0

    def __post_init__(self) -> None:
        if self.draws < 1:
            raise InputError(f"a permutation test needs at least one draw, got {self.draws}")

    def stream(self, *names: object) -> np.random.Generator:
        """Random numbers of the test with this name."""
        key = zlib.crc32("\x1f".join(str(name) for name in names).encode())
        return np.random.default_rng([self.seed, key])


def rate_gap_p(rates: GroupRates, draws: int, rng: np.random.Generator) -> float:
    """P-value of equal rates in all groups.

    Parameters
    ----------
    rates : GroupRates
        Only the groups that are compared, each with at least one trial.
    draws : int
        Permutations; p is ``(1 + those at least as far apart) / (1 + draws)``.
    rng : Generator
        Source of the draws.

    Returns
    -------
    float
        Among the trials of the metric. Statistic: Pearson's chi-square of homogeneity where no cluster
        repeats; where whole clusters are permuted the squared distances of the rates from their weighted
        mean, each over its cluster-robust variance about the common rate (studentised); within clusters
        the generalised Cochran-Mantel-Haenszel statistic. It is 1 where no permutation can change
        anything: equal outcomes throughout, or within every cluster that spans groups.
    """
    if len(rates.groups) < 2 or not rates.count.any():
        return 1.0
    if rates.mixed:
        return _within_clusters(rates, draws, rng)
    if rates.dependent.any():
        return _whole_clusters(rates, draws, rng)
    hits, size = int(rates.count.sum()), rates.total
    counts = np.array([hits, int(size.sum()) - hits])
    common = hits / int(size.sum())

    def statistic(table: Ints) -> Floats:
        return np.asarray((size * (table[:, 0] / size - common) ** 2).sum(axis=1), dtype=np.float64)

    observed = np.stack([rates.count, size - rates.count])[None]
    return _p_of_tables(statistic, observed, counts, size, draws, rng)


def _whole_clusters(rates: GroupRates, draws: int, rng: np.random.Generator) -> float:
    """Deal clusters to groups anew. Clusters of equal outcome are alike, so their numbers are dealt."""
    key = rates.trials * (rates.trials.max() + 1) + rates.successes
    first, kind, counts = np.unique(key, return_index=True, return_inverse=True, return_counts=True)[1:]
    trials, successes = (values[first].astype(np.float64) for values in (rates.trials, rates.successes))
    distance = successes - rates.count.sum() / rates.total.sum() * trials
    distance[np.abs(distance) < 1e-9] = 0
    g = len(rates.groups)
    observed = np.bincount(kind * g + rates.group, minlength=len(counts) * g).reshape(1, -1, g)

    def statistic(table: Ints) -> Floats:
        size = np.einsum("btg,t->bg", table, trials)
        rate = np.einsum("btg,t->bg", table, successes) / size
        weight = 1 / np.maximum(np.einsum("btg,t->bg", table, distance**2) / size**2, NEGLIGIBLE)
        return _spread(rate, weight)

    return _p_of_tables(statistic, observed, counts, observed[0].sum(axis=0), draws, rng)


def _spread(values: Floats, weight: Floats) -> Floats:
    """Weighted squared distances from the weighted mean, along the last axis."""
    centre = (weight * values).sum(axis=-1, keepdims=True) / weight.sum(axis=-1, keepdims=True)
    return np.asarray((weight * (values - centre) ** 2).sum(axis=-1), dtype=np.float64)


def _p_of_tables(
    statistic: Callable[[Ints], Floats],
    observed: Ints,
    kinds: Ints,
    groups: Ints,
    draws: int,
    rng: np.random.Generator,
) -> float:
    """P-value over random tables ``(kinds, groups)`` with the observed margins."""
    reference = float(statistic(observed)[0])
    beyond, done = 0, 0
    while done < draws:
        size = min(draws - done, max(1, AT_ONCE // observed[0].size))
        beyond += _count_beyond(statistic(_deal(kinds, groups, size, rng)), reference)
        done += size
    return (1 + beyond) / (1 + draws)


def _count_beyond(drawn: Floats, reference: float) -> int:
    return int((drawn >= reference - 1e-9 * max(1.0, abs(reference))).sum())


def _deal(kinds: Ints, groups: Ints, draws: int, rng: np.random.Generator) -> Ints:
    """Tables with fixed margins, as random dealing gives them (multivariate hypergeometric).

    Returns
    -------
    ndarray of int64, shape (draws, kinds, groups)
    """
    out = np.empty((draws, len(kinds), len(groups)), dtype=np.int64)
    rest = np.tile(np.asarray(kinds, dtype=np.int64), (draws, 1))
    for g in range(len(groups) - 1):
        left = np.full(draws, groups[g])
        others = rest.sum(axis=1)
        for t in range(len(kinds)):
            others = others - rest[:, t]
            out[:, t, g] = rng.hypergeometric(rest[:, t], others, left)
            left = left - out[:, t, g]
        rest = rest - out[:, :, g]
    out[:, :, -1] = rest
    return out


def _within_clusters(rates: GroupRates, draws: int, rng: np.random.Generator) -> float:
    """Deal each cluster's successes to its images anew; clusters of one group or outcome stay as they are."""
    code = np.unique(rates.cluster, return_inverse=True)[1].reshape(-1)
    shape = (int(code.max()) + 1, len(rates.groups))
    size, hits = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    size[code, rates.group], hits[code, rates.group] = rates.trials, rates.successes
    total, success = size.sum(axis=1), hits.sum(axis=1)
    telling = ((size > 0).sum(axis=1) > 1) & (success > 0) & (success < total)
    if not telling.any():
        return 1.0
    size, hits, total, success = size[telling], hits[telling], total[telling], success[telling]
    share = success / total
    expected = (size * share[:, None]).sum(axis=0)
    scale = share * (total - success) / (total * (total - 1))
    covariance = np.diag((scale * total) @ size) - np.einsum("c,cg,ch->gh", scale, size, size)
    inverse = np.linalg.pinv(covariance, hermitian=True)

    def statistic(sums: Floats) -> Floats:
        away = sums - expected
        return np.asarray(np.einsum("bg,gh,bh->b", away, inverse, away), dtype=np.float64)

    reference = float(statistic(hits.sum(axis=0)[None].astype(np.float64))[0])
    kinds, counts = np.unique(np.column_stack([size, success]), axis=0, return_counts=True)
    sums = np.zeros((draws, shape[1]))
    for kind, count in zip(kinds, counts.tolist(), strict=True):
        sums += _deal_within(kind[:-1], int(kind[-1]), count, draws, rng)
    return (1 + _count_beyond(statistic(sums), reference)) / (1 + draws)


def _deal_within(size: Ints, success: int, clusters: int, draws: int, rng: np.random.Generator) -> Floats:
    """Successes per group, shape ``(draws, groups)``, summed over clusters of one and the same make-up."""
    present = np.flatnonzero(size)
    sizes = size[present].tolist()
    out = np.zeros((draws, len(size)))
    if math.prod(min(n, success) + 1 for n in sizes) <= ENUMERATED:
        # Few ways to deal: draw how many of the clusters go each way.
        ways = [way for way in product(*(range(min(n, success) + 1) for n in sizes)) if sum(way) == success]
        chances = [math.prod(map(math.comb, sizes, way)) / math.comb(sum(sizes), success) for way in ways]
        out[:, present] = rng.multinomial(clusters, chances, size=draws) @ np.array(ways)
        return out
    for _ in range(clusters):
        out[:, present] += rng.multivariate_hypergeometric(sizes, success, size=draws)
    return out


def mean_gap_p(
    values: npt.ArrayLike, groups: npt.ArrayLike, clusters: npt.ArrayLike, permutations: Permutations
) -> float:
    """P-value of equal means in all groups, such as of region shares.

    Parameters
    ----------
    values : array_like, shape (N,)
        One value an image.
    groups, clusters : array_like, shape (N,)
        Group and cluster of each image; without clusters, each image is one of its own.
    permutations : Permutations
        Draws and seed.

    Returns
    -------
    float
        Where every cluster lies in one group, cluster means are permuted and the statistic is
        studentised by each group's own variance; else values are permuted within clusters and the
        statistic rests on their distances from the cluster mean. NaN for fewer than two groups.
    """
    data = np.asarray(values, np.float64)
    group = np.unique(np.asarray(groups), return_inverse=True)[1].reshape(-1)
    cluster = np.unique(np.asarray(clusters), return_inverse=True)[1].reshape(-1)
    if data.size == 0 or group.max() < 1:
        return float("nan")
    rng = permutations.stream("mean")
    pairs = np.unique(np.stack([cluster, group]), axis=1)
    means = np.bincount(cluster, weights=data) / np.bincount(cluster)
    whole = pairs.shape[1] == len(means)
    if whole:
        data, group = means, pairs[1]
        block = np.zeros(len(data), np.int64)
    else:
        data, block = data - means[cluster], cluster
    onehot = np.eye(int(group.max()) + 1)[group]
    reference = float(_mean_spread(data[None], onehot, studentised=whole)[0])
    beyond, done = 0, 0
    while done < permutations.draws:
        size = min(permutations.draws - done, max(1, AT_ONCE // len(data)))
        # Sorting by block plus noise shuffles within blocks; the stable order undoes the sort of blocks.
        order = np.argsort(block + rng.random((size, len(data))), axis=1)
        shuffled = np.empty((size, len(data)))
        shuffled[:, np.argsort(block, kind="stable")] = data[order]
        beyond += _count_beyond(_mean_spread(shuffled, onehot, studentised=whole), reference)
        done += size
    return (1 + beyond) / (1 + permutations.draws)


def _mean_spread(data: Floats, onehot: Floats, *, studentised: bool) -> Floats:
    size = onehot.sum(axis=0)
    mean = data @ onehot / size
    if not studentised:
        return np.asarray((size * mean**2).sum(axis=1), dtype=np.float64)
    # About the common mean: never 0 unless the group agrees with it, whatever the group's own spread.
    common = data.mean(axis=1, keepdims=True)
    variance = ((data - common) ** 2) @ onehot / size**2
    return _spread(mean, 1 / np.maximum(variance, NEGLIGIBLE))
