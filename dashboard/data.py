"""Reading runs for the pages, cached by file and time of change. Only the columns and rows asked for are read.

What is kept is bounded in bytes, not in entries: a thousand small choices may stay, a few large ones may not.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from audit.errors import RunError
from audit.run import Run, find_runs, open_run
from audit.run.files import sha256_file
from audit.run.shards import explained_shards, read_columns, read_maps
from dashboard.server import RUNS_VARIABLE

__all__ = [
    "attributes",
    "changed",
    "counts",
    "current",
    "digest",
    "distinct",
    "explained_ids",
    "explained_predictions",
    "find",
    "maps",
    "open_cached",
    "records",
    "select",
    "table",
]

Filter = tuple[str, str, Any]
_CURRENT = "_faircam_run"
_TABLES, _MAPS = "192MB", "96MB"
"""Most memory, over all sessions, for rows and for maps that were read."""

_OUTCOME = ("model", "image_id", "label", "predicted", "confidence", "status")


def find() -> list[Path]:
    """Run folders that this dashboard serves, newest first."""
    folder = os.environ.get(RUNS_VARIABLE)
    if not folder:
        raise RunError(f"no runs folder is named by {RUNS_VARIABLE}", fix="start with `faircam dashboard RUNS_DIR`")
    return find_runs(Path(folder))


def select(path: Path) -> Run:
    """Open a run and make it the one that pages show."""
    st.session_state[_CURRENT] = str(path)
    return current()


def current() -> Run:
    """The run that pages show."""
    return open_cached(Path(st.session_state[_CURRENT]))


def open_cached(path: Path) -> Run:
    """Open a run; again only when its record has changed."""
    return _open(str(path), _stamp(path / "run.json"))


@st.cache_resource(max_entries=512, show_spinner=False)
def _open(path: str, stamp: int) -> Run:  # noqa: ARG001  the stamp is part of the cache's key
    return open_run(path)


def table(
    run: Run, name: str, columns: tuple[str, ...] | None = None, filters: tuple[Filter, ...] | None = None
) -> pd.DataFrame:
    """Columns and rows of a table; empty where the table was not written.

    Parameters
    ----------
    run : Run
    name : str
        Table name.
    columns : tuple of str, optional
        Only these.
    filters : tuple of (column, operator, value), optional
        Only rows that meet all of them, decided while reading the file. Lists must be given as tuples.
    """
    return _table(str(run.path), name, _stamp(run.path / "tables" / f"{name}.parquet"), columns, filters)


@st.cache_data(max_size=_TABLES, show_spinner=False)
def _table(
    path: str,
    name: str,
    stamp: int,
    columns: tuple[str, ...] | None,
    filters: tuple[Filter, ...] | None,
) -> pd.DataFrame:
    run = _opened(path)
    if not stamp:
        empty = run.table(name)
        return empty.reindex(columns=list(columns)) if columns else empty
    options: dict[str, Any] = {}
    if columns:
        options["columns"] = list(columns)
    if filters:
        options["filters"] = list(filters)
    return run.table(name, **options)


def distinct(run: Run, name: str, columns: tuple[str, ...], filters: tuple[Filter, ...] | None = None) -> pd.DataFrame:
    """Combinations of values that occur in some columns of a table, in its order."""
    return _distinct(str(run.path), name, _stamp(run.path / "tables" / f"{name}.parquet"), columns, filters)


@st.cache_data(max_size="32MB", show_spinner=False)
def _distinct(
    path: str, name: str, stamp: int, columns: tuple[str, ...], filters: tuple[Filter, ...] | None
) -> pd.DataFrame:
    if not stamp:
        return pd.DataFrame({column: [] for column in columns})
    options: dict[str, Any] = {"filters": list(filters)} if filters else {}
    return _opened(path).table(name, columns=list(columns), **options).drop_duplicates(ignore_index=True)


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as dictionaries, keyed by column name; a column at a time, as pandas' own way takes ten times as long."""
    names = [str(name) for name in frame.columns]
    columns = [[None if cell is pd.NA else cell for cell in frame[name].tolist()] for name in frame.columns]
    return [dict(zip(names, cells, strict=True)) for cells in zip(*columns, strict=True)]


