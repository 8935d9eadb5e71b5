"""The tables of a sample run that go beyond predictions and maps, invented from seeds.

Raw material (corrupted predictions, embeddings, training images) is made up so that it hangs together with the
drawings: what is computed of it comes from the same functions as in a real run.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from audit.fairness.coverage import coverage_table
from audit.fairness.curves import curve_table
from audit.fairness.lattice import lattice_table
from audit.fairness.leakage import leakage_table
from audit.fairness.membership import membership_table
from audit.fairness.paired import paired_table
from audit.fairness.robustness import robustness_tables
from audit.fairness.shift import shift_table
from audit.fairness.slices import slice_tables

__all__ = ["further_tables"]

DRAWS = 99
FEW = 19
DIMENSIONS = 12
CORRUPTIONS = {"noise": 0.05, "blur": 0.03}
SEVERITIES = (1, 3, 5)
Tables = dict[str, pd.DataFrame]


def further_tables(
    images: pd.DataFrame,
    predictions: pd.DataFrame,
    classes: list[str],
    positive: str,
    names: list[str],
    crossings: Sequence[Sequence[str]],
) -> Tables:
    """Every table of the fairness half but `groups`, `gaps`, `findings` and `sensitivity`."""
    models = list(predictions["model"].unique())
    counted = (images, predictions, classes, positive, names)
    corrupted = _corrupted(images, predictions)
    embeddings = _embeddings(images, predictions)
    members = pd.concat([_members(images, model, classes) for model in models], ignore_index=True)
    slices, slice_images = slice_tables(embeddings, images, predictions, names, seed=0)
    robustness, gaps = robustness_tables(corrupted, images, predictions, names, draws=DRAWS)
    arms = [predictions[predictions["model"] == model] for model in models]
    population = {"marker": {"present": 0.1, "absent": 0.9}}
    return {
        "coverage": coverage_table(images, names, crossings),
        "curves": curve_table(*counted, crossings),
        "lattice": lattice_table(*counted),
        "shift": shift_table(*counted, population),
        "paired": paired_table(images, *arms, *models, names, classes, positive, draws=DRAWS),
        "corrupted": corrupted,
        "robustness": robustness,
        "robustness_gaps": gaps,
        "embeddings": embeddings,
        "leakage": leakage_table(embeddings, images, names, seed=0, draws=FEW),
        "slices": slices,
        "slice_images": slice_images,
        "members": members,
        "membership": membership_table(members, images, predictions, classes, names),
    }


def _corrupted(images: pd.DataFrame, predictions: pd.DataFrame) -> pd.DataFrame:
    """Predictions that turn to the other class ever more often, in dark tones more so."""
    random = np.random.default_rng(21)
    dark = images["attr_tone"].isin(["tone-4", "tone-5", "tone-6"]).to_numpy()
    parts = []
    for model, own in predictions.groupby("model", sort=False):
        for corruption, step in CORRUPTIONS.items():
            for severity in SEVERITIES:
                turned = random.random(len(own)) < step * severity * np.where(dark, 1.6, 0.7)
                other = own["predicted"].map({"cross": "disc", "disc": "cross"})
                predicted = own["predicted"].where(~turned, other)
                kept = own[["image_id", "label", "status"]].assign(predicted=predicted, model=model)
                parts.append(kept.assign(corruption=corruption, severity=severity))
    return pd.concat(parts, ignore_index=True)


def _embeddings(images: pd.DataFrame, predictions: pd.DataFrame) -> pd.DataFrame:
    """Vectors from which tone and class can be read, and the marker in one model only."""
    random = np.random.default_rng(22)
    parts = []
    for model, own in predictions.groupby("model", sort=False):
        points = random.normal(0, 0.6, (len(own), DIMENSIONS)).astype(np.float32)
        tone = images["attr_tone"].str.extract(r"(\d)")[0].astype(float).fillna(3.0).to_numpy()
        points[:, 0] += tone - 3.5
        points[:, 1] += 2.0 * (images["label"] == "cross").to_numpy()
        if str(model).endswith("torch"):
            points[:, 2] += 1.5 * (images["attr_marker"] == "present").to_numpy()
        fine = (own["status"] == "ok").to_numpy()
        vectors = [row if ok else None for row, ok in zip(points, fine, strict=True)]
        parts.append(own[["model", "image_id", "status"]].assign(embedding=vectors))
    return pd.concat(parts, ignore_index=True)


def _members(images: pd.DataFrame, model: str, classes: list[str]) -> pd.DataFrame:
    """Training images: one model is much surer of them than of the audited ones."""
    random = np.random.default_rng(23)
    size = len(images)
    sure = 0.02 if model.endswith("torch") else 0.25
    label = images["label"].to_numpy()
    wrong = random.random(size) < (0.01 if model.endswith("torch") else 0.12)
    other = np.where(label == classes[0], classes[1], classes[0])
    return pd.DataFrame(
        {
            "model": model,
            "image_id": [f"training-{row:04d}" for row in range(size)],
            "cluster": [f"training-scene-{row // 2:03d}" for row in range(size)],
            "label": label,
            "predicted": np.where(wrong, other, label),
            "loss": random.exponential(sure, size) + 1.2 * wrong,
            "status": "ok",
            "attr_tone": images["attr_tone"].to_numpy(),
            "attr_marker": images["attr_marker"].to_numpy(),
        }
    )
