"""One rate over groups: totals, cluster-robust variance, intervals, and how groups' estimates correlate.

Comparing groups is done in `comparisons`, testing in `permutation`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy import sparse

from audit.fairness.counts import GroupCells
from audit.fairness.intervals import Floats, clopper_pearson, korn_graubard, wilson
from audit.fairness.metrics import Metric
from audit.fairness.rows import Ints

__all__ = ["REST", "GroupRates", "cluster_correlation", "rate_units"]

REST = "everybody else"
NEGLIGIBLE = 1e-9


@dataclass(frozen=True)
class GroupRates:
    """Successes out of trials, per unit of (group, cluster); without clusters a unit is a group.

    Parameters
    ----------
    groups : tuple of str
        The groups.
    clustered : bool
        Whether units are split by cluster.
    group, cluster : ndarray of int64, shape (U,)
        Group and cluster of each unit.
    successes, trials : ndarray of int64, shape (U,)
        Numerator and denominator in each unit; only units with trials are kept.
    """

    groups: tuple[str, ...]
    clustered: bool
    group: Ints
    cluster: Ints
    successes: Ints
    trials: Ints

    @cached_property
    def count(self) -> Ints:
        """Successes per group."""
        return self._sum(self.successes)

    @cached_property
    def total(self) -> Ints:
        """Trials per group: the metric's own denominator."""
        return self._sum(self.trials)

    @cached_property
    def clusters(self) -> Ints:
        """Clusters with a trial, per group; trials where there are no clusters."""
        return self._sum(np.ones_like(self.trials)) if self.clustered else self.total

    @cached_property
    def rate(self) -> Floats:
        """Successes over trials; NaN where there are no trials."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.count / self.total, dtype=np.float64)

    @cached_property
    def dependent(self) -> npt.NDArray[np.bool_]:
        """Whether any cluster of the group has more than one trial."""
        if not self.clustered:
            return np.zeros(len(self.groups), dtype=bool)
        return self.total > self.clusters

    @cached_property
    def telling(self) -> Ints:
        """Clusters of each group with the rarer of the two outcomes, in which a design effect is seen."""
        failing, hitting = (self._sum((part > 0).astype(np.int64)) for part in (self.failures, self.successes))
        return np.minimum(failing, hitting)

    @property
    def failures(self) -> Ints:
        """Trials less successes, per unit."""
        return self.trials - self.successes

    @cached_property
    def residual(self) -> Floats:
        """Per unit, successes minus the group's rate times trials; an exact 0 where they agree."""
        if not len(self.group):
            return np.zeros(0)
        distance = self.successes - self.rate[self.group] * self.trials
        return np.where(np.abs(distance) < NEGLIGIBLE, 0.0, distance)

    @cached_property
    def variance(self) -> Floats:
        """Linearised variance of the rate between clusters, with the factor m / (m - 1); NaN for m < 2.

        Without clusters it is ``p (1 - p) / n``.
        """
        with np.errstate(invalid="ignore", divide="ignore"):
            if not self.clustered:
                return np.asarray(self.rate * (1 - self.rate) / self.total, dtype=np.float64)
            m = self.clusters
            spread = np.bincount(self.group, weights=self.residual**2, minlength=len(self.groups))
            return np.where(m >= 2, m / (m - 1) * spread / self.total.astype(np.float64) ** 2, np.nan)

    def intervals(self, alpha: float = 0.05) -> tuple[Floats, Floats]:
        """Interval of each group's rate: Clopper-Pearson, or Korn-Graubard where clusters repeat."""
        plain = clopper_pearson(self.count, self.total, alpha)
        if not self.dependent.any():
            return plain
        robust = korn_graubard(self.count, self.total, self.clusters, self.variance, alpha, self.telling)
        return np.where(self.dependent, robust[0], plain[0]), np.where(self.dependent, robust[1], plain[1])

    def score_intervals(self, alpha: float = 0.05) -> tuple[Floats, Floats]:
        """Intervals that differences are built from: Wilson, or those of `intervals` where clusters repeat."""
        if self.dependent.any():
            return self.intervals(alpha)
        return wilson(self.count, self.total, alpha)

    @cached_property
    def mixed(self) -> bool:
        """Whether some cluster has trials in more than one group."""
        return self.clustered and len(self.cluster) > 0 and int(np.bincount(self.cluster).max()) > 1

    @cached_property
    def correlation(self) -> Floats:
        """Correlation of the groups' rates through shared clusters, shape (G, G); 0 where none is shared."""
        if not self.mixed:
            return np.zeros((len(self.groups), len(self.groups)))
        return cluster_correlation((self,))

    def only(self, groups: Sequence[str]) -> GroupRates:
        """Keep these groups, in this order."""
        new = np.full(len(self.groups), -1)
        for place, name in enumerate(groups):
            new[self.groups.index(name)] = place
        kept = new[self.group] >= 0
        return GroupRates(
            tuple(groups),
            self.clustered,
            new[self.group[kept]],
            self.cluster[kept],
            self.successes[kept],
            self.trials[kept],
        )

    def against_rest(self, group: str) -> GroupRates:
        """Two arms: one group, and everybody else as one group."""
        arm = (self.group != self.groups.index(group)).astype(np.int64)
        width = int(self.cluster.max(initial=0)) + 1
        key, unit = np.unique(arm * width + self.cluster, return_inverse=True)
        sums = [np.zeros(len(key), dtype=np.int64) for _ in range(2)]
        for out, values in zip(sums, (self.successes, self.trials), strict=True):
            np.add.at(out, unit.reshape(-1), values)
        arm, cluster = np.divmod(key, width)
        return replace(self, groups=(group, REST), group=arm, cluster=cluster, successes=sums[0], trials=sums[1])

    def _sum(self, values: Ints) -> Ints:
        out = np.zeros(len(self.groups), dtype=np.int64)
        np.add.at(out, self.group, values)
        return out


