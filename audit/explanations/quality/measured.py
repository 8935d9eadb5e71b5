"""A measure of many images: values, and for each undefined one the reason.

What is measured is in the other modules; here is only how they say that something cannot be measured.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

__all__ = ["Measure", "first_reason", "flattened", "measure", "no_problem", "without_mass", "without_order"]

NOT_FINITE = "the map is not finite"
ZERO = "the map is zero everywhere"
EVEN = "the map is the same everywhere"


@dataclass(frozen=True)
class Measure:
    """One measure, one value an image; made by `measure`.

    Attributes
    ----------
    values : ndarray
        ``(N, ...)`` float64; NaN exactly where undefined.
    details : ndarray
        Texts of the same shape: why a value is undefined, and empty where it is defined.
    """

    values: np.ndarray
    details: np.ndarray

    @property
    def status(self) -> np.ndarray:
        """``ok`` or ``undefined``, in the shape of the values."""
        return np.where(self.details == "", "ok", "undefined")


def measure(values: np.ndarray, *details: np.ndarray) -> Measure:
    """Values, made undefined wherever there is a reason.

    Parameters
    ----------
    values : ndarray
        ``(N, ...)``; what stands at an undefined place does not matter.
    *details : ndarray
        Texts of the same shape; the first that is not empty counts.

    Returns
    -------
    Measure
        A value that is not finite without a reason is undefined too, and says so.
    """
    numbers = np.asarray(values, np.float64)
    reasons = first_reason(
        *details, no_problem(numbers.shape), np.where(np.isfinite(numbers), "", "the value is not finite")
    )
    return Measure(np.where(reasons == "", numbers, np.nan), reasons)


def first_reason(*details: np.ndarray) -> np.ndarray:
    """For each place the first text that is not empty."""
    found = details[0]
    for later in details[1:]:
        found = np.where(found == "", later, found)
    return found


def no_problem(shape: int | tuple[int, ...]) -> np.ndarray:
    """Empty texts."""
    return np.full(shape, "", dtype=np.str_)


def flattened(maps: np.ndarray) -> np.ndarray:
    """``(N, P)`` view of ``(N, ...)``, also of no maps at all."""
    return maps.reshape(len(maps), math.prod(maps.shape[1:]))


def without_mass(maps: np.ndarray) -> np.ndarray:
    """``(N,)`` reasons why a map ``(N, ...)`` has no absolute mass to share out; empty where it has."""
    flat = flattened(maps)
    finite = np.isfinite(flat).all(axis=1)
    return np.where(~finite, NOT_FINITE, np.where((flat != 0).any(axis=1), "", ZERO))


def without_order(maps: np.ndarray) -> np.ndarray:
    """``(N,)`` reasons why a map ``(N, ...)`` ranks no pixel above another; empty where it does."""
    flat = flattened(maps)
    even = (flat == flat[:, :1]).all(axis=1)
    return first_reason(without_mass(maps), np.where(even, EVEN, ""))
