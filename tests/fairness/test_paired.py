"""Two models on the same images: by hand, against published examples and statsmodels, clusters, properties, limits."""

from __future__ import annotations

import math
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from audit.errors import InputError
from audit.fairness import Permutations, common_images, newcombe_paired, paired_table, sign_flip_p
from audit.fairness import paired_counts as counted
from audit.fairness.paired import PAIRED_COLUMNS
from audit.fairness.paired_counts import PairedUnits
from audit.run.tables import read_table, write_table
from tests.fairness.tables import CLASSES, pick

DRAWS = 499
RIGHT = {"pos": "pos", "neg": "neg"}
WRONG = {"pos": "neg", "neg": "pos"}


def two_models(
    cells: dict[tuple[str, str], tuple[int, int, int, int]], cluster_size: int = 0
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Images and predictions of models `m` and `n`, from (group, label) to both right, only m, only n, neither."""
    rows = [
        (group, label, RIGHT[label] if kind < 2 else WRONG[label], RIGHT[label] if kind in (0, 2) else WRONG[label])
        for (group, label), numbers in cells.items()
        for kind, number in enumerate(numbers)
        for _ in range(number)
    ]
    frame = pd.DataFrame(rows, columns=["attr_a", "label", "m", "n"])
    frame["image_id"] = [f"i{place}" for place in range(len(frame))]
    frame["status"] = "ok"
    frame["cluster"] = [f"c{place // cluster_size}" for place in range(len(frame))] if cluster_size else None
    first, second = (
        frame[["image_id", "label", "status"]].assign(model=name, predicted=frame[name]) for name in ("m", "n")
    )
    return frame[["image_id", "label", "status", "cluster", "attr_a"]], first, second


def paired(images: pd.DataFrame, first: pd.DataFrame, second: pd.DataFrame, **more: object) -> pd.DataFrame:
    options = {"draws": DRAWS, "seed": 1} | more
    return paired_table(images, first, second, "m", "n", ["a"], CLASSES, "pos", **options)


def test_by_hand() -> None:
    table = paired(*two_models({("g", "pos"): (4, 1, 3, 2)}))
    assert tuple(table.columns) == PAIRED_COLUMNS
    row = pick(table, attribute="a", group="g", metric="accuracy")
    assert (row["n"], row["clusters"], row["only_first"], row["only_second"]) == (10, 10, 1, 3)
    assert (row["first_value"], row["second_value"]) == (0.5, 0.7)
    assert row["difference"] == pytest.approx(0.2)
    assert row["p"] == pytest.approx(2 * (1 + 4) / 16)
    assert (row["method"], row["status"]) == ("newcombe_paired", "ok")


@pytest.mark.parametrize(
    ("cells", "low", "high"),
    [
        # Newcombe (1998), Table II, method 10; the last is Bentur et al. in Fagerland, Lydersen & Laake (2014).
        ((36, 2, 12, 0), 0.0569, 0.3404),
        ((20, 2, 12, 16), 0.0562, 0.3292),
        ((1, 7, 1, 12), -0.507, -0.026),
    ],
)
def test_published_examples(cells: tuple[int, ...], low: float, high: float) -> None:
    bounds = newcombe_paired(*cells)
    assert float(bounds[0][0]) == pytest.approx(low, abs=6e-4 if low < 0 else 6e-5)
    assert float(bounds[1][0]) == pytest.approx(high, abs=6e-4 if low < 0 else 6e-5)


@given(st.tuples(*[st.integers(0, 40)] * 4).filter(any))
@settings(deadline=None)
def test_mcnemar_agrees_with_statsmodels(cells: tuple[int, int, int, int]) -> None:
    both, alone, other, neither = cells
    row = pick(paired(*two_models({("g", "pos"): cells}), draws=1), attribute="overall", metric="accuracy")
    assert row["p"] == pytest.approx(float(mcnemar([[both, alone], [other, neither]], exact=True).pvalue), abs=1e-12)
    assert row["low"] <= row["difference"] <= row["high"]
    assert row["low"] < row["high"]


def test_false_positives_count_as_wrong() -> None:
    table = paired(*two_models({("g", "neg"): (4, 1, 3, 2), ("g", "pos"): (5, 0, 0, 0)}))
    row = pick(table, attribute="a", group="g", metric="false_positive_rate")
    assert (row["first_value"], row["second_value"], row["n"]) == (0.5, pytest.approx(0.3), 10)
    assert (row["only_first"], row["only_second"]) == (1, 3)
    assert row["difference"] == pytest.approx(-0.2)


def test_sign_flips_by_hand() -> None:
    differences = np.array([2, 1, -1, 0])
    sums = [abs(sum(signs)) for signs in product((2, -2), (1, -1), (1, -1))]
    assert sign_flip_p(differences, Permutations(9)) == pytest.approx(np.mean([value >= 2 for value in sums]))


def test_drawn_signs_agree_with_added_up_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    differences = np.repeat([3, 2, 1, -1, -2], [9, 8, 20, 14, 6])
    exact = sign_flip_p(differences, Permutations(9))
    monkeypatch.setattr(counted, "EXACT", 0)
    assert sign_flip_p(differences, Permutations(20_000, 3)) == pytest.approx(exact, abs=0.01)


@given(st.tuples(*[st.integers(0, 12)] * 4).filter(lambda cells: sum(cells) > 1))
@settings(deadline=None)
def test_one_image_a_cluster_is_no_cluster(cells: tuple[int, int, int, int]) -> None:
    plain, single = (paired(*two_models({("g", "pos"): cells}, size), draws=9) for size in (0, 1))
    pd.testing.assert_frame_equal(plain, single)


def test_repeated_images_of_a_person_prove_no_more() -> None:
    cells = {("g", "pos"): (14, 3, 9, 4), ("h", "pos"): (20, 4, 5, 1)}
    images, first, second = two_models(cells)
    images = images.assign(cluster=images["image_id"])
    copies = [frame.assign(image_id=frame["image_id"] + f"-{k}") for frame in (images, first, second) for k in range(4)]
    four = [pd.concat(copies[place : place + 4], ignore_index=True) for place in (0, 4, 8)]
    once, often = paired(images, first, second), paired(*four)
    for group in ("g", "h"):
        one, many = (pick(table, attribute="a", group=group, metric="accuracy") for table in (once, often))
        assert (many["n"], many["clusters"]) == (4 * one["n"], one["clusters"])
        assert many["p"] == pytest.approx(one["p"])
        assert many["high"] - many["low"] >= one["high"] - one["low"]
        assert many["method"] == "mover_paired_korn_graubard"


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("level", [(0.8, 0.85), (0.95, 0.95), (0.5, 0.7)])
def test_cluster_interval_covers(share: float, level: tuple[float, float]) -> None:
    """Each group is one repetition: 40 people of 1 to 5 images; `share` of the people have all images alike."""
    rng = np.random.default_rng(11)
    repetitions, people = 600, 40
    size = rng.integers(1, 6, (repetitions, people))
    group = np.repeat(np.repeat(np.arange(repetitions), people), size.ravel())
    cluster = np.repeat(np.arange(repetitions * people), size.ravel())
    alike = np.repeat(rng.random(repetitions * people) < share, size.ravel())
    luck = np.where(alike, np.repeat(rng.random(repetitions * people), size.ravel()), rng.random(len(group)))
    own = np.where(rng.random(len(group)) < 0.3, rng.random(len(group)), luck)  # the models agree on most images
    hits = luck < level[0], own < level[1]
    units = PairedUnits.count(tuple(map(str, range(repetitions))), group, cluster, hits, clustered=True)
    low, high = units.interval(0.05)
    assert np.mean((low <= level[1] - level[0]) & (level[1] - level[0] <= high)) >= 0.93


TWO_GROUPS = {("g", "pos"): (80, 2, 10, 8), ("h", "pos"): (45, 5, 35, 15), ("g", "neg"): (50, 3, 1, 6)}


@pytest.mark.parametrize("cluster_size", [0, 3])
def test_swapping_the_models_turns_the_signs(cluster_size: int) -> None:
    images, first, second = two_models(TWO_GROUPS, cluster_size)
    there, back = paired(images, first, second), paired(images, second, first)
    groups = ~there["group"].isin(["(range)"]) & (there["metric"] != "left_out")
    assert np.allclose(there["difference"], -back["difference"], equal_nan=True)
    assert (there["only_first"] == back["only_second"]).all()
    there, back = there[groups], back[groups]
    for one, other in (("low", "high"), ("high", "low")):
        assert np.allclose(there[one], -back[other], equal_nan=True)
    assert np.allclose(there["p"], back["p"], equal_nan=True)


def test_names_of_groups_do_not_matter() -> None:
    images, first, second = two_models(TWO_GROUPS)
    plain = paired(images, first, second)
    renamed = paired(images.assign(attr_a=images["attr_a"].map({"g": "z", "h": "b"})), first, second)
    for old, new in (("g", "z"), ("h", "b"), ("(range)", "(range)")):
        for metric in ("accuracy", "true_positive_rate"):
            one = pick(plain, attribute="a", group=old, metric=metric)
            other = pick(renamed, attribute="a", group=new, metric=metric)
            assert other["difference"] == pytest.approx(one["difference"])
            assert other["low"] == pytest.approx(one["low"], abs=0.02)


def test_the_gap_itself() -> None:
    row = pick(paired(*two_models(TWO_GROUPS)), attribute="a", group="(range)", metric="true_positive_rate")
    assert row["first_value"] == pytest.approx(0.82 - 0.5)
    assert row["second_value"] == pytest.approx(0.9 - 0.8)
    assert row["difference"] == pytest.approx(-0.22)
    assert row["low"] < -0.22 < row["high"] < 0
    assert row["p"] <= 0.01
    assert (row["n"], row["method"]) == (200, "paired_bootstrap")


@pytest.mark.parametrize("cluster_size", [0, 2, 7])
def test_equal_models_change_no_gap(cluster_size: int) -> None:
    images, first, _ = two_models(TWO_GROUPS, cluster_size)
    table = paired(images, first, first)
    measured = table[table["status"] == "ok"]
    assert (measured[["difference", "only_first", "only_second"]] == 0).all(axis=None)
    assert (measured["p"] == 1).all()
    assert ((measured["low"] <= 0) & (measured["high"] >= 0)).all()


def test_bootstrap_of_the_gap_respects_clusters() -> None:
    images, first, second = two_models(TWO_GROUPS)
    widths = []
    for size in (1, 10):
        images["cluster"] = [f"c{place // size}" for place in range(len(images))]
        row = pick(paired(images, first, second), attribute="a", group="(range)", metric="true_positive_rate")
        widths.append(row["high"] - row["low"])
    assert row["method"] == "paired_cluster_bootstrap"
    assert widths[1] > 1.5 * widths[0]  # neighbours in the table are alike


def test_holm_over_the_groups_of_an_attribute() -> None:
    cells = {(name, "pos"): (40, 2, more, 9) for name, more in zip("ghi", (14, 12, 4), strict=True)}
    table = paired(*two_models(cells))
    part = table[(table["metric"] == "accuracy") & table["group"].isin(list("ghi"))]
    assert np.allclose(part["p_adjusted"], multipletests(part["p"], method="holm")[1])
    assert (part["p_adjusted"] > part["p"]).sum() >= 2


def test_who_is_left_out_is_counted() -> None:
    images, first, second = two_models(TWO_GROUPS)
    first.loc[0, "status"] = "nonfinite"
    second = second.drop(index=[1, 2])
    images.loc[3, "status"] = "unreadable"
    table = paired(images, first, second)
    row = pick(table, attribute="a", group="g", metric="left_out")
    assert (row["n"], row["only_first"], row["only_second"], row["status"]) == (4, 2, 1, "not_measured")
    assert pick(table, attribute="overall", metric="accuracy")["n"] == len(images) - 4
    assert pick(table, attribute="a", group="h", metric="left_out")["n"] == 0


def test_nothing_to_divide_by() -> None:
    images, first, second = two_models({("g", "pos"): (12, 1, 2, 0), ("h", "neg"): (12, 0, 0, 0)})
    table = paired(images, first, second)
    row = pick(table, attribute="a", group="h", metric="true_positive_rate")
    assert (row["n"], row["status"], row["method"]) == (0, "undefined", "none")
    assert row[["first_value", "difference", "low", "p", "p_adjusted"]].isna().all()
    assert pick(table, attribute="a", group="(range)", metric="true_positive_rate")["status"] == "undefined"
    full = pick(table, attribute="a", group="h", metric="accuracy")
    assert (full["difference"], full["p"]) == (0, 1)
    assert full["low"] < 0 < full["high"]


def test_one_person_has_no_interval() -> None:
    images, first, second = two_models({("g", "pos"): (4, 1, 2, 0), ("h", "pos"): (30, 1, 1, 0)})
    images["cluster"] = ["one" if group == "g" else f"c{k}" for k, group in enumerate(images["attr_a"])]
    table = paired(images, first, second)
    row = pick(table, attribute="a", group="g", metric="accuracy")
    assert (row["clusters"], row["status"], row["method"]) == (1, "too_few_clusters", "none")
    assert not math.isnan(row["difference"])
    assert row[["low", "high"]].isna().all()
    assert pick(table, attribute="a", group="(range)", metric="accuracy")["status"] == "too_few_clusters"


def test_missing_group_is_a_group() -> None:
    images, first, second = two_models(TWO_GROUPS)
    images.loc[:20, "attr_a"] = None
    assert pick(paired(images, first, second), attribute="a", group="(missing)", metric="accuracy")["n"] == 21


def test_without_a_positive_class_every_class_is_compared() -> None:
    images, first, second = two_models(TWO_GROUPS)
    table = paired_table(images, first, second, "m", "n", ["a"], CLASSES, None, draws=9)
    keys = table.loc[table["attribute"] == "overall", ["metric", "class"]].fillna("").to_numpy().tolist()
    assert keys[1:] == [["accuracy", ""], ["true_positive_rate", "neg"], ["true_positive_rate", "pos"]]


def test_clusters_over_several_groups() -> None:
    images, first, second = two_models(TWO_GROUPS)
    images["cluster"] = [f"c{k % 60}" for k in range(len(images))]
    row = pick(paired(images, first, second), attribute="a", group="(range)", metric="accuracy")
    assert (row["clusters"], row["method"], row["status"]) == (60, "paired_cluster_bootstrap", "ok")
    assert row["low"] < row["difference"] < row["high"]


def test_models_are_taken_by_name() -> None:
    images, first, second = two_models(TWO_GROUPS)
    both = pd.concat([first, second], ignore_index=True)
    pd.testing.assert_frame_equal(paired(images, both, both), paired(images, first, second))
    with pytest.raises(InputError, match="model 'm1' has no predictions, allowed: .* Did you mean 'm'"):
        paired_table(images, both, both, "m1", "n", ["a"], CLASSES, "pos")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"attributes": ["b"]}, "attribute 'b' is not in the data"),
        ({"positive": "poss"}, "positive class 'poss' is no class.*Did you mean 'pos'"),
        ({"alpha": 1.5}, "alpha is 1.5"),
        ({"draws": 0}, "at least one draw"),
    ],
)
def test_bad_input(change: dict[str, object], message: str) -> None:
    images, first, second = two_models(TWO_GROUPS)
    given = {"attributes": ["a"], "classes": CLASSES, "positive": "pos"} | change
    with pytest.raises(InputError, match=message):
        paired_table(images, first, second, "m", "n", **given)


def test_the_table_can_be_stored(tmp_path: Path) -> None:
    table = paired(*two_models(TWO_GROUPS, 2))
    write_table(tmp_path, "paired", table)
    assert len(read_table(tmp_path, "paired")) == len(table)


def run_images(**columns: list[object]) -> pd.DataFrame:
    given = {"image_id": ["i0", "i1"], "sha256": ["s0", "s1"], "label": ["pos", "neg"], "status": ["ok", "ok"]}
    return pd.DataFrame({**given, "cluster": [None, None], "attr_a": ["g", "h"], **columns})


def test_images_of_two_runs_are_joined() -> None:
    other = run_images(image_id=["i1", "i2"], sha256=["s1", "s2"], label=["neg", "pos"], attr_a=["h", "g"])
    other["cluster"] = ["c1", "c2"]
    joined = common_images(run_images(), other, ["a"])
    assert joined["image_id"].tolist() == ["i0", "i1", "i2"]
    assert joined["cluster"].tolist()[1:] == ["c1", "c2"]


def test_an_image_that_only_one_run_could_read_counts_as_readable() -> None:
    broken = run_images(status=["unreadable", "ok"], sha256=[None, "s1"])
    assert common_images(broken, run_images(), ["a"])["status"].tolist() == ["ok", "ok"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"sha256": ["s0", "zz"]}, "image 'i1' is another file in the other run"),
        ({"label": ["pos", "pos"]}, "image 'i1' has label 'neg' in one and 'pos'"),
        ({"attr_a": ["g", None]}, "has a 'h' in one"),
        ({"image_id": ["k0", "k1"]}, "no image_id in common"),
    ],
)
def test_other_images_are_refused(columns: dict[str, list[object]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        common_images(run_images(), run_images(**columns), ["a"])
