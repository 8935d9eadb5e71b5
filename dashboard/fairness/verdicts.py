"""Verdicts on gaps at settings that a viewer moves. Frames and comparisons in, verdicts out; no widget here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from audit.fairness import Comparison
from audit.findings.judge import adjust, verdict_of
from audit.findings.measured import Measured, measured_as
from audit.findings.policy import Rule
from audit.findings.power import images_to_settle
from audit.findings.wording import compose

__all__ = ["CORRECTIONS", "Cell", "Judged", "Settings", "judge_cells"]

Correction = Literal["holm", "bh", "none"]
CORRECTIONS: dict[str, str] = {"holm": "Holm", "bh": "Benjamini–Hochberg", "none": "none"}
"""Corrections for the number of comparisons, and what they are called."""


@dataclass(frozen=True)
class Settings:
    """What a verdict hangs on besides the data.

    Attributes
    ----------
    tolerance : float
        Largest gap allowed.
    alpha : float
        One minus the level of the interval.
    min_n : int
        Smallest number of clusters (images) of a group that takes part.
    correction : {'holm', 'bh', 'none'}
        Of claims of failure, over all cells judged together.
    """

    tolerance: float
    alpha: float
    min_n: int
    correction: Correction


@dataclass(frozen=True)
class Cell:
    """One comparison to be judged."""

    attribute: str
    metric: str
    class_name: str | None
    found: Comparison


@dataclass(frozen=True)
class Judged:
    """A cell with its verdict.

    Attributes
    ----------
    cell : Cell
    low, high : float
        Interval at the settings' level.
    p, p_adjusted : float
        Of the claim that the tolerance is exceeded.
    verdict, text : str
        As a policy with these settings would say.
    """

    cell: Cell
    low: float
    high: float
    p: float
    p_adjusted: float
    verdict: str
    text: str


def judge_cells(model: str, cells: Sequence[Cell], settings: Settings) -> list[Judged]:
    """Judge cells as one family.

    Parameters
    ----------
    model : str
    cells : sequence of Cell
        Over all of which claims of failure are corrected.
    settings : Settings

    Returns
    -------
    list of Judged
        In the order of the cells; the rules of `audit.findings`, but that Benjamini and Hochberg's correction,
        which no policy offers, stands in for Holm's where it is asked for.
    """
    measured = [measured_as(_rule(cell, settings), model, cell.class_name, cell.found) for cell in cells]
    adjusted, family = adjust(measured)
    if settings.correction == "bh":
        adjusted = _false_discovery([item.p for item in measured])
    return [_judged(cell, item, p, family) for cell, item, p in zip(cells, measured, adjusted, strict=True)]


def _rule(cell: Cell, settings: Settings) -> Rule:
    return Rule(
        metric=cell.metric,
        class_name=cell.class_name,
        attribute=cell.attribute,
        compare="range",
        tolerance=settings.tolerance,
        alpha=settings.alpha,
        min_n=settings.min_n,
        correction="holm" if settings.correction == "holm" else "none",
        tier="required",
    )


def _false_discovery(p: Sequence[float]) -> list[float]:
    from statsmodels.stats.multitest import multipletests

    out = np.asarray(p, dtype=np.float64)
    known = ~np.isnan(out)
    if known.any():
        out[known] = multipletests(out[known], method="fdr_bh")[1]
    return [float(value) for value in out]


def _judged(cell: Cell, item: Measured, p_adjusted: float, family: int) -> Judged:
    verdict = verdict_of(item, p_adjusted)
    needed = images_to_settle(item, family) if verdict == "inconclusive" else None
    text = compose(item, verdict, p_adjusted, needed)
    return Judged(cell, item.low, item.high, item.p, p_adjusted, verdict, text)
