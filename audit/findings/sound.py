"""Whether a model's predictions can be judged at all: there are some, and they differ between images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["unsound"]

ALIKE = 1e-9


def unsound(images: pd.DataFrame, predictions: pd.DataFrame, models: Sequence[str] = ()) -> dict[str, str]:
    """Models whose predictions cannot be judged, and why.

    Parameters
    ----------
    images, predictions : DataFrame
        The run's tables; `predictions` may lack ``probabilities``.
    models : sequence of str
        Models that should have predictions.

    Returns
    -------
    dict of str to str
        No prediction counts; or all scores are equal: every image gets the same probabilities (to 1e-9), so
        that nothing the model does depends on the image.
    """
    usable = images["status"] == "ok"
    fine = (predictions["status"] == "ok").to_numpy(bool)
    if not usable.all():
        fine = fine & predictions["image_id"].isin(images.loc[usable.to_numpy(bool), "image_id"]).to_numpy(bool)
    named = predictions["model"].astype("str")
    found = {}
    for model in dict.fromkeys([*named.unique(), *models]):
        own = predictions.loc[
            fine & (named == model).to_numpy(bool), predictions.columns.intersection(["probabilities"])
        ]
        if not len(own):
            found[model] = "no prediction of this model counts"
        elif "probabilities" in own and (scores := _common_scores(own["probabilities"])) is not None:
            found[model] = (
                f"it gives all {len(own)} images the same scores ({scores}), so nothing was decided by an image; check "
                "that the weights were loaded, that preprocessing and value range are those of the training, and "
                "that the images differ"
            )
    return found


def _common_scores(probabilities: pd.Series[Any]) -> str | None:
    """The scores in words if all images have the same; None where they differ, are too few or are not there."""
    if len(probabilities) < 2 or probabilities.isna().any():
        return None
    first = np.asarray(probabilities.iloc[0], np.float64)
    for scores in probabilities.iloc[1:]:
        other = np.asarray(scores, np.float64)
        if other.shape != first.shape or not bool((np.abs(other - first) <= ALIKE).all()):
            return None
    shown = ", ".join(f"{value:.3f}" for value in first[:5])
    return shown + (", ..." if len(first) > 5 else "")
