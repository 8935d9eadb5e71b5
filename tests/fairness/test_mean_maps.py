"""Mean maps: averaged by hand, reduced by area, differences tested over the whole map, clusters respected."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from audit.errors import InputError
from audit.fairness import MEAN_MAP_COLUMNS, mean_map_table
from tests.fairness.tables import pick

Maps = dict[str, np.ndarray]


def images_of(groups: list[str], clusters: list[str] | None = None) -> pd.DataFrame:
    ids = [f"i{place}" for place in range(len(groups))]
    return pd.DataFrame({"image_id": ids, "label": "x", "status": "ok", "cluster": clusters, "attr_a": groups})


def table_of(maps: list[np.ndarray], images: pd.DataFrame, **options: Any) -> pd.DataFrame:
    own = dict(zip(images["image_id"], maps, strict=True))
    return mean_map_table({("m", "saliency"): own}, images, ["a"], **options)


def test_means_and_differences_by_hand() -> None:
    maps = [np.array([[1.0, -1.0]]), np.array([[4.0, 0.0]]), np.array([[0.0, 2.0]]), np.array([[1.0, 3.0]])]
    table = table_of(maps, images_of(list("uuvv")))
    assert tuple(table.columns) == MEAN_MAP_COLUMNS
    row = pick(table, attribute="a", group="u", kind="mean")
    assert (row["map"], row["height"], row["width"], row["n"], row["largest"]) == ([0.75, 0.25], 1, 2, 2, 0.75)
    row = pick(table, attribute="a", group="v", kind="difference")
    assert row["map"] == pytest.approx([0.125 - 0.75, 0.875 - 0.25])
    assert row["largest"] == pytest.approx(0.625)
    assert pick(table, attribute="overall", kind="mean")["map"] == pytest.approx([0.4375, 0.5625])


def test_clusters_count_once() -> None:
    maps = [np.array([[1.0, 0.0]])] * 3 + [np.array([[0.0, 1.0]])]
    row = pick(table_of(maps, images_of(["u"] * 4, list("pppq"))), attribute="a", kind="mean")
    assert (row["map"], row["n"], row["clusters"]) == ([0.5, 0.5], 4, 2)


def test_large_maps_are_averaged_down_by_area() -> None:
    rng = np.random.default_rng(0)
    raw = rng.normal(size=(128, 96))
    row = pick(table_of([raw], images_of(["u"])), attribute="a", kind="mean")
    assert (row["height"], row["width"], len(row["map"])) == (64, 64, 64 * 64)
    found = np.array(row["map"]).reshape(64, 64)
    share = np.abs(raw) / np.abs(raw).sum()
    assert found.sum() == pytest.approx(1)
    # A cell is two pixels high and one and a half wide.
    assert found[0, 0] == pytest.approx(share[:2, 0].sum() + share[:2, 1].sum() / 2)
    assert found[5, 1] == pytest.approx(share[10:12, 1].sum() / 2 + share[10:12, 2].sum())


def planted(rng: np.random.Generator, groups: np.ndarray, by: float) -> list[np.ndarray]:
    maps = rng.exponential(size=(len(groups), 8, 8))
    maps[groups == "u", 2, 3] += by
    return list(maps)


def test_planted_difference_is_found_where_it_is_and_a_control_is_quiet() -> None:
    rng = np.random.default_rng(1)
    groups = np.array(["u", "v", "w"])[np.arange(60) % 3]
    images = images_of(groups.tolist())
    table = table_of(planted(rng, groups, 8.0), images, draws=199)
    row = pick(table, attribute="a", group="u", kind="difference")
    assert row["p"] == 1 / 200
    assert np.argmax(row["map"]) == 2 * 8 + 3
    ps = [pick(table_of(planted(rng, groups, 0.0), images, draws=99), attribute="a", group="u", kind="difference")["p"]
          for _ in range(40)]  # fmt: skip
    assert np.mean(np.array(ps) <= 0.05) <= 0.05 + 3.5 * np.sqrt(0.05 * 0.95 / 40)
    assert np.mean(ps) == pytest.approx(0.5, abs=0.2)


def test_clusters_are_respected_by_the_test() -> None:
    # Six clusters of ten equal maps: taken for sixty they would differ for sure, of six they may well.
    rng = np.random.default_rng(2)
    maps = np.repeat(rng.exponential(size=(6, 8, 8)), 10, axis=0)
    groups = ["u"] * 30 + ["v"] * 30
    together, apart = (
        pick(table_of(list(maps), images_of(groups, clusters), draws=199), attribute="a", group="u", kind="difference")
        for clusters in ([f"p{place // 10}" for place in range(60)], None)
    )
    assert together["largest"] == pytest.approx(apart["largest"])
    assert apart["p"] == 1 / 200
    assert together["p"] >= 2 / 20 - 0.03  # twenty ways to deal six clusters, each with its mirror


def test_what_is_missing_says_why() -> None:
    images = images_of(["u", "u", "u", "v", "w", "z"])
    images.loc[2, "status"] = "unreadable"
    maps = {name: np.ones((2, 2)) for name in ("i0", "i1", "i2", "i3")} | {"i4": np.zeros((2, 2))}
    table = mean_map_table({("m", "saliency"): maps}, images, ["a"])
    means = table[(table["attribute"] == "a") & (table["kind"] == "mean")].set_index("group")
    assert means["status"].to_dict() == {"u": "ok", "v": "ok", "w": "undefined", "z": "not_measured"}
    assert means["n"].to_dict() == {"u": 2, "v": 1, "w": 0, "z": 0}
    assert means.loc["w", "map"] is None
    differences = table[(table["attribute"] == "a") & (table["kind"] == "difference")].set_index("group")
    assert differences["status"].to_dict() == {
        "u": "too_few_clusters", "v": "too_few_clusters", "w": "undefined", "z": "not_measured",
    }  # fmt: skip
    assert mean_map_table({}, images, ["a"]).empty
    assert mean_map_table({("m", "saliency"): {"i2": np.ones((2, 2))}}, images, ["a"]).empty


def test_bad_maps_are_refused() -> None:
    images = images_of(["u", "v"])
    with pytest.raises(InputError, match=r"maps of m, saliency have the shapes \[\(2, 2\), \(3, 2\)\]"):
        table_of([np.ones((2, 2)), np.ones((3, 2))], images)
    with pytest.raises(InputError, match="allowed: one shape"):
        table_of([np.ones((2, 2, 3))] * 2, images)
    with pytest.raises(InputError, match="is of image_id 'zz'"):
        mean_map_table({("m", "saliency"): {"zz": np.ones((2, 2))}}, images, ["a"])
