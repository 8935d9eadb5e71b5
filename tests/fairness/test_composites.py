"""Equalised and average odds: by hand, against fairlearn, and where a group has no images of one kind."""

from __future__ import annotations

import numpy as np
import pytest
from fairlearn.metrics import equalized_odds_difference

from audit.errors import InputError
from audit.fairness import COMPARABLE, Permutations, Question, count_predictions, gap_table, measure
from audit.fairness.intervals import mover_difference, newcombe
from tests.fairness.tables import CLASSES, pick, random_tables, repeated, tables

# Group u: TPR 36/40, FPR 10/50. Group v: TPR 20/40, FPR 5/50.
COUNTS = {
    ("pos", "pos", "u"): 36,
    ("pos", "neg", "u"): 4,
    ("neg", "pos", "u"): 10,
    ("neg", "neg", "u"): 40,
    ("pos", "pos", "v"): 20,
    ("pos", "neg", "v"): 20,
    ("neg", "pos", "v"): 5,
    ("neg", "neg", "v"): 45,
}


def found(metric: str, kind: str = "range", counts: dict[tuple[str, str, str], int] | None = None):
    tensor = count_predictions(*tables(repeated(counts or COUNTS)), CLASSES, ["a"])["m"]
    return measure(tensor, "a", (metric, "pos"), Question(kind, "higher"), Permutations(199))


def test_equalised_odds_by_hand() -> None:
    largest, mean = found("equalised_odds"), found("equalised_odds", "mean")
    assert largest.value == pytest.approx(36 / 40 - 20 / 40)
    assert mean.value == pytest.approx((0.4 + 0.1) / 2)
    assert (largest.group, largest.reference) == ("v", "u")
    # Two contrasts, independent: each at the level 1 - sqrt(.95), the larger lower bound counts.
    alone = newcombe(36, 40, 20, 40, 1 - np.sqrt(0.95))
    assert np.allclose(largest.interval(0.05), np.ravel(alone), atol=0.006)
    assert mean.interval(0.05)[0] < mean.value < mean.interval(0.05)[1]


def test_average_odds_by_hand() -> None:
    made = found("average_odds")
    assert made.value == pytest.approx((0.4 + 0.1) / 2)
    tpr = np.ravel(newcombe(36, 40, 20, 40)) / 2
    fpr = np.ravel(newcombe(10, 50, 5, 50)) / 2
    # A sum of independent differences: MOVER once more.
    low, _ = mover_difference((0.2, *tpr), (-0.05, -fpr[1], -fpr[0]))
    assert made.interval(0.05)[0] == pytest.approx(float(low), abs=1e-12)
    assert 0 < made.p < 0.01


@pytest.mark.parametrize("seed", range(3))
def test_values_are_those_of_fairlearn(seed: int) -> None:
    images, predictions = random_tables(400, seed, classes=CLASSES, groups=4)
    table = gap_table(images, predictions, CLASSES, "pos", ["a"], draws=9)
    truth, called = images["label"].eq("pos"), predictions["predicted"].eq("pos")
    for how, agg in (("max", "worst_case"), ("mean", "mean")):
        expected = equalized_odds_difference(truth, called, sensitive_features=images["attr_a"], agg=agg)
        assert pick(table, metric="equalised_odds", compare=how)["value"] == pytest.approx(expected, abs=1e-12)


def test_a_group_without_positives_does_not_take_part() -> None:
    # fairlearn gives it TPR 0, so that a perfect classifier scores an equalised odds difference of 1.
    perfect = {("pos", "pos", "u"): 20, ("neg", "neg", "u"): 20, ("pos", "pos", "v"): 20, ("neg", "neg", "v"): 20}
    made = found("equalised_odds", counts={**perfect, ("neg", "neg", "w"): 20})
    assert (made.value, made.excluded) == (0.0, (("w", 0),))
    alone = found("equalised_odds", counts={("pos", "pos", "u"): 20, ("neg", "neg", "u"): 20, ("neg", "neg", "w"): 20})
    assert (alone.status, alone.group) == ("undefined", None)


def test_other_comparisons_are_refused() -> None:
    with pytest.raises(InputError, match="compare is 'floor' for metric 'equalised_odds', allowed: range"):
        found("equalised_odds", "floor")
    with pytest.raises(InputError, match="for equalised_odds only"):
        found("true_positive_rate", "mean")
    with pytest.raises(InputError, match="has no interval of differences"):
        found("auc")


@pytest.mark.parametrize("metric", COMPARABLE)
@pytest.mark.parametrize("size", [0, 3])
def test_every_comparable_metric_has_value_interval_and_p(metric: str, size: int) -> None:
    images, predictions = random_tables(300, 1, cluster_size=size)
    tensor = count_predictions(images, predictions, ["x", "y", "z"], ["a"])["m"]
    made = measure(tensor, "a", (metric, "x"), Question("range", "higher"), Permutations(99))
    low, high = made.interval(0.05)
    assert made.status == "ok"
    assert 0 <= low <= made.value <= high <= 1
    assert 0 < made.p <= 1
    assert len(made.sides) == 2


def test_clusters_widen_the_interval() -> None:
    rows = repeated(COUNTS)
    people = [f"p{place // 4}" for place in range(len(rows))]
    together = count_predictions(*tables(rows, clusters=people), CLASSES, ["a"])["m"]
    for metric in ("equalised_odds", "average_odds", "balanced_accuracy"):
        question = Question("range", "higher", 5)
        wide = measure(together, "a", (metric, "pos"), question).interval(0.05)
        narrow = found(metric).interval(0.05)
        assert wide[0] < narrow[0]


def test_p_of_equalised_odds_is_that_of_its_two_rates() -> None:
    images, predictions = random_tables(300, 4, classes=CLASSES)
    table = gap_table(images, predictions, CLASSES, "pos", ["a"], draws=199)
    alone = [pick(table, metric=name, compare="range")["p"] for name in ("true_positive_rate", "false_positive_rate")]
    assert pick(table, metric="equalised_odds", compare="max")["p"] == pytest.approx(min(1, 2 * min(alone)))
