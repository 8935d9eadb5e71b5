"""What a comparison needs to know of the groups' values, whether they are rates or smooth functions of counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt

from audit.fairness.intervals import Floats
from audit.fairness.rows import Ints

__all__ = ["Estimates"]


class Estimates(Protocol):
    """One metric over groups: values, clusters, variance, intervals and how the values correlate.

    `rates.GroupRates` and `smooth.SmoothEstimates` are such.
    """

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups, G of them."""

    @property
    def rate(self) -> Floats:
        """Value of each group, shape (G,); NaN where undefined."""

    @property
    def variance(self) -> Floats:
        """Linearised variance of each value, shape (G,)."""

    @property
    def clusters(self) -> Ints:
        """Clusters (images where there are none) that count for each value, shape (G,)."""

    @property
    def total(self) -> Ints:
        """Images that count for each value, shape (G,)."""

    @property
    def dependent(self) -> npt.NDArray[np.bool_]:
        """Whether any cluster of the group has more than one image, shape (G,)."""

    @property
    def mixed(self) -> bool:
        """Whether some cluster lies in more than one group."""

    @property
    def correlation(self) -> Floats:
        """Correlation of the values through shared clusters, shape (G, G)."""

    def intervals(self, alpha: float = 0.05) -> tuple[Floats, Floats]:
        """Interval of each value, for itself."""

    def score_intervals(self, alpha: float = 0.05) -> tuple[Floats, Floats]:
        """Intervals that differences are built from."""

    def only(self, groups: Sequence[str]) -> Self:
        """Keep these groups, in this order."""

    def against_rest(self, group: str) -> Self:
        """Two arms: one group, and everybody else as one group."""
