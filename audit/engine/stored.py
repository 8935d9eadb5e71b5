"""Maps that the worker of a model has committed, read back for what is measured of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from audit.engine.job import Job
from audit.run.shards import explained_shards, read_columns, read_maps

__all__ = ["Stored", "stored_maps"]


@dataclass(frozen=True)
class Stored:
    """Explained images with their maps.

    Attributes
    ----------
    positions : tuple of int
        Rows of the data, of images that were read and explained.
    names : tuple of str
        Their ids.
    targets : ndarray
        ``(N,)`` class that each map explains.
    maps : dict of str to ndarray
        ``(N, h, w)`` float32 by method; zeros where an image has none.
    missing : dict of str to frozenset of str
        By method the images without a map.
    """

    positions: tuple[int, ...]
    names: tuple[str, ...]
    targets: np.ndarray
    maps: dict[str, np.ndarray]
    missing: dict[str, frozenset[str]]

    def rows(self, kept: np.ndarray) -> Stored:
        """The same of some of the images; `kept` is ``(N,)`` bool."""
        places = np.flatnonzero(kept)
        return Stored(
            tuple(self.positions[place] for place in places),
            tuple(self.names[place] for place in places),
            self.targets[places],
            {name: maps[places] for name, maps in self.maps.items()},
            self.missing,
        )


def stored_maps(job: Job, positions: Sequence[int]) -> Stored:
    """Read the maps of some positions from the committed shards of a job's model."""
    paths = explained_shards(job.run, job.model)
    names = job.source.rows["image_id"].iloc[list(positions)].astype(str).tolist()
    wanted = frozenset(names)
    frames = [read_columns(path, ["image_id", "target", "image_status", "status"]) for path in paths]
    rows = pd.concat(frames) if frames else pd.DataFrame({"image_id": [], "status": [], "target": []})
    fine = rows[rows["status"] == "ok"]
    target_of = dict(zip(fine["image_id"], fine["target"], strict=True))
    usable = [(position, name) for position, name in zip(positions, names, strict=True) if name in target_of]
    order = [name for _, name in usable]
    maps: dict[str, np.ndarray] = {}
    missing: dict[str, frozenset[str]] = {}
    for method in job.explanations.names:
        found: dict[str, np.ndarray] = {}
        for path in paths:
            found |= read_maps(path, method, wanted)
        if not found or not order:
            continue
        blank = np.zeros_like(next(iter(found.values())))
        maps[method] = np.stack([found.get(name, blank) for name in order])
        missing[method] = frozenset(order) - frozenset(found)
    targets = np.array([int(target_of[name]) for name in order], np.int64)
    return Stored(tuple(position for position, _ in usable), tuple(order), targets, maps, missing)
