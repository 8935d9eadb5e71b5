"""Lattice search: known answers, agreement with the rates it stands for, quiet where nothing is."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from audit.errors import InputError
from audit.fairness import METRICS, count_predictions, mover_difference, newcombe, rate_units
from audit.fairness.lattice import lattice_table
from audit.run.schema import columns
from tests.fairness.tables import CLASSES, pick, random_tables, repeated, tables

# 60 dark, 20 of them marked: 8 of these 20 right, 36 of the other 40. 140 light, 70 of them marked: all but 7 right each.
CROSSED = {
    ("pos", "pos", "dark", "yes"): 8,
    ("pos", "neg", "dark", "yes"): 12,
    ("pos", "pos", "dark", "no"): 36,
    ("pos", "neg", "dark", "no"): 4,
    ("neg", "neg", "light", "yes"): 63,
    ("neg", "pos", "light", "yes"): 7,
    ("neg", "neg", "light", "no"): 63,
    ("neg", "pos", "light", "no"): 7,
}
NAMES = ("tone", "marker")


def crossed(positive: str | None = None, **settings_: object) -> pd.DataFrame:
    images, predictions = tables(repeated(CROSSED), NAMES)
    return lattice_table(images, predictions, CLASSES, positive, NAMES, **settings_)  # type: ignore[arg-type]


def test_conjunction_against_everybody_else() -> None:
    table = crossed()
    assert list(table.columns) == columns("lattice")
    row = pick(table, group="tone=dark & marker=yes")
    assert (row["depth"], row["n"], row["clusters"], row["status"]) == (2, 20, 20, "ok")
    assert row["value"] == pytest.approx(8 / 20)
    assert row["rest"] == pytest.approx((36 + 63 + 63) / 180)
    assert row["difference"] == pytest.approx(162 / 180 - 8 / 20)
    assert (row["low"], row["high"]) == pytest.approx(newcombe(162, 180, 8, 20))
    fisher = stats.fisher_exact([[12, 8], [18, 162]], alternative="greater").pvalue
    assert row["p"] == pytest.approx(fisher, rel=1e-9)


def test_every_conjunction_is_there_once_and_adjusted_together() -> None:
    table = crossed()
    singles = {"tone=dark", "tone=light", "marker=yes", "marker=no"}
    pairs = {f"tone={tone} & marker={marker}" for tone in ("dark", "light") for marker in ("yes", "no")}
    assert set(table["group"]) == singles | pairs
    assert len(table) == 8
    assert np.allclose(table["p_adjusted"], multipletests(table["p"], method="fdr_bh")[1])


def test_worse_is_positive_whichever_way_the_metric_points() -> None:
    table = crossed("pos")
    assert set(table["metric"]) == {"accuracy", "true_positive_rate", "false_positive_rate"}
    row = pick(table, group="marker=yes", metric="false_positive_rate")
    assert (row["value"], row["rest"], row["difference"]) == pytest.approx((0.1, 0.1, 0.0))
    row = pick(table, group="marker=yes", metric="true_positive_rate")
    assert row["difference"] == pytest.approx(36 / 40 - 8 / 20)
    assert row["n"] == 20


def test_no_denominator_is_no_zero() -> None:
    table = crossed("pos")
    row = pick(table, group="tone=dark", metric="false_positive_rate")
    assert (row["status"], row["n"]) == ("undefined", 0)
    assert row[["value", "rest", "difference", "low", "high", "p", "p_adjusted"]].isna().all()
    row = pick(table, group="tone=light", metric="false_positive_rate")
    assert row["status"] == "undefined"


def test_a_conjunction_equal_to_its_parent_is_left_out() -> None:
    rows = repeated(
        {("pos", "pos", "dark", "yes"): 20, ("pos", "neg", "light", "yes"): 20, ("pos", "pos", "light", "no"): 20}
    )
    images, predictions = tables(rows, NAMES)
    groups = set(lattice_table(images, predictions, CLASSES, None, NAMES)["group"])
    # All dark are marked, and all unmarked are light.
    assert groups == {"tone=dark", "tone=light", "marker=yes", "marker=no", "tone=light & marker=yes"}


def test_an_attribute_with_one_group_says_nothing() -> None:
    images, predictions = tables(repeated({("pos", "pos", "same"): 15, ("pos", "neg", "same"): 15}))
    assert lattice_table(images, predictions, CLASSES, None, ["a"]).empty


def test_small_conjunctions_are_not_searched_and_missing_is_a_group() -> None:
    rows = repeated({("pos", "pos", None): 12, ("pos", "neg", "x"): 9, ("pos", "pos", "y"): 30})
    table = lattice_table(*tables(rows), CLASSES, None, ["a"])
    assert set(table["group"]) == {"a=(missing)", "a=y"}


def test_few_of_everybody_else_gives_no_verdict() -> None:
    rows = repeated({("pos", "pos", "x"): 5, ("pos", "neg", "y"): 30})
    row = pick(lattice_table(*tables(rows), CLASSES, None, ["a"]), group="a=y")
    assert row["status"] == "too_few_clusters"
    assert np.isnan(row["p"])


@pytest.mark.parametrize("cluster_size", [0, 1, 3])
@pytest.mark.parametrize("person_level", [True, False])
def test_agrees_with_the_rates_it_stands_for(cluster_size: int, person_level: bool) -> None:
    images, predictions = random_tables(300, 5, cluster_size=cluster_size)
    if person_level and cluster_size:
        for name in ("a", "b"):
            images[f"attr_{name}"] = images.groupby("cluster")[f"attr_{name}"].transform("first")
    classes = ["x", "y", "z"]
    table = lattice_table(images, predictions, classes, "y", ["a", "b"], min_n=2)
    tensor = count_predictions(images, predictions, classes, ["a", "b"], [["a", "b"]])["m"]
    for metric, of in (("accuracy", None), ("true_positive_rate", "y"), ("false_positive_rate", "y")):
        rates = rate_units(tensor.along("a x b"), METRICS[metric], of)
        for group in rates.groups:
            arms = rates.against_rest(group)
            first, second = group.split(" x ")
            row = pick(table, group=f"a={first} & b={second}", metric=metric)
            low, high = arms.score_intervals(0.05)
            own, rest = ((arms.rate[k], low[k], high[k]) for k in (0, 1))
            pair = (own, rest) if metric == "false_positive_rate" else (rest, own)
            bounds = mover_difference(*pair, arms.correlation[0, 1])
            assert (row["n"], row["clusters"]) == (arms.total[0], arms.clusters[0])
            assert (row["value"], row["rest"]) == pytest.approx(tuple(arms.rate), rel=1e-12)
            assert (row["low"], row["high"]) == pytest.approx(bounds, rel=1e-9)


def test_p_of_repeating_clusters_matches_the_interval() -> None:
    images, predictions = random_tables(240, 1, cluster_size=4)
    table = lattice_table(images, predictions, ["x", "y", "z"], None, ["a", "b"])
    row = table[table["p"].between(1e-6, 0.4)].iloc[0]
    for factor, above in ((1.02, True), (0.98, False)):
        again = lattice_table(images, predictions, ["x", "y", "z"], None, ["a", "b"], alpha=2 * row["p"] * factor)
        assert (pick(again, group=row["group"])["low"] > 0) is np.bool_(above)


@pytest.mark.parametrize("cluster_size", [1, 4])
def test_equal_groups_are_rarely_called(cluster_size: int) -> None:
    rng = np.random.default_rng(2)
    called, small = 0, []
    for _ in range(60):
        people = rng.integers(3, size=(80, 2))
        right = np.where(rng.random(80) < 0.85, "pos", "neg")
        rows = [("pos", right[p], *(f"g{v}" for v in people[p])) for p in range(80) for _ in range(cluster_size)]
        clusters = [f"p{p}" for p in range(80) for _ in range(cluster_size)] if cluster_size > 1 else None
        table = lattice_table(*tables(rows, NAMES, clusters=clusters), CLASSES, None, NAMES, min_n=5)
        called += bool((table["p_adjusted"] < 0.05).any())
        small.append((table["p"] < 0.05).mean())
    assert called <= 6
    assert np.mean(small) <= 0.055


def test_planted_conjunction_leads() -> None:
    rng = np.random.default_rng(0)
    traits = rng.integers(2, size=(1500, 6))
    wrong = rng.random(1500) < np.where(traits[:, 1] & traits[:, 4], 0.4, 0.1)
    rows = [("pos", "neg" if bad else "pos", *(f"v{v}" for v in row)) for bad, row in zip(wrong, traits, strict=True)]
    names = [f"t{place}" for place in range(6)]
    table = lattice_table(*tables(rows, names), CLASSES, None, names)
    best = table.sort_values("p").iloc[0]
    assert best["group"] == "t1=v1 & t4=v1"
    assert best["p_adjusted"] < 1e-6


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([0, 3]))
def test_order_and_names_change_nothing(seed: int, cluster_size: int) -> None:
    images, predictions = random_tables(120, seed, cluster_size=cluster_size)
    classes, names = ["x", "y", "z"], ["a", "b"]
    table = lattice_table(images, predictions, classes, "x", names, min_n=5)
    rng = np.random.default_rng(seed)
    shuffled = images.iloc[rng.permutation(len(images))].copy(), predictions.iloc[rng.permutation(len(images))]
    pd.testing.assert_frame_equal(table, lattice_table(*shuffled, classes, "x", names, min_n=5), rtol=1e-9)
    turned = shuffled[0].assign(attr_a=shuffled[0]["attr_a"].map({"g0": "z9", "g1": "y9", "g2": "x9"}))
    again = lattice_table(turned, shuffled[1], classes, "x", names, min_n=5)
    back = again.assign(group=again["group"].replace({"z9": "g0", "y9": "g1", "x9": "g2"}, regex=True))
    keys = ["group", "metric"]
    first, second = (frame.sort_values(keys).reset_index(drop=True) for frame in (table, back))
    pd.testing.assert_frame_equal(first, second, rtol=1e-7)


def test_many_attributes_are_feasible_in_depth() -> None:
    rng = np.random.default_rng(1)
    names = [f"t{place}" for place in range(8)]
    rows = [
        ("pos", right, *traits)
        for right, traits in zip(
            rng.choice(["pos", "neg"], 400, p=[0.9, 0.1]).tolist(),
            rng.choice(["u", "v"], (400, 8)).tolist(),
            strict=True,
        )
    ]
    table = lattice_table(*tables(rows, names), CLASSES, None, names)
    assert table["depth"].value_counts().to_dict() == {1: 16, 2: 28 * 4, 3: 56 * 8}


def test_nothing_predicted_is_an_empty_table() -> None:
    images, predictions = tables(repeated(CROSSED), NAMES)
    table = lattice_table(images, predictions.assign(status="error"), CLASSES, "pos", NAMES)
    assert list(table.columns) == columns("lattice")
    assert table.empty


@pytest.mark.parametrize(("name", "value", "says"), [("depth", 4, "1 to 3"), ("alpha", 1.0, "below 1")])
def test_settings_out_of_range(name: str, value: float, says: str) -> None:
    with pytest.raises(InputError, match=says):
        crossed(**{name: value})


def test_unknown_names() -> None:
    images, predictions = tables(repeated(CROSSED), NAMES)
    with pytest.raises(InputError, match="Did you mean 'tone'"):
        lattice_table(images, predictions, CLASSES, None, ["tine"])
    with pytest.raises(InputError, match="positive class 'maybe'"):
        lattice_table(images, predictions, CLASSES, "maybe", NAMES)
