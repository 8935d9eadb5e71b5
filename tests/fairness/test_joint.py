"""Joint intervals: one contrast is the plain interval, several hold together at the tabulated quantiles."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special, stats

from audit.fairness.intervals import mover_difference, newcombe, wilson
from audit.fairness.joint import Family, all_pairs


def family(counts: list[tuple[int, int]], contrasts: np.ndarray | None = None) -> Family:
    hits, size = (np.array(side) for side in zip(*counts, strict=True))
    chosen = all_pairs(len(hits)) if contrasts is None else contrasts
    return Family(chosen, hits / size, lambda alpha: wilson(hits, size, alpha), np.zeros((len(hits),) * 2))


def critical(found: Family, alpha: float = 0.05) -> float:
    return float(-special.ndtri(found.level(alpha) / 2))


def test_two_groups_have_newcombes_interval() -> None:
    low, high = family([(36, 49), (18, 53)]).bounds(0.05)
    expected = newcombe(36, 49, 18, 53)
    assert low[0] == pytest.approx(float(expected[0]), abs=1e-12)
    assert high[0] == pytest.approx(float(expected[1]), abs=1e-12)


@pytest.mark.parametrize("size", [3, 5, 8, 12])
def test_all_pairs_take_tukeys_quantile(size: int) -> None:
    tukey = stats.studentized_range.ppf(0.95, size, np.inf) / np.sqrt(2)
    assert critical(family([(90, 100)] * size)) == pytest.approx(tukey, abs=0.03)


@pytest.mark.parametrize(("others", "dunnett"), [(2, 2.21), (3, 2.35), (5, 2.51), (9, 2.69)])
def test_a_reference_takes_dunnetts_quantile(others: int, dunnett: float) -> None:
    # Dunnett (1964), two-sided, 5 %, infinite degrees of freedom, equal groups.
    contrasts = np.hstack([np.ones((others, 1)), -np.eye(others)])
    assert critical(family([(50, 100)] * (others + 1), contrasts)) == pytest.approx(dunnett, abs=0.03)


def test_small_levels_fall_back_to_bonferroni() -> None:
    found = family([(90, 100)] * 4)
    assert found.level(1e-6) == pytest.approx(1e-6 / 6)
    levels = [found.level(alpha) for alpha in np.geomspace(1e-6, 0.9, 40)]
    assert levels == sorted(levels)


def test_correlated_estimates_have_the_paired_interval() -> None:
    low, high = np.array([0.6, 0.5]), np.array([0.9, 0.8])
    value, r = np.array([0.8, 0.6]), np.array([[1.0, 0.7], [0.7, 1.0]])
    found = Family(np.array([[1.0, -1.0]]), value, lambda _: (low, high), r).bounds(0.05)
    expected = mover_difference((0.8, 0.6, 0.9), (0.6, 0.5, 0.8), 0.7)
    assert np.allclose(np.ravel(found), expected)


def test_intervals_hold_together() -> None:
    rng = np.random.default_rng(5)
    truth = np.array([0.7, 0.8, 0.85, 0.9, 0.9])
    pairs = all_pairs(5)
    missed = 0
    for _ in range(400):
        low, high = family([(int(hit), 150) for hit in rng.binomial(150, truth)]).bounds(0.05)
        missed += bool(((low > pairs @ truth) | (high < pairs @ truth)).any())
    assert missed <= stats.binom.ppf(0.999, 400, 0.05)


def test_an_estimate_without_interval_leaves_none() -> None:
    nan = np.array([0.1, np.nan])
    found = Family(all_pairs(2), np.array([0.2, 0.5]), lambda _: (nan, nan), np.zeros((2, 2)))
    assert np.isnan(found.bounds(0.05)).all()


@pytest.mark.parametrize("related", [0.0, 0.4])
def test_differences_of_two_are_what_the_whole_matrix_says(related: float) -> None:
    """Written out, a difference has the arms that the quadratic form gives, down to the last bit."""
    random = np.random.default_rng(5)
    size = random.integers(20, 900, 9)
    hits = random.binomial(size, 0.8)
    hits[0] = size[0]
    correlation = np.full((9, 9), related) + (1 - related) * np.eye(9)
    found, whole = (
        Family(all_pairs(9), hits / size, lambda alpha: wilson(hits, size, alpha), correlation) for _ in "ab"
    )
    whole.__dict__["_pairs"] = None
    assert found._pairs is not None
    assert np.array_equal(found.values, whole.values)
    assert np.array_equal(found.deviations, whole.deviations)
    assert np.array_equal(found.bounds(0.05), whole.bounds(0.05))


def test_pairs_are_in_the_order_of_combinations() -> None:
    expected = [[1, -1, 0, 0], [1, 0, -1, 0], [1, 0, 0, -1], [0, 1, -1, 0], [0, 1, 0, -1], [0, 0, 1, -1]]
    assert all_pairs(4).tolist() == expected
