"""Means per image by group at the public level: attribution on regions, quality of maps, effects of interventions.

They are taken over samples, whose numbers by group are counts of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd

from audit.fairness.rows import OVERALL
from reports.bundle.cells import Cell
from reports.bundle.suppression import Pattern

__all__ = ["MEANS", "public_means"]

MEANS: dict[str, tuple[str, ...]] = {
    "region_groups": ("model", "method", "region"),
    "quality_groups": ("model", "method", "measure"),
    "intervention_groups": ("model", "region", "action", "measure"),
}
"""Tables of means, with the columns that tell one sample of images from another."""

_NUMBERS = ("n", "clusters", "value", "area", "low", "high", "p", "method_interval")


def public_means(table: pd.DataFrame, keys: Sequence[str], pattern: Pattern, threshold: int) -> pd.DataFrame:
    """Take small samples out of a table of means.

    Parameters
    ----------
    table : DataFrame
        One of `MEANS`.
    keys : sequence of str
        Its columns there.
    pattern : Pattern
    threshold : int

    Returns
    -------
    DataFrame
        Of each sample and attribute: rows of groups whose size is suppressed in other tables, or of which the sample
        holds few images or clusters, are suppressed, with as many others that what they have together is no
        small number. Rows by an intersection, whose sums stand in the table too, are there only where neither it nor
        one of its attributes has a suppressed row.
    """
    size = table[["n", "clusters"]].min(axis=1)
    gone, dropped = pd.Series(False, index=table.index), pd.Series(False, index=table.index)
    kept = {name: place for place, name in enumerate(pattern.slices)}
    for _, sample in table.groupby(list(keys), sort=False, dropna=False):
        uneven: set[str] = set()
        parts = {str(name): rows for name, rows in sample.groupby("attribute", sort=False)}
        for name, rows in sorted(parts.items(), key=lambda item: kept.get(item[0], -1)):
            if name not in kept:
                dropped[rows.index] = True
                continue
            hidden = _hidden(rows, name, size, pattern, threshold)
            crossed = len(pattern.slices[name]) > 1
            if crossed and (hidden or uneven & set(pattern.slices[name]) or OVERALL in uneven):
                dropped[rows.index] = True
                continue
            if hidden:
                uneven.add(name)
            gone[hidden] = True
    table = table[~dropped].copy()
    gone = gone[~dropped]
    for column in (column for column in _NUMBERS if column in table):
        table[column] = table[column].mask(gone)
    table["status"] = table["status"].mask(gone, "suppressed")
    return table.reset_index(drop=True)


def _hidden(rows: pd.DataFrame, name: str, size: pd.Series, pattern: Pattern, threshold: int) -> list[int]:
    """Rows of one sample along an attribute that are suppressed, by their index."""
    if name == OVERALL:
        return [int(place) for place in rows.index if size[place] < threshold]
    hidden = [
        int(place)
        for place, group in zip(rows.index, rows["group"], strict=True)
        if size[place] < threshold or Cell(name, str(group)) in pattern.hidden
    ]
    rest = sorted((int(place) for place in rows.index if place not in set(hidden)), key=lambda place: int(size[place]))
    while hidden and rest and (len(hidden) < 2 or _together(rows, hidden) < threshold):
        hidden.append(rest.pop(0))
    return hidden


def _together(rows: pd.DataFrame, places: Iterable[int]) -> int:
    return int(rows.loc[list(places), "n"].sum())
