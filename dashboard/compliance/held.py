"""What a run holds for the clauses of legal packs, and the numbers behind its claims; kept until something changes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from audit.errors import FaircamError
from audit.run import Run, open_run
from audit.run.claims import CLAIM_KEYS, claims_of
from audit.run.schema import TABLES
from audit.run.statement_log import chain_problems
from audit.run.statements import LOG, Statement, read_statements
from dashboard import data
from reports.bundle.packs import known_packs, load_pack

__all__ = ["log_problems", "packs", "resolve", "statements"]

_NUMBERS = ("value", "low", "high", "n", "status")
_COLUMNS = {name: name for name in _NUMBERS}
_OTHERWISE = {
    "coverage": {"value": "images"},
    "findings": {"status": "verdict"},
    "lattice": {"value": "difference"},
    "paired": {"value": "difference"},
    "sensitivity": {"value": "share"},
    "slices": {"value": "difference"},
    "stamps": {"status": "result"},
}
"""Columns that a claim's numbers stand in, where they are called something else; the value is what has the interval."""


def statements(run: Run) -> tuple[tuple[Statement, ...], str]:
    """Entries of the log in order, and what is wrong with it, if anything; a changed log gives no entry."""
    try:
        return read_statements(run), ""
    except FaircamError as error:
        return (), str(error)


def log_problems(run: Run) -> list[str]:
    """What is wrong with the chain of the log, one sentence each."""
    return chain_problems(run.path / LOG)


def packs(run: Run, day: date) -> dict[str, dict[str, Any]]:
    """Every legal pack held against the run, as `reports.bundle.crosswalk` has it; files are those of a bundle."""
    return _packs(str(run.path), _stamps(run), day)


@st.cache_data(max_entries=16, show_spinner="Holding the clauses against the run …")
def _packs(path: str, stamps: tuple[int, ...], day: date) -> dict[str, dict[str, Any]]:  # noqa: ARG001
    from reports.bundle.crosswalk import crosswalk

    run, names = open_run(path), known_packs()
    said, _ = statements(run)
    found = crosswalk(run, [load_pack(name) for name in names], said, _bundle_files(run), day)["packs"]
    return dict(zip(names, found, strict=True))


def _bundle_files(run: Run) -> list[str]:
    """Places of the files that a bundle of the run would hold beside the crosswalk."""
    from reports.bundle.canonical import ATTESTATION, MANIFEST
    from reports.bundle.documents import DOCUMENTS
    from reports.bundle.request import BUNDLE

    tables = [name for name in TABLES if run.has(name)]
    made = [f"tables/{name}.{ending}" for name in tables for ending in ("parquet", "csv")]
    return [*DOCUMENTS, *made, "run.json", BUNDLE, MANIFEST, ATTESTATION]


def resolve(run: Run, claims: Sequence[str]) -> pd.DataFrame:
    """Numbers that claims name, in their order.

    Returns
    -------
    DataFrame
        ``claim``, ``value``, ``low``, ``high``, ``n``, ``status``; empty cells where a table has no such column or the
        run has no such claim.
    """
    tables = dict.fromkeys(claim.partition(":")[0] for claim in claims)
    known = [_numbers(str(run.path), name, data.changed(run, name)) for name in tables if name in CLAIM_KEYS]
    found = pd.concat(known) if known else pd.DataFrame(columns=list(_NUMBERS))
    return found.reindex(list(claims)).rename_axis("claim").reset_index()


@st.cache_resource(max_entries=16, show_spinner=False)
def _numbers(path: str, table: str, stamp: int) -> pd.DataFrame:  # noqa: ARG001  the stamp is part of the key
    """Every row of a table by its claim; shared by all sessions, and never changed."""
    frame = open_run(path).table(table)
    columns = {**_COLUMNS, **_OTHERWISE.get(table, {})}
    cells = {name: frame.get(column) for name, column in columns.items()}
    kept = pd.DataFrame(cells, index=frame.index, columns=list(_NUMBERS))
    kept[list(_NUMBERS[:-1])] = kept[list(_NUMBERS[:-1])].apply(pd.to_numeric, errors="coerce").astype("float64")
    kept["n"] = kept["n"].astype("Int64")
    kept.index = pd.Index(claims_of(table, frame))
    return kept[~kept.index.duplicated()]


def _stamps(run: Run) -> tuple[int, ...]:
    """Times of change of everything that a crosswalk rests on."""
    return (
        _changed(run.path / "run.json"),
        _changed(run.path / LOG),
        *(data.changed(run, name) for name in CLAIM_KEYS),
    )


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
