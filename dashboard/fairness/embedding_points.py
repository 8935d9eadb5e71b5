"""Embeddings of a model brought down to points on a plane, for a fixed sample of images. No widget and no drawing."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import streamlit as st

from audit.fairness.vectors import Space
from audit.run import Run
from audit.run.tables import table_path
from dashboard import columns, data

__all__ = ["MOST", "PROJECTIONS", "Points", "points", "projections"]

MOST = 5000
"""Points on a map, at most."""

PROJECTIONS = {"pca": "PCA", "umap": "UMAP"}
_SEED = 0
_COMPONENTS = 50
"""Components that UMAP starts from."""
_LEAST = 3
_AT_ONCE = 16_384

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Points:
    """A map of embeddings.

    Attributes
    ----------
    place : ndarray of int64, shape (P,)
        Row of each image in table `images`.
    xy : ndarray of float64, shape (P, 2)
    images : int
        Images with an embedding, of which at most `MOST` are drawn.
    dimensions : int
        Of an embedding.
    spread : tuple of float
        Share of the drawn images' spread along each axis; empty where axes have no such share.
    """

    place: Ints
    xy: Floats
    images: int
    dimensions: int
    spread: tuple[float, ...]


def projections() -> list[str]:
    """Ways onto the plane that this machine has: UMAP where umap-learn is installed."""
    return [name for name in PROJECTIONS if name != "umap" or find_spec("umap") is not None]


def points(run: Run, model: str, projection: str) -> Points | None:
    """The map of a model; None where the run holds too few embeddings of it, or all of them are alike."""
    stamps = (data.changed(run, "embeddings"), data.changed(run, "images"))
    return _points(str(run.path), stamps, model, projection)


@st.cache_resource(max_entries=32, show_spinner="Laying out the map …")
def _points(path: str, stamps: tuple[int, int], model: str, projection: str) -> Points | None:
    if not all(stamps):
        return None
    run = data.open_cached(Path(path))
    file = table_path(run.path, "embeddings")
    rows, images = _drawn(file, model)
    if len(rows) < _LEAST:
        return None
    names, vectors = _vectors(file, rows)
    place = pc.fill_null(pc.index_in(names, value_set=columns.ids(run).array), -1).to_numpy().astype(np.int64)
    sound = (place >= 0) & np.isfinite(vectors).all(axis=1)
    vectors, place = vectors[sound], place[sound]
    space = Space.fit(vectors, vectors.shape[1])
    if space is None:
        return None
    components = space.apply(vectors)
    if projection == "umap":
        return Points(place, _umap(components[:, :_COMPONENTS]), images, vectors.shape[1], ())
    spread = space.spread**2 / (space.spread**2).sum()
    if len(spread) < 2:  # one direction holds everything: the points lie on a line
        components, spread = np.column_stack([components, 0 * components]), np.append(spread, 0.0)
    return Points(place, components[:, :2], images, vectors.shape[1], tuple(spread[:2].tolist()))


def _drawn(file: Path, model: str) -> tuple[Ints, int]:
    """Rows of the file that are drawn, in order, and how many could be: a sample that hangs on a fixed seed alone."""
    names = pq.read_table(file, columns=["model", "status"], read_dictionary=["model", "status"])
    fine = pc.and_(pc.equal(names["model"], model), pc.equal(names["status"], "ok"))
    rows = np.flatnonzero(fine.to_numpy())
    if len(rows) <= MOST:
        return rows, len(rows)
    chosen = np.random.default_rng(_SEED).choice(len(rows), MOST, replace=False)
    return rows[np.sort(chosen)], len(rows)


def _vectors(file: Path, rows: Ints) -> tuple[pa.Array, Floats]:
    """Ids and embeddings of some rows, read a piece at a time: all of them may not fit."""
    names: list[pa.Array] = []
    vectors: list[Floats] = []
    end = 0
    for batch in pq.ParquetFile(file).iter_batches(_AT_ONCE, columns=["image_id", "embedding"]):
        start, end = end, end + len(batch)
        first, last = np.searchsorted(rows, [start, end])
        if first < last:
            chosen = batch.take(pa.array(rows[first:last] - start))
            names.append(chosen.column("image_id"))
            flat = chosen.column("embedding").flatten().to_numpy(zero_copy_only=False)
            vectors.append(flat.reshape(len(chosen), -1).astype(np.float64))
        if last == len(rows):
            break
    return pa.concat_arrays(names), np.concatenate(vectors)


def _umap(components: Floats) -> Floats:
    """UMAP of principal components, from a fixed seed."""
    umap = import_module("umap")  # installed by who wants it; no dependency of this package
    made = umap.UMAP(n_components=2, random_state=_SEED, n_jobs=1).fit_transform(components)
    return np.asarray(made, np.float64)
