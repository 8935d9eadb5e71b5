"""Claims: a name for every row of a table that holds numbers, from which a reader finds the row again.

A claim is the table and the row's key, such as ``groups:plain:tone:dark:accuracy:``. It stays the same from run to run,
and is one line of text that holds no character a document could not show.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote

import numpy as np
import pandas as pd

from audit.errors import InputError, nearest

__all__ = ["CLAIM_KEYS", "claim_of", "claim_parts", "claims_of", "find_claim"]

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

# Percent-encoded: what a claim is made of, controls, line ends, marks that turn a line around, non-characters.
_ENCODED = re.compile("[%:\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufffe\uffff]")


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
        Table and key joined by colons. Inside a name a colon, a percent sign and what cannot be shown (controls, line
        ends, marks that turn a line around) are percent-encoded; every other letter stands as it is.

    Raises
    ------
    InputError
        The table has no claims.
    """
    return _joined(table, [row.get(name) for name in _keys(table)])


def claims_of(table: str, frame: pd.DataFrame) -> list[str]:
    """Claim of every row of a frame.

    Parameters
    ----------
    table : str
        A key of `CLAIM_KEYS`.
    frame : DataFrame
        Rows of that table; a column that it lacks counts as null.

    Returns
    -------
    list of str
        In the order of the rows, as `claim_of` writes them.

    Raises
    ------
    InputError
        The table has no claims.
    """
    keys = _keys(table)
    columns = [frame[name].tolist() if name in frame else [None] * len(frame) for name in keys]
    return [_joined(table, list(values)) for values in zip(*columns, strict=True)]


def claim_parts(claim: str) -> tuple[str, dict[str, str]]:
    """Take a claim apart.

    Parameters
    ----------
    claim : str

    Returns
    -------
    (str, dict of str to str)
        The table, and the key's columns with their values as text; a null value is empty.

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
    return name, dict(zip(keys, values, strict=True))


def find_claim(table: pd.DataFrame, claim: str) -> pd.DataFrame:
    """The row that a claim names, as a frame of one row, or of none where there is no such row.

    Parameters
    ----------
    table : DataFrame
        The table that the claim begins with; a column that it lacks counts as null.
    claim : str

    Returns
    -------
    DataFrame

    Raises
    ------
    InputError
        It is no claim.
    """
    for key, value in claim_parts(claim)[1].items():
        cells = table[key].tolist() if key in table else [None] * len(table)
        table = table[np.array([_text(cell) == value for cell in cells], bool)]
    return table


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
    return ":".join([table, *(_ENCODED.sub(_encoded, part) for part in parts)])


def _encoded(found: re.Match[str]) -> str:
    return quote(found[0], safe="")


def _text(value: Any) -> str:
    if value is None or value is pd.NA or (isinstance(value, float) and value != value):
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)
