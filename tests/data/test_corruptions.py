"""Corruptions: by hand on small pictures, against scipy, graded, and the same for everybody."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from audit.config import Preprocessing
from audit.data.corruptions import SEVERITIES, corrupt
from audit.data.images import decode, decode_pixels, scaled
from audit.data.synthetic import SyntheticSpec, draw
from audit.errors import InputError

PICTURES = draw(SyntheticSpec(24, 11)).images


def flat(*channels: int) -> np.ndarray:
    return np.full((6, 8, len(channels)), channels, np.uint8)


def test_contrast_by_hand() -> None:
    picture = flat(0)
    picture[:3] = 200
    worse = corrupt(picture, "contrast", 2, "a")  # half the distance from the mean of 100
    assert set(worse[:3].ravel()) == {150}
    assert set(worse[3:].ravel()) == {50}


def test_brightness_by_hand() -> None:
    worse = corrupt(flat(100, 50, 0), "brightness", 2, "a")  # the largest channel goes up by 51, the others with it
    np.testing.assert_array_equal(worse[0, 0], [151, 76, 0])
    np.testing.assert_array_equal(corrupt(flat(0, 0, 0), "brightness", 2, "a")[0, 0], [51, 51, 51])
    np.testing.assert_array_equal(corrupt(flat(250, 125, 0), "brightness", 5, "a")[0, 0], [255, 128, 0])
    np.testing.assert_array_equal(corrupt(flat(100), "brightness", 2, "a")[0, 0], [151])


@pytest.mark.parametrize("severity", range(1, 6))
@pytest.mark.parametrize("shape", [(48, 48, 3), (9, 64, 1), (5, 7, 3)])
def test_blur_is_scipys(shape: tuple[int, int, int], severity: int) -> None:
    picture = np.random.default_rng(2).integers(0, 256, shape, dtype=np.uint8)
    spread = SEVERITIES["blur"][severity - 1] * min(shape[:2])
    radius = max(1, round(4 * spread))
    expected = gaussian_filter(picture.astype(float), (spread, spread, 0), mode="reflect", radius=(radius, radius, 0))
    off = np.abs(corrupt(picture, "blur", severity, "a") - np.clip(expected, 0, 255))
    assert off.max() <= 0.5 + 1e-9


def test_noise_has_the_spread_that_is_named() -> None:
    grey = np.full((200, 200, 3), 128, np.uint8)
    for severity, spread in enumerate(SEVERITIES["noise"][:3], start=1):  # beyond, the ends of the range cut it
        difference = corrupt(grey, "noise", severity, "a").astype(float) - 128
        assert difference.std() == pytest.approx(255 * spread, rel=0.02)
        assert difference.mean() == pytest.approx(0, abs=0.5)


def test_jpeg_is_the_file_of_that_quality(tmp_path: Path) -> None:
    Image.fromarray(PICTURES[0]).save(tmp_path / "a.jpg", quality=25, subsampling="4:2:0")
    expected = np.asarray(Image.open(tmp_path / "a.jpg"))
    np.testing.assert_array_equal(corrupt(PICTURES[0], "jpeg", 3, "a"), expected)


@pytest.mark.parametrize("corruption", SEVERITIES)
def test_worse_with_severity_on_the_built_in_images(corruption: str) -> None:
    """The distance from the original grows from each severity to the next, on every image."""
    for number, picture in enumerate(PICTURES):
        original = picture.astype(float)
        copies = [corrupt(picture, corruption, severity, str(number)) for severity in range(1, 6)]
        distances = [np.sqrt(((copy - original) ** 2).mean()) for copy in copies]
        assert distances[0] > 0
        assert all(np.diff(distances) > 0), (corruption, number, distances)


@pytest.mark.parametrize("corruption", SEVERITIES)
@pytest.mark.parametrize("channels", [1, 3])
def test_bytes_in_bytes_out(corruption: str, channels: int) -> None:
    picture = np.ascontiguousarray(PICTURES[3][:40, :, :channels])
    before = picture.copy()
    worse = corrupt(picture, corruption, 5, "a")
    assert (worse.shape, worse.dtype) == (picture.shape, np.uint8)
    np.testing.assert_array_equal(picture, before)
    np.testing.assert_array_equal(worse, corrupt(picture, corruption, 5, "a"))


def test_noise_is_seeded_by_the_image_alone() -> None:
    grey = flat(128, 128, 128)
    assert (corrupt(grey, "noise", 3, "a") != corrupt(grey, "noise", 3, "b")).any()
    found = corrupt(grey, "noise", 1, "a").astype(int) - 128
    digest = hashlib.sha256(b"noise:a").digest()
    pattern = np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little"))).standard_normal(grey.shape)
    np.testing.assert_array_equal(found, np.rint(128 + 0.04 * 255 * pattern).astype(int) - 128)


@pytest.mark.parametrize("mode", ["RGB", "BGR", "L"])
def test_bytes_before_scaling_are_those_that_the_model_gets(mode: str, tmp_path: Path) -> None:
    Image.fromarray(PICTURES[1]).save(tmp_path / "a.png")
    channels = 1 if mode == "L" else 3
    preprocessing = Preprocessing(
        size=(20, 30), crop=(16, 24), mode=mode, scale=(-1, 1), mean=(0.1,) * channels, std=(0.5,) * channels
    )
    pixels = decode_pixels(tmp_path, "a.png", preprocessing, 10**6)
    assert isinstance(pixels, np.ndarray)
    assert pixels.shape == (16, 24, channels)
    whole = decode(tmp_path, "a.png", preprocessing, 10**6).array
    np.testing.assert_array_equal(scaled(pixels, preprocessing), whole)


def test_a_damaged_file_gives_its_reason(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("no picture")
    found = decode_pixels(tmp_path, "a.png", Preprocessing(), 10**6)
    assert not isinstance(found, np.ndarray)
    assert found.status == "unsupported"


@pytest.mark.parametrize(
    ("corruption", "severity", "picture", "words"),
    [
        ("blurr", 1, flat(1), "Did you mean 'blur'?"),
        ("blur", 0, flat(1), "severity is 0, allowed: 1 to 5"),
        ("blur", 1, flat(1, 2), r"uint8 \(6, 8, 2\)"),
        ("blur", 1, flat(1).astype(float), "float64"),
    ],
)
def test_what_is_refused(corruption: str, severity: int, picture: np.ndarray, words: str) -> None:
    with pytest.raises(InputError, match=words):
        corrupt(picture, corruption, severity, "a")
