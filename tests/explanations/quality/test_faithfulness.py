"""Deletion and insertion against hand-computed curves, a loop, and their invariances."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from audit.errors import InputError
from audit.explanations.quality import Explained, Stepping, deletion_and_insertion, faithfulness_cost
from audit.explanations.quality.explained import pixel_ranks
from audit.models.adapter import probabilities
from audit.models.numpy_adapter import NumpyAdapter
from tests.explanations.quality.planted import of_ones

WEIGHTS = np.array([[0.4, 0.1], [0.2, 0.3]])
FOUR = Stepping(steps=4)


def network(dtype: str = "float64", micro_batch: int = 32, size: int = 6) -> NumpyAdapter:
    rng = np.random.default_rng(3)
    weights = {
        "W1": rng.normal(size=(3, 5)),
        "b1": rng.normal(size=5),
        "W2": 4 * rng.normal(size=(5, 3)),
        "b2": np.zeros(3),
    }
    return NumpyAdapter(weights, (size, size, 3), ("a", "b", "c"), dtype=dtype, micro_batch=micro_batch)


def some(n: int = 4, size: int = 6) -> Explained:
    rng = np.random.default_rng(5)
    maps = {"one": rng.normal(size=(n, size, size)), "two": rng.integers(0, 3, (n, size, size)).astype(float)}
    return Explained(rng.normal(size=(n, size, size, 3)), rng.integers(0, 3, n), maps)


def test_curves_by_hand() -> None:
    model, explained = of_ones(WEIGHTS, ideal=WEIGHTS, worst=-WEIGHTS)
    found = deletion_and_insertion(model, explained, np.zeros((2, 2, 1)), FOUR)
    np.testing.assert_allclose(found["deletion"]["ideal"].values, [[1, 0.6, 0.3, 0.1, 0]])
    np.testing.assert_allclose(found["insertion"]["ideal"].values, [[0, 0.4, 0.7, 0.9, 1]], atol=1e-12)
    np.testing.assert_allclose(found["deletion"]["worst"].values, [[1, 0.9, 0.7, 0.4, 0]])
    np.testing.assert_allclose(found["deletion"]["ideal"].shares, [0, 0.25, 0.5, 0.75, 1])
    areas = {(curve, name): one.auc.values[0] for curve, by in found.items() for name, one in by.items()}
    assert areas == pytest.approx(
        {
            ("deletion", "ideal"): 0.375,
            ("deletion", "worst"): 0.625,
            ("insertion", "ideal"): 0.625,
            ("insertion", "worst"): 0.375,
        }
    )


def test_area_is_divided_by_the_starting_probability() -> None:
    model, whole = of_ones(WEIGHTS, n=2, ideal=WEIGHTS)
    explained = Explained(whole.images * np.array([0.5, 1])[:, None, None, None], whole.targets, whole.maps)
    found = deletion_and_insertion(model, explained, np.zeros(1), FOUR)
    np.testing.assert_allclose(found["deletion"]["ideal"].auc.values, [0.1875, 0.375])
    np.testing.assert_allclose(found["deletion"]["ideal"].normalised.values, [0.375, 0.375])
    np.testing.assert_allclose(found["insertion"]["ideal"].normalised.values, [0.625, 0.625])


def test_the_other_class_of_one_output() -> None:
    model, whole = of_ones(WEIGHTS, ideal=WEIGHTS)
    explained = Explained(whole.images, np.zeros(1, int), whole.maps)
    found = deletion_and_insertion(model, explained, np.zeros(1), FOUR)["deletion"]["ideal"]
    np.testing.assert_allclose(found.values, [[0, 0.4, 0.7, 0.9, 1]], atol=1e-12)
    assert found.auc.values[0] == pytest.approx(0.625)
    assert np.isnan(found.normalised.values[0])
    assert found.normalised.details[0] == "the starting probability is 0, below 0.05"
    assert found.normalised.status[0] == "undefined"
    assert found.auc.status[0] == "ok"


def test_steps_that_do_not_divide_the_pixels() -> None:
    model, explained = of_ones(np.full((1, 7), 1 / 7), ramp=np.arange(7.0)[None])
    found = deletion_and_insertion(model, explained, np.zeros(1), Stepping(steps=3), ["deletion"])
    np.testing.assert_allclose(found["deletion"]["ramp"].values, [[1, 5 / 7, 2 / 7, 0]], atol=1e-12)
    assert found["deletion"]["ramp"].auc.values[0] == pytest.approx(0.5)  # a straight line, whatever the steps
    assert list(found) == ["deletion"]


def test_against_a_loop() -> None:
    model, explained = network(), some()
    fill = np.random.default_rng(7).normal(size=explained.images.shape)
    found = deletion_and_insertion(model, explained, fill, Stepping(steps=5))
    ranks = pixel_ranks(explained.maps["one"], 0)
    for index, (image, target) in enumerate(zip(explained.images, explained.targets, strict=True)):
        order = np.argsort(ranks[index])
        assert list(order) == sorted(range(36), key=lambda p: -explained.maps["one"][index].ravel()[p])
        deleted, inserted = [], []
        for count in (0, 7, 14, 22, 29, 36):
            without, with_only = image.reshape(36, 3).copy(), fill[index].reshape(36, 3).copy()
            without[order[:count]] = fill[index].reshape(36, 3)[order[:count]]
            with_only[order[:count]] = image.reshape(36, 3)[order[:count]]
            for made, kept in ((without, deleted), (with_only, inserted)):
                scores = model.scores(made.reshape(1, 6, 6, 3))
                kept.append(probabilities(model.spec, scores)[0, target])
        np.testing.assert_allclose(found["deletion"]["one"].values[index], deleted, rtol=1e-12)
        np.testing.assert_allclose(found["insertion"]["one"].values[index], inserted, rtol=1e-12)
        widths = np.diff([0, 7, 14, 22, 29, 36]) / 36
        area = sum(w * (a + b) / 2 for w, a, b in zip(widths, deleted, deleted[1:], strict=False))
        assert found["deletion"]["one"].auc.values[index] == pytest.approx(area, rel=1e-12)


def test_the_ideal_map_beats_random_ones() -> None:
    rng = np.random.default_rng(11)
    weights = rng.exponential(size=(16, 16))
    weights /= weights.sum()
    model, explained = of_ones(weights, n=20, ideal=weights, random=rng.random((20, 16, 16)))
    found = deletion_and_insertion(model, explained, np.zeros(1), Stepping(steps=16))
    areas = {curve: {name: one.auc.values for name, one in by.items()} for curve, by in found.items()}
    assert areas["deletion"]["ideal"].max() < areas["deletion"]["random"].min() - 0.1
    assert areas["insertion"]["ideal"].min() > areas["insertion"]["random"].max() + 0.1
    assert areas["deletion"]["random"].mean() == pytest.approx(0.5, abs=0.01)


@settings(max_examples=40, deadline=None)
@given(
    arrays(np.float64, (3, 4), elements=st.integers(-6, 6).map(float)),
    arrays(np.float64, (3, 4), elements=st.floats(0, 1)),
    st.integers(1, 12),
    st.integers(0, 5),
)
def test_only_the_order_counts_and_the_two_curves_add_up(
    raw: np.ndarray, weights: np.ndarray, steps: int, seed: int
) -> None:
    weights = (weights + 0.1) / (weights + 0.1).sum()
    model, explained = of_ones(weights, raw=raw, scaled=3 * raw - 2, cubed=raw**3)
    found = deletion_and_insertion(model, explained, np.zeros(1), Stepping(steps=steps, seed=seed))
    for curve in ("deletion", "insertion"):
        for name in ("scaled", "cubed"):
            np.testing.assert_array_equal(found[curve][name].values, found[curve]["raw"].values)
    if np.ptp(raw) > 0:  # a linear model: what deletion leaves and insertion shows make up the whole
        both = found["deletion"]["raw"].values + found["insertion"]["raw"].values
        np.testing.assert_allclose(both, 1, rtol=1e-12)


@pytest.mark.parametrize("mask_bytes", [1, 36 * 4 * 3, 36 * 4 * 8, 36 * 4 * 9, 2**20])
@pytest.mark.parametrize("micro_batch", [1, 7, 32])
def test_any_micro_batch_and_any_block_equal_the_whole(
    monkeypatch: pytest.MonkeyPatch, mask_bytes: int, micro_batch: int
) -> None:
    explained, stepping = some(), Stepping(steps=5)
    fill = np.zeros(3)
    whole = deletion_and_insertion(network(), explained, fill, stepping)
    monkeypatch.setattr("audit.explanations.quality.faithfulness._MASK_BYTES", mask_bytes)
    model = network(micro_batch=micro_batch)
    found = deletion_and_insertion(model, explained, fill, stepping)
    for curve, by in whole.items():
        for name, one in by.items():
            np.testing.assert_allclose(found[curve][name].values, one.values, rtol=1e-12)
            np.testing.assert_allclose(found[curve][name].normalised.values, one.normalised.values, rtol=1e-12)
    assert model.used == 4 * faithfulness_cost(maps=2, steps=5) == 4 * (2 + 2 * 2 * 4)


def test_an_image_alone_has_the_curve_it_has_among_others() -> None:
    explained = some()
    whole = deletion_and_insertion(network(), explained, np.zeros(3), FOUR)
    for i in range(4):
        one = Explained(
            explained.images[i : i + 1],
            explained.targets[i : i + 1],
            {name: maps[i : i + 1] for name, maps in explained.maps.items()},
        )
        alone = deletion_and_insertion(network(), one, np.zeros(3), FOUR)
        np.testing.assert_allclose(alone["deletion"]["two"].values[0], whole["deletion"]["two"].values[i], rtol=1e-12)


def test_ties_follow_one_random_order_for_every_map() -> None:
    raw = np.zeros((2, 8, 8))
    raw[0, 0, 0] = raw[1, 7, 7] = 1
    ranks = pixel_ranks(raw, 0)
    assert ranks[0, 0] == 0
    assert ranks[1, 63] == 0
    tied = [np.delete(np.arange(64), drop) for drop in (0, 63)]
    first, second = (own[np.argsort(rank[own])] for rank, own in zip(ranks, tied, strict=True))
    assert [p for p in first if p != 63] == [p for p in second if p != 0]
    assert np.abs(np.corrcoef(first, np.arange(63))[0, 1]) < 0.35  # not along the rows
    assert not np.array_equal(ranks, pixel_ranks(raw, 1))
    np.testing.assert_array_equal(np.sort(ranks), np.tile(np.arange(64), (2, 1)))


def test_maps_of_whole_numbers_are_ranked_too() -> None:
    np.testing.assert_array_equal(pixel_ranks(np.array([[[3, 0], [1, 2]]], np.uint8), 0), [[0, 3, 2, 1]])


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (np.zeros((2, 2)), "the map is zero everywhere"),
        (np.full((2, 2), -3.0), "the map is the same everywhere"),
        (np.array([[1, np.nan], [0, 0]]), "the map is not finite"),
        (np.array([[1, np.inf], [0, 0]]), "the map is not finite"),
    ],
)
def test_a_map_without_an_order_is_undefined(raw: np.ndarray, why: str) -> None:
    model, explained = of_ones(WEIGHTS, n=2, map=np.stack([raw, WEIGHTS]))
    for by in deletion_and_insertion(model, explained, np.zeros(1), FOUR).values():
        assert np.isnan(by["map"].values[0]).all()
        assert np.isfinite(by["map"].values[1]).all()
        for found in (by["map"].auc, by["map"].normalised):
            assert list(found.details) == [why, ""]
            assert list(found.status) == ["undefined", "ok"]
            assert list(np.isnan(found.values)) == [True, False]


def test_a_model_that_fails_on_an_image_leaves_it_undefined() -> None:
    model, whole = of_ones(WEIGHTS, n=2, ideal=WEIGHTS)
    images = whole.images.copy()
    images[1, 0, 0] = np.nan
    found = deletion_and_insertion(model, Explained(images, whole.targets, whole.maps), np.zeros(1), FOUR)["deletion"][
        "ideal"
    ]
    assert list(found.auc.details) == ["", "a score of a perturbed image is not finite"]
    assert found.auc.values[0] == pytest.approx(0.375)


def test_no_images_and_no_maps() -> None:
    model, explained = of_ones(WEIGHTS, n=0, ideal=WEIGHTS)
    assert deletion_and_insertion(model, explained, np.zeros(1), FOUR)["insertion"]["ideal"].values.shape == (0, 5)
    model, explained = of_ones(WEIGHTS)
    assert deletion_and_insertion(model, explained, np.zeros(1), FOUR) == {"deletion": {}, "insertion": {}}


def test_what_does_not_fit_is_named() -> None:
    model, explained = of_ones(WEIGHTS, ideal=WEIGHTS)
    with pytest.raises(InputError, match="curve 'deletoin' is unknown.*Did you mean 'deletion'"):
        deletion_and_insertion(model, explained, np.zeros(1), FOUR, ["deletoin"])
    with pytest.raises(InputError, match="steps are 5, allowed: 1 to the number of pixels, 4"):
        deletion_and_insertion(model, explained, np.zeros(1), Stepping(steps=5))
    with pytest.raises(InputError, match=r"map 'small' has shape \(1, 1, 1\).*resize it"):
        Explained(explained.images, explained.targets, {"small": np.ones((1, 1, 1))})
    with pytest.raises(InputError, match=r"targets have shape \(2,\), expected \(1,\)"):
        Explained(explained.images, np.ones(2, int), {})
    with pytest.raises(InputError, match="targets reach from 2 to 2, allowed: 0 to 1"):
        deletion_and_insertion(model, Explained(explained.images, np.array([2]), {}), np.zeros(1), FOUR)
