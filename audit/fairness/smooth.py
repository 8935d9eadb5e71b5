"""Metrics that are smooth functions of several counts: their values by group, linearised variance, intervals.

Balanced and label-standardised accuracy, F1 and the macro averages. Single rates are in `rates`;
comparing groups is done in `comparisons`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy import sparse, special

from audit.errors import InputError, nearest
from audit.fairness.counts import GroupCells
from audit.fairness.intervals import Bounds, Floats, clopper_pearson, wilson
from audit.fairness.metrics import Metric
from audit.fairness.rates import NEGLIGIBLE
from audit.fairness.rows import Ints
from audit.fairness.strata import influence_of, touching, two_arms

__all__ = ["SMOOTH", "SmoothEstimates", "smooth_units"]

SMOOTH = ("balanced_accuracy", "standardised_accuracy", "f1", "macro_precision", "macro_f1")
"""Names of the metrics that are taken here."""


@dataclass(frozen=True, eq=False)
class Source:
    """What a metric is taken from: the counts, the metric, and the weight of each class, shape (K,)."""

    cells: GroupCells
    metric: Metric
    mix: Floats


@dataclass(frozen=True, eq=False)
class SmoothEstimates:
    """A smooth metric of every group, with what its uncertainty is computed from.

    It has the attributes of `GroupRates` that comparisons rest on, so it can stand in for one.

    Parameters
    ----------
    groups : tuple of str
        The groups.
    source : Source
        What it was taken from.
    value : ndarray, shape (G,)
        The metric; NaN where it is undefined.
    total : ndarray of int64, shape (G,)
        Images it rests on; 0 where it is undefined.
    size : ndarray, shape (G,)
        Effective number of images, ``1 / sum_k(w_k**2 / n_k)`` (Kish): what a pooled proportion with the
        same weights would rest on; at most `total`. It is the most that an interval takes.
    telling : ndarray of int64, shape (G,)
        Clusters with the rarer of the two: an image found, an image not found.
    group, cluster : ndarray of int64, shape (U,)
        Group and cluster of each unit; without clusters a unit is a cell of the counts, and its own cluster.
    residual : ndarray, shape (U,)
        Sum of the metric's influence function over the unit, in units of the metric; for a cell its root
        sum of squares.
    """

    groups: tuple[str, ...]
    source: Source
    value: Floats
    total: Ints
    size: Floats
    telling: Ints
    group: Ints
    cluster: Ints
    residual: Floats

    @property
    def clustered(self) -> bool:
        """Whether units are split by cluster."""
        return self.source.cells.clustered

    @property
    def rate(self) -> Floats:
        """The metric by group, under the name that it has in `GroupRates`."""
        return self.value

    @cached_property
    def clusters(self) -> Ints:
        """Clusters that the metric rests on, per group; images where there are none."""
        return np.bincount(self.group, minlength=len(self.groups)).astype(np.int64) if self.clustered else self.total

    @cached_property
    def dependent(self) -> npt.NDArray[np.bool_]:
        """Whether any cluster of the group has more than one image."""
        return self.total > self.clusters

    @cached_property
    def mixed(self) -> bool:
        """Whether some cluster has images in more than one group."""
        return self.clustered and len(np.unique(self.cluster)) < len(self.cluster)

    @cached_property
    def influence(self) -> sparse.csr_array:
        """Influence of each cluster on each group's value, shape ``(clusters, groups)``.

        ``influence.T @ influence`` is the covariance of the values, but for the factor m / (m - 1). Without
        clusters a row is a cell of the counts.
        """
        names, code = np.unique(self.cluster, return_inverse=True)
        shape = (len(names), len(self.groups))
        return sparse.csr_array((self.residual, (code.reshape(-1), self.group)), shape=shape)

    @cached_property
    def variance(self) -> Floats:
        """Linearised variance; where clusters repeat, between them with the factor m / (m - 1), NaN for m < 2."""
        spread = _sums(self.group, self.residual**2, len(self.groups))
        m = self.clusters
        with np.errstate(invalid="ignore", divide="ignore"):
            between = np.where(self.dependent, np.where(m >= 2, m / (m - 1), np.nan), 1.0) * spread
        return np.where(self.total > 0, between, np.nan)

    @cached_property
    def correlation(self) -> Floats:
        """Correlation of the groups' values through shared clusters, shape (G, G); 0 where none is shared."""
        g = len(self.groups)
        if not self.mixed:
            return np.zeros((g, g))
        products = (self.influence.T @ self.influence).toarray()
        scale = np.sqrt(np.outer(np.diag(products), np.diag(products)))
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(scale > 0, np.clip(products / scale, -1, 1), 0.0)

    def effective_size(self, alpha: float = 0.05) -> Floats:
        """Images of a plain proportion that would be as certain; NaN where there are too few clusters.

        ``p (1 - p) / variance``, and never more than `size`, which also stands where the variance is 0. Where
        clusters repeat it is reduced as that of a rate is (`intervals.effective_size`): one cluster whose
        images all go together is added to the `telling` ones, and the squared ratio of the t quantiles with
        ``total - 1`` and ``clusters - 1`` degrees of freedom applied (Korn & Graubard 1998).
        """
        p, spread = self._proportion
        tail = 1 - alpha / 2
        with np.errstate(invalid="ignore", divide="ignore"):
            found = p * (1 - p) / spread
            effect = self.size / found
            together = np.maximum(effect, self.total / self.clusters)
            reduced = self.size * (self.telling + 1) / (self.telling * effect + together)
            quantiles = [special.stdtrit(np.maximum(n - 1, 1), tail) for n in (self.total, self.clusters)]
            reduced = reduced * (quantiles[0] / quantiles[1]) ** 2
            found = np.minimum(self.size, np.where(self.dependent, reduced, found))
        found = np.where(spread > 0, found, self.size)
        return np.where((self.total > 0) & ((self.clusters >= 2) | ~self.dependent), found, np.nan)

    def intervals(self, alpha: float = 0.05) -> Bounds:
        """Interval of each group's value: Clopper-Pearson at the effective size.

        For F1 it is that of ``tp / (tp + fp + fn)``, a proportion of which F1 is a rising function: exact
        where images are independent.
        """
        size = np.nan_to_num(self.effective_size(alpha))
        return self._back(clopper_pearson(self._proportion[0] * size, size, alpha))

    def score_intervals(self, alpha: float = 0.05) -> Bounds:
        """Intervals that differences are built from: Wilson at the effective size, or those of `intervals`."""
        if self.dependent.any():
            return self.intervals(alpha)
        p, size = self._proportion[0], np.nan_to_num(self.effective_size(alpha))
        low, high = wilson(p * size, size, alpha)
        return self._back((np.where(p == 0, 0.0, low), np.where(p == 1, 1.0, high)))

    def only(self, groups: Sequence[str]) -> SmoothEstimates:
        """Keep these groups, in this order; weights of the classes stay as they are."""
        places = [self.groups.index(name) for name in groups]
        new = np.full(len(self.groups), -1)
        new[places] = np.arange(len(places))
        kept = new[self.group] >= 0
        return SmoothEstimates(
            tuple(groups),
            self.source,
            self.value[places],
            self.total[places],
            self.size[places],
            self.telling[places],
            new[self.group[kept]],
            self.cluster[kept],
            self.residual[kept],
        )

    def against_rest(self, group: str) -> SmoothEstimates:
        """Two arms: one group, and everybody else as one group, with the same weights of the classes."""
        cells = two_arms(self.source.cells, self.groups, group)
        return _estimate(Source(cells, self.source.metric, self.source.mix))

    @property
    def _jaccard(self) -> bool:
        return self.source.metric.name == "f1"

    @cached_property
    def _proportion(self) -> tuple[Floats, Floats]:
        """The proportion that an interval is made for, and its variance: the value, or Jaccard's for F1."""
        if not self._jaccard:
            return self.value, self.variance
        share = self.value / (2 - self.value)
        return share, self.variance * ((1 + share) ** 2 / 2) ** 2

    def _back(self, bounds: Bounds) -> Bounds:
        blank = self.total == 0
        low, high = (np.where(blank, np.nan, bound) for bound in bounds)
        return (low, high) if not self._jaccard else (2 * low / (1 + low), 2 * high / (1 + high))


