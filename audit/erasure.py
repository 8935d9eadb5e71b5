"""Erasing images of a finished run: their rows, maps and thumbnails leave it, and every number is computed again.

What was exported before is not reached; a bundle is made again from the run. The model itself is not changed.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd

from audit.derived import RAW, Facts, derive
from audit.errors import InputError, nearest
from audit.mapped import mean_maps
from audit.run import Run, open_run
from audit.run.files import lock, write_json
from audit.run.integrity import IntegrityError, check_integrity, table_digests
from audit.run.journal import write_journal
from audit.run.mentions import unnamed
from audit.run.schema import TABLES
from audit.run.shards import drop_images
from audit.run.tables import write_table

__all__ = ["Erasure", "erase"]

_BY_HAND = ("concepts", "training", "work")
"""Tables that hold sums over images and cannot be computed again without the model."""

_DOCUMENTS = ("report.*", "comparison.*", "modelcard.*", "mlbom.*")


@dataclass(frozen=True)
class Erasure:
    """Who asked for what to be erased, and why.

    Attributes
    ----------
    images : tuple of str
        Ids, as in table `images`.
    clusters : tuple of str
        Every image of these, such as of a person.
    reason : str
        Without names: it stays in the record.
    by : str
        Who carried it out.
    day : date
    """

    images: tuple[str, ...]
    clusters: tuple[str, ...]
    reason: str
    by: str
    day: date

    def __post_init__(self) -> None:
        if not (self.images or self.clusters):
            raise InputError("nothing is to be erased", fix="name images (--image) or clusters (--cluster)")
        for name, text in (("reason", self.reason), ("by", self.by)):
            if not text.strip():
                raise InputError(f"--{name} is empty; an erasure is recorded with who did it and why")


def erase(run: Run, erasure: Erasure, *, progress: Callable[[str], None] = lambda _: None) -> list[str]:
    """Take images out of a run.

    Parameters
    ----------
    run : Run
        Complete, and as it was written.
    erasure : Erasure
    progress : callable
        Told what is being done.

    Returns
    -------
    list of str
        What was done and what was not, one sentence each.

    Raises
    ------
    InputError
        An image or cluster is none of the run's.
    IntegrityError
        The run is not as it was written.

    Notes
    -----
    Shards are rewritten first, the record last: after a crash the same call goes on where it was.
    """
    with lock(run.path):
        if not run.record.get("erasing"):
            problems = check_integrity(run)
            if problems:
                raise IntegrityError("; ".join(problems), where=str(run.path), fix="make the run again from its inputs")
        images = run.table("images")
        gone = _chosen(images, erasure, run.record.get("erasing"))
        record = {**run.record, "erasing": sorted(gone)}
        write_json(run.path / "run.json", record)
        progress("shards")
        for path in sorted((run.path / "shards").glob("*/*.parquet")):
            drop_images(path, gone)
        write_journal(run.path)
        for name in gone:
            (run.path / "thumbnails" / f"{name}.jpg").unlink(missing_ok=True)
        progress("tables")
        tables = _tables(run, gone)
        for name, frame in tables.items():
            write_table(run.path, name, frame)
        removed = _remove_documents(run.path)
        record.pop("erasing")
        record["tables"] = table_digests(run.path)
        record["data"] = {**record["data"], "counts": tables["images"]["status"].value_counts().to_dict()}
        record["erasures"] = [*record.get("erasures", ()), _entry(erasure, len(gone))]
        write_json(run.path / "run.json", record)
    return _said(open_run(run.path), len(gone), removed)


def _entry(erasure: Erasure, images: int) -> dict[str, Any]:
    """What stays of it: that it was, not whom it was about."""
    return {"day": erasure.day.isoformat(), "by": erasure.by, "reason": erasure.reason, "images": images}


def _chosen(images: pd.DataFrame, erasure: Erasure, begun: Sequence[str] | None) -> set[str]:
    ids, clusters = set(images["image_id"]), set(images["cluster"].dropna())
    gone = set(begun or ())
    for name in erasure.images:
        if name not in ids and name not in gone:
            raise InputError(f"the run has no image '{name}'.{nearest(name, sorted(ids))}", fix="see table `images`")
        gone.add(name)
    for name in erasure.clusters:
        if name not in clusters and not gone:
            raise InputError(f"the run has no cluster '{name}'.{nearest(name, sorted(clusters))}")
        gone |= set(images.loc[images["cluster"] == name, "image_id"])
    return gone


def _tables(run: Run, gone: set[str]) -> dict[str, pd.DataFrame]:
    """Every table without the images: rows left out, sums computed again."""
    tables = {}
    for name in TABLES:
        if run.has(name) and "image_id" in TABLES[name]:
            frame = run.table(name)
            frame = frame[~frame["image_id"].isin(gone)].reset_index(drop=True)
            if "detail" in frame:
                frame["detail"] = frame["detail"].map(lambda text: unnamed(text, gone))
            tables[name] = frame
    facts = Facts.of(run.record)
    raw = {name: tables[name] if name in tables else run.table(name) for name in ("images", "predictions", *RAW)}
    if run.has("mean_maps"):
        explained = tables["explanations"]
        tables["mean_maps"] = mean_maps(
            run.path, facts.models, facts.methods, tables["images"], explained, facts.attributes, facts.seed
        )
    return tables | derive(raw, facts)


def _remove_documents(folder: Path) -> list[str]:
    """Documents in the run's folder that were made before; they may show the images."""
    found = sorted(path for pattern in _DOCUMENTS for path in folder.glob(pattern))
    for path in found:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return [path.name for path in found]


def _said(run: Run, images: int, removed: Sequence[str]) -> list[str]:
    lines = [f"{images} images erased; every number that follows from images and predictions was computed again."]
    if removed:
        lines.append(f"Removed, to be made again: {', '.join(removed)}.")
    kept = [name for name in _BY_HAND if run.has(name) and not run.table(name).empty]
    if kept:
        lines.append(f"Not computed again, since that takes the model: {', '.join(kept)}.")
    if (run.path / "verdicts").is_dir():
        lines.append("Verdicts saved before, under verdicts/, keep their numbers.")
    lines.append(
        "Not reached: bundles and reports that were given away, a --cache folder, the model if it was trained on them."
    )
    return lines
