"""How often a true gap is shown, how often equal service is shown to lie within a tolerance, and from what size."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy import special

from audit.fairness import Comparison, GroupRates, Permutations, Question, compare, rate_gap_p
from audit.fairness.gaps import detectable
from tests.study.draws import rates_of
from tests.study.figures import Row, counted, given
from tests.study.ranges import Truth, draw_groups

__all__ = ["BASE", "FAMILY", "POWER", "fails", "gap_power", "pass_power", "sample_size", "truth_of"]

ALPHA = 0.05
BASE = 0.9
POWER = 0.8
NEGLIGIBLE = 1e-9
FAMILY = 5
"""Rules of the family in whose first Holm step a lone true gap is judged."""


def truth_of(groups: int, gap: float, *, n: int = 0, clusters: int = 0, icc: float = 0.0) -> Truth:
    """One group served worse by `gap`, the others alike at `BASE`."""
    return Truth("one group lower", (round(BASE - gap, 6), *(BASE,) * (groups - 1)), n, clusters, icc)


def fails(rates: GroupRates, found: Comparison, tolerance: float, level: float, permutations: Permutations) -> bool:
    """Whether one rule fails at this level: interval beyond the tolerance, and test of no gap below the level."""
    if not found.interval(level)[0] > tolerance:
        return False
    return rate_gap_p(rates, permutations.draws, permutations.stream("power")) < level


def gap_power(truth: Truth, tolerance: float, *, replicates: int, draws: int, seed: int) -> list[Row]:
    """Share of data sets in which the rule fails, alone and in the first step of a family of five."""
    alone = together = 0
    for number in range(replicates):
        rates = draw_groups(truth, np.random.default_rng([seed, number]))
        found = compare(rates, Question("range", "higher", 1))
        permutations = Permutations(draws, number)
        if fails(rates, found, tolerance, ALPHA, permutations):
            alone += 1
            together += fails(rates, found, tolerance, ALPHA / FAMILY, permutations)
    keys = {"part": "power", "tolerance": tolerance, **truth.keys}
    return [
        counted(alone, replicates, quantity="fail", method="one rule", **keys),
        counted(together, replicates, quantity="fail", method=f"one of {FAMILY} rules", **keys),
    ]


def pass_power(truth: Truth, tolerances: Iterable[float], *, replicates: int, seed: int) -> list[Row]:
    """Share of data sets in which the range is shown to lie within each tolerance."""
    highs = []
    for number in range(replicates):
        rates = draw_groups(truth, np.random.default_rng([seed, number]))
        highs.append(compare(rates, Question("range", "higher", 1)).interval(ALPHA)[1])
    keys = {"part": "power", "quantity": "pass", "method": "one rule", **truth.keys}
    return [counted(int((np.array(highs) <= limit).sum()), replicates, tolerance=limit, **keys) for limit in tolerances]


def sample_size(groups: int, gap: float, *, replicates: int, draws: int, seed: int) -> list[Row]:
    """Images a group for which a lone rule at tolerance 0 fails with 80 % power.

    Power is simulated at sizes around the normal approximation's; its probit is close to a line in the
    root of the size, which is fitted and solved. The error is that of 200 draws of the fitted shares.
    """
    worst = BASE - gap
    pairs = groups * (groups - 1) / 2
    quantiles = special.ndtri(1 - ALPHA / 2 / pairs) + special.ndtri(POWER)
    guess = quantiles**2 * (BASE * (1 - BASE) + worst * (1 - worst)) / gap**2
    sizes = np.unique(np.maximum((guess * np.array([0.55, 0.7, 0.85, 1.0, 1.2])).round(), 10).astype(int))
    powers = []
    for size in sizes.tolist():
        rows = gap_power(truth_of(groups, gap, n=size), 0.0, replicates=replicates, draws=draws, seed=seed + size)
        powers.append(rows[0]["hits"] / replicates)
    drawn = np.random.default_rng(seed).binomial(replicates, powers, size=(200, len(sizes))) / replicates
    solved = [solve(sizes, share) for share in drawn]
    keys = {"part": "sample size", "groups": groups, "gap": gap, "rate": BASE, "tolerance": 0.0}
    value = solve(sizes, np.array(powers))
    found = given(value, float(np.nanstd(solved)), quantity="images a group at 80 % power", method="simulated", **keys)
    return [found, given(promised(groups, gap, value), quantity="gap that `gaps` calls detectable there", **keys)]


def promised(groups: int, gap: float, size: float) -> float:
    """What column `detectable` of table `gaps` says for groups of this size, at the rates expected."""
    n = max(round(size), 1) if size == size else 1
    truth = truth_of(groups, gap, n=n)
    counts = np.rint(n * np.array(truth.rates))
    rates = rates_of(counts[:, None], np.full((groups, 1), n), clustered=False)
    return detectable(compare(rates, Question("range", "higher", 1)), ALPHA)


def solve(sizes: np.ndarray, powers: np.ndarray) -> float:
    """Size at which a line through the probits of the powers over the root of the size reaches 80 %; NaN if none does."""
    probit = special.ndtri(np.clip(powers, 0.002, 0.998))
    slope, start = np.polyfit(np.sqrt(sizes), probit, 1)
    if slope < NEGLIGIBLE:
        return float("nan")
    return float(((special.ndtri(POWER) - start) / slope) ** 2)
