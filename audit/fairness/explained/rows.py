"""Rows of table `quality_gaps` from a long table of measures: plain and matched, tested and corrected.

Which measures are compared is decided in `explained` and `interventions`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from audit.fairness.explained.gaps import LEAST, MeanGaps, mean_gaps
from audit.fairness.explained.strata import MATCHINGS, confidence_strata
from audit.fairness.explained.values import Design, Grid, bounds_of, frame_of, grids
from audit.fairness.intervals import Floats
from audit.fairness.permutation import Permutations
from audit.fairness.rows import OVERALL, slice_columns
from audit.run.schema import columns

__all__ = ["gap_rows", "holm"]

GAP_COLUMNS = tuple(columns("quality_gaps"))


@dataclass(frozen=True)
class _Asked:
    """What is asked of every model alike."""

    slices: Mapping[str, tuple[str, ...]]
    images: pd.DataFrame
    predictions: pd.DataFrame
    permutations: Permutations
    limits: tuple[float, int]


def gap_rows(
    rows: pd.DataFrame,
    images: pd.DataFrame,
    predictions: pd.DataFrame,
    attributes: Sequence[str],
    intersections: Sequence[Sequence[str]] = (),
    *,
    permutations: Permutations,
    limits: tuple[float, int] = (0.05, LEAST),
) -> pd.DataFrame:
    """Rows of table `quality_gaps` for a long table of measures.

    Parameters
    ----------
    rows : DataFrame
        ``model, image_id, method, measure, value, status``.
    images, predictions : DataFrame
        The run's tables.
    attributes, intersections
        As in `group_table`.
    permutations : Permutations
        Draws and seed.
    limits : (float, int)
        Alpha of the intervals, and the clusters that a group needs.
    """
    slices = slice_columns(attributes, intersections)
    asked = _Asked(slices, images, predictions, permutations, limits)
    found: list[tuple[object, ...]] = []
    for (model,), grid in grids(rows, images, ["model"], ["method", "measure"]):
        found += _of_model(model, grid, asked)
    table = frame_of(found, GAP_COLUMNS)
    for _, part in table[table["p"].notna()].groupby(["model", "method", "matching"], sort=False):
        table.loc[part.index, "p_adjusted"] = holm(part["p"].to_numpy(np.float64))
    return table


def holm(p: Floats) -> Floats:
    """P-values corrected for their number (Holm 1979)."""
    order = np.argsort(p, kind="stable")
    steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    out = np.empty(len(p))
    out[order] = np.minimum(steps, 1.0)
    return out


def _of_model(model: str, grid: Grid, asked: _Asked) -> list[tuple[object, ...]]:
    strata = confidence_strata(asked.images, asked.predictions, grid.place, model)
    found: dict[tuple[int, int, int], tuple[object, ...]] = {}
    for where, attribute in enumerate(asked.slices):
        if attribute == OVERALL:
            continue
        plain = Design.along(asked.images, grid.place, asked.slices[attribute])
        for number, matching in enumerate(MATCHINGS):
            design = replace(plain, stratum=strata[matching])
            for chosen, known in grid.patterns():
                measures = [grid.columns[column][1] for column in chosen]
                gaps = mean_gaps(grid.data[known][:, chosen], design.only(known), bounds_of(measures), asked.limits[1])
                if matching != "none" and gaps.status != "ok" and not (strata[matching] >= 0).any():
                    gaps = replace(gaps, status="not_measured")
                cells = _cells(gaps, matching, asked, (model, attribute, matching))
                for column, cell in zip(chosen.tolist(), cells, strict=True):
                    key = (model, *grid.columns[column], attribute, matching)
                    found[column, where, number] = (*key, *cell)
    return [found[key] for key in sorted(found)]


def _cells(gaps: MeanGaps, matching: str, asked: _Asked, stream: tuple[str, ...]) -> Iterator[tuple[object, ...]]:
    """``group`` and what follows, for every measure."""
    nan = float("nan")
    n, clusters = len(gaps.design.group), len(np.unique(gaps.design.cluster))
    if gaps.status != "ok":
        yield from [(None, None, n, clusters, nan, nan, nan, nan, nan, gaps.status)] * gaps.data.shape[1]
        return
    outcome = matching == "correctness"
    p = np.full(gaps.data.shape[1], nan) if outcome else gaps.p_values(asked.permutations, stream)
    low, high = gaps.pairs.range_bounds(asked.limits[0])
    status = "conditions_on_outcome" if outcome else "ok"
    names = gaps.design.groups
    for group, reference, value, least, most, chance in zip(*gaps.ends(), low, high, p, strict=True):
        numbers = (float(value), float(least), float(most), float(chance), nan)
        yield names[group], names[reference], n, clusters, *numbers, status
