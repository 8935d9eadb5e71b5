"""From committed shards to the tables and the record of a run; rebuilt whole, never edited.

What follows from the raw tables alone is in `derived`, what did not make it in `problems`.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from audit.data.manifest import MISSING
from audit.derived import Facts, derive
from audit.explanations.registry import build
from audit.mapped import agreement_table, mean_maps
from audit.preflight import Preflight
from audit.problems import problem_table
from audit.run.files import write_json
from audit.run.integrity import table_digests
from audit.run.plan import STAGES, Stage
from audit.run.schema import columns
from audit.run.shards import read_receipt, read_rows
from audit.run.tables import empty_table, write_table

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
        "embeddings": _stacked(checked, out, "embed", "embeddings"),
        "corrupted": _stacked(checked, out, "corrupt", "corrupted"),
        "members": _members(checked, out),
        "interventions": _plain(checked, out, "intervene", "interventions"),
        "work": work_table(checked, out),
        "training": _training(checked),
        "problems": problem_table(checked, out, predicted),
    }
    started = time.monotonic()
    tables |= _compared(checked, out, tables)
    tables |= derive(tables, Facts.of(record))
    record["timings"]["statistics"] = round(time.monotonic() - started, 2)
    for name, frame in tables.items():
        write_table(out, name, frame)
    record["tables"] = table_digests(out)
    statuses = Counter(tables["images"]["status"])
    record["data"] |= {"counts": dict(statuses), "training": _training_notes(checked)}
    record["complete"] = sum(statuses.values()) == record["data"]["planned"]
    write_json(out / "run.json", record)


def _compared(checked: Preflight, out: Path, tables: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """What rests on the maps themselves."""
    config = checked.config
    methods = config.explanations.names if config.explanations.sample != 0 else ()
    models, explained = checked.plan.models, tables["explanations"]
    attributes = [attribute.name for attribute in config.data.groups]
    return {
        "agreement": agreement_table(out, models, methods, tables["predictions"], explained),
        "mean_maps": mean_maps(out, models, methods, tables["images"], explained, attributes, config.seed),
    }


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
    """Tables of the explained images, their regions, quality and cross-checks."""
    explained: list[dict[str, Any]] = []
    regions: list[dict[str, Any]] = []
    measured: list[dict[str, Any]] = []
    config = checked.config.explanations
    stage: Stage = "predict" if config.sample == "all" else "explain"
    for name in checked.plan.models:
        for row in read_rows(out, name, checked.plan.stage(stage)).to_dict("records"):
            for method in config.names:
                explained.append(_explanation(name, method, row, config.target))
                regions += _region_rows(checked, name, method, row)
                measured += _measured(name, method, row)
    layers = _layers(out)
    table = _frame("explanations", explained)
    looking = {name for name, method in build(config.methods).items() if method.needs_layer}
    table["layer"] = [layers[m] if k in looking else None for m, k in zip(table["model"], table["method"], strict=True)]
    table["score_kind"] = table["model"].map(_layers(out, "score"))
    quality = [
        frame for frame in (_frame("quality", measured), _plain(checked, out, "quality", "quality")) if len(frame)
    ]
    return {
        "explanations": table,
        "region_mass": _frame("region_mass", regions),
        "quality": pd.concat(quality, ignore_index=True) if quality else empty_table("quality"),
        "crosschecks": _plain(checked, out, "crosscheck", "crosschecks"),
        "concepts": _plain(checked, out, "concepts", "concepts"),
    }


def _measured(model: str, method: str, row: Mapping[Hashable, Any]) -> list[dict[str, Any]]:
    """What a method says of its own exactness on one image, as rows of table `quality`."""
    prefix = f"measure_{method}_"
    return [
        {
            "model": model,
            "image_id": row["image_id"],
            "method": method,
            "measure": str(key).removeprefix(prefix),
            "value": value,
            "status": "ok" if pd.notna(value) else "undefined",
            "detail": "",
        }
        for key, value in row.items()
        if str(key).startswith(prefix) and row[f"status_{method}"] in ("ok", "not_converged")
    ]


def _plain(checked: Preflight, out: Path, stage: Stage, table: str) -> pd.DataFrame:
    """Rows of a stage for every model, as they are."""
    frames = [(name, read_rows(out, name, checked.plan.stage(stage, name))) for name in checked.plan.models]
    kept = [frame.assign(model=name)[columns(table)] for name, frame in frames if len(frame)]
    return pd.concat(kept, ignore_index=True) if kept else empty_table(table)


def work_table(checked: Preflight, out: Path) -> pd.DataFrame:
    """Table `work`: forward-equivalents that each stage of each model took, beside the least possible."""
    rows = []
    for name in checked.plan.models:
        for stage in STAGES:
            receipts = [read_receipt(out, name, shard) for shard in checked.plan.stage(stage, name)]
            done = [receipt for receipt in receipts if receipt is not None]
            if done:
                rows.append(
                    {
                        "model": name,
                        "stage": stage,
                        "images": sum(receipt.shard.stop - receipt.shard.start for receipt in done),
                        "used": sum(receipt.used for receipt in done),
                        "least": sum(receipt.least for receipt in done),
                        "micro_batch": min(receipt.micro_batch for receipt in done),
                    }
                )
    return _frame("work", rows)


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


def _stacked(checked: Preflight, out: Path, stage: Stage, table: str) -> pd.DataFrame:
    """Rows of a stage for every model, with the label of each image."""
    labels = checked.dataset.rows.set_index("image_id")["label"]
    frames = []
    for name in checked.plan.models:
        frame = read_rows(out, name, checked.plan.stage(stage, name))
        if len(frame):
            frames.append(frame.assign(model=name, label=frame["image_id"].map(labels))[columns(table)])
    return pd.concat(frames, ignore_index=True) if frames else empty_table(table)


def _members(checked: Preflight, out: Path) -> pd.DataFrame:
    """Training images of every model that names them, with the attributes of the audit's data."""
    attributes = [f"attr_{attribute.name}" for attribute in checked.config.data.groups]
    frames = []
    for name, dataset in checked.training.items():
        frame = read_rows(out, name, checked.plan.stage("members", name))
        rows = dataset.rows.reindex(columns=["cluster", "label", *attributes], fill_value=MISSING)
        known = rows.loc[frame["position"]].reset_index(drop=True)
        frames.append(pd.concat([frame.assign(model=name), known], axis=1)[[*columns("members"), *attributes]])
    return pd.concat(frames, ignore_index=True) if frames else empty_table("members")


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
