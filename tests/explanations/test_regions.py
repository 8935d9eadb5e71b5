"""Shares of attribution by region, derived by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from audit.errors import DataError
from audit.explanations.regions import region_mass, total_attribution

REGIONS = np.array([[0, 1], [2, 2]])
NAMES = {1: "object", 2: "ground", 3: "marker"}


def test_shares_by_hand() -> None:
    found = region_mass(np.array([[2.0, -3.0], [1.0, 4.0]]), REGIONS, NAMES)
    assert found["object"] == (0.3, 0.25, "ok")
    assert found["ground"] == (0.5, 0.5, "ok")


def test_an_empty_region_is_undefined_not_zero() -> None:
    assert region_mass(np.ones((2, 2)), REGIONS, NAMES)["marker"] == (None, 0.0, "undefined")


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_a_map_without_mass_is_undefined(value: float) -> None:
    found = region_mass(np.full((2, 2), value), REGIONS, NAMES)
    assert found["object"] == (None, 0.25, "undefined")


def test_a_small_map_is_resized_before_it_is_made_absolute() -> None:
    # [1, -1] becomes [1, .5, -.5, -1] over four pixels.
    found = region_mass(np.array([[1.0, -1.0]]), np.array([[1, 0, 0, 2]]), NAMES)
    assert found["object"].share == pytest.approx(1 / 3)
    assert found["ground"].share == pytest.approx(1 / 3)


def test_a_value_without_a_name_is_an_error() -> None:
    with pytest.raises(DataError, match=r"values \[7\] without a name"):
        region_mass(np.ones((2, 2)), np.array([[0, 7], [1, 1]]), NAMES)
    with pytest.raises(DataError, match="whole numbers"):
        region_mass(np.ones((2, 2)), np.ones((2, 2)), NAMES)


def test_total_is_summed_in_double_precision() -> None:
    assert total_attribution(np.full((1000, 1000), -0.1, np.float32)) == pytest.approx(1e5, rel=1e-7)


@given(arrays(np.float64, (4, 6), elements=st.floats(-5, 5)), arrays(np.int64, (4, 6), elements=st.integers(1, 3)))
def test_regions_that_cover_the_image_share_all_of_it(raw: np.ndarray, regions: np.ndarray) -> None:
    found = region_mass(raw, regions, NAMES)
    assert sum(region.area for region in found.values()) == pytest.approx(1)
    if total_attribution(raw) > 1e-300:
        assert sum(region.share or 0 for region in found.values()) == pytest.approx(1)
