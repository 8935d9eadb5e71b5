"""The table of what did not make it: images, maps, regions, passes, and questions that the data leaves open."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from audit.copies import trained_on_problems
from audit.engine.intervene_pass import ABSENT
from audit.preflight import Preflight
from audit.run.plan import Stage
from audit.run.schema import columns
from audit.run.shards import read_rows

__all__ = ["MissingMaps", "problem_table"]

_OWN: tuple[Stage, ...] = ("embed", "corrupt", "members")


def problem_table(
    checked: Preflight,
    out: Path,
    predicted: Mapping[str, pd.DataFrame],
    copies: Iterable[dict[str, Any]],
    missing: Mapping[str, MissingMaps],
) -> pd.DataFrame:
    """Compute table `problems`.

    Parameters
    ----------
    checked : Preflight
    out : Path
        Run folder in which every shard is committed.
    predicted : mapping of str to DataFrame
        Rows of the `predict` stage of each model.
    copies : iterable of dict
        As `audit.copies.copy_problems` gives them.
    missing : mapping of str to MissingMaps
        Of each model.

    Returns
    -------
    DataFrame
        A row for each image, map and region that failed, once a stage and model; for each model that a pass could not
        measure at all, without an image; for each image that is a copy of another or of a training image; and for what
        the data leaves open.
    """
    rows: list[dict[str, Any]] = [
        {"stage": "data", "path": "data", "status": "not_measured", "detail": note} for note in checked.notes
    ]
    rows += copies
    for name, frame in predicted.items():
        bad = frame[frame["status"] != "ok"]
        rows += _problems("predict", name, bad, checked.dataset.rows)
        rows += missing[name].rows(name, checked.dataset.rows)
        for stage in _OWN:
            rows += _pass_problems(checked, out, name, stage, set(bad["image_id"]))
        rows += _intervention_problems(checked, out, name)
        rows += _concept_problems(checked, out, name)
        rows += trained_on_problems(checked, out, name, frame)
    return pd.DataFrame(rows, columns=columns("problems"))


class MissingMaps:
    """Maps of one model that are not there, gathered shard by shard.

    Parameters
    ----------
    methods : sequence of str
    """

    def __init__(self, methods: Sequence[str]) -> None:
        self._bad: dict[str, list[pd.DataFrame]] = {method: [] for method in methods}
        self._regions: list[pd.DataFrame] = []

    def note(self, frame: pd.DataFrame) -> None:
        """Look through the rows of one shard."""
        if frame.empty or "status" not in frame:
            return
        fine = frame[frame["status"] == "ok"]
        for method, found in self._bad.items():
            names = {"image_id": "image_id", f"status_{method}": "status", f"reason_{method}": "detail"}
            found.append(fine.loc[fine[f"status_{method}"] != "ok", list(names)].rename(columns=names))
        if "region_problem" in frame:
            wrong = frame.loc[frame["region_problem"].fillna("") != "", ["image_id", "region_problem"]]
            self._regions.append(wrong.rename(columns={"region_problem": "detail"}).assign(status="not_measured"))

    def rows(self, name: str, images: pd.DataFrame) -> Iterator[dict[str, Any]]:
        """One row an image, or one for a method that the model cannot be explained by."""
        for method, found in self._bad.items():
            bad = pd.concat(found) if found else pd.DataFrame()
            if len(bad) and bad["status"].eq("not_measured").all():
                about = {"stage": "explain", "model": name, "path": f"model {name}", "status": "not_measured"}
                yield about | {"detail": f"{method}: {bad['detail'].iloc[0]}"}
            elif len(bad):
                said = (method + ": " + bad["detail"].fillna("").astype("str")).str.removesuffix(": ")
                yield from _problems("explain", name, bad.assign(detail=said), images)
        if self._regions:
            yield from _problems("regions", name, pd.concat(self._regions), images)


def _pass_problems(checked: Preflight, out: Path, name: str, stage: Stage, known: set[str]) -> Iterator[dict[str, Any]]:
    """Images that failed in a pass of their own; those that also failed in prediction are not told twice."""
    frame = read_rows(out, name, checked.plan.stage(stage, name))
    if frame.empty:
        return
    if frame["status"].eq("not_measured").all():
        detail = str(frame["detail"].iloc[0])
        yield {"stage": stage, "model": name, "path": f"model {name}", "status": "not_measured", "detail": detail}
        return
    rows = checked.training[name].rows if stage == "members" else checked.dataset.rows
    bad = frame[frame["status"] != "ok"].drop_duplicates(["image_id", "status"])
    if stage != "members":
        bad = bad[~bad["image_id"].isin(known)]
    yield from _problems(stage, name, bad, rows)


def _intervention_problems(checked: Preflight, out: Path, name: str) -> Iterator[dict[str, Any]]:
    """Changes that could not be made, once a reason: table `interventions` lists the images."""
    frame = read_rows(out, name, checked.plan.stage("intervene"))
    if frame.empty:
        return
    bad = frame[(frame["status"] != "ok") & (frame["detail"] != ABSENT)]
    for (region, action, status, detail), part in bad.groupby(["region", "action", "status", "detail"], sort=False):
        images = part["image_id"].nunique()
        about = f"{action or 'change'} of region '{region}'" if region else "interventions"
        yield {
            "stage": "intervene",
            "model": name,
            "path": f"model {name}",
            "status": status,
            "detail": f"{about}, {images} images: {detail or status}",
        }


def _concept_problems(checked: Preflight, out: Path, name: str) -> Iterator[dict[str, Any]]:
    """Concepts that could not be tested on a model."""
    frame = read_rows(out, name, checked.plan.stage("concepts"))
    for row in frame[frame["status"] == "not_measured"].to_dict("records") if len(frame) else ():
        detail = f"concept '{row['concept']}': {row['detail']}"
        yield {"stage": "concepts", "model": name, "path": f"model {name}", "status": "not_measured", "detail": detail}


def _problems(stage: str, model: str, bad: pd.DataFrame, images: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """A row for each image of a frame of ``image_id, status, detail``."""
    named = images[images["image_id"].isin(bad["image_id"])].set_index("image_id")["path"]
    for row in bad.to_dict("records"):
        yield {
            "stage": stage,
            "model": model,
            "image_id": row["image_id"],
            "path": named.get(row["image_id"]),
            "status": row["status"],
            "detail": row["detail"] or "",
        }
