"""`results.json`: every claim of a run, each with its number, interval, denominator, definition and seed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from audit.run import Run
from audit.run.claims import CLAIM_KEYS, claims_of
from audit.run.schema import TABLES
from audit.run.tables import json_value
from audit.version import __version__
from reports.bundle.glossary import glossary

__all__ = ["CLAIMED", "Claim", "Results", "RunFacts", "results", "results_schema", "tables_schema"]

CLAIMED = tuple(name for name in CLAIM_KEYS if name not in ("curves", "training", "work"))
"""Tables whose rows stand in `results.json`. Points of curves and sums of work have claims too, in their tables."""

_PLAIN = ("n", "clusters", "value", "low", "high", "status")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RunFacts(_Part):
    """Which run it is."""

    name: str
    run_id: str | None
    fingerprint: str | None
    created: str | None
    faircam: str | None = Field(description="Version that computed the run.")
    complete: bool
    models: list[dict[str, Any]] = Field(description="Name, framework and SHA-256 of each model file.")
    seed: int
    disclosure: dict[str, Any] | None = Field(description="Level, threshold and what was withheld; null in a run.")
    policy: dict[str, Any] = Field(description="Name and SHA-256 of the policy that the run named; nulls for none.")


class Claim(_Part):
    """One row of a table, as a claim."""

    claim: str = Field(description="Table and key of the row, `audit.run.claims`.")
    table: str
    about: dict[str, str | float | int | bool | None] = Field(description="The columns that tell the row apart.")
    n: int | None = Field(description="The value's own denominator: images.")
    clusters: int | None = Field(description="Independent units behind it, such as persons.")
    value: float | None = Field(description="Null where undefined or withheld; `status` says why.")
    low: float | None
    high: float | None
    status: str | None
    more: dict[str, Any] = Field(description="Every other column of the row.")


class Results(_Part):
    """Everything that a run claims."""

    schema_version: int
    faircam: str = Field(description="Version that wrote this file.")
    run: RunFacts
    glossary: dict[str, dict[str, Any]]
    claims: list[Claim]


def results(run: Run) -> dict[str, Any]:
    """The claims of a run as JSON values; the same run gives the same values.

    Parameters
    ----------
    run : Run

    Returns
    -------
    dict
        As `results_schema` describes.
    """
    record = run.record
    policy = record.get("policy") or {}
    facts = RunFacts(
        name=run.name,
        run_id=record.get("run_id"),
        fingerprint=record.get("fingerprint"),
        created=record.get("created"),
        faircam=record.get("faircam"),
        complete=run.complete,
        models=[
            {key: model.get(key) for key in ("name", "framework", "architecture", "sha256")}
            for model in record.get("models", [])
        ],
        seed=int((record.get("config") or {}).get("seed") or 0),
        disclosure=record.get("disclosure"),
        policy={"name": policy.get("name"), "sha256": policy.get("sha256")},
    )
    claims = [claim for name in CLAIMED if run.has(name) for claim in _claims(name, run.table(name))]
    content = Results(schema_version=1, faircam=__version__, run=facts, glossary=glossary(run), claims=claims)
    found: dict[str, Any] = content.model_dump(mode="json")
    return found


def results_schema() -> dict[str, Any]:
    """JSON Schema of `results.json`."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Results.model_json_schema()}


def tables_schema() -> dict[str, Any]:
    """Columns and types of every table, and the columns that make up a claim, as JSON values."""
    return {
        name: {
            "columns": {column: str(kind) for column, kind in fields.items()},
            "claim": list(CLAIM_KEYS[name]) if name in CLAIM_KEYS else None,
        }
        for name, fields in TABLES.items()
    }


def _claims(name: str, frame: pd.DataFrame) -> Iterator[Claim]:
    keys = CLAIM_KEYS[name]
    for claim, row in zip(claims_of(name, frame), frame.to_dict("records"), strict=True):
        cells = {str(key): json_value(cell) for key, cell in row.items()}
        yield Claim(
            claim=claim,
            table=name,
            about={key: cells.pop(key) for key in keys},
            **{key: cells.pop(key, None) for key in _PLAIN},
            more=cells,
        )
