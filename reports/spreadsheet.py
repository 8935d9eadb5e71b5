"""Tables as CSV for whoever opens them in a spreadsheet, which would run a name that begins like a formula."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["csv_text"]

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")  # the last four are wide ones


def csv_text(frame: pd.DataFrame) -> str:
    """Write a table as CSV, as RFC 4180 has it.

    Parameters
    ----------
    frame : DataFrame

    Returns
    -------
    str
        A text that a spreadsheet would take for a formula begins with an apostrophe; numbers stay as they are. Lists
        are written as JSON. The table's Parquet file holds every name and number as it is.
    """
    safe = pd.DataFrame({name: _safe(frame[name]) for name in frame}, index=frame.index, columns=frame.columns)
    return str(safe.to_csv(index=False, lineterminator="\r\n"))


def _safe(column: pd.Series[Any]) -> pd.Series[Any]:
    if pd.api.types.is_numeric_dtype(column):
        return column
    if column.dtype != "str":
        return column.map(_inert, na_action="ignore")
    risky = column.str.startswith(_FORMULA).fillna(False).astype(bool)
    return column.mask(risky, column[risky].map(_inert)) if risky.any() else column


def _inert(value: Any) -> Any:
    if isinstance(value, np.ndarray | list):
        return json.dumps(np.asarray(value).tolist())  # printed, a long array would be cut
    if not isinstance(value, str) or not value.startswith(_FORMULA):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value
