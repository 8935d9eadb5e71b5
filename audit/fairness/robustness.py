"""The tables `robustness` and `robustness_gaps`: accuracy under named corruptions, by group and severity.

Images are corrupted and predicted elsewhere; severity 0 is the uncorrupted prediction of the same images.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from audit.errors import InputError
from audit.fairness.comparisons import Question, compare
from audit.fairness.contrasts import Comparison
from audit.fairness.metrics import METRICS
from audit.fairness.paired import paired_units
from audit.fairness.paired_counts import PairedUnits
from audit.fairness.pairing import Pairs, pair_rows
from audit.fairness.permutation import Permutations
from audit.fairness.rows import OVERALL, group_labels, slice_columns, sorted_groups
from audit.run.schema import columns

__all__ = ["ROBUSTNESS_COLUMNS", "ROBUSTNESS_GAP_COLUMNS", "robustness_tables"]

ROBUSTNESS_COLUMNS = tuple(columns("robustness"))
ROBUSTNESS_GAP_COLUMNS = tuple(columns("robustness_gaps"))
METRIC = METRICS["accuracy"]

_NUMBERS = ("value", "low", "high", "drop", "drop_low", "drop_high", "p")
_COUNTS = ("severity", "n", "clusters")


@dataclass(frozen=True)
class _Settings:
    """What is asked of every corruption alike."""

    slices: dict[str, tuple[str, ...]]
    groups: dict[str, tuple[str, ...]]
    alpha: float
    min_n: int
    permutations: Permutations


def robustness_tables(
    corrupted: pd.DataFrame,
    images: pd.DataFrame,
    predictions: pd.DataFrame,
    attributes: Sequence[str],
    *,
    alpha: float = 0.05,
    min_n: int = 10,
    draws: int = 9999,
    seed: int = 0,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Compute the tables `robustness` and `robustness_gaps`.

    Parameters
    ----------
    corrupted : DataFrame
        Table `corrupted`: ``model, image_id, corruption, severity, predicted, status``; severities from 1.
    images, predictions : DataFrame
        The run's tables; the predictions are severity 0.
    attributes : sequence of str
        Attribute names, without the prefix ``attr_``.
    alpha : float
        One minus the confidence level of each interval.
    min_n : int
        Groups with fewer clusters (images where there are none) take no part in gaps.
    draws, seed : int
        Of the permutation test.

    Returns
    -------
    robustness : DataFrame
        Columns `ROBUSTNESS_COLUMNS`: accuracy of everybody and of every group, by corruption and severity.
        Only images with a usable prediction at the severity and at 0 count, so ``drop`` (value at 0 minus
        value) is that of the same images, and its interval is paired, for itself alone. At severity 0 the
        images are all that were corrupted, and ``drop`` is 0 by definition.
    robustness_gaps : DataFrame
        Columns `ROBUSTNESS_GAP_COLUMNS`: the range of the accuracy over groups at each severity, with its
        interval and the p-value of the permutation test of no gap, as in table `gaps`; not corrected for
        the number of severities.

    Raises
    ------
    InputError
        A severity is below 1, a column is missing, or images are unknown or repeat.
    """
    slices = slice_columns(attributes)
    if len(corrupted) and int(corrupted["severity"].min()) < 1:
        raise InputError(f"severity {int(corrupted['severity'].min())} is not allowed: 1 and above, 0 is uncorrupted")
    groups = {name: sorted_groups(set(group_labels(images, parts).unique())) for name, parts in slices.items()}
    settings = _Settings(slices, groups, alpha, min_n, Permutations(draws, seed))
    values: list[tuple[Any, ...]] = []
    gaps: list[tuple[Any, ...]] = []
    for (model, corruption), part in corrupted.groupby(["model", "corruption"], sort=False):
        plain = predictions[(predictions["model"] == model) & predictions["image_id"].isin(part["image_id"])]
        levels = [(0, plain), *part.sort_values("severity", kind="stable").groupby("severity")]
        for severity, rows in levels:
            pairs = _pairs(images, plain, rows)
            for attribute in slices:
                group = pairs.group(groups[attribute], slices[attribute])
                units = paired_units(pairs, groups[attribute], group, METRIC, 0)
                key = (model, corruption, int(severity), attribute)
                values += [(*key, *row) for row in _group_rows(units, int(severity), alpha)]
                if attribute != OVERALL:
                    gaps.append((*key, *_gap(units, settings, key)))
    kinds = dict.fromkeys(_COUNTS, "int64") | dict.fromkeys(_NUMBERS, "float64")
    tables = []
    for rows, names in ((values, ROBUSTNESS_COLUMNS), (gaps, ROBUSTNESS_GAP_COLUMNS)):
        frame = pd.DataFrame(rows, columns=list(names))
        tables.append(frame.astype({name: kinds.get(name, "str") for name in names}))
    return tables[0], tables[1]


def _pairs(images: pd.DataFrame, plain: pd.DataFrame, corrupted: pd.DataFrame) -> Pairs:
    """Images with a usable prediction both uncorrupted and corrupted."""
    attributes = [str(name).removeprefix("attr_") for name in images if str(name).startswith("attr_")]
    told = [images["label"], plain["predicted"], corrupted["predicted"]]
    classes = sorted({str(name) for column in told for name in column.dropna()})
    usable = images["label"].notna()
    known = images.assign(status=images["status"].where(usable, "missing"))
    return pair_rows(known, plain, corrupted, classes, attributes)


def _group_rows(units: PairedUnits, severity: int, alpha: float) -> Iterator[tuple[Any, ...]]:
    """``group`` and what follows it in table `robustness`."""
    before, after = units.arm(0), units.arm(1)
    low, high = after.intervals(alpha)
    change_low, change_high = units.interval(alpha)
    for g, name in enumerate(units.groups):
        status = "not_measured" if not after.total[g] else "too_few_clusters" if np.isnan(low[g]) else "ok"
        drop = (before.rate[g] - after.rate[g], -change_high[g], -change_low[g])
        if not severity and after.total[g]:
            drop = (0.0, 0.0, 0.0)
        value = (after.rate[g], low[g], high[g])
        yield (name, METRIC.name, int(after.total[g]), int(after.clusters[g]), *value, *drop, status)


def _gap(units: PairedUnits, settings: _Settings, key: tuple[object, ...]) -> tuple[Any, ...]:
    """``group`` and what follows it in table `robustness_gaps`."""
    question = Question("range", METRIC.direction, settings.min_n)
    found: Comparison = compare(units.arm(1), question, settings.permutations, key)
    bounds = found.interval(settings.alpha)
    return (found.group, found.reference, found.value, *bounds, found.p, found.method, found.status)
