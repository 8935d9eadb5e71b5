"""Gaps: known answers, who takes part, that equal groups are not called and planted gaps are."""

from __future__ import annotations

import math
from itertools import permutations as orders

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import confint_proportions_2indep

from audit.errors import InputError
from audit.fairness import (
    GAP_COLUMNS,
    GroupRates,
    Permutations,
    Question,
    compare,
    exceedance_level,
    gap_table,
    group_table,
    mean_gap_p,
    newcombe,
    rate_gap_p,
    region_gap_p,
    region_group_table,
    region_rows,
    small_groups,
)
from audit.fairness.gaps import detectable
from tests.fairness.tables import CLASSES, pick, random_tables, repeated, tables

LONDON = {
    ("pos", "pos", "men"): 18,
    ("pos", "neg", "men"): 35,
    ("pos", "pos", "women"): 36,
    ("pos", "neg", "women"): 13,
}
DRAWS = 1999


def plain(*groups: tuple[int, int]) -> GroupRates:
    """Groups of (successes, trials) without clusters."""
    places = np.arange(len(groups))
    successes, trials = (np.array(side) for side in zip(*groups, strict=True))
    return GroupRates(tuple(f"g{place}" for place in places), False, places, 0 * places, successes, trials)


def clustered(*units: tuple[int, int, int, int]) -> GroupRates:
    """Units of (group, cluster, successes, trials)."""
    columns = [np.array(side) for side in zip(*units, strict=True)]
    return GroupRates(tuple(f"g{place}" for place in range(columns[0].max() + 1)), True, *columns)


def test_london_gap() -> None:
    table = gap_table(*tables(repeated(LONDON)), CLASSES, "pos", ["a"], draws=DRAWS)
    assert tuple(table.columns) == GAP_COLUMNS
    row = pick(table, metric="true_positive_rate")
    assert (row["group"], row["reference"], row["method"], row["status"]) == (
        "men",
        "women",
        "newcombe",
        "ok",
    )
    assert row["value"] == pytest.approx(36 / 49 - 18 / 53)
    assert round(row["low"], 3) == 0.203
    assert row["p"] < 0.002


def test_metrics_of_the_table() -> None:
    images, predictions = tables(repeated(LONDON))
    with_positive = gap_table(images, predictions, CLASSES, "pos", ["a"], draws=1)
    without = gap_table(images, predictions, CLASSES, None, ["a"], draws=1)
    compared = ["accuracy range", "accuracy overall", "balanced_accuracy range", "standardised_accuracy range"]
    assert list(with_positive["metric"] + " " + with_positive["compare"]) == [
        *compared,
        "true_positive_rate range",
        "false_positive_rate range",
        "selection_rate range",
        "precision range",
        "selection_rate ratio",
        "equalised_odds max",
        "equalised_odds mean",
        "average_odds range",
    ]
    assert set(with_positive["class"].dropna()) == {"pos"}
    assert list(without["metric"])[4:] == ["true_positive_rate", "true_positive_rate"]
    assert list(without["class"])[4:] == CLASSES


def test_exploration_is_corrected_by_benjamini_and_hochberg() -> None:
    table = gap_table(*random_tables(400, 2), ["x", "y", "z"], None, ["a", "b"], draws=199)
    ps = np.sort(table["p"])
    steps = np.minimum.accumulate((ps * len(ps) / np.arange(1, len(ps) + 1))[::-1])[::-1]
    assert np.allclose(np.sort(table["p_adjusted"]), np.minimum(steps, 1), atol=1e-12)


def test_detectable_gap_is_found_in_four_of_five_audits() -> None:
    rng = np.random.default_rng(0)
    size, rate = 200, 0.8
    one = compare(plain((160, size), (160, size)), Question("range", "higher"))
    gap = detectable(one)
    shown = 0
    for _ in range(400):
        hits = rng.binomial(size, [rate + gap / 2, rate - gap / 2])
        shown += compare(plain((hits[0], size), (hits[1], size)), Question("range", "higher")).interval(0.05)[0] > 0
    assert stats.binom.ppf(0.001, 400, 0.77) <= shown <= stats.binom.ppf(0.999, 400, 0.83)


