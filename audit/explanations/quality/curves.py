"""The curve of a probability as pixels leave or enter an image, and the area under it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from audit.explanations.quality.measured import Measure, first_reason, measure

__all__ = ["FLOOR", "Curve", "to_curve"]

FLOOR = 0.05
"""Starting probability below which nothing is divided by it."""


@dataclass(frozen=True)
class Curve:
    """Probability of the target of many images, step by step.

    Attributes
    ----------
    shares : ndarray
        ``(S,)`` share of the pixels that are taken out (deletion, ROAD) or put in (insertion).
    values : ndarray
        ``(N, S)`` probability of the target; NaN in a whole row where the curve is undefined.
    auc : Measure
        ``(N,)`` area under the curve by the trapezoid rule, over the width of `shares`: the mean height, 0 to 1.
        Small is good when the most important pixels leave first, large when they enter first.
    normalised : Measure
        ``(N,)`` the same divided by the probability of the untouched image, which makes images of which the model
        is sure to a different degree comparable; above 1 where perturbing helps the target.
    """

    shares: np.ndarray
    values: np.ndarray
    auc: Measure
    normalised: Measure


def to_curve(shares: np.ndarray, values: np.ndarray, start: np.ndarray, problems: np.ndarray, floor: float) -> Curve:
    """Area under a curve, and where it is undefined.

    Parameters
    ----------
    shares : ndarray
        ``(S,)`` ascending.
    values : ndarray
        ``(N, S)`` probabilities.
    start : ndarray
        ``(N,)`` probability of the untouched image.
    problems : ndarray
        ``(N,)`` reasons why the map cannot be judged, empty where it can.
    floor : float
        Smallest `start` by which the area is divided.

    Returns
    -------
    Curve
    """
    finite = np.isfinite(values).all(axis=1)
    reasons = first_reason(problems, np.where(finite, "", "a score of a perturbed image is not finite"))
    area = np.trapezoid(values, shares, axis=1) / (shares[-1] - shares[0])
    small = np.array([f"the starting probability is {p:.4g}, below {floor:g}" if p < floor else "" for p in start])
    divided = np.divide(area, start, out=np.full_like(area, np.nan), where=start >= max(floor, np.finfo(float).tiny))
    return Curve(
        shares=shares,
        values=np.where((reasons == "")[:, None], values, np.nan),
        auc=measure(area, reasons),
        normalised=measure(divided, reasons, small.astype(np.str_)),
    )
