"""Tables `curves` and `coverage`: by hand, then point by point against the count tensor."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from audit.fairness import (
    COVERAGE_COLUMNS,
    CURVE_COLUMNS,
    METRICS,
    clopper_pearson,
    count_predictions,
    coverage_table,
    curve_table,
    rate_units,
)
from tests.fairness.tables import CLASSES, pick, random_tables, tables


def scored(rows: list[tuple[str, float, str]], clusters: list[str] | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tables from rows of (label, score of the positive class, group)."""
    images, predictions = tables(
        [(label, "pos" if score >= 0.5 else "neg", group) for label, score, group in rows], clusters=clusters
    )
    predictions["probabilities"] = [[1 - score, score] for _, score, _ in rows]
    return images, predictions


def point(table: pd.DataFrame, metric: str, position: float, group: str = "f") -> pd.Series:
    near = table[np.isclose(table["position"], position)]
    return pick(near, attribute="a", group=group, metric=metric)


def test_threshold_curve_by_hand() -> None:
    images, predictions = scored([("pos", 0.9, "f"), ("pos", 0.3, "f"), ("neg", 0.6, "f"), ("neg", 0.1, "f")])
    table = curve_table(images, predictions, CLASSES, "pos", ["a"])
    assert tuple(table.columns) == CURVE_COLUMNS
    threshold = table[table["kind"] == "threshold"]
    assert set(threshold["class"]) == {"pos"}
    # At .3 three are called positive, both positives among them; a score equal to the threshold counts.
    expected = {"true_positive_rate": (1, 2), "false_positive_rate": (1 / 2, 2), "precision": (2 / 3, 3)}
    for metric, (value, n) in (expected | {"selection_rate": (3 / 4, 4)}).items():
        row = point(threshold, metric, 0.3)
        assert (row["value"], row["n"], row["clusters"], row["status"]) == (pytest.approx(value), n, n, "ok")
        assert (row["low"], row["high"]) == pytest.approx(np.ravel(clopper_pearson(value * n, n)))
    # Above .9 nobody is called positive: no precision, and the other rates are 0.
    assert point(threshold, "true_positive_rate", 0.9)["value"] == 0.5
    assert point(threshold, "selection_rate", 0.91)["value"] == 0
    nobody = point(threshold, "precision", 0.91)
    assert (nobody["n"], nobody["status"]) == (0, "undefined")
    assert math.isnan(nobody["value"])


def test_reliability_by_hand() -> None:
    images, predictions = scored([("pos", 0.91, "f"), ("neg", 0.93, "f"), ("neg", 0.02, "f"), ("pos", 1.0, "m")])
    table = curve_table(images, predictions, CLASSES, None, ["a"])
    assert set(table["kind"]) == {"reliability"}
    assert table["class"].isna().all()
    # Bins of 1/15: .91 and .93 (once right) lie in [13/15, 14/15), .98 for "neg" (right) in the last one.
    row = point(table, "accuracy", 13 / 15)
    assert (row["n"], row["value"], row["x"]) == (2, 0.5, pytest.approx(0.92))
    assert point(table, "accuracy", 14 / 15)["x"] == pytest.approx(0.98)
    assert point(table, "accuracy", 14 / 15, "m")["x"] == 1
    empty = point(table, "accuracy", 0)
    assert (empty["n"], empty["status"]) == (0, "undefined")
    assert len(table[(table["attribute"] == "a") & (table["group"] == "f")]) == 15


