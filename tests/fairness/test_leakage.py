"""Attribute leakage: what is in the embeddings is read, what is only in the clusters is not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from audit.errors import InputError
from audit.fairness.leakage import balanced_accuracy, leakage_table, ridge_probe
from audit.run.schema import columns
from tests.fairness.tables import pick


def frames(vectors: np.ndarray, groups: list[object], clusters: object = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Embeddings and images with one attribute."""
    ids = [f"i{place:04d}" for place in range(len(vectors))]
    images = pd.DataFrame({"image_id": ids, "label": "x", "status": "ok", "cluster": clusters, "attr_a": groups})
    embeddings = pd.DataFrame(
        {"model": "m", "image_id": ids, "embedding": list(vectors.astype(np.float32)), "status": "ok"}
    )
    return embeddings, images


def drawn(seed: int, apart: float, n: int = 200, dimensions: int = 8) -> tuple[np.ndarray, list[object]]:
    rng = np.random.default_rng(seed)
    group = rng.integers(2, size=n)
    vectors = rng.standard_normal((n, dimensions))
    vectors[:, 0] += apart * group
    return vectors, ["dark" if value else "light" for value in group]


def test_balanced_accuracy_by_hand_and_by_scikit_learn() -> None:
    # Of four images of the first group three are recognised, of the one of the second none.
    group, said = np.array([0, 0, 0, 0, 1]), np.array([0, 0, 0, 1, 0])
    assert balanced_accuracy(group, said) == pytest.approx((3 / 4 + 0) / 2)
    rng = np.random.default_rng(0)
    group, said = rng.integers(3, size=100), rng.integers(3, size=100)
    assert balanced_accuracy(group, said) == pytest.approx(balanced_accuracy_score(group, said), abs=1e-12)


def test_an_attribute_that_stands_in_the_embeddings_is_read() -> None:
    table = leakage_table(*frames(*drawn(0, 50.0)), ["a"], draws=19)
    assert list(table.columns) == columns("leakage")
    row = table.iloc[0]
    assert (row["value"], row["p"], row["status"]) == (1.0, pytest.approx(1 / 20), "ok")
    assert (row["groups"], row["n"], row["clusters"], row["dimensions"]) == (2, 200, 200, 8)
    assert row["baseline"] == pytest.approx(0.5, abs=0.05)
    assert row["baseline"] < row["baseline_high"] < 0.65
    assert row["method"] == "ridge, 5 folds, 19 permutations"


def test_an_attribute_that_does_not_is_not() -> None:
    ps = [leakage_table(*frames(*drawn(seed, 0.0, 80)), ["a"], seed=seed, draws=19)["p"].iloc[0] for seed in range(40)]
    assert sum(p <= 0.05 for p in ps) <= 6
    assert 0.3 < np.mean(ps) < 0.7


@pytest.mark.parametrize("groups", [2, 4])
def test_probe_is_scikit_learns_ridge_classifier(groups: int) -> None:
    rng = np.random.default_rng(groups)
    group = rng.choice(groups, 150, p=np.arange(1, groups + 1) / np.arange(1, groups + 1).sum())
    points = rng.standard_normal((150, 7)) * 3 + group[:, None]
    scaler = StandardScaler().fit(points[:100])
    probe = RidgeClassifier(alpha=7.0, class_weight="balanced").fit(scaler.transform(points[:100]), group[:100])
    said = ridge_probe(points[:100], group[:100], points[100:])
    assert (said == probe.predict(scaler.transform(points[100:]))).all()


def test_as_good_as_logistic_regression() -> None:
    vectors, groups = drawn(3, 1.5, 400, 20)
    rng = np.random.default_rng(0)
    clusters = [f"p{value}" for value in rng.integers(150, size=400)]
    row = leakage_table(*frames(vectors, groups, clusters), ["a"], draws=1).iloc[0]
    probe = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced"))
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=0)
    said = cross_val_predict(probe, vectors, groups, groups=clusters, cv=folds)
    assert row["value"] == pytest.approx(balanced_accuracy_score(groups, said), abs=0.04)


def test_people_are_not_taken_for_groups() -> None:
    # Every person has an embedding of its own, which says nothing of the group: only by image would it be read.
    rng = np.random.default_rng(0)
    people = rng.standard_normal((40, 30))[np.repeat(np.arange(40), 5)]
    groups = ["dark" if person % 2 else "light" for person in np.repeat(np.arange(40), 5)]
    clusters = [f"p{person}" for person in np.repeat(np.arange(40), 5)]
    by_person = leakage_table(*frames(people, groups, clusters), ["a"], draws=39).iloc[0]
    by_image = leakage_table(*frames(people, groups), ["a"], draws=39).iloc[0]
    assert by_image["value"] > 0.8
    assert by_person["value"] < by_person["baseline_high"] + 0.05
    assert by_person["p"] > 0.05
    assert by_person["clusters"] == 40


