"""What several sections ask of a run: its attributes, positive class, order of groups and rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from audit.fairness.metrics import METRICS
from audit.run import Run
from reports.format import clean, known
from reports.methods import Method, method_of

__all__ = [
    "EVERYBODY",
    "MISSING",
    "Facts",
    "group_order",
    "pick",
    "records",
]

MISSING = "(missing)"
EVERYBODY = "all"
_MOST_DRAWN, _FEWEST_DRAWN, _LINES = 30, 10, 60


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