@pytest.mark.parametrize("cluster_size", [0, 3])
def test_every_threshold_is_what_the_counts_say(cluster_size: int) -> None:
    images, predictions = random_tables(120, 3, classes=CLASSES, cluster_size=cluster_size)
    score = np.round([values[1] for values in predictions["probabilities"]], 2)
    predictions["probabilities"] = [[1 - value, value] for value in score]
    table = curve_table(images, predictions, CLASSES, "pos", ["a", "b"], [["a", "b"]], alpha=0.1)
    table = table[table["kind"] == "threshold"]
    for threshold in (0.0, 0.03, 0.5, 0.97, 1.0):
        called = predictions.assign(predicted=np.where(score >= threshold, "pos", "neg"))
        tensor = count_predictions(images, called, CLASSES, ["a", "b"], [["a", "b"]])["m"]
        for attribute in ("a", "a x b"):
            here = table[np.isclose(table["position"], threshold) & (table["attribute"] == attribute)]
            for metric, rows in here.groupby("metric"):
                rates = rate_units(tensor.along(attribute), METRICS[str(metric)], "pos")
                low, high = rates.intervals(0.1)
                rows = rows.set_index("group").loc[list(rates.groups)]
                for name, expected in (("value", rates.rate), ("low", low), ("high", high)):
                    assert np.allclose(rows[name], expected, atol=1e-12, equal_nan=True)
                assert (rows["n"].to_numpy() == rates.total).all()
                assert (rows["clusters"].to_numpy() == rates.clusters).all()


def test_reliability_respects_clusters() -> None:
    rows = [("pos", 0.95, "f"), ("neg", 0.95, "f")] * 10
    plain = curve_table(*scored(rows), CLASSES, None, ["a"])
    same = curve_table(*scored(rows, [f"p{place % 2}-{place // 4}" for place in range(20)]), CLASSES, None, ["a"])
    one, two = point(plain, "accuracy", 14 / 15), point(same, "accuracy", 14 / 15)
    assert (one["n"], one["clusters"], two["n"], two["clusters"]) == (20, 20, 20, 10)
    assert two["high"] - two["low"] > one["high"] - one["low"]


def test_without_probabilities_curves_are_not_measured() -> None:
    table = curve_table(*tables([("pos", "pos", "f"), ("neg", "neg", "m")]), CLASSES, "pos", ["a"])
    assert set(table["status"]) == {"not_measured"}
    assert set(table["n"]) == {0}
    assert table["value"].isna().all()


def test_group_whose_images_all_failed_is_not_measured() -> None:
    images, predictions = scored([("pos", 0.9, "f"), ("neg", 0.1, "f"), ("pos", 0.9, "m")])
    images.loc[2, "status"] = "unreadable"
    table = curve_table(images, predictions, CLASSES, "pos", ["a"])
    assert set(table[table["group"] == "m"]["status"]) == {"not_measured"}


def test_coverage_by_hand() -> None:
    rows = [("pos", "", "f"), ("pos", "", "f"), ("neg", "", "f"), ("neg", "", None), ("neg", "", "m")]
    images, _ = tables(rows, clusters=["p", "p", "q", None, "q"])
    images.loc[[1, 3], "status"] = "unreadable"
    table = coverage_table(images, ["a"])
    assert tuple(table.columns) == COVERAGE_COLUMNS
    found = {
        (row.attribute, row.group, row.label if isinstance(row.label, str) else None): (
            row.images,
            row.failed,
            row.clusters,
        )
        for row in table.itertuples()
    }
    assert found == {
        ("overall", "all", None): (5, 2, 3),
        ("overall", "all", "neg"): (3, 1, 2),
        ("overall", "all", "pos"): (2, 1, 1),
        ("a", "f", None): (3, 1, 2),
        ("a", "f", "neg"): (1, 0, 1),
        ("a", "f", "pos"): (2, 1, 1),
        ("a", "m", None): (1, 0, 1),
        ("a", "m", "neg"): (1, 0, 1),
        ("a", "m", "pos"): (0, 0, 0),
        ("a", "(missing)", None): (1, 1, 1),
        ("a", "(missing)", "neg"): (1, 1, 1),
        ("a", "(missing)", "pos"): (0, 0, 0),
    }


def test_coverage_of_intersections_adds_up() -> None:
    images, _ = random_tables(200, 5, cluster_size=3)
    table = coverage_table(images, ["a", "b"], [["a", "b"]])
    for attribute in ("a", "b", "a x b"):
        part = table[(table["attribute"] == attribute) & table["label"].isna()]
        assert part["images"].sum() == 200
        labels = table[(table["attribute"] == attribute) & table["label"].notna()]
        assert labels.groupby("group")["images"].sum().sum() == 200
    assert set(table[table["attribute"] == "a x b"]["group"]) == {f"g{g} x h{h}" for g in range(3) for h in range(2)}
