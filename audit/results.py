"""From committed shards to the tables and the record of a run; rebuilt whole, never edited."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from audit.fairness import gap_table, group_table, region_group_table
from audit.findings import Policy, default_policy, judge
from audit.preflight import Preflight
from audit.run.files import write_json
from audit.run.plan import Stage
from audit.run.schema import columns
from audit.run.shards import read_rows
from audit.run.tables import write_table

__all__ = ["write_results"]

_TRAINING_KEYS = ("notes", "seconds_per_epoch", "best_epoch", "device", "accuracy", "val_accuracy")


def write_results(checked: Preflight, out: Path, record: dict[str, Any]) -> None:
    """Build every table of a run from its shards, then commit the record, complete.

    Parameters
    ----------
    checked : Preflight
    out : Path
        Run folder in which every shard is committed.
    record : dict
        Record to complete and write.
    """
    predicted = {name: read_rows(out, name, checked.plan.stage("predict")) for name in checked.plan.models}
    tables = {
        "images": _images(checked, predicted),
        "predictions": _predictions(checked, predicted),
        **_explained(checked, out),
        "training": _training(checked),
    }
    tables["problems"] = _problems(checked, out, predicted)
    tables |= _judged(checked, tables)
    for name, frame in tables.items():
        write_table(out, name, frame)
    statuses = Counter(tables["images"]["status"])
    record["data"] |= {"counts": dict(statuses), "training": _training_notes(checked)}
    record["complete"] = sum(statuses.values()) == record["data"]["planned"]
    write_json(out / "run.json", record)


def _frame(name: str, rows: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=columns(name))


def _images(checked: Preflight, predicted: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """One row an image; its status is the first that any model's worker met."""
    rows = checked.dataset.rows.drop(columns="region_path")
    digest = pd.Series(None, index=rows.index, dtype=object)
    status = pd.Series("ok", index=rows.index, dtype=object)
    for frame in predicted.values():
        found = frame.set_index("position")
        digest = digest.where(digest.notna(), found["sha256"].reindex(rows.index))
        status = status.where(status != "ok", found["image_status"].reindex(rows.index))
    table = rows.assign(sha256=digest, status=status)
    extra = [column for column in table.columns if column.startswith("attr_")]
    return table[[*columns("images"), *extra]]


def _predictions(checked: Preflight, predicted: dict[str, pd.DataFrame]) -> pd.DataFrame:
    labels = checked.dataset.rows["label"]
    frames = [
        frame.assign(model=name, label=labels.reindex(frame["position"]).to_numpy())[columns("predictions")]
        for name, frame in predicted.items()
    ]
    return pd.concat(frames, ignore_index=True)


def _explained(checked: Preflight, out: Path) -> dict[str, pd.DataFrame]:
    """Tables of the explained images, their regions and the cross-checks."""
    explained: list[dict[str, Any]] = []
    regions: list[dict[str, Any]] = []
    checks: list[pd.DataFrame] = []
    config = checked.config.explanations
    stage: Stage = "predict" if config.sample == "all" else "explain"
    for name in checked.plan.models:
        for row in read_rows(out, name, checked.plan.stage(stage)).to_dict("records"):
            for method in config.methods:
                explained.append(_explanation(name, method, row, config.target))
                regions += _region_rows(checked, name, method, row)
        frame = read_rows(out, name, checked.plan.stage("crosscheck"))
        if len(frame):
            checks.append(frame.assign(model=name)[columns("crosschecks")])
    layers = _layers(out)
    table = _frame("explanations", explained)
    table["layer"] = [
        layers[m] if k == "grad_cam" else None for m, k in zip(table["model"], table["method"], strict=True)
    ]
    table["score_kind"] = table["model"].map(_layers(out, "score"))
    return {
        "explanations": table,
        "region_mass": _frame("region_mass", regions),
        "crosschecks": pd.concat(checks, ignore_index=True) if checks else _frame("crosschecks", []),
    }


def _layers(out: Path, key: str = "layer") -> dict[str, Any]:
    record = json.loads((out / "run.json").read_text(encoding="utf-8"))
    return {model["name"]: model.get(key) for model in record["models"]}


