"""Tables of a report: how values, intervals and counts stand in cells, and how long a table may be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from audit.run.claims import claims_of
from reports.format import NOTHING, clean, count, interval, known, metric_words, plain, rate, signed, status_words
from reports.language import phrase, say
from reports.nodes import Cell, Column, Table
from reports.sections.facts import records

__all__ = [
    "MOST_ROWS",
    "capped",
    "first_of",
    "group_words",
    "interval_name",
    "muted",
    "numeric",
    "value_cells",
    "value_columns",
    "value_table",
]

MOST_ROWS = 150

_INTERVALS = {
    "clopper_pearson": "Clopper–Pearson",
    "korn_graubard": "Korn–Graubard",
    "delong": "DeLong",
    "obuchowski": "Obuchowski",
    "newcombe": "Newcombe",
    "mover_ratio": phrase("MOVER, ratio"),
    "mover_paired": phrase("MOVER, paired"),
    "mover_paired_korn_graubard": phrase("MOVER, paired, over Korn–Graubard"),
    "mover_korn_graubard": phrase("MOVER over Korn–Graubard"),
    "t": "t",
    "newcombe_paired": phrase("Newcombe, paired"),
    "paired_bootstrap": phrase("paired bootstrap"),
    "paired_cluster_bootstrap": phrase("paired cluster bootstrap"),
    "t_cluster_means": phrase("t over clusters"),
    "t_clusters": phrase("t over clusters"),
    "max_t": "max-T",
    "none": phrase("none"),
    "clopper_pearson_effective": phrase("Clopper–Pearson, effective size"),
    "mover_effective_size": phrase("MOVER, effective size"),
    "exact_pairs": phrase("exact, over pairs"),
    "noncentral_chi2": phrase("noncentral chi-squared"),
}


def interval_name(method: Any) -> str:
    """An interval's method as the literature calls it."""
    if not known(method):
        return NOTHING
    name = str(method)
    for ending, words in _JOINED.items():
        if name.endswith(ending):
            return say(words, method=_interval(name.removesuffix(ending)))
    return _interval(name)


_JOINED = {"_bonferroni": phrase("{method}, Bonferroni"), "_max_t": phrase("{method}, joined by max-T")}


def _interval(name: str) -> str:
    return say(_INTERVALS[name]) if name in _INTERVALS else plain(name)


def group_words(group: Any) -> str:
    """A group's name; those of everybody and of everybody else are the audit's own words."""
    return say(group) if group in _OWN_GROUPS else clean(group)


_OWN_GROUPS = (phrase("all"), phrase("everybody else"))


def numeric(text: str) -> Cell:
    """A cell with a number."""
    return Cell(text)


def muted(text: str, claim: str = "") -> Cell:
    """A cell that says why there is no number, where need be with the claim of the row that has none."""
    return Cell(text, "muted", claim=claim)


def value_cells(row: Mapping[str, Any]) -> tuple[Cell, ...]:
    """Cells n, clusters, value, interval and method of a row of `groups` and the like."""
    has_value, has_bounds = known(row.get("value")), known(row.get("low")) and known(row.get("high"))
    reason = status_words(row.get("status"))
    value = Cell(rate(row["value"])) if has_value else muted(reason)
    bounds = Cell(interval(row["low"], row["high"])) if has_bounds else muted(reason if has_value else NOTHING)
    if has_value and not has_bounds and row.get("status") == "ok":
        bounds = muted(say("no interval"))
    method = row["method_interval"] if "method_interval" in row else row.get("method")
    return (
        Cell(count(row.get("n"))),
        Cell(count(row.get("clusters"))),
        value,
        bounds,
        muted(interval_name(method) if has_bounds else NOTHING),
    )


def value_columns() -> tuple[Column, ...]:
    """Columns of what `value_cells` makes."""
    heads = ("n", say("Clusters"), say("Value"), say("95 % interval"))
    return (*(Column(head, numeric=True) for head in heads), Column(say("Interval by")))


