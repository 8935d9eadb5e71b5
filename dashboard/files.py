"""What a run consists of: its plan, files with hashes, and documents, for the provenance page. Reads only."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from audit.errors import RunError
from audit.run import Run
from audit.run.plan import read_plan
from audit.run.schema import TABLES
from dashboard import data

__all__ = ["PlanCheck", "check_plan", "report_bytes", "run_files", "written_tables"]

_MOST_HASHED = 256 * 2**20


@dataclass(frozen=True)
class PlanCheck:
    """Whether the plan is what the record says it is.

    Attributes
    ----------
    fingerprint : str
        As computed from ``plan.json``, or as recorded where that cannot be read.
    sentence : str
        What was found.
    agrees : bool
    shards : int
        Shards planned for every model.
    """

    fingerprint: str
    sentence: str
    agrees: bool
    shards: int = 0


def check_plan(run: Run) -> PlanCheck:
    """Compute the plan's fingerprint again and compare it with the record's."""
    recorded = str(run.record.get("fingerprint") or "")
    try:
        plan = read_plan(run.path)
    except RunError as error:
        return PlanCheck(recorded or "not recorded", f"The plan could not be checked: {error}", False)
    agrees = plan.fingerprint == recorded
    sentence = "Computed again from plan.json; equal to the record’s."
    if not agrees:
        sentence = f"The record names another fingerprint: {recorded}." if recorded else "The record names none."
    return PlanCheck(plan.fingerprint, sentence, agrees, len(plan.shards))


def run_files(run: Run) -> pd.DataFrame:
    """Record, plan, shards and tables: ``file``, ``bytes``, ``sha256``; no hashes where there is too much to hash."""
    paths = [run.path / "run.json", run.path / "plan.json"]
    paths += sorted((run.path / "tables").glob("*.parquet")) + sorted((run.path / "shards").glob("*/*.parquet"))
    paths = [path for path in paths if path.is_file()]
    sizes = [path.stat().st_size for path in paths]
    hashed = sum(sizes) <= _MOST_HASHED
    return pd.DataFrame(
        {
            "file": [path.relative_to(run.path).as_posix() for path in paths],
            "bytes": sizes,
            "sha256": [data.digest(path) if hashed else None for path in paths],
        }
    )


def written_tables(run: Run) -> list[str]:
    """Names of the tables that the run holds."""
    return [name for name in TABLES if run.has(name)]


def report_bytes(run: Run, format: str = "html") -> bytes:
    """A report, made now in a temporary folder: the run is not changed, and an older report in it is not taken."""
    from reports import write_report

    with tempfile.TemporaryDirectory() as folder:
        return Path(write_report(run, Path(folder) / "report", format)).read_bytes()
