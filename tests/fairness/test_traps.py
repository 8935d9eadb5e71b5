"""Mistakes that other packages make, or that a reader might: one test each, first by hand on a small table.

Where the other package is installed the test shows that it still falls into the trap.
"""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from audit.errors import InputError
from audit.fairness import (
    METRICS,
    Permutations,
    Question,
    clopper_pearson,
    compare,
    count_predictions,
    coverage_table,
    curve_table,
    gap_table,
    group_table,
    korn_graubard,
    rate_gap_p,
    smooth_units,
    wilson,
)
from audit.fairness.rates import GroupRates
from tests.fairness.tables import CLASSES, pick, repeated, tables

# Women: 4 positives, 3 found, 1 of 6 others called positive. Men: 2 positives, 1 found, 4 of 8 others called so.
SMALL = {
    ("pos", "pos", "women"): 3,
    ("pos", "neg", "women"): 1,
    ("neg", "pos", "women"): 1,
    ("neg", "neg", "women"): 5,
    ("pos", "pos", "men"): 1,
    ("pos", "neg", "men"): 1,
    ("neg", "pos", "men"): 4,
    ("neg", "neg", "men"): 4,
}


@pytest.fixture(scope="module")
def small() -> pd.DataFrame:
    return group_table(*tables(repeated(SMALL)), CLASSES, "pos", ["a"])


def of_pos(table: pd.DataFrame, metric: str, group: str) -> pd.Series:
    return pick(table, attribute="a", group=group, metric=metric, **{"class": "pos"})


def rates_of(*groups: tuple[int, int]) -> GroupRates:
    """Groups of (successes, trials) without clusters."""
    places = np.arange(len(groups))
    successes, trials = (np.array(side) for side in zip(*groups, strict=True))
    return GroupRates(tuple(f"g{place}" for place in places), False, places, 0 * places, successes, trials)


# Denominators


def test_a_perfect_classifier_has_no_odds_gap_where_a_group_has_no_positives() -> None:
    """Fairlearn gives that group a true positive rate of 0, and the perfect classifier a difference of 1."""
    from fairlearn.metrics import equalized_odds_difference

    rows = [("pos", "pos", "f"), ("neg", "neg", "f"), ("neg", "neg", "m"), ("neg", "neg", "m")] * 10
    images, predictions = tables(rows)
    theirs = equalized_odds_difference(
        images["label"] == "pos", predictions["predicted"] == "pos", sensitive_features=images["attr_a"]
    )
    assert theirs == 1
    table = group_table(images, predictions, CLASSES, "pos", ["a"])
    lost = of_pos(table, "true_positive_rate", "m")
    assert (lost["n"], lost["status"]) == (0, "undefined")
    assert math.isnan(lost["value"])
    gaps = gap_table(images, predictions, CLASSES, "pos", ["a"], draws=9)
    for metric in ("true_positive_rate", "equalised_odds", "average_odds"):
        rows_of = gaps[gaps["metric"] == metric]
        assert rows_of["value"].isna().all()
        assert set(rows_of["status"]) == {"undefined"}


def test_true_positives_are_divided_by_the_groups_own_positives(small: pd.DataFrame) -> None:
    """AI Verify divides by the positives of everybody: women would get 3/6, men 1/6."""
    women, men = (of_pos(small, "true_positive_rate", group) for group in ("women", "men"))
    assert (women["value"], women["n"]) == (3 / 4, 4)
    assert (men["value"], men["n"]) == (1 / 2, 2)


def test_rates_are_not_divided_by_all_images_of_the_group(small: pd.DataFrame) -> None:
    """The group rates of torchmetrics are shares of the group's images: women's would be 3/10 and 1/10."""
    expected = {"true_positive_rate": (3 / 4, 4), "false_positive_rate": (1 / 6, 6), "precision": (3 / 4, 4)}
    for metric, (value, n) in expected.items():
        row = of_pos(small, metric, "women")
        assert (row["value"], row["n"]) == (pytest.approx(value), n)


