"""The table `coverage`: how many images of each group and class were planned, failed, and from how many clusters.

No model is in it; what a model got wrong is in `groups`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from audit.fairness.rows import (
    MISSING,
    cluster_names,
    group_labels,
    positions,
    require_columns,
    slice_columns,
    sorted_groups,
)
from audit.run.schema import columns

__all__ = ["COVERAGE_COLUMNS", "coverage_table"]

COVERAGE_COLUMNS = tuple(columns("coverage"))


def coverage_table(
    images: pd.DataFrame, attributes: Sequence[str], intersections: Sequence[Sequence[str]] = ()
) -> pd.DataFrame:
    """Compute table `coverage`.

    Parameters
    ----------
    images : DataFrame
        Table `images`: every planned image, those that failed too.
    attributes : sequence of str
        Attribute names, without the prefix ``attr_``.
    intersections : sequence of sequences of str
        Attributes to cross.

    Returns
    -------
    DataFrame
        Columns `COVERAGE_COLUMNS`. First `overall`, then each attribute and intersection; every group, one
        without a value as ``(missing)``; per group a row of all labels (null) and one for every label of
        the set, 0 images where the group has none of it. ``images`` are those planned, ``failed`` those of
        them whose status is not ``ok``, ``clusters`` the clusters among those planned (an image without one
        is a cluster of its own).

    Raises
    ------
    InputError
        A column or attribute is missing.
    """
    require_columns(images, "images", ("image_id", "label", "status"))
    label_of = images["label"].astype("str").fillna(MISSING)
    labels = sorted_groups(set(label_of.unique()))
    label = positions(labels, label_of)
    failed = (images["status"] != "ok").to_numpy(bool)
    cluster = cluster_names(images).factorize()[0].astype(np.int64)
    most, blocks = len(images) + 1, []
    for attribute, names in slice_columns(attributes, intersections).items():
        group_of = group_labels(images, names)
        groups = sorted_groups(set(group_of.unique()))
        group = positions(groups, group_of)
        size = len(groups) * (len(labels) + 1)
        counts = np.zeros((3, size), dtype=np.int64)
        # Column 0 stands for all labels together.
        for column in (np.zeros_like(label), label + 1):
            cell = group * (len(labels) + 1) + column
            pairs = np.unique(cell * most + cluster) // most
            for out, cells in zip(counts, (cell, cell[failed], pairs), strict=True):
                out += np.bincount(cells, minlength=size)
        block = {"attribute": attribute, "group": np.repeat(groups, len(labels) + 1)}
        block |= {"label": np.array([None, *labels] * len(groups), dtype=object)}
        block |= dict(zip(("images", "failed", "clusters"), counts, strict=True))
        blocks.append(pd.DataFrame(block))
    table = pd.concat(blocks, ignore_index=True)[list(COVERAGE_COLUMNS)]
    return table.astype(dict.fromkeys(("attribute", "group", "label"), "str"))
