"""Which explained images a viewer asks for: by group, outcome and disagreement. Frames in, frames out."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from audit.run import Run
from dashboard import data

__all__ = ["ANY", "OUTCOMES", "Wish", "explained_images", "outcome_options", "pick"]

ANY = "any"
OUTCOMES = {
    ANY: "any outcome",
    "correct": "correct",
    "wrong": "wrong",
    "true-positive": "true positive",
    "false-positive": "false positive",
    "true-negative": "true negative",
    "false-negative": "false negative",
}
"""Outcomes that can be asked for, and their words; the last four need a positive class."""


@dataclass(frozen=True)
class Wish:
    """What the viewer asked for.

    Attributes
    ----------
    model : str
        Whose outcome counts.
    attribute, group : str
        Only images of this group; `ANY` for every one.
    outcome : str
        Key of `OUTCOMES`.
    disagreement : {'any', 'yes', 'no'}
        Whether models must predict different classes.
    """

    model: str
    attribute: str = ANY
    group: str = ANY
    outcome: str = ANY
    disagreement: str = ANY


def outcome_options(run: Run) -> list[str]:
    """Outcomes that can be told in this run."""
    if run.record.get("data", {}).get("positive") is None:
        return [ANY, "correct", "wrong"]
    return list(OUTCOMES)


def explained_images(run: Run) -> pd.DataFrame:
    """One row an explained image: ``image_id``, ``label``, attributes, and each model's ``predicted:NAME``."""
    names = tuple(data.explained_ids(run))
    if not names:
        return pd.DataFrame({"image_id": [], "label": []})
    only = (("image_id", "in", names),)
    columns = ("image_id", "label", *(f"attr_{name}" for name in data.attributes(run)))
    images = data.table(run, "images", columns, only)
    made = data.table(run, "predictions", ("model", "image_id", "predicted"), only)
    for model in run.models:
        found = made[made["model"] == model].drop_duplicates("image_id").set_index("image_id")["predicted"]
        images = images.assign(**{f"predicted:{model}": images["image_id"].map(found)})
    return images


def pick(images: pd.DataFrame, wish: Wish, models: list[str], positive: str | None) -> list[str]:
    """Images that meet a wish, in the order of the data."""
    keep = pd.Series(True, index=images.index)
    predicted = images[f"predicted:{wish.model}"]
    if wish.attribute != ANY and wish.group != ANY:
        keep &= images[f"attr_{wish.attribute}"] == wish.group
    if wish.outcome != ANY:
        keep &= _outcome(images["label"], predicted, wish.outcome, positive)
    if wish.disagreement != ANY:
        made = zip(*(images[f"predicted:{model}"] for model in models), strict=True)
        differ = pd.Series([len({name for name in names if pd.notna(name)}) > 1 for names in made], index=images.index)
        keep &= differ if wish.disagreement == "yes" else ~differ
    return [str(name) for name in images.loc[keep, "image_id"]]


def _outcome(label: pd.Series, predicted: pd.Series, outcome: str, positive: str | None) -> pd.Series:
    known = predicted.notna()
    right = label == predicted
    if outcome in ("correct", "wrong"):
        return known & (right if outcome == "correct" else ~right)
    truly, kind = outcome.split("-")
    chosen = (predicted == positive) if kind == "positive" else (predicted != positive)
    actual = label == positive
    agrees = actual == (predicted == positive)
    return known & chosen & (agrees if truly == "true" else ~agrees)
