"""Slice discovery: a planted slice is found and confirmed, equal errors are not, halves are kept apart."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from audit.errors import InputError
from audit.fairness.excess import Units, excess_of_counts, excess_of_units
from audit.fairness.slices import slice_tables
from audit.fairness.vectors import Space
from audit.run.schema import columns
from tests.fairness.planted import Planted, planted

ATTRIBUTES = ["tone", "light"]


def sought(run: Planted, **settings: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    return slice_tables(run.embeddings, run.images, run.predictions, ATTRIBUTES, **settings)  # type: ignore[arg-type]


def test_numbers_are_those_of_the_confirm_half() -> None:
    run = planted(1, apart=8.0)
    slices, members = sought(run)
    assert list(slices.columns) == columns("slices")
    assert list(members.columns) == columns("slice_images")
    wrong = dict(zip(run.images["image_id"], run.images["label"] != run.predictions["predicted"], strict=True))
    first = slices.iloc[0]
    ids = members[(members["slice"] == first["slice"]) & (members["half"] == "confirm")]["image_id"]
    errors = sum(wrong[name] for name in ids)
    assert first["n"] == first["clusters"] == len(ids)
    assert first["value"] == pytest.approx(errors / len(ids))
    rest = round(first["rest"] * (500 - len(ids)))
    assert first["rest"] == pytest.approx(rest / (500 - len(ids)), abs=1e-12)
    table = [[errors, len(ids) - errors], [rest, 500 - len(ids) - rest]]
    assert first["p"] == pytest.approx(stats.fisher_exact(table, alternative="greater").pvalue, rel=1e-9)
    assert np.allclose(slices["p_adjusted"], multipletests(slices["p"], method="holm")[1])
    assert first["low"] < first["difference"] < first["high"]


def test_a_planted_slice_is_found_confirmed_and_described() -> None:
    run = planted(1, apart=8.0)
    slices, members = sought(run)
    first = slices.iloc[0]
    assert first["confirmed"]
    assert run.overlap(members[members["slice"] == first["slice"]]["image_id"]) > 0.9
    assert first["makeup"].startswith("tone dark ")
    assert "light" not in first["makeup"]
    assert run.images["attr_tone"].eq("dark").mean() == pytest.approx(0.32, abs=0.03)


@pytest.mark.parametrize("cluster_size", [1, 3])
def test_planted_slices_are_found_on_most_seeds(cluster_size: int) -> None:
    found = 0
    for seed in range(10):
        run = planted(seed, apart=5.0, cluster_size=cluster_size)
        slices, members = sought(run, seed=seed)
        names = slices[slices["confirmed"]]["slice"]
        found += max((run.overlap(members[members["slice"] == name]["image_id"]) for name in names), default=0) > 0.5
    assert found >= 8


@pytest.mark.parametrize("cluster_size", [1, 4])
def test_equal_errors_are_rarely_confirmed(cluster_size: int) -> None:
    runs = [sought(planted(seed, images=400, excess=0.0, cluster_size=cluster_size), seed=seed) for seed in range(12)]
    assert sum(slices["confirmed"].any() for slices, _ in runs) <= 2


def test_no_person_is_in_both_halves() -> None:
    run = planted(2, cluster_size=4)
    _, members = sought(run)
    person = run.images.set_index("image_id")["cluster"]
    halves = {half: set(person[part["image_id"]]) for half, part in members.groupby("half")}
    assert set(halves) == {"search", "confirm"}
    assert not halves["search"] & halves["confirm"]


def test_the_most_typical_images_come_first() -> None:
    _, members = sought(planted(3, apart=8.0))
    for _, part in members.groupby(["slice", "half"]):
        assert part["distance"].is_monotonic_increasing


def test_order_of_rows_changes_nothing_and_the_seed_does() -> None:
    run = planted(4, images=300)
    first = sought(run, seed=1)
    order = np.random.default_rng(0).permutation(300)
    turned = Planted(run.images.iloc[order], run.predictions.iloc[order[::-1]], run.embeddings.iloc[order], run.inside)
    for one, other in zip(first, sought(turned, seed=1), strict=True):
        pd.testing.assert_frame_equal(one, other, rtol=1e-6)
    assert not first[1].equals(sought(run, seed=2)[1])


def test_classes_may_be_renamed() -> None:
    run = planted(5, images=300, apart=8.0)
    names = {"cat": "zebra", "dog": "ape"}
    images = run.images.assign(label=run.images["label"].map(names))
    predictions = run.predictions.assign(predicted=run.predictions["predicted"].map(names))
    slices, _ = slice_tables(run.embeddings, images, predictions, ATTRIBUTES)
    numbers = ["n", "value", "rest", "p", "p_adjusted"]
    pd.testing.assert_frame_equal(slices[numbers], sought(run)[0][numbers])


def changed(run: Planted, kind: str) -> Planted:
    """The same run with nothing to find, in one of several ways."""
    images, predictions, embeddings = run.images, run.predictions, run.embeddings
    if kind == "equal":
        embeddings = embeddings.assign(embedding=[np.ones(4, np.float32)] * len(embeddings))
    elif kind == "right":
        predictions = predictions.assign(predicted=images["label"])
    elif kind == "few":
        embeddings = embeddings.head(30)
    elif kind == "failed":
        embeddings = embeddings.assign(status="error")
    elif kind == "persons":
        images = images.assign(cluster=[f"p{place % 3}" for place in range(len(images))])
    return Planted(images, predictions, embeddings, run.inside)


@pytest.mark.parametrize(
    ("kind", "status", "n"),
    [
        ("equal", "undefined", 100),
        ("right", "undefined", 100),
        ("few", "too_few_clusters", 30),
        ("failed", "not_measured", 0),
        ("persons", "too_few_clusters", 100),
    ],
)
def test_nothing_to_search_has_a_status(kind: str, status: str, n: int) -> None:
    slices, members = sought(changed(planted(0, images=100), kind))
    assert len(slices) == 1
    row = slices.iloc[0]
    assert (row["status"], row["n"], bool(row["confirmed"])) == (status, n, False)
    assert row[["slice", "value", "rest", "difference", "low", "high", "p", "p_adjusted", "makeup"]].isna().all()
    assert members.empty
    assert list(members.columns) == columns("slice_images")


def test_few_distinct_embeddings_are_searched_all_the_same() -> None:
    run = planted(0, images=200)
    two = [np.full(3, float(value), np.float32) for value in run.inside]
    slices, _ = sought(Planted(run.images, run.predictions, run.embeddings.assign(embedding=two), run.inside))
    assert set(slices["status"]) <= {"ok", "too_few_clusters"}


def test_two_models_are_searched_apart() -> None:
    run = planted(6, images=300)
    both = [pd.concat([frame, frame.assign(model="n")]) for frame in (run.predictions, run.embeddings)]
    slices, _ = slice_tables(both[1], run.images, both[0], [])
    assert list(slices["model"].unique()) == ["m", "n"]
    assert not slices["makeup"].str.contains("tone").any()


def test_bad_input() -> None:
    run = planted(0, images=100)
    with pytest.raises(InputError, match="attribute 'tine'"):
        slice_tables(run.embeddings, run.images, run.predictions, ["tine"])
    with pytest.raises(InputError, match="alpha is 2"):
        sought(run, alpha=2.0)
    with pytest.raises(InputError, match="which the images table does not have"):
        slice_tables(run.embeddings.assign(image_id="ghost").head(1), run.images, run.predictions, [])


def test_excess_by_hand() -> None:
    # Two people in the group: 2 of 2 and 0 of 1 hit, one of them with 1 of 2 hits outside too; a third is outside, 0 of 3.
    units = Units(
        np.array([0, 0]), np.array([0, 1]), np.array([2.0, 0.0]), np.array([2.0, 1.0]),
        np.array([3.0, 0.0, 0.0]), np.array([4.0, 1.0, 3.0]),
    )  # fmt: skip
    found = excess_of_units(units, 1)
    assert (found.own.count[0], found.own.total[0], found.own.clusters[0]) == (2, 3, 2)
    assert (found.rest.count[0], found.rest.total[0], found.rest.clusters[0]) == (1, 5, 2)
    assert found.difference[0] == pytest.approx(2 / 3 - 1 / 5)
    # Residuals 2 - 2/3 * 2 and 0 - 2/3 inside; 1 - 1/5 * 2 and 0 - 1/5 * 3 outside; they meet in the first person.
    assert found.own.variance[0] == pytest.approx(2 * ((2 / 3) ** 2 + (2 / 3) ** 2) / 9)
    assert found.rest.variance[0] == pytest.approx(2 * (0.6**2 + 0.6**2) / 25)
    assert found.correlation[0] == pytest.approx((2 / 3) * 0.6 / np.sqrt(2 * (2 / 3) ** 2 * 2 * 0.6**2))


def test_one_sided_p_is_exact_without_clusters() -> None:
    found = excess_of_counts([9, 3, 0], [20, 20, 0], (30, 100))
    for place, count in enumerate((9, 3)):
        table = [[count, 20 - count], [30 - count, 50 + count]]
        higher, lower = (stats.fisher_exact(table, alternative=side).pvalue for side in ("greater", "less"))
        assert (found.p_higher()[place], found.p_lower()[place]) == pytest.approx((higher, lower), rel=1e-9)
    assert np.isnan(found.p_higher()[2])


def test_components_are_fitted_on_one_half_only() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((200, 6)) * [5, 1, 1, 1, 1, 0]
    space = Space.fit(vectors, 10)
    assert space is not None
    points = space.apply(vectors)
    assert points.shape == (200, 5)
    assert np.allclose(np.cov(points.T, bias=True), np.diag(space.spread**2), atol=0.05)
    assert np.isfinite(space.apply(1e12 * rng.standard_normal((3, 6)))).all()
    assert Space.fit(np.ones((10, 3)), 2) is None
