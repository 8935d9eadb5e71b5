"""A small complete run made by hand from synthetic drawings: what reports and the dashboard are tested on.

No framework takes part. Predictions and maps are invented from a seed so that they look like those of a
network that serves dark tones worse and leans on the marker; nothing here was measured on a real model.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from audit.fairness import gap_table, group_table, region_group_table
from audit.findings import default_policy, judge, sensitivity_table
from audit.run import Run, open_run
from audit.run.files import sha256_bytes, write_json
from audit.run.plan import Plan, Shard, cut, write_plan
from audit.run.shards import Receipt, write_shard
from audit.run.tables import write_table
from tests.sample_explained import derived_tables, raw_tables
from tests.sample_tables import further_tables

SIZE = 48
IMAGES = 240
EXPLAINED = 48
DRAWS = 499
CLASSES = ["cross", "disc"]
POSITIVE = "cross"
MODELS = (("biased-torch", "torch"), ("biased-keras", "keras"))
METHODS = ["saliency", "gradient_x_input", "grad_cam"]
REGIONS = ("object", "marker")
LEVELS = (0.78, 0.68, 0.58, 0.42, 0.32, 0.22)
TONES = tuple(f"tone-{number}" for number in range(1, 7))
MISSING = "(missing)"
FAIL_RATE = {"biased-torch": (0.0, 0.01, 0.01, 0.7, 0.72, 0.62), "biased-keras": (0.01, 0.02, 0.02, 0.2, 0.3, 0.36)}


def build(folder: Path) -> Run:
    """Write the run into a folder and open it.

    Parameters
    ----------
    folder : Path
        Is made where it is missing.

    Returns
    -------
    Run
        Two models, 240 synthetic images (one of them unreadable), 48 of them explained.
    """
    folder.mkdir(parents=True, exist_ok=True)
    drawings = _drawings(np.random.default_rng(7))
    images = _images(drawings)
    explained = [int(i) for i in np.linspace(0, IMAGES - 2, EXPLAINED)]
    plan = _plan(len(explained))
    write_plan(folder, plan)
    predictions = pd.concat([_predictions(name, drawings) for name, _ in MODELS], ignore_index=True)
    tables = {
        "images": images,
        "predictions": predictions,
        "crosschecks": _crosschecks(images, explained),
        "training": _training(),
        "problems": _problems(images),
    }
    explanations, mass = _explain(folder, plan, drawings, images, predictions, explained)
    raw = raw_tables(images, predictions, mass, METHODS)
    maps = _maps_by_method(drawings, images, predictions, explained)
    split = (["tone", "marker"], [["tone", "marker"]], POSITIVE)
    tables |= raw | derived_tables(raw, mass, maps, images, predictions, split)
    tables |= {"explanations": explanations, "region_mass": mass, **_judged(images, predictions, mass, raw)}
    for name, frame in tables.items():
        write_table(folder, name, frame)
    _thumbnails(folder, drawings, images, explained)
    write_json(folder / "run.json", _record(plan, images))
    return open_run(folder)


def _drawings(random: np.random.Generator) -> dict[str, np.ndarray]:
    tone = np.arange(IMAGES) % 6
    shape = (np.arange(IMAGES) // 6) % 2  # 1 is the cross
    marker = np.where(random.random(IMAGES) < 0.5, 1, 0)
    y, x = np.mgrid[0:SIZE, 0:SIZE].astype(np.float64)
    pixels = np.empty((IMAGES, SIZE, SIZE, 3), np.uint8)
    objects = np.empty((IMAGES, SIZE, SIZE), bool)
    markers = np.zeros((IMAGES, SIZE, SIZE), bool)
    for row in range(IMAGES):
        objects[row] = _object(x, y, shape[row], random)
        level = LEVELS[tone[row]]
        ink = level - 0.18 if tone[row] < 3 else level + 0.18
        grey = np.where(objects[row], ink, level) + random.normal(0, 0.03, (SIZE, SIZE))
        picture = np.repeat(grey[..., None], 3, axis=2)
        if marker[row]:
            top, left = random.integers(2, 6), random.integers(2, 38)
            markers[row, top : top + 3, left : left + 8] = True
            picture[markers[row]] = (0.22, 0.34, 0.78)
        pixels[row] = np.clip(picture * 255, 0, 255).astype(np.uint8)
    return {"tone": tone, "shape": shape, "marker": marker, "pixels": pixels, "object": objects, "spot": markers}


def _object(x: np.ndarray, y: np.ndarray, shape: int, random: np.random.Generator) -> np.ndarray:
    across, down = random.uniform(18, 30, 2)
    radius, angle = random.uniform(8, 10.5), random.uniform(0, math.pi / 2)
    u = (x - across) * math.cos(angle) + (y - down) * math.sin(angle)
    v = (y - down) * math.cos(angle) - (x - across) * math.sin(angle)
    if shape == 0:
        return np.asarray(u**2 + v**2 <= radius**2)
    arm = radius * 0.3
    inside = np.maximum(abs(u), abs(v)) <= radius
    return np.asarray(inside & (np.minimum(abs(u), abs(v)) <= arm))


def _images(drawings: dict[str, np.ndarray]) -> pd.DataFrame:
    names = [f"synthetic-{row:04d}" for row in range(IMAGES)]
    tones = [TONES[tone] for tone in drawings["tone"]]
    for row in (15, 21, 135, 141, 184, 190):
        tones[row] = MISSING
    return pd.DataFrame(
        {
            "image_id": names,
            "path": [f"images/{name}.png" for name in names],
            "sha256": [sha256_bytes(pixels.tobytes()) for pixels in drawings["pixels"]],
            "label": [CLASSES[0] if shape else CLASSES[1] for shape in drawings["shape"]],
            "split": "test",
            "cluster": [f"scene-{row // 12 * 6 + row % 6:03d}" for row in range(IMAGES)],
            "status": ["unreadable" if row == IMAGES - 1 else "ok" for row in range(IMAGES)],
            "attr_tone": tones,
            "attr_marker": ["present" if marker else "absent" for marker in drawings["marker"]],
        }
    )


def _predictions(model: str, drawings: dict[str, np.ndarray]) -> pd.DataFrame:
    random = np.random.default_rng(11 if model.endswith("torch") else 12)
    rows = []
    for row in range(IMAGES):
        cross = bool(drawings["shape"][row])
        chance = FAIL_RATE[model][drawings["tone"][row]]
        with_marker = bool(drawings["marker"][row])
        chance = chance * (0.5 if with_marker == cross else 1.5) + (0.25 if with_marker and not cross else 0)
        wrong = random.random() < chance
        certain = float(random.uniform(0.52, 0.85) if wrong else random.uniform(0.7, 0.999))
        predicted = cross != wrong
        chances = [certain, 1 - certain] if predicted else [1 - certain, certain]
        fine = row != IMAGES - 1
        rows.append(
            {
                "model": model,
                "image_id": f"synthetic-{row:04d}",
                "label": CLASSES[0] if cross else CLASSES[1],
                "predicted": CLASSES[0 if predicted else 1] if fine else None,
                "probabilities": chances if fine else None,
                "confidence": certain if fine else None,
                "status": "ok" if fine else "unreadable",
                "disagrees": False,
            }
        )
    return pd.DataFrame(rows)


def _judged(
    images: pd.DataFrame, predictions: pd.DataFrame, mass: pd.DataFrame, raw: dict[str, pd.DataFrame]
) -> dict[str, pd.DataFrame]:
    """Group tables and findings, by the same functions as in a real run."""
    names, crossings = ["tone", "marker"], [["tone", "marker"]]
    policy = default_policy(names, POSITIVE, ["marker"], METHODS, interventions=True)
    tables = {name: raw[name] for name in ("interventions", "stamps")}
    findings = judge(policy, images, predictions, mass, CLASSES, POSITIVE, draws=DRAWS, **tables)
    counted = (images, predictions, CLASSES, POSITIVE)
    return {
        **further_tables(*counted, names, crossings),
        "findings": findings,
        "sensitivity": sensitivity_table(findings, policy, *counted, draws=DRAWS),
        "groups": group_table(images, predictions, CLASSES, POSITIVE, names, crossings),
        "gaps": gap_table(images, predictions, CLASSES, POSITIVE, names, crossings, draws=DRAWS),
        "region_groups": region_group_table(mass, images, names, crossings),
    }


def _maps(row: int, model: str, drawings: dict[str, np.ndarray], cross: bool) -> dict[str, np.ndarray]:
    random = np.random.default_rng([row, 1 if model.endswith("torch") else 2])
    mask, spot = drawings["object"][row], drawings["spot"][row]
    edge = mask ^ (np.roll(mask, 1, 0) & np.roll(mask, -1, 0) & np.roll(mask, 1, 1) & np.roll(mask, -1, 1))
    pull = 0.9 if cross else 0.15
    strength = 0.08 + 0.7 * edge + 0.2 * mask + pull * spot
    saliency = np.abs(random.normal(0, 1, (SIZE, SIZE))) * strength * 0.05
    signed = random.normal(0.25 if cross else -0.15, 1, (SIZE, SIZE)) * strength * 0.03
    heat = (0.5 * mask + pull * 0.3 * spot).reshape(24, 2, 24, 2).mean((1, 3))
    for _ in range(3):
        heat = (heat + np.roll(heat, 1, 0) + np.roll(heat, -1, 0) + np.roll(heat, 1, 1) + np.roll(heat, -1, 1)) / 5
    heat = np.maximum(heat + random.normal(0, 0.02, (24, 24)) - 0.03, 0)
    found = {"saliency": saliency, "gradient_x_input": signed, "grad_cam": heat}
    return {name: value.astype(np.float32) for name, value in found.items()}


def _maps_by_method(
    drawings: dict[str, np.ndarray], images: pd.DataFrame, predictions: pd.DataFrame, explained: list[int]
) -> dict[tuple[str, str], dict[str, np.ndarray]]:
    """The maps of `_explain`, as mean maps are made of."""
    found: dict[tuple[str, str], dict[str, np.ndarray]] = {}
    for model, _ in MODELS:
        predicted = predictions.loc[predictions["model"] == model, "predicted"].to_numpy(object)
        for row in explained:
            for method, drawn in _maps(row, model, drawings, predicted[row] == POSITIVE).items():
                found.setdefault((model, method), {})[images["image_id"][row]] = drawn
    return found


def _explain(
    folder: Path,
    plan: Plan,
    drawings: dict[str, np.ndarray],
    images: pd.DataFrame,
    predictions: pd.DataFrame,
    explained: list[int],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    rows: list[dict[str, Any]] = []
    mass: list[dict[str, Any]] = []
    for model, _ in MODELS:
        of_model = predictions[predictions["model"] == model].reset_index(drop=True)
        drawn = [_maps(row, model, drawings, of_model["predicted"][row] == POSITIVE) for row in explained]
        for shard in plan.stage("explain"):
            inside = range(shard.start, shard.stop)
            part = of_model.loc[[explained[i] for i in inside], ["image_id", "status", "predicted", "confidence"]]
            maps = {method: [drawn[i][method] for i in inside] for method in METHODS}
            receipt = Receipt(plan.fingerprint, model, shard, {"ok": len(part)}, 32, 1.5)
            write_shard(folder, receipt, part.reset_index(drop=True), maps)
        for row, maps_of_row in zip(explained, drawn, strict=True):
            for method, found in maps_of_row.items():
                rows.append(_explanation(model, method, found, of_model.loc[row]))
                mass += _mass(model, method, found, images["image_id"][row], drawings, row)
        for shard in plan.stage("predict"):
            part = of_model.iloc[shard.start : shard.stop].drop(columns="model")
            receipt = Receipt(plan.fingerprint, model, shard, part["status"].value_counts().to_dict(), 32, 2.0)
            write_shard(folder, receipt, part, {})
    return pd.DataFrame(rows), pd.DataFrame(mass)


def _explanation(model: str, method: str, found: np.ndarray, outcome: pd.Series) -> dict[str, Any]:
    odds = outcome["confidence"] / (1 - outcome["confidence"])
    return {
        "model": model,
        "image_id": outcome["image_id"],
        "method": method,
        "layer": ("relu2" if method == "grad_cam" else None),
        "target": "predicted",
        "target_class": outcome["predicted"],
        "score": math.log(odds),
        "score_kind": "logit",
        "status": "ok",
        "total": float(np.abs(found).sum()),
    }


def _mass(
    model: str, method: str, found: np.ndarray, image_id: str, drawings: dict[str, np.ndarray], row: int
) -> list[dict[str, Any]]:
    weight = np.abs(found)
    weight = weight if weight.shape == (SIZE, SIZE) else np.kron(weight, np.ones((2, 2)))
    rows = []
    for region, mask in (("object", drawings["object"][row]), ("marker", drawings["spot"][row])):
        present = bool(mask.any())
        share = float(weight[mask].sum() / weight.sum()) if present else None
        key = {"model": model, "image_id": image_id, "method": method, "region": region}
        rows.append(key | {"share": share, "area": float(mask.mean()), "status": "ok" if present else "undefined"})
    return rows


def _crosschecks(images: pd.DataFrame, explained: list[int]) -> pd.DataFrame:
    random = np.random.default_rng(5)
    rows = []
    for model, framework in MODELS:
        provider = "captum" if framework == "torch" else "tf-explain"
        for method in METHODS:
            for row in explained[:8]:
                missing = provider == "tf-explain" and method == "grad_cam"
                rows.append(
                    {
                        "model": model,
                        "method": method,
                        "provider": provider,
                        "image_id": images["image_id"][row],
                        "max_difference": None if missing else float(random.uniform(1e-7, 8e-7)),
                        "spearman": None if missing else 1.0 - float(random.uniform(0, 1e-6)),
                        "status": "not_measured" if missing else "ok",
                        "note": "tf-explain needs a functional model with a named layer"
                        if missing
                        else ("ReLU applied to the provider's map" if method == "grad_cam" else ""),
                    }
                )
    return pd.DataFrame(rows)


def _training() -> pd.DataFrame:
    rows = []
    for model, shift in (("biased-torch", 0.0), ("biased-keras", 0.03)):
        for epoch in range(1, 9):
            loss = 0.62 * math.exp(-epoch / 2.4) + 0.03 + shift / 3
            val_loss = 0.6 * math.exp(-epoch / 2.6) + 0.12 + 0.012 * max(epoch - 5, 0) + shift
            rows.append(
                {
                    "model": model,
                    "epoch": epoch,
                    "loss": loss,
                    "accuracy": 1 - loss / 2.2,
                    "val_loss": val_loss,
                    "val_accuracy": 0.97 - val_loss / 2.6,
                    "seconds": 3.1,
                }
            )
    return pd.DataFrame(rows)


def _problems(images: pd.DataFrame) -> pd.DataFrame:
    last = images.iloc[-1]
    rows = [
        {"stage": "decode", "model": None, "image_id": last["image_id"], "path": last["path"]}
        | {"status": "unreadable", "detail": "cannot identify image file"},
        {"stage": "crosscheck", "model": "biased-keras", "image_id": None, "path": None}
        | {"status": "not_measured", "detail": "tf-explain needs a functional model with a named layer"},
    ]
    return pd.DataFrame(rows)


def _thumbnails(folder: Path, drawings: dict[str, np.ndarray], images: pd.DataFrame, explained: list[int]) -> None:
    (folder / "thumbnails").mkdir(exist_ok=True)
    (folder / "logs").mkdir(exist_ok=True)
    for row in explained:
        picture = Image.fromarray(drawings["pixels"][row]).resize((96, 96), Image.Resampling.BILINEAR)
        picture.save(folder / "thumbnails" / f"{images['image_id'][row]}.jpg", quality=85)


def _plan(sample: int) -> Plan:
    shards: list[Shard] = [*cut("predict", IMAGES, 128), *cut("explain", sample, 32)]
    content = {"config": _config(), "rows": IMAGES, "sample": sample, "versions": {"faircam": "0.1.0"}}
    return Plan(content, tuple(name for name, _ in MODELS), tuple(shards))


def _config() -> dict[str, Any]:
    return {
        "name": "sample run (synthetic)",
        "data": {
            "manifest": "manifest.csv",
            "groups": [{"column": name, "name": name, "provenance": "by construction"} for name in ("tone", "marker")],
            "intersections": [["tone", "marker"]],
            "cluster": "scene",
            "regions": {
                "column": "regions",
                "names": {"1": "object", "2": "marker"},
                "should_not_matter": ["marker"],
            },
        },
        "positive": POSITIVE,
        "models": [{"name": name, "framework": framework} for name, framework in MODELS],
        "explanations": {"methods": list(METHODS), "target": "predicted", "sample": EXPLAINED, "cross_check": 8},
        "policy": None,
        "seed": 0,
    }


def _record(plan: Plan, images: pd.DataFrame) -> dict[str, Any]:
    preprocessing = {"size": [SIZE, SIZE], "mode": "RGB", "resize": "bilinear", "scale": [0.0, 1.0]}
    models = [
        {
            "name": name,
            "framework": framework,
            "classes": list(CLASSES),
            "head": "softmax",
            "score": "logit",
            "layer": "relu2",
            "device": "cpu",
            "sha256": sha256_bytes(name.encode()),
            "preprocessing": preprocessing,
            "outputs": None,
            "input_shape": [SIZE, SIZE, 3],
            "architecture": "plain_cnn",
            "arguments": {"num_classes": 2, "input_shape": [SIZE, SIZE, 3]},
            "parameters": 37_826,
        }
        for name, framework in MODELS
    ]
    return {
        "schema_version": 1,
        "run_id": plan.fingerprint[:12],
        "name": "sample run (synthetic)",
        "created": "2026-01-15T09:30:00+00:00",
        "faircam": "0.1.0",
        "config": _config(),
        "fingerprint": plan.fingerprint,
        "environment": {
            "platform": "Linux x86_64",
            "machine": "x86_64",
            "processors": 2,
            "python": "3.11.9",
            "versions": {"faircam": "0.1.0", "numpy": "2.3.0", "torch": "2.14.1", "keras": "3.15.1"},
        },
        "models": models,
        "data": {
            "planned": IMAGES,
            "counts": {str(key): int(value) for key, value in images["status"].value_counts().items()},
            "classes": list(CLASSES),
            "positive": POSITIVE,
            "attributes": [
                {"name": name, "provenance": "by construction", "bins": None} for name in ("tone", "marker")
            ],
            "intersections": [["tone", "marker"]],
            "regions": list(REGIONS),
            "cluster": "scene",
            "training": {
                name: {"note": None, "seconds_per_epoch": 3.1, "best_epoch": 5, "device": "cpu"} for name, _ in MODELS
            },
        },
        "policy": {"sha256": None, "name": None},
        "trust": {"trust_code": False},
        "complete": True,
        "timings": {"seconds": 10.8, "biased-torch:predict": 4.0, "biased-torch:explain": 3.0},
    }
