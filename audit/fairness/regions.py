"""Where attribution falls, by group: the table `region_groups`, and the excess over a region's area."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from audit.errors import InputError
from audit.fairness.intervals import Mean, mean_interval
from audit.fairness.permutation import Permutations, mean_gap_p
from audit.fairness.rows import cluster_names, group_labels, slice_columns, sorted_groups
from audit.run.schema import columns

__all__ = [
    "REGION_COLUMNS",
    "region_excess",
    "region_gap_p",
    "region_group_table",
    "region_means",
    "region_rows",
]

REGION_COLUMNS = tuple(columns("region_groups"))


def region_group_table(
    region_mass: pd.DataFrame,
    images: pd.DataFrame,
    attributes: Sequence[str],
    intersections: Sequence[Sequence[str]] = (),
    alpha: float = 0.05,
) -> pd.DataFrame:
    """Compute table `region_groups`: mean share of absolute attribution on each region, by group.

    Parameters
    ----------
    region_mass : DataFrame
        Table `region_mass`: ``model, image_id, method, region, share, area, status``.
    images : DataFrame
        Table `images`.
    attributes, intersections
        As in `group_table`.
    alpha : float
        One minus the confidence level of each interval.

    Returns
    -------
    DataFrame
        Columns `REGION_COLUMNS`. ``value`` and ``area`` are means of cluster means (of images where there
        are no clusters), ``n`` the explained images that have the region. Images without it (area 0) have
        no share and are not averaged: status ``undefined`` where none has it, ``not_measured`` where no
        image of the group was explained.
    """
    slices = slice_columns(attributes, intersections)
    rows = region_rows(region_mass, images)
    labels = {name: group_labels(images, parts) for name, parts in slices.items()}
    place = pd.Index(images["image_id"]).get_indexer(pd.Index(rows["image_id"]))
    for name, label in labels.items():
        rows[f"slice {name}"] = label.to_numpy()[place]
    blank = rows.iloc[:0]
    out = []
    for key, part in rows.groupby(["model", "method", "region"], sort=False):
        for name, label in labels.items():
            members = dict(iter(part.groupby(f"slice {name}", sort=False)))
            out += [
                (*key, name, group, *_summary(members.get(group, blank), alpha)) for group in sorted_groups(set(label))
            ]
    table = pd.DataFrame(out, columns=list(REGION_COLUMNS))
    kinds = {"n": "int64", "clusters": "int64"} | dict.fromkeys(("value", "area", "low", "high"), "float64")
    return table.astype({name: kinds.get(name, "str") for name in REGION_COLUMNS})


def region_rows(region_mass: pd.DataFrame, images: pd.DataFrame) -> pd.DataFrame:
    """Usable rows of `region_mass` (status ``ok``, of images with status ``ok``) with their cluster.

    Raises
    ------
    InputError
        A row names an image that the images table does not have.
    """
    place = pd.Index(images["image_id"]).get_indexer(pd.Index(region_mass["image_id"]))
    if (place < 0).any():
        unknown = region_mass["image_id"].to_numpy()[place < 0][0]
        raise InputError(f"a region share names image_id '{unknown}', which the images table does not have")
    fine = (region_mass["status"] == "ok").to_numpy(bool) & (images["status"] == "ok").to_numpy(bool)[place]
    rows: pd.DataFrame = region_mass.loc[fine].copy()
    rows["cluster"] = cluster_names(images)[place[fine]]
    return rows.reset_index(drop=True)


def region_excess(rows: pd.DataFrame, alpha: float = 0.05) -> Mean:
    """Mean over images of share over area: how much more attribution a region draws than its size would.

    Parameters
    ----------
    rows : DataFrame
        Rows of `region_rows` of one model, method and region. Images without the region do not enter.
    alpha : float
        One minus the confidence level.

    Returns
    -------
    Mean
        1 is what an even map gives. It does not show that the model's decision rests on the region.
    """
    present = _present(rows)
    ratio = (present["share"] / present["area"]).to_numpy(np.float64)
    return mean_interval(ratio, present["cluster"].to_numpy(object).astype(str), alpha, (0.0, np.inf))


def region_means(rows: pd.DataFrame, alpha: float = 0.05) -> tuple[Mean, Mean]:
    """Mean share of attribution, and mean share of the image, over images that have the region.

    Parameters
    ----------
    rows : DataFrame
        Rows of `region_rows` of one model, method and region, of one group or of all.
    alpha : float
        One minus the confidence level.
    """
    present = _present(rows)
    clusters = present["cluster"].to_numpy(object).astype(str)
    share, area = (present[name].to_numpy(np.float64) for name in ("share", "area"))
    return mean_interval(share, clusters, alpha, (0.0, 1.0)), mean_interval(area, clusters, alpha, (0.0, 1.0))


def region_gap_p(
    rows: pd.DataFrame, images: pd.DataFrame, attribute: Sequence[str], permutations: Permutations
) -> float:
    """P-value of equal mean shares in all groups of an attribute (or intersection), clusters respected.

    Parameters
    ----------
    rows : DataFrame
        Rows of `region_rows` of one model, method and region.
    images : DataFrame
        Table `images`.
    attribute : sequence of str
        The attribute, or those that are crossed.
    permutations : Permutations
        Draws and seed.
    """
    present = _present(rows)
    place = pd.Index(images["image_id"]).get_indexer(pd.Index(present["image_id"]))
    groups = group_labels(images, attribute).to_numpy()[place].astype(str)
    clusters = present["cluster"].to_numpy(object).astype(str)
    return mean_gap_p(present["share"].to_numpy(np.float64), groups, clusters, permutations)


def _present(rows: pd.DataFrame) -> pd.DataFrame:
    present: pd.DataFrame = rows.loc[(rows["area"] > 0) & rows["share"].notna()]
    return present


def _summary(rows: pd.DataFrame, alpha: float) -> tuple[object, ...]:
    """``n, clusters, value, area, low, high, method_interval, status`` of one group's rows."""
    share, area = region_means(rows, alpha)
    status = share.status if len(rows) else "not_measured"
    method = "t_cluster_means" if share.clusters < share.n else "t"
    method = method if status == "ok" else "none"
    return share.n, share.clusters, share.value, area.value, share.low, share.high, method, status
