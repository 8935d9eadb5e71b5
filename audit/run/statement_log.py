"""The file of a run's statements: one entry a line, each with the digest of the one before, lines only ever added.

A line that was changed, moved or taken out of the middle breaks the chain. Lines cut off at the end, or a log written
anew with every digest, are only found by a signature.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from audit.errors import RunError
from audit.run.files import canonical_json, sha256_bytes
from audit.run.integrity import IntegrityError

__all__ = ["LOG", "Kind", "Statement", "append_entry", "chain_problems", "read_log"]

Kind = Literal["statement", "note", "waiver"]

LOG = "statements.jsonl"
"""Name of the log inside a run folder."""


@dataclass(frozen=True)
class Statement:
    """One entry of the log.

    Attributes
    ----------
    id : str
        Its place in the log, counted from ``0001``.
    kind : str
        ``statement``, ``note`` or ``waiver``.
    about : str
        Id of a statement, or a claim.
    author, role : str
        Who says it, and as what.
    time : str
        ISO 8601, in UTC.
    text : str
        What is said; of a waiver, the reason.
    expires : str or None
        Last day of a waiver, ``YYYY-MM-DD``; None for the others.
    previous : str
        `sha256` of the entry before; of the first, the empty string.
    sha256 : str
        Digest of all other fields, as canonical JSON.
    """

    id: str
    kind: Kind
    about: str
    author: str
    role: str
    time: str
    text: str
    expires: str | None
    previous: str
    sha256: str


_FIELDS = {field.name for field in fields(Statement)}


def append_entry(path: Path, said: Mapping[str, Any]) -> Statement:
    """Number, chain and write an entry, and wait until it is on the disk; the caller holds the run's lock.

    Parameters
    ----------
    path : Path
        The log; is made where it is missing. What a crash left of a line that was never finished is dropped.
    said : mapping
        Every field but `id`, `previous` and `sha256`.

    Raises
    ------
    IntegrityError
        The log was changed since it was written.
    """
    entries, whole = _read(path)
    number = len(entries) + 1
    content = {**said, "id": f"{number:04d}", "previous": entries[-1].sha256 if entries else ""}
    entry = Statement(**content, sha256=_digest(content))
    _append(path, _line(entry), whole)
    return entry


def read_log(path: Path) -> tuple[Statement, ...]:
    """Every finished entry, in order; none where there is no log.

    Raises
    ------
    IntegrityError
        The log was changed since it was written.
    """
    return tuple(_read(path)[0])


def chain_problems(path: Path) -> list[str]:
    """What is wrong with a log, one sentence each: lines torn, changed, moved or taken out of the middle.

    Parameters
    ----------
    path : Path
        The log; where there is none, nothing is wrong.
    """
    if not path.exists():
        return []
    lines, torn = _lines(path)
    problems: list[str] = []
    previous: str | None = ""
    for number, line in enumerate(lines, 1):
        entry = _parsed(line)
        if entry is None:
            problems.append(f"{path.name}, line {number}: is no entry of the log")
        else:
            problems += [
                f"{path.name}, line {number}: {text}" for text in _entry_problems(entry, line, number, previous)
            ]
        previous = entry.sha256 if entry is not None else None
    if torn:
        problems.append(f"{path.name}, line {len(lines) + 1}: is torn; it was never finished")
    return problems


def _read(path: Path) -> tuple[list[Statement], int]:
    """Entries of a log that is as it was written, and how many bytes they take."""
    if not path.exists():
        return [], 0
    lines, torn = _lines(path)
    problems = chain_problems(path)[: -1 if torn else None]
    if problems:
        raise IntegrityError(
            "; ".join(problems), where=str(path.parent), fix="put back the log as it was, from a bundle or a copy"
        )
    return [entry for line in lines if (entry := _parsed(line)) is not None], sum(len(line) + 1 for line in lines)


def _lines(path: Path) -> tuple[list[bytes], bytes]:
    """The finished lines, and what stands after the last one."""
    try:
        *lines, torn = path.read_bytes().split(b"\n")
    except OSError as error:
        raise RunError(f"cannot be read: {error}", where=str(path)) from error
    return lines, torn


def _append(path: Path, line: bytes, whole: int) -> None:
    new = not path.exists()
    with path.open("ab") as stream:
        stream.truncate(whole)
        stream.write(line + b"\n")
        stream.flush()
        os.fsync(stream.fileno())
    if new:
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _line(entry: Statement) -> bytes:
    """One entry on one line, whatever its reader takes for the end of a line."""
    text = canonical_json(asdict(entry)).decode()
    for sign in "\x85\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text.encode()


def _parsed(line: bytes) -> Statement | None:
    try:
        content = json.loads(line)
        if set(content) != _FIELDS or content["kind"] not in get_args(Kind):
            return None
        if not all(isinstance(value, str) or (name == "expires" and value is None) for name, value in content.items()):
            return None
        return Statement(**content)
    except (ValueError, TypeError):
        return None


def _digest(said: Mapping[str, Any]) -> str:
    return sha256_bytes(canonical_json({name: value for name, value in said.items() if name != "sha256"}))


def _entry_problems(entry: Statement, line: bytes, number: int, previous: str | None) -> list[str]:
    try:
        same = _digest(asdict(entry)) == entry.sha256 and _line(entry) == line
    except UnicodeEncodeError:
        same = False
    problems = [] if same else ["was changed: its SHA-256 is not that of what it says"]
    if previous is not None and entry.previous != previous:
        problems.append("does not follow the line before it: an entry was changed, added, moved or taken out")
    elif entry.id != f"{number:04d}":
        problems.append(f"is entry {entry.id}: an entry was added, moved or taken out")
    return problems