def test_no_negatives_means_undefined_not_zero() -> None:
    row = pick(gap_table(*tables(repeated(LONDON)), CLASSES, "pos", ["a"], draws=1), metric="false_positive_rate")
    assert row[["value", "low", "high", "p"]].isna().all()
    assert row["status"] == "undefined"


def test_worst_group_depends_on_the_direction() -> None:
    assert compare(plain((5, 20), (15, 20)), Question("range", "higher")).group == "g0"
    assert compare(plain((5, 20), (15, 20)), Question("range", "lower")).group == "g1"
    assert compare(plain((15, 20), (5, 20)), Question("range", None)).group == "g1"


def test_small_groups_are_left_out_and_listed() -> None:
    found = compare(plain((18, 20), (17, 20), (0, 9), (0, 0)), Question("range", "higher", 10))
    assert found.value == pytest.approx(0.05)
    assert found.excluded == (("g2", 9), ("g3", 0))
    images, predictions = tables(repeated({**LONDON, ("pos", "neg", "rare"): 4}))
    listed = small_groups(group_table(images, predictions, CLASSES, None, ["a"]))
    assert set(listed["group"][listed["metric"] == "accuracy"]) == {"rare"}


@pytest.mark.parametrize(
    ("groups", "status"), [(((5, 9), (3, 8)), "too_few_clusters"), (((5, 20), (0, 0)), "undefined")]
)
def test_too_few_groups(groups: tuple[tuple[int, int], ...], status: str) -> None:
    found = compare(plain(*groups), Question("range", "higher", 10), Permutations(9))
    assert (found.status, found.group) == (status, None)
    assert all(math.isnan(value) for value in (found.value, found.p, *found.interval(0.05)))


def test_smallest_size_counts_clusters() -> None:
    units = [(g, 10 * g + c, 1, 2) for g in range(2) for c in range(9)]
    assert compare(clustered(*units), Question("range", "higher", 10)).status == "too_few_clusters"


def test_three_groups_join_pairs_by_max_t() -> None:
    groups = ((45, 50), (40, 50), (20, 50))
    found = compare(plain(*groups), Question("range", "higher"))
    bounds = [newcombe(*groups[i], *groups[j], found.level(0.05)) for i, j in ((0, 1), (0, 2), (1, 2))]
    assert found.method == "newcombe_max_t"
    assert 0.05 / 3 < found.level(0.05) < 0.025
    assert np.allclose(found.interval(0.05), np.max(bounds, axis=0))


def test_equal_groups_are_not_called() -> None:
    rng = np.random.default_rng(3)
    lows, ps = [], []
    for _ in range(60):
        found = compare(
            plain(*((hit, 100) for hit in rng.binomial(100, 0.9, 8))),
            Question("range", "higher"),
            Permutations(199),
        )
        lows.append(found.interval(0.05)[0])
        ps.append(found.p)
        assert found.value > 0
    assert sum(low > 0 for low in lows) <= 3
    assert sum(p <= 0.05 for p in ps) <= 9


def test_permutation_p_is_that_of_the_exact_test() -> None:
    # For two groups of equal size the homogeneity statistic orders tables as Fisher's test does.
    p = rate_gap_p(plain((14, 20), (8, 20)), 99_999, np.random.default_rng(0))
    assert p == pytest.approx(stats.fisher_exact([[14, 6], [8, 12]]).pvalue, abs=0.004)


def test_permutation_p_over_all_deals_of_clusters() -> None:
    units = [(0, 0, 3, 3), (0, 1, 2, 3), (0, 2, 3, 3), (1, 3, 0, 3), (1, 4, 1, 3), (1, 5, 0, 3)]
    p = rate_gap_p(clustered(*units), 40_000, np.random.default_rng(1))
    # Of the 20 ways to deal six clusters to two groups only the observed one and its mirror are as far apart.
    assert p == pytest.approx(2 / 20, abs=0.01)


