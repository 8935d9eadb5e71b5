"""Every claim of a run in one flat CSV table, for spreadsheets; `reports.bundle.results` has the same in full."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from audit.run import Run
from audit.run.claims import CLAIM_KEYS, claims_of
from reports.bundle.results import CLAIMED
from reports.spreadsheet import csv_text

__all__ = ["CSV_COLUMNS", "claims_csv"]

CSV_COLUMNS = (
    "claim",
    "table",
    "model",
    "attribute",
    "group",
    "metric",
    "class",
    "method",
    "n",
    "value",
    "low",
    "high",
    "interval_method",
    "status",
)
"""Columns of the CSV. What else tells a row apart stands in its claim, and in the run's table of that name."""

_AT_ONCE = 100_000
_OTHERWISE = {"group": ("slice",), "metric": ("measure", "check"), "n": ("images",)}
_VALUES = {"lattice": "difference", "slices": "difference", "paired": "difference", "sensitivity": "share"}
"""Where the interval is not one of the column ``value``: the column that it is of."""


def claims_csv(run: Run) -> str:
    """Write the claims of a run as CSV.

    Parameters
    ----------
    run : Run

    Returns
    -------
    str
        A head line of `CSV_COLUMNS`, then a line for each row of the tables `reports.bundle.results.CLAIMED`. ``value``
        is what ``low`` and ``high`` are the interval of: in tables `lattice`, `slices` and `paired` the difference.
        ``method`` is one of explanation. An empty cell is a null: undefined, withheld, or nothing of the kind.
    """
    head = csv_text(pd.DataFrame(columns=list(CSV_COLUMNS)))
    parts = [csv_text(part).removeprefix(head) for name in CLAIMED if run.has(name) for part in _parts(run, name)]
    return "".join([head, *parts])


def _parts(run: Run, name: str) -> Iterator[pd.DataFrame]:
    """Rows of a table, some at a time, since a table can have millions."""
    frame = run.table(name)
    for start in range(0, len(frame), _AT_ONCE):
        yield _flat(name, frame.iloc[start : start + _AT_ONCE])


def _flat(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    interval = "method_interval" if "method_interval" in frame else "method"
    about_maps = "method" in CLAIM_KEYS[name]
    chosen = {
        "value": _VALUES.get(name, "value"),
        "method": "method" if about_maps else "",
        "interval_method": "" if about_maps and interval == "method" else interval,
    }
    columns: dict[str, Any] = {"claim": claims_of(name, frame), "table": name}
    for column in CSV_COLUMNS[2:]:
        places = (chosen[column],) if column in chosen else (column, *_OTHERWISE.get(column, ()))
        found = next((place for place in places if place in frame), None)
        columns[column] = None if found is None else frame[found].astype(object)
    return pd.DataFrame(columns, index=frame.index)
