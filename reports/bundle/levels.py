"""Disclosure levels: a run with less in it, from which everything else is made: nothing withheld can be shown."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from audit.errors import InputError, RunError, nearest
from audit.run import Run
from audit.run.files import write_json
from audit.run.integrity import table_digests
from audit.run.schema import TABLES
from audit.run.tables import table_path, write_table
from reports.bundle.disclosed_record import disclosed_record
from reports.bundle.pseudonyms import AUDITOR_WITHHELD, auditor_tables
from reports.bundle.public_tables import LEFT_OUT, PublicTables, suppressed_claims
from reports.bundle.request import LEVELS, Level
from reports.bundle.suppression import choose

__all__ = ["Disclosure", "disclose"]

_NO_CLAIMS = ("table", "claim")
_MAPS = "the maps themselves (shards): whoever has the run can make every picture of them again"
_PUBLIC_WITHHELD = (
    "every row on a single image: images, predictions, explanations, their measures, and what did not make it",
    "image ids, clusters, file names, hashes of images, thumbnails, maps and embeddings",
    "plan.json, and the configuration's paths, columns and settings of execution",
)


@dataclass(frozen=True)
class Disclosure:
    """What a reduced run holds and what it does not.

    Attributes
    ----------
    level : str
    threshold : int or None
        At the public level: smallest number of images or clusters that is published of a group.
    withheld : tuple of str
        What was left out, one phrase each, as ``run.json`` says it.
    suppressed : DataFrame
        ``table, claim`` of every row whose key is there and whose numbers are not.
    """

    level: Level
    threshold: int | None
    withheld: tuple[str, ...]
    suppressed: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(_NO_CLAIMS)))

    def to_json(self) -> dict[str, Any]:
        """As it stands in ``run.json``, key ``disclosure``."""
        return {"level": self.level, "threshold": self.threshold, "withheld": list(self.withheld)}


def disclose(
    run: Run, level: Level, out: Path, *, threshold: int = 10, secret: bytes, maps: bool = False
) -> Disclosure:
    """Write a run with less in it.

    Parameters
    ----------
    run : Run
        With its rows; not a public one.
    level : {"public", "auditor", "internal"}
        ``internal``: every table, plan and thumbnail. ``auditor``: every row, under pseudonyms, without images,
        paths, hashes of images, embeddings and free text; each count and rate follows from the rows as before.
        ``public``: sums over groups alone, small ones suppressed together with as many others as it takes that no
        search over all published numbers finds one (`suppression.choose`).
    out : Path
        A folder that is empty or not there yet.
    threshold : int
        Public level: a group of fewer images or clusters, and a class of which a group has fewer, is suppressed.
    secret : bytes
        Auditor level: what pseudonyms are made with. The same secret gives the same ones.
    maps : bool
        Internal level: whether the shards, with the maps, are taken along.

    Returns
    -------
    Disclosure

    Raises
    ------
    InputError
        The level is unknown, the folder holds something, the threshold is below 2 or the secret empty.
    RunError
        The run is a disclosed one that lacks what the level holds, or has fewer images than the threshold.
    IncompleteRun
        The run ended before it had the tables of the public level.
    """
    if level not in LEVELS:
        raise InputError(
            f"disclosure level '{level}' is unknown, allowed: {', '.join(LEVELS)}.{nearest(level, LEVELS)}"
        )
    if threshold < 2:
        raise InputError(f"threshold is {threshold}, allowed: 2 or more")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError("is there already", where=str(out), fix="name an empty folder, or a new one")
    _check_upwards(run, level)
    makers: dict[str, Callable[[], tuple[Disclosure, dict[str, pd.DataFrame]]]] = {
        "public": lambda: _public(run, threshold),
        "auditor": lambda: (Disclosure("auditor", None, AUDITOR_WITHHELD), auditor_tables(run, secret)),
        "internal": lambda: _internal(run, maps=maps),
    }
    disclosure, tables = makers[level]()
    _write(run, disclosure, tables, out)
    if level == "internal":
        _copy_rest(run, out, maps=maps)
    return disclosure


def _check_upwards(run: Run, level: Level) -> None:
    """A disclosed run can only be reduced further, and a public one holds nothing to suppress by."""
    given = str((run.record.get("disclosure") or {}).get("level", "internal"))
    if given == "public" or LEVELS.index(given) < LEVELS.index(level):
        raise RunError(
            f"is disclosed at level '{given}' already, so level '{level}' cannot be made from it",
            where=str(run.path),
            fix="name the run that it was made from",
        )


def _public(run: Run, threshold: int) -> tuple[Disclosure, dict[str, pd.DataFrame]]:
    pattern = choose(run, threshold)
    tables = PublicTables(run, pattern, threshold).tables()
    claims = suppressed_claims(tables)
    withheld = [*_PUBLIC_WITHHELD, *pattern.withheld]
    withheld += [f"table `{name}`: {why}" for name, why in LEFT_OUT.items() if run.has(name) and len(run.table(name))]
    if len(claims):
        withheld.append(
            f"the numbers of {len(claims)} rows with status `suppressed` (in `coverage`: without numbers): groups of "
            f"fewer than {threshold} images or clusters, and others from which those could be worked out"
        )
    return Disclosure("public", threshold, tuple(withheld), claims), tables


def _internal(run: Run, *, maps: bool) -> tuple[Disclosure, dict[str, pd.DataFrame]]:
    tables = {name: run.table(name) for name in ("findings",) if run.has(name)}
    return Disclosure("internal", None, () if maps else (_MAPS,)), tables


def _write(run: Run, disclosure: Disclosure, tables: Mapping[str, pd.DataFrame], out: Path) -> None:
    (out / "tables").mkdir(parents=True, exist_ok=True)
    for name, frame in tables.items():
        write_table(out, name, frame)
    if disclosure.level == "internal":
        record = {**run.record, "disclosure": disclosure.to_json()}
        for name in TABLES:
            if name not in tables and run.has(name):
                shutil.copyfile(table_path(run.path, name), table_path(out, name))
    else:
        record = disclosed_record(run.record, disclosure.to_json(), rows=disclosure.level == "auditor")
    write_json(out / "run.json", {**record, "tables": table_digests(out)})


def _copy_rest(run: Run, out: Path, *, maps: bool) -> None:
    if (run.path / "plan.json").exists():
        shutil.copyfile(run.path / "plan.json", out / "plan.json")
    for name in ("thumbnails", *(("shards",) if maps else ())):
        if (run.path / name).is_dir():
            shutil.copytree(run.path / name, out / name, ignore=shutil.ignore_patterns(".*"))