def test_permutation_p_within_clusters() -> None:
    # Eight people, each with one image a group: the sign test of those who differ, two-sided.
    units = [(g, c, int(g == 0), 1) for c in range(7) for g in range(2)] + [(0, 7, 0, 1), (1, 7, 1, 1)]
    p = rate_gap_p(clustered(*units), 40_000, np.random.default_rng(1))
    assert p == pytest.approx(stats.binomtest(7, 8).pvalue, abs=0.01)


@pytest.mark.parametrize("units", [[(0, 0, 1, 3), (1, 0, 2, 2), (0, 1, 1, 1)], [(0, c, 2, c + 4) for c in range(3)]])
def test_dealing_within_clusters_keeps_totals(units: list[tuple[int, int, int, int]]) -> None:
    assert 0 < rate_gap_p(clustered(*units), 99, np.random.default_rng(0)) <= 1


def test_images_of_one_person_are_not_independent() -> None:
    rng = np.random.default_rng(0)
    loose, called = [], 0
    for _ in range(60):
        hits = 4 * rng.binomial(1, 0.7, 40)
        units = [(place % 2, place, hit, 4) for place, hit in enumerate(hits)]
        called += rate_gap_p(clustered(*units), 199, rng) <= 0.05
        merged = plain((int(hits[::2].sum()), 80), (int(hits[1::2].sum()), 80))
        loose.append(rate_gap_p(merged, 199, rng) <= 0.05)
    assert called <= 8 < sum(loose)


def test_same_question_same_p() -> None:
    images, predictions = tables(repeated(LONDON))
    first = gap_table(images, predictions, CLASSES, "pos", ["a"], draws=199, seed=4)
    again = gap_table(images.iloc[::-1], predictions, CLASSES, None, ["a"], draws=199, seed=4)
    assert pick(first, metric="true_positive_rate")["p"] == pick(again, **{"class": "pos"})["p"]


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(30, 60)), min_size=2, max_size=4))
def test_order_of_groups_changes_no_interval(groups: list[tuple[int, int]]) -> None:
    found = {compare(plain(*order), Question("range", "higher")).interval(0.05) for order in orders(groups)}
    lows, highs = zip(*found, strict=True)
    assert np.ptp(lows) < 1e-12
    assert np.ptp(highs) < 1e-12
    value = compare(plain(*groups), Question("range", "higher")).value
    assert lows[0] - 1e-12 <= value <= highs[0] + 1e-12


def test_ratio_between_pairs() -> None:
    found = compare(plain((20, 50), (40, 50)), Question("ratio", None))
    assert (found.value, found.bad) == (pytest.approx(0.5), "below")
    low, high = found.interval(0.05)
    oracle = confint_proportions_2indep(20, 50, 40, 50, method="score", compare="ratio")
    assert (low, high) == pytest.approx(oracle, abs=0.02)
    assert compare(plain((0, 50), (0, 50)), Question("ratio", None)).status == "undefined"


def test_reference_is_signed() -> None:
    rates = plain((45, 50), (48, 50), (30, 50))
    worse = compare(rates, Question("reference", "higher", reference="g1"), Permutations(99))
    assert (worse.group, worse.reference, worse.value) == ("g2", "g1", pytest.approx(0.36))
    best = compare(plain((45, 50), (30, 50)), Question("reference", "higher", reference="g1"))
    assert best.value == pytest.approx(-0.3)
    assert best.interval(0.05)[1] < 0
    with pytest.raises(InputError, match=r"reference 'g9' is no group"):
        compare(rates, Question("reference", "higher", reference="g9"))


def test_everybody_else_includes_small_groups() -> None:
    found = compare(plain((10, 20), (20, 20), (2, 5)), Question("overall", "higher"))
    assert (found.group, found.reference) == ("g0", "everybody else")
    assert found.value == pytest.approx(22 / 25 - 10 / 20)
    assert found.arms.total.tolist() == [20, 25]


