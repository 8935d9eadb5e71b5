"""Counts over group cell x true class x predicted class: the one tensor behind every rate.

Rates and intervals are taken from these counts elsewhere; nothing here divides. The tensor is kept
sparse (only cells that were seen), with the cluster as a further axis where the data has clusters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
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
    usable_rows,
)

__all__ = ["CountTensor", "GroupCells", "count_predictions"]


@dataclass(frozen=True)
class GroupCells:
    """Counts of one model along one attribute, per unit of (group, cluster).

    Without clusters a unit is a group. ``unit``, ``truth``, ``predicted`` and ``count`` are the sparse
    entries (parallel arrays); the other arrays describe the units.
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

    def confusion(self) -> Ints:
        """Dense counts, shape ``(groups, true classes, predicted classes)``, int64."""
        k = len(self.classes)
        out = np.zeros((len(self.groups), k, k), dtype=np.int64)
        np.add.at(out, (self.unit_group[self.unit], self.truth, self.predicted), self.count)
        return out

    def binary(self, index: int) -> dict[str, Ints]:
        """Per unit, the 2x2 counts of one class against the rest: ``tp, fn, fp, tn``."""
        tp = _column(self._hits, index)
        positives = _column(self._truths, index)
        selected = _column(self._selected, index)
        fn, fp = positives - tp, selected - tp
        return {"tp": tp, "fn": fn, "fp": fp, "tn": self._totals - tp - fn - fp}

    def everything(self) -> dict[str, Ints]:
        """Per unit, the images counted and those classified correctly: ``all, correct``."""
        correct = np.zeros(len(self.unit_group), dtype=np.int64)
        hit = self.truth == self.predicted
        np.add.at(correct, self.unit[hit], self.count[hit])
        return {"all": self._totals, "correct": correct}

    @cached_property
    def _totals(self) -> Ints:
        totals = np.zeros(len(self.unit_group), dtype=np.int64)
        np.add.at(totals, self.unit, self.count)
        return totals

    @cached_property
    def _hits(self) -> sparse.csc_array:
        hit = self.truth == self.predicted
        return self._matrix(self.count[hit], self.unit[hit], self.truth[hit])

    @cached_property
    def _truths(self) -> sparse.csc_array:
        return self._matrix(self.count, self.unit, self.truth)

    @cached_property
    def _selected(self) -> sparse.csc_array:
        return self._matrix(self.count, self.unit, self.predicted)

    def _matrix(self, count: Ints, unit: Ints, column: Ints) -> sparse.csc_array:
        return sparse.csc_array((count, (unit, column)), shape=(len(self.unit_group), len(self.classes)))


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
        Columns ``attr_<name>``..., ``cluster``, ``truth``, ``predicted``, ``count`` (int64); one row a cell
        that was seen. ``cluster`` is empty text where `clustered` is false.
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
        groups = self.groups[name]
        group = positions(groups, group_labels(self.cells, self.slices[name]))
        cluster = pd.factorize(self.cells["cluster"])[0] if self.clustered else np.zeros(len(group), np.int64)
        if self.clustered:
            key, unit = np.unique(np.stack([group, cluster]), axis=1, return_inverse=True)
        else:
            key, unit = np.stack([np.arange(len(groups)), np.zeros(len(groups), np.int64)]), group
        column = {c: self.cells[c].to_numpy(np.int64) for c in ("truth", "predicted", "count")}
        return GroupCells(groups, self.classes, self.clustered, key[0], key[1], unit.reshape(-1), **column)


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
    slices = slice_columns(attributes, intersections)
    rows = usable_rows(images, predictions, classes, attributes)
    if clustered is None:
        clustered = has_clusters(images)
    if not clustered:
        rows["cluster"] = ""
    groups = {name: sorted_groups(set(group_labels(images, names))) for name, names in slices.items()}
    keys = [*(f"attr_{name}" for name in attributes), "cluster", "truth", "predicted"]
    rows["count"] = np.int64(1)
    tensors = {}
    for model in predictions["model"].astype(str).unique():
        cells = _condense(rows.loc[rows["model"] == model, [*keys, "count"]])
        tensors[model] = CountTensor(model, tuple(classes), slices, groups, cells, clustered)
    return tensors


def _condense(rows: pd.DataFrame) -> pd.DataFrame:
    """Add up equal cells, in an order that does not depend on that of the rows."""
    keys = [str(column) for column in rows.columns if column != "count"]
    sums: pd.DataFrame = rows.groupby(keys, sort=True, as_index=False).agg({"count": "sum"})
    return sums


def _column(matrix: sparse.csc_array, index: int) -> Ints:
    return np.asarray(matrix[:, [index]].toarray(), dtype=np.int64).reshape(-1)
