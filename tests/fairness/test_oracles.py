"""Outside oracles, where both sides are defined: scikit-learn, statsmodels, scipy, fairlearn, torchmetrics.

Point values agree to 1e-12. What the oracles get wrong is in `test_traps`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn import metrics as sk
from statsmodels.stats.proportion import proportion_confint

from audit.fairness import METRICS, count_predictions, gap_table, group_table, rate_units, smooth_units
from audit.fairness.scores import Members, mean_scores
from tests.fairness.tables import CLASSES, pick, random_tables

EXACT = 1e-12
MANY = ("v", "w", "x", "y", "z", "zz", "zzz")


def by_group(images: pd.DataFrame, predictions: pd.DataFrame, group: str) -> tuple[Any, Any, Any]:
    rows = (images["attr_a"] == group).to_numpy()
    scores = np.stack(predictions["probabilities"][rows].tolist())
    return images["label"][rows].to_numpy(), predictions["predicted"][rows].to_numpy(), scores


@pytest.mark.parametrize("cluster_size", [0, 3])
@pytest.mark.parametrize("classes", [("x", "y"), MANY])
def test_group_values_are_those_of_scikit_learn(classes: tuple[str, ...], cluster_size: int) -> None:
    images, predictions = random_tables(900, 7, classes=classes, cluster_size=cluster_size)
    table = group_table(images, predictions, classes, None, ["a"])
    table = table[table["attribute"] == "a"]
    labels = list(classes)
    for group in ("g0", "g1", "g2"):
        truth, given, scores = by_group(images, predictions, group)
        share = images["label"].value_counts(normalize=True)
        weight = pd.Series(truth).map(share / pd.Series(truth).value_counts(normalize=True))
        expected = {
            "accuracy": sk.accuracy_score(truth, given),
            "balanced_accuracy": sk.balanced_accuracy_score(truth, given),
            "standardised_accuracy": sk.accuracy_score(truth, given, sample_weight=weight),
            "macro_precision": sk.precision_score(truth, given, average="macro"),
            "macro_f1": sk.f1_score(truth, given, average="macro"),
            "log_loss": sk.log_loss(truth, scores, labels=labels),
            "brier": sk.brier_score_loss(truth, scores, labels=labels) / (2 if len(classes) == 2 else 1),
        }
        if len(classes) == 2:
            expected["brier"] = sk.brier_score_loss(truth, scores[:, 1], pos_label=labels[1])
        for k in (3, 5):
            if len(classes) > k:
                expected[f"top_{k}_accuracy"] = sk.top_k_accuracy_score(truth, scores, k=k, labels=labels)
        found = table[(table["group"] == group) & table["class"].isna()].set_index("metric")["value"]
        for metric, value in expected.items():
            assert found[metric] == pytest.approx(value, abs=EXACT), metric
        parts = sk.precision_recall_fscore_support(truth, given, labels=labels)
        for place, name in enumerate(classes):
            of_class = table[(table["group"] == group) & (table["class"] == name)].set_index("metric")
            tn, fp, fn, tp = sk.confusion_matrix(truth == name, given == name).ravel()
            for metric, value, n in (
                ("precision", parts[0][place], tp + fp),
                ("true_positive_rate", parts[1][place], tp + fn),
                ("f1", parts[2][place], tp + fp + fn),
                ("false_positive_rate", fp / (fp + tn), fp + tn),
                ("true_negative_rate", tn / (fp + tn), fp + tn),
                ("false_negative_rate", fn / (fn + tp), fn + tp),
                ("selection_rate", (tp + fp) / len(truth), len(truth)),
                ("auc", sk.roc_auc_score(truth == name, scores[:, place]), len(truth)),
            ):
                assert of_class.loc[metric, "value"] == pytest.approx(value, abs=EXACT), metric
                assert of_class.loc[metric, "n"] == n


def test_top_k_is_tabulated_only_for_more_classes_than_k() -> None:
    tops = {}
    for classes in (("x", "y", "z"), ("w", "x", "y", "z"), MANY):
        table = group_table(*random_tables(60, 1, classes=classes), classes, None, ["a"])
        tops[len(classes)] = {metric for metric in table["metric"] if metric.startswith("top_")}
    assert tops == {3: set(), 4: {"top_3_accuracy"}, 7: {"top_3_accuracy", "top_5_accuracy"}}


def test_rate_intervals_are_those_of_statsmodels() -> None:
    images, predictions = random_tables(300, 5)
    table = group_table(images, predictions, ["x", "y", "z"], None, ["a"], alpha=0.1)
    rows = table[(table["method"] == "clopper_pearson") & (table["metric"] != "f1")]
    count = (rows["value"] * rows["n"]).round()
    low, high = proportion_confint(count, rows["n"], 0.1, "beta")
    assert np.allclose(rows["low"], low, atol=EXACT)
    assert np.allclose(rows["high"], high, atol=EXACT)
    assert len(rows) == 4 * 19 == 4 * (1 + 3 * 6)


def test_interval_of_f1_is_the_exact_one_of_jaccard_carried_over() -> None:
    images, predictions = random_tables(200, 5)
    table = group_table(images, predictions, ["x", "y", "z"], None, ["a"])
    for group in ("g0", "g1"):
        truth, given, _ = by_group(images, predictions, group)
        jaccard = sk.jaccard_score(truth == "x", given == "x")
        row = pick(table, attribute="a", group=group, metric="f1", **{"class": "x"})
        low, high = proportion_confint(round(jaccard * row["n"]), row["n"], 0.05, "beta")
        assert (row["low"], row["high"]) == pytest.approx((2 * low / (1 + low), 2 * high / (1 + high)), abs=EXACT)


def test_variance_between_clusters_is_that_of_statsmodels() -> None:
    import statsmodels.api as sm

    images, predictions = random_tables(240, 9, cluster_size=4)
    tensor = count_predictions(images, predictions, ["x", "y", "z"], ["a"])["m"]
    rates = rate_units(tensor.along("overall"), METRICS["accuracy"])
    correct = (images["label"] == predictions["predicted"]).to_numpy(float)
    code = pd.factorize(images["cluster"])[0]
    fit = sm.OLS(correct, np.ones(240)).fit(cov_type="cluster", cov_kwds={"groups": code}, use_t=True)
    assert rates.variance[0] == pytest.approx(float(fit.cov_params()[0, 0]), rel=1e-10)
    found = mean_scores(correct, Members.of(np.zeros(240, int), code, 1), 0.05, (-math.inf, math.inf))
    assert (found.low[0], found.high[0]) == pytest.approx(tuple(fit.conf_int()[0]), rel=1e-10)


WEIGHTED: dict[str, Callable[..., float]] = {
    "balanced_accuracy": lambda t, p, w: float(sk.balanced_accuracy_score(t, p, sample_weight=w)),
    "f1": lambda t, p, w: float(sk.f1_score(t == "x", p == "x", sample_weight=w)),
    "macro_precision": lambda t, p, w: float(sk.precision_score(t, p, average="macro", sample_weight=w)),
    "macro_f1": lambda t, p, w: float(sk.f1_score(t, p, average="macro", sample_weight=w)),
    "standardised_accuracy": lambda t, p, w: sum(
        share * float(sk.recall_score(t == name, p == name, sample_weight=w))
        for name, share in (("x", 0.5), ("y", 0.3), ("z", 0.2))
    ),
}


@pytest.mark.parametrize("metric", list(WEIGHTED))
@pytest.mark.parametrize("cluster_size", [0, 3])
def test_variance_is_the_infinitesimal_jackknife(metric: str, cluster_size: int) -> None:
    """The influence of a cluster is how the weighted metric of scikit-learn moves with its weight."""
    images, predictions = random_tables(60, 4, groups=1, cluster_size=cluster_size)
    cells = count_predictions(images, predictions, ["x", "y", "z"], ["a"])["m"].along("overall")
    mix = {"x": 0.5, "y": 0.3, "z": 0.2} if metric == "standardised_accuracy" else None
    found = smooth_units(cells, METRICS[metric], "x" if metric == "f1" else None, mix)
    truth, given, _ = by_group(images, predictions, "g0")
    unit = np.arange(60) // max(cluster_size, 1)
    slopes = []
    for cluster in range(unit.max() + 1):
        moved = [WEIGHTED[metric](truth, given, 1 + step * (unit == cluster)) for step in (1e-5, -1e-5)]
        slopes.append((moved[0] - moved[1]) / 2e-5)
    m = int(found.clusters[0])  # F1 counts only the clusters with an image of the class or called so
    factor = m / (m - 1) if cluster_size else 1.0
    assert found.variance[0] == pytest.approx(factor * float(np.square(slopes).sum()), rel=1e-6)


def test_shared_clusters_correlate_groups_as_the_sandwich_says() -> None:
    images, predictions = random_tables(150, 6, groups=2, cluster_size=5)
    cells = count_predictions(images, predictions, ["x", "y", "z"], ["a"])["m"].along("a")
    found = smooth_units(cells, METRICS["balanced_accuracy"])
    unit = np.arange(150) // 5
    slopes = np.zeros((30, 2))
    for place, group in enumerate(("g0", "g1")):
        rows = (images["attr_a"] == group).to_numpy()
        truth, given = images["label"][rows].to_numpy(), predictions["predicted"][rows].to_numpy()
        for cluster in range(30):
            weight = 1e-5 * (unit[rows] == cluster)
            up, down = (sk.balanced_accuracy_score(truth, given, sample_weight=1 + s * weight) for s in (1, -1))
            slopes[cluster, place] = (up - down) / 2e-5
    assert found.mixed
    assert found.correlation[0, 1] == pytest.approx(
        float(slopes[:, 0] @ slopes[:, 1]) / math.sqrt(float(np.prod((slopes**2).sum(axis=0)))), abs=1e-6
    )


def test_gaps_are_those_of_fairlearn_where_every_group_has_every_class() -> None:
    from fairlearn import metrics as fl

    images, predictions = random_tables(500, 8, classes=CLASSES)
    table = gap_table(images, predictions, CLASSES, "pos", ["a"], draws=9)
    truth, given = (frame == "pos" for frame in (images["label"], predictions["predicted"]))
    kept = {"sensitive_features": images["attr_a"]}

    def value(metric: str, compare: str) -> float:
        return float(pick(table, metric=metric, compare=compare)["value"])

    assert value("selection_rate", "range") == pytest.approx(
        fl.demographic_parity_difference(truth, given, **kept), abs=EXACT
    )
    assert value("selection_rate", "ratio") == pytest.approx(
        fl.demographic_parity_ratio(truth, given, **kept), abs=EXACT
    )
    assert value("true_positive_rate", "range") == pytest.approx(
        fl.equal_opportunity_difference(truth, given, **kept), abs=EXACT
    )
    for compare, aggregate in (("max", "worst_case"), ("mean", "mean")):
        assert value("equalised_odds", compare) == pytest.approx(
            fl.equalized_odds_difference(truth, given, agg=aggregate, **kept), abs=EXACT
        )
    frame = fl.MetricFrame(metrics=sk.accuracy_score, y_true=truth, y_pred=given, **kept)
    assert value("accuracy", "range") == pytest.approx(frame.difference(), abs=EXACT)


@pytest.mark.torch
def test_calibration_error_and_top_k_are_those_of_torchmetrics() -> None:
    torch = pytest.importorskip("torch")
    functional = pytest.importorskip("torchmetrics.functional.classification")
    inner = pytest.importorskip("torchmetrics.functional.classification.calibration_error")
    edges = torch.linspace(0, 1, 16, dtype=torch.float64)
    images, predictions = random_tables(600, 3, classes=MANY)
    table = group_table(images, predictions, MANY, None, ["a"])
    for group in ("g0", "g1", "g2"):
        truth, _, scores = by_group(images, predictions, group)
        arguments = (torch.tensor(scores, dtype=torch.float64), torch.tensor([MANY.index(name) for name in truth]))
        ece = pick(table, attribute="a", group=group, metric="ece")["value"]
        # The public function rounds to single precision; what it computes is compared in double.
        error = functional.multiclass_calibration_error(*arguments, num_classes=7, n_bins=15, norm="l1")
        assert ece == pytest.approx(float(error), abs=1e-6)
        confidence, best = arguments[0].max(dim=1)
        exact = inner._ce_compute(confidence, (best == arguments[1]).double(), edges, norm="l1")
        assert ece == pytest.approx(float(exact), abs=EXACT)
        top = functional.multiclass_accuracy(*arguments, num_classes=7, average="micro", top_k=3)
        found = pick(table, attribute="a", group=group, metric="top_3_accuracy")["value"]
        assert found == pytest.approx(float(top), abs=1e-6)


def test_mann_whitney_of_scipy_is_the_area() -> None:
    images, predictions = random_tables(200, 2, classes=CLASSES)
    row = pick(
        group_table(images, predictions, CLASSES, None, ["a"]), attribute="overall", metric="auc", **{"class": "pos"}
    )
    scores = np.stack(predictions["probabilities"].tolist())[:, 1]
    positive = (images["label"] == "pos").to_numpy()
    statistic = stats.mannwhitneyu(scores[positive], scores[~positive]).statistic
    assert row["value"] == pytest.approx(statistic / positive.sum() / (~positive).sum(), abs=EXACT)