@pytest.mark.torch
def test_torchmetrics_still_divides_by_all_images_of_the_group() -> None:
    torch = pytest.importorskip("torch")
    functional = pytest.importorskip("torchmetrics.functional.classification")
    images, predictions = tables(repeated(SMALL))
    called, truth, women = (
        torch.tensor((column == value).to_numpy(np.int64))
        for column, value in (
            (predictions["predicted"], "pos"),
            (images["label"], "pos"),
            (images["attr_a"], "women"),
        )
    )
    rates = functional.binary_groups_stat_rates(called, truth, women, 2)["group_1"]
    assert rates.tolist() == pytest.approx([3 / 10, 1 / 10, 5 / 10, 1 / 10])


def test_selection_rate_is_a_share_of_the_group_not_of_all_selected(small: pd.DataFrame) -> None:
    """The statistical parity of Aequitas is a share of all predicted positives: 4 of 9 women, 5 of 9 men."""
    women, men = (of_pos(small, "selection_rate", group) for group in ("women", "men"))
    assert (women["value"], women["n"]) == (4 / 10, 10)
    assert (men["value"], men["n"]) == (5 / 10, 10)


# Classes


def test_no_positive_class_is_picked_silently() -> None:
    rows = [(label, called, group) for label in "xyz" for called in "xyz" for group in "fm"] * 6
    images, predictions = tables(rows)
    predictions["probabilities"] = [[0.2, 0.3, 0.5]] * len(rows)
    table = group_table(images, predictions, ["x", "y", "z"], None, ["a"])
    assert set(table[table["metric"] == "true_positive_rate"]["class"]) == {"x", "y", "z"}
    gaps = gap_table(images, predictions, ["x", "y", "z"], None, ["a"], draws=9)
    # Criteria of a positive class are not tabulated without one; equal opportunity is, of every class.
    assert not {"selection_rate", "false_positive_rate", "equalised_odds"} & set(gaps["metric"])
    assert set(gaps[gaps["metric"] == "true_positive_rate"]["class"]) == {"x", "y", "z"}
    assert set(curve_table(images, predictions, ["x", "y", "z"], None, ["a"])["kind"]) == {"reliability"}
    with pytest.raises(InputError, match="positive class 'w' is no class"):
        gap_table(images, predictions, ["x", "y", "z"], "w", ["a"], draws=9)


def test_class_mix_alone_is_no_difference_in_service() -> None:
    """Both groups: .9 of the easy class found, .5 of the hard one; women's images are mostly hard."""
    counts = {}
    for group, easy, hard in (("women", 20, 80), ("men", 80, 20)):
        counts[("neg", "neg", group)], counts[("neg", "pos", group)] = round(0.9 * easy), round(0.1 * easy)
        counts[("pos", "pos", group)], counts[("pos", "neg", group)] = hard // 2, hard // 2
    table = group_table(*tables(repeated(counts)), CLASSES, None, ["a"])
    values = {
        (metric, group): pick(table, attribute="a", group=group, metric=metric, **{"class": None})["value"]
        for metric in ("accuracy", "standardised_accuracy")
        for group in ("women", "men")
    }
    assert values["accuracy", "women"] == pytest.approx(0.58)
    assert values["accuracy", "men"] == pytest.approx(0.82)
    # The whole set has 100 of each class: (.9 + .5) / 2 for both.
    assert values["standardised_accuracy", "women"] == pytest.approx(0.7)
    assert values["standardised_accuracy", "men"] == pytest.approx(0.7)


def test_standardised_accuracy_is_null_where_the_group_lacks_a_class() -> None:
    rows = [("pos", "pos", "f"), ("neg", "neg", "f"), ("neg", "neg", "m"), ("neg", "neg", "m")]
    row = pick(
        group_table(*tables(rows), CLASSES, None, ["a"]), attribute="a", group="m", metric="standardised_accuracy"
    )
    assert (row["n"], row["status"]) == (0, "undefined")
    # Under a mix without the class that is lacking it has a value.
    cells = count_predictions(*tables(rows), CLASSES, ["a"])["m"].along("a")
    found = smooth_units(cells, METRICS["standardised_accuracy"], reference_mix={"neg": 1.0})
    assert found.value.tolist() == [1, 1]
    assert found.total.tolist() == [1, 2]


