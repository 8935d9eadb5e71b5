"""Comparing the groups of one rate, as a question asks for: who takes part, and what is computed.

The comparisons themselves are in `contrasts`; what is made of them (a table row, a verdict) elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from audit.errors import InputError, nearest
from audit.fairness.contrasts import (
    Comparison,
    Excluded,
    Interval,
    Side,
    against_of,
    floor_of,
    no_comparison,
    overall_of,
    range_of,
    ratio_of,
)
from audit.fairness.metrics import Direction
from audit.fairness.permutation import Permutations, rate_gap_p
from audit.fairness.rates import GroupRates

__all__ = ["Kind", "Question", "compare", "exceedance_level", "split_small"]

Kind = Literal["range", "ratio", "reference", "overall", "floor"]


@dataclass(frozen=True)
class Question:
    """How groups are compared.

    Parameters
    ----------
    kind : str
        ``range``: largest minus smallest rate. ``ratio``: smallest over largest. ``reference``: how much
        worse the worst group is than `reference`. ``overall``: how much worse the worst group is than
        everybody else, small groups among them. ``floor``: the worst group's own rate (the largest one
        where lower is better).
    direction : {"higher", "lower"}, optional
        Which way is better. Without one, the lower group is named first and differences are absolute.
    min_n : int
        Groups with fewer clusters (images where there are none) in the denominator are left out.
    reference : str, optional
        The group of ``kind="reference"``.
    """

    kind: Kind
    direction: Direction | None
    min_n: int = 10
    reference: str | None = None


def compare(
    rates: GroupRates,
    question: Question,
    permutations: Permutations | None = None,
    stream: tuple[object, ...] = (),
) -> Comparison:
    """Compare the groups of a rate.

    Parameters
    ----------
    rates : GroupRates
        The rate over all groups.
    question : Question
        What is asked.
    permutations : Permutations, optional
        Draws of the test; without it no p-value is computed.
    stream : tuple
        Names the test's random numbers.

    Returns
    -------
    Comparison
        With a null value and a status where too few groups have a denominator, or are large enough.

    Raises
    ------
    InputError
        The reference is no group.
    """

    def test(part: GroupRates) -> float:
        if permutations is None:
            return float("nan")
        return rate_gap_p(part, permutations.draws, permutations.stream(*stream, *part.groups))

    if question.kind == "reference" and question.reference not in rates.groups:
        raise InputError(
            f"reference '{question.reference}' is no group, allowed: {list(rates.groups)}."
            f"{nearest(str(question.reference), rates.groups)}"
        )
    large, excluded = split_small(rates, question.min_n)
    if not _enough(large, rates, question):
        needed = 1 if question.kind == "floor" else 2
        few = int((rates.total > 0).sum()) >= needed
        return no_comparison(rates, "too_few_clusters" if few else "undefined", excluded)
    if question.kind == "range":
        found = range_of(large, question.direction, test)
    elif question.kind == "ratio":
        found = ratio_of(large, question.direction, test)
    elif question.kind == "reference":
        found = against_of(large, question.direction, test, str(question.reference))
    elif question.kind == "overall":
        found = overall_of(rates, large.groups, question.direction, test)
    else:
        found = floor_of(large, question.direction)
    return replace(found, excluded=excluded)


def _enough(large: GroupRates, rates: GroupRates, question: Question) -> bool:
    """Whether the groups that are large enough can be compared."""
    if question.kind == "floor":
        return len(large.groups) >= 1
    if question.kind == "overall":
        defined = int((rates.total > 0).sum())
        return len(large.groups) >= 1 and defined >= 2
    if question.kind == "reference" and question.reference not in large.groups:
        return False
    return len(large.groups) >= 2


def split_small(rates: GroupRates, min_n: int) -> tuple[GroupRates, Excluded]:
    """Take the groups with at least `min_n` clusters and at least one trial; list the others."""
    large = (rates.clusters >= min_n) & (rates.total > 0)
    kept = [name for name, keep in zip(rates.groups, large, strict=True) if keep]
    left = zip(rates.groups, rates.clusters.tolist(), large, strict=True)
    return rates.only(kept), tuple((name, clusters) for name, clusters, keep in left if not keep)


def exceedance_level(interval: Callable[[float], Interval], limit: float, bad: Side) -> float:
    """Smallest alpha at which the interval lies wholly on the bad side of a limit.

    This is the p-value of "the true value is not beyond the limit" that matches the two-sided interval
    (so it errs on the side of caution by a factor of two). 1 where no level does; NaN without an interval.
    """

    def beyond(alpha: float) -> bool:
        low, high = interval(alpha)
        return low > limit if bad == "above" else high < limit

    if np.isnan(interval(0.05)[0]):
        return float("nan")
    least, most = -12.0, float(np.log10(0.999))
    if not beyond(10**most):
        return 1.0
    if beyond(10**least):
        return float(10**least)
    for _ in range(30):
        middle = (least + most) / 2
        least, most = (least, middle) if beyond(10**middle) else (middle, most)
    return float(10**most)
