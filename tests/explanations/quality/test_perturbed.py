"""Sensitivity to noise on the image and to shuffled weights."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from scipy.stats import spearmanr

from audit.errors import InputError, ModelError
from audit.explanations.quality import Cascade, Jitter, cascading_randomisation, map_sensitivity
from audit.explanations.quality.likeness import ranked, spearman
from audit.models.numpy_adapter import NumpyAdapter

IMAGES = np.random.default_rng(0).random((3, 5, 6, 2))


def grey(images: np.ndarray) -> dict[str, np.ndarray]:
    return {"grey": images.sum(axis=3), "still": np.broadcast_to(np.arange(30.0).reshape(5, 6), images.shape[:3])}


def test_sensitivity_against_a_loop() -> None:
    jitter = Jitter(copies=3, radius=0.1, seed=5)
    found = map_sensitivity(grey, IMAGES, grey(IMAGES), jitter)["grey"]
    rng = np.random.default_rng(5)
    patterns = [rng.uniform(-1, 1, (5, 6, 2)) for _ in range(3)]
    for index, image in enumerate(IMAGES):
        before = image.sum(axis=2)
        afters = [(image + 0.1 * np.ptp(image) * pattern).sum(axis=2) for pattern in patterns]
        changes = [np.linalg.norm(after - before) / np.linalg.norm(before) for after in afters]
        ranks = [1 - spearmanr(before.ravel(), after.ravel()).statistic for after in afters]
        assert found.mean_change.values[index] == pytest.approx(np.mean(changes), rel=1e-12)
        assert found.max_change.values[index] == pytest.approx(max(changes), rel=1e-12)
        assert found.mean_rank_change.values[index] == pytest.approx(np.mean(ranks), rel=1e-9)
        assert found.max_rank_change.values[index] == pytest.approx(max(ranks), rel=1e-9)


def test_a_map_that_ignores_the_image_does_not_move() -> None:
    found = map_sensitivity(grey, IMAGES, grey(IMAGES))["still"]
    for one in (found.mean_change, found.max_change, found.mean_rank_change, found.max_rank_change):
        np.testing.assert_allclose(one.values, 0, atol=1e-12)


def test_an_image_alone_moves_as_among_others() -> None:
    whole = map_sensitivity(grey, IMAGES, grey(IMAGES))["grey"].max_change.values
    alone = [map_sensitivity(grey, one, grey(one))["grey"].max_change.values[0] for one in np.split(IMAGES, 3)]
    np.testing.assert_allclose(alone, whole, rtol=1e-12)


def test_copies_keep_the_type_of_the_images() -> None:
    seen: list[np.dtype] = []

    def explain(images: np.ndarray) -> dict[str, np.ndarray]:
        seen.append(images.dtype)
        return grey(images)

    images = IMAGES.astype(np.float32)
    map_sensitivity(explain, images, grey(images), Jitter(copies=2))
    assert seen == [np.float32, np.float32]


def test_undefined_sensitivity_says_why() -> None:
    def explain(images: np.ndarray) -> dict[str, np.ndarray]:
        maps = images.sum(axis=3)
        maps[1] = np.nan
        maps[2] = 7
        return {"map": maps}

    before = IMAGES.sum(axis=3)
    before[0] = 0
    found = map_sensitivity(explain, IMAGES, {"map": before})["map"]
    assert list(found.mean_change.details) == [
        "the map is zero everywhere",
        "the map of a changed copy is not finite",
        "",
    ]
    assert list(found.max_rank_change.details) == [
        "the map is zero everywhere",
        "the map is not finite",
        "the map is the same everywhere",
    ]
    assert np.isfinite(found.max_change.values[2])


@pytest.mark.parametrize("wrong", [{"copies": 0}, {"radius": 0.0}, {"radius": -1.0}])
def test_settings_of_the_noise(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match="allowed: at least 1, and above 0"):
        Jitter(**wrong)  # type: ignore[arg-type]


def network() -> NumpyAdapter:
    rng = np.random.default_rng(1)
    weights = {"W1": rng.normal(size=(2, 8)), "b1": rng.normal(size=8)}
    weights |= {"W2": rng.normal(size=(8, 3)), "b2": rng.normal(size=3)}
    return NumpyAdapter(weights, (5, 6, 2), ("a", "b", "c"), dtype="float64")


def explained_by(model: NumpyAdapter) -> Mapping[str, np.ndarray]:
    done = model.gradient_pass(IMAGES, np.array([0, 1, 2]), ["features"])
    edges = IMAGES.sum(axis=3)
    return {"product": (done.input_gradient * IMAGES).sum(axis=3), "cam": done.cams["features"].grad_cam, "fake": edges}


def test_randomisation_against_a_loop() -> None:
    model = network()
    before = explained_by(model)
    found = cascading_randomisation(model, Cascade(["dense", "features"], seed=9), lambda: explained_by(model), before)
    assert found["cam"].depths == (1, 2)
    for place, layers in enumerate((["dense"], ["dense", "features"])):
        with model.randomised(layers, 9):
            after = explained_by(model)
        for name in ("product", "cam"):
            expected = [
                spearmanr(a.ravel(), b.ravel()).statistic for a, b in zip(before[name], after[name], strict=True)
            ]
            np.testing.assert_allclose(found[name].by_level.values[:, place], expected, atol=1e-12)
            assert max(expected) < 0.999
    np.testing.assert_allclose(found["cam"].mean.values, found["cam"].by_level.values.mean(axis=1))
    np.testing.assert_array_equal(found["cam"].counted, [2, 2, 2])


def test_a_map_that_ignores_the_model_stays_alike() -> None:
    model = network()
    found = cascading_randomisation(
        model, Cascade(["dense", "features"]), lambda: explained_by(model), explained_by(model)
    )
    np.testing.assert_allclose(found["fake"].mean.values, 1)
    assert found["product"].mean.values.max() < 0.999  # the untouched model, at 1, is no part of the mean


def test_weights_are_back_afterwards_also_after_a_failure() -> None:
    model = network()
    before = {layer: {name: array.copy() for name, array in own.items()} for layer, own in model.weights().items()}
    maps = explained_by(model)
    cascading_randomisation(model, Cascade(["dense", "features"]), lambda: explained_by(model), maps)

    def fails() -> Mapping[str, np.ndarray]:
        raise RuntimeError("out of luck")

    with pytest.raises(RuntimeError, match="out of luck"):
        cascading_randomisation(model, Cascade(["dense", "features"]), fails, maps)
    for layer, own in model.weights().items():
        for name, array in own.items():
            np.testing.assert_array_equal(array, before[layer][name])


def test_levels_that_are_undefined_are_left_out_and_counted() -> None:
    model = network()
    maps = {"map": IMAGES[..., 0]}
    levels = iter(
        [np.stack([IMAGES[0, ..., 1], np.zeros((5, 6)), np.zeros((5, 6))]), IMAGES[..., 1] * [[[1]], [[1]], [[0]]]]
    )
    found = cascading_randomisation(model, Cascade(["dense", "features"]), lambda: {"map": next(levels)}, maps)["map"]
    alike = spearman(ranked(IMAGES[..., 0]), ranked(IMAGES[..., 1])).values
    np.testing.assert_array_equal(found.counted, [2, 1, 0])
    np.testing.assert_allclose(found.mean.values, [alike[0], alike[1], np.nan])
    np.testing.assert_allclose(found.by_level.values, [[alike[0]] * 2, [np.nan, alike[1]], [np.nan] * 2])
    assert list(found.mean.details) == ["", "", "the map is zero everywhere"]


@pytest.mark.parametrize(
    ("count", "levels", "expected"),
    [
        (5, None, [1, 2, 3, 4, 5]),
        (5, 9, [1, 2, 3, 4, 5]),
        (5, 3, [1, 3, 5]),
        (20, 4, [1, 7, 14, 20]),
        (20, 2, [1, 20]),
        (20, 1, [20]),
        (1, None, [1]),
    ],
)
def test_levels_are_evenly_chosen(count: int, levels: int | None, expected: list[int]) -> None:
    assert Cascade([str(place) for place in range(count)], levels).depths() == expected


def test_a_cascade_of_nothing() -> None:
    for layers, levels in (([], None), (["dense"], 0)):
        with pytest.raises(InputError, match="allowed: at least one of each"):
            Cascade(layers, levels)
    model = network()
    with pytest.raises(ModelError, match="layer 'dens' holds no weights"):
        cascading_randomisation(model, Cascade(["dens"]), dict, explained_by(model))
