"""Making every document of a bundle again from its tables, and comparing."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
from pydantic import ValidationError

from audit.errors import FaircamError
from audit.run import Run
from audit.run.schema import TABLES
from audit.version import __version__
from reports.bundle.documents import Contents, documents
from reports.bundle.results import CLAIMED, Results, results
from reports.verify.checks import Check

__all__ = ["check_claims", "check_documents", "check_schema"]


def check_schema(folder: Path) -> Check:
    """Whether `results.json` and the tables have the form that is published."""
    problems = []
    try:
        Results.model_validate_json((folder / "results.json").read_bytes())
    except (OSError, ValidationError) as error:
        problems.append(f"results.json: {str(error).splitlines()[0]}")
    tables = sorted((folder / "tables").glob("*.parquet"))
    for path in tables:
        if path.stem not in TABLES:
            problems.append(f"table `{path.stem}` is none that a run has")
            continue
        held = pq.read_schema(path)
        for column, kind in TABLES[path.stem].items():
            if column in held.names and held.field(column).type != kind:
                problems.append(f"table `{path.stem}`: {column} is {held.field(column).type}, expected {kind}")
    return Check("schema", f"results.json and {len(tables)} tables", tuple(problems))


def check_claims(run: Run) -> Check:
    """Whether every claim of `results.json` says what its table says."""
    path = run.path / "results.json"
    try:
        held = {claim["claim"]: claim for claim in json.loads(path.read_text(encoding="utf-8"))["claims"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        return Check("claims", "results.json cannot be read", problems=(f"results.json: {error}",))
    expected = {claim["claim"]: claim for claim in results(run)["claims"]}
    problems = [f"claim {name} is missing from results.json" for name in expected if name not in held]
    problems += [f"claim {name} of results.json is in no table" for name in held if name not in expected]
    for name, claim in expected.items():
        said = held.get(name, claim)
        if said != claim:
            keys = [key for key, value in claim.items() if said.get(key) != value]
            problems.append(f"claim {name}: results.json and table `{claim['table']}` differ in {keys}")
    return Check("claims", f"{len(held):,} claims against {len(CLAIMED)} tables", tuple(problems))


def check_documents(folder: Path) -> Check:
    """Whether every document is what its tables give."""
    contents = Contents.of(folder)
    wrote = _wrote(folder)
    if wrote != __version__:
        text = f"documents were written by version {wrote}, this is {__version__}: they were not made again"
        return Check("documents", "not made again", unseen=(text,))
    problems, made = [], 0
    try:
        for name, content in documents(contents):
            made += 1
            path = folder / name
            if not path.exists():
                problems.append(f"{name} is missing")
            elif path.read_bytes() != content:
                problems.append(f"{name} is not what the tables give")
    except FaircamError as error:
        problems.append(f"documents cannot be made again: {error}")
    return Check("documents", f"{made} documents made again from the tables", tuple(problems))


def _wrote(folder: Path) -> str:
    try:
        return str(json.loads((folder / "results.json").read_text(encoding="utf-8"))["faircam"])
    except (OSError, ValueError, KeyError, TypeError):
        return "unknown"