def _explanation(model: str, method: str, row: Mapping[Hashable, Any], target: str) -> dict[str, Any]:
    return {
        "model": model,
        "image_id": row["image_id"],
        "method": method,
        "target": target,
        "target_class": row.get("target_class"),
        "score": row.get("score"),
        "status": row[f"status_{method}"],
        "total": row[f"total_{method}"],
    }


def _region_rows(checked: Preflight, model: str, method: str, row: Mapping[Hashable, Any]) -> list[dict[str, Any]]:
    regions = checked.config.data.regions
    return [
        {
            "model": model,
            "image_id": row["image_id"],
            "method": method,
            "region": region,
            "share": row.get(f"share_{method}_{region}"),
            "area": row.get(f"area_{region}"),
            "status": row.get(f"region_{method}_{region}") or "not_measured",
        }
        for region in (regions.names.values() if regions else ())
    ]


def _judged(checked: Preflight, tables: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Group metrics, gaps and findings: the reading side's work, from the tables alone."""
    config = checked.config
    attributes = [attribute.name for attribute in config.data.groups]
    intersections = [list(crossing) for crossing in config.data.intersections]
    images, predictions = tables["images"], tables["predictions"]
    classes = list(checked.classes)
    groups = group_table(images, predictions, classes, config.positive, attributes, intersections)
    gaps = gap_table(images, predictions, classes, config.positive, attributes, intersections, seed=config.seed)
    regions = region_group_table(tables["region_mass"], images, attributes, intersections)
    findings = judge(
        policy_of(checked),
        images,
        predictions,
        tables["region_mass"],
        classes,
        config.positive,
        preregistered=checked.policy is not None,
        policy_sha256=checked.plan.content["policy"],
        seed=config.seed,
    )
    return {"groups": groups, "gaps": gaps, "region_groups": regions, "findings": findings}


def policy_of(checked: Preflight) -> Policy:
    """The user's policy, or the built-in one."""
    if checked.policy is not None:
        return checked.policy
    config = checked.config
    regions = config.data.regions
    return default_policy(
        [attribute.name for attribute in config.data.groups],
        config.positive,
        list(regions.should_not_matter) if regions else [],
        list(config.explanations.methods) if config.explanations.sample != 0 else [],
    )


def _training(checked: Preflight) -> pd.DataFrame:
    """Epochs of the models whose training folder is known."""
    frames = []
    for model in checked.config.models:
        if model.training is not None:
            history = pd.read_csv(checked.base / model.training / "history.csv")
            frames.append(history.assign(model=model.name)[columns("training")])
    return pd.concat(frames, ignore_index=True) if frames else _frame("training", [])


def _training_notes(checked: Preflight) -> dict[str, Any]:
    notes = {}
    for model in checked.config.models:
        if model.training is not None:
            content = json.loads((checked.base / model.training / "training.json").read_text(encoding="utf-8"))
            notes[model.name] = {key: content.get(key) for key in _TRAINING_KEYS}
    return notes


def _problems(checked: Preflight, out: Path, predicted: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Every image, map and check that did not make it."""
    paths = checked.dataset.rows.set_index("image_id")["path"]
    rows = []
    for name, frame in predicted.items():
        bad = frame[frame["status"] != "ok"]
        rows += [_problem("predict", name, row, paths) for row in bad.to_dict("records")]
        rows += _map_problems(checked, out, name, paths)
    return _frame("problems", rows)


def _map_problems(checked: Preflight, out: Path, name: str, paths: pd.Series[str]) -> list[dict[str, Any]]:
    config = checked.config.explanations
    stage: Stage = "predict" if config.sample == "all" else "explain"
    rows = []
    for row in read_rows(out, name, checked.plan.stage(stage)).to_dict("records"):
        if row["status"] == "ok":
            bad = [method for method in config.methods if row[f"status_{method}"] != "ok"]
            rows += [_problem("explain", name, row | {"status": row[f"status_{m}"]}, paths, m) for m in bad]
        if row.get("region_problem"):
            rows.append(
                _problem("regions", name, row | {"detail": row["region_problem"], "status": "not_measured"}, paths)
            )
    return rows


def _problem(
    stage: str, model: str, row: Mapping[Hashable, Any], paths: pd.Series[str], method: str | None = None
) -> dict[str, Any]:
    return {
        "stage": stage,
        "model": model,
        "image_id": row["image_id"],
        "path": paths.get(row["image_id"]),
        "status": row["status"],
        "detail": method or row.get("detail") or "",
    }
