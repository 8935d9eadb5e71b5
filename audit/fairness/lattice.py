"""The table `lattice`: conjunctions of groups, each against everybody else, for exploration.

Intervals and p-values of many groups at once come from `excess`; counts from `counts`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
import pandas as pd

from audit.errors import InputError
from audit.fairness.counts import CountTensor, count_predictions
from audit.fairness.excess import Excess, Units, excess_of_counts, excess_of_units, joined
from audit.fairness.groups import check_positive
from audit.fairness.intervals import Floats
from audit.fairness.metrics import METRICS, Metric
from audit.fairness.rows import Ints, group_labels, positions, sorted_groups
from audit.run.schema import columns

__all__ = ["lattice_table"]

DEPTH = 3
Cell = tuple[tuple[int, int], ...]


def lattice_table(
    images: pd.DataFrame,
    predictions: pd.DataFrame,
    classes: Sequence[str],
    positive: str | None,
    attributes: Sequence[str],
    *,
    depth: int = DEPTH,
    alpha: float = 0.05,
    min_n: int = 10,
) -> pd.DataFrame:
    """Compute table `lattice`.

    Parameters
    ----------
    images, predictions, classes, positive : as in `group_table`
        Accuracy is searched; with a positive class its true positive and false positive rate too.
    attributes : sequence of str
        Attributes whose groups are combined, without the prefix ``attr_``.
    depth : int
        Most conditions in one conjunction, 1 to 3.
    alpha : float
        One minus the confidence level of each interval, which stands for itself alone.
    min_n : int
        Fewest clusters (images where there are none) of a conjunction. Where the metric's own denominator
        has fewer, in the conjunction or among everybody else, the row has no value and status
        ``too_few_clusters``.

    Returns
    -------
    DataFrame
        One row a model, conjunction and metric, by depth. ``difference`` is how much worse than everybody
        else (positive: worse), with Newcombe's interval, or MOVER over Korn-Graubard's where clusters
        repeat. ``p`` is one-sided, for "not worse": Fisher's exact test; where clusters repeat half of the
        smallest alpha at which the interval excludes 0. ``p_adjusted`` is Benjamini and Hochberg's over
        all rows of the model: of the rows called at 0.05 about one in twenty is called in error. That is
        right for exploration; it is no verdict. A conjunction that holds the same images as one with a
        condition less is left out.

    Raises
    ------
    InputError
        A column, class or attribute is missing or unknown, image ids repeat, or a setting is out of range.
    """
    check_positive(positive, classes)
    if not 1 <= depth <= DEPTH:
        raise InputError(f"depth is {depth}, allowed: 1 to {DEPTH}")
    if not 0 < alpha < 1:
        raise InputError(f"alpha is {alpha}, allowed: above 0 and below 1")
    metrics: list[tuple[str, str | None]] = [("accuracy", None)]
    if positive is not None:
        metrics += [("true_positive_rate", positive), ("false_positive_rate", positive)]
    frames = []
    for model, tensor in count_predictions(images, predictions, classes, attributes).items():
        search = _Search(tensor, tuple(attributes), [(METRICS[name], of) for name, of in metrics], min_n, alpha)
        found = [block for level in range(1, min(depth, len(attributes)) + 1) for block in search.level(level)]
        if found:
            frames.append(_adjusted(pd.concat(found, ignore_index=True)).assign(model=model))
    names = columns("lattice")
    table = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=names)
    whole, text = ("depth", "n", "clusters"), ("model", "group", "metric", "class", "status")
    types = {name: "int64" if name in whole else "str" if name in text else "float64" for name in names}
    return table[names].astype(types)


def _adjusted(table: pd.DataFrame) -> pd.DataFrame:
    from statsmodels.stats.multitest import multipletests

    p = table["p"].to_numpy(np.float64)
    adjusted = np.full(len(p), np.nan)
    if np.isfinite(p).any():
        adjusted[np.isfinite(p)] = multipletests(p[np.isfinite(p)], method="fdr_bh")[1]
    return table.assign(p_adjusted=adjusted)


@dataclass(frozen=True)
class _Part:
    """Successes and trials of one rate, per cell of the counts and per cluster."""

    hits: Floats
    trials: Floats
    cluster_hits: Floats
    cluster_trials: Floats


@dataclass
class _Search:
    """Breadth-first search through the conjunctions of one model's counts."""

    tensor: CountTensor
    attributes: tuple[str, ...]
    metrics: list[tuple[Metric, str | None]]
    min_n: int
    alpha: float
    sizes: dict[Cell, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        cells = self.tensor.cells
        self.groups, self.codes = [], []
        for name in self.attributes:
            labels = group_labels(cells, (name,))
            self.groups.append(sorted_groups(set(labels)))
            self.codes.append(positions(self.groups[-1], labels))
        self.cluster = pd.factorize(cells["cluster"])[0].astype(np.int64)
        self.clusters = int(self.cluster.max()) + 1 if len(cells) else 0
        self.count = cells["count"].to_numpy(np.int64)
        # One row of each cluster speaks for all where the attribute is constant within clusters.
        self.first = np.unique(self.cluster, return_index=True)[1]
        self.whole = [bool((code == code[self.first][self.cluster]).all()) for code in self.codes]
        self.parts = [self._part(*metric) for metric in self.metrics]
        self.sizes[()] = int(self.count.sum())

    def _part(self, metric: Metric, of: str | None) -> _Part:
        hits, trials = _hits_and_trials(self.tensor, metric, of)
        by_cluster = (_summed(self.cluster, side, self.clusters) for side in (hits, trials))
        return _Part(hits, trials, *by_cluster)

    def level(self, depth: int) -> Iterator[pd.DataFrame]:
        """Rows of all conjunctions of this many conditions; the levels before must have been visited."""
        if not len(self.count):
            return
        names: list[str] = []
        found: list[list[Excess]] = [[] for _ in self.metrics]
        for chosen in combinations(range(len(self.attributes)), depth):
            more, lots = self._crossed(chosen)
            names += more
            for lot, excess in zip(found, lots, strict=False):
                lot.append(excess)
        if names:
            frames = [self._rows(names, depth, *pair) for pair in zip(self.metrics, map(joined, found), strict=True)]
            yield pd.concat(frames, keys=range(len(frames))).sort_index(level=1, kind="stable")

    def _crossed(self, chosen: tuple[int, ...]) -> tuple[list[str], list[Excess]]:
        """Every large enough conjunction of groups of these attributes: names, and rates by metric."""
        key = np.zeros(len(self.count), dtype=np.int64)
        for place in chosen:
            key = _renumbered(key * len(self.groups[place]) + self.codes[place])
        whole = all(self.whole[place] for place in chosen)
        count = int(key.max()) + 1
        large = np.flatnonzero(self._clusters(key, count, whole=whole) >= self.min_n)
        first = np.full(count, -1)
        first[key[::-1]] = np.arange(len(key))[::-1]
        size = np.bincount(key, weights=self.count).astype(np.int64)
        kept: list[tuple[int, Cell]] = []
        for place in large.tolist():
            row, images = int(first[place]), int(size[place])
            cell = tuple((attribute, int(self.codes[attribute][row])) for attribute in chosen)
            self.sizes[cell] = images
            if images not in self._parents(cell):
                kept.append((place, cell))
        if not kept:
            return [], []
        new = np.full(count, -1)
        new[[place for place, _ in kept]] = np.arange(len(kept))
        names = [self._name(cell) for _, cell in kept]
        return names, [self._excess(new[key], part, len(kept), whole=whole) for part in self.parts]

    def _parents(self, cell: Cell) -> set[int]:
        """Images in each conjunction with one condition less; those are as large, so they were visited."""
        return {self.sizes[cell[:place] + cell[place + 1 :]] for place in range(len(cell))}

    def _clusters(self, key: Ints, size: int, *, whole: bool) -> Ints:
        if not self.tensor.clustered:
            return np.bincount(key, weights=self.count, minlength=size).astype(np.int64)
        if whole:
            return np.bincount(key[self.first], minlength=size)
        return np.bincount(np.unique(key * self.clusters + self.cluster) // self.clusters, minlength=size)

    def _excess(self, key: Ints, part: _Part, size: int, *, whole: bool) -> Excess:
        """Rates of these conjunctions (key -1: in none) against everybody else's."""
        if self.tensor.clustered and whole:
            group = key[self.first]
            inside = np.flatnonzero((group >= 0) & (part.cluster_trials > 0))
            own = part.cluster_hits[inside], part.cluster_trials[inside]
            return excess_of_units(Units(group[inside], inside, *own, part.cluster_hits, part.cluster_trials), size)
        inside = np.flatnonzero((key >= 0) & (part.trials > 0))
        hits, trials = part.hits[inside], part.trials[inside]
        if not self.tensor.clustered:
            sums = _summed(key[inside], hits, size), _summed(key[inside], trials, size)
            return excess_of_counts(*sums, (int(part.hits.sum()), int(part.trials.sum())))
        pair, unit = np.unique(key[inside] * self.clusters + self.cluster[inside], return_inverse=True)
        own = _summed(unit.reshape(-1), hits, len(pair)), _summed(unit.reshape(-1), trials, len(pair))
        units = Units(pair // self.clusters, pair % self.clusters, *own, part.cluster_hits, part.cluster_trials)
        return excess_of_units(units, size)

    def _name(self, cell: Cell) -> str:
        return " & ".join(f"{self.attributes[place]}={self.groups[place][group]}" for place, group in cell)

    def _rows(self, names: list[str], depth: int, metric: tuple[Metric, str | None], excess: Excess) -> pd.DataFrame:
        lower_is_better = metric[0].direction == "lower"
        defined = (excess.own.total > 0) & (excess.rest.total > 0)
        enough = defined & (np.minimum(excess.own.clusters, excess.rest.clusters) >= self.min_n)
        low, high = excess.bounds(self.alpha)
        difference = excess.difference
        if not lower_is_better:
            low, high, difference = -high, -low, -difference
        numbers = {
            "value": excess.own.rate,
            "rest": excess.rest.rate,
            "difference": difference,
            "low": low,
            "high": high,
            "p": excess.p_higher() if lower_is_better else excess.p_lower(),
        }
        shown = {name: np.where(enough, values, np.nan) for name, values in numbers.items()}
        shown["n"], shown["clusters"] = excess.own.total, excess.own.clusters
        frame = pd.DataFrame({"group": names, "depth": depth, "metric": metric[0].name, "class": metric[1], **shown})
        return frame.assign(status=np.where(enough, "ok", np.where(defined, "too_few_clusters", "undefined")))


def _hits_and_trials(tensor: CountTensor, metric: Metric, of: str | None) -> tuple[Floats, Floats]:
    """Successes and trials of a rate in every cell of the counts."""
    truth, predicted, count = (tensor.cells[name].to_numpy(np.int64) for name in ("truth", "predicted", "count"))
    if metric.per_class:
        place = tensor.classes.index(str(of))
        actual, said = truth == place, predicted == place
        parts = {"tp": actual & said, "fn": actual & ~said, "fp": ~actual & said, "tn": ~actual & ~said}
    else:
        parts = {"correct": truth == predicted, "all": np.ones(len(count), dtype=bool)}
    sums = [
        np.where(np.any([parts[name] for name in side], axis=0), count, 0).astype(np.float64)
        for side in (metric.numerator, metric.denominator)
    ]
    return sums[0], sums[1]


def _summed(place: Ints, values: Floats, size: int) -> Floats:
    return np.bincount(place, weights=values, minlength=size).astype(np.float64)


def _renumbered(key: Ints) -> Ints:
    """Numbers from 0 without holes, in the same order."""
    most = int(key.max()) + 1
    if most > 4 * len(key) + 1000:
        return np.unique(key, return_inverse=True)[1].reshape(-1)
    seen = np.zeros(most, dtype=bool)
    seen[key] = True
    return np.asarray((np.cumsum(seen) - 1)[key], dtype=np.int64)
