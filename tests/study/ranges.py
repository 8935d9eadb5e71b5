"""How often the interval of a difference or a range covers the truth, and how often it leaves 0 out wrongly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from audit.fairness import GroupRates, Question, compare, newcombe
from tests.study.coverage import REPORTED, covers
from tests.study.draws import cluster_chances, cluster_sizes, rates_of
from tests.study.figures import Row, counted, given

__all__ = ["RANGES", "Truth", "bootstrap_ranges", "draw_groups", "newcombe_coverage", "range_coverage"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Truth:
    """True rates of the groups, and what is seen of each: images, or clusters of 2 to 5 images."""

    setting: str
    rates: tuple[float, ...]
    n: int = 0
    clusters: int = 0
    icc: float = 0.0

    @property
    def gap(self) -> float:
        """The true range."""
        return max(self.rates) - min(self.rates)

    @property
    def keys(self) -> dict[str, object]:
        """Columns that name it."""
        size = {"clusters": self.clusters, "icc": self.icc} if self.clusters else {"n": self.n}
        return {"setting": self.setting, "groups": len(self.rates), "rate": max(self.rates), "gap": self.gap, **size}


RANGES = (
    *(Truth("two groups", (0.9, 0.9 - gap), n=100) for gap in (0.0, 0.1)),
    *(Truth("equal", (0.9,) * groups, n=100) for groups in (3, 8, 12)),
    Truth("equal", (0.98,) * 8, n=100),
    Truth("equal", (0.5,) * 8, n=100),
    *(Truth("one group lower", (0.9 - gap, *(0.9,) * 7), n=100) for gap in (0.05, 0.1, 0.2)),
    Truth("evenly spread", tuple(np.linspace(0.75, 0.95, 8).round(4).tolist()), n=100),
    *(Truth("equal", (0.9,) * 8, clusters=m, icc=icc) for m in (30, 100) for icc in (0.0, 0.6, 1.0)),
    *(Truth("one group lower", (0.7, *(0.9,) * 7), clusters=m, icc=0.6) for m in (30, 100)),
)


def newcombe_coverage(n: tuple[int, int], rate: tuple[float, float]) -> list[Row]:
    """Chance that Newcombe's interval covers the difference of two rates, by enumeration."""
    counts = [np.arange(size + 1) for size in n]
    weights = [stats.binom.pmf(count, size, chance) for count, size, chance in zip(counts, n, rate, strict=True)]
    kept = [np.flatnonzero(weight > 1e-12) for weight in weights]
    first, second = np.meshgrid(*kept, indexing="ij")
    bounds = newcombe(first, np.full_like(first, n[0]), second, np.full_like(second, n[1]))
    chance = np.outer(weights[0][kept[0]], weights[1][kept[1]])
    value = float(chance[covers(bounds, rate[0] - rate[1])].sum())
    setting = f"{n[0]} and {n[1]} images"
    keys = {"part": "difference", "quantity": "coverage", "method": "newcombe", "groups": 2}
    return [given(value, setting=setting, rate=rate[0], gap=rate[0] - rate[1], **keys)]


def draw_groups(truth: Truth, rng: np.random.Generator) -> GroupRates:
    """One data set with these true rates."""
    rates = np.array(truth.rates)
    if not truth.clusters:
        return rates_of(rng.binomial(truth.n, rates)[:, None], np.full((len(rates), 1), truth.n), clustered=False)
    trials = cluster_sizes(rng, (len(rates), truth.clusters))
    chances = cluster_chances(rng, trials.shape, rates[:, None], truth.icc, "beta")
    return rates_of(rng.binomial(trials, chances), trials, clustered=True)


def range_coverage(truth: Truth, *, start: int, replicates: int, seed: int) -> list[Row]:
    """Share of data sets whose reported interval of the range covers the true one, and whose lower bound is above 0."""
    keys = {"part": "range", "method": REPORTED, **truth.keys}
    bounds, values = [], []
    for number in range(start, start + replicates):
        rates = draw_groups(truth, np.random.default_rng([seed, number]))
        found = compare(rates, Question("range", "higher", 1))
        bounds.append(found.interval(0.05))
        values.append(found.value)
    low, high = np.array(bounds).T
    hits = {
        "coverage": covers((low, high), truth.gap),
        "lower bound above the truth": low > truth.gap,
        "lower bound above 0": low > 0,
    }
    return [counted(int(hit.sum()), replicates, quantity=name, **keys) for name, hit in hits.items()]


def bootstrap_ranges(truth: Truth, *, replicates: int, seed: int, draws: int = 999) -> list[Row]:
    """The same for the percentile bootstrap of the observed range, without clusters."""
    rng = np.random.default_rng([seed, 1])
    counts = rng.binomial(truth.n, np.array(truth.rates), size=(replicates, len(truth.rates)))
    redrawn = rng.binomial(truth.n, counts / truth.n, size=(draws, *counts.shape)) / truth.n
    ranges = redrawn.max(axis=2) - redrawn.min(axis=2)
    low, high = np.quantile(ranges, [0.025, 0.975], axis=0)
    observed = (counts.max(axis=1) - counts.min(axis=1)) / truth.n
    keys = {"part": "range", "method": "percentile bootstrap", **truth.keys}
    hits = {
        "coverage": covers((low, high), truth.gap),
        "lower bound above the truth": low > truth.gap,
        "lower bound above 0": low > 0,
    }
    rows = [counted(int(hit.sum()), replicates, quantity=name, **keys) for name, hit in hits.items()]
    error = float(observed.std(ddof=1) / np.sqrt(replicates))
    return [*rows, given(float(observed.mean()), error, quantity="mean observed range", **keys)]