def smooth_units(
    cells: GroupCells,
    metric: Metric,
    class_name: str | None = None,
    reference_mix: Mapping[str, float] | Floats | None = None,
) -> SmoothEstimates:
    """Take a smooth metric from the counts.

    Parameters
    ----------
    cells : GroupCells
        Counts along an attribute.
    metric : Metric
        One of `SMOOTH`.
    class_name : str, optional
        The class, for F1.
    reference_mix : mapping of str to float, or ndarray of shape (K,), optional
        For `standardised_accuracy`, the share of each class, together 1; by default that of all counted
        images. It is taken as given: its own sampling error is not in the variance.

    Returns
    -------
    SmoothEstimates
        Undefined in a group where a class with weight has no denominator.

    Raises
    ------
    InputError
        The metric is none of `SMOOTH`, or the mix names no class or does not add up to 1.
    """
    if metric.name not in SMOOTH:
        raise InputError(
            f"metric '{metric.name}' is no smooth metric, allowed: {list(SMOOTH)}.{nearest(metric.name, SMOOTH)}"
        )
    mix = _weights(cells, metric, class_name, reference_mix)
    if metric.name == "f1":
        cells = touching(cells, int(mix.argmax()))
    return _estimate(Source(cells, metric, mix))


def _estimate(source: Source) -> SmoothEstimates:
    cells = source.cells
    found = influence_of(cells, source.metric.name, source.mix)
    fine = found.touched & ~np.isnan(found.value[cells.unit_group[cells.unit]])
    unit, amount, count = cells.unit[fine], found.entry[fine], cells.count[fine].astype(np.float64)
    total = _sums(cells.unit_group[unit], count, len(cells.groups)).astype(np.int64)
    if cells.clustered:
        kept, place = np.unique(unit, return_inverse=True)
        residual = _sums(place.reshape(-1), amount * count, len(kept))
        group, cluster = cells.unit_group[kept], cells.unit_cluster[kept]
    else:
        residual, group, cluster = amount * np.sqrt(count), cells.unit_group[unit], np.arange(len(unit))
    residual = np.where(np.abs(residual) * total[group] < NEGLIGIBLE, 0.0, residual)
    size = np.asarray(np.minimum(found.size, total), dtype=np.float64)
    hit = (cells.truth == cells.predicted)[fine]
    units = [np.bincount(cells.unit_group[np.unique(unit[rows])], minlength=len(total)) for rows in (hit, ~hit)]
    telling = np.minimum(*units).astype(np.int64)
    return SmoothEstimates(cells.groups, source, found.value, total, size, telling, group, cluster, residual)


