"""Fills and the imputation of ROAD, against hand-computed values and a dense system."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from audit.errors import InputError
from audit.explanations.quality import FILLS, filled
from audit.explanations.quality.fills import blurred, image_span, mean_colour
from audit.explanations.quality.imputation import linear_imputation


def test_mean_colour_by_hand() -> None:
    image = np.array([[[1.0, 10], [2, 10]], [[3, 10], [6, 30]]])
    found = mean_colour(np.stack([image, -image]))
    np.testing.assert_allclose(found[0], np.broadcast_to([3.0, 15], (2, 2, 2)))
    np.testing.assert_allclose(found[1], -found[0])


def test_blur_of_a_point_is_the_gaussian() -> None:
    images = np.zeros((1, 41, 60, 2))
    images[0, 20, 30, 1] = 1
    found = blurred(images, 0.05)  # of the shorter side, 41
    deviation = 0.05 * 41
    line = np.exp(-0.5 * (np.arange(-8, 9) / deviation) ** 2)
    kernel = np.outer(line, line) / line.sum() ** 2
    np.testing.assert_allclose(found[0, 12:29, 22:39, 1], kernel, rtol=1e-10)
    assert not found[0, :, :, 0].any()
    assert found.sum() == pytest.approx(1)


def test_blur_keeps_an_even_image_and_the_type() -> None:
    found = blurred(np.full((2, 16, 16, 3), 0.25, np.float32))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, 0.25, rtol=1e-6)


def test_fills_by_name() -> None:
    images = np.random.default_rng(0).random((2, 8, 8, 3))
    assert set(FILLS) == {"blur", "mean"}
    np.testing.assert_array_equal(filled("blur", images), blurred(images))
    np.testing.assert_array_equal(filled("mean", images), mean_colour(images))
    with pytest.raises(InputError, match="fill 'blurr' is unknown, allowed: blur, mean. Did you mean 'blur'"):
        filled("blurr", images)
    with pytest.raises(InputError, match="spread of the blur is 0"):
        blurred(images, 0)


def test_span_of_an_image() -> None:
    images = np.zeros((2, 2, 2, 3))
    images[0, 0, 0, 2], images[0, 1, 1, 0] = -1, 2
    np.testing.assert_array_equal(image_span(images), [3, 0])


def slope(height: int = 7, width: int = 9) -> np.ndarray:
    """An image whose two channels are linear in row and column."""
    row, column = np.mgrid[:height, :width].astype(float)
    return np.stack([2 * row - 3 * column + 1, 0.5 * column], axis=2)


def test_an_isolated_pixel_of_a_slope_comes_back_exactly() -> None:
    image, removed = slope(), np.zeros((7, 9), bool)
    removed[2, 3] = removed[5, 7] = True
    spoilt = np.where(removed[..., None], 99.0, image)
    np.testing.assert_allclose(linear_imputation(spoilt, removed), image, atol=1e-12)


def test_a_corner_is_the_scaled_mean_of_three_neighbours() -> None:
    image = np.array([[[7.0], [10]], [[20], [40]]])
    removed = np.array([[True, False], [False, False]])
    found = linear_imputation(image, removed)
    assert found[0, 0, 0] == pytest.approx((10 / 6 + 20 / 6 + 40 / 12) / (5 / 12))
    np.testing.assert_array_equal(found[~removed], image[~removed])


def test_one_pixel_left_spreads_everywhere() -> None:
    removed = np.ones((4, 6), bool)
    removed[3, 1] = False
    image = np.random.default_rng(0).random((4, 6, 2))
    np.testing.assert_allclose(linear_imputation(image, removed), np.broadcast_to(image[3, 1], (4, 6, 2)))


def dense(image: np.ndarray, removed: np.ndarray) -> np.ndarray:
    """The same, equation by equation, by a dense solve."""
    height, width, channels = image.shape
    system, right = np.eye(height * width), image.reshape(-1, channels).astype(float).copy()
    for row in range(height):
        for column in range(width):
            if not removed[row, column]:
                continue
            here = row * width + column
            right[here] = 0
            near = {
                (row + down, column + across): 1 / 6 if 0 in (down, across) else 1 / 12
                for down in (-1, 0, 1)
                for across in (-1, 0, 1)
                if (down, across) != (0, 0) and 0 <= row + down < height and 0 <= column + across < width
            }
            for (y, x), weight in near.items():
                system[here, y * width + x] -= weight / sum(near.values())
    return np.linalg.solve(system, right).reshape(image.shape)


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(st.integers(2, 6), st.integers(2, 6)).flatmap(
        lambda size: st.tuples(arrays(np.float32, (*size, 2), elements=st.floats(-2, 2, width=32)), arrays(bool, size))
    ),
    st.booleans(),
)
def test_against_a_dense_solve(given_: tuple[np.ndarray, np.ndarray], sparse: bool) -> None:
    image, removed = given_
    if removed.all():
        removed[0, 0] = False
    with pytest.MonkeyPatch.context() as patch:
        if sparse:
            patch.setattr("audit.explanations.quality.imputation._BAND_BYTES", 0)
        found = linear_imputation(image, removed)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, dense(image, removed), atol=1e-10)
    np.testing.assert_array_equal(found[~removed], image[~removed].astype(float))


def test_one_row_and_one_column() -> None:
    image = np.array([0.0, 9, 9, 3])[None, :, None]
    removed = np.array([[False, True, True, False]])
    np.testing.assert_allclose(linear_imputation(image, removed)[0, :, 0], [0, 1, 2, 3])
    across = linear_imputation(image.swapaxes(0, 1), removed.T)
    np.testing.assert_allclose(across[:, 0, 0], [0, 1, 2, 3])


def test_nothing_to_impute_from() -> None:
    with pytest.raises(InputError, match="every pixel is removed"):
        linear_imputation(np.ones((2, 2, 1)), np.ones((2, 2), bool))
    with pytest.raises(InputError, match=r"expected \(H, W, C\) and \(H, W\) bool"):
        linear_imputation(np.ones((2, 2, 1)), np.ones((2, 3), bool))
    np.testing.assert_array_equal(linear_imputation(np.ones((2, 2, 1)), np.zeros((2, 2), bool)), np.ones((2, 2, 1)))
