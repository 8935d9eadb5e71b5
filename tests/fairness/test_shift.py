"""Overall figures under another mix of groups: by hand, against weighted scikit-learn, intervals, statuses."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, recall_score

from audit.errors import InputError
from audit.fairness import shift_table, wilson
from audit.fairness.shift import SHIFT_COLUMNS
from audit.run.tables import write_table
from tests.fairness.tables import CLASSES, pick, random_tables, repeated, tables

COUNTS = {
    ("pos", "pos", "g"): 9,
    ("pos", "neg", "g"): 1,
    ("neg", "neg", "g"): 8,
    ("neg", "pos", "g"): 2,
    ("pos", "pos", "h"): 12,
    ("pos", "neg", "h"): 8,
    ("neg", "neg", "h"): 40,
}


def shifted(counts: dict[tuple[str, str, str], int], **more: object) -> pd.DataFrame:
    return shift_table(*tables(repeated(counts)), CLASSES, "pos", ["a"], **more)


def test_by_hand() -> None:
    table = shifted(COUNTS, population={"a": {"g": 0.75, "h": 0.25}})
    assert tuple(table.columns) == SHIFT_COLUMNS
    assert table["scenario"].unique().tolist() == [
        "equal shares",
        "stated population",
        "g up by 10 points",
        "h up by 10 points",
    ]
    accuracy = {"g": 17 / 20, "h": 52 / 60}
    row = pick(table, scenario="equal shares", metric="accuracy")
    assert row["observed"] == pytest.approx(69 / 80)
    assert row["value"] == pytest.approx(sum(accuracy.values()) / 2)
    # Shares are .25 and .75, so g goes to .35 and h to .65.
    row = pick(table, scenario="g up by 10 points", metric="accuracy")
    assert row["value"] == pytest.approx(0.35 * accuracy["g"] + 0.65 * accuracy["h"])
    # Half of g's images are positive and a third of h's: of 100 images at 75 to 25, 37.5 and 8.33.
    row = pick(table, scenario="stated population", metric="true_positive_rate")
    assert row["value"] == pytest.approx((37.5 * 0.9 + 25 / 3 * 0.6) / (37.5 + 25 / 3))
    row = pick(table, scenario="stated population", metric="selection_rate")
    assert row["value"] == pytest.approx(0.75 * 11 / 20 + 0.25 * 12 / 60)


@pytest.mark.parametrize("cluster_size", [0, 4])
def test_agrees_with_weighted_scikit_learn(cluster_size: int) -> None:
    images, predictions = random_tables(300, 5, groups=3, cluster_size=cluster_size)
    stated = {"g0": 0.5, "g1": 0.2, "g2": 0.3}
    table = shift_table(images, predictions, ["x", "y", "z"], "y", ["a"], {"a": stated})
    share = images["attr_a"].value_counts(normalize=True)
    weight = images["attr_a"].map(lambda group: stated[group] / share[group])
    truth, predicted = images["label"] == "y", predictions["predicted"] == "y"
    expected = {
        "accuracy": accuracy_score(images["label"], predictions["predicted"], sample_weight=weight),
        "true_positive_rate": recall_score(truth, predicted, sample_weight=weight),
        "false_positive_rate": 1 - recall_score(~truth, ~predicted, sample_weight=weight),
        "selection_rate": np.average(predicted, weights=weight),
    }
    for metric, value in expected.items():
        row = pick(table, scenario="stated population", metric=metric)
        assert row["value"] == pytest.approx(value, abs=1e-12)
        assert row["low"] < value < row["high"]


def test_the_mix_as_it_is_changes_nothing() -> None:
    images, predictions = random_tables(200, 3)
    mix = images["attr_a"].value_counts(normalize=True).to_dict()
    table = shift_table(images, predictions, ["x", "y", "z"], "x", ["a"], {"a": mix})
    same = table[table["scenario"] == "stated population"]
    assert np.allclose(same["value"], same["observed"], atol=1e-12)


def test_interval_of_one_group_is_its_own() -> None:
    row = pick(shifted(COUNTS, population={"a": {"g": 1}}), scenario="stated population", metric="accuracy")
    assert (row["low"], row["high"]) == pytest.approx([float(bound) for bound in wilson(17, 20)], abs=1e-12)


def test_interval_joins_those_of_the_groups() -> None:
    row = pick(shifted(COUNTS), scenario="equal shares", metric="accuracy")
    low, high = wilson([17, 52], [20, 60])
    rates = np.array([17 / 20, 52 / 60])
    assert row["low"] == pytest.approx(rates.mean() - np.sqrt(((rates - low) ** 2).sum()) / 2)
    assert row["high"] == pytest.approx(rates.mean() + np.sqrt(((high - rates) ** 2).sum()) / 2)


def test_clusters_widen_the_interval() -> None:
    images, predictions = tables(repeated(COUNTS))
    plain = shift_table(images, predictions, CLASSES, "pos", ["a"])
    images["cluster"] = [f"{group}-{place // 5}" for place, group in enumerate(images["attr_a"])]
    clustered = shift_table(images, predictions, CLASSES, "pos", ["a"])
    one, other = (pick(table, scenario="equal shares", metric="accuracy") for table in (plain, clustered))
    assert other["value"] == one["value"]
    assert other["high"] - other["low"] > 1.2 * (one["high"] - one["low"])


def test_covers_under_clusters_that_span_groups() -> None:
    rng = np.random.default_rng(4)
    inside = 0
    for _ in range(200):
        person = np.repeat(np.arange(60), 4)
        group = np.where(rng.random(240) < 0.3, "g", "h")
        luck = np.where(np.repeat(rng.random(60) < 0.5, 4), np.repeat(rng.random(60), 4), rng.random(240))
        right = luck < np.where(group == "g", 0.7, 0.9)
        rows = [("pos", "pos" if hit else "neg", name) for hit, name in zip(right, group, strict=True)]
        table = shift_table(*tables(rows, clusters=[f"p{k}" for k in person]), CLASSES, None, ["a"])
        row = pick(table, scenario="equal shares", metric="accuracy")
        inside += row["low"] <= 0.8 <= row["high"]
    assert inside >= 184


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9)), min_size=2, max_size=4))
@settings(deadline=None)
def test_value_lies_between_the_groups(groups: list[tuple[int, int]]) -> None:
    counts = {}
    for place, (right, wrong) in enumerate(groups):
        counts |= {("pos", "pos", f"g{place}"): right, ("pos", "neg", f"g{place}"): wrong}
    table = shifted(counts)
    rates = [right / (right + wrong) for right, wrong in groups]
    known = table[(table["status"] == "ok") & (table["metric"] == "accuracy")]
    assert (known["value"] >= min(rates) - 1e-12).all()
    assert (known["value"] <= max(rates) + 1e-12).all()
    assert ((known["low"] <= known["value"]) & (known["value"] <= known["high"])).all()
    raised = known[known["scenario"] == "g0 up by 10 points"]
    moved = (raised["value"] - raised["observed"]) * (rates[0] - raised["observed"])
    assert (moved >= -1e-12).all()


def test_why_there_is_no_value() -> None:
    counts = {("pos", "pos", "g"): 95, ("neg", "neg", "h"): 5}
    table = shifted(counts, population={"a": {"g": 0.5, "elsewhere": 0.5}})
    for scenario, metric, status in (
        ("stated population", "accuracy", "not_measured"),  # no image of that group
        ("equal shares", "true_positive_rate", "undefined"),  # no positive image of h
        ("g up by 10 points", "accuracy", "undefined"),  # 95 % and ten points more
    ):
        row = pick(table, scenario=scenario, metric=metric)
        assert row["status"] == status
        assert row[["value", "low", "high"]].isna().all()
    assert pick(table, scenario="equal shares", metric="accuracy")["value"] == 1


def test_one_group_cannot_be_mixed() -> None:
    assert shifted({("pos", "pos", "g"): 5}).empty


def test_one_person_has_no_interval() -> None:
    images, predictions = tables(repeated(COUNTS))
    images["cluster"] = ["one" if group == "g" else f"c{k}" for k, group in enumerate(images["attr_a"])]
    row = pick(shift_table(images, predictions, CLASSES, "pos", ["a"]), scenario="equal shares", metric="accuracy")
    assert row["status"] == "too_few_clusters"
    assert not math.isnan(row["value"])


def test_images_without_a_group_keep_their_share() -> None:
    images, predictions = tables(repeated({**COUNTS, ("pos", "pos", "gone"): 20}))
    images["attr_a"] = images["attr_a"].where(images["attr_a"] != "gone")
    row = pick(shift_table(images, predictions, CLASSES, "pos", ["a"]), scenario="equal shares", metric="accuracy")
    assert row["value"] == pytest.approx(0.2 + 0.4 * 17 / 20 + 0.4 * 52 / 60)


@pytest.mark.parametrize(
    ("population", "message"),
    [
        ({"b": {"g": 1.0}}, "population names attribute 'b', allowed"),
        ({"a": {"g": 0.5, "h": 0.4}}, "add up to 0.9, allowed: 1"),
        ({"a": {"g": 1.5, "h": -0.5}}, "the share 1.5, allowed: 0 to 1"),
    ],
)
def test_bad_populations(population: dict[str, dict[str, float]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        shifted(COUNTS, population=population)


def test_the_table_can_be_stored(tmp_path: Path) -> None:
    write_table(tmp_path, "shift", shifted(COUNTS))
