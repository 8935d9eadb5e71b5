"""What several sections ask of a run: its attributes, positive class, order of groups, and rows as cells."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from audit.fairness.metrics import METRICS
from audit.run import Run
from audit.run.claims import claims_of
from reports.format import NOTHING, clean, count, interval, known, metric_words, plain, rate, signed, status_words
from reports.language import phrase, say
from reports.methods import Method, method_of
from reports.nodes import Cell, Column, Table

__all__ = [
    "EVERYBODY",
    "MISSING",
    "MOST_ROWS",
    "Facts",
    "capped",
    "first_of",
    "group_order",
    "group_words",
    "interval_name",
    "muted",
    "numeric",
    "pick",
    "records",
    "value_cells",
    "value_columns",
    "value_table",
]

MISSING = "(missing)"
EVERYBODY = "all"
MOST_ROWS = 150
_MOST_DRAWN, _FEWEST_DRAWN, _LINES = 30, 10, 60

_INTERVALS = {
    "clopper_pearson": "Clopper–Pearson",
    "korn_graubard": "Korn–Graubard",
    "delong": "DeLong",
    "obuchowski": "Obuchowski",
    "newcombe": "Newcombe",
    "mover_ratio": phrase("MOVER, ratio"),
    "mover_paired": phrase("MOVER, paired"),
    "mover_korn_graubard": phrase("MOVER over Korn–Graubard"),
    "t": "t",
    "t_cluster_means": phrase("t over clusters"),
    "max_t": "max-T",
    "bootstrap": phrase("bootstrap"),
    "cluster_bootstrap": phrase("cluster bootstrap"),
    "none": phrase("none"),
    "clopper_pearson_effective": phrase("clopper pearson effective"),
    "mover_effective_size": phrase("mover effective size"),
    "exact_pairs": phrase("exact pairs"),
    "noncentral_chi2": phrase("noncentral chi2"),
}


@dataclass(frozen=True)
class Facts:
    """A run, and what its record says, read tolerantly."""

    run: Run

    @cached_property
    def data(self) -> dict[str, Any]:
        """The record's part on data."""
        return dict(self.run.record.get("data") or {})

    @cached_property
    def attributes(self) -> list[dict[str, Any]]:
        """Attributes with name and provenance, in the order of the config."""
        given = self.data.get("attributes") or []
        if isinstance(given, Mapping):
            return [{"name": name, "provenance": value} for name, value in given.items()]
        return [dict(item) if isinstance(item, Mapping) else {"name": str(item)} for item in given]

    @cached_property
    def names(self) -> list[str]:
        """Names of the attributes."""
        return [str(item["name"]) for item in self.attributes]

    @cached_property
    def groups(self) -> pd.DataFrame:
        """Table `groups`."""
        return self.run.table("groups")

    def groups_of(self, attribute: str) -> pd.DataFrame:
        """Rows of table `groups` along an attribute, of metrics over all classes and those of the positive class."""
        return self._main.get(attribute, self.groups.head(0))

    @cached_property
    def _main(self) -> dict[str, pd.DataFrame]:
        main = self.groups[self.groups["class"].isna() | (self.groups["class"] == self.positive)]
        return {str(name): part for name, part in main.groupby("attribute", sort=False)}

    @cached_property
    def coverage(self) -> pd.DataFrame:
        """Table `coverage`."""
        return self.run.table("coverage")

    @cached_property
    def crossings(self) -> list[str]:
        """Names of the intersections that were tabulated."""
        seen = self.groups["attribute"].dropna().unique()
        return [str(name) for name in seen if name != "overall" and name not in self.names]

    def rows_of(self, table: str, images: Iterable[str], columns: list[str] | None = None) -> pd.DataFrame:
        """Rows of a table about these images alone."""
        wanted = pa.array(sorted(set(images)), pa.string())
        return self.run.table(table, columns=columns, filters=pc.field("image_id").isin(wanted))

    @property
    def positive(self) -> str | None:
        """Declared positive class."""
        given = self.data.get("positive")
        return str(given) if known(given) else None

    @property
    def classes(self) -> list[str]:
        """Class names."""
        return [str(name) for name in self.data.get("classes") or []]

    @property
    def regions(self) -> list[str]:
        """Region names."""
        given = self.data.get("regions") or []
        return [str(name) for name in (given.values() if isinstance(given, Mapping) else given)]

    @property
    def config(self) -> Mapping[str, Any]:
        """The configuration as the record holds it."""
        return dict(self.run.record.get("config") or {})

    @property
    def distrusted(self) -> list[str]:
        """Regions on which the config says that a decision ought not to rest."""
        regions = (self.config.get("data") or {}).get("regions") or {}
        return [str(name) for name in regions.get("should_not_matter") or []]

    @cached_property
    def methods(self) -> list[str]:
        """Names of the explanation methods, in the order of the config where the record says it."""
        said = (self.config.get("explanations") or {}).get("methods") or []
        asked = [str(item.get("name") if isinstance(item, Mapping) else item) for item in said]
        found = self.run.table("explanations", columns=["method"])["method"].dropna().astype(str)
        seen = list(dict.fromkeys(found))
        return [name for name in asked if name in seen] + [name for name in seen if name not in asked]

    def method(self, name: Any) -> Method:
        """What the record says of an explanation method."""
        return method_of(self.run.record, str(name))

    @cached_property
    def stamps(self) -> dict[tuple[str, str], dict[str, Any]]:
        """Overall rows of table `stamps`, by model and method."""
        rows = records(pick(self.run.table("stamps"), check="overall"))
        return {(str(row["model"]), str(row["method"])): row for row in rows}

    def stamp(self, model: Any, method: Any) -> str:
        """Whether a method's maps are evidence on a model, not measured where nothing is said."""
        row = self.stamps.get((str(model), str(method)))
        return clean(row["result"]) if row is not None and known(row["result"]) else "not_measured"

    @property
    def most_drawn(self) -> int:
        """Groups that a forest plot draws: fewer where those of many models stand beside each other."""
        return min(_MOST_DRAWN, max(_FEWEST_DRAWN, _LINES // max(len(self.run.models), 1)))

    @property
    def headline(self) -> list[tuple[str, str | None]]:
        """Metrics that are drawn for every attribute, with the class they are about."""
        metrics: list[tuple[str, str | None]] = [("accuracy", None)]
        if self.positive is not None:
            return [*metrics, ("true_positive_rate", self.positive), ("false_positive_rate", self.positive)]
        return [*metrics, ("balanced_accuracy", None)]


def pick(frame: pd.DataFrame, **wanted: Any) -> pd.DataFrame:
    """Rows whose columns hold these values; None asks for an empty cell. ``class_`` stands for ``class``."""
    for name, value in wanted.items():
        column = frame[name.rstrip("_")]
        frame = frame[column.isna() if value is None else column == value]
    return frame


def group_order(part: pd.DataFrame, metric: str) -> list[str]:
    """Groups from the least favourable value on, by their mean over the models; those without a value last."""
    values = part.assign(value=pd.to_numeric(part["value"])).groupby("group", sort=False)["value"].mean()
    rising = metric not in METRICS or METRICS[metric].direction != "lower"
    ordered = values.sort_values(ascending=rising, na_position="last", kind="stable")
    return [str(name) for name in ordered.index]


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a frame as dictionaries."""
    names, columns = [str(name) for name in frame.columns], [frame[name].tolist() for name in frame.columns]
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


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
