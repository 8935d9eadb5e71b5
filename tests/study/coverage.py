"""How often the interval of one rate covers the truth: by enumeration without clusters, by simulation with them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import stats

from audit.fairness import clopper_pearson, wilson
from tests.study.draws import SIZES, cluster_chances, cluster_sizes, rates_of
from tests.study.figures import Row, counted, given

__all__ = ["REPORTED", "bootstrap_percentile", "clustered_coverage", "exact_coverage"]

REPORTED = "reported"
BLOCK = 2_000
Floats = npt.NDArray[np.float64]


def bootstrap_percentile(count: npt.ArrayLike, n: int, alpha: float = 0.05) -> tuple[Floats, Floats]:
    """Percentile bootstrap of a rate with endless draws: quantiles of the binomial at the observed rate."""
    rate = np.asarray(count, np.float64) / n
    low, high = (stats.binom.ppf(level, n, rate) / n for level in (alpha / 2, 1 - alpha / 2))
    return np.maximum(low, 0.0), high


def exact_coverage(n: int, rate: float, alpha: float = 0.05) -> list[Row]:
    """Chance that each interval covers `rate`, summed over all counts that n images can give."""
    counts = np.arange(n + 1)
    weight = stats.binom.pmf(counts, n, rate)
    rates = rates_of(counts[:, None], np.full((n + 1, 1), n), clustered=False)
    intervals = {
        REPORTED: rates.intervals(alpha),
        "wilson": wilson(rates.count, rates.total, alpha),
        "percentile bootstrap": bootstrap_percentile(counts, n, alpha),
    }
    return [
        given(
            float(weight[covers(bounds, rate)].sum()), part="rate", quantity="coverage", method=method, n=n, rate=rate
        )
        for method, bounds in intervals.items()
    ]


def covers(bounds: tuple[Floats, Floats], truth: float) -> npt.NDArray[np.bool_]:
    """Whether intervals hold the truth; one that does not exist does not."""
    return (bounds[0] <= truth) & (truth <= bounds[1])


def clustered_coverage(
    clusters: int,
    rate: float,
    icc: float,
    drawing: str,
    *,
    sizes: tuple[int, int] = SIZES,
    replicates: int,
    bootstraps: int,
    seed: int,
) -> list[Row]:
    """Share of replicates, each a group of its own, whose interval covers `rate`.

    Beside it: the exact interval that takes images as independent, and the percentile bootstrap over
    clusters (on the first `bootstraps` replicates).
    """
    keys = {"part": "rate with clusters", "clusters": clusters, "rate": rate, "icc": icc, "drawing": drawing}
    keys["setting"] = f"{sizes[0]} to {sizes[1]} images"
    rows: list[Row] = []
    rng = np.random.default_rng([seed, clusters, round(1000 * rate), round(10 * icc), drawing == "beta", *sizes])
    for start in range(0, replicates, BLOCK):
        size = min(BLOCK, replicates - start)
        trials = cluster_sizes(rng, (size, clusters), sizes)
        successes = rng.binomial(trials, cluster_chances(rng, trials.shape, rate, icc, drawing))
        rates = rates_of(successes, trials, clustered=True)
        low, high = rates.intervals()
        plain = clopper_pearson(rates.count, rates.total)
        told = {"coverage": covers((low, high), rate), "truth above": high < rate, "truth below": low > rate}
        rows += [counted(int(hit.sum()), size, quantity=name, method=REPORTED, **keys) for name, hit in told.items()]
        independent = int(covers(plain, rate).sum())
        rows.append(counted(independent, size, quantity="coverage", method="images taken as independent", **keys))
    few = min(bootstraps, size)
    if few:
        bounds = cluster_bootstrap(successes[:few], trials[:few], rng)
        hits = int(covers(bounds, rate).sum())
        rows.append(counted(hits, few, quantity="coverage", method="percentile cluster bootstrap", **keys))
    return rows


def cluster_bootstrap(
    successes: npt.NDArray[np.int64], trials: npt.NDArray[np.int64], rng: np.random.Generator, draws: int = 999
) -> tuple[Floats, Floats]:
    """Percentile interval of a rate over redrawn clusters, one a row."""
    bounds = []
    for hits, total in zip(successes, trials, strict=True):
        chosen = rng.integers(len(hits), size=(draws, len(hits)))
        bounds.append(np.quantile(hits[chosen].sum(axis=1) / total[chosen].sum(axis=1), [0.025, 0.975]))
    low, high = np.array(bounds).T
    return low, high
