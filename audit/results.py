"""From committed shards to the tables and the record of a run; rebuilt whole, never edited.

What follows from the raw tables alone is in `derived`, what did not make it in `problems`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from audit.copies import copy_problems
from audit.data.manifest import MISSING
from audit.derived import RAW, Facts, derive
from audit.explanations.registry import build
from audit.mapped import agreement_table, mean_maps
from audit.preflight import Preflight
from audit.problems import MissingMaps, problem_table
from audit.run.files import write_json
from audit.run.integrity import table_digests
from audit.run.plan import STAGES, Stage
from audit.run.schema import columns
from audit.run.shards import read_receipt, read_rows
from audit.run.tables import empty_table, write_table

__all__ = ["write_results"]

_PREDICTED = (
    *("position", "image_id", "image_status", "sha256", "looks", "predicted", "probabilities", "confidence"),
    *("status", "disagrees", "detail"),
)
"""What is read of the prediction of each image; the rows may hold those of its maps as well."""

_NOT_OF_MAPS = frozenset(_PREDICTED) - {"image_id", "status"}

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
    tables = _raw(checked, out)
    started = time.monotonic()
    tables |= _compared(checked, out, tables)
    for name in [name for name in tables if name not in ("images", "predictions", *RAW)]:
        write_table(out, name, tables.pop(name))
    tables |= derive(tables, Facts.of(record))
    record["timings"]["statistics"] = round(time.monotonic() - started, 2)
    for name, frame in tables.items():
        write_table(out, name, frame)
    record["tables"] = table_digests(out)
    statuses = tables["images"]["status"].value_counts(sort=False)
    counts = {str(status): int(count) for status, count in statuses.items()}
    record["data"] |= {"counts": counts, "training": _training_notes(checked)}
    record["complete"] = sum(counts.values()) == record["data"]["planned"]
    write_json(out / "run.json", record)


def _raw(checked: Preflight, out: Path) -> dict[str, pd.DataFrame]:
    """What shards and configuration hold, as tables."""
    predicted = {
        name: read_rows(out, name, checked.plan.stage("predict"), _PREDICTED, compact=True)
        for name in checked.plan.models
    }
    copies = list(copy_problems(checked, next(iter(predicted.values()))))
    missing = {name: MissingMaps(checked.config.explanations.names) for name in checked.plan.models}
    return {
        "images": _images(checked, predicted),
        "predictions": _predictions(checked, predicted),
        **_explained(checked, out, missing),
        "embeddings": _stacked(checked, out, "embed", "embeddings"),
        "corrupted": _stacked(checked, out, "corrupt", "corrupted"),
        "members": _members(checked, out),
        "interventions": _plain(checked, out, "intervene", "interventions"),
        "work": work_table(checked, out),
        "training": _training(checked),
        "problems": problem_table(checked, out, predicted, copies, missing),
    }


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
    """One row an image, in order as in the shards of the plan; its status is the first that any model's worker met."""
    rows = checked.dataset.rows.drop(columns="region_path")
    (digest, status), *others = [(frame["sha256"], frame["image_status"]) for frame in predicted.values()]
    for other_digest, other_status in others:
        digest = digest.fillna(other_digest)
        status = status.where(status != "ok", other_status)
    table = rows.assign(sha256=digest, status=status)
    extra = [column for column in table.columns if column.startswith("attr_")]
    return table[[*columns("images"), *extra]]


def _predictions(checked: Preflight, predicted: dict[str, pd.DataFrame]) -> pd.DataFrame:
    labels = checked.dataset.rows["label"]
    frames = [
        frame.assign(model=name, label=labels.array[frame["position"].to_numpy()])[columns("predictions")]
        for name, frame in predicted.items()
    ]
    return frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)


