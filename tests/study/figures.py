"""Figures of the study as tidy rows, and how parts of one simulation are added up. Nothing is computed here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["COLUMNS", "KEYS", "Row", "collect", "counted", "given"]

Row = dict[str, Any]

TEXT = ("part", "quantity", "method", "setting", "drawing")
NUMBERS = ("groups", "n", "clusters", "icc", "rate", "gap", "tolerance")
KEYS = (*TEXT, *NUMBERS)
COLUMNS = (*KEYS, "value", "error", "trials")
"""``error`` is the Monte Carlo standard error; 0 where the value is exact. ``trials`` are replicates."""


def counted(hits: int, trials: int, **keys: Any) -> Row:
    """A share of replicates; rows with equal keys are added up."""
    return _keys(keys) | {"hits": float(hits), "trials": int(trials), "value": np.nan, "error": np.nan}


def given(value: float, error: float = 0.0, **keys: Any) -> Row:
    """A value that is no share of replicates, or is exact."""
    return _keys(keys) | {"hits": 0.0, "trials": 0, "value": float(value), "error": float(error)}


def _keys(keys: Row) -> Row:
    unknown = set(keys) - set(KEYS)
    if unknown:
        raise KeyError(f"{sorted(unknown)} are no columns of the study, allowed: {KEYS}")
    return {name: keys.get(name, "" if name in TEXT else np.nan) for name in KEYS}


def collect(rows: Iterable[Row]) -> pd.DataFrame:
    """One line a figure, in the order in which they first occur."""
    frame = pd.DataFrame(list(rows))
    grouped = frame.groupby(list(KEYS), dropna=False, sort=False)
    out = grouped.agg({"hits": "sum", "trials": "sum", "value": "first", "error": "first"}).reset_index()
    share = out["trials"] > 0
    rate = out["hits"] / out["trials"].where(share)
    out["value"] = out["value"].where(~share, rate)
    out["error"] = out["error"].where(~share, np.sqrt(rate * (1 - rate) / out["trials"].where(share)))
    return out[list(COLUMNS)]
