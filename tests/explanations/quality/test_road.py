"""ROAD on models where the answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from audit.errors import InputError
from audit.explanations.quality import Explained, Removal, road_cost, road_curves
from audit.explanations.quality.explained import pixel_ranks
from audit.explanations.quality.imputation import linear_imputation
from tests.explanations.quality.planted import LinearAdapter, of_ones

EVEN = np.full((6, 6), 1 / 36)


def test_an_even_image_is_imputed_right_back() -> None:
    model, explained = of_ones(EVEN, n=2, ramp=np.arange(36.0).reshape(6, 6))
    found = road_curves(model, explained, Removal(noise=0.01))["ramp"]
    np.testing.assert_allclose(found.values, 1)  # no span, so no noise either
    np.testing.assert_allclose(found.auc.values, 1)
    np.testing.assert_allclose(found.shares * 36, [0, 4, 7, 11, 14, 18, 22, 25, 29, 32])


def blob() -> tuple[LinearAdapter, Explained]:
    """A bright patch that is all the model looks at, on black."""
    patch = np.zeros((12, 12))
    patch[4:8, 4:8] = 1 / 16
    images = np.repeat((patch[..., None] > 0).astype(float)[None], 5, axis=0)
    random = np.random.default_rng(2).random((5, 12, 12))
    maps = {"ideal": np.repeat(patch[None], 5, axis=0), "random": random}
    return LinearAdapter(patch), Explained(images, np.ones(5, int), maps)


def test_the_ideal_map_beats_random_ones() -> None:
    model, explained = blob()
    most = {name: one.auc.values for name, one in road_curves(model, explained, Removal()).items()}
    least = {name: one.auc.values for name, one in road_curves(model, explained, Removal(first="least")).items()}
    assert most["ideal"].max() < most["random"].min() - 0.1
    assert least["ideal"].min() > least["random"].max() + 0.03


def test_points_are_scores_of_imputed_images_with_noise_on_what_was_removed() -> None:
    model, explained = blob()
    removal = Removal(shares=(0.25, 0.5), noise=0.2, seed=4)
    found = road_curves(model, explained, removal)["random"]
    noise = np.random.default_rng(4).standard_normal((2, 12, 12, 1))
    ranks = pixel_ranks(explained.maps["random"], 4).reshape(5, 12, 12)
    weights = np.where(explained.maps["ideal"][0] > 0, 1 / 16, 0)
    for index in range(5):
        for place, count in enumerate((36, 72)):
            removed = ranks[index] < count
            expected = linear_imputation(explained.images[index], removed) + 0.2 * noise[place] * removed[..., None]
            assert found.values[index, place + 1] == pytest.approx((expected[..., 0] * weights).sum(), rel=1e-12)
    area = (found.values[:, :2].mean(axis=1) + found.values[:, 1:].mean(axis=1)) / 2
    np.testing.assert_allclose(found.auc.values, area)
    np.testing.assert_allclose(found.normalised.values, area / found.values[:, 0])


def test_any_batching_equals_the_whole() -> None:
    model, explained = blob()
    whole = road_curves(model, explained)
    small = LinearAdapter(explained.maps["ideal"][0], micro_batch=1)
    rows = [
        road_curves(
            small,
            Explained(
                explained.images[i : i + 1],
                explained.targets[i : i + 1],
                {name: maps[i : i + 1] for name, maps in explained.maps.items()},
            ),
        )
        for i in range(5)
    ]
    for name in explained.maps:
        np.testing.assert_allclose(np.concatenate([row[name].values for row in rows]), whole[name].values, rtol=1e-12)
    assert small.used == 5 * road_cost(maps=2, shares=9) == 5 * 19


def test_undefined_maps_and_no_images() -> None:
    model, explained = blob()
    maps = {"flat": np.ones((5, 12, 12)), **explained.maps}
    found = road_curves(model, Explained(explained.images, explained.targets, maps))
    assert set(found["flat"].auc.details) == {"the map is the same everywhere"}
    assert np.isnan(found["flat"].values).all()
    assert np.isfinite(found["ideal"].values).all()
    empty = Explained(explained.images[:0], explained.targets[:0], {"ideal": explained.maps["ideal"][:0]})
    assert road_curves(model, empty)["ideal"].values.shape == (0, 10)


@pytest.mark.parametrize("shares", [(), (0.0, 0.5), (0.5, 1.0), (0.5, 0.4), (0.5, 0.5)])
def test_shares_that_are_not_allowed(shares: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="allowed: ascending, above 0 and below 1"):
        Removal(shares=shares)


def test_other_settings_that_are_not_allowed() -> None:
    with pytest.raises(InputError, match="first removed is 'last', allowed: most, least"):
        Removal(first="last")  # type: ignore[arg-type]
    model, explained = of_ones(EVEN, ramp=np.arange(36.0).reshape(6, 6))
    with pytest.raises(InputError, match="too fine for 36 pixels"):
        road_curves(model, explained, Removal(shares=(0.001, 0.5)))
