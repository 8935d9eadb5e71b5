"""The table `groups`: every metric of every group, with its denominator and interval."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from audit.errors import InputError, nearest
from audit.fairness.counts import GroupCells, count_predictions
from audit.fairness.intervals import Floats
from audit.fairness.metrics import METRICS, Metric
from audit.fairness.rates import rate_units
from audit.fairness.rows import group_labels, positions, slice_columns, sorted_groups, usable_rows
from audit.fairness.scores import Score, area_under_curve, brier_score, calibration_error, log_loss
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
    tensors = count_predictions(images, predictions, classes, attributes, intersections)
    rows = usable_rows(images, predictions, classes, attributes)
    blocks: list[Block] = []
    for model, tensor in tensors.items():
        own = rows[rows["model"] == model]
        probabilities = stored_probabilities(own, len(classes))
        clusters = pd.factorize(own["cluster"])[0].astype(np.int64)
        for attribute in tensor.slices:
            cells = tensor.along(attribute)
            code = positions(cells.groups, group_labels(own, tensor.slices[attribute]))
            members = [np.flatnonzero(code == place) for place in range(len(cells.groups))]
            scored = _Scored(probabilities, own["truth"].to_numpy(np.int64), clusters, members)
            place = {"model": model, "attribute": attribute, "group": cells.groups}
            blocks += [place | block for block in _count_blocks(cells, alpha)]
            blocks += [place | block for block in scored.blocks(classes, alpha)]
    table = tabulate(blocks, GROUP_COLUMNS)
    return _sorted(table, slice_columns(attributes, intersections), images, tuple(classes), list(tensors))


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
    return np.float64 if column in ("value", "area", "low", "high", "p") else object


def _count_blocks(cells: GroupCells, alpha: float) -> Iterator[Block]:
    """Rates, balanced accuracy and F1, one block a metric and class."""
    images = rate_units(cells, METRICS["accuracy"])
    measured = images.total > 0
    for metric in METRICS.values():
        if not metric.is_rate:
            continue
        for name in cells.classes if metric.per_class else (None,):
            rates = rate_units(cells, metric, name)
            low, high = rates.intervals(alpha)
            short = (rates.total > 0) & np.isnan(low)
            method = np.where(rates.dependent, "korn_graubard", "clopper_pearson")
            yield {
                "metric": metric.name,
                "class": name,
                "n": rates.total,
                "clusters": rates.clusters,
                "value": rates.rate,
                "low": low,
                "high": high,
                "method": np.where(np.isnan(low), "none", method),
                "status": _status(rates.total > 0, measured, short),
            }
    recalls = [rate_units(cells, METRICS["true_positive_rate"], name).rate for name in cells.classes]
    balanced = np.mean(recalls, axis=0)
    fine = ~np.isnan(balanced)
    n, clusters = np.where(fine, images.total, 0), np.where(fine, images.clusters, 0)
    yield _plain(METRICS["balanced_accuracy"], None, n, clusters, balanced, _status(fine, measured))
    for place, name in enumerate(cells.classes):
        yield _f1_block(cells, place, name, measured)


def _f1_block(cells: GroupCells, place: int, name: str, measured: Any) -> Block:
    parts = cells.binary(place)
    touched = parts["tp"] + parts["fp"] + parts["fn"]
    size = len(cells.groups)
    n, tp = (np.bincount(cells.unit_group, v, minlength=size).astype(np.int64) for v in (touched, parts["tp"]))
    clusters = np.bincount(cells.unit_group[touched > 0], minlength=size) if cells.clustered else n
    with np.errstate(invalid="ignore"):
        value = 2 * tp / (n + tp)
    return _plain(METRICS["f1"], name, n, clusters, value, _status(n > 0, measured))


def _plain(metric: Metric, name: str | None, n: Any, clusters: Any, value: Any, status: Any) -> Block:
    """A block of values without intervals."""
    return {
        "metric": metric.name,
        "class": name,
        "n": n,
        "clusters": clusters,
        "value": value,
        "low": np.nan,
        "high": np.nan,
        "method": "none",
        "status": status,
    }


def _status(defined: Any, measured: Any, short: Any = False) -> Any:
    status: Any = np.where(defined, np.where(short, "too_few_clusters", "ok"), "undefined")
    return np.where(measured, status, "not_measured").astype(object)


class _Scored:
    """Metrics of stored probabilities along one attribute of one model."""

    def __init__(self, probabilities: Floats | None, truth: Any, clusters: Any, members: list[Any]) -> None:
        self.size = len(members)
        self.truth, self.clusters, self.probabilities = truth, clusters, probabilities
        known: Any = np.isfinite(probabilities).all(axis=1) if probabilities is not None else truth < 0
        self.members = [rows[known[rows]] for rows in members]

    def blocks(self, classes: Sequence[str], alpha: float) -> Iterator[Block]:
        """One block a metric and class; ``not_measured`` where no probabilities are stored."""
        for place, name in enumerate(classes):
            yield self._block(METRICS["auc"], name, [self._auc(rows, place, alpha) for rows in self.members])
        for metric, function in (("log_loss", log_loss), ("brier", brier_score), ("ece", calibration_error)):
            values = []
            for rows in self.members:
                if self.probabilities is None or not len(rows):
                    values.append(Score(np.nan, status="not_measured"))
                else:
                    values.append(Score(function(self.probabilities[rows], self.truth[rows])))
            yield self._block(METRICS[metric], None, values)

    def _auc(self, rows: Any, place: int, alpha: float) -> Score:
        if self.probabilities is None or not len(rows):
            return Score(np.nan, status="not_measured")
        scores = self.probabilities[rows, place]
        return area_under_curve(scores, self.truth[rows] == place, self.clusters[rows], alpha)

    def _block(self, metric: Metric, name: str | None, scores: list[Score]) -> Block:
        defined = np.array([not np.isnan(score.value) for score in scores])
        n = np.array([len(rows) for rows in self.members])
        clusters = np.array([len(np.unique(self.clusters[rows])) for rows in self.members])
        return {
            "metric": metric.name,
            "class": name,
            "n": np.where(defined, n, 0),
            "clusters": np.where(defined, clusters, 0),
            "value": np.array([score.value for score in scores]),
            "low": np.array([score.low for score in scores]),
            "high": np.array([score.high for score in scores]),
            "method": np.array([score.method for score in scores], dtype=object),
            "status": np.array([score.status for score in scores], dtype=object),
        }


def stored_probabilities(rows: pd.DataFrame, size: int) -> Floats | None:
    """Probabilities as an array ``(N, K)``, rows without any as NaN; None where none are stored."""
    if "probabilities" not in rows or not rows["probabilities"].notna().any():
        return None
    out = np.full((len(rows), size), np.nan)
    known = rows["probabilities"].notna().to_numpy(bool)
    given = rows["probabilities"].to_numpy(object)[known].tolist()
    wrong = [len(values) for values in given if len(values) != size]
    if wrong:
        raise InputError(f"a prediction has {wrong[0]} probabilities, allowed: one for each of {size} classes")
    out[known] = np.array(given, dtype=np.float64)
    return out


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
    order["group"] = list(sorted_groups({g for parts in slices.values() for g in set(group_labels(images, parts))}))
    keys = {name: positions(values, table[name]) for name, values in order.items()}
    last_first = [keys[name] for name in ("class", "metric", "group", "attribute", "model")]
    return table.iloc[np.lexsort(last_first)].reset_index(drop=True)
