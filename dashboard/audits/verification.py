"""Whether a run is as it was written: what is known without reading it, and the check itself with its progress.

A result is kept as long as no file of the run has changed since, and is shared by all sessions of the server.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from audit.errors import FaircamError
from audit.run import Run
from audit.run.integrity import check_integrity
from audit.run.plan import read_plan
from dashboard import data
from dashboard.text import escape

__all__ = ["Verification", "known_state", "show", "verify"]

_STAMPED = ("run.json", "plan.json", "tables", "tables/*.parquet", "shards/*")
Signature = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True)
class Verification:
    """What is known of a run's hashes.

    Attributes
    ----------
    state : {'unchanged', 'changed', 'not_checked', 'unknown'}
        ``unknown`` where the record holds no digests to compare with.
    problems : tuple of str
        What is not as it was written, a sentence each.
    """

    state: str
    problems: tuple[str, ...] = ()


_STYLES = {
    "unchanged": ("✓ Hashes agree", "green", "Every table and shard is as the run's record says. A signature is not."),
    "changed": ("✕ Changed", "red", "The run is not as it was written."),
    "not_checked": (
        "– Not verified",
        "gray",
        "The record holds digests; they were not compared since the last change.",
    ),
    "unknown": (
        "? No digests",
        "yellow",
        "The record holds no digests of its tables: only plan and shards can be checked.",
    ),
}


def known_state(path: Path) -> Verification:
    """What is known without reading more than the record and the times of the files."""
    kept = _results().get(str(path))
    if kept is not None and kept[0] == _signature(path):
        return kept[1]
    return Verification("not_checked" if data.open_cached(path).record.get("tables") else "unknown")


def verify(path: Path) -> Verification:
    """Compare every digest, showing how far it is; the result is kept until a file changes."""
    run, signature = data.open_cached(path), _signature(path)
    total, done = _steps(run), 0
    bar = st.progress(0.0, text=escape(f"Verifying {run.name}"))

    def watch(what: str) -> None:
        nonlocal done
        done += 1
        bar.progress(min(done / total, 1.0), text=escape(f"Verifying {run.name}: {what}"))

    problems = tuple(check_integrity(run, watch))
    bar.empty()
    digests = bool(run.record.get("tables"))
    found = Verification("changed" if problems else "unchanged" if digests else "unknown", problems)
    _results()[str(path)] = (signature, found)
    return found


def show(found: Verification) -> None:
    """As a sign, a word and a colour."""
    words, colour, meaning = _STYLES[found.state]
    st.badge(escape(words), color=colour, help=meaning)  # type: ignore[arg-type]


@st.cache_resource(show_spinner=False)
def _results() -> dict[str, tuple[Signature, Verification]]:
    return {}


def _steps(run: Run) -> int:
    """How many files are looked at, at least 1."""
    try:
        plan = read_plan(run.path)
        shards = sum(len(plan.for_model(model)) for model in plan.models)
    except FaircamError:
        shards = 0
    return max(1, len(run.record.get("tables") or {}) + shards)


def _signature(path: Path) -> Signature:
    """Name, size and time of change of what the check reads; of shards, of their folders, as these are only added."""
    return tuple(_stamps(path))


def _stamps(path: Path) -> Iterable[tuple[str, int, int]]:
    for pattern in _STAMPED:
        for file in sorted(path.glob(pattern)):
            about = file.stat()
            yield file.name, about.st_size, about.st_mtime_ns
