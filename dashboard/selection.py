"""Which explained images a viewer asks for, in which order. Frames in, frames out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import streamlit as st

from audit.run import Run
from dashboard import data

__all__ = ["ANY", "ORDERS", "OUTCOMES", "Wish", "arrange", "explained_images", "outcome_options", "pick"]

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

ORDERS = {
    "data": "as in the data",
    "unsure": "least confident first",
    "sure": "most confident first",
    "apart": "same answer, least alike maps first",
}
"""Orders of the images, and their words; the last needs two models."""
_PREDICTED = ("predicted", "confidence")


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
    confidence : (int, int)
        Least and largest confidence of the model, in per cent; an image without one counts only where all do.
    """

    model: str
    attribute: str = ANY
    group: str = ANY
    outcome: str = ANY
    disagreement: str = ANY
    confidence: tuple[int, int] = (0, 100)


def outcome_options(run: Run) -> list[str]:
    """Outcomes that can be told in this run."""
    if run.record.get("data", {}).get("positive") is None:
        return [ANY, "correct", "wrong"]
    return list(OUTCOMES)


def explained_images(run: Run) -> pd.DataFrame:
    """One row an explained image: ``image_id``, ``label``, attributes, and ``predicted:`` and ``confidence:MODEL``."""
    stamps = tuple(data.changed(run, name) for name in ("images", "predictions", "explanations"))
    return _explained_images(str(run.path), stamps)


@st.cache_data(max_size="64MB", show_spinner=False)
def _explained_images(path: str, stamps: tuple[int, ...]) -> pd.DataFrame:  # noqa: ARG001  part of the cache's key
    run = data.open_cached(Path(path))
    names = data.explained_ids(run)
    if not names:
        return pd.DataFrame({"image_id": [], "label": []})
    columns = ["image_id", "label", *(f"attr_{name}" for name in data.attributes(run))]
    images = run.table("images", columns=columns, filters=[("image_id", "in", names)])
    made = data.explained_predictions(run)
    for model in run.models:
        found = made[made["model"] == model].drop_duplicates("image_id").set_index("image_id")
        images = images.assign(**{f"{name}:{model}": images["image_id"].map(found[name]) for name in _PREDICTED})
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
    if wish.confidence != (0, 100):
        low, high = wish.confidence
        keep &= images[f"confidence:{wish.model}"].between(low / 100, high / 100)
    return [str(name) for name in images.loc[keep, "image_id"]]


def arrange(names: list[str], order: str, by: pd.Series) -> list[str]:
    """Put images in order.

    Parameters
    ----------
    names : list of str
        Images to arrange, in the order of the data.
    order : str
        Key of `ORDERS`.
    by : Series
        Indexed by image: confidence, or for ``apart`` the overlap of the maps, of images on which both models say the
        same.

    Returns
    -------
    list of str
        Images without a value last; for ``apart`` left out, as they are not asked for.
    """
    if order == "data":
        return names
    values = by.reindex(names).astype("float64")
    if order == "apart":
        values = values.dropna()
    ordered = values.sort_values(ascending=order != "sure", kind="stable", na_position="last")
    return [str(name) for name in ordered.index]


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
