"""Whether a run folder is still as it was written: plan, receipts of the shards, digests of the tables.

It shows accidents and careless edits. Whoever changes a table and its digest in ``run.json`` alike is only
found by a signature, or by computing the tables again.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from audit.errors import FaircamError, RunError
from audit.run.files import sha256_file
from audit.run.journal import read_journal
from audit.run.plan import Plan, read_plan, shard_path
from audit.run.record import Run
from audit.run.shards import read_receipt
from audit.run.tables import table_path

__all__ = ["IntegrityError", "check_integrity", "table_digests", "unchecked"]

NEEDED = ("images", "predictions")
"""Tables without which nothing can be judged."""


class IntegrityError(FaircamError):
    """A run, or a file of it, is not what it was when it was written."""

    exit_code = 4


def table_digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every table file of a run folder, for key ``tables`` of ``run.json``.

    Parameters
    ----------
    folder : Path
        Run folder, its tables written.
    """
    return {path.stem: sha256_file(path) for path in sorted((folder / "tables").glob("*.parquet"))}


def check_integrity(run: Run, watch: Callable[[str], None] = lambda _: None) -> list[str]:
    """Hold a run against what was recorded when it was written.

    Parameters
    ----------
    run : Run
    watch : callable
        Told the name of each shard and table before it is read.

    Returns
    -------
    list of str
        What is not as it was written, one sentence each; empty where nothing was found.

    Notes
    -----
    The plan's fingerprint is computed anew and compared with the record's and with every shard's receipt; shards are
    compared with the digests that were noted when they were committed, where there are any;
    tables are compared with their digests where the record has them (`unchecked` says where not). Of an
    incomplete run, shards and tables may be missing: that is no change. A run at a disclosure level has no shards,
    and may have no plan.
    """
    disclosed = run.record.get("disclosure") is not None
    problems = [] if disclosed and not (run.path / "plan.json").exists() else _plan_problems(run, watch)
    digests = run.record.get("tables") or {}
    for name, digest in sorted(digests.items()):
        path = table_path(run.path, name)
        watch(f"table '{name}'")
        if not path.exists():
            problems.append(f"table '{name}' is missing")
        elif sha256_file(path) != digest:
            problems.append(f"table '{name}' was changed after the run: its SHA-256 is not the recorded one")
    if run.complete and not disclosed:
        problems += [problem for name in NEEDED if name not in digests for problem in _unreadable(run, name)]
    return problems


def unchecked(run: Run) -> list[str]:
    """What `check_integrity` could not check, one sentence each."""
    if run.record.get("tables"):
        return []
    return ["the record holds no digests of the tables, so whether they were changed could not be checked"]


def _plan_problems(run: Run, watch: Callable[[str], None]) -> list[str]:
    try:
        plan = read_plan(run.path)
    except RunError as error:
        return [f"plan.json {error.what}"]
    problems = []
    if plan.fingerprint != run.record.get("fingerprint"):
        problems.append("plan.json is not the plan that run.json records: their fingerprints differ")
    named = (run.record.get("policy") or {}).get("sha256")
    if named != plan.content.get("policy"):
        problems.append("the policy that run.json names is not the one of the plan")
    whole = run.complete and run.record.get("disclosure") is None
    return problems + (_shard_problems(run, plan, watch) if whole else [])


def _shard_problems(run: Run, plan: Plan, watch: Callable[[str], None]) -> list[str]:
    problems, noted = [], read_journal(run.path)
    for model in plan.models:
        for shard in plan.for_model(model):
            path = shard_path(run.path, model, shard)
            name = f"shard {shard.stage}-{shard.index:05d} of model '{model}'"
            watch(name)
            receipt = read_receipt(run.path, model, shard)
            if receipt is None:
                problems.append(f"{name} is missing or torn")
            elif receipt.fingerprint != plan.fingerprint:
                problems.append(f"{name} was computed under another plan")
            elif (receipt.model, receipt.shard) != (model, shard):
                problems.append(f"{name} is the file of another shard")
            elif noted and noted.get(f"{model}/{path.name}") != sha256_file(path):
                problems.append(f"{name} was changed after the run: its SHA-256 is not the one noted")
    return problems


def _unreadable(run: Run, name: str) -> list[str]:
    path = table_path(run.path, name)
    if not path.exists():
        return [f"table '{name}' is missing"]
    try:
        pq.read_metadata(path)
    except (OSError, pa.ArrowException) as error:
        return [f"table '{name}' cannot be read: {error}"]
    return []
