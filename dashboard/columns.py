"""Columns of a run as short numbers, a place an image, kept between reruns: a million images filter in milliseconds.

Nothing here is a frame. Names become positions in a short list; what belongs to a model is put in the images' order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import streamlit as st

from audit.errors import RunError
from audit.fairness.rows import MISSING
from audit.run import Run
from audit.run.tables import table_path
from dashboard import data

__all__ = ["Codes", "Ids", "Outcomes", "attribute", "clusters", "ids", "members_of", "outcomes", "pictured"]

Ints = npt.NDArray[np.int32]
Bools = npt.NDArray[np.bool_]


class Ids:
    """Ids of a run's images in the order of table `images`; looked up without a Python object an image."""

    def __init__(self, array: pa.Array) -> None:
        self.array = array

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, place: int | np.integer) -> str:
        return str(self.array[int(place)].as_py())

    def __iter__(self) -> Iterator[str]:
        return (str(item.as_py()) for item in self.array)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.place(name) is not None

    def place(self, name: str) -> int | None:
        """Position of an image; None where there is none of that id."""
        found = pc.index(self.array, pa.scalar(name, self.array.type)).as_py()
        return int(found) if found >= 0 else None


@dataclass(frozen=True)
class Codes:
    """A column of names.

    Attributes
    ----------
    names : tuple of str
    codes : ndarray of int32, shape (N,)
        Position of each image's name; -1 where it has none.
    """

    names: tuple[str, ...]
    codes: Ints

    def equal(self, name: str) -> Bools:
        """Which images bear a name; none where it is unknown."""
        if name not in self.names:
            return np.zeros(len(self.codes), bool)
        return np.asarray(self.codes == self.names.index(name))


@dataclass(frozen=True)
class Outcomes:
    """What a model said of every image.

    Attributes
    ----------
    label, predicted : Codes
        Over the same names, the run's classes first.
    confidence : ndarray of float32, shape (N,)
        NaN where there is none.
    usable : ndarray of bool, shape (N,)
        Whether the image and its prediction count.
    """

    label: Codes
    predicted: Codes
    confidence: npt.NDArray[np.float32]
    usable: Bools

    @property
    def wrong(self) -> Bools:
        """Which usable images it got wrong."""
        return np.asarray(self.usable & (self.label.codes != self.predicted.codes))


def ids(run: Run) -> Ids:
    """Ids of the images; none where the run holds no rows on single images."""
    return _ids(str(run.path), data.changed(run, "images"))


def attribute(run: Run, name: str) -> Codes:
    """Group of every image; one without a group is in ``(missing)``."""
    return _attribute(str(run.path), data.changed(run, "images"), name)


def clusters(run: Run) -> Ints | None:
    """Cluster of every image, an image without one in a cluster of its own; None where no image has one."""
    return _clusters(str(run.path), data.changed(run, "images"))


def outcomes(run: Run, model: str) -> Outcomes:
    """What a model said of every image, in the order of the images."""
    return _outcomes(str(run.path), data.changed(run, "images"), data.changed(run, "predictions"), model)


def pictured(run: Run) -> Bools:
    """Images of which a small picture was kept."""
    folder = run.path / "thumbnails"
    stamp = folder.stat().st_mtime_ns if folder.is_dir() else 0
    return _pictured(str(run.path), data.changed(run, "images"), stamp)


def members_of(run: Run, model: str, name: str) -> Bools:
    """Images of a slice that nobody labelled."""
    rows = data.table(run, "slice_images", ("image_id",), (("model", "=", model), ("slice", "=", name)))
    return _among(ids(run).array, pa.array([str(image) for image in rows["image_id"]], pa.string()))


@st.cache_resource(max_entries=8, show_spinner=False)
def _ids(path: str, stamp: int) -> Ids:
    return Ids(_whole(_read(path, "images", ["image_id"])["image_id"]) if stamp else pa.array([], pa.string()))


