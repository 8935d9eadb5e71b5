"""The table of what did not make it: images, maps, regions, passes, and questions that the data leaves open."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from audit.copies import copy_problems, trained_on_problems
from audit.engine.intervene_pass import ABSENT
from audit.preflight import Preflight
from audit.run.plan import Stage
from audit.run.schema import columns
from audit.run.shards import read_rows

__all__ = ["problem_table"]

_OWN: tuple[Stage, ...] = ("embed", "corrupt", "members")


def problem_table(checked: Preflight, out: Path, predicted: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Compute table `problems`.

    Parameters
    ----------
    checked : Preflight
    out : Path
        Run folder in which every shard is committed.
    predicted : mapping of str to DataFrame
        Rows of the `predict` stage of each model.

    Returns
    -------
    DataFrame
        A row for each image, map and region that failed, once a stage and model; for each model that a pass could not
        measure at all, without an image; for each image that is a copy of another or of a training image; and for what
        the data leaves open.
    """
    paths = checked.dataset.rows.set_index("image_id")["path"]
    rows: list[dict[str, Any]] = [
        {"stage": "data", "path": "data", "status": "not_measured", "detail": note} for note in checked.notes
    ]
    rows += copy_problems(checked, next(iter(predicted.values())))
    for name, frame in predicted.items():
        bad = frame[frame["status"] != "ok"]
        rows += [_problem("predict", name, row, paths) for row in bad.to_dict("records")]
        rows += _map_problems(checked, out, name, paths)
        for stage in _OWN:
            rows += _pass_problems(checked, out, name, stage, set(bad["image_id"]))
        rows += _intervention_problems(checked, out, name)
        rows += _concept_problems(checked, out, name)
        rows += trained_on_problems(checked, out, name, frame)
    return pd.DataFrame(rows, columns=columns("problems"))


def _map_problems(checked: Preflight, out: Path, name: str, paths: pd.Series[str]) -> Iterator[dict[str, Any]]:
    """Maps that are not there: one row an image, or one for a method that the model cannot be explained by."""
    config = checked.config.explanations
    stage: Stage = "predict" if config.sample == "all" else "explain"
    frame = read_rows(out, name, checked.plan.stage(stage))
    if frame.empty or "status" not in frame:
        return
    fine = frame[frame["status"] == "ok"]
    for method in config.names:
        bad = fine[fine[f"status_{method}"] != "ok"]
        if len(bad) and bad[f"status_{method}"].eq("not_measured").all():
            detail = f"{method}: {bad[f'reason_{method}'].iloc[0]}"
            yield {
                "stage": "explain",
                "model": name,
                "path": f"model {name}",
                "status": "not_measured",
                "detail": detail,
            }
            continue
        for row in bad.to_dict("records"):
            detail = ": ".join(part for part in (method, str(row[f"reason_{method}"] or "")) if part)
            yield _problem("explain", name, row | {"status": row[f"status_{method}"]}, paths, detail)
    if "region_problem" in frame:
        for row in frame[frame["region_problem"].notna() & frame["region_problem"].ne("")].to_dict("records"):
            found = row | {"detail": row["region_problem"], "status": "not_measured"}
            yield _problem("regions", name, found, paths)


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
    paths = rows.set_index("image_id")["path"]
    for row in bad.to_dict("records"):
        yield _problem(stage, name, row, paths)


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


def _problem(
    stage: str, model: str, row: Mapping[Hashable, Any], paths: pd.Series[str], detail: str | None = None
) -> dict[str, Any]:
    return {
        "stage": stage,
        "model": model,
        "image_id": row["image_id"],
        "path": paths.get(row["image_id"]),
        "status": row["status"],
        "detail": detail or row.get("detail") or "",
    }
