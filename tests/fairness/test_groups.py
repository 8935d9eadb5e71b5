"""Table `groups`: values derived by hand, known traps, then scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as oracle

from audit.errors import InputError
from audit.fairness import GROUP_COLUMNS, METRICS, find_metric, group_table
from audit.fairness.scores import area_under_curve
from tests.fairness.tables import CLASSES, pick, random_tables, repeated, tables

SMALL = {
    ("pos", "pos", "f"): 3,
    ("pos", "neg", "f"): 1,
    ("neg", "pos", "f"): 2,
    ("neg", "neg", "f"): 4,
    ("neg", "neg", "m"): 5,
    ("neg", "pos", "m"): 1,
}


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return group_table(*tables(repeated(SMALL)), CLASSES, "pos", ["a"])


@pytest.mark.parametrize(
    ("metric", "name", "value", "n"),
    [
        ("accuracy", None, 7 / 10, 10),
        ("balanced_accuracy", None, (3 / 4 + 4 / 6) / 2, 10),
        ("true_positive_rate", "pos", 3 / 4, 4),
        ("true_positive_rate", "neg", 4 / 6, 6),
        ("false_positive_rate", "pos", 2 / 6, 6),
        ("false_positive_rate", "neg", 1 / 4, 4),
        ("true_negative_rate", "pos", 4 / 6, 6),
        ("false_negative_rate", "pos", 1 / 4, 4),
        ("precision", "pos", 3 / 5, 5),
        ("precision", "neg", 4 / 5, 5),
        ("f1", "pos", 6 / 9, 6),
        ("selection_rate", "pos", 5 / 10, 10),
    ],
)
def test_by_hand_with_its_own_denominator(
    table: pd.DataFrame, metric: str, name: str | None, value: float, n: int
) -> None:
    row = pick(table, attribute="a", group="f", metric=metric, **{"class": name})
    assert row["value"] == pytest.approx(value)
    assert (row["n"], row["clusters"], row["status"]) == (n, n, "ok")


def test_columns_and_overall_row(table: pd.DataFrame) -> None:
    assert tuple(table.columns) == GROUP_COLUMNS
    row = pick(table, attribute="overall", group="all", metric="accuracy", **{"class": None})
    assert (row["value"], row["n"]) == (12 / 16, 16)


@pytest.mark.parametrize("metric", ["true_positive_rate", "false_negative_rate", "balanced_accuracy"])
def test_group_without_positives_is_undefined_not_zero(table: pd.DataFrame, metric: str) -> None:
    name = "pos" if METRICS[metric].per_class else None
    row = pick(table, attribute="a", group="m", metric=metric, **{"class": name})
    assert math.isnan(row["value"])
    assert math.isnan(row["low"])
    assert (row["n"], row["status"], row["method"]) == (0, "undefined", "none")


def test_f1_of_a_class_that_is_neither_there_nor_called_is_undefined() -> None:
    images, predictions = tables([("neg", "neg", "f")] * 3)
    row = pick(group_table(images, predictions, CLASSES, None, ["a"]), attribute="a", metric="f1", **{"class": "pos"})
    assert (row["n"], row["status"]) == (0, "undefined")


def test_group_whose_images_all_failed_still_appears() -> None:
    images, predictions = tables([("pos", "pos", "f"), ("neg", "neg", "f"), ("neg", "neg", "m")])
    images.loc[2, "status"] = "unreadable"
    table = group_table(images, predictions, CLASSES, "pos", ["a"])
    lost = table[(table["attribute"] == "a") & (table["group"] == "m")]
    assert len(lost) == len(table[(table["attribute"] == "a") & (table["group"] == "f")])
    assert set(lost["n"]) == {0}
    assert set(lost["status"]) == {"not_measured"}
    assert lost["value"].isna().all()


def test_intervals_and_their_method() -> None:
    images, predictions = tables(repeated(SMALL), clusters=None)
    row = pick(group_table(images, predictions, CLASSES, None, ["a"]), attribute="a", group="f", metric="accuracy")
    assert row["method"] == "clopper_pearson"
    assert row["low"] == pytest.approx(stats.beta.ppf(0.025, 7, 4))


def test_clusters_are_counted_and_widen_the_interval() -> None:
    rows = repeated(SMALL)
    plain = group_table(*tables(rows), CLASSES, None, ["a"])
    pairs = group_table(*tables(rows, clusters=[f"p{place // 2}" for place in range(16)]), CLASSES, None, ["a"])
    where = {"attribute": "overall", "metric": "accuracy"}
    one, two = pick(plain, **where), pick(pairs, **where)
    assert (two["n"], two["clusters"], two["method"]) == (16, 8, "korn_graubard")
    assert two["high"] - two["low"] > one["high"] - one["low"]


def test_each_image_its_own_cluster_is_clopper_pearson() -> None:
    rows = repeated(SMALL)
    plain = group_table(*tables(rows), CLASSES, None, ["a"])
    single = group_table(*tables(rows, clusters=[f"p{place}" for place in range(16)]), CLASSES, None, ["a"])
    pd.testing.assert_frame_equal(plain, single)


def test_one_cluster_gives_a_value_without_an_interval() -> None:
    images, predictions = tables(repeated(SMALL), clusters=["p"] * 10 + ["q", "q", "r", "r", "s", "s"])
    row = pick(group_table(images, predictions, CLASSES, None, ["a"]), attribute="a", group="f", metric="accuracy")
    assert (row["value"], row["status"], row["method"]) == (0.7, "too_few_clusters", "none")
    assert math.isnan(row["low"])


@pytest.mark.parametrize("classes", [("x", "y", "z"), ("x", "y")])
@pytest.mark.parametrize("cluster_size", [0, 3])
def test_scikit_learn_agrees(classes: tuple[str, ...], cluster_size: int) -> None:
    images, predictions = random_tables(500, 7, classes=classes, cluster_size=cluster_size)
    table = group_table(images, predictions, classes, None, ["a"])
    for group in ("g0", "g1", "g2"):
        rows = (images["attr_a"] == group).to_numpy()
        truth, given = images["label"][rows].to_numpy(), predictions["predicted"][rows].to_numpy()
        scores = np.stack(predictions["probabilities"][rows].tolist())

        def value(metric: str, name: str | None = None, group: str = group) -> float:
            return float(pick(table, attribute="a", group=group, metric=metric, **{"class": name})["value"])

        assert value("accuracy") == pytest.approx(oracle.accuracy_score(truth, given))
        assert value("balanced_accuracy") == pytest.approx(oracle.balanced_accuracy_score(truth, given))
        assert value("log_loss") == pytest.approx(oracle.log_loss(truth, scores, labels=list(classes)))
        expected = oracle.brier_score_loss(
            truth,
            scores if len(classes) > 2 else scores[:, 1],
            labels=list(classes),
            **({} if len(classes) > 2 else {"pos_label": "y"}),
        )
        assert value("brier") == pytest.approx(expected)
        parts = oracle.precision_recall_fscore_support(truth, given, labels=list(classes))
        for place, name in enumerate(classes):
            assert value("precision", name) == pytest.approx(parts[0][place])
            assert value("true_positive_rate", name) == pytest.approx(parts[1][place])
            assert value("f1", name) == pytest.approx(parts[2][place])
            assert value("auc", name) == pytest.approx(oracle.roc_auc_score(truth == name, scores[:, place]))


def test_calibration_error_by_hand() -> None:
    images, predictions = tables([("pos", "pos", "f"), ("neg", "pos", "f"), ("pos", "pos", "f"), ("neg", "neg", "f")])
    predictions["probabilities"] = [[0.1, 0.9], [0.1, 0.9], [0.3, 0.7], [1.0, 0.0]]
    table = group_table(images, predictions, CLASSES, None, ["a"])
    # Bins of 1/15: .9 twice (once right), .7 once (right), 1 once (right).
    expected = (abs(1.8 - 1) + abs(0.7 - 1) + 0) / 4
    assert pick(table, attribute="a", metric="ece")["value"] == pytest.approx(expected)


def test_without_probabilities_scores_are_not_measured(table: pd.DataFrame) -> None:
    rows = table[table["metric"].isin(["auc", "log_loss", "brier", "ece"])]
    assert set(rows["status"]) == {"not_measured"}
    assert rows["value"].isna().all()


def test_delong_by_hand() -> None:
    scores = np.array([0.9, 0.4, 0.8, 0.5, 0.2])
    positive = np.array([True, True, False, False, False])
    found = area_under_curve(scores, positive, np.arange(5))
    # Placements: positives beat 3 and 1 of 3; negatives are beaten by 1, 1 and 2 of 2.
    assert found.value == pytest.approx(4 / 6)
    variance = np.var([1, 1 / 3], ddof=1) / 2 + np.var([1 / 2, 1 / 2, 1], ddof=1) / 3
    half = 1.959964 * math.sqrt(variance) / (found.value * (1 - found.value))
    centre = math.log(found.value / (1 - found.value))
    assert found.method == "delong"
    assert found.low == pytest.approx(1 / (1 + math.exp(-(centre - half))), abs=1e-6)
    assert found.high == pytest.approx(1 / (1 + math.exp(-(centre + half))), abs=1e-6)


def test_auc_of_doubled_images_keeps_its_interval_under_clusters() -> None:
    rng = np.random.default_rng(0)
    scores, positive = rng.normal(size=60), np.arange(60) % 2 == 0
    once = area_under_curve(scores + positive, positive, np.arange(60))
    twice = area_under_curve(np.tile(scores + positive, 2), np.tile(positive, 2), np.tile(np.arange(60), 2))
    assert twice.method == "obuchowski"
    assert twice.value == pytest.approx(once.value)
    assert twice.high - twice.low == pytest.approx(once.high - once.low, rel=0.1)


def test_auc_of_one_takes_the_exact_bound() -> None:
    found = area_under_curve(np.array([0.9, 0.8, 0.7, 0.2, 0.1]), np.array([1, 1, 1, 0, 0], bool), np.arange(5))
    assert (found.value, found.method, found.high) == (1.0, "exact_pairs", 1.0)
    assert found.low == pytest.approx(0.025 ** (1 / 2))


@settings(max_examples=6, deadline=None)
@given(st.integers(5, 60), st.integers(0, 1000), st.booleans())
def test_relabelling_groups_permutes_rows(n: int, seed: int, clustered: bool) -> None:
    images, predictions = random_tables(n, seed, cluster_size=2 if clustered else 0)
    names = {"g0": "zeta", "g1": "alpha", "g2": "mid"}
    renamed = images.assign(attr_a=images["attr_a"].map(names))
    keys = ["attribute", "group", "metric", "class"]
    first = group_table(images, predictions, ["x", "y", "z"], "x", ["a"])
    second = group_table(renamed, predictions, ["x", "y", "z"], "x", ["a"])
    first = first.assign(group=first["group"].map(lambda name: names.get(name, name)))
    pd.testing.assert_frame_equal(
        first.sort_values(keys, ignore_index=True), second.sort_values(keys, ignore_index=True)
    )


def test_unknown_names_are_refused() -> None:
    images, predictions = tables([("pos", "pos", "f")])
    with pytest.raises(InputError, match=r"positive class 'poss'.*Did you mean 'pos'"):
        group_table(images, predictions, CLASSES, "poss", ["a"])
    with pytest.raises(InputError, match="Did you mean 'accuracy'"):
        find_metric("acuracy")
    with pytest.raises(InputError, match="3 probabilities, allowed: one for each of 2"):
        group_table(images, predictions.assign(probabilities=[[0.1, 0.2, 0.7]]), CLASSES, "pos", ["a"])
