"""Metrics that are weighted means over classes: value, influence of one image, and effective size, by group.

What intervals are made of them is decided in `smooth`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from audit.fairness.counts import GroupCells
from audit.fairness.intervals import Floats
from audit.fairness.rates import NEGLIGIBLE, REST
from audit.fairness.rows import Ints

__all__ = ["Influence", "influence_of", "touching", "two_arms"]


@dataclass(frozen=True)
class Influence:
    """A weighted mean over classes, and how each cell of the counts moves it.

    Parameters
    ----------
    value : ndarray, shape (G,)
        The metric by group; NaN where a class with weight has no denominator.
    size : ndarray, shape (G,)
        Effective number of images, ``1 / sum_k(w_k**2 / n_k)``; a class whose share does not vary between
        clusters counts its clusters in place of its images. NaN where the value is.
    entry : ndarray, shape (E,)
        Influence of one image of each cell on its group's value.
    touched : ndarray of bool, shape (E,)
        Whether images of the cell count for the metric.
    """

    value: Floats
    size: Floats
    entry: Floats
    touched: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class _Parts:
    """Per group and class, the share (numerator over denominator) and the images it rests on."""

    share: Floats
    denominator: Floats
    images: Floats
    kind: str


def influence_of(cells: GroupCells, name: str, mix: Floats) -> Influence:
    """Take a mean over classes, weighted by `mix`, of recall, precision or F1.

    Parameters
    ----------
    cells : GroupCells
        Counts along an attribute.
    name : str
        ``macro_precision`` for precision, ``f1`` or ``macro_f1`` for F1, else recall.
    mix : ndarray, shape (K,)
        Weight of each class, together 1.
    """
    parts = _parts(cells, name)
    weighed = mix > 0
    inner = parts.share[:, weighed]
    # Rounding must not carry a mean past the values that it is made of.
    bounds = inner.min(axis=1, initial=np.inf), inner.max(axis=1, initial=-np.inf)
    value = np.clip(inner @ mix[weighed], *bounds) if weighed.any() else np.full(len(inner), np.nan)
    group = cells.unit_group[cells.unit]
    scale = np.where(parts.denominator > 0, mix / np.maximum(parts.denominator, 1), 0.0)
    touched, entry = np.zeros(len(group), dtype=bool), np.zeros(len(group))
    for column, moved in _moves(cells, parts, group):
        touched |= weighed[column]
        entry += scale[group, column] * moved
    images = _certain(cells, parts, group, weighed)
    with np.errstate(divide="ignore"):
        size = 1 / (mix[weighed] ** 2 / np.maximum(images[:, weighed], 0)).sum(axis=1)
    return Influence(value, np.where(np.isnan(value), np.nan, size), entry, touched)


def _parts(cells: GroupCells, name: str) -> _Parts:
    hits, truths, called = (table.astype(np.float64) for table in cells.by_class)
    if name == "macro_precision":
        kind, numerator, denominator, images = "called", hits, called, called
    elif name in ("f1", "macro_f1"):
        kind, numerator, denominator, images = "both", 2 * hits, truths + called, truths + called - hits
    else:
        kind, numerator, denominator, images = "truth", hits, truths, truths
    with np.errstate(invalid="ignore"):
        return _Parts(numerator / denominator, denominator, images, kind)


def _moves(cells: GroupCells, parts: _Parts, group: Ints) -> list[tuple[Ints, Floats]]:
    """For each cell, the classes whose share it moves, and by how much times the denominator."""
    share = np.nan_to_num(parts.share)
    hit = (cells.truth == cells.predicted).astype(np.float64)
    if parts.kind == "both":
        own, other = share[group, cells.truth], share[group, cells.predicted]
        return [(cells.truth, 2 * hit - own), (cells.predicted, -other)]
    column = cells.truth if parts.kind == "truth" else cells.predicted
    return [(column, hit - share[group, column])]


def _certain(cells: GroupCells, parts: _Parts, group: Ints, weighed: npt.NDArray[np.bool_]) -> Floats:
    """Images of each class and group; clusters where its share does not vary between them."""
    if not cells.clustered:
        return parts.images
    k = len(cells.classes)
    keys, moved = [], []
    for column, amount in _moves(cells, parts, group):
        counts = weighed[column]
        keys.append(cells.unit[counts] * k + column[counts])
        moved.append((amount * cells.count)[counts])
    key, place = np.unique(np.concatenate(keys), return_inverse=True)
    residual = np.bincount(place.reshape(-1), weights=np.concatenate(moved), minlength=len(key))
    cell = cells.unit_group[key // k] * k + key % k
    size = len(cells.groups) * k
    clusters = np.bincount(cell, minlength=size).reshape(-1, k)
    varies = np.bincount(cell, weights=np.abs(residual) > NEGLIGIBLE, minlength=size).reshape(-1, k) > 0
    return np.where(varies, parts.images, clusters)


def two_arms(cells: GroupCells, groups: tuple[str, ...], group: str) -> GroupCells:
    """Counts of one group, and of the others of `groups` together."""
    arm_of = np.full(len(cells.groups), -1)
    arm_of[[cells.groups.index(name) for name in groups]] = 1
    arm_of[cells.groups.index(group)] = 0
    arm = arm_of[cells.unit_group]
    clusters = int(cells.unit_cluster.max(initial=0)) + 1
    used = np.flatnonzero(arm >= 0)
    key, place = np.unique(arm[used] * clusters + cells.unit_cluster[used], return_inverse=True)
    unit_of = np.full(len(arm), -1)
    unit_of[used] = place.reshape(-1)
    unit = unit_of[cells.unit]
    kept = unit >= 0
    entries = (unit[kept], cells.truth[kept], cells.predicted[kept], cells.count[kept])
    return GroupCells((group, REST), cells.classes, cells.clustered, key // clusters, key % clusters, *entries)


def touching(cells: GroupCells, place: int) -> GroupCells:
    """Only the counts of images that are of one class or called so: F1 of one of many classes needs few."""
    rows = (cells.truth == place) | (cells.predicted == place)
    columns = ("unit", "truth", "predicted", "count")
    return replace(cells, rank=None, **{name: getattr(cells, name)[rows] for name in columns})
