"""The table `curves`: reliability by group, and rates of the positive class over the decision threshold.

Counted by sorting and cumulative sums, never threshold by threshold. Single figures are in `groups`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from audit.fairness.calibration import BINS, EDGES, Confidence
from audit.fairness.groups import check_positive, tabulate
from audit.fairness.intervals import Floats, clopper_pearson, korn_graubard
from audit.fairness.rates import NEGLIGIBLE
from audit.fairness.rows import (
    Ints,
    group_labels,
    has_clusters,
    positions,
    slice_columns,
    sorted_groups,
    stored_probabilities,
    usable_rows,
)
from audit.fairness.scores import Bools, Members
from audit.run.schema import columns

__all__ = ["CURVE_COLUMNS", "THRESHOLDS", "curve_table"]

CURVE_COLUMNS = tuple(columns("curves"))
THRESHOLDS = np.arange(101) / 100
"""An image is called positive at a threshold when its score is at least that."""

Block = dict[str, Any]


def curve_table(
    images: pd.DataFrame,
    predictions: pd.DataFrame,
    classes: Sequence[str],
    positive: str | None,
    attributes: Sequence[str],
    intersections: Sequence[Sequence[str]] = (),
    alpha: float = 0.05,
) -> pd.DataFrame:
    """Compute table `curves`.

    Parameters
    ----------
    images, predictions, classes, attributes, intersections, alpha
        As in `group_table`. Each point's interval stands for itself alone, not for the whole curve.
    positive : str or None
        The declared positive class; without one there are no threshold curves.

    Returns
    -------
    DataFrame
        Columns `CURVE_COLUMNS`. Kind ``reliability``: a row for each of 15 bins of confidence, with the
        accuracy of the most probable class in it and the mean confidence in ``x``. Kind ``threshold``: the
        true and false positive rate, precision and selection rate of the positive class at each of
        `THRESHOLDS`, if an image is called positive when its score is at least the threshold. ``n`` is the
        point's own denominator; where it is 0 the value is null and the status ``undefined``
        (``not_measured`` where the group has no stored probabilities).

    Raises
    ------
    InputError
        A column, class or attribute is missing or unknown, or image ids repeat.
    """
    check_positive(positive, classes)
    rows = usable_rows(images, predictions, classes, attributes)
    slices = slice_columns(attributes, intersections)
    groups = {name: sorted_groups(set(group_labels(images, parts).unique())) for name, parts in slices.items()}
    blocks: list[Block] = []
    for model in predictions["model"].astype(str).unique():
        own = rows[rows["model"] == model]
        given = stored_probabilities(own, len(classes))
        known = np.zeros(len(own), bool) if given is None else np.isfinite(given).all(axis=1)
        own = own[known]
        shown = np.zeros((0, len(classes))) if given is None else given[known]
        truth = own["truth"].to_numpy(np.int64)
        cluster = pd.factorize(own["cluster"])[0].astype(np.int64)
        confidence = Confidence.of(shown, truth)
        for attribute, parts in slices.items():
            members = Members.of(
                positions(groups[attribute], group_labels(own, parts)), cluster, len(groups[attribute])
            )
            place = {"model": model, "attribute": attribute}
            measure = _Intervals(members, has_clusters(images), alpha)
            blocks += [place | _reliability(confidence, members, groups[attribute], measure)]
            if positive is not None:
                index = list(classes).index(positive)
                curves = _thresholds(shown[:, index], truth == index, members, measure)
                blocks += [
                    place | {"class": positive, "group": _each(groups[attribute], 101)} | part for part in curves
                ]
    return tabulate(blocks, CURVE_COLUMNS)


def _each(groups: Sequence[str], points: int) -> Any:
    return np.repeat(np.array(groups, dtype=object), points)


class _Intervals:
    """Turns counts into the columns of a curve's points."""

    def __init__(self, members: Members, clustered: bool, alpha: float) -> None:
        self.measured = members.images > 0
        self.clustered, self.alpha = clustered, alpha

    def points(self, sums: _Sums) -> Block:
        """Rates with their intervals, from sums over clusters."""
        hits, trials = sums.hits, sums.trials
        clusters = sums.clusters if self.clustered else trials
        low, high = clopper_pearson(hits, trials, self.alpha)
        dependent = trials > clusters
        with np.errstate(invalid="ignore", divide="ignore"):
            rate = hits / trials
            variance = np.where(clusters >= 2, clusters / (clusters - 1) * sums.spread / trials**2, np.nan)
        if dependent.any():
            robust = korn_graubard(hits, trials, clusters, variance, self.alpha, sums.telling)
            low, high = (np.where(dependent, own, plain) for own, plain in zip(robust, (low, high), strict=True))
        defined = trials > 0
        status = np.where(defined, np.where(np.isnan(low), "too_few_clusters", "ok"), "undefined").astype(object)
        status[~self.measured] = "not_measured"
        values = {"value": rate, "low": low, "high": high, "status": status}
        sizes = {"n": trials.astype(np.int64), "clusters": clusters.astype(np.int64)}
        return {name: column.reshape(-1) for name, column in (values | sizes).items()}