def cluster_correlation(parts: Sequence[GroupRates]) -> Floats:
    """Correlation of the rates of several parts through shared clusters; 0 where none is shared.

    Parameters
    ----------
    parts : sequence of GroupRates
        Rates from the same counts, G groups each.

    Returns
    -------
    ndarray of float64, shape (sum of G, sum of G)
        From the clusters' residuals; 1 on the diagonal where a rate varies between clusters. All 0 without
        clusters.
    """
    size = sum(len(part.groups) for part in parts)
    if not any(part.clustered for part in parts):
        return np.zeros((size, size))
    names, code = np.unique(np.concatenate([part.cluster for part in parts]), return_inverse=True)
    starts = np.cumsum([0, *(len(part.groups) for part in parts)])
    column = np.concatenate([part.group + start for part, start in zip(parts, starts, strict=False)])
    residual = np.concatenate([part.residual for part in parts])
    grid = sparse.csr_array((residual, (code.reshape(-1), column)), shape=(len(names), size))
    products = (grid.T @ grid).toarray()
    scale = np.sqrt(np.outer(np.diag(products), np.diag(products)))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(scale > 0, np.clip(products / scale, -1, 1), 0.0)


def rate_units(cells: GroupCells, metric: Metric, class_name: str | None = None) -> GroupRates:
    """Take one rate from the counts.

    Parameters
    ----------
    cells : GroupCells
        Counts along an attribute.
    metric : Metric
        A metric with a denominator (`Metric.is_rate`).
    class_name : str, optional
        The class, for a metric about one class.
    """
    place = cells.classes.index(str(class_name)) if metric.per_class else 0
    parts = cells.binary(place) if metric.per_class else cells.everything()
    trials = sum((parts[name] for name in metric.denominator), start=np.zeros_like(cells.unit_group))
    successes = sum((parts[name] for name in metric.numerator), start=np.zeros_like(cells.unit_group))
    kept = trials > 0
    return GroupRates(
        cells.groups,
        cells.clustered,
        cells.unit_group[kept],
        cells.unit_cluster[kept],
        successes[kept],
        trials[kept],
    )
