"""Intervals against closed forms first, then against statsmodels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from audit.fairness import (
    clopper_pearson,
    korn_graubard,
    mean_interval,
    mover_difference,
    mover_ratio,
    newcombe,
    wilson,
)
from audit.fairness.intervals import effective_size
from audit.fairness.rates import GroupRates


def test_clopper_pearson_in_closed_form() -> None:
    low, high = clopper_pearson([0, 10], [10, 10], 0.05)
    assert high[0] == pytest.approx(1 - 0.025**0.1)
    assert low[1] == pytest.approx(0.025**0.1)
    assert (low[0], high[1]) == (0, 1)


def test_without_trials_there_is_no_interval() -> None:
    for interval in (clopper_pearson, wilson):
        assert all(math.isnan(bound) for bound in interval(0, 0))


@given(
    st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))),
    st.sampled_from([0.01, 0.1]),
)
def test_rates_agree_with_statsmodels(case: tuple[int, int], alpha: float) -> None:
    for interval, name in ((clopper_pearson, "beta"), (wilson, "wilson")):
        assert np.allclose(interval(*case, alpha), proportion_confint(*case, alpha, name), atol=1e-9)


def test_newcombe_on_the_london_numbers() -> None:
    low, high = newcombe(36, 49, 18, 53)
    assert round(float(low), 3) == 0.203
    assert 0.203 < 36 / 49 - 18 / 53 < high


@given(st.integers(1, 200), st.integers(1, 200), st.floats(0, 1), st.floats(0, 1))
def test_newcombe_agrees_with_statsmodels(n: int, m: int, share: float, other: float) -> None:
    k, j = round(share * n), round(other * m)
    expected = confint_proportions_2indep(k, n, j, m, method="newcomb", compare="diff")
    assert np.allclose(newcombe(k, n, j, m), np.clip(expected, -1, 1), atol=1e-9)


def test_korn_graubard_by_hand() -> None:
    # Four clusters of two, three all right and one half right: p = 7/8.
    rates = GroupRates(("g",), True, np.zeros(4, int), np.arange(4), np.array([2, 2, 2, 1]), np.full(4, 2))
    residual = np.array([0.25, 0.25, 0.25, -0.75])
    variance = 4 / 3 * (residual**2).sum() / 8**2
    assert rates.variance[0] == pytest.approx(variance)
    shrink = (stats.t.ppf(0.975, 7) / stats.t.ppf(0.975, 3)) ** 2
    size = 7 / 8 * 1 / 8 / variance * shrink
    assert size < 8
    assert effective_size(7, 8, 4, variance) == pytest.approx(size)
    expected = (
        stats.beta.ppf(0.025, 7 / 8 * size, size / 8 + 1),
        stats.beta.ppf(0.975, 7 / 8 * size + 1, size / 8),
    )
    assert np.allclose(np.ravel(korn_graubard(7, 8, 4, variance)), expected)


def test_one_telling_cluster_is_not_taken_at_its_word() -> None:
    # As above, with one cluster added to the single failing one, whose two images go together.
    rates = GroupRates(("g",), True, np.zeros(4, int), np.arange(4), np.array([2, 2, 2, 1]), np.full(4, 2))
    effect = 8 * rates.variance[0] / (7 / 8 * 1 / 8)
    shrink = (stats.t.ppf(0.975, 7) / stats.t.ppf(0.975, 3)) ** 2
    size = 8 * 2 / (effect + max(effect, 2)) * shrink
    assert rates.telling.tolist() == [1]
    assert effective_size(7, 8, 4, rates.variance, telling=1)[0] == pytest.approx(size)
    expected = clopper_pearson(7 / 8 * size, size)
    assert np.allclose(np.ravel(rates.intervals()), np.ravel(expected))


def test_korn_graubard_without_variance_counts_clusters() -> None:
    assert np.allclose(korn_graubard(12, 12, 4, 0.0), clopper_pearson(4, 4))
    assert np.allclose(korn_graubard(6, 12, 4, 0.0), clopper_pearson(2, 4))


def test_korn_graubard_never_takes_more_than_there_is() -> None:
    assert effective_size(50, 100, 50, 1e-9) == 100


def test_one_cluster_has_no_interval() -> None:
    assert all(math.isnan(bound) for bound in korn_graubard(2, 3, 1, math.nan))


def test_one_image_a_cluster_is_clopper_pearson() -> None:
    values = np.array([1] * 17 + [0] * 3)
    rates = GroupRates(("g",), True, np.zeros(20, int), np.arange(20), values, np.ones(20, int))
    assert not rates.dependent.any()
    assert np.allclose(np.ravel(rates.intervals()), clopper_pearson(17, 20))


def test_positive_correlation_narrows_a_difference() -> None:
    first, second = (0.8, 0.7, 0.9), (0.6, 0.5, 0.7)
    wide, narrow = mover_difference(first, second), mover_difference(first, second, 0.5)
    assert wide[0] < narrow[0] < 0.2 < narrow[1] < wide[1]
    assert mover_difference(first, second, 1.0)[0] == pytest.approx(0.2)


def test_ratio_against_donner_and_zou_equations() -> None:
    p, q = (0.6, 0.5, 0.7), (0.8, 0.7, 0.85)
    product = p[0] * q[0]
    low = (product - math.sqrt(product**2 - p[1] * q[2] * (2 * p[0] - p[1]) * (2 * q[0] - q[2]))) / (
        q[2] * (2 * q[0] - q[2])
    )
    high = (product + math.sqrt(product**2 - p[2] * q[1] * (2 * p[0] - p[2]) * (2 * q[0] - q[1]))) / (
        q[1] * (2 * q[0] - q[1])
    )
    assert np.allclose(mover_ratio(p, q), (low, high))


def test_ratio_at_zero() -> None:
    zero, some = (0.0, 0.0, 0.2), (0.5, 0.3, 0.7)
    assert mover_ratio(zero, some)[0] == 0
    assert mover_ratio(some, zero)[1] == np.inf
    assert all(math.isnan(bound) for bound in mover_ratio(zero, zero))


def test_mean_interval_is_the_t_interval_of_cluster_means() -> None:
    mean = mean_interval([1.0, 3.0, 5.0, 6.0], ["a", "a", "b", "c"])
    expected = stats.t.interval(0.95, 2, loc=13 / 3, scale=stats.sem([2, 5, 6]))
    assert (mean.value, mean.n, mean.clusters) == (pytest.approx(13 / 3), 4, 3)
    assert np.allclose((mean.low, mean.high), expected)


def test_mean_of_one_cluster_or_of_nothing() -> None:
    one = mean_interval([1.0, 3.0], ["a", "a"])
    assert (one.value, one.status) == (2.0, "too_few_clusters")
    assert math.isnan(one.low)
    assert mean_interval([], []).status == "undefined"