def _sums(place: Ints, values: Floats, size: int) -> Floats:
    return np.asarray(np.bincount(place, weights=values, minlength=size), dtype=np.float64)


def _weights(
    cells: GroupCells, metric: Metric, class_name: str | None, reference_mix: Mapping[str, float] | Floats | None
) -> Floats:
    k = len(cells.classes)
    if metric.name == "f1":
        return np.asarray(np.arange(k) == cells.classes.index(str(class_name)), dtype=np.float64)
    if metric.name != "standardised_accuracy":
        return np.full(k, 1 / k)
    if reference_mix is None:
        seen = _sums(cells.truth, cells.count.astype(np.float64), k)
        return np.asarray(seen / max(float(seen.sum()), 1.0), dtype=np.float64)
    if not isinstance(reference_mix, Mapping):
        return np.asarray(reference_mix, dtype=np.float64)
    for name in set(reference_mix) - set(cells.classes):
        known = f"allowed: {list(cells.classes)}.{nearest(name, cells.classes)}"
        raise InputError(f"reference mix names class '{name}', {known}")
    mix = np.array([float(reference_mix.get(name, 0.0)) for name in cells.classes])
    if (mix < 0).any() or not abs(mix.sum() - 1) < 1e-6:
        raise InputError(
            f"reference mix {dict(reference_mix)} is no set of shares",
            fix="give each class a share of at least 0, together 1",
        )
    return np.asarray(mix, dtype=np.float64)