@pytest.mark.parametrize("mix", [{"pos": 0.5}, {"pos": 1.5, "neg": -0.5}, {"poss": 1.0}])
def test_a_mix_that_is_none_is_refused(mix: dict[str, float]) -> None:
    cells = count_predictions(*tables([("pos", "pos", "f"), ("neg", "neg", "f")]), CLASSES, ["a"])["m"].along("a")
    with pytest.raises(InputError, match=r"reference mix"):
        smooth_units(cells, METRICS["standardised_accuracy"], reference_mix=mix)


# Who is shown


def test_a_missing_group_is_a_group_of_its_own() -> None:
    images, predictions = tables([("pos", "pos", "f"), ("pos", "neg", None), ("neg", "neg", None)])
    table = group_table(images, predictions, CLASSES, None, ["a"])
    row = pick(table, attribute="a", group="(missing)", metric="accuracy", **{"class": None})
    assert (row["value"], row["n"]) == (0.5, 2)
    assert "(missing)" in set(coverage_table(images, ["a"])["group"])


def test_images_that_failed_are_listed_by_group() -> None:
    images, _ = tables([("pos", "pos", "f"), ("pos", "pos", "m"), ("neg", "neg", "m")])
    images.loc[1, "status"] = "unreadable"
    row = pick(coverage_table(images, ["a"]), attribute="a", group="m", label=None)
    assert (row["images"], row["failed"]) == (2, 1)


def test_bins_of_calibration_are_fixed_not_those_of_the_group() -> None:
    """One bin holds both of a group's images, right and wrong at .91 and .93: |.92 - .5|; split, it would be .5."""
    images, predictions = tables([("pos", "pos", "f"), ("neg", "pos", "f"), ("pos", "pos", "m"), ("neg", "neg", "m")])
    predictions["probabilities"] = [[0.09, 0.91], [0.07, 0.93], [0.4, 0.6], [0.9, 0.1]]
    table = group_table(images, predictions, CLASSES, None, ["a"])
    assert pick(table, attribute="a", group="f", metric="ece")["value"] == pytest.approx(0.42)


# Intervals of one rate


def covered(interval: tuple[np.ndarray, np.ndarray], n: int, p: float) -> float:
    """Exact coverage of an interval given for 0 to n successes."""
    chance = stats.binom.pmf(np.arange(n + 1), n, p)
    return float(chance[(interval[0] <= p) & (p <= interval[1])].sum())


def test_percentile_bootstrap_of_a_rate_near_one_covers_too_little() -> None:
    counts = np.arange(21)
    # The bootstrap of k successes in 20 draws from the binomial distribution of k / 20.
    bootstrap = tuple(stats.binom.ppf(tail, 20, counts / 20) / 20 for tail in (0.025, 0.975))
    assert covered((bootstrap[0], bootstrap[1]), 20, 0.95) == pytest.approx(0.64, abs=0.005)
    assert covered(clopper_pearson(counts, 20), 20, 0.95) > 0.95


def test_worst_coverage_of_clopper_pearson_and_of_wilson() -> None:
    worst = {}
    for name, interval in (("clopper_pearson", clopper_pearson), ("wilson", wilson)):
        worst[name] = min(
            covered(interval(np.arange(n + 1), n), n, p) for n in (20, 50, 100, 1000) for p in (0.5, 0.9, 0.95, 0.99)
        )
    assert round(worst["clopper_pearson"], 3) == 0.954
    assert round(worst["wilson"], 3) == 0.911


def test_cluster_bootstrap_fails_where_all_clusters_are_right() -> None:
    """Thirty people, three images each, all alike: at .99 nobody fails in three of four samples."""
    people = np.arange(31)
    bootstrap = tuple(stats.binom.ppf(tail, 30, people / 30) / 30 for tail in (0.025, 0.975))
    assert covered((bootstrap[0], bootstrap[1]), 30, 0.99) == pytest.approx(0.26, abs=0.01)
    rate = people / 30
    variance = 30 / 29 * rate * (1 - rate) / 30
    assert covered(korn_graubard(3 * people, 90, 30, variance), 30, 0.99) > 0.95
    # Nor may images be taken for independent.
    assert covered(clopper_pearson(3 * people, 90), 30, 0.9) < 0.8
    assert covered(korn_graubard(3 * people, 90, 30, variance), 30, 0.9) > 0.95


# Gaps


