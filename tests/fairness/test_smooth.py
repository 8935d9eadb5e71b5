"""Smooth metrics: intervals by hand at their edges, clusters, and that arms and subsets agree with the whole.

Variances are compared with scikit-learn's weighted metrics in `test_oracles`.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from audit.errors import InputError
from audit.fairness import METRICS, SmoothEstimates, clopper_pearson, count_predictions, smooth_units, wilson
from audit.fairness.rates import GroupRates
from audit.fairness.smooth import SMOOTH
from tests.fairness.tables import CLASSES, random_tables, repeated, tables


def estimates(
    counts: dict[tuple[str, ...], int], metric: str = "balanced_accuracy", clusters: list[str] | None = None
) -> SmoothEstimates:
    images, predictions = tables(repeated(counts), clusters=clusters)
    cells = count_predictions(images, predictions, CLASSES, ["a"])["m"].along("a")
    return smooth_units(cells, METRICS[metric], "pos" if metric == "f1" else None)


SMALL = {("pos", "pos", "f"): 3, ("pos", "neg", "f"): 1, ("neg", "pos", "f"): 2, ("neg", "neg", "f"): 4}


def test_variance_and_interval_by_hand() -> None:
    found = estimates(SMALL)
    value, variance = (3 / 4 + 4 / 6) / 2, (3 / 16 / 4 + 2 / 9 / 6) / 4
    assert (found.value[0], found.variance[0]) == pytest.approx((value, variance))
    # Four and six images with weights of a half are worth 1 / (1/16 + 1/24) = 9.6.
    assert found.size[0] == pytest.approx(9.6)
    assert value * (1 - value) / variance > 9.6
    assert np.allclose(np.ravel(found.intervals()), np.ravel(clopper_pearson(9.6 * value, 9.6)))
    assert np.allclose(np.ravel(found.score_intervals()), np.ravel(wilson(9.6 * value, 9.6)))


def test_a_small_class_without_errors_buys_no_certainty() -> None:
    found = estimates({("pos", "pos", "f"): 3, ("neg", "neg", "f"): 180, ("neg", "pos", "f"): 20})
    # Linearised, only the 200 images of "neg" vary: .09 / 200 / 4; but a half rests on three images.
    assert found.variance[0] == pytest.approx(0.09 / 800)
    assert found.effective_size()[0] == pytest.approx(1 / (1 / 12 + 1 / 800))
    assert found.intervals()[0][0] < 0.7


def test_all_right_is_the_exact_bound_at_the_effective_size() -> None:
    found = estimates({("pos", "pos", "f"): 5, ("neg", "neg", "f"): 20})
    size = 1 / (1 / 20 + 1 / 80)
    assert (found.value[0], found.variance[0]) == (1, 0)
    assert (found.intervals()[0][0], found.intervals()[1][0]) == pytest.approx((0.025 ** (1 / size), 1))


def test_all_right_counts_clusters() -> None:
    clusters = [f"p{place // 2}" for place in range(4)] + [f"q{place // 4}" for place in range(12)]
    found = estimates({("pos", "pos", "f"): 4, ("neg", "neg", "f"): 12}, clusters=clusters)
    size = 1 / (1 / (4 * 2) + 1 / (4 * 3))
    assert (found.total[0], found.clusters[0]) == (16, 5)
    assert found.intervals()[0][0] == pytest.approx(0.025 ** (1 / size))


def test_clusters_shrink_the_effective_size_as_korn_and_graubard_do() -> None:
    # Five people with two images of "pos", five with two of "neg"; one person of each is wrong throughout.
    counts = {("pos", "pos", "f"): 8, ("pos", "neg", "f"): 2, ("neg", "neg", "f"): 8, ("neg", "pos", "f"): 2}
    found = estimates(counts, clusters=[f"p{place // 2}" for place in range(20)])
    # Influence of a person, twice (1 or 0 minus .8) over ten, times a half: .02, and -.08 of those who are wrong.
    variance = 10 / 9 * (8 * 0.02**2 + 2 * 0.08**2)
    shrink = (stats.t.ppf(0.975, 19) / stats.t.ppf(0.975, 9)) ** 2
    assert found.variance[0] == pytest.approx(variance)
    assert found.dependent.tolist() == [True]
    # Two people are wrong; a third, whose two images go together, is added to them.
    effect = 20 * variance / 0.16
    assert found.telling.tolist() == [2]
    assert found.effective_size()[0] == pytest.approx(20 * 3 / (2 * effect + max(effect, 2)) * shrink)


def test_f1_under_clusters_is_the_interval_of_the_share_carried_over() -> None:
    images, predictions = random_tables(150, 3, classes=CLASSES, cluster_size=3)
    cells = count_predictions(images, predictions, CLASSES, ["a"])["m"].along("a")
    found = smooth_units(cells, METRICS["f1"], "pos")
    parts = cells.binary(1)
    touched = parts["tp"] + parts["fp"] + parts["fn"]
    units = touched > 0
    share = GroupRates(
        cells.groups, True, cells.unit_group[units], cells.unit_cluster[units], parts["tp"][units], touched[units]
    )
    assert found.dependent.all()
    for mine, theirs in zip(found.intervals(), share.intervals(), strict=True):
        assert np.allclose(mine, 2 * theirs / (1 + theirs), atol=1e-12)


def test_one_cluster_has_a_value_and_no_interval() -> None:
    found = estimates(SMALL, clusters=["p"] * 10)
    assert found.value[0] == pytest.approx((3 / 4 + 4 / 6) / 2)
    assert np.isnan(np.ravel(found.intervals())).all()


@pytest.mark.parametrize("metric", SMOOTH)
def test_undefined_is_null(metric: str) -> None:
    found = estimates({("neg", "neg", "f"): 4, ("pos", "pos", "m"): 2, ("neg", "neg", "m"): 2}, metric)
    assert found.groups == ("f", "m")
    assert np.isnan(found.value[0])
    assert np.isnan(found.variance[0])
    assert (found.total[0], found.clusters[0]) == (0, 0)
    assert np.isnan([found.intervals()[0][0], found.score_intervals()[1][0]]).all()
    assert found.value[1] == 1


@settings(max_examples=20, deadline=None)
@given(st.integers(20, 80), st.integers(0, 1000), st.booleans(), st.sampled_from(SMOOTH))
def test_arms_and_subsets_are_those_of_the_whole(n: int, seed: int, clustered: bool, metric: str) -> None:
    images, predictions = random_tables(n, seed, classes=CLASSES, cluster_size=3 if clustered else 0)
    name = "pos" if metric == "f1" else None
    mix = {"pos": 0.3, "neg": 0.7} if metric == "standardised_accuracy" else None
    cells = count_predictions(images, predictions, CLASSES, ["a"])["m"].along("a")
    found = smooth_units(cells, METRICS[metric], name, mix)
    turned = found.only(found.groups[::-1])
    for one, other in ((found.value, turned.value), (found.variance, turned.variance), (found.size, turned.size)):
        assert np.allclose(one, other[::-1], equal_nan=True)
    assert np.allclose(found.correlation, turned.correlation[::-1, ::-1])
    merged = images.assign(attr_a=np.where(images["attr_a"] == "g0", "g0", "rest"))
    expected = smooth_units(
        count_predictions(merged, predictions, CLASSES, ["a"])["m"].along("a"), METRICS[metric], name, mix
    )
    arms = found.against_rest("g0")
    assert arms.groups == ("g0", "everybody else")
    for attribute in ("value", "variance", "size", "total", "clusters"):
        assert np.allclose(getattr(arms, attribute), getattr(expected, attribute), equal_nan=True)
    assert np.allclose(arms.correlation, expected.correlation)


def test_a_subset_leaves_the_others_out_of_the_rest() -> None:
    counts = {**SMALL, ("pos", "pos", "m"): 2, ("neg", "neg", "m"): 2, ("pos", "neg", "x"): 9, ("neg", "pos", "x"): 9}
    arms = estimates(counts).only(["f", "m"]).against_rest("f")
    assert arms.total.tolist() == [10, 4]
    assert arms.value[1] == 1


def test_influence_gives_the_variance() -> None:
    images, predictions = random_tables(90, 2, cluster_size=3)
    cells = count_predictions(images, predictions, ["x", "y", "z"], ["a"])["m"].along("a")
    found = smooth_units(cells, METRICS["macro_f1"])
    products = (found.influence.T @ found.influence).toarray()
    assert found.mixed
    assert np.allclose(np.diag(products) * found.clusters / (found.clusters - 1), found.variance)


def test_a_rate_is_no_smooth_metric() -> None:
    cells = count_predictions(*tables(repeated(SMALL)), CLASSES, ["a"])["m"].along("a")
    with pytest.raises(InputError, match=r"'accuracy' is no smooth metric.*Did you mean 'balanced_accuracy'"):
        smooth_units(cells, METRICS["accuracy"])
