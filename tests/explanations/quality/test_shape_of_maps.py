"""Complexity, pointing game and likeness, derived by hand and against SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import spearmanr

from audit.errors import DataError, InputError
from audit.explanations.quality import (
    effective_area,
    gini,
    mass_distance,
    pointing_game,
    ranked,
    same_size,
    spearman,
    top_overlap,
)
from audit.explanations.quality.measured import measure


def one(*values: float) -> np.ndarray:
    """A map of one row."""
    return np.array([[values]], float)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((0, 0, 0, 1), 0.75),
        ((1, 1, 1, 1), 0.0),
        ((1, -1, 1, -1), 0.0),
        ((0, 0, 1, 1), 0.5),
        ((1, 2, 3, 4), 0.25),  # 1 - 2 (.1 x 3.5 + .2 x 2.5 + .3 x 1.5 + .4 x .5) / 4
        ((4e300, -1e300, 2e300, 3e300), 0.25),
        ((4e-310, 1e-310, 2e-310, 3e-310), 0.25),
    ],
)
def test_gini_by_hand(values: tuple[float, ...], expected: float) -> None:
    assert gini(one(*values)).values[0] == pytest.approx(expected, abs=1e-12)


@settings(deadline=None)
@given(arrays(np.float64, (1, 3, 5), elements=st.floats(0.001, 5)))
def test_gini_is_half_the_relative_mean_difference(raw: np.ndarray) -> None:
    flat = raw.ravel()
    difference = np.abs(flat[:, None] - flat[None]).mean() / flat.mean()
    assert gini(raw).values[0] == pytest.approx(difference / 2, abs=1e-12)


@pytest.mark.parametrize(
    ("values", "mass", "expected"),
    [
        ((0, 0, 0, 1), 0.9, 0.25),
        ((8, -1, 1, 0), 0.9, 0.5),
        ((8, -1, 1, 0), 0.91, 0.75),
        ((0.1,) * 10, 0.9, 0.9),
        ((0.1,) * 10, 1.0, 1.0),
        ((3, 1, 0, 0), 1.0, 0.5),
    ],
)
def test_effective_area_by_hand(values: tuple[float, ...], mass: float, expected: float) -> None:
    assert effective_area(one(*values), mass).values[0] == pytest.approx(expected)


@pytest.mark.parametrize("function", [gini, effective_area])
def test_complexity_of_no_mass_is_undefined(function: object) -> None:
    maps = np.stack([np.zeros((2, 2)), np.full((2, 2), np.nan), np.full((2, 2), np.inf), np.eye(2)])
    found = function(maps)  # type: ignore[operator]
    assert list(found.details) == [
        "the map is zero everywhere",
        "the map is not finite",
        "the map is not finite",
        "",
    ]
    assert found.values[3] == 0.5
    assert np.isnan(found.values[:3]).all()
    assert function(maps[:0]).values.shape == (0,)  # type: ignore[operator]


def test_mass_out_of_range() -> None:
    with pytest.raises(InputError, match="mass is 90, allowed: above 0 and at most 1"):
        effective_area(one(1, 2), 90)


def test_pointing_game_by_hand() -> None:
    maps = np.array([[[1.0, -5], [2, 4]], [[1, 5], [5, 5]], [[9, 0], [0, 0]], [[9, 0], [0, 0]], [[0, 0], [0, 0]]])
    inside = np.array([[[0, 1], [0, 0]], [[0, 1], [0, 1]], [[0, 1], [1, 1]], [[0, 0], [0, 0]], [[1, 1], [1, 1]]], bool)
    found = pointing_game(maps, inside)
    np.testing.assert_allclose(found.values, [1, 2 / 3, 0, np.nan, np.nan])
    assert list(found.details) == ["", "", "", "the region is empty", "the map is zero everywhere"]


def test_pointing_game_resizes_before_the_absolute_value() -> None:
    # [3, -4] becomes [3, 1.25, -2.25, -4].
    inside = np.array([[[False, False, False, True]], [[True, False, True, False]]])
    np.testing.assert_array_equal(pointing_game(np.repeat(one(3, -4), 2, axis=0), inside).values, [1, 0])
    found = pointing_game(one(np.inf, 1), inside[:1])
    assert found.details[0] == "the map is not finite"


def test_pointing_game_refuses_what_is_no_mask() -> None:
    with pytest.raises(DataError, match=r"regions are float64 \(1, 1, 2\), expected bool \(1, H, W\)"):
        pointing_game(one(1, 2), one(0, 1))
    with pytest.raises(DataError, match=r"expected bool \(1, H, W\)"):
        pointing_game(one(1, 2), np.ones((2, 1, 2), bool))


@settings(deadline=None)
@given(
    arrays(np.float64, (3, 3, 4), elements=st.integers(-3, 3).map(float)),
    arrays(np.float64, (3, 3, 4), elements=st.floats(-5, 5)),
)
def test_spearman_against_scipy(first: np.ndarray, second: np.ndarray) -> None:
    found = spearman(ranked(first), ranked(second))
    for index in range(3):
        a, b = first[index].ravel(), second[index].ravel()
        if np.ptp(a) == 0 or np.ptp(b) == 0:
            assert np.isnan(found.values[index])
            assert "everywhere" in found.details[index]
        else:
            assert found.values[index] == pytest.approx(spearmanr(a, b).statistic, abs=1e-12)


def test_spearman_keeps_signs() -> None:
    assert spearman(ranked(one(-3, 0, 2)), ranked(one(3, 0, -2))).values[0] == pytest.approx(-1)
    assert spearman(ranked(one(-3, 0, 2)), ranked(one(1, 2, 3))).values[0] == pytest.approx(1)


def test_spearman_needs_one_size() -> None:
    with pytest.raises(InputError, match="bring them to the same size"):
        spearman(ranked(one(1, 2)), ranked(one(1, 2, 3)))
    first, second = same_size(one(1, 3), one(4, 3, 2, 1))
    np.testing.assert_allclose(first, one(1, 1.5, 2.5, 3))
    assert spearman(ranked(first), ranked(second)).values[0] == pytest.approx(-1)
    tall, wide = same_size(np.ones((1, 4, 2)), np.ones((1, 2, 6)))
    assert tall.shape == wide.shape == (1, 4, 6)


@pytest.mark.parametrize(
    ("first", "second", "share", "expected"),
    [
        ((4, 3, 2, 1), (4, 3, 2, 1), 0.5, 1),
        ((4, 3, 2, 1), (1, 2, 3, 4), 0.5, 0),
        ((4, 3, 2, 1), (4, 1, 3, 2), 0.5, 1 / 3),
        ((-4, 3, 2, 1), (4, 3, 2, 1), 0.25, 1),
        ((4, 3, 2, 1), (4, 3, 2, 1), 0.01, 1),
        # Three pixels tied for the second place: each belongs by a third.
        ((9, 1, 1, 1), (9, 1, 1, 1), 0.5, 1),
        ((9, 1, 1, 1), (9, 5, 1, 1), 0.5, (1 + 1 / 3) / (1 + 1 + 1 / 3 + 1 / 3)),
    ],
)
def test_top_overlap_by_hand(first: tuple, second: tuple, share: float, expected: float) -> None:  # type: ignore[type-arg]
    assert top_overlap(one(*first), one(*second), share).values[0] == pytest.approx(expected)
    assert top_overlap(one(*second), one(*first), share).values[0] == pytest.approx(expected)


def test_top_overlap_of_chance() -> None:
    rng = np.random.default_rng(0)
    found = top_overlap(rng.random((50, 40, 40)), rng.random((50, 40, 40)), 0.1)
    assert found.values.mean() == pytest.approx(0.1 / 1.9, abs=0.003)


def test_top_overlap_undefined() -> None:
    first = np.stack([one(1, -1)[0], one(np.inf, 1)[0], one(1, 2)[0], one(1, 2)[0]])
    second = np.stack([one(1, 2)[0], one(1, 2)[0], one(0, 0)[0], one(2, 1)[0]])
    found = top_overlap(first, second, 0.5)
    assert list(found.details) == [
        "the map is the same everywhere",
        "the map is not finite",
        "the map is zero everywhere",
        "",
    ]
    np.testing.assert_array_equal(found.values, [np.nan, np.nan, np.nan, 0])
    with pytest.raises(InputError, match="share of top pixels is 10, allowed: above 0 and at most 1"):
        top_overlap(first, second, 10)
    resized = top_overlap(one(np.inf, 1), one(1, 2, 3, 4))
    assert resized.details[0] == "the map is not finite"


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ((1, 3), (2, 6), 0),
        ((1, -3), (2, 6), 0),
        ((1, 0), (0, 5), 2),
        ((1, 1), (1, 3), 0.5),
        ((1e-300, 1e-300), (1e300, 3e300), 0.5),
    ],
)
def test_mass_distance_by_hand(first: tuple, second: tuple, expected: float) -> None:  # type: ignore[type-arg]
    assert mass_distance(one(*first), one(*second)).values[0] == pytest.approx(expected, abs=1e-12)


def test_mass_distance_of_two_sizes_and_undefined() -> None:
    # [1, 3] becomes [1, 1.5, 2.5, 3] / 8.
    assert mass_distance(one(1, 3), one(1, 1, 1, 1)).values[0] == pytest.approx(2 * (1 / 8 + 0.5 / 8))
    found = mass_distance(one(0, 0), one(1, 2))
    assert (found.details[0], found.status[0]) == ("the map is zero everywhere", "undefined")
    assert np.isnan(found.values[0])


def test_a_value_that_is_not_finite_gives_its_reason() -> None:
    found = measure(np.array([1.0, np.inf, 3.0]), np.array(["", "", "first"]), np.array(["", "", "second"]))
    np.testing.assert_array_equal(found.values, [1, np.nan, np.nan])
    assert list(found.details) == ["", "the value is not finite", "first"]
    assert list(found.status) == ["ok", "undefined", "undefined"]
