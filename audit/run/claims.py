"""Claims: a name for every row of a table that holds numbers, from which a reader finds the row again.

A claim is the table and the row's key, such as ``groups:plain:tone:dark:accuracy:``. It stays the same from run to run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import pandas as pd

from audit.errors import InputError, nearest

__all__ = ["CLAIM_KEYS", "claim_of", "claims_of", "find_claim"]

CLAIM_KEYS: dict[str, tuple[str, ...]] = {
    "coverage": ("attribute", "group", "label"),
    "groups": ("model", "attribute", "group", "metric", "class"),
    "gaps": ("model", "attribute", "metric", "class", "compare"),
    "curves": ("model", "attribute", "group", "class", "kind", "metric", "position"),
    "lattice": ("model", "group", "metric", "class"),
    "shift": ("model", "attribute", "scenario", "metric", "class"),
    "findings": ("model", "rule"),
    "sensitivity": ("model", "rule"),
    "paired": ("first", "second", "attribute", "group", "metric", "class"),
    "leakage": ("model", "attribute"),
    "slices": ("model", "slice"),
    "robustness": ("model", "corruption", "severity", "attribute", "group", "metric"),
    "robustness_gaps": ("model", "corruption", "severity", "attribute"),
    "membership": ("model", "attribute", "group"),
    "stamps": ("model", "method", "check"),
    "region_groups": ("model", "method", "region", "attribute", "group"),
    "quality_groups": ("model", "method", "measure", "attribute", "group"),
    "quality_gaps": ("model", "method", "measure", "attribute", "matching"),
    "intervention_groups": ("model", "region", "action", "measure", "attribute", "group"),
    "agreement_groups": ("first", "second", "method", "measure", "when", "attribute", "group"),
    "concepts": ("model", "concept", "layer", "target_class", "attribute", "group"),
    "training": ("model", "epoch"),
    "work": ("model", "stage"),
}
"""Columns that tell the rows of a table apart, in the order in which a claim names them."""

_USUAL = {("gaps", "compare"): "range"}  # left out at the end of a claim


def claim_of(table: str, row: Mapping[Any, Any]) -> str:
    """Claim of one row.

    Parameters
    ----------
    table : str
        A key of `CLAIM_KEYS`.
    row : mapping
        Holds the key's columns; what is missing or null is written as nothing.

    Returns
    -------
    str
        Table and key joined by colons; a colon or percent sign inside a name is percent-encoded.

    Raises
    ------
    InputError
        The table has no claims.
    """
    return _joined(table, [row.get(name) for name in _keys(table)])


def claims_of(table: str, frame: pd.DataFrame) -> list[str]:
    """Claim of every row of a frame of that table, in order."""
    keys = _keys(table)
    columns = [frame[name].tolist() if name in frame else [None] * len(frame) for name in keys]
    return [_joined(table, list(values)) for values in zip(*columns, strict=True)]


def find_claim(table: pd.DataFrame, claim: str) -> pd.DataFrame:
    """The row that a claim names, as a frame of one row, or of none where there is no such row.

    Parameters
    ----------
    table : DataFrame
        The table that the claim begins with.
    claim : str

    Raises
    ------
    InputError
        It is no claim.
    """
    name, *values = (unquote(part) for part in claim.split(":"))
    keys = _keys(name)
    usual = _USUAL.get((name, keys[-1]))
    if usual is not None and len(values) == len(keys) - 1:
        values.append(usual)
    if len(values) != len(keys):
        raise InputError(f"claim '{claim}' has {len(values)} parts after its table, allowed: {', '.join(keys)}")
    found = pd.Series(True, index=table.index)
    for key, value in zip(keys, values, strict=True):
        found &= pd.Series([_text(cell) for cell in table[key]], index=table.index, dtype="str") == value
    return table[found.to_numpy(bool)]


def _keys(table: str) -> tuple[str, ...]:
    if table not in CLAIM_KEYS:
        raise InputError(
            f"no claim begins with table '{table}', allowed: {', '.join(CLAIM_KEYS)}.{nearest(table, CLAIM_KEYS)}"
        )
    return CLAIM_KEYS[table]


def _joined(table: str, values: list[Any]) -> str:
    parts = [_text(value) for value in values]
    if parts and parts[-1] == _USUAL.get((table, CLAIM_KEYS[table][-1])):
        parts.pop()
    return ":".join([table, *(part.replace("%", "%25").replace(":", "%3A") for part in parts)])


def _text(value: Any) -> str:
    if value is None or value is pd.NA or (isinstance(value, float) and value != value):
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)