@st.cache_resource(max_entries=64, show_spinner=False)
def _attribute(path: str, stamp: int, name: str) -> Codes:  # noqa: ARG001  the stamp is part of the cache's key
    column = f"attr_{name}"
    found = _codes(_read(path, "images", [column], named=[column])[column])
    missing = found.codes < 0
    if not missing.any():
        return found
    names = found.names if MISSING in found.names else (*found.names, MISSING)
    return Codes(names, np.where(missing, np.int32(names.index(MISSING)), found.codes))


@st.cache_resource(max_entries=4, show_spinner=False)
def _clusters(path: str, stamp: int) -> Ints | None:  # noqa: ARG001
    found = _codes(_read(path, "images", ["cluster"], named=["cluster"])["cluster"])
    alone = found.codes < 0
    if alone.all():
        return None
    return np.where(alone, len(found.names) + np.cumsum(alone, dtype=np.int32) - 1, found.codes)


@st.cache_resource(max_entries=16, show_spinner=False)
def _outcomes(path: str, images: int, predictions: int, model: str) -> Outcomes:
    every = _ids(path, images).array
    if not images or not predictions:
        nothing = Codes((), np.full(len(every), -1, np.int32))
        return Outcomes(nothing, nothing, np.full(len(every), np.nan, np.float32), np.zeros(len(every), bool))
    words = ["label", "predicted", "status"]
    found = _read(path, "predictions", ["image_id", "confidence", *words], named=words, model=model)
    own = _whole(found["image_id"])
    if not own.equals(every):  # put in the images' order; an image without a prediction gets a row of nulls
        found = found.take(pc.index_in(every, value_set=own))
    run = data.open_cached(Path(path))
    classes = tuple(str(name) for name in run.record.get("data", {}).get("classes") or ())
    label, predicted = _shared(classes, _codes(found["label"]), _codes(found["predicted"]))
    fine = _codes(_read(path, "images", ["status"], named=["status"])["status"]).equal("ok")
    usable = fine & _codes(found["status"]).equal("ok") & (predicted.codes >= 0)
    confidence = _whole(found["confidence"]).to_numpy(zero_copy_only=False).astype(np.float32)
    return Outcomes(label, predicted, confidence, usable)


@st.cache_resource(max_entries=8, show_spinner=False)
def _pictured(path: str, images: int, stamp: int) -> Bools:
    every = _ids(path, images).array
    if not stamp:
        return np.zeros(len(every), bool)
    kept = [file.name[:-4] for file in (Path(path) / "thumbnails").iterdir() if file.name.endswith(".jpg")]
    return _among(every, pa.array(kept, pa.string()))


def _among(every: pa.Array, some: pa.Array) -> Bools:
    return np.asarray(pc.is_in(every, value_set=some).to_numpy(zero_copy_only=False), bool)


def _shared(classes: Sequence[str], *columns: Codes) -> tuple[Codes, ...]:
    """Columns over one list of names: the classes, then what else occurs."""
    names = tuple(dict.fromkeys([*classes, *(name for column in columns for name in column.names)]))
    place = {name: position for position, name in enumerate(names)}
    out = []
    for column in columns:
        moved = np.array([*(place[name] for name in column.names), -1], np.int32)
        out.append(Codes(names, moved[column.codes]))
    return tuple(out)


def _codes(column: pa.ChunkedArray) -> Codes:
    whole = _whole(column.unify_dictionaries() if pa.types.is_dictionary(column.type) else column)
    if not pa.types.is_dictionary(whole.type):
        whole = whole.dictionary_encode()
    values = whole.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)
    return Codes(tuple(str(name) for name in whole.dictionary.to_pylist()), values)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    joined = column.combine_chunks()
    return joined if isinstance(joined, pa.Array) else joined.chunk(0)


def _read(
    path: str, name: str, columns: Sequence[str], *, named: Sequence[str] = (), model: str | None = None
) -> pa.Table:
    """Some columns of a table; those that are `named` come as positions in a list of names."""
    file = table_path(Path(path), name)
    chosen = None if model is None else [("model", "=", model)]
    try:
        return pq.read_table(file, columns=list(columns), filters=chosen, read_dictionary=list(named))
    except (pa.ArrowException, OSError) as error:
        fix = "`faircam run --resume` makes it again"
        raise RunError(f"table '{name}' cannot be read: {error}", where=str(file), fix=fix) from error
