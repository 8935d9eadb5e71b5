"""Counts over group cell x true class x predicted class: the one tensor behind every rate.

Rates and intervals are taken from these counts elsewhere; nothing here divides. The tensor is kept
sparse (only cells that were seen), with the cluster as a further axis where the data has clusters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from audit.errors import InputError, nearest
from audit.fairness.rows import (
    Ints,
    group_labels,
    has_clusters,
    positions,
    slice_columns,
    sorted_groups,
    stored_probabilities,
    usable_rows,
)

__all__ = ["CountTensor", "GroupCells", "count_predictions", "count_rows"]


AT_ONCE = 100_000
TOP = (3, 5)
BEYOND = max(TOP) + 1
"""Rank of a true class that is not among the most probable ones; 0 where no probabilities are stored."""


@dataclass(frozen=True)
class GroupCells:
    """Counts of one model along one attribute, per unit of (group, cluster).

    Without clusters a unit is a group. ``unit``, ``truth``, ``predicted``, ``count`` and ``rank`` (of the
    true class by probability, from 1; 0 where it is not known, at most 6) are the sparse entries (parallel
    arrays); the other arrays describe the units.
    """

    groups: tuple[str, ...]
    classes: tuple[str, ...]
    clustered: bool
    unit_group: Ints
    unit_cluster: Ints
    unit: Ints
    truth: Ints
    predicted: Ints
    count: Ints
    rank: Ints | None = None

    def confusion(self) -> Ints:
        """Dense counts, shape ``(groups, true classes, predicted classes)``, int64."""
        k = len(self.classes)
        place = (self.unit_group[self.unit] * k + self.truth) * k + self.predicted
        return _sums(place, self.count, len(self.groups) * k * k).reshape(-1, k, k)

    @cached_property
    def by_class(self) -> tuple[Ints, Ints, Ints]:
        """Images found, images there, and images called so, each of shape ``(groups, classes)``."""
        k, group = len(self.classes), self.unit_group[self.unit]
        hit = self.truth == self.predicted
        size = len(self.groups) * k
        hits = _sums((group * k + self.truth)[hit], self.count[hit], size)
        there, called = (_sums(group * k + place, self.count, size) for place in (self.truth, self.predicted))
        return hits.reshape(-1, k), there.reshape(-1, k), called.reshape(-1, k)

    def binary(self, index: int) -> dict[str, Ints]:
        """Per unit, the 2x2 counts of one class against the rest: ``tp, fn, fp, tn``."""
        if index not in self._latest:
            tp, positives, selected = (_column(matrix, index) for matrix in self._matrices)
            fn, fp = positives - tp, selected - tp
            self._latest.clear()
            self._latest[index] = {"tp": tp, "fn": fn, "fp": fp, "tn": self._totals["all"] - tp - fn - fp}
        return dict(self._latest[index])

    def everything(self) -> dict[str, Ints]:
        """Per unit, images counted and classified correctly, with known ranks, and among the first ranks.

        Named ``all, correct, ranked, top_3, top_5``.
        """
        return dict(self._totals)

    @cached_property
    def _totals(self) -> dict[str, Ints]:
        rank = np.zeros_like(self.count) if self.rank is None else self.rank
        chosen = {"all": self.count > 0, "correct": self.truth == self.predicted, "ranked": rank > 0}
        chosen |= {f"top_{k}": (rank > 0) & (rank <= k) for k in TOP}
        units = len(self.unit_group)
        return {name: _sums(self.unit[rows], self.count[rows], units) for name, rows in chosen.items()}

    @cached_property
    def _latest(self) -> dict[int, dict[str, Ints]]:
        """The class asked for last: one class is asked for several rates in a row."""
        return {}

    @cached_property
    def _matrices(self) -> tuple[sparse.csc_array, sparse.csc_array, sparse.csc_array]:
        """Units by class: images found, there, and called so."""
        hit = self.truth == self.predicted
        entries = ((hit, self.truth), (slice(None), self.truth), (slice(None), self.predicted))
        shape = (len(self.unit_group), len(self.classes))
        found, there, called = (
            sparse.csc_array((self.count[rows], (self.unit[rows], column[rows])), shape=shape)
            for rows, column in entries
        )
        return found, there, called


@dataclass(frozen=True)
class CountTensor:
    """Counts of one model, mergeable by addition.

    Parameters
    ----------
    model : str
        The model.
    classes : tuple of str
        Class names; ``truth`` and ``predicted`` in `cells` are positions in it.
    slices : mapping of str to tuple of str
        Name of each attribute or intersection, and the attributes it is made of (none: everybody).
    groups : mapping of str to tuple of str
        Groups of each slice, those without a counted image too.
    cells : DataFrame
        Columns ``attr_<name>``..., ``cluster``, ``truth``, ``predicted``, ``rank``, ``count`` (int64); one
        row a cell that was seen. ``cluster`` is empty text where `clustered` is false, ``rank`` that of the
        true class by probability (see `GroupCells`).
    clustered : bool
        Whether images of one cluster are to be treated as dependent.
    """

    model: str
    classes: tuple[str, ...]
    slices: Mapping[str, tuple[str, ...]]
    groups: Mapping[str, tuple[str, ...]]
    cells: pd.DataFrame
    clustered: bool

    def __add__(self, other: CountTensor) -> CountTensor:
        """Add the counts of another part of the same run.

        Raises
        ------
        InputError
            The two parts differ in model, classes, slices or the use of clusters.
        """
        mine = (self.model, self.classes, dict(self.slices), self.clustered)
        if mine != (other.model, other.classes, dict(other.slices), other.clustered):
            raise InputError("counts of different models, classes, attributes or clustering cannot be added")
        both = pd.concat([self.cells, other.cells], ignore_index=True)
        groups = {name: sorted_groups({*self.groups[name], *other.groups[name]}) for name in self.slices}
        return CountTensor(self.model, self.classes, self.slices, groups, _condense(both), self.clustered)

    def along(self, name: str) -> GroupCells:
        """Counts along one attribute or intersection, or over everybody (``overall``)."""
        if name not in self.slices:
            raise InputError(
                f"attribute '{name}' is not in these counts, allowed: {list(self.slices)}.{nearest(name, self.slices)}"
            )
        if name not in self._taken:
            self._taken[name] = self._take(name)
        return self._taken[name]

    @cached_property
    def _taken(self) -> dict[str, GroupCells]:
        return {}

    def _take(self, name: str) -> GroupCells:
        groups, k = self.groups[name], len(self.classes)
        group = positions(groups, group_labels(self.cells, self.slices[name]))
        cluster, clusters = np.zeros(len(group), np.int64), 1
        unit_key, unit = np.arange(len(groups)), group
        if self.clustered:
            cluster, names = pd.factorize(self.cells["cluster"])
            clusters = max(len(names), 1)
            unit_key, unit = np.unique(group * clusters + cluster, return_inverse=True)
        key = unit.reshape(-1)
        for column, size in (("truth", k), ("predicted", k), ("rank", BEYOND + 1)):
            key = key * size + self.cells[column].to_numpy(np.int64)
        # Cells that differ only in other attributes are added up.
        seen, place = np.unique(key, return_inverse=True)
        count = _sums(place.reshape(-1), self.cells["count"].to_numpy(np.int64), len(seen))
        rest, rank = np.divmod(seen, BEYOND + 1)
        rest, predicted = np.divmod(rest, k)
        unit, truth = np.divmod(rest, k)
        about = (groups, self.classes, self.clustered, unit_key // clusters, unit_key % clusters)
        return GroupCells(*about, unit, truth, predicted, count, rank)


def count_predictions(
    images: pd.DataFrame,
    predictions: pd.DataFrame,
    classes: Sequence[str],
    attributes: Sequence[str],
    intersections: Sequence[Sequence[str]] = (),
    *,
    clustered: bool | None = None,
) -> dict[str, CountTensor]:
    """Count predictions, per model.

    Parameters
    ----------
    images : DataFrame
        Table `images`: ``image_id, label, status, cluster, attr_*``.
    predictions : DataFrame
        Table `predictions`: ``model, image_id, predicted, status``. Only rows whose image and whose
        prediction have status ``ok`` are counted.
    classes : sequence of str
        Every class name.
    attributes : sequence of str
        Attribute names, without the prefix ``attr_``.
    intersections : sequence of sequences of str
        Attributes to cross; named by joining with `` x ``.
    clustered : bool, optional
        Whether clusters count; by default, whether any image names one. An image without a cluster is
        then a cluster of its own.

    Returns
    -------
    dict of str to CountTensor
        One tensor a model, in the order in which models appear.

    Raises
    ------
    InputError
        An attribute is missing, a label or a prediction is no class, or image ids repeat or are unknown.
    """
    rows = usable_rows(images, predictions, classes, attributes)
    slices = slice_columns(attributes, intersections)
    models = list(predictions["model"].astype(str).unique())
    return count_rows(rows, images, classes, slices, models, clustered=clustered)


def count_rows(
    rows: pd.DataFrame,
    images: pd.DataFrame,
    classes: Sequence[str],
    slices: Mapping[str, tuple[str, ...]],
    models: Sequence[str],
    *,
    clustered: bool | None = None,
) -> dict[str, CountTensor]:
    """Count `usable_rows` of `images`, per model; as `count_predictions`."""
    if clustered is None:
        clustered = has_clusters(images)
    groups = {name: sorted_groups(set(group_labels(images, names).unique())) for name, names in slices.items()}
    attributes = [str(column) for column in rows if str(column).startswith("attr_")]
    keys = [*attributes, "cluster", "truth", "predicted", "rank"]
    tensors = {}
    for model in models:
        own = rows[rows["model"] == model]
        given = stored_probabilities(own, len(classes))
        own = own.drop(columns="probabilities", errors="ignore")
        if not clustered:
            own["cluster"] = ""
        own["rank"] = _ranks(given, own["truth"].to_numpy(np.int64))
        own["count"] = np.int64(1)
        tensors[model] = CountTensor(model, tuple(classes), slices, groups, _condense(own[[*keys, "count"]]), clustered)
    return tensors


def _ranks(probabilities: npt.NDArray[np.float64] | None, truth: Ints) -> Ints:
    """Rank of the true class, from 1, at most `BEYOND`; ties go to the earlier class; 0 where not known."""
    out = np.zeros(len(truth), dtype=np.int64)
    if probabilities is None:
        return out
    for start in range(0, len(truth), AT_ONCE):
        part, true = probabilities[start : start + AT_ONCE], truth[start : start + AT_ONCE, None]
        own = np.take_along_axis(part, true, axis=1)
        ahead = (part > own) | ((part == own) & (np.arange(part.shape[1]) < true))
        known = np.isfinite(part).all(axis=1)
        out[start : start + AT_ONCE] = np.where(known, np.minimum(ahead.sum(axis=1) + 1, BEYOND), 0)
    return out


def _condense(rows: pd.DataFrame) -> pd.DataFrame:
    """Add up equal cells, in an order that does not depend on that of the rows."""
    keys = [str(column) for column in rows.columns if column != "count"]
    sums: pd.DataFrame = rows.groupby(keys, sort=True, as_index=False).agg({"count": "sum"})
    return sums


def _sums(place: Ints, count: Ints, size: int) -> Ints:
    """Add counts up by place. Sums stay exact: they are far below 2**53."""
    return np.bincount(place, weights=count, minlength=size).astype(np.int64)


def _column(matrix: sparse.csc_array, index: int) -> Ints:
    out = np.zeros(matrix.shape[0], dtype=np.int64)
    entries = slice(matrix.indptr[index], matrix.indptr[index + 1])
    out[matrix.indices[entries]] = matrix.data[entries]
    return out
