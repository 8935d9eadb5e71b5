"""The folders of a runs folder: which are runs, what each says of itself, and in plain words why one cannot be shown.

Only records, the small table of findings and file times are read, so that a list of many large runs is quick.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import streamlit as st

from audit.errors import FaircamError, RunError
from audit.run import Run
from audit.run.integrity import NEEDED
from audit.run.schema import SCHEMA_VERSION
from audit.run.tables import table_path
from dashboard import data
from dashboard.server import RUNS_VARIABLE
from dashboard.text import run_date
from reports.format import clean, known
from reports.palette import VERDICT_ORDER

__all__ = ["SORTS", "Listed", "Unshown", "listed", "matches", "served", "unshown"]

SORTS = {
    "newest": "newest first",
    "oldest": "oldest first",
    "name": "by name",
    "failing": "most failing first",
    "images": "most images first",
}
"""Orders of the list, and their words."""


@dataclass(frozen=True)
class Listed:
    """A run as the list shows it.

    Attributes
    ----------
    path : Path
    name, made, models : str
        ``made`` is a day, or ``undated``.
    frameworks : tuple of str
        Model and framework of each.
    usable, planned : int or None
    state : {'complete', 'incomplete', 'written now'}
    level : str
        Disclosure level; empty for a run itself.
    verdicts : dict of str to int
        Findings by verdict, in the order of the palette.
    preregistered : bool or None
        Whether every finding's rule was fixed before results existed; None without findings.
    policy : str
        Name of the policy; empty where none was named.
    remarks : tuple of str
        What keeps it from being shown whole, a sentence each.
    """

    path: Path
    name: str
    made: str
    models: tuple[str, ...]
    usable: int | None
    planned: int | None
    state: str
    level: str = ""
    verdicts: dict[str, int] = field(default_factory=dict)
    preregistered: bool | None = None
    policy: str = ""
    remarks: tuple[str, ...] = ()

    @property
    def failing(self) -> int:
        """How many findings fail."""
        return self.verdicts.get("fail", 0)


@dataclass(frozen=True)
class Unshown:
    """A folder that cannot be shown, and why."""

    path: Path
    reason: str


def served() -> Path:
    """The folder that this dashboard serves."""
    folder = os.environ.get(RUNS_VARIABLE)
    if not folder:
        raise RunError(f"no runs folder is named by {RUNS_VARIABLE}", fix="start with `faircam dashboard RUNS_DIR`")
    return Path(folder)


def listed(sort: str) -> list[Listed]:
    """Every run that can be opened, in an order of `SORTS`."""
    found = []
    for path in data.find():
        try:
            found.append(_listed(data.open_cached(path)))
        except FaircamError:  # it is among those that `unshown` names
            continue
    if sort == "name":
        return sorted(found, key=lambda run: (run.name.casefold(), run.path.name))
    if sort == "failing":
        return sorted(found, key=lambda run: -run.failing)
    if sort == "images":
        return sorted(found, key=lambda run: -(run.usable or 0))
    return sorted(found, key=lambda run: "" if run.made == "undated" else run.made, reverse=sort == "newest")


def unshown() -> list[Unshown]:
    """Folders beside the runs that are none, or whose record cannot be read."""
    folder = served()
    if not folder.is_dir():
        return [Unshown(folder, "The folder is not there any more.")]
    if (folder / "run.json").exists():
        return []
    paths = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    found = [(path, _trouble(path)) for path in paths]
    return [Unshown(path, reason) for path, reason in found if reason]


def matches(run: Listed, search: str) -> bool:
    """Whether every word that is searched for is in the run's name, folder, models, policy or date."""
    text = " ".join([run.name, run.path.name, *run.models, run.policy, run.made, run.level]).casefold()
    return all(word in text for word in search.casefold().split())


def _trouble(path: Path) -> str:
    """Why a folder cannot be opened as a run, in one sentence; empty where it can."""
    try:
        data.open_cached(path)
    except FaircamError as error:
        if (path / "run.json").exists():
            fix = f" To mend it: {error.fix}." if error.fix else ""
            return f"Its record cannot be read: it {error.what}.{fix}"
        if (path / "plan.json").exists():
            words = "is being made at the moment" if _written_now(path) else "ended before its first record was written"
            return f"A run that {words}; there is nothing to show yet. `faircam run --resume` goes on with it."
        return "No run: it holds no run.json."
    return ""


def _listed(run: Run) -> Listed:
    path = str(run.path)
    stamps = (data.changed(run, "findings"), *(data.changed(run, name) for name in NEEDED))
    return _read(path, _record_stamp(run.path), stamps, written=not run.complete and _written_now(run.path))


@st.cache_data(max_entries=2048, show_spinner=False)
def _read(path: str, record: int, stamps: tuple[int, ...], *, written: bool) -> Listed:  # noqa: ARG001
    run = data.open_cached(Path(path))
    about = _mapping(run.record.get("data"))
    state = "complete" if run.complete else "written now" if written else "incomplete"
    verdicts, preregistered, remark = _verdicts(run)
    return Listed(
        run.path,
        run.name,
        run_date(run),
        tuple(str(model.get("name")) for model in run.record.get("models") or []),
        _whole(_mapping(about.get("counts")).get("ok")),
        _whole(about.get("planned")),
        state,
        clean(_mapping(run.record.get("disclosure")).get("level") or ""),
        verdicts,
        preregistered,
        clean(_mapping(run.record.get("policy")).get("name") or ""),
        (*remark, *_remarks(run)),
    )


def _verdicts(run: Run) -> tuple[dict[str, int], bool | None, list[str]]:
    try:
        rows = run.table("findings", columns=["verdict", "preregistered"])
    except FaircamError:
        return {}, None, ["Its table of findings cannot be read."]
    if rows.empty:
        return {}, None, []
    found = rows["verdict"].value_counts()
    order = [*VERDICT_ORDER, *sorted(set(found.index) - set(VERDICT_ORDER))]
    fixed_before = bool(rows["preregistered"].fillna(False).all())
    return {str(name): int(found[name]) for name in order if name in found.index}, fixed_before, []


def _remarks(run: Run) -> list[str]:
    """What the run lacks, as far as its record and the names of its files tell."""
    version = int(run.record["schema_version"])
    said = []
    if version < SCHEMA_VERSION:
        said.append(
            f"It was written in format {version}, before this version's {SCHEMA_VERSION}: what that format lacks is "
            "shown as not measured."
        )
    if not run.complete:
        return said
    disclosed = run.record.get("disclosure") is not None
    names = [*_mapping(run.record.get("tables")), *(() if disclosed else NEEDED)]
    missing = [name for name in dict.fromkeys(names) if not table_path(run.path, str(name)).exists()]
    if missing:
        said.append(f"A part is missing: {', '.join(map(clean, missing))}. What it held is shown as not measured.")
    return said


def _written_now(path: Path) -> bool:
    """Whether a live process holds the run's lock."""
    try:
        descriptor = os.open(path / ".lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _record_stamp(path: Path) -> int:
    try:
        return (path / "run.json").stat().st_mtime_ns
    except OSError:
        return 0


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _whole(value: Any) -> int | None:
    return int(value) if known(value) else None
