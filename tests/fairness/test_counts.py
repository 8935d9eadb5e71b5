"""The count tensor: who is counted, that it merges by addition, and that names and order do not matter."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix

from audit.errors import InputError
from audit.fairness import count_predictions
from tests.fairness.tables import CLASSES, random_tables, tables


def test_counts_by_hand() -> None:
    images, predictions = tables(
        [
            ("pos", "pos", "f"),
            ("pos", "neg", "f"),
            ("neg", "pos", "m"),
            ("neg", "neg", "m"),
            ("neg", "neg", "m"),
        ]
    )
    cells = count_predictions(images, predictions, CLASSES, ["a"])["m"].along("a")
    assert cells.groups == ("f", "m")
    assert cells.confusion().tolist() == [[[0, 0], [1, 1]], [[2, 1], [0, 0]]]
    assert cells.confusion().dtype == np.int64
    assert {name: part.tolist() for name, part in cells.binary(1).items()} == {
        "tp": [1, 0],
        "fn": [1, 0],
        "fp": [0, 1],
        "tn": [0, 2],
    }


def test_only_ok_images_with_ok_predictions_count() -> None:
    images, predictions = tables([("pos", "pos", "f")] * 4)
    images.loc[0, "status"] = "unreadable"
    predictions.loc[1, "status"] = "nonfinite"
    predictions.loc[1, "predicted"] = None
    tensor = count_predictions(images, predictions, CLASSES, ["a"])["m"]
    assert tensor.cells["count"].sum() == 2


def test_missing_group_is_a_group_and_comes_last() -> None:
    images, predictions = tables([("pos", "pos", "(missing)"), ("pos", "pos", "z"), ("pos", "pos", None)])
    cells = count_predictions(images, predictions, CLASSES, ["a"])["m"].along("a")
    assert cells.groups == ("z", "(missing)")
    assert cells.confusion().sum(axis=(1, 2)).tolist() == [1, 2]


def test_intersection_joins_names_and_values() -> None:
    images, predictions = tables([("pos", "pos", "f", "old"), ("pos", "neg", "m", "(missing)")], ("sex", "age"))
    tensor = count_predictions(images, predictions, CLASSES, ["sex", "age"], [["sex", "age"]])["m"]
    assert tensor.groups["sex x age"] == ("f x old", "m x (missing)")
    assert tensor.groups["overall"] == ("all",)


def test_rank_of_the_true_class_is_kept() -> None:
    classes = list("uvwxyz")
    rows = [("u", "u", "f"), ("v", "u", "f"), ("z", "u", "f"), ("w", "u", "m"), ("x", "u", "m")]
    images, predictions = tables(rows)
    # Ranks 1, 2, 6; then a tie, which goes to the earlier class; then no probabilities.
    falling = [0.4, 0.25, 0.15, 0.1, 0.06, 0.04]
    predictions["probabilities"] = [falling, falling, falling, [0.4, 0.2, 0.2, 0.2, 0, 0], None]
    cells = count_predictions(images, predictions, classes, ["a"])["m"].along("a")
    assert cells.rank is not None
    assert cells.rank.tolist() == [1, 2, 6, 3, 0]
    assert {name: part.tolist() for name, part in cells.everything().items()} == {
        "all": [3, 2],
        "correct": [1, 0],
        "ranked": [3, 1],
        "top_3": [2, 1],
        "top_5": [2, 1],
    }


@pytest.mark.parametrize("cluster_size", [0, 3])
def test_counts_of_a_class_are_those_of_the_confusion(cluster_size: int) -> None:
    images, predictions = random_tables(200, 2, cluster_size=cluster_size)
    cells = count_predictions(images, predictions, ["x", "y", "z"], ["a", "b"])["m"].along("a")
    confusion = cells.confusion()
    for place in (2, 0, 1, 0):
        parts = {name: np.bincount(cells.unit_group, part) for name, part in cells.binary(place).items()}
        assert (parts["tp"] == confusion[:, place, place]).all()
        assert (parts["tp"] + parts["fn"] == confusion[:, place].sum(axis=1)).all()
        assert (parts["tp"] + parts["fp"] == confusion[:, :, place].sum(axis=1)).all()
        assert (sum(parts.values()) == confusion.sum(axis=(1, 2))).all()
    hits, there, called = cells.by_class
    assert (hits == np.diagonal(confusion, axis1=1, axis2=2)).all()
    assert (there == confusion.sum(axis=2)).all()
    assert (called == confusion.sum(axis=1)).all()


@pytest.mark.parametrize("cluster_size", [0, 3])
def test_confusion_is_that_of_scikit_learn(cluster_size: int) -> None:
    images, predictions = random_tables(400, 1, cluster_size=cluster_size)
    cells = count_predictions(images, predictions, ["x", "y", "z"], ["a", "b"])["m"].along("a")
    for place, group in enumerate(cells.groups):
        rows = (images["attr_a"] == group).to_numpy()
        expected = confusion_matrix(images["label"][rows], predictions["predicted"][rows], labels=["x", "y", "z"])
        assert (cells.confusion()[place] == expected).all()


@settings(max_examples=12, deadline=None)
@given(st.integers(1, 40), st.integers(0, 1000), st.integers(1, 4), st.booleans())
def test_any_split_into_shards_merges_to_the_same_counts(n: int, seed: int, shards: int, clustered: bool) -> None:
    images, predictions = random_tables(n, seed, cluster_size=2)
    arguments = (["x", "y", "z"], ["a", "b"], [["a", "b"]])
    whole = count_predictions(images, predictions, *arguments, clustered=clustered)["m"]
    part = np.random.default_rng(seed).integers(shards, size=n)
    merged = None
    for shard in np.unique(part):
        rows = part == shard
        tensor = count_predictions(images[rows], predictions[rows], *arguments, clustered=clustered)["m"]
        merged = tensor if merged is None else tensor + merged
    assert merged is not None
    pd.testing.assert_frame_equal(merged.cells, whole.cells)
    assert merged.groups == whole.groups


@settings(max_examples=12, deadline=None)
@given(st.integers(1, 40), st.integers(0, 1000))
def test_order_and_ids_of_images_change_nothing(n: int, seed: int) -> None:
    images, predictions = random_tables(n, seed, cluster_size=2)
    rng = np.random.default_rng(seed)
    names = dict(zip(images["image_id"], rng.permutation([f"other{i}" for i in range(n)]), strict=True))
    shuffled = images.assign(image_id=images["image_id"].map(names)).iloc[rng.permutation(n)]
    renamed = predictions.assign(image_id=predictions["image_id"].map(names)).iloc[rng.permutation(n)]
    first = count_predictions(images, predictions, ["x", "y", "z"], ["a", "b"])["m"]
    second = count_predictions(shuffled, renamed, ["x", "y", "z"], ["a", "b"])["m"]
    pd.testing.assert_frame_equal(first.cells, second.cells)


def test_refusals_name_what_is_wrong() -> None:
    images, predictions = tables([("pos", "pos", "f"), ("neg", "neg", "m")])
    with pytest.raises(InputError, match=r"prediction 'pos' is no class.*'poz'"):
        count_predictions(images.assign(label="neg"), predictions, ["neg", "poz"], ["a"])
    with pytest.raises(InputError, match="attribute 'b' is not in the data"):
        count_predictions(images, predictions, CLASSES, ["b"])
    with pytest.raises(InputError, match="'i0' occurs twice"):
        count_predictions(images.assign(image_id="i0"), predictions, CLASSES, ["a"])
    with pytest.raises(InputError, match="'i1', which the images table does not have"):
        count_predictions(images[:1], predictions, CLASSES, ["a"])
    with pytest.raises(InputError, match="'i0' is predicted twice by model 'm'"):
        count_predictions(images, pd.concat([predictions, predictions]), CLASSES, ["a"])
    with pytest.raises(InputError, match="no column 'status'"):
        count_predictions(images, predictions.drop(columns="status"), CLASSES, ["a"])
    with pytest.raises(InputError, match=r"intersection \['a', 'aa'\] names 'aa'.*Did you mean 'a'"):
        count_predictions(images, predictions, CLASSES, ["a"], [["a", "aa"]])


@pytest.mark.parametrize("several", [["pos", "neg"], ("pos", "neg"), np.array(["pos", "neg"])])
def test_several_labels_an_image_are_refused(several: object) -> None:
    images, predictions = tables([("pos", "pos", "f"), ("neg", "neg", "m")])
    labels = pd.Series([several, "neg"], dtype=object)
    with pytest.raises(InputError, match=r"label \['pos', 'neg'\] names several classes; multi-label"):
        count_predictions(images.assign(label=labels), predictions, CLASSES, ["a"])
    with pytest.raises(InputError, match=r"prediction \['pos', 'neg'\] names several classes; multi-label"):
        count_predictions(images, predictions.assign(predicted=labels), CLASSES, ["a"])


def test_outputs_of_several_questions_are_no_probabilities() -> None:
    images, predictions = tables([("pos", "pos", "f"), ("neg", "neg", "m")])
    with pytest.raises(InputError, match=r"add up to 1\.7, allowed: shares of one whole.*multi-label"):
        count_predictions(images, predictions.assign(probabilities=[[0.5, 0.5], [0.8, 0.9]]), CLASSES, ["a"])


def test_one_class_is_refused() -> None:
    images, predictions = tables([("pos", "pos", "f"), ("pos", "pos", "m")])
    with pytest.raises(InputError, match=r"classes are \['pos'\], allowed: two or more"):
        count_predictions(images, predictions, ["pos"], ["a"])
    with pytest.raises(InputError, match="class 'pos' is named twice"):
        count_predictions(images, predictions, ["pos", "pos"], ["a"])
