"""The tables `quality_groups` and `quality_gaps`: measures of explanations and region shares, by group.

Comparing and testing is done in `gaps` and `rows`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from audit.fairness.explained.means import asked_counts, group_means
from audit.fairness.explained.rows import gap_rows
from audit.fairness.explained.values import Design, Grid, bounds_of, frame_of, grids, measure_rows
from audit.fairness.permutation import Permutations
from audit.fairness.rows import slice_columns
from audit.run.schema import columns

__all__ = ["QUALITY_GAP_COLUMNS", "QUALITY_GROUP_COLUMNS", "quality_gap_table", "quality_group_table"]

QUALITY_GROUP_COLUMNS = tuple(columns("quality_groups"))
QUALITY_GAP_COLUMNS = tuple(columns("quality_gaps"))


def quality_group_table(
    quality: pd.DataFrame,
    region_mass: pd.DataFrame,
    images: pd.DataFrame,
    attributes: Sequence[str],
    intersections: Sequence[Sequence[str]] = (),
    alpha: float = 0.05,
) -> pd.DataFrame:
    """Compute table `quality_groups`: mean of every measure of explanations in every group.

    Parameters
    ----------
    quality : DataFrame
        Table `quality`: ``model, image_id, method, measure, value, status``.
    region_mass : DataFrame
        Table `region_mass`; its shares become the measures ``share:REGION``.
    images : DataFrame
        Table `images`.
    attributes, intersections
        As in `group_table`.
    alpha : float
        One minus the confidence level of each interval, which stands for itself alone.

    Returns
    -------
    DataFrame
        Columns `QUALITY_GROUP_COLUMNS`. ``value`` is the mean of cluster means (of images where there are no
        clusters) with a t interval over clusters, cut where a measure has known bounds (and where all its values are
        the same, as wide as one more value at either bound makes it); ``n`` counts images with a value. Status
        ``undefined`` where none of the group has one, ``too_few_clusters`` where one cluster has, ``not_measured``
        where the measure was not asked of any image of the group.

    Raises
    ------
    InputError
        A column is missing, an image is unknown, or has two values of one measure.

    Notes
    -----
    A mean of a measure of quality says how good the maps are as evidence on this group's images. It does not say
    whether the model serves the group well.
    """
    slices = slice_columns(attributes, intersections)
    rows: list[tuple[object, ...]] = []
    for (model,), grid in grids(measure_rows(quality, region_mass), images, ["model"], ["method", "measure"]):
        designs = {name: Design.along(images, grid.place, parts) for name, parts in slices.items()}
        found = {name: list(group_cells(grid, design, alpha)) for name, design in designs.items()}
        for column, key in enumerate(grid.columns):
            rows += [(model, *key, name, *cell) for name, cells in found.items() for cell in cells[column]]
    return frame_of(rows, QUALITY_GROUP_COLUMNS)


def group_cells(grid: Grid, design: Design, alpha: float) -> Iterator[list[tuple[object, ...]]]:
    """``group, n, clusters, value, low, high, status`` of every group, for each column of a grid."""
    means = group_means(grid.data, design, bounds_of([key[-1] for key in grid.columns]))
    low, high = means.intervals(alpha)
    status = means.status(asked_counts(grid.asked, design))
    for column in range(len(grid.columns)):
        numbers = (part[:, column].tolist() for part in (means.n, means.clusters, means.value, low, high, status))
        yield list(zip(design.groups, *numbers, strict=True))


def quality_gap_table(
    quality: pd.DataFrame,
    region_mass: pd.DataFrame,
    images: pd.DataFrame,
    predictions: pd.DataFrame,
    attributes: Sequence[str],
    intersections: Sequence[Sequence[str]] = (),
    *,
    alpha: float = 0.05,
    min_n: int = 5,
    draws: int = 1999,
    seed: int = 0,
) -> pd.DataFrame:
    """Compute table `quality_gaps`: how far the groups' means are apart, plain and between matched images.

    Parameters
    ----------
    quality, region_mass, images, attributes, intersections
        As in `quality_group_table`.
    predictions : DataFrame
        Table `predictions`, for the matching.
    alpha : float
        One minus the confidence level of each interval, over all groups together.
    min_n : int
        Groups with fewer clusters (images where there are none) take no part; at least 2 are needed.
    draws, seed : int
        Of the permutation tests.

    Returns
    -------
    DataFrame
        Columns `QUALITY_GAP_COLUMNS`, a row a model, method, measure, attribute and ``matching``:

        ``none``
            Means of all explained images.
        ``label_confidence``
            Images are compared within the same label and the same fifth of the model's confidence (quintiles over
            all explained images); see `strata.confidence_strata`. Bins this wide leave about a tenth of what
            confidence explains.
        ``correctness``
            Images are compared among those the model got right, and among those it got wrong. That conditions on
            an outcome, so it is a breakdown: no p-value, status ``conditions_on_outcome``.

        ``group`` is the higher and ``reference`` the lower of the two groups that are furthest apart, ``value`` their
        difference, ``low`` and ``high`` an interval of the largest difference: pairwise Welch intervals over cluster
        means, joined at Bonferroni's level (`pairs`). ``p`` is that of a permutation test of no difference
        between any groups, clusters respected, within the strata where images are matched (`permuted`);
        ``p_adjusted`` is Holm's over the measures and attributes of the same model, method and matching. ``n`` and
        ``clusters`` count what is compared. Status ``undefined`` where fewer than two groups have a value (or no
        stratum brings two together), ``too_few_clusters`` where fewer than two have `min_n` clusters, and for a
        matching ``not_measured`` where no confidence or prediction is stored.

    Raises
    ------
    InputError
        As in `quality_group_table`; an image is predicted twice.

    Notes
    -----
    A gap in a measure of quality says that maps are better evidence on some groups' images than on others'; a gap
    in a region share that attribution falls on the region more. Neither shows that a decision rests on it.
    """
    return gap_rows(
        measure_rows(quality, region_mass),
        images,
        predictions,
        attributes,
        intersections,
        permutations=Permutations(draws, seed),
        limits=(alpha, min_n),
    )
