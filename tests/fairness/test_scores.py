"""Scores of stored probabilities: by hand, at their edges, and that groups in one pass equal groups one by one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from audit.fairness import group_table
from audit.fairness.calibration import BINS, Confidence, calibration_error, calibration_errors, debiased_errors
from audit.fairness.scores import Members, area_under_curve, areas_under_curve, log_losses, mean_scores
from tests.fairness.tables import CLASSES, pick, random_tables, repeated, tables

ONE = (0.0, 1.0)


def alone(n: int) -> Members:
    """One group, each image a cluster of its own."""
    return Members.of(np.zeros(n, np.int64), np.arange(n), 1)


def confidence(values: list[float], hits: list[int]) -> Confidence:
    given_values = np.array(values)
    return Confidence(given_values, np.array(hits, bool), np.minimum((given_values * BINS).astype(np.int64), BINS - 1))


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 60), st.integers(0, 10_000), st.booleans(), st.booleans())
def test_all_groups_at_once_equal_each_alone(n: int, seed: int, clustered: bool, ties: bool) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(4, size=n) / 4 if ties else rng.random(n)
    positive, group = rng.random(n) < 0.4, rng.integers(3, size=n)
    cluster = rng.integers(max(2, n // 3), size=n) if clustered else np.arange(n)
    together = areas_under_curve(scores, positive, Members.of(group, cluster, 4), np.argsort(scores))
    for place in range(4):
        rows = group == place
        if not rows.any():
            assert together.status[place] == "undefined"
            continue
        one = area_under_curve(scores[rows], positive[rows], cluster[rows])
        assert (together.method[place], together.status[place]) == (one.method, one.status)
        for name in ("value", "low", "high"):
            assert getattr(together, name)[place] == pytest.approx(getattr(one, name), abs=1e-12, nan_ok=True)


@pytest.mark.parametrize(("scores", "value"), [([0.9, 0.8, 0.3, 0.1], 1.0), ([0.1, 0.2, 0.8, 0.9], 0.0)])
def test_auc_at_its_edges_takes_the_exact_bound(scores: list[float], value: float) -> None:
    found = area_under_curve(np.array(scores), np.array([1, 1, 0, 0], bool), np.arange(4))
    # DeLong's variance is 0 there. Two disjoint pairs, each in order with the chance that is sought.
    bound = math.sqrt(0.025)
    assert (found.value, found.method) == (value, "exact_pairs")
    assert (found.low, found.high) == pytest.approx((bound, 1) if value else (0, 1 - bound))


def test_auc_of_one_counts_pairs_of_clusters() -> None:
    scores, positive = np.array([0.9, 0.8, 0.7, 0.3, 0.2, 0.1]), np.array([1, 1, 1, 0, 0, 0], bool)
    # Three people, each with a positive and a negative image: only one pair of different people is disjoint.
    found = area_under_curve(scores, positive, np.array([0, 1, 2, 0, 1, 2]))
    assert found.low == pytest.approx(0.025)


def test_auc_of_equal_scores_is_a_half_without_an_interval() -> None:
    found = area_under_curve(np.full(20, 0.5), np.arange(20) < 10, np.arange(20))
    assert (found.value, found.method, found.status) == (0.5, "none", "ok")
    assert math.isnan(found.low)


@pytest.mark.parametrize("positive", [[True, True], [False, False]])
def test_auc_of_one_class_is_undefined(positive: list[bool]) -> None:
    found = area_under_curve(np.array([0.1, 0.2]), np.array(positive), np.arange(2))
    assert found.status == "undefined"
    assert math.isnan(found.value)


def test_mean_is_the_t_interval() -> None:
    values = np.array([0.2, 0.4, 0.9, 0.1])
    found = mean_scores(values, alone(4), 0.05, ONE)
    low, high = stats.t.interval(0.95, 3, loc=0.4, scale=stats.sem(values))
    assert found.method[0] == "t"
    assert low < 0
    assert (found.value[0], found.low[0], found.high[0]) == pytest.approx((0.4, 0, high))


def test_mean_between_clusters_by_hand() -> None:
    members = Members.of(np.zeros(5, np.int64), np.array([0, 0, 0, 1, 2]), 1)
    values = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    found = mean_scores(values, members, 0.05, (0.0, math.inf))
    # About the mean of 3: -2 - 1 + 0 in the first cluster, 1 and 2 in the others.
    half = stats.t.ppf(0.975, 2) * math.sqrt(3 / 2 * (9 + 1 + 4) / 25)
    assert found.method[0] == "t_clusters"
    assert (found.value[0], found.high[0]) == pytest.approx((3, 3 + half))
    assert found.low[0] == max(0, 3 - half)


def test_mean_of_one_cluster_or_of_equal_values_has_no_interval() -> None:
    one = mean_scores(np.array([0.1, 0.3]), Members.of(np.zeros(2, int), np.zeros(2, int), 1), 0.05, ONE)
    assert (one.value[0], one.status[0], one.method[0]) == (pytest.approx(0.2), "too_few_clusters", "none")
    same = mean_scores(np.full(9, 0.1), alone(9), 0.05, ONE)
    assert (same.status[0], same.method[0]) == ("ok", "none")
    assert math.isnan(same.low[0])


def test_losses_of_impossible_images_are_cut() -> None:
    assert log_losses(np.array([[0.0, 1.0]]), np.array([0]))[0] == pytest.approx(-math.log(np.finfo(float).eps))


def test_losses_have_intervals_in_the_table() -> None:
    images, predictions = random_tables(120, 2, classes=CLASSES, cluster_size=3)
    table = group_table(images, predictions, CLASSES, None, ["a"])
    for metric, most in (("log_loss", math.inf), ("brier", 1.0)):
        row = pick(table, attribute="overall", metric=metric)
        assert (row["method"], row["clusters"]) == ("t_clusters", 40)
        assert 0 <= row["low"] < row["value"] < row["high"] <= most


def test_debiased_error_by_hand() -> None:
    # Two images in one bin, residuals .1 and -.9: the mean product of different images is -.09.
    found = debiased_errors(confidence([0.9, 0.9], [1, 0]), alone(2))
    assert found.value[0] == pytest.approx(-0.3)
    # Three of them: the mean over the three pairs, (.01 - .09 - .09) / 3.
    found = debiased_errors(confidence([0.9, 0.9, 0.9], [1, 1, 0]), alone(3))
    assert found.value[0] == pytest.approx(-math.sqrt(0.17 / 3))
    # Both wrong: .81, and another bin with one image counts for nothing but its share.
    found = debiased_errors(confidence([0.9, 0.9, 0.1], [0, 0, 1]), alone(3))
    assert found.value[0] == pytest.approx(math.sqrt(2 / 3 * 0.81))


def test_debiased_error_takes_no_pairs_within_a_cluster() -> None:
    given_values = confidence([0.9, 0.9, 0.9, 0.9], [1, 1, 0, 0])
    found = debiased_errors(given_values, Members.of(np.zeros(4, int), np.array([0, 0, 1, 1]), 1))
    # Across the two clusters every product is .1 x -.9.
    assert found.value[0] == pytest.approx(-0.3)
    one = debiased_errors(given_values, Members.of(np.zeros(4, int), np.zeros(4, int), 1))
    assert one.status[0] == "undefined"


@pytest.fixture(scope="module")
def many() -> tuple[Confidence, Members]:
    """Four hundred groups of 100 images, each perfectly calibrated."""
    rng = np.random.default_rng(11)
    values = rng.uniform(0.5, 1, 40_000)
    group = np.repeat(np.arange(400), 100)
    place = np.searchsorted(np.linspace(0, 1, BINS + 1)[1:-1], values, side="right")
    return Confidence(values, rng.random(40_000) < values, place), Members.of(group, np.arange(40_000), 400)


def test_plain_error_grows_with_few_images_and_the_debiased_one_does_not(many: tuple[Confidence, Members]) -> None:
    plain, debiased = calibration_errors(*many), debiased_errors(*many)
    everybody = Members.of(np.zeros(40_000, int), np.arange(40_000), 1)
    assert plain.mean() > 0.07
    assert calibration_errors(many[0], everybody)[0] < 0.01
    assert abs(debiased.value.mean()) < 0.015
    squared = np.sign(debiased.value) * debiased.value**2
    assert abs(squared.mean()) < 3 * squared.std() / math.sqrt(400)


def test_interval_of_the_debiased_error_covers(many: tuple[Confidence, Members]) -> None:
    found = debiased_errors(*many)
    assert (found.low <= 0).mean() > 0.92
    assert (found.low <= found.value).all()
    assert (found.value <= found.high).all()
    # Wrong by .15 throughout.
    shifted = Confidence(many[0].confidence, many[0].hit, many[0].bin)
    worse = Confidence(
        shifted.confidence, np.random.default_rng(1).random(40_000) < shifted.confidence - 0.15, shifted.bin
    )
    found = debiased_errors(worse, many[1])
    assert ((found.low <= 0.15) & (found.high >= 0.15)).mean() > 0.92


def test_debiased_error_of_a_small_group_has_no_interval() -> None:
    images, predictions = tables(repeated({("pos", "pos", "f"): 28, ("neg", "pos", "f"): 1}))
    predictions["probabilities"] = [[0.1, 0.9]] * 29
    row = pick(group_table(images, predictions, CLASSES, None, ["a"]), attribute="a", metric="ece_debiased")
    assert (row["status"], row["method"]) == ("too_few_clusters", "none")
    assert not math.isnan(row["value"])


def test_bins_take_their_lower_edge() -> None:
    edges = np.array([[k / 15, 1 - k / 15] for k in range(8, 16)])
    assert Confidence.of(edges, np.zeros(8, int)).bin.tolist() == [8, 9, 10, 11, 12, 13, 14, 14]


def test_calibration_error_of_one_group() -> None:
    assert calibration_error(np.array([[0.1, 0.9], [0.1, 0.9]]), np.array([1, 0])) == pytest.approx(0.4)
