"""The table `paired`: two models on the same images, image by image, and what became of the gap between groups.

Which images take part is decided in `pairing`; what is made of the differences, elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from audit.errors import InputError
from audit.fairness.groups import check_positive
from audit.fairness.intervals import Floats
from audit.fairness.metrics import METRICS, Metric
from audit.fairness.paired_counts import PairedUnits
from audit.fairness.paired_range import range_change
from audit.fairness.pairing import Pairs, one_model, pair_rows
from audit.fairness.permutation import Permutations
from audit.fairness.rows import EVERYBODY, OVERALL, Ints, group_labels, slice_columns, sorted_groups
from audit.run.schema import columns

__all__ = ["LEFT_OUT", "PAIRED_COLUMNS", "RANGE", "paired_metrics", "paired_table"]

PAIRED_COLUMNS = tuple(columns("paired"))
RANGE = "(range)"
LEFT_OUT = "left_out"

_COUNTS = ("n", "clusters", "only_first", "only_second")
_VALUES = ("first_value", "second_value", "difference", "low", "high", "p", "p_adjusted")


def paired_table(
    images: pd.DataFrame,
    first_predictions: pd.DataFrame,
    second_predictions: pd.DataFrame,
    first: str,
    second: str,
    attributes: Sequence[str],
    classes: Sequence[str],
    positive: str | None,
    *,
    intersections: Sequence[Sequence[str]] = (),
    alpha: float = 0.05,
    min_n: int = 10,
    draws: int = 9999,
    seed: int = 0,
) -> pd.DataFrame:
    """Compute table `paired`: what changes, for whom, from a first model to a second.

    Parameters
    ----------
    images : DataFrame
        Table `images`, with every image of both (`common_images` joins those of two runs).
    first_predictions, second_predictions : DataFrame
        Table `predictions`. Where one holds several models, that called `first` (`second`) is taken.
    first, second : str
        Names of the two, as the table gives them.
    attributes : sequence of str
        Attribute names, without the prefix ``attr_``.
    classes : sequence of str
        Every class name.
    positive : str or None
        The declared positive class.
    intersections : sequence of sequences of str
        Attributes to cross.
    alpha : float
        One minus the confidence level of each interval, which stands for itself alone.
    min_n : int
        Groups with fewer clusters (images where there are none) take no part in the change of the range.
    draws, seed : int
        Of the sign-flip test and the bootstrap.

    Returns
    -------
    DataFrame
        Columns `PAIRED_COLUMNS`; metrics as `paired_metrics` says, for everybody and every group.

        ``n`` and ``clusters`` count the metric's own denominator among images with a usable prediction of
        both. ``difference`` is second minus first. ``only_first`` and ``only_second`` count the images
        which that model alone got right. The interval is Newcombe's for paired proportions (``newcombe_paired``),
        where clusters repeat the same construction over Korn-Graubard intervals
        (``mover_paired_korn_graubard``). ``p`` is McNemar's exact test, where clusters repeat the cluster
        sign-flip test. ``p_adjusted`` is Holm's over the groups of one attribute on one metric.

        Rows with group ``(range)``: largest minus smallest rate over groups of at least `min_n`, of both
        models, and how it changed. The interval is a paired cluster bootstrap's (`range_change` says how
        well it covers), ``p`` that of exchanging the two models cluster by cluster.

        Rows with metric ``left_out``, status ``not_measured``: ``n`` images without a usable prediction of
        both, ``only_first`` and ``only_second`` of which have one of that model.

    Raises
    ------
    InputError
        A column, class or attribute is missing or unknown, or image ids repeat.

    Notes
    -----
    Observed ranges are biased upward, the more so the smaller the groups: also the range of groups that
    are served alike is above 0. A change of the range is biased less, as the two models share the bias, and
    most where one of the two true ranges is 0 and the other is not: then it looks smaller than it is.
    """
    check_positive(positive, classes)
    if not 0 < alpha < 1:
        raise InputError(f"alpha is {alpha}, allowed: above 0 and below 1")
    slices = slice_columns(attributes, intersections)
    chosen = one_model(first_predictions, first), one_model(second_predictions, second)
    pairs = pair_rows(images, *chosen, classes, attributes)
    permutations = Permutations(draws, seed)
    rows: list[dict[str, Any]] = []
    for attribute, parts in slices.items():
        groups = sorted_groups(set(group_labels(images, parts).unique()))
        rows += _left_out(pairs, attribute, parts, groups)
        group = pairs.group(groups, parts)
        for metric, name in paired_metrics(classes, positive):
            units = paired_units(pairs, groups, group, metric, classes.index(name) if name else 0)
            key = {"attribute": attribute, "metric": metric.name, "class": name}
            rows += [key | row for row in _group_rows(units, alpha, permutations, (first, second, *key.values()))]
            if attribute != OVERALL:
                rng = permutations.stream("range", first, second, *key.values())
                change = range_change(units, metric.direction, min_n=min_n, alpha=alpha, draws=draws, rng=rng)
                rows.append(key | {"group": RANGE} | change)
    table = pd.DataFrame([{"first": first, "second": second} | row for row in rows], columns=list(PAIRED_COLUMNS))
    kinds = dict.fromkeys(_COUNTS, "int64") | dict.fromkeys(_VALUES, "float64")
    return table.astype({name: kinds.get(name, "str") for name in PAIRED_COLUMNS})


def paired_metrics(classes: Sequence[str], positive: str | None) -> list[tuple[Metric, str | None]]:
    """Metrics, with their class, on which two models are compared.

    Accuracy; with a positive class its true and false positive rate, else the true positive rate of every
    class. Their denominators are set by the labels, and so are the same for both models.
    """
    rates = ["true_positive_rate", "false_positive_rate"] if positive is not None else ["true_positive_rate"]
    about = [positive] if positive is not None else list(classes)
    return [(METRICS["accuracy"], None), *((METRICS[rate], name) for rate in rates for name in about)]


def paired_units(pairs: Pairs, groups: Sequence[str], group: Ints, metric: Metric, place: int) -> PairedUnits:
    """Count one metric of both models along an attribute, per unit of (group, cluster); `group` as `Pairs.group`."""
    rows = pairs.rows
    truth, first, second = (rows[name].to_numpy(np.int64) for name in ("truth", "first", "second"))
    if metric.name == "accuracy":
        kept = np.ones(len(rows), dtype=bool)
        hits = first == truth, second == truth
    else:
        kept = (truth == place) == (metric.name == "true_positive_rate")
        hits = first == place, second == place
    hits = hits[0][kept], hits[1][kept]
    return PairedUnits.count(tuple(groups), group[kept], pairs.cluster[kept], hits, clustered=pairs.clustered)


def _group_rows(
    units: PairedUnits, alpha: float, permutations: Permutations, stream: tuple[object, ...]
) -> Iterator[dict[str, Any]]:
    """One row a group, with Holm's correction over them."""
    first, second = units.arm(0), units.arm(1)
    low, high = units.interval(alpha)
    defined = first.total > 0
    p = np.array([units.p_value(g, permutations, stream) if defined[g] else np.nan for g in range(len(defined))])
    adjusted = holm(p)
    # Of a rate that counts errors, the image that only the first model counts is one that only the second got right.
    wrong_way = stream[-2] == "false_positive_rate"
    alone = units.totals[:, [2, 1] if wrong_way else [1, 2]]
    for g, name in enumerate(units.groups):
        status = "undefined" if not defined[g] else "too_few_clusters" if np.isnan(low[g]) else "ok"
        method = "mover_paired_korn_graubard" if first.dependent[g] else "newcombe_paired"
        yield {
            "group": name,
            "n": int(first.total[g]),
            "clusters": int(first.clusters[g]),
            "first_value": first.rate[g],
            "second_value": second.rate[g],
            "only_first": int(alone[g, 0]),
            "only_second": int(alone[g, 1]),
            "difference": second.rate[g] - first.rate[g],
            "low": low[g],
            "high": high[g],
            "p": p[g],
            "p_adjusted": adjusted[g],
            "method": method if status == "ok" else "none",
            "status": status,
        }


def holm(p: Floats) -> Floats:
    """Holm's adjusted p-values (1979); what is NaN stays so and does not count.

    Written out, as statsmodels' `multipletests` collects garbage at every call, which takes longer than the table.
    """
    out = np.full(len(p), np.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    steps = p[order] * np.arange(len(order), 0, -1)
    out[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return out


def _left_out(pairs: Pairs, attribute: str, parts: tuple[str, ...], groups: Sequence[str]) -> Iterator[dict[str, Any]]:
    """How many images take no part, by group."""
    labels = group_labels(pairs.left_out, parts).to_numpy(object)
    usable = pairs.left_out["usable"].to_numpy(object)
    blank = dict.fromkeys(_VALUES, np.nan)
    for group in groups if attribute != OVERALL else (EVERYBODY,):
        own = usable[labels == group]
        yield {
            "attribute": attribute,
            "group": group,
            "metric": LEFT_OUT,
            "class": None,
            "n": len(own),
            "clusters": 0,
            "only_first": int((own == "first").sum()),
            "only_second": int((own == "second").sum()),
            **blank,
            "method": "none",
            "status": "not_measured",
        }
