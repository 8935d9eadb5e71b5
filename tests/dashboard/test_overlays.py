"""How maps are laid over images: opacity, threshold and display scales, each by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dashboard.overlays import SCALES, Look, cells, kept, legend, levels, overlay, picture, png, reach

STRIP = legend(signed=False)[0]
BOTH = legend(signed=True)[0]


def floats(*rows: list[float]) -> np.ndarray:
    return np.array(rows, np.float32)


def test_opacity_goes_from_the_image_to_the_map() -> None:
    under = np.full((8, 8, 3), 200, np.uint8)
    values = floats([0, 0], [0, 2])
    assert np.array_equal(overlay(values, under, Look(opacity=0), signed=False), under)
    alone = overlay(values, under, Look(opacity=1, scale="own"), signed=False)
    assert alone[0, 0].tolist() == STRIP[0].tolist()
    assert alone[7, 7].tolist() == STRIP[255].tolist()
    half = overlay(values, under, Look(opacity=0.5, scale="own"), signed=False).astype(float)
    assert half[7, 7] == pytest.approx(0.5 * STRIP[255] + 0.5 * 200, abs=0.51)
    assert half[0, 0] == pytest.approx(0.5**4 * STRIP[0] + (1 - 0.5**4) * 200, abs=0.51)


def test_signed_map_tells_against_from_for() -> None:
    drawn = overlay(floats([-1, 1]), None, Look(), signed=True)
    assert drawn[0, 0].tolist() == BOTH[0].tolist()
    assert drawn[0, -1].tolist() == BOTH[255].tolist()
    assert overlay(floats([-1, 1]), None, Look(), signed=False)[0, 0].tolist() == STRIP[0].tolist()


def test_threshold_keeps_the_fewest_pixels_that_hold_the_mass() -> None:
    values = floats([4, -3], [2, 1])
    assert kept(values, 0.4).tolist() == [[True, False], [False, False]]
    assert kept(values, 0.41).tolist() == [[True, True], [False, False]]
    assert kept(values, 0.7).tolist() == [[True, True], [False, False]]
    assert kept(values, 0.9).tolist() == [[True, True], [True, False]]
    assert kept(values, 1.0).all()


def test_threshold_keeps_ties_together_and_nothing_without_mass() -> None:
    assert kept(floats([2, 2, 2, 0]), 0.3).tolist() == [[True, True, True, False]]
    assert kept(floats([1, 0]), 0.99).tolist() == [[True, False]]
    assert kept(floats([0, 0]), 0.5).all()


def test_what_the_threshold_hides_shows_the_image_in_grey() -> None:
    under = np.zeros((4, 4, 3), np.uint8)
    under[..., 0] = 100
    drawn = overlay(np.array(np.eye(4), np.float32), under, Look(1.0, 0.5, "own"), signed=False)
    assert drawn[0, 1].tolist() == [30, 30, 30]
    assert drawn[0, 0].tolist() == STRIP[255].tolist()
    alone = overlay(np.array(np.eye(4), np.float32), None, Look(1.0, 0.5, "own"), signed=False)
    assert (alone == 128).all(axis=2).any()


@pytest.mark.parametrize(
    ("scale", "limit", "wanted"),
    [
        ("own", None, [0.0, 0.25, -1.0, 0.75]),
        ("mass", None, [0.0, 0.25, -1.0, 0.75]),
        ("mass", 4.0, [0.0, 0.125, -0.5, 0.375]),  # 4 over a mean of 2 is twice an even spread
        ("mass", 1.0, [0.0, 0.5, -1.0, 1.0]),
        ("rank", None, [0.0, 1 / 3, -1.0, 2 / 3]),
    ],
)
def test_scales_by_hand(scale: str, limit: float | None, wanted: list[float]) -> None:
    assert levels(floats([0, 1, -4, 3]), scale, limit)[0].tolist() == pytest.approx(wanted)


@pytest.mark.parametrize("scale", list(SCALES))
def test_empty_map_has_no_level(scale: str) -> None:
    assert not levels(floats([0, 0]), scale).any()
    assert np.isfinite(overlay(np.array([[np.nan, np.inf]]), None, Look(scale=scale), signed=True)).all()


def test_shared_limit_is_that_of_the_map_that_reaches_farthest() -> None:
    even, corner = np.ones((168, 168), np.float32), np.zeros((168, 168), np.float32)
    corner[:42, :84] = 1  # an eighth of the area, so eight times an even spread
    assert reach([even], signed=False) == pytest.approx(1)
    assert reach([corner, even], signed=False) == pytest.approx(8)
    assert reach([-corner], signed=False) == 1
    assert reach([-corner], signed=True) == pytest.approx(8)
    assert reach([], signed=False) == 1
    outlier = even.copy()
    outlier[0, 0] = 1e6
    assert reach([outlier], signed=False) == 1  # one pixel in 28,000 does not darken the rest


def test_cells_are_squares_on_a_given_scale() -> None:
    drawn = cells(floats([0, 1], [2, 4]), 2.0, signed=False, side=8)
    assert drawn.shape == (8, 8, 3)
    assert drawn[0, 0].tolist() == STRIP[0].tolist()
    assert drawn[0, 7].tolist() == STRIP[128].tolist()
    assert drawn[7, 0].tolist() == drawn[7, 7].tolist() == STRIP[255].tolist()
    assert cells(floats([-3, 3]), 3.0, signed=True, side=2)[0, 0].tolist() == BOTH[0].tolist()


def test_scales_differ_in_lightness_for_the_colour_blind() -> None:
    grey = STRIP @ [0.299, 0.587, 0.114]
    assert (np.diff(grey) > -0.8).all()
    assert grey[255] - grey[0] > 200
    grey = BOTH @ [0.299, 0.587, 0.114]
    assert grey[128] == grey.max()
    assert (BOTH[:100, 2] > BOTH[:100, 0]).all()  # blue on one side
    assert (BOTH[156:, 0] > BOTH[156:, 2]).all()  # orange on the other


def test_unreadable_thumbnail_is_no_picture(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_bytes(b"no image")
    assert picture(tmp_path / "x.jpg") is None
    assert picture(None) is None


def test_png_loses_nothing(tmp_path: Path) -> None:
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (5, 4, 3), dtype=np.uint8)
    (tmp_path / "x.png").write_bytes(png(pixels))
    with Image.open(tmp_path / "x.png") as opened:
        assert np.array_equal(np.asarray(opened), pixels)
