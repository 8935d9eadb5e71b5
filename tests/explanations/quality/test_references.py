"""Maps that know nothing of the model."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import sobel

from audit.explanations.quality import REFERENCES, random_maps, reference_maps
from audit.explanations.quality.references import centre_maps, edge_maps


def test_random_maps_belong_to_the_image() -> None:
    both = random_maps(["a", "b"], (16, 16))
    np.testing.assert_array_equal(random_maps(["b"], (16, 16))[0], both[1])
    assert abs(np.corrcoef(both[0].ravel(), both[1].ravel())[0, 1]) < 0.2
    assert not np.array_equal(random_maps(["a"], (16, 16), seed=1)[0], both[0])
    assert 0 <= both.min() < 0.05 < 0.95 < both.max() <= 1
    assert random_maps([], (3, 4)).shape == (0, 3, 4)


def test_random_maps_at_a_coarser_grid() -> None:
    found = random_maps([7], (8, 8), grid=(2, 1))[0]
    drawn = random_maps([7], (2, 1))[0]
    np.testing.assert_allclose(found[0], drawn[0, 0])
    np.testing.assert_allclose(found[-1], drawn[1, 0])
    assert np.ptp(found, axis=1).max() == pytest.approx(0)


def test_the_centre_is_a_gaussian() -> None:
    found = centre_maps(3, (5, 9), spread=0.25)
    assert found.shape == (3, 5, 9)
    assert found[0, 2, 4] == 1
    assert found[0, 0, 4] == pytest.approx(np.exp(-0.5 * (2 / 1.25) ** 2))
    assert found[0, 2, 0] == pytest.approx(np.exp(-0.5 * (4 / 2.25) ** 2))
    np.testing.assert_allclose(found[0], found[0, ::-1, ::-1])
    even = centre_maps(1, (4, 4))[0]
    assert even[1, 1] == even[2, 2] == even.max() < 1


def test_edges_of_a_slope_and_of_a_step() -> None:
    row, column = np.mgrid[:6, :7].astype(float)
    grey = np.repeat((3 * row + 4 * column)[None, ..., None], 3, axis=3)
    np.testing.assert_allclose(edge_maps(grey)[0, 1:-1, 1:-1], 8 * 5)  # Sobel weighs a unit slope by 8
    step = np.zeros((1, 4, 6, 2))
    step[0, :, 3:, 0] = 2  # grey is the mean of the channels: a step of 1
    np.testing.assert_allclose(edge_maps(step)[0], np.tile([0, 0, 4.0, 4, 0, 0], (4, 1)))
    assert not edge_maps(np.ones((1, 4, 4, 1))).any()


def test_edges_against_scipy_image_by_image() -> None:
    images = np.random.default_rng(0).random((3, 9, 7, 3))
    for image, found in zip(images, edge_maps(images), strict=True):
        grey = image.mean(axis=2)
        np.testing.assert_allclose(found, np.hypot(sobel(grey, axis=0), sobel(grey, axis=1)))


def test_all_of_them() -> None:
    images = np.random.default_rng(0).random((2, 6, 8, 3)).astype(np.float32)
    found = reference_maps(images, ["a", "b"], seed=3)
    assert tuple(found) == REFERENCES == ("random", "centre", "edges")
    assert {maps.shape for maps in found.values()} == {(2, 6, 8)}
    np.testing.assert_array_equal(found["random"], random_maps(["a", "b"], (6, 8), seed=3))
    np.testing.assert_array_equal(found["edges"], edge_maps(images))
