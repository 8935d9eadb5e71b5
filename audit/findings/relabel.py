"""Switching group labels between two groups, as damagingly as can be, and counting the rate anew.

Nothing is judged here; `sensitivity` asks how many switches a verdict stands.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from audit.fairness import GroupRates
from audit.fairness.intervals import Floats
from audit.fairness.rows import Ints

__all__ = ["Labels", "Switches", "labels_of"]


@dataclass(frozen=True)
class Labels:
    """One row a group label: of an image, or of a whole cluster where all its images lie in one group.

    Parameters
    ----------
    groups : tuple of str
    clustered : bool
        As in `GroupRates`.
    whole : bool
        Whether a label is that of a cluster.
    group, cluster, successes, trials : ndarray of int64, shape (L,)
    """

    groups: tuple[str, ...]
    clustered: bool
    whole: bool
    group: Ints
    cluster: Ints
    successes: Ints
    trials: Ints

    def rates(self, group: Ints) -> GroupRates:
        """The rate by group if the labels were these, shape (L,)."""
        if not self.clustered:
            size = len(self.groups)
            trials = np.bincount(group, weights=self.trials, minlength=size).astype(np.int64)
            successes = np.bincount(group, weights=self.successes, minlength=size).astype(np.int64)
            kept = np.flatnonzero(trials)
            return GroupRates(self.groups, False, kept, np.zeros_like(kept), successes[kept], trials[kept])
        if self.whole:
            return GroupRates(self.groups, True, group, self.cluster, self.successes, self.trials)
        key, unit = np.unique(np.stack([group, self.cluster]), axis=1, return_inverse=True)
        sums = [np.zeros(key.shape[1], np.int64) for _ in range(2)]
        for out, values in zip(sums, (self.successes, self.trials), strict=True):
            np.add.at(out, unit.reshape(-1), values)
        return GroupRates(self.groups, True, key[0], key[1], sums[0], sums[1])


def labels_of(rates: GroupRates) -> Labels:
    """The labels that a rate's trials carry: one a cluster where no cluster is in two groups, else one an image."""
    if rates.clustered and not rates.mixed:
        return Labels(rates.groups, True, True, rates.group, rates.cluster, rates.successes, rates.trials)
    unit = np.repeat(np.arange(len(rates.trials)), rates.trials)
    start = np.cumsum(rates.trials) - rates.trials
    success = (np.arange(len(unit)) - start[unit] < rates.successes[unit]).astype(np.int64)
    group, cluster = rates.group[unit], rates.cluster[unit]
    return Labels(rates.groups, rates.clustered, False, group, cluster, success, np.ones_like(success))


@dataclass(frozen=True)
class Switches:
    """Labels of two groups in the order in which switching them changes the gap between the two most.

    Parameters
    ----------
    labels : Labels
    worse, better : int
        Positions of the groups.
    higher : bool
        Whether successes are what is wanted.
    shrink : bool
        Whether the gap is to be made smaller, by moving what went wrong out of the worse group and what went
        well into it; else larger, the other way round.
    """

    labels: Labels
    worse: int
    better: int
    higher: bool
    shrink: bool

    @cached_property
    def good(self) -> Ints:
        """Wanted outcomes of each label."""
        return self.labels.successes if self.higher else self.labels.trials - self.labels.successes

    @cached_property
    def orders(self) -> tuple[Ints, Ints]:
        """Labels of the worse and of the better group, the first to be moved first."""
        return self._order(self.worse, first_bad=self.shrink), self._order(self.better, first_bad=not self.shrink)

    @property
    def available(self) -> int:
        """Labels of both groups."""
        return len(self.orders[0]) + len(self.orders[1])

    @property
    def alike(self) -> bool:
        """Whether all labels weigh the same, so that the order within a group is beyond doubt."""
        rows = np.concatenate(self.orders)
        return bool((self.labels.trials[rows] == 1).all())

    def _order(self, place: int, *, first_bad: bool) -> Ints:
        rows = np.flatnonzero(self.labels.group == place)
        trials = self.labels.trials[rows]
        surplus = self.good[rows] - self.good[rows].sum() / max(trials.sum(), 1) * trials
        return rows[np.argsort(surplus if first_bad else -surplus, kind="stable")]

    @cached_property
    def _sums(self) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:
        """For both groups, wanted outcomes and trials of the first labels in their order, from none on."""
        pairs = []
        for order in self.orders:
            good, trials = np.cumsum(self.good[order]), np.cumsum(self.labels.trials[order])
            pairs.append((np.append(0.0, good), np.append(0.0, trials)))
        return pairs[0], pairs[1]

    def splits(self, count: int) -> Ints:
        """Ways to take `count` labels: how many of the worse group; each group keeps at least one label."""
        first, second = (len(order) for order in self.orders)
        return np.arange(max(0, count - second + 1), min(count, first - 1) + 1)

    def ranked(self, count: int) -> Ints:
        """The ways to take `count` labels, the most damaging to the gap first."""
        taken = self.splits(count)
        (good_a, size_a), (good_b, size_b) = self._sums
        other = count - taken
        move_good, move_size = good_b[other] - good_a[taken], size_b[other] - size_a[taken]
        with np.errstate(invalid="ignore", divide="ignore"):
            worse = (good_a[-1] + move_good) / (size_a[-1] + move_size)
            better = (good_b[-1] - move_good) / (size_b[-1] - move_size)
        gap = better - worse
        return taken[np.argsort(np.abs(gap) if self.shrink else -gap, kind="stable")]

    def after(self, count: int, of_worse: int) -> GroupRates:
        """The rates after taking `count` labels, `of_worse` of them out of the worse group."""
        group = self.labels.group.copy()
        group[self.orders[0][:of_worse]] = self.better
        group[self.orders[1][: count - of_worse]] = self.worse
        return self.labels.rates(group)

    def counts(self) -> Iterator[int]:
        """Numbers of labels to try: 1, 2, 4, ... and the most that can be taken."""
        most, count = self.available - 2, 1
        while count < most:
            yield count
            count *= 2
        if most >= 1:
            yield most
