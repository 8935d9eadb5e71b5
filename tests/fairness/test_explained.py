"""Measures of explanations by group: hand-derived means and gaps, outside oracles, planted and null data, what is undefined."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from audit.errors import InputError
from audit.fairness import (
    QUALITY_GAP_COLUMNS,
    QUALITY_GROUP_COLUMNS,
    Permutations,
    mean_gap_p,
    mean_interval,
    quality_gap_table,
    quality_group_table,
)
from tests.fairness.tables import pick

NO_MASS = pd.DataFrame(columns=["model", "image_id", "method", "region", "share", "area", "status"])


def images_of(groups: list[Any], labels: list[str] | None = None, clusters: list[str] | None = None) -> pd.DataFrame:
    ids = [f"i{place}" for place in range(len(groups))]
    return pd.DataFrame(
        {"image_id": ids, "label": labels or "x", "cluster": clusters, "status": "ok", "attr_a": groups}
    )


def predicted(images: pd.DataFrame, confidence: Any = 0.9, right: Any = True) -> pd.DataFrame:
    wrong = np.where(np.broadcast_to(right, len(images)), images["label"], "other")
    frame = pd.DataFrame({"model": "m", "image_id": images["image_id"], "predicted": wrong})
    return frame.assign(confidence=np.broadcast_to(confidence, len(images)), status="ok")


def quality_of(images: pd.DataFrame, **measures: Any) -> pd.DataFrame:
    parts = [
        pd.DataFrame({"model": "m", "image_id": images["image_id"], "method": "saliency", "measure": name})
        .assign(value=values, status="ok", detail="")
        for name, values in measures.items()
    ]  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def gaps(images: pd.DataFrame, predictions: pd.DataFrame | None = None, **measures: Any) -> pd.DataFrame:
    options = {name: measures.pop(name) for name in ("min_n", "draws", "seed") if name in measures}
    own = predicted(images) if predictions is None else predictions
    return quality_gap_table(quality_of(images, **measures), NO_MASS, images, own, ["a"], **options)


def test_means_by_hand() -> None:
    # Cluster p has 0.1 and 0.3, q has 0.6: means 0.2 and 0.6. Group v has one cluster, w no value.
    images = images_of(["u", "u", "u", "v", "w"], clusters=["p", "p", "q", "r", "s"])
    quality = quality_of(images, gini=[0.1, 0.3, 0.6, 0.5, 0.9])
    quality.loc[4, "status"] = "undefined"
    table = quality_group_table(quality, NO_MASS, images, ["a"])
    assert tuple(table.columns) == QUALITY_GROUP_COLUMNS
    row = pick(table, attribute="a", group="u")
    half = stats.t.ppf(0.975, 1) * np.sqrt(0.08 / 2)
    assert (row["n"], row["clusters"], row["status"]) == (3, 2, "ok")
    assert row["value"] == pytest.approx(0.4)
    assert (row["low"], row["high"]) == (max(0.4 - half, 0.0), min(0.4 + half, 1.0)) == (0.0, 1.0)
    assert pick(table, attribute="a", group="v")[["value", "status"]].tolist() == [0.5, "too_few_clusters"]
    none = pick(table, attribute="a", group="w")
    assert (none["n"], none["status"]) == (0, "undefined")
    assert np.isnan(none["value"])
    everybody = pick(table, attribute="overall", group="all")
    wanted = mean_interval([0.1, 0.3, 0.6, 0.5], ["p", "p", "q", "r"], bounds=(0.0, 1.0))
    assert everybody[["value", "low", "high"]].tolist() == pytest.approx([wanted.value, wanted.low, wanted.high])


def test_groups_that_were_not_asked_and_regions_that_are_not_there() -> None:
    images = images_of(["u", "u", "v", "v"])
    mass = pd.DataFrame({"model": "m", "image_id": ["i0", "i1"], "method": "saliency", "region": "marker"})
    mass = mass.assign(share=[0.25, 0.9], area=[0.1, 0.0], status="ok")
    table = quality_group_table(quality_of(images[:2], gini=[0.4, 0.6]), mass, images, ["a"])
    share = pick(table, measure="share:marker", attribute="a", group="u")
    assert share[["n", "value", "status"]].tolist() == [1, 0.25, "too_few_clusters"]
    assert set(table.loc[table["group"] == "v", "status"]) == {"not_measured"}


def test_equal_values_are_no_proof_where_the_bounds_are_known() -> None:
    # Three hits of three: variance of 1, 1, 1, 0, 1 is 0.16, over three clusters.
    images = images_of(["u"] * 3)
    table = quality_group_table(quality_of(images, **{"pointing:face": [1.0] * 3, "own": [1.0] * 3}), NO_MASS,
                                images, ["a"])  # fmt: skip
    row = pick(table, measure="pointing:face", attribute="a")
    assert row["low"] == pytest.approx(max(1 - stats.t.ppf(0.975, 2) * np.sqrt(0.16 / 3), 0))
    assert row["high"] == 1
    assert pick(table, measure="own", attribute="a")[["low", "high"]].tolist() == [1, 1]


def test_two_groups_agree_with_welch_and_the_existing_test() -> None:
    rng = np.random.default_rng(3)
    groups = ["u"] * 12 + ["v"] * 20
    values = np.concatenate([rng.normal(0.7, 0.2, 12), rng.normal(0.5, 0.05, 20)])
    table = gaps(images_of(groups), own=values)
    assert tuple(table.columns) == QUALITY_GAP_COLUMNS
    row = pick(table, matching="none")
    wanted = stats.ttest_ind(values[:12], values[12:], equal_var=False).confidence_interval(0.95)
    assert (row["group"], row["reference"], row["n"], row["clusters"]) == ("u", "v", 32, 32)
    assert row["value"] == pytest.approx(values[:12].mean() - values[12:].mean())
    assert (row["low"], row["high"]) == pytest.approx((max(wanted.low, 0), wanted.high))
    p = mean_gap_p(values, np.array(groups), np.arange(32), Permutations(19_999, 1))
    assert row["p"] == pytest.approx(p, abs=4 * np.sqrt(p / 1999))
    assert row["p_adjusted"] == row["p"]


def test_more_groups_take_bonferroni_over_pairs() -> None:
    rng = np.random.default_rng(4)
    parts = {"u": rng.normal(0, 1, 9), "v": rng.normal(0.2, 1, 11), "w": rng.normal(1, 1, 10)}
    table = gaps(images_of([name for name, part in parts.items() for _ in part]), own=np.concatenate([*parts.values()]))
    row = pick(table, matching="none")
    bounds = []
    for first, second in (("u", "v"), ("u", "w"), ("v", "w")):
        test = stats.ttest_ind(parts[first], parts[second], equal_var=False).confidence_interval(1 - 0.05 / 3)
        bounds.append((max(test.low, -test.high, 0), max(test.high, -test.low)))
    assert (row["low"], row["high"]) == pytest.approx(tuple(np.max(bounds, axis=0)))
    means = {name: part.mean() for name, part in parts.items()}
    assert row["value"] == pytest.approx(max(means.values()) - min(means.values()))
    assert (row["group"], row["reference"]) == (max(means, key=means.get), min(means, key=means.get))


def test_clusters_are_what_is_compared() -> None:
    # Doubling every image within its cluster changes nothing.
    rng = np.random.default_rng(5)
    values, groups = rng.normal(size=20), ["u", "v"] * 10
    once = gaps(images_of(groups), own=values)
    twice = gaps(images_of(groups * 2, clusters=[f"c{place}" for place in range(20)] * 2), own=np.tile(values, 2))
    columns = ["value", "low", "high", "p", "clusters"]
    pd.testing.assert_frame_equal(
        once[once["matching"] == "none"][columns], twice[twice["matching"] == "none"][columns]
    )
    assert pick(twice, matching="none")["n"] == 40


def test_matched_gap_is_the_coefficient_of_a_regression_on_strata() -> None:
    statsmodels = pytest.importorskip("statsmodels.api")
    rng = np.random.default_rng(6)
    n = 200
    groups, labels, confidence = rng.choice(["u", "v"], n), rng.choice(["x", "y"], n), rng.random(n)
    values = rng.normal(size=n) + (groups == "u") * 0.3 + confidence
    images = images_of(groups.tolist(), labels.tolist())
    row = pick(gaps(images, predicted(images, confidence), own=values), matching="label_confidence")
    edges = np.quantile(confidence, [0.2, 0.4, 0.6, 0.8])
    strata = [
        f"{label}{fifth}" for label, fifth in zip(labels, np.searchsorted(edges, confidence, "right"), strict=True)
    ]
    design = np.column_stack([groups == "u", pd.get_dummies(strata)]).astype(float)
    fit = statsmodels.OLS(values, design).fit()
    assert row["value"] == pytest.approx(fit.params[0])
    # The spread is near that of the regression, though each group keeps its own.
    assert (row["high"] - row["low"]) / (2 * stats.t.ppf(0.975, n - 11) * fit.bse[0]) == pytest.approx(1, abs=0.1)


def test_a_gap_explained_by_confidence_goes_when_images_are_matched() -> None:
    rng = np.random.default_rng(7)
    n, counts = 300, [12, 21, 30, 39, 48]  # five levels of sixty images each, u at the higher ones
    groups = np.repeat(["u", "v"], 150)
    level = 0.2 + 0.15 * np.concatenate([np.repeat(range(5), counts), np.repeat(range(5), counts[::-1])])
    images = images_of(groups.tolist())
    table = gaps(images, predicted(images, level), own=level + rng.normal(0, 0.05, n))
    plain, matched = (pick(table, matching=name) for name in ("none", "label_confidence"))
    assert plain["value"] == pytest.approx(0.15 * 1.2, abs=0.02)
    assert (plain["p"], plain["group"]) == (1 / 2000, "u")
    assert matched["value"] < 0.03
    assert matched["p"] > 0.05
    # A gap that confidence does not explain stays.
    real = gaps(images, predicted(images, level), own=(groups == "u") * 0.15 + rng.normal(0, 0.05, n))
    assert pick(real, matching="label_confidence")["p"] == 1 / 2000
    assert pick(real, matching="label_confidence")["value"] == pytest.approx(0.15, abs=0.03)


def test_correctness_is_a_breakdown_without_a_test() -> None:
    images = images_of(["u", "v"] * 20)
    right = np.arange(40) % 4 < 2
    row = pick(gaps(images, predicted(images, right=right), own=np.arange(40) / 40.0), matching="correctness")
    assert row["status"] == "conditions_on_outcome"
    assert np.isnan(row["p"])
    assert np.isnan(row["p_adjusted"])
    assert row["value"] == pytest.approx(1 / 40)


def test_holm_over_measures_and_attributes_of_a_method() -> None:
    rng = np.random.default_rng(8)
    images = images_of(["u", "v"] * 30).assign(attr_b=["s", "s", "t"] * 20)
    quality = quality_of(images, one=rng.normal(size=60) + np.tile([0, 1.0], 30), two=rng.normal(size=60))
    other = quality[quality["measure"] == "two"].assign(method="grad_cam")
    table = quality_gap_table(pd.concat([quality, other]), NO_MASS, images, predicted(images), ["a", "b"])
    own = table[(table["method"] == "saliency") & (table["matching"] == "none")]
    assert len(own) == 4
    assert own["p"].argmin() == own["p_adjusted"].argmin() == 0
    assert own["p_adjusted"].iloc[0] == pytest.approx(4 * own["p"].iloc[0])
    alone = table[(table["method"] == "grad_cam") & (table["matching"] == "none")]
    small, large = sorted(alone["p"])
    assert sorted(alone["p_adjusted"]) == pytest.approx([min(2 * small, 1), max(min(2 * small, 1), large)])


def test_further_measures_and_missing_values_change_nothing_else() -> None:
    rng = np.random.default_rng(9)
    images = images_of(list("uvw") * 20)
    values, others = rng.normal(size=60), rng.normal(size=(3, 60))
    alone = gaps(images, own=values)
    gaped = others[1].copy()
    gaped[::7] = np.nan
    among = gaps(images, first=others[0], own=values, gaped=gaped)
    columns = ["matching", "group", "reference", "n", "value", "low", "high", "p"]
    kept = among[among["measure"] == "own"].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept[columns], alone[columns])
    assert pick(among, measure="gaped", matching="none")["n"] == 60 - 9
    only = gaps(images[np.isfinite(gaped)].reset_index(drop=True), gaped=gaped[np.isfinite(gaped)])
    pd.testing.assert_series_equal(
        pick(among, measure="gaped", matching="none")[columns], pick(only, matching="none")[columns], check_names=False
    )


def test_what_cannot_be_compared_says_why() -> None:
    rows = {
        "one group": (["u"] * 12, "undefined"),
        "one of two is small": (["u"] * 12 + ["v"] * 4, "too_few_clusters"),
    }
    for groups, status in rows.values():
        row = pick(gaps(images_of(groups), own=np.arange(len(groups)) * 1.0), matching="none")
        assert row["status"] == status
        assert row[["value", "low", "high", "p", "p_adjusted"]].isna().all()
    images = images_of(["u", "v"] * 10)
    quality = quality_of(images, own=np.zeros(20)).assign(status="undefined")
    table = quality_gap_table(quality, NO_MASS, images, predicted(images), ["a"])
    assert set(table["status"]) == {"undefined"}
    table = gaps(images, predicted(images, np.nan), own=np.arange(20.0))
    assert pick(table, matching="label_confidence")["status"] == "not_measured"
    # No label has both groups: nothing is alike but the group.
    images = images_of(["u", "v"] * 10, ["x", "y"] * 10)
    assert pick(gaps(images, own=np.arange(20.0)), matching="label_confidence")["status"] == "undefined"


def test_all_alike_is_quiet() -> None:
    row = pick(gaps(images_of(["u", "v"] * 10), gini=np.full(20, 0.1)), matching="none")
    assert (row["value"], row["p"]) == (pytest.approx(0), 1)
    assert row["low"] == 0
    assert row["high"] > 0.1


def test_small_groups_are_let_in_on_request() -> None:
    images = images_of(["u"] * 12 + ["v"] * 2)
    row = pick(gaps(images, own=[0.0, 1.0] * 7, min_n=2), matching="none")
    assert (row["status"], row["n"]) == ("ok", 14)


def test_bad_tables_are_refused() -> None:
    images = images_of(["u", "v"])
    twice = pd.concat([quality_of(images, own=[0.0, 1.0])] * 2)
    with pytest.raises(InputError, match="image_id 'i0' has two values of saliency own"):
        quality_group_table(twice, NO_MASS, images, ["a"])
    with pytest.raises(InputError, match="names image_id 'zz'"):
        quality_group_table(quality_of(images, own=[0.0, 1.0]).assign(image_id=["i0", "zz"]), NO_MASS, images, ["a"])
    with pytest.raises(InputError, match="table 'quality' has no column 'measure'"):
        quality_group_table(quality_of(images, own=1.0).drop(columns="measure"), NO_MASS, images, ["a"])
    with pytest.raises(InputError, match="attribute 'b' is not in the data"):
        quality_group_table(quality_of(images, own=1.0), NO_MASS, images, ["b"])


def test_no_rows_give_an_empty_table() -> None:
    images = images_of(["u", "v"])
    empty = quality_of(images, own=1.0)[:0]
    assert quality_group_table(empty, NO_MASS, images, ["a"]).empty
    assert quality_gap_table(empty, NO_MASS, images, predicted(images), ["a"]).empty
