"""The cells of the public tables and the numbers of images behind them, along attributes that are crossed.

Nothing is suppressed here: `suppression` chooses, `integer_search` proves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from audit.fairness.metrics import METRICS
from audit.fairness.rows import group_labels, positions

__all__ = ["Block", "Cell", "blocks_of", "cell_sizes"]

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Cell:
    """A group, or a class within a group: what is published of it, or not, for all models together.

    Attributes
    ----------
    attribute : str
        Attribute or intersection, ``overall`` for everybody.
    group : str
    label : str or None
        A class: its images, and those that a model calls so. None for the whole group: images, those that failed,
        those that count for each model, and those of them that it gets right.
    """

    attribute: str
    group: str
    label: str | None = None


def cell_sizes(groups: pd.DataFrame, coverage: pd.DataFrame, classes: Sequence[str]) -> dict[Cell, int]:
    """Smallest number of images, or of clusters, that any published row of a cell counts.

    Parameters
    ----------
    groups, coverage : DataFrame
        Tables of the run. Of `groups`, accuracy speaks for the whole group, the rates of a class for the class:
        its images, all others, and those called so, whichever are fewest in any model.
    classes : sequence of str
    """
    rates = [name for name, metric in METRICS.items() if metric.is_rate and metric.per_class]
    counted = groups[groups["metric"].isin(["accuracy", *rates])]
    labelled = coverage[coverage["label"].isna() | coverage["label"].isin(list(classes))]
    sizes: dict[Cell, int] = {}
    for frame, label, n in ((counted, "class", "n"), (labelled, "label", "images")):
        columns = (frame["attribute"], frame["group"], frame[label], frame[n], frame["clusters"])
        for attribute, group, name, images, clusters in zip(*columns, strict=True):
            cell = Cell(str(attribute), str(group), None if pd.isna(name) else str(name))
            sizes[cell] = min(int(images), int(clusters), sizes.get(cell, int(images)))
    return sizes


def blocks_of(
    attributes: Sequence[str], intersections: Sequence[Sequence[str]]
) -> list[tuple[tuple[str, ...], list[tuple[str, ...]]]]:
    """Attributes that are crossed with each other, directly or through a third, and their intersections."""
    sets = [{name} for name in attributes]
    for crossing in intersections:
        touched = [found for found in sets if found & set(crossing)]
        sets = [found for found in sets if found not in touched] + [set().union(*touched)]
    out = []
    for found in sorted(sets, key=lambda names: min(attributes.index(name) for name in names)):
        names = tuple(name for name in attributes if name in found)
        out.append((names, [tuple(crossing) for crossing in intersections if set(crossing) <= found]))
    return out


@dataclass(frozen=True)
class Block:
    """Images by kind and by group: everything that the published counts along some attributes are sums of.

    Attributes
    ----------
    slices : mapping of str to tuple of str
        Attributes and intersections, with the attributes that each is made of.
    counts : ndarray of int, shape (kinds, leaves)
        Images of each kind in each combination of groups that occurs.
    kinds : ndarray of int, shape (kinds, 2 + models)
        Label (position in `classes`, -1 for none of them), whether the image was read, and what each model says
        (a class, -1 for nothing). Without classes: 0, and whether the model is right (1) or wrong (0).
    leaves : DataFrame
        Column ``attr_NAME`` of every attribute.
    classes : tuple of str
    labels : tuple of str
        Those of the classes that have cells of their own.
    by_class : bool
        Whether kinds of image tell classes apart, or only right from wrong.
    """

    slices: Mapping[str, tuple[str, ...]]
    counts: Ints
    kinds: Ints
    leaves: pd.DataFrame
    classes: tuple[str, ...]
    labels: tuple[str, ...]
    by_class: bool

    @classmethod
    def of(
        cls,
        images: pd.DataFrame,
        predictions: pd.DataFrame,
        slices: Mapping[str, tuple[str, ...]],
        classes: Sequence[str],
        labels: Sequence[str] | None,
    ) -> Block:
        """Count the images of a run.

        Parameters
        ----------
        images, predictions : DataFrame
            Tables of the run.
        slices : mapping of str to tuple of str
        classes : sequence of str
        labels : sequence of str or None
            Classes with cells of their own; None where classes are not told apart at all.
        """
        by_class = labels is not None
        kinds, kind = np.unique(_kinds(images, predictions, classes, by_class=by_class), axis=0, return_inverse=True)
        attributes = list(dict.fromkeys(name for parts in slices.values() for name in parts))
        columns = [group_labels(images, (name,)) for name in attributes]
        frame = pd.DataFrame({f"attr_{name}": column for name, column in zip(attributes, columns, strict=True)})
        leaves = frame.drop_duplicates().sort_values(frame.columns.tolist()).reset_index(drop=True)
        leaf = pd.MultiIndex.from_frame(leaves).get_indexer(pd.MultiIndex.from_frame(frame))
        flat = np.bincount(kind.reshape(-1) * len(leaves) + leaf, minlength=len(kinds) * len(leaves))
        counts = flat.reshape(len(kinds), len(leaves)).astype(np.int64)
        return cls(dict(slices), counts, kinds, leaves, tuple(classes), tuple(labels or ()), by_class)

    @cached_property
    def places(self) -> dict[tuple[str, str], Bools]:
        """Leaves that a group of a slice is made of, by slice and group."""
        found: dict[tuple[str, str], Bools] = {}
        for name, parts in self.slices.items():
            group = group_labels(self.leaves, tuple(parts)).to_numpy(object)
            found |= {(name, str(one)): group == one for one in dict.fromkeys(group)}
        return found

    @cached_property
    def cells(self) -> list[Cell]:
        """Every cell, whole groups before their classes."""
        return [Cell(name, group, label) for name, group in self.places for label in (None, *self.labels)]

    @cached_property
    def _group(self) -> dict[tuple[str, int], str]:
        """Group of each leaf, by slice."""
        return {(name, int(leaf)): group for (name, group), place in self.places.items() for leaf in place.nonzero()[0]}

    def parent(self, cell: Cell, slice_name: str) -> Cell:
        """The cell of a coarser slice that a cell is a part of."""
        first = int(self.places[cell.attribute, cell.group].argmax())
        return Cell(slice_name, self._group[slice_name, first], cell.label)

    def counted(self, label: str | None) -> Iterator[Bools]:
        """Kinds of image in each number that is published of a cell with this label."""
        truth, read, said = self.kinds[:, 0], self.kinds[:, 1] == 1, self.kinds[:, 2:].T
        if label is None:
            yield np.ones(len(truth), dtype=bool)
            yield ~read
            for model in said:
                yield model >= 0
                yield (model == truth) & (model >= 0) if self.by_class else model == 1
            return
        own = self.classes.index(label)
        yield truth == own
        yield (truth == own) & ~read
        for model in said:
            yield (truth == own) & (model >= 0)
            yield model == own
            yield (truth == own) & (model == own)

    def guarded(self, label: str | None) -> Iterator[tuple[Bools, bool]]:
        """Of those, the denominators, which must not be found out; and whether they count people's own labels.

        What a model calls a class is no trait of anybody, so that its number need only stay open.
        """
        published = list(self.counted(label))
        if label is None:
            yield from ((kinds, True) for kinds in (published[0], *published[2::2]))
            return
        yield from ((kinds, True) for kinds in (published[0], *published[2::3]))
        yield from ((kinds, False) for kinds in published[3::3])


def _kinds(images: pd.DataFrame, predictions: pd.DataFrame, classes: Sequence[str], *, by_class: bool) -> Ints:
    read = (images["status"] == "ok").to_numpy(bool)
    truth = positions(classes, images["label"].astype(object))
    columns = [truth if by_class else np.zeros(len(images), dtype=np.int64), read.astype(np.int64)]
    ids = pd.Index(images["image_id"])
    for model in predictions["model"].astype(str).unique():
        own = predictions[(predictions["model"] == model) & (predictions["status"] == "ok")]
        said = np.full(len(images), -1, dtype=np.int64)
        said[ids.get_indexer(pd.Index(own["image_id"]))] = positions(classes, own["predicted"].astype(object))
        said[~read] = -1
        columns.append(said if by_class else np.where(said < 0, -1, (said == truth).astype(np.int64)))
    return np.stack(columns, axis=1)