def test_one_odd_label_in_a_cluster_does_not_hide_the_rest() -> None:
    vectors, groups = drawn(0, 50.0)
    person = np.arange(200) // 2
    groups = [groups[2 * p] for p in person]
    vectors[:, 0] = np.where(np.array(groups) == "dark", 50.0, 0.0)
    groups[0] = "light" if groups[0] == "dark" else "dark"
    row = leakage_table(*frames(vectors, groups, [f"p{p}" for p in person]), ["a"], draws=19).iloc[0]
    assert row["value"] > 0.97
    assert row["p"] == pytest.approx(1 / 20)
    assert row["baseline"] < 0.6


def test_within_clusters_where_the_attribute_varies() -> None:
    rng = np.random.default_rng(1)
    person, light = np.repeat(np.arange(60), 2), np.tile([0, 1], 60)
    vectors = rng.standard_normal((60, 6))[person] + 0.1 * rng.standard_normal((120, 6))
    groups, clusters = [f"l{value}" for value in light], [f"p{value}" for value in person]
    assert leakage_table(*frames(vectors, groups, clusters), ["a"], draws=19)["p"].iloc[0] > 0.05
    vectors[:, 0] += 4 * light
    assert leakage_table(*frames(vectors, groups, clusters), ["a"], draws=19)["p"].iloc[0] == pytest.approx(0.05)


def test_small_and_missing_groups_are_left_out() -> None:
    vectors, groups = drawn(0, 50.0)
    groups = ["rare"] * 4 + [None] * 6 + groups[10:]
    row = leakage_table(*frames(vectors, groups), ["a"], draws=5).iloc[0]
    assert (row["groups"], row["n"]) == (2, 190)


@pytest.mark.parametrize(
    ("groups", "status"),
    [
        (["same"] * 200, "undefined"),
        (["same"] * 195 + ["rare"] * 5, "too_few_clusters"),
        ([None] * 200, "not_measured"),
    ],
)
def test_nothing_to_tell_apart(groups: list[object], status: str) -> None:
    row = leakage_table(*frames(drawn(0, 1.0)[0], groups), ["a"], draws=5).iloc[0]
    assert row["status"] == status
    assert row[["value", "baseline", "baseline_high", "p"]].isna().all()
    assert row["dimensions"] == 0


def test_equal_embeddings_are_undefined() -> None:
    assert leakage_table(*frames(np.ones((200, 8)), drawn(0, 1.0)[1]), ["a"], draws=5)["status"].iloc[0] == "undefined"


def test_failed_images_and_embeddings_do_not_count() -> None:
    embeddings, images = frames(*drawn(0, 50.0))
    images.loc[:9, "status"] = "unreadable"
    embeddings.loc[190:, "status"] = "error"
    assert leakage_table(embeddings, images, ["a"], draws=5)["n"].iloc[0] == 180
    assert leakage_table(embeddings.assign(status="error"), images, ["a"], draws=5)["status"].iloc[0] == "not_measured"


def test_order_and_names_change_nothing() -> None:
    vectors, groups = drawn(2, 1.0)
    embeddings, images = frames(vectors, groups)
    first = leakage_table(embeddings, images, ["a"], draws=9, seed=3)
    order = np.random.default_rng(0).permutation(200)
    shuffled = leakage_table(embeddings.iloc[order], images.iloc[order[::-1]], ["a"], draws=9, seed=3)
    pd.testing.assert_frame_equal(first, shuffled)
    renamed = images.assign(attr_a=images["attr_a"].map({"dark": "A", "light": "B"}))
    pd.testing.assert_frame_equal(first, leakage_table(embeddings, renamed, ["a"], draws=9, seed=3))


def test_two_models_and_wide_embeddings() -> None:
    vectors, groups = drawn(0, 8.0, 200, 100)
    embeddings, images = frames(vectors, groups)
    both = pd.concat([embeddings, embeddings.assign(model="n")])
    table = leakage_table(both, images, ["a"], draws=5)
    assert list(table["model"]) == ["m", "n"]
    assert pick(table, model="n")["dimensions"] == 64


def test_bad_input() -> None:
    embeddings, images = frames(*drawn(0, 1.0))
    with pytest.raises(InputError, match="no column 'embedding'"):
        leakage_table(embeddings.drop(columns="embedding"), images, ["a"])
    with pytest.raises(InputError, match="'i0000' occurs twice"):
        leakage_table(pd.concat([embeddings, embeddings.head(1)]), images, ["a"])
    with pytest.raises(InputError, match="'i0000', which the images table does not have"):
        leakage_table(embeddings, images.iloc[1:], ["a"])
    vectors = list(embeddings["embedding"])
    for place, wrong, says in (
        (3, np.full(8, np.nan), "'i0003' by model 'm' is not finite"),
        (4, np.zeros(7), r"\[7, 8\] numbers"),
    ):
        broken = embeddings.assign(embedding=[*vectors[:place], wrong, *vectors[place + 1 :]])
        with pytest.raises(InputError, match=says):
            leakage_table(broken, images, ["a"])
    with pytest.raises(InputError, match="attribute 'b'"):
        leakage_table(embeddings, images, ["b"])