def test_floor_and_ceiling() -> None:
    rates = plain((18, 20), (12, 20))
    floor, ceiling = compare(rates, Question("floor", "higher")), compare(rates, Question("floor", "lower"))
    assert (floor.value, floor.group, floor.bad) == (0.6, "g1", "below")
    assert (ceiling.value, ceiling.group, ceiling.bad) == (0.9, "g0", "above")
    assert floor.interval(0.05)[0] == pytest.approx(stats.beta.ppf(0.0125, 12, 9))


def test_level_at_which_the_tolerance_is_passed() -> None:
    found = compare(plain((36, 49), (18, 53)), Question("range", "higher"))
    level = exceedance_level(found.interval, 0.203, "above")
    assert level == pytest.approx(0.05, abs=0.001)
    assert exceedance_level(found.interval, 0.5, "above") == 1


def test_shared_clusters_narrow_the_gap() -> None:
    rng = np.random.default_rng(2)
    hard = rng.random(60) < 0.3
    units = [(g, c, int(not bad and (g == 0 or c % 6 > 0)), 1) for c, bad in enumerate(hard) for g in range(2)]
    paired = compare(clustered(*units), Question("range", "higher"))
    apart = compare(
        plain(*((sum(u[2] for u in units if u[0] == g), 60) for g in range(2))), Question("range", "higher")
    )
    assert paired.method == "mover_paired"
    assert paired.interval(0.05)[1] < apart.interval(0.05)[1]


def region_tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    images, _ = tables([("pos", "pos", group) for group in "ffffmmmm"])
    mass = pd.DataFrame(
        {
            "model": "m", "image_id": images["image_id"], "method": "grad_cam", "region": "marker",
            "share": [0.1, 0.2, 0.3, None, 0.5, 0.6, 0.7, 0.9], "area": [0.1] * 3 + [0.0] + [0.1] * 4, "status": "ok",
        }
    )  # fmt: skip
    mass.loc[7, "status"] = "undefined"
    return images, mass


def test_region_groups_by_hand() -> None:
    images, mass = region_tables()
    table = region_group_table(mass, images, ["a"])
    row = pick(table, attribute="a", group="f")
    assert (row["n"], row["value"], row["area"]) == (3, pytest.approx(0.2), pytest.approx(0.1))
    # The t interval would reach below 0, where no share can be.
    assert row["low"] == 0
    assert row["high"] == pytest.approx(stats.t.interval(0.95, 2, 0.2, stats.sem([0.1, 0.2, 0.3]))[1])
    assert pick(table, attribute="overall")["n"] == 6


def test_region_absent_or_not_explained() -> None:
    images, mass = region_tables()
    absent = region_group_table(mass.assign(area=0.0, share=None), images, ["a"])
    assert set(absent["status"]) == {"undefined"}
    part = region_group_table(mass[:3], images, ["a"])
    assert pick(part, attribute="a", group="m")["status"] == "not_measured"
    assert region_group_table(mass[:0], images, ["a"]).empty


def test_region_gap_test() -> None:
    images, mass = region_tables()
    p = region_gap_p(region_rows(mass, images), images, ["a"], Permutations(4999))
    # Six values, three a group: only the observed deal and its mirror are as far apart.
    assert p == pytest.approx(2 / 20, abs=0.02)


def test_means_within_clusters() -> None:
    values = np.array([1.0, 2.0] * 8)
    p = mean_gap_p(values, ["a", "b"] * 8, np.repeat(np.arange(8), 2), Permutations(9999))
    assert p == pytest.approx(2 / 2**8, abs=0.004)
    assert math.isnan(mean_gap_p([1.0, 2.0], ["a", "a"], [0, 1], Permutations(9)))


@pytest.mark.parametrize("cluster_size", [0, 3])
def test_random_tables_give_whole_rows(cluster_size: int) -> None:
    images, predictions = random_tables(300, 5, cluster_size=cluster_size)
    table = gap_table(images, predictions, ["x", "y", "z"], None, ["a", "b"], [["a", "b"]], draws=99)
    assert len(table) == 3 * 7
    assert not table.duplicated(["attribute", "metric", "class", "compare"]).any()
    assert (table["low"] <= table["value"]).all()
    assert (table["value"] <= table["high"]).all()
    assert table["p"].between(0.01, 1).all()
