"""From clauses of legal packs to what a run holds for them: claims, files and statements, or that they are missing.

It says which evidence there is, never whether it is enough: that is for a person to judge.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import date
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from audit.run import Run
from audit.run.claims import CLAIM_KEYS, claims_of
from audit.run.statements import Statement, current_statements
from reports.bundle.packs import Clause, Pack

__all__ = ["MOST_CLAIMS", "STATUSES", "crosswalk"]

MOST_CLAIMS = 20
"""So many claims are named for a pattern, beside their number."""

STATUSES = ("evidence present", "input missing", "not applicable")

_MEANING = (
    "'evidence present' means that this run holds something for everything that the pack asks for under a clause; "
    "'input missing' lists what it does not hold; 'not applicable' means that the run holds nothing that the clause "
    "is about. Whether evidence is enough, and whether a text applies, is for a person to judge."
)
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

_VALUES = {"coverage": "images", "paired": "difference", "sensitivity": "share"}
"""Column with a table's number, where it is not ``value``."""


def crosswalk(
    run: Run,
    packs: Iterable[Pack],
    statements: Iterable[Statement],
    files: Iterable[str],
    day: date,
    *,
    most: int = MOST_CLAIMS,
) -> dict[str, Any]:
    """Hold legal packs against a run.

    Parameters
    ----------
    run : Run
        At any disclosure level: claims whose number is withheld or undefined are counted apart and are no evidence.
    packs : iterable of Pack
    statements : iterable of Statement
        The run's log.
    files : iterable of str
        Places of the files that stand beside the crosswalk.
    day : date
        Clauses whose date lies after it are marked as not yet in force.
    most : int
        Number of claims that are named for a pattern.

    Returns
    -------
    dict
        JSON values. Of each pack its sources and who confirmed it; of each clause its status, its date, the evidence
        by pattern, the statements, and what is missing.
    """
    shelf = _Shelf(run, sorted(files), most)
    given = current_statements(statements)
    return {
        "run_id": run.record.get("run_id"),
        "day": day.isoformat(),
        "complete": run.complete,
        "meaning": _MEANING,
        "packs": [_pack(pack, shelf, given, day) for pack in packs],
    }


class _Shelf:
    """What there is to point to; each pattern, each table and each of its columns is looked up once."""

    def __init__(self, run: Run, files: list[str], most: int) -> None:
        self._run, self._files, self._most = run, files, most
        self.find = cache(self._find)
        self._table = cache(self._read)
        self._column = cache(self._named)

    def _find(self, pattern: str) -> dict[str, Any]:
        """What matches a pattern: claims with their number, or files."""
        table, colon, rest = pattern.partition(":")
        if not colon:
            return {"need": pattern, "files": [name for name in self._files if fnmatchcase(name, pattern)]}
        frame, held = self._table(table)
        chosen = np.ones(len(frame), bool)
        for key, want in zip(CLAIM_KEYS[table], rest.split(":"), strict=False):  # a shorter one ends in a star
            if want != "*":
                names, places = self._column(table, key)
                chosen &= np.array([fnmatchcase(name, want) for name in names], bool)[places]
        found = chosen & held
        return {
            "need": pattern,
            "claims": claims_of(table, frame[found].head(self._most)),
            "total": int(found.sum()),
            "without_value": int(chosen.sum() - found.sum()),
        }

    def _read(self, table: str) -> tuple[pd.DataFrame, Bools]:
        """Rows of a table, and whether there is a number behind each."""
        frame = self._run.table(table)
        column = _VALUES.get(table, "value")
        known = frame[column].notna().to_numpy(bool) if column in frame and table != "findings" else True
        return frame, np.broadcast_to(np.asarray(known), len(frame))

    def _named(self, table: str, key: str) -> tuple[list[str], Ints]:
        """Different values of a key's column as claims write them, and the place of each row's among them."""
        frame, _ = self._table(table)
        if key not in frame:
            return [""], np.zeros(len(frame), np.int64)
        places, values = pd.factorize(frame[key], use_na_sentinel=False)
        claims = claims_of(table, pd.DataFrame({key: values}))
        place = CLAIM_KEYS[table].index(key)
        return [_parts(table, claim)[place] for claim in claims], np.asarray(places, np.int64)


def _parts(table: str, claim: str) -> list[str]:
    parts = claim.split(":")[1:]
    return parts if len(parts) == len(CLAIM_KEYS[table]) else [*parts, "range"]


def _pack(pack: Pack, shelf: _Shelf, given: dict[str, Statement], day: date) -> dict[str, Any]:
    clauses = [_clause(clause, pack, shelf, given, day) for clause in pack.clauses]
    counts = Counter(clause["status"] for clause in clauses)
    said = pack.confirmed
    return {
        "id": pack.id,
        "title": pack.title,
        "jurisdiction": pack.jurisdiction,
        "version": pack.version.isoformat(),
        "source": [source.model_dump() for source in pack.source],
        "confirmed": None if said is None else {"by": said.by, "date": said.date.isoformat()},
        "confirmation": "nobody has confirmed this pack against its source"
        if said is None
        else f"confirmed against its source by {said.by} on {said.date}",
        "notes": list(pack.notes),
        "counts": {status: counts[status] for status in STATUSES},
        "clauses": clauses,
    }


def _clause(clause: Clause, pack: Pack, shelf: _Shelf, given: dict[str, Statement], day: date) -> dict[str, Any]:
    evidence = [shelf.find(pattern) for pattern in clause.needs]
    questions = pack.all_questions
    said = [_statement(name, questions[name], given.get(name)) for name in clause.statements]
    missing = [_lacking(item) for item in evidence if not _there(item)]
    missing += [f"statement '{item['id']}': {item['question']}" for item in said if not item["given"]]
    about_nothing = bool(clause.applies) and not any(_there(shelf.find(pattern)) for pattern in clause.applies)
    content: dict[str, Any] = {
        "id": clause.id,
        "title": clause.title,
        "status": STATUSES[2] if about_nothing else STATUSES[1] if missing else STATUSES[0],
        "in_force": None if clause.in_force is None else clause.in_force.isoformat(),
        "force": _force(clause, day),
        "evidence": [] if about_nothing else evidence,
        "statements": said,
        "missing": [] if about_nothing else missing,
        "note": clause.note,
    }
    if about_nothing:
        content["reason"] = f"the run holds none of: {', '.join(clause.applies)}"
    return content


def _there(item: dict[str, Any]) -> bool:
    return bool(item.get("claims") or item.get("files"))


def _lacking(item: dict[str, Any]) -> str:
    if "files" in item:
        return f"file {item['need']}"
    withheld = f"; {item['without_value']} without a number" if item["without_value"] else ""
    return f"claims {item['need']}{withheld}"


def _statement(name: str, question: str, entry: Statement | None) -> dict[str, Any]:
    content: dict[str, Any] = {"id": name, "question": question, "given": entry is not None}
    if entry is not None:
        content |= {"entry": entry.id, "author": entry.author, "role": entry.role, "time": entry.time}
    return content


def _force(clause: Clause, day: date) -> str:
    """Whether a clause holds on a day, as far as the pack says."""
    if clause.in_force is None:
        return "the pack gives no date"
    dates = [(clause.in_force, clause.scope), *((later.date, later.scope) for later in clause.later)]
    return "; ".join(
        f"{'in force since' if when <= day else 'not yet in force until'} {when}{f' for {scope}' if scope else ''}"
        for when, scope in dates
    )