@dataclass(frozen=True)
class _Sums:
    """Sums over a group's clusters at each point of a curve, each of shape (G, P).

    Of successes, trials, their squares and products; and how many clusters have a trial, a success, a failure.
    """

    hits: Floats
    trials: Floats
    hits_squared: Floats
    products: Floats
    trials_squared: Floats
    clusters: Floats
    hitting: Floats
    failing: Floats

    @property
    def telling(self) -> Floats:
        """Clusters with the rarer of the two outcomes."""
        return np.minimum(self.hitting, self.failing)

    @property
    def spread(self) -> Floats:
        """Sum over clusters of the squared difference of successes from the rate times trials."""
        with np.errstate(invalid="ignore", divide="ignore"):
            rate = np.where(self.trials > 0, self.hits / self.trials, 0.0)
        spread = self.hits_squared - 2 * rate * self.products + rate**2 * self.trials_squared
        # What rounding can leave of an exact 0.
        return np.where(spread < NEGLIGIBLE * self.trials_squared, 0.0, spread)


def _reliability(given: Confidence, members: Members, groups: Sequence[str], measure: _Intervals) -> Block:
    """Accuracy of the most probable class in each bin of confidence."""
    shape = (members.size, BINS)
    unit_bin, place = np.unique(members.unit * BINS + given.bin, return_inverse=True)
    hits = np.bincount(place.reshape(-1), weights=given.hit, minlength=len(unit_bin)).astype(np.float64)
    trials = np.bincount(place.reshape(-1), minlength=len(unit_bin)).astype(np.float64)
    cell = members.unit_group[unit_bin // BINS] * BINS + unit_bin % BINS

    def over(values: Floats) -> Floats:
        return np.asarray(np.bincount(cell, weights=values, minlength=shape[0] * BINS), np.float64).reshape(shape)

    own = members.group * BINS + given.bin
    total = over(trials)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(own, weights=given.confidence, minlength=shape[0] * BINS) / total.reshape(-1)
    squares = (over(hits**2), over(hits * trials), over(trials**2))
    clusters = (over(values.astype(np.float64)) for values in (trials > 0, hits > 0, hits < trials))
    block = measure.points(_Sums(over(hits), total, *squares, *clusters))
    fixed = {"class": None, "kind": "reliability", "metric": "accuracy", "group": _each(groups, BINS)}
    return block | fixed | {"position": np.tile(EDGES[:-1], members.size), "x": mean}


def _thresholds(score: Floats, hit: Bools, members: Members, measure: _Intervals) -> Iterator[Block]:
    """Four rates at every threshold."""
    step = np.searchsorted(THRESHOLDS, score, side="right").astype(np.int64)
    ladder = _Ladder(step, members)
    every = np.ones(len(step), dtype=bool)
    for metric, success, trial in (
        ("true_positive_rate", hit, hit),
        ("false_positive_rate", ~hit, ~hit),
        ("selection_rate", every, every),
    ):
        yield _named(metric, measure.points(ladder.of_fixed(success, trial)), members)
    yield _named("precision", measure.points(ladder.of_selected(hit)), members)


def _named(metric: str, block: Block, members: Members) -> Block:
    position = np.tile(THRESHOLDS, members.size)
    return block | {"kind": "threshold", "metric": metric, "position": position, "x": position}


class _Ladder:
    """Sums over clusters at every threshold, as images are called positive from the highest score down.

    When the image with ``r`` of its cluster called before it is called too, the square of the cluster's
    count grows by ``2 r + 1``; so squares are sums over images, and all thresholds are one cumulative sum.
    """

    def __init__(self, step: Ints, members: Members) -> None:
        self.members = members
        self.order = np.lexsort((-step, members.unit))
        self.unit, self.step = members.unit[self.order], step[self.order]
        self.cell = members.group[self.order] * (len(THRESHOLDS) + 1) + self.step

    def of_fixed(self, success: Bools, trial: Bools) -> _Sums:
        """Rates whose trials do not depend on the threshold: called positive, among `trial`."""
        taken = success[self.order].astype(np.float64)
        before = self._before(taken)
        size = self.members.by_unit(trial.astype(np.float64))
        own = size[self.unit]
        growths = (np.ones(len(taken)), 2 * before + 1, own, before == 0, before + 1 == own)
        hits, hits_squared, products, hitting, complete = (self._at_least(taken * growth) for growth in growths)
        fixed = [self.members.over_units(values)[:, None] for values in (size, size**2, size > 0)]
        trials, squares, clusters = (np.broadcast_to(values, hits.shape) for values in fixed)
        return _Sums(hits, trials, hits_squared, products, squares, clusters, hitting, clusters - complete)

    def of_selected(self, hit: Bools) -> _Sums:
        """Rates among those called positive: precision."""
        right, one = hit[self.order].astype(np.float64), np.ones(len(self.order))
        right_before, before = self._before(right), self._before(one)
        wrong_before = before - right_before
        growths = (
            right,
            one,
            right * (2 * right_before + 1),
            right_before + right * before + right,
            2 * before + 1,
            before == 0,
            right * (right_before == 0),
            (1 - right) * (wrong_before == 0),
        )
        return _Sums(*(self._at_least(np.asarray(growth, dtype=np.float64)) for growth in growths))

    def _before(self, taken: Floats) -> Floats:
        """How many of the same cluster were taken earlier."""
        running = np.cumsum(taken) - taken
        starts = np.ones(len(taken), dtype=bool)
        starts[1:] = self.unit[1:] != self.unit[:-1]
        return np.asarray(running - running[starts][np.cumsum(starts) - 1], dtype=np.float64)

    def _at_least(self, weights: Floats) -> Floats:
        """Sum of weights of the images whose score reaches each threshold, shape (G, thresholds)."""
        size = len(THRESHOLDS) + 1
        table = np.bincount(self.cell, weights=weights, minlength=self.members.size * size).reshape(-1, size)
        return np.asarray(table[:, ::-1].cumsum(axis=1)[:, ::-1][:, 1:], dtype=np.float64)
