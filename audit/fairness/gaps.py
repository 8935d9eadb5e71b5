"""The table `gaps`: how far apart the groups of each attribute are, with interval and test."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd
from scipy import special

from audit.errors import InputError
from audit.fairness.comparisons import Kind, Question, compare, compare_odds
from audit.fairness.composites import COMPOSITES
from audit.fairness.contrasts import Comparison
from audit.fairness.counts import CountTensor, count_predictions
from audit.fairness.groups import check_positive
from audit.fairness.metrics import METRICS, find_metric
from audit.fairness.permutation import Permutations
from audit.fairness.rates import rate_units
from audit.fairness.rows import OVERALL
from audit.fairness.smooth import SMOOTH, smooth_units
from audit.run.schema import columns

__all__ = ["COMPARABLE", "GAP_COLUMNS", "gap_metrics", "gap_table", "measure", "small_groups"]

GAP_COLUMNS = tuple(columns("gaps"))
COMPARABLE = (*(name for name, metric in METRICS.items() if metric.is_rate), *SMOOTH, *COMPOSITES)
"""Metrics whose groups can be compared."""
POWER = 0.8
NUMBERS = ("value", "low", "high", "p", "p_adjusted", "detectable")

Asked = tuple[str, str | None, str, Kind]


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
        One minus the confidence level of each comparison's interval.
    min_n : int
        Groups with fewer clusters (images where there are none) in the metric's denominator do not take
        part; `small_groups` lists them.
    draws, seed : int
        Of the permutation test.

    Returns
    -------
    DataFrame
        Columns `GAP_COLUMNS`; metrics and comparisons as `gap_metrics` says. For ``compare`` ``range``,
        ``value`` is the largest minus the smallest value, ``group`` the one served worst and ``reference``
        the one served best (where neither way is better: the lowest and the highest). The interval is
        Newcombe's for two groups and joins pairwise ones by max-T for more (``newcombe_max_t``); where
        clusters repeat it is built from Korn-Graubard intervals (``mover_korn_graubard_max_t``). ``p`` is
        that of a permutation test of no difference at all, for metrics that are no single rate the
        smallest alpha at which the interval leaves 0 out; ``p_adjusted`` is Benjamini and Hochberg's over
        all rows of the model: for exploration, verdicts take Holm's. ``detectable`` is the true gap that
        groups of these sizes would have shown (interval above 0) in four of five audits.

    Notes
    -----
    A value above 0 is no finding: the observed range of groups that are served alike is never 0.
    """
    from scipy import stats

    check_positive(positive, classes)
    if not 0 < alpha < 1:
        raise InputError(f"alpha is {alpha}, allowed: above 0 and below 1")
    permutations = Permutations(draws, seed)
    tensors = count_predictions(images, predictions, classes, attributes, intersections)
    frames = [_of_model(tensor, positive, (alpha, min_n), permutations) for tensor in tensors.values()]
    table = pd.DataFrame([row for frame in frames for row in frame], columns=list(GAP_COLUMNS))
    table = table.astype({name: "float64" if name in NUMBERS else "str" for name in GAP_COLUMNS})
    for _, rows in table[table["p"].notna()].groupby("model", sort=False):
        table.loc[rows.index, "p_adjusted"] = stats.false_discovery_control(rows["p"].to_numpy())
    return table


def _of_model(
    tensor: CountTensor, positive: str | None, limits: tuple[float, int], permutations: Permutations
) -> Iterator[tuple[object, ...]]:
    alpha, min_n = limits
    for attribute in tensor.slices:
        if attribute == OVERALL:
            continue
        for metric, name, shown, kind in gap_metrics(tensor.classes, positive):
            direction = METRICS[metric].direction if metric in METRICS else "higher"
            question = Question(kind, direction, min_n)
            found = measure(tensor, attribute, (metric, name), question, permutations)
            row = (tensor.model, attribute, metric, name, shown, found.group, found.reference, found.value)
            nan = float("nan")
            yield (*row, *found.interval(alpha), found.p, nan, detectable(found, alpha), found.method, found.status)


def gap_metrics(classes: Sequence[str], positive: str | None) -> list[Asked]:
    """Metrics, with class, name of the comparison in table `gaps`, and kind, that are tabulated.

    Accuracy, balanced and label-standardised accuracy by range; accuracy against everybody else. With a
    positive class its true and false positive rate, selection rate (demographic parity difference) and
    precision (predictive parity) by range, the ratio of selection rates (demographic parity ratio),
    equalised odds in both forms and average odds; else the true positive rate of every class.
    """
    chosen: list[Asked] = [
        ("accuracy", None, "range", "range"),
        ("accuracy", None, "overall", "overall"),
        ("balanced_accuracy", None, "range", "range"),
        ("standardised_accuracy", None, "range", "range"),
    ]
    if positive is None:
        return chosen + [("true_positive_rate", name, "range", "range") for name in classes]
    rates = ("true_positive_rate", "false_positive_rate", "selection_rate", "precision")
    chosen += [(metric, positive, "range", "range") for metric in rates]
    return [
        *chosen,
        ("selection_rate", positive, "ratio", "ratio"),
        ("equalised_odds", positive, "max", "range"),
        ("equalised_odds", positive, "mean", "mean"),
        ("average_odds", positive, "range", "range"),
    ]


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

    Raises
    ------
    InputError
        The metric cannot be compared, or not in this way; the reference is no group.
    """
    name, class_name = metric
    stream = (tensor.model, attribute, *metric)
    cells = tensor.along(attribute)
    if name in COMPOSITES:
        rates = tuple(rate_units(cells, METRICS[rate], class_name) for rate in _ODDS)
        names = tuple((rate, class_name) for rate in _ODDS)
        return compare_odds((rates[0], rates[1]), name, question, permutations, stream[:2], (names[0], names[1]))
    kind = find_metric(name)
    if kind.is_rate:
        return compare(rate_units(cells, kind, class_name), question, permutations, stream)
    if name not in SMOOTH:
        raise InputError(f"metric '{name}' has no interval of differences, allowed: {list(COMPARABLE)}")
    return compare(smooth_units(cells, kind, class_name), question, permutations, stream)


_ODDS = ("true_positive_rate", "false_positive_rate")


def detectable(found: Comparison, alpha: float = 0.05) -> float:
    """Smallest true difference that would have been told from none at 80 % power, by normal approximation.

    For groups of the sizes and with the variances of the two that are furthest apart. NaN where nothing
    was compared, and for a ratio.
    """
    if found.status != "ok" or found.bad != "above" or found.smallest == 0:
        return float("nan")
    quantiles = special.ndtri(1 - found.level(alpha) / 2) + special.ndtri(POWER)
    return float(min(1.0, quantiles * found.deviation))


def small_groups(groups: pd.DataFrame, min_n: int = 10) -> pd.DataFrame:
    """Rows of table `groups` that take no part in gaps because fewer than `min_n` clusters are counted."""
    return groups[(groups["clusters"] < min_n) & (groups["attribute"] != OVERALL)].reset_index(drop=True)