_KEYS = {
    "x": phrase("At"),
    "metric": phrase("Metric"),
    "model": phrase("Model"),
    "group": phrase("Group"),
    "severity": phrase("Severity"),
    "corruption": phrase("Corruption"),
}

_NUMBERS = ("x", "severity")


def value_table(
    part: pd.DataFrame,
    caption: str,
    keys: Iterable[str],
    *,
    source: str,
    folded: bool = False,
    more: Iterable[tuple[str, str]] = (),
) -> Table:
    """Rows with a value and an interval under the columns that name them; `more` are differences beside.

    Parameters
    ----------
    part : DataFrame
        Columns ``n``, ``clusters``, ``value``, ``low``, ``high``, ``status`` and those named.
    caption, source, folded
        As in `capped`.
    keys : iterable of str
        Columns that tell rows apart, in this order.
    more : iterable of (str, str)
        Heading and column of further signed numbers.
    """
    keys, more = tuple(keys), tuple(more)
    rows: list[tuple[Cell, ...]] = []
    shown = part.head(MOST_ROWS)
    for row in records(shown):
        cells = value_cells(row)[: 4 if "method" not in part else 5]
        rows.append((*(_key(name, row) for name in keys), *cells, *(Cell(signed(row[name])) for _, name in more)))
    columns = [Column(say(_KEYS[name]), numeric=name in _NUMBERS) for name in keys]
    columns += value_columns()[: 4 if "method" not in part else 5]
    columns += [Column(head, numeric=True) for head, _ in more]
    claims = claims_of(source, shown)
    return capped(caption, columns, rows, source=source, folded=folded, claims=claims, total=len(part))


def _key(name: str, row: Mapping[str, Any]) -> Cell:
    if name == "x":
        return Cell(rate(row["x"]))
    if name == "metric":
        return Cell(metric_words(row["metric"], row.get("class")))
    if name == "corruption":
        return Cell(plain(str(row[name])))
    return Cell(group_words(row[name]) if name == "group" else clean(row[name]))


def first_of(part: pd.DataFrame, names: Sequence[str], keys: Sequence[str], most: int = MOST_ROWS) -> pd.DataFrame:
    """Rows of the first values of a column that give a table at least `most` lines, where it has more than it shows.

    Parameters
    ----------
    part : DataFrame
    names : sequence of str
        Values of the first of `keys`, in the order of the table.
    keys : sequence of str
        Columns that tell lines apart.
    """
    lines = part[list(keys)].drop_duplicates()[keys[0]].value_counts()
    kept: list[str] = []
    while len(kept) < len(names) and int(lines.reindex(kept).sum()) < most:
        kept.append(names[len(kept)])
    return part[part[keys[0]].isin(kept)]


def capped(
    caption: str,
    columns: Iterable[Column],
    rows: Sequence[tuple[Cell, ...]],
    *,
    source: str,
    note: str = "",
    folded: bool = False,
    claims: Sequence[str] = (),
    total: int | None = None,
) -> Table:
    """A table of at most `MOST_ROWS` rows; `reports.fitting` says below how many were left out and where they are.

    Parameters
    ----------
    claims : sequence of str, optional
        The claim of each row, which its numbers take on where a row of the run's table is a row here.
    total : int, optional
        Rows that there are, where not all of them are given.
    """
    columns = tuple(columns)
    if claims:
        rows = [_claimed(row, columns, claim) for row, claim in zip(rows, claims, strict=True)]
    return Table(clean(caption), columns, tuple(rows[:MOST_ROWS]), note, folded, source, total or len(rows))


def _claimed(row: tuple[Cell, ...], columns: tuple[Column, ...], claim: str) -> tuple[Cell, ...]:
    pairs = zip(row, columns, strict=True)
    return tuple(replace(cell, claim=claim) if column.numeric and not cell.claim else cell for cell, column in pairs)
