"""Opening a run: a tolerant record, its tables as frames, its maps and thumbnails. Read-only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from audit.errors import RunError
from audit.run.schema import SCHEMA_VERSION
from audit.run.shards import explained_shards, read_maps
from audit.run.tables import read_table, table_path

__all__ = ["Run", "find_runs", "open_run"]


class Run:
    """A run folder, opened for reading.

    Use `audit.open_run(path)` to get one.

    Attributes
    ----------
    path : Path
        The folder.
    record : dict
        Content of ``run.json``; read it tolerantly, older runs may lack newer keys.
    """

    def __init__(self, path: Path, record: dict[str, Any]) -> None:
        self.path = path
        self.record = record

    @property
    def name(self) -> str:
        """Name of the audit."""
        return str(self.record.get("name", self.path.name))

    @property
    def complete(self) -> bool:
        """Whether every planned image was accounted for."""
        return bool(self.record.get("complete", False))

    @property
    def models(self) -> list[str]:
        """Names of the models, in the order of the config."""
        return [model["name"] for model in self.record.get("models", [])]

    def model(self, name: str) -> dict[str, Any]:
        """What the record says of one model.

        Raises
        ------
        RunError
            The run has no model of that name.
        """
        for model in self.record.get("models", []):
            if model["name"] == name:
                return dict(model)
        raise RunError(f"no model '{name}'; there are {', '.join(self.models)}", where=str(self.path))

    def table(self, name: str, **options: Any) -> pd.DataFrame:
        """One table as a frame; see `audit.run.schema.TABLES` for names and columns.

        `columns` and `filters` push the choice down to the file.
        """
        return read_table(self.path, name, **options)

    def has(self, name: str) -> bool:
        """Whether the table was written."""
        return table_path(self.path, name).exists()

    def maps(self, model: str, method: str, image_ids: list[str] | None = None) -> dict[str, np.ndarray]:
        """Raw maps of one model and method.

        Parameters
        ----------
        model, method : str
            Names.
        image_ids : list of str, optional
            Only these images; all explained ones by default.

        Returns
        -------
        dict of str to ndarray
            ``(h, w)`` float32 at the method's own resolution: the input's for gradients, the
            layer's for Grad-CAM.
        """
        wanted = None if image_ids is None else frozenset(image_ids)
        found: dict[str, np.ndarray] = {}
        for path in explained_shards(self.path, model):
            found |= read_maps(path, method, wanted)
        return found

    def thumbnail(self, image_id: str) -> Path | None:
        """Small JPEG of an explained image, or None."""
        path = self.path / "thumbnails" / f"{image_id}.jpg"
        return path if path.exists() else None

    def __repr__(self) -> str:
        return f"<Run {self.name!r} at {self.path}>"

    def _repr_html_(self) -> str:
        """Summary for a notebook: verdicts, findings, accuracy by group."""
        from audit.run.notebook_html import run_html

        return run_html(self)


def open_run(path: str | Path) -> Run:
    """Open a finished or unfinished run for reading.

    Parameters
    ----------
    path : str or Path
        The run folder, as given to `faircam run --out`.

    Returns
    -------
    Run

    Raises
    ------
    RunError
        The folder is no run, or was written by a newer version of the format.
    """
    folder = Path(path)
    file = folder / "run.json"
    if not file.exists():
        fix = "name the folder that `faircam run --out` wrote"
        if (folder / "plan.json").exists():
            fix = "the run ended before its first record was written; use `faircam run --resume`"
        raise RunError("is no run: it holds no run.json", where=str(folder), fix=fix)
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        version = int(record["schema_version"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError("is not the record of a run", where=str(file)) from error
    if version > SCHEMA_VERSION:
        raise RunError(
            f"was written in format {version}; this version reads up to {SCHEMA_VERSION}",
            where=str(folder),
            fix="update faircam",
        )
    return Run(folder, record)


def find_runs(folder: Path) -> list[Path]:
    """Find the runs of a folder.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    list of Path
        Run folders directly below it, or the folder itself if it is one, newest first.
    """
    if (folder / "run.json").exists():
        return [folder]
    found = [file.parent for file in folder.glob("*/run.json")]
    return sorted(found, key=lambda path: (path / "run.json").stat().st_mtime, reverse=True)
