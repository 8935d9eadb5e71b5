"""The table `agreement_groups`: how alike two models' maps of the same images are, by group and by whether they agree.

The maps are compared elsewhere, image by image; here they are averaged.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from audit.fairness.explained.tables import group_cells
from audit.fairness.explained.values import Design, frame_of, grids
from audit.fairness.rows import require_columns, slice_columns
from audit.run.schema import columns

__all__ = ["AGREEMENT_COLUMNS", "WHEN", "agreement_group_table"]

AGREEMENT_COLUMNS = tuple(columns("agreement_groups"))
MEASURES = ("spearman", "overlap", "distance")
WHEN = ("all", "same", "different")
"""All images; those on which the two models predict the same, or differ."""


def agreement_group_table(
    agreement: pd.DataFrame,
    images: pd.DataFrame,
    attributes: Sequence[str],
    intersections: Sequence[Sequence[str]] = (),
    alpha: float = 0.05,
) -> pd.DataFrame:
    """Compute table `agreement_groups`.

    Parameters
    ----------
    agreement : DataFrame
        Table `agreement`: ``first, second, method, image_id, same_prediction, spearman, overlap, distance, status``.
    images : DataFrame
        Table `images`.
    attributes, intersections
        As in `group_table`.
    alpha : float
        One minus the confidence level of each interval, which stands for itself alone.

    Returns
    -------
    DataFrame
        Columns `AGREEMENT_COLUMNS`. ``value`` is the mean of cluster means (of images where there are no clusters)
        with a t interval over clusters. ``when`` is ``all``, ``same`` or ``different``: all images, or those on which
        the predictions of the two models are the same, or differ (an image where that is not known is in ``all``
        only). Status ``undefined`` where no image of the group has a value, ``too_few_clusters`` where one cluster
        has, ``not_measured`` where no image of the group (and of this ``when``) was compared.

    Raises
    ------
    InputError
        A column is missing, an image is unknown, or is compared twice.

    Notes
    -----
    Whether two models predict the same is an outcome: ``same`` and ``different`` may hold other kinds of images in
    different groups. Low agreement does not say which of the two looks at the better place.
    """
    keys = ["first", "second", "method", "image_id"]
    require_columns(agreement, "agreement", (*keys, "same_prediction", *MEASURES, "status"))
    slices = slice_columns(attributes, intersections)
    rows: list[tuple[object, ...]] = []
    for pair, grid in grids(_long(agreement), images, ["first", "second"], ["method", "when", "measure"]):
        found = {
            name: list(group_cells(grid, Design.along(images, grid.place, parts), alpha))
            for name, parts in slices.items()
        }
        for column, (method, when, measure) in enumerate(grid.columns):
            key = (*pair, method, measure, when)
            rows += [(*key, name, *cell) for name, cells in found.items() for cell in cells[column]]
    return frame_of(rows, AGREEMENT_COLUMNS)


def _long(agreement: pd.DataFrame) -> pd.DataFrame:
    """One row a measure and ``when``."""
    same = agreement["same_prediction"].astype("boolean").to_numpy(np.float64, na_value=np.nan)
    chosen = {"all": np.ones(len(same), dtype=bool), "same": same == 1, "different": same == 0}
    parts = [
        agreement.loc[rows, ["first", "second", "method", "image_id", "status"]]
        .assign(measure=measure, when=when, value=agreement.loc[rows, measure])
        .astype(object)
        for measure in MEASURES
        for when, rows in chosen.items()
        if rows.any()
    ]
    names = ["first", "second", "method", "image_id", "status", "measure", "when", "value"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=names)