def _explained(checked: Preflight, out: Path, missing: Mapping[str, MissingMaps]) -> dict[str, pd.DataFrame]:
    """Tables of the explained images, their regions, quality and cross-checks; one shard is read at a time.

    What has no map is noted for table `problems`.
    """
    explained, regions, measured = [], [], []
    config = checked.config.explanations
    stage: Stage = "predict" if config.sample == "all" else "explain"
    for name in checked.plan.models:
        for shard in checked.plan.stage(stage):
            frame = read_rows(out, name, [shard], without=_NOT_OF_MAPS)
            missing[name].note(frame)
            explained.append(_explanations(name, config.names, frame, config.target))
            regions.append(_region_rows(checked, name, config.names, frame))
            measured.append(_measured(name, config.names, frame))
    layers, scores = _described(out, "layer"), _described(out, "score")
    looking = [name for name, method in build(config.methods).items() if method.needs_layer]
    table = _joined("explanations", explained)
    layer = table["model"].map(layers)
    table["layer"] = layer.astype(object).where(table["method"].isin(looking) & layer.notna(), None)
    table["score_kind"] = table["model"].map(scores)
    return {
        "explanations": table,
        "region_mass": _joined("region_mass", regions),
        "quality": _joined("quality", [*measured, _plain(checked, out, "quality", "quality")]),
        "crosschecks": _plain(checked, out, "crosscheck", "crosschecks"),
        "concepts": _plain(checked, out, "concepts", "concepts"),
    }


def _joined(table: str, frames: list[pd.DataFrame]) -> pd.DataFrame:
    """One table of several frames; those that lack a column leave it empty."""
    filled = [frame for frame in frames if len(frame)]
    return pd.concat(filled, ignore_index=True).reindex(columns=columns(table)) if filled else empty_table(table)


def _by_image(parts: list[pd.DataFrame]) -> pd.DataFrame:
    """Rows of frames about the same images, image by image."""
    return pd.concat(parts).sort_index(kind="stable") if parts else pd.DataFrame()


def _explanations(model: str, methods: Sequence[str], frame: pd.DataFrame, target: str) -> pd.DataFrame:
    """A row an image and method."""
    about = {"model": model, "image_id": frame["image_id"], "target": target} if len(frame) else {}
    about |= {
        "target_class": frame.get("target_class", pd.Series(None, frame.index, dtype=object)),
        "score": _numbers(frame, "score"),
    }
    return _by_image(
        [
            pd.DataFrame(
                {
                    **about,
                    "method": method,
                    "status": frame[f"status_{method}"],
                    "total": _numbers(frame, f"total_{method}"),
                }
            )
            for method in methods
            if len(frame)
        ]
    )


def _region_rows(checked: Preflight, model: str, methods: Sequence[str], frame: pd.DataFrame) -> pd.DataFrame:
    """A row an image, method and region."""
    regions = checked.config.data.regions
    parts = []
    for method in methods if len(frame) else ():
        for region in regions.names.values() if regions else ():
            status = frame.get(f"region_{method}_{region}", pd.Series(None, frame.index, dtype=object))
            about = {"model": model, "image_id": frame["image_id"], "method": method, "region": region}
            about |= {"share": _numbers(frame, f"share_{method}_{region}"), "area": _numbers(frame, f"area_{region}")}
            about["status"] = status.where(status.notna() & (status != ""), "not_measured")
            parts.append(pd.DataFrame(about))
    return _by_image(parts)


def _measured(model: str, methods: Sequence[str], frame: pd.DataFrame) -> pd.DataFrame:
    """What methods say of their own exactness on each image, as rows of table `quality`."""
    parts = []
    for method in methods:
        prefix = f"measure_{method}_"
        for column in (str(name) for name in frame.columns if str(name).startswith(prefix)):
            rows = frame[frame[f"status_{method}"].isin(("ok", "not_converged"))]
            values = _numbers(rows, column)
            about = {
                "model": model,
                "image_id": rows["image_id"],
                "method": method,
                "measure": column.removeprefix(prefix),
            }
            parts.append(pd.DataFrame({**about, "value": values, "status": values.isna().map(_STATUS), "detail": ""}))
    return _by_image(parts)


_STATUS = {False: "ok", True: "undefined"}


def _numbers(frame: pd.DataFrame, column: str) -> pd.Series[float]:
    """A column as floats; one that a shard lacks, or that holds nothing, as missing."""
    if column not in frame:
        return pd.Series(float("nan"), frame.index)
    return pd.to_numeric(frame[column]).astype("float64")


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


def _described(out: Path, key: str) -> dict[str, Any]:
    """What the record says of each model under a key."""
    record = json.loads((out / "run.json").read_text(encoding="utf-8"))
    return {model["name"]: model.get(key) for model in record["models"]}


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
