"""The table `gaps`: how far apart the groups of each attribute are, with interval and test."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from audit.errors import InputError
from audit.fairness.comparisons import Question, compare
from audit.fairness.contrasts import Comparison
from audit.fairness.counts import CountTensor, count_predictions
from audit.fairness.groups import check_positive
from audit.fairness.metrics import METRICS
from audit.fairness.permutation import Permutations
from audit.fairness.rates import rate_units
from audit.fairness.rows import OVERALL
from audit.run.schema import columns

__all__ = ["GAP_COLUMNS", "gap_metrics", "gap_table", "measure", "small_groups"]

GAP_COLUMNS = tuple(columns("gaps"))


def gap_table(
    images: pd.DataFrame,
    predictions: pd.DataFrame,
    classes: Sequence[str],
    positive: str | None,
    attributes: Sequence[str],
    intersections: Sequence[Sequence[str]] = (),
    *,
    alpha: float = 0.05,
    min_n: int = 10,
    draws: int = 9999,
    seed: int = 0,
) -> pd.DataFrame:
    """Compute table `gaps`.

    Parameters
    ----------
    images, predictions, classes, positive, attributes, intersections
        As in `group_table`.
    alpha : float
        One minus the confidence level of each range's interval.
    min_n : int
        Groups with fewer clusters (images where there are none) in the metric's denominator do not take
        part; `small_groups` lists them.
    draws, seed : int
        Of the permutation test.

    Returns
    -------
    DataFrame
        Columns `GAP_COLUMNS`; metrics as `gap_metrics` says. ``value`` is the largest minus the smallest
        rate, ``group`` the one served worst and ``reference`` the one served best (where neither way is
        better: the lowest and the highest). The interval is Newcombe's for two groups and joins pairwise
        ones at Bonferroni's level for more (``newcombe_bonferroni``); where clusters repeat it is built
        from Korn-Graubard intervals (``mover_korn_graubard``, ``mover_korn_graubard_bonferroni``). ``p`` is
        that of a permutation test of no difference at all.

    Notes
    -----
    A value above 0 is no finding: the observed range of groups that are served alike is never 0.
    """
    check_positive(positive, classes)
    if not 0 < alpha < 1:
        raise InputError(f"alpha is {alpha}, allowed: above 0 and below 1")
    permutations = Permutations(draws, seed)
    tensors = count_predictions(images, predictions, classes, attributes, intersections)
    rows = []
    for model, tensor in tensors.items():
        for attribute in tensor.slices:
            if attribute == OVERALL:
                continue
            for metric, name in gap_metrics(classes, positive):
                question = Question("range", METRICS[metric].direction, min_n)
                found = measure(tensor, attribute, (metric, name), question, permutations)
                row = (model, attribute, metric, name, "range", found.group, found.reference, found.value)
                nan = float("nan")
                rows.append((*row, *found.interval(alpha), found.p, nan, nan, found.method, found.status))
    table = pd.DataFrame(rows, columns=list(GAP_COLUMNS))
    numbers = ("value", "low", "high", "p", "p_adjusted", "detectable")
    return table.astype({name: "float64" if name in numbers else "str" for name in GAP_COLUMNS})


def gap_metrics(classes: Sequence[str], positive: str | None) -> list[tuple[str, str | None]]:
    """Metrics, with their class, whose gaps are tabulated.

    Accuracy; and with a positive class its true positive, false positive and selection rate, else the
    true positive rate of every class.
    """
    chosen: list[tuple[str, str | None]] = [("accuracy", None)]
    if positive is None:
        return chosen + [("true_positive_rate", name) for name in classes]
    return chosen + [(metric, positive) for metric in ("true_positive_rate", "false_positive_rate", "selection_rate")]


def measure(
    tensor: CountTensor,
    attribute: str,
    metric: tuple[str, str | None],
    question: Question,
    permutations: Permutations | None = None,
) -> Comparison:
    """Compare the groups of one attribute on one metric of one model.

    The test's random numbers are named by model, attribute, metric and groups, so the same question gives
    the same p-value wherever it is asked.
    """
    rates = rate_units(tensor.along(attribute), METRICS[metric[0]], metric[1])
    return compare(rates, question, permutations, (tensor.model, attribute, *metric))


def small_groups(groups: pd.DataFrame, min_n: int = 10) -> pd.DataFrame:
    """Rows of table `groups` that take no part in gaps because fewer than `min_n` clusters are counted."""
    return groups[(groups["clusters"] < min_n) & (groups["attribute"] != OVERALL)].reset_index(drop=True)