def test_a_box_of_separate_intervals_loses_the_london_gap() -> None:
    # Both intervals at the level at which they hold together.
    low, high = clopper_pearson([36, 18], [49, 53], 0.05 / 2)
    assert round(float(low[0] - high[1]), 3) == 0.067
    found = compare(rates_of((36, 49), (18, 53)), Question("range", "higher"))
    assert round(found.interval(0.05)[0], 3) == 0.203


def test_range_of_equal_groups_is_never_zero_and_its_bootstrap_says_it_is_real() -> None:
    rng = np.random.default_rng(5)
    hits = rng.binomial(100, 0.9, (2000, 8))
    assert np.ptp(hits, axis=1).mean() / 100 == pytest.approx(0.085, abs=0.003)
    called, small_p, shown = 0, 0, 0
    for row in hits[:60]:
        drawn = np.ptp(rng.binomial(100, row / 100, (400, 8)), axis=1) / 100
        called += np.quantile(drawn, 0.025) > 0
        found = compare(rates_of(*((int(hit), 100) for hit in row)), Question("range", "higher"), Permutations(199))
        small_p += found.p <= 0.05
        shown += found.interval(0.05)[0] > 0
    assert called == 60
    assert small_p <= stats.binom.ppf(0.999, 60, 0.05)
    assert shown <= stats.binom.ppf(0.999, 60, 0.05)


def test_four_fifths_without_a_test_calls_fair_audits_unfair() -> None:
    rng = np.random.default_rng(6)
    hits = rng.binomial(200, 0.1, (2000, 6))
    assert (hits.min(axis=1) < 0.8 * hits.max(axis=1)).mean() == pytest.approx(0.97, abs=0.01)
    shown = 0
    for row in hits[:60]:
        found = compare(rates_of(*((int(hit), 200) for hit in row)), Question("ratio", None))
        shown += found.interval(0.05)[1] < 0.8
    assert shown <= stats.binom.ppf(0.999, 60, 0.05)


def test_many_tests_without_correction_are_a_false_alarm() -> None:
    """Twelve groups against the rest on five metrics: of 60 tests one is nearly always below .05."""
    rng = np.random.default_rng(7)
    plain, holm, audits = 0, 0, 16
    for _ in range(audits):
        hits = rng.binomial(80, 0.8, (5, 12))
        splits = [(int(hit), int(row.sum() - hit)) for row in hits for hit in row]
        ps = [rate_gap_p(rates_of((hit, 80), (rest, 880)), 1999, rng) for hit, rest in splits]
        plain += min(ps) <= 0.05
        holm += multipletests(ps, method="holm")[0].any()
    assert plain >= stats.binom.ppf(0.001, audits, 0.85)
    assert holm <= stats.binom.ppf(0.999, audits, 0.05)


def test_images_of_one_person_are_permuted_together() -> None:
    """Two groups of 30 people with four images each, correlated by .6 within a person; nothing differs."""
    rng = np.random.default_rng(8)
    group, people, audits = np.repeat([0, 1], 30), np.arange(60), 150
    whole, images = 0, 0
    for place in range(audits):
        # With the chance root .6 an image takes its person's outcome, so two of them agree by .6.
        person, own = rng.random((60, 1)) < 0.8, rng.random((60, 4)) < 0.8
        hits = np.where(rng.random((60, 4)) < math.sqrt(0.6), person, own).sum(axis=1)
        names, draws = ("g", "h"), np.random.default_rng(place)
        clustered = GroupRates(names, True, group, people, hits, np.full(60, 4))
        sums = np.bincount(group, hits).astype(np.int64)
        ignoring = GroupRates(names, False, np.arange(2), np.zeros(2, np.int64), sums, np.full(2, 120))
        whole += rate_gap_p(clustered, 199, draws) <= 0.05
        images += rate_gap_p(ignoring, 199, draws) <= 0.05
    assert whole <= stats.binom.ppf(0.999, audits, 0.05)
    assert images >= stats.binom.ppf(0.001, audits, 0.2)


def test_max_t_is_wider_than_a_pair_and_narrower_than_bonferroni() -> None:
    groups = ((90, 100), (80, 100), (85, 100), (70, 100))
    found = compare(rates_of(*groups), Question("range", "higher"))
    pairs = len(list(combinations(groups, 2)))
    assert 0.05 / pairs < found.level(0.05) < 0.05
    low, high = found.interval(0.05)
    assert low < found.value < high
