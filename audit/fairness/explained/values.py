"""Measures of explanations as matrices: one row an image, one column a measure, NaN where it is undefined.

What is averaged, compared and tested starts from here; nothing here averages.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from audit.errors import InputError
from audit.fairness.intervals import Floats
from audit.fairness.rows import Ints, cluster_names, group_labels, positions, require_columns, sorted_groups

__all__ = ["Bools", "Design", "Grid", "bounds_of", "frame_of", "grids", "measure_rows", "share_of"]

Bools = npt.NDArray[np.bool_]

LIMITS = {
    **dict.fromkeys(("share", "pointing", "gini", "effective_area", "overlap"), (0.0, 1.0)),
    "distance": (0.0, 2.0),
    **dict.fromkeys(("effect_changed", "effect_drop", "randomisation", "noise_floor", "spearman"), (-1.0, 1.0)),
}
"""What values of a measure (its name up to a colon) cannot pass, as far as that is known here."""


@dataclass(frozen=True)
class Grid:
    """Several measures of the same images.

    Parameters
    ----------
    columns : tuple of tuples of str
        What each column is, C of them.
    place : ndarray of int64, shape (N,)
        Positions of the images in table `images`.
    data : ndarray of float64, shape (N, C)
        NaN where the measure is undefined, or its image does not count.
    asked : ndarray of bool, shape (N, C)
        Whether there is a row at all.
    """

    columns: tuple[tuple[str, ...], ...]
    place: Ints
    data: Floats
    asked: Bools

    def patterns(self) -> Iterator[tuple[Ints, Bools]]:
        """Columns that have a value on the same images, with these images."""
        known = np.isfinite(self.data)
        _, kind = np.unique(known, axis=1, return_inverse=True)
        kind = kind.reshape(-1)
        for number in range(int(kind.max(initial=-1)) + 1):
            chosen = np.flatnonzero(kind == number)
            yield chosen, known[:, chosen[0]]


@dataclass(frozen=True)
class Design:
    """Group, cluster and stratum of each image, as codes.

    Parameters
    ----------
    groups : tuple of str
        The groups, G of them.
    group, cluster, stratum : ndarray of int64, shape (N,)
        Of each image. Within a stratum images are alike in what is matched; all 0 where nothing is.
    """

    groups: tuple[str, ...]
    group: Ints
    cluster: Ints
    stratum: Ints

    @classmethod
    def along(cls, images: pd.DataFrame, place: Ints, parts: Sequence[str], stratum: Ints | None = None) -> Design:
        """Of these images, along an attribute, an intersection, or everybody."""
        labels = group_labels(images, parts)
        groups = sorted_groups(set(labels.unique()))
        code = positions(groups, labels.array[place])
        cluster = cluster_names(images)[place].factorize()[0]
        strata = np.zeros(len(place), np.int64) if stratum is None else stratum
        return cls(groups, code, cluster.astype(np.int64), strata)

    def only(self, rows: Bools | Ints) -> Design:
        """These images alone."""
        return Design(self.groups, self.group[rows], self.cluster[rows], self.stratum[rows])

    @property
    def whole(self) -> bool:
        """Whether every cluster lies in one group."""
        return len(self.units) == len(np.unique(self.cluster))

    @property
    def units(self) -> Ints:
        """Keys of the pairs of cluster and group that occur."""
        return np.unique(self.cluster * len(self.groups) + self.group)

    @property
    def clusters(self) -> Ints:
        """Clusters of each group, shape (G,)."""
        return np.bincount(self.units % len(self.groups), minlength=len(self.groups)).astype(np.int64)


def measure_rows(quality: pd.DataFrame, region_mass: pd.DataFrame) -> pd.DataFrame:
    """Table `quality` with the region shares as further measures, ``share:REGION``.

    Returns
    -------
    DataFrame
        ``model, image_id, method, measure, value, status``. An image without the region (area 0) has no share
        there: status ``undefined``.
    """
    names = ["model", "image_id", "method", "measure", "value", "status"]
    require_columns(quality, "quality", names)
    require_columns(region_mass, "region_mass", ("model", "image_id", "method", "region", "share", "area", "status"))
    area = pd.to_numeric(region_mass["area"], errors="coerce").to_numpy(np.float64)
    shares = region_mass[["model", "image_id", "method"]].assign(
        measure=[share_of(str(region)) for region in region_mass["region"]],
        value=pd.to_numeric(region_mass["share"], errors="coerce"),
        status=region_mass["status"].astype(object).where(~(area <= 0), "undefined"),
    )
    parts = [part.astype(object) for part in (quality[names], shares[names]) if len(part)]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=names)


def share_of(region: str) -> str:
    """Name of the measure "share of absolute attribution on a region"."""
    return f"share:{region}"


def grids(
    rows: pd.DataFrame, images: pd.DataFrame, by: Sequence[str], keys: Sequence[str]
) -> Iterator[tuple[tuple[str, ...], Grid]]:
    """Lay out a long table, one grid for each combination of `by`, with a column for each of `keys`.

    Parameters
    ----------
    rows : DataFrame
        ``image_id, value, status`` beside the columns named. Only rows with status ``ok`` and a finite value, of
        images with status ``ok``, have one in the grid.
    images : DataFrame
        Table `images`.
    by, keys : sequence of str

    Raises
    ------
    InputError
        A row names an image that the images table does not have, or occurs twice.
    """
    ids = pd.Index(images["image_id"])
    place = ids.get_indexer(pd.Index(rows["image_id"]))
    if (place < 0).any():
        unknown = rows["image_id"].to_numpy()[place < 0][0]
        raise InputError(
            f"a measure of an explanation names image_id '{unknown}', which the images table does not have"
        )
    value = pd.to_numeric(rows["value"], errors="coerce").to_numpy(np.float64)
    fine = (rows["status"] == "ok").to_numpy(bool) & (images["status"] == "ok").to_numpy(bool)[place]
    value = np.where(fine & np.isfinite(value), value, np.nan)
    for name, part in rows.reset_index(drop=True).groupby(list(by), sort=False):
        where = part.index.to_numpy()
        used, row = np.unique(place[where], return_inverse=True)
        wide = pd.MultiIndex.from_frame(part[list(keys)].astype(str))
        column, columns = pd.factorize(wide)
        cell = row.reshape(-1) * len(columns) + column
        if len(np.unique(cell)) < len(cell):
            twice = part[pd.Series(cell, index=part.index).duplicated()].iloc[0]
            what = " ".join(str(twice[key]) for key in keys)
            raise InputError(f"image_id '{twice['image_id']}' has two values of {what}, allowed: one")
        values, asked = np.full((len(used), len(columns)), np.nan), np.zeros((len(used), len(columns)), dtype=bool)
        values.flat[cell], asked.flat[cell] = value[where], True
        names = tuple(tuple(str(item) for item in one) for one in columns)
        yield tuple(str(item) for item in name), Grid(names, used.astype(np.int64), values, asked)


def bounds_of(measures: Sequence[str]) -> Floats:
    """Least and largest possible value of each measure, shape (2, C); NaN where it is not known here."""
    nothing = (np.nan, np.nan)
    return np.array([LIMITS.get(name.split(":")[0], nothing) for name in measures], np.float64).reshape(-1, 2).T


def frame_of(rows: Sequence[Any], names: Sequence[str]) -> pd.DataFrame:
    """Rows as a table: counts whole, the other numbers floats, the rest text."""
    kinds = dict.fromkeys(("n", "clusters", "height", "width"), "int64")
    kinds |= dict.fromkeys(("value", "low", "high", "p", "p_adjusted", "largest"), "float64")
    return pd.DataFrame(rows, columns=list(names)).astype(
        {name: "object" if name == "map" else kinds.get(name, "str") for name in names}
    )
