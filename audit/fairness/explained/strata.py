"""Which explained images are alike in label and confidence, or in whether the prediction is right."""

from __future__ import annotations

import numpy as np
import pandas as pd

from audit.errors import InputError
from audit.fairness.rows import Ints, require_columns

__all__ = ["BINS", "MATCHINGS", "confidence_strata"]

MATCHINGS = ("none", "label_confidence", "correctness")
BINS = 5
"""Bins of confidence within a label; five leave about a tenth of the bias of a confounder (Cochran 1968)."""


def confidence_strata(images: pd.DataFrame, predictions: pd.DataFrame, place: Ints, model: str) -> dict[str, Ints]:
    """Stratum of each image under every matching, -1 where it is not known.

    Parameters
    ----------
    images, predictions : DataFrame
        The run's tables.
    place : ndarray of int64, shape (N,)
        Positions of the explained images in `images`.
    model : str

    Returns
    -------
    dict of str to ndarray of int64
        ``none``: all 0. ``label_confidence``: the true label crossed with the fifth of the explained images that
        the model's confidence lies in (edges at the quintiles of the explained images, over all labels and groups).
        ``correctness``: whether the prediction is the label.
    """
    require_columns(predictions, "predictions", ("model", "image_id", "predicted", "status"))
    own = predictions[(predictions["model"].astype(str) == model) & (predictions["status"] == "ok").to_numpy(bool)]
    if own["image_id"].duplicated().any():
        raise InputError(f"an image is predicted twice by model '{model}'")
    own = own.set_index("image_id").reindex(images["image_id"].to_numpy()[place])
    label = images["label"].to_numpy(object)[place]
    label_code = pd.factorize(label)[0].astype(np.int64)
    predicted = own["predicted"].to_numpy(object)
    known = pd.notna(own["predicted"]).to_numpy(bool) & (label_code >= 0)
    right = np.array([one == other for one, other in zip(label, predicted, strict=True)], dtype=np.int64)
    given = own["confidence"] if "confidence" in own else pd.Series(np.nan, index=own.index)
    confidence = pd.to_numeric(given, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    finite = known & np.isfinite(confidence)
    stratum = np.full(len(place), -1, np.int64)
    if finite.any():
        edges = np.quantile(confidence[finite], np.arange(1, BINS) / BINS)
        stratum[finite] = label_code[finite] * BINS + np.searchsorted(edges, confidence[finite], side="right")
    return {
        "none": np.zeros(len(place), np.int64),
        "label_confidence": stratum,
        "correctness": np.where(known, right, -1),
    }
