"""From rows of the run's tables to the data of a forest plot. Draws nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pandas as pd

from dashboard.data import records
from reports.figures import ForestFigure, ForestRow
from reports.format import known, metric_words, plain

__all__ = ["EVERYBODY", "group_forest", "in_order", "mean_forest", "region_forest", "same_class"]

EVERYBODY = "everybody"
"""How the row over all groups is called."""

_MISSING = "(missing)"
_UNBOUNDED = frozenset({"log_loss"})


def same_class(frame: pd.DataFrame, name: str | None) -> pd.Series:
    """Which rows are about a class; None picks the rows that are about no class."""
    return frame["class"].isna() if name is None else frame["class"] == name


def in_order(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows by group name, numbers in names counted as numbers, images without a group last."""
    names = [str(name) for name in rows["group"]]
    keys = {name: _natural(name) for name in set(names)}
    return rows.iloc[sorted(range(len(names)), key=lambda place: keys[names[place]])]


def _natural(name: str) -> tuple[bool, list[tuple[int, str]]]:
    pieces = re.split(r"(\d+)", name)
    return _MISSING in name, [(int(piece), "") if piece.isdigit() else (0, piece) for piece in pieces]


def group_forest(
    rows: pd.DataFrame, overall: pd.DataFrame, worst: str | None, title: str, *, reference: float | None = None
) -> ForestFigure:
    """Forest plot of one metric by group, with everybody last.

    Parameters
    ----------
    rows : DataFrame
        Rows of `groups` for one model, attribute, metric and class.
    overall : DataFrame
        The same over everybody; no rows where that was not measured.
    worst : str or None
        Group that the gap names as the worst.
    title : str
        Of the figure.
    reference : float, optional
        Where the line stands; at the value of everybody by default.
    """
    first = rows.iloc[0]
    shown = [_row(row, "worst" if row["group"] == worst else "none") for row in records(rows)]
    whole = [_row({**row, "group": EVERYBODY}, "whole") for row in records(overall)]
    line = whole[0].value if whole and reference is None else reference
    return ForestFigure(
        title=title,
        axis=metric_words(str(first["metric"]), first["class"]),
        rows=(*shown, *whole),
        reference=line,
        reference_label=EVERYBODY if reference is None else "reference",
        bounds=_bounds([*shown, *whole], str(first["metric"])),
    )


def region_forest(rows: pd.DataFrame, region: str, title: str) -> ForestFigure:
    """Forest plot of the mean share of attribution in a region, with the region's area as a mark on each row.

    Parameters
    ----------
    rows : DataFrame
        Rows of `region_groups` for one model, method, region and attribute.
    region, title : str
        Names.
    """
    shown = tuple(_row(row, "none", mark="area") for row in records(rows))
    return ForestFigure(
        title=title,
        axis=f"mean share of absolute attribution in {plain(region)}",
        rows=shown,
        mark_label="share of the image's area",
        bounds=(0.0, 1.0),
    )


def mean_forest(rows: pd.DataFrame, title: str, axis: str, *, mark: str = "", zero: bool = False) -> ForestFigure:
    """Forest plot of means by group, the row over everybody (group ``EVERYBODY``) last where there is one.

    Parameters
    ----------
    rows : DataFrame
        ``group, n, clusters, value, low, high, status``.
    title, axis : str
        Of the figure, and of its horizontal axis.
    mark : str
        Column to mark on each row; none where empty.
    zero : bool
        Whether the line stands at 0, for differences; else at the value of everybody.
    """
    shown = [
        _row(row, "whole" if row["group"] == EVERYBODY else "none", mark if mark and known(row[mark]) else None)
        for row in records(rows)
    ]
    whole = next((row.value for row in shown if row.emphasis == "whole"), None)
    return ForestFigure(
        title=title,
        axis=axis,
        rows=tuple(shown),
        reference=0.0 if zero else whole,
        reference_label="no difference" if zero else EVERYBODY,
        mark_label=plain(mark),
        bounds=_around(shown, zero=zero),
    )


def _around(rows: Sequence[ForestRow], *, zero: bool) -> tuple[float, float]:
    """Ends of an axis that holds every value and interval, and 0 where the line stands there."""
    ends = [end for row in rows for end in (row.low, row.high, row.value, row.mark) if end is not None]
    ends += [0.0] if zero or not ends else []
    low, high = min(ends), max(ends)
    room = max((high - low) * 0.06, 1e-3)
    return low - room, high + room


def _row(row: dict[str, Any], emphasis: Any, mark: str | None = None) -> ForestRow:
    return ForestRow(
        label=str(row["group"]),
        n=_number(row["n"], int),
        clusters=_number(row["clusters"], int),
        value=_number(row["value"], float),
        low=_number(row["low"], float),
        high=_number(row["high"], float),
        status=str(row["status"]),
        emphasis=emphasis,
        mark=_number(row[mark], float) if mark else None,
    )


def _number(value: Any, kind: Any) -> Any:
    return kind(value) if known(value) else None


def _bounds(rows: Sequence[ForestRow], metric: str) -> tuple[float, float]:
    if metric not in _UNBOUNDED:
        return (0.0, 1.0)
    ends = [end for row in rows for end in (row.value, row.high) if end is not None]
    return (0.0, max([*ends, 0.1]) * 1.05)
