"""The table `groups`: every metric of every group, with its denominator and interval."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from audit.errors import InputError, nearest
from audit.fairness.calibration import Confidence, calibration_errors, debiased_errors
from audit.fairness.counts import CountTensor, GroupCells, count_rows
from audit.fairness.intervals import Floats
from audit.fairness.metrics import METRICS, Metric
from audit.fairness.rates import GroupRates, rate_units
from audit.fairness.rows import (
    group_labels,
    positions,
    slice_columns,
    sorted_groups,
    stored_probabilities,
    usable_rows,
)
from audit.fairness.scores import Members, Scores, areas_under_curve, brier_losses, log_losses, mean_scores
from audit.fairness.smooth import SMOOTH, SmoothEstimates, smooth_units
from audit.run.schema import columns

__all__ = ["GROUP_COLUMNS", "check_positive", "group_table", "tabulate"]

GROUP_COLUMNS = tuple(columns("groups"))

Block = dict[str, Any]


def group_table(
    images: pd.DataFrame,
    predictions: pd.DataFrame,
    classes: Sequence[str],
    positive: str | None,
    attributes: Sequence[str],
    intersections: Sequence[Sequence[str]] = (),
    alpha: float = 0.05,
) -> pd.DataFrame:
    """Compute table `groups`.

    Parameters
    ----------
    images, predictions : DataFrame
        The run's tables; only images and predictions with status ``ok`` are counted.
    classes : sequence of str
        Every class, in the order of ``probabilities``.
    positive : str or None
        The declared positive class. It is only checked here: rates of every class are always given.
    attributes : sequence of str
        Attribute names, without the prefix ``attr_``.
    intersections : sequence of sequences of str
        Attributes to cross.
    alpha : float
        One minus the confidence level of each interval, which stands for itself alone.

    Returns
    -------
    DataFrame
        Columns `GROUP_COLUMNS`. A group without any counted image has n 0 and status ``not_measured``; a
        metric without a denominator in the group n 0, a null value and status ``undefined``. ``n`` counts
        the metric's own denominator, ``clusters`` the clusters in it.

    Raises
    ------
    InputError
        A column, class or attribute is missing or unknown, or image ids repeat.
    """
    check_positive(positive, classes)
    rows = usable_rows(images, predictions, classes, attributes)
    slices = slice_columns(attributes, intersections)
    models = list(predictions["model"].astype(str).unique())
    tensors = count_rows(rows, images, classes, slices, models)
    blocks: list[Block] = []
    for model, tensor in tensors.items():
        own = rows[rows["model"] == model]
        scored = _Scored(own, stored_probabilities(own, len(classes)), tensor)
        for attribute in slices:
            cells = tensor.along(attribute)
            place = {"model": model, "attribute": attribute, "group": cells.groups}
            blocks += [place | block for block in (*_count_blocks(cells, alpha), *_smooth_blocks(cells, alpha))]
        blocks += [{"model": model} | block for block in scored.blocks(alpha)]
    table = tabulate(blocks, GROUP_COLUMNS)
    return _sorted(table, slices, images, tuple(classes), models)


def check_positive(positive: str | None, classes: Sequence[str]) -> None:
    """Refuse a positive class that is none of the classes."""
    if positive is not None and positive not in classes:
        raise InputError(
            f"positive class '{positive}' is no class, allowed: {list(classes)}.{nearest(positive, classes)}"
        )


def tabulate(blocks: Sequence[Block], columns: Sequence[str]) -> pd.DataFrame:
    """Stack blocks whose entries are single values or sequences of the block's length, into one frame."""
    lengths = [max(len(v) for v in block.values() if isinstance(v, (tuple, np.ndarray))) for block in blocks]
    data: dict[str, Any] = {}
    for name in columns:
        parts: list[Any] = [
            np.broadcast_to(np.asarray(block[name], dtype=_dtype(name)), (length,))
            for block, length in zip(blocks, lengths, strict=True)
        ]
        data[name] = np.concatenate(parts) if parts else np.empty(0, dtype=_dtype(name))
    frame = pd.DataFrame(data)
    return frame.astype({name: "str" for name in columns if _dtype(name) is object})


def _dtype(column: str) -> type:
    if column in ("n", "clusters"):
        return np.int64
    return np.float64 if column in ("value", "area", "low", "high", "p", "position", "x") else object


def _count_blocks(cells: GroupCells, alpha: float) -> Iterator[Block]:
    """Rates, one block a metric and class; class by class, since the counts of one class serve all its rates."""
    rates = [metric for metric in METRICS.values() if metric.is_rate and metric.least_classes <= len(cells.classes)]
    measured = rate_units(cells, METRICS["accuracy"]).total > 0
    for name in (None, *cells.classes):
        for metric in rates:
            if metric.per_class != (name is not None):
                continue
            found = rate_units(cells, metric, name)
            known = found.total > 0 if metric.denominator == ("ranked",) else measured
            yield _estimated(metric, name, found, "clopper_pearson", known, alpha)