def counts(run: Run, attribute: str) -> pd.DataFrame:
    """Images by group and label: columns ``group``, ``label``, ``images``; only images that were usable.

    They are read from the small table `coverage`; only of a run that is older than that are the images counted.
    """
    wanted = (("attribute", "=", attribute),)
    covered = table(run, "coverage", ("group", "label", "images", "failed"), wanted)
    if covered.empty:
        return _counts(str(run.path), changed(run, "images"), attribute)
    usable = covered.assign(images=covered["images"] - covered["failed"])
    kept = usable["label"].notna() & (usable["images"] > 0)
    return usable.loc[kept, ["group", "label", "images"]].reset_index(drop=True)


@st.cache_data(max_entries=64, show_spinner=False)
def _counts(path: str, stamp: int, attribute: str) -> pd.DataFrame:
    run, column = _opened(path), f"attr_{attribute}"
    if not stamp:
        return pd.DataFrame({"group": [], "label": [], "images": []})
    frame = run.table("images", columns=["label", column], filters=[("status", "=", "ok")])
    grouped = frame.groupby([column, "label"], sort=True, observed=True).size()
    return grouped.rename("images").rename_axis(["group", "label"]).reset_index()


def attributes(run: Run) -> list[str]:
    """Names of the group attributes, as the record has them."""
    named = run.record.get("data", {}).get("attributes", [])
    return [str(item["name"] if isinstance(item, dict) else item) for item in named]


def explained_ids(run: Run) -> list[str]:
    """Images for which explanations were asked, each once, in order."""
    return [str(name) for name in distinct(run, "explanations", ("image_id",))["image_id"]]


def explained_predictions(run: Run) -> pd.DataFrame:
    """What every model says of the images for which explanations were asked.

    Returns
    -------
    DataFrame
        ``model``, ``image_id``, ``label``, ``predicted``, ``confidence``, ``status``; no probabilities.
    """
    return _explained(str(run.path), changed(run, "explanations"), changed(run, "predictions"))


@st.cache_data(max_size="64MB", show_spinner=False)
def _explained(path: str, explained: int, predicted: int) -> pd.DataFrame:
    run = _opened(path)
    names = explained_ids(run) if explained else []
    if not names or not predicted:
        return pd.DataFrame({column: [] for column in _OUTCOME})
    return run.table("predictions", columns=list(_OUTCOME), filters=[("image_id", "in", names)])


def maps(run: Run, model: str, method: str, image_ids: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Raw maps ``(h, w)`` of some images, by image; those of which none was kept are left out."""
    return _maps(str(run.path), _stamp(run.path / "shards" / model), model, method, image_ids)


@st.cache_data(max_size=_MAPS, show_spinner=False)
def _maps(path: str, stamp: int, model: str, method: str, image_ids: tuple[str, ...]) -> dict[str, np.ndarray]:
    places = _places(path, stamp, model)
    files = dict.fromkeys(places[name] for name in image_ids if name in places)
    found: dict[str, np.ndarray] = {}
    for file in files:
        found |= read_maps(file, method, frozenset(image_ids))
    return found


@st.cache_resource(max_entries=32, show_spinner=False)
def _places(path: str, stamp: int, model: str) -> dict[str, Path]:  # noqa: ARG001  the stamp is part of the key
    """The shard file that holds each image's maps. A folder's time changes with every shard that is committed."""
    files = explained_shards(Path(path), model)
    return {str(name): file for file in files for name in read_columns(file, ["image_id"])["image_id"]}


def changed(run: Run, name: str) -> int:
    """Time at which a table was last written; 0 where it was not. What is kept between reruns hangs on it."""
    return _stamp(run.path / "tables" / f"{name}.parquet")


def digest(path: Path) -> str:
    """SHA-256 of a file, computed again only when it has changed."""
    return _digest(str(path), _stamp(path))


@st.cache_data(max_entries=4096, show_spinner=False)
def _digest(path: str, stamp: int) -> str:  # noqa: ARG001
    return sha256_file(Path(path))


def _opened(path: str) -> Run:
    return _open(path, _stamp(Path(path) / "run.json"))


def _stamp(path: Path) -> int:
    """Time of a file's last change in nanoseconds; 0 where there is none."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
