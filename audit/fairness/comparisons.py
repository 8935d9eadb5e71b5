"""Comparing the groups of one rate, as a question asks for: who takes part, and what is computed.

The comparisons themselves are in `contrasts`; what is made of them (a table row, a verdict) elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import numpy as np

from audit.errors import InputError, nearest
from audit.fairness.composites import average_odds, equalised_odds
from audit.fairness.contrasts import (
    Comparison,
    Excluded,
    Interval,
    Side,
    Test,
    against_of,
    floor_of,
    no_comparison,
    overall_of,
    range_of,
    ratio_of,
)
from audit.fairness.estimates import Estimates
from audit.fairness.metrics import Direction
from audit.fairness.permutation import Permutations, rate_gap_p
from audit.fairness.rates import GroupRates

__all__ = ["Kind", "Question", "compare", "compare_odds", "exceedance_level", "split_small"]

E = TypeVar("E", bound=Estimates)

Kind = Literal["range", "mean", "ratio", "reference", "overall", "floor"]


@dataclass(frozen=True)
class Question:
    """How groups are compared.

    Parameters
    ----------
    kind : str
        ``range``: largest minus smallest value. ``mean``: of equalised odds, the mean of the two ranges.
        ``ratio``: smallest over largest. ``reference``: how much worse the worst group is than `reference`.
        ``overall``: how much worse the worst group is than everybody else, small groups among them.
        ``floor``: the worst group's own value (the largest one where lower is better).
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
    found: Estimates,
    question: Question,
    permutations: Permutations | None = None,
    stream: tuple[object, ...] = (),
) -> Comparison:
    """Compare the groups of one metric.

    Parameters
    ----------
    found : GroupRates or SmoothEstimates
        The metric over all groups.
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
    check_reference(question, found.groups)
    large, excluded = split_small(found, question.min_n)
    if not _enough(large, found, question):
        needed = 1 if question.kind == "floor" else 2
        few = int((found.total > 0).sum()) >= needed
        return no_comparison("too_few_clusters" if few else "undefined", excluded)
    test = permutation_test(permutations, stream)
    if question.kind == "range":
        made = range_of(large, question.direction, test)
    elif question.kind == "ratio":
        made = ratio_of(large, question.direction, test)
    elif question.kind == "reference":
        made = against_of(large, question.direction, test, str(question.reference))
    elif question.kind == "overall":
        made = overall_of([found.against_rest(name) for name in large.groups], question.direction, test)
    elif question.kind == "floor":
        made = floor_of(large, question.direction)
    else:
        raise InputError(f"compare '{question.kind}' is for equalised_odds only")
    return replace(_with_p(made, question, permutations), excluded=excluded)


def compare_odds(
    rates: tuple[GroupRates, GroupRates],
    metric: str,
    question: Question,
    permutations: Permutations | None = None,
    stream: tuple[object, ...] = (),
    names: tuple[tuple[object, ...], tuple[object, ...]] = (("true",), ("false",)),
) -> Comparison:
    """Compare the groups' true and false positive rates together (`composites`).

    Parameters
    ----------
    rates : (GroupRates, GroupRates)
        True and false positive rate of one class over all groups.
    metric : {"equalised_odds", "average_odds"}
    question : Question
        Of kind ``range``, or ``mean`` for the mean form of equalised odds.
    permutations, stream
        As in `compare`.
    names : tuple of tuple
        What the stream of each rate's own test goes on with, so that its p is that of the rate's range.

    Raises
    ------
    InputError
        Another kind of comparison is asked for.
    """
    if question.kind not in (("range", "mean") if metric == "equalised_odds" else ("range",)):
        raise InputError(f"compare is '{question.kind}' for metric '{metric}', allowed: range")
    parts = [split_small(part, question.min_n) for part in rates]
    kept = [name for name in parts[0][0].groups if name in parts[1][0].groups]
    excluded = tuple(dict(parts[1][1] + parts[0][1]).items())
    if len(kept) < 2:
        defined = ((rates[0].total > 0) & (rates[1].total > 0)).sum()
        return no_comparison("too_few_clusters" if defined >= 2 else "undefined", excluded)
    pair = rates[0].only(kept), rates[1].only(kept)
    if metric == "average_odds":
        made = average_odds(pair)
    else:
        p = [permutation_test(permutations, (*stream, *name))(part) for part, name in zip(pair, names, strict=True)]
        made = equalised_odds(pair, p, "max" if question.kind == "range" else "mean")
    return replace(_with_p(made, question, permutations), excluded=excluded)


def permutation_test(permutations: Permutations | None, stream: tuple[object, ...]) -> Test:
    """The test of a rate that `compare` uses; NaN without permutations."""

    def test(part: GroupRates) -> float:
        if permutations is None:
            return float("nan")
        return rate_gap_p(part, permutations.draws, permutations.stream(*stream, *part.groups))

    return test


def _with_p(made: Comparison, question: Question, permutations: Permutations | None) -> Comparison:
    """Where no permutation test was made, p is the smallest alpha at which the interval leaves "no gap" out."""
    if permutations is None or made.status != "ok" or question.kind == "floor" or not np.isnan(made.p):
        return made
    return replace(made, p=exceedance_level(made.interval, 1.0 if question.kind == "ratio" else 0.0, made.bad))


def check_reference(question: Question, groups: Sequence[str]) -> None:
    """Refuse a reference that is no group."""
    if question.kind == "reference" and question.reference not in groups:
        raise InputError(
            f"reference '{question.reference}' is no group, allowed: {list(groups)}."
            f"{nearest(str(question.reference), groups)}"
        )


def _enough(large: Estimates, found: Estimates, question: Question) -> bool:
    """Whether the groups that are large enough can be compared."""
    if question.kind == "floor":
        return len(large.groups) >= 1
    if question.kind == "overall":
        defined = int((found.total > 0).sum())
        return len(large.groups) >= 1 and defined >= 2
    if question.kind == "reference" and question.reference not in large.groups:
        return False
    return len(large.groups) >= 2


def split_small(found: E, min_n: int) -> tuple[E, Excluded]:
    """Take the groups with a value and at least `min_n` clusters; list the others."""
    large = (found.clusters >= min_n) & (found.total > 0) & ~np.isnan(found.rate)
    kept = [name for name, keep in zip(found.groups, large, strict=True) if keep]
    left = zip(found.groups, found.clusters.tolist(), large, strict=True)
    return found.only(kept), tuple((name, clusters) for name, clusters, keep in left if not keep)


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