def _smooth_blocks(cells: GroupCells, alpha: float) -> Iterator[Block]:
    """Balanced and standardised accuracy, F1 and macro averages."""
    measured = rate_units(cells, METRICS["accuracy"]).total > 0
    for metric in (METRICS[name] for name in SMOOTH):
        plain = "clopper_pearson" if metric.per_class else "clopper_pearson_effective"
        for name in cells.classes if metric.per_class else (None,):
            yield _estimated(metric, name, smooth_units(cells, metric, name), plain, measured, alpha)


def _estimated(
    metric: Metric, name: str | None, found: GroupRates | SmoothEstimates, plain: str, measured: Any, alpha: float
) -> Block:
    low, high = found.intervals(alpha)
    defined, short = found.total > 0, (found.total > 0) & np.isnan(low)
    status = np.where(defined, np.where(short, "too_few_clusters", "ok"), "undefined")
    return {
        "metric": metric.name,
        "class": name,
        "n": found.total,
        "clusters": found.clusters,
        "value": found.rate,
        "low": low,
        "high": high,
        "method": np.where(np.isnan(low), "none", np.where(found.dependent, "korn_graubard", plain)),
        "status": np.where(measured, status, "not_measured").astype(object),
    }


class _Scored:
    """Metrics of the stored probabilities of one model."""

    def __init__(self, rows: pd.DataFrame, probabilities: Floats | None, tensor: CountTensor) -> None:
        self.classes, self.groups = tensor.classes, tensor.groups
        given = np.zeros((0, len(self.classes))) if probabilities is None else probabilities
        known = np.flatnonzero(np.isfinite(given).all(axis=1))
        rows, self.probabilities = rows.iloc[known], given[known]
        self.truth = rows["truth"].to_numpy(np.int64)
        cluster = pd.factorize(rows["cluster"])[0].astype(np.int64)
        self.members = {
            name: Members.of(positions(groups, group_labels(rows, tensor.slices[name])), cluster, len(groups))
            for name, groups in self.groups.items()
        }

    def blocks(self, alpha: float) -> Iterator[Block]:
        """One block an attribute, metric and class; ``not_measured`` where no probabilities are stored."""
        for place, name in enumerate(self.classes):
            scores, positive = self.probabilities[:, place], self.truth == place
            order = np.argsort(scores, kind="stable")
            for attribute, members in self.members.items():
                yield self._block(attribute, "auc", areas_under_curve(scores, positive, members, order, alpha), name)
        losses = log_losses(self.probabilities, self.truth)
        squares = brier_losses(self.probabilities, self.truth)
        given = Confidence.of(self.probabilities, self.truth)
        most = 1.0 if len(self.classes) == 2 else 2.0
        for attribute, members in self.members.items():
            yield self._block(attribute, "log_loss", mean_scores(losses, members, alpha, (0.0, np.inf)))
            yield self._block(attribute, "brier", mean_scores(squares, members, alpha, (0.0, most)))
            plain = calibration_errors(given, members)
            nothing = np.full(len(plain), np.nan)
            yield self._block(attribute, "ece", Scores.of(plain, (nothing, nothing), "none", np.isnan(plain)))
            yield self._block(attribute, "ece_debiased", debiased_errors(given, members, alpha))

    def _block(self, attribute: str, metric: str, found: Scores, name: str | None = None) -> Block:
        members = self.members[attribute]
        defined = ~np.isnan(found.value)
        return {
            "attribute": attribute,
            "group": self.groups[attribute],
            "metric": metric,
            "class": name,
            "n": np.where(defined, members.images, 0).astype(np.int64),
            "clusters": np.where(defined, members.clusters, 0).astype(np.int64),
            "value": found.value,
            "low": found.low,
            "high": found.high,
            "method": found.method,
            "status": np.where(members.images > 0, found.status, "not_measured"),
        }


def _sorted(
    table: pd.DataFrame,
    slices: dict[str, tuple[str, ...]],
    images: pd.DataFrame,
    classes: tuple[str, ...],
    models: list[str],
) -> pd.DataFrame:
    """Order rows by model, attribute, group, metric and class as declared."""
    order: dict[str, list[str]] = {
        "model": models,
        "attribute": list(slices),
        "metric": list(METRICS),
        "class": list(classes),
    }
    order["group"] = list(sorted_groups({g for parts in slices.values() for g in group_labels(images, parts).unique()}))
    keys = {name: positions(values, table[name]) for name, values in order.items()}
    last_first = [keys[name] for name in ("class", "metric", "group", "attribute", "model")]
    return table.iloc[np.lexsort(last_first)].reset_index(drop=True)
