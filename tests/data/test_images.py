"""Decoding: every way to fail has a name, and preprocessing is what it says."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from audit.config import Preprocessing
from audit.data.images import decode, decode_regions, thumbnail, to_array

PLAIN = Preprocessing(size=(4, 6))


def saved(image: Image.Image, path: Path, **options: object) -> Path:
    image.save(path, **options)
    return path


def test_value_range_and_order(tmp_path: Path) -> None:
    pixels = np.zeros((2, 2, 3), np.uint8)
    pixels[0, 0] = (255, 128, 0)
    saved(Image.fromarray(pixels), tmp_path / "a.png")
    found = decode(tmp_path, "a.png", Preprocessing(size=(2, 2), scale=(-1, 1)), 100)
    assert found.status == "ok"
    assert found.array is not None
    assert found.array.dtype == np.float32
    np.testing.assert_allclose(found.array[0, 0], [1, 128 / 127.5 - 1, -1], atol=1e-6)
    flipped = decode(tmp_path, "a.png", Preprocessing(size=(2, 2), mode="BGR", mean=(0.5,) * 3, std=(0.25,) * 3), 100)
    assert flipped.array is not None
    np.testing.assert_allclose(flipped.array[0, 0], [-2, (128 / 255 - 0.5) * 4, 2], atol=1e-6)


def test_shorter_side_then_crop_is_the_centre() -> None:
    pixels = np.zeros((10, 20, 3), np.uint8)
    pixels[:, 5:15] = 255
    found = to_array(Image.fromarray(pixels), Preprocessing(shorter_side=10, crop=(10, 10)))
    assert found.shape == (10, 10, 3)
    assert found.min() == 1.0


def test_grey_has_one_channel() -> None:
    assert to_array(Image.new("RGB", (6, 4), (255, 255, 255)), Preprocessing(size=(4, 6), mode="L")).shape == (4, 6, 1)


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "CMYK", "I;16", "I"])
def test_every_mode_becomes_rgb(mode: str, tmp_path: Path) -> None:
    suffix = "tif" if mode in ("CMYK", "I", "I;16") else "png"
    saved(Image.new(mode, (6, 4)), tmp_path / f"a.{suffix}")
    found = decode(tmp_path, f"a.{suffix}", PLAIN, 100)
    assert found.status == "ok"
    assert found.array is not None
    assert found.array.shape == (4, 6, 3)


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    pixels = np.zeros((4, 8, 3), np.uint8)
    pixels[:, :4] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    found = decode(tmp_path, "a.png", Preprocessing(size=(8, 4)), 100)
    assert found.array is not None
    assert found.array[0].mean() > 0.9
    assert found.array[-1].mean() < 0.1


def test_each_failure_has_its_name(tmp_path: Path) -> None:
    whole = io.BytesIO()
    Image.effect_noise((64, 64), 50).save(whole, "PNG")
    (tmp_path / "cut.png").write_bytes(whole.getvalue()[:1000])
    (tmp_path / "text.png").write_text("hello")
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "folder.png").mkdir()
    saved(Image.new("1", (3000, 3000)), tmp_path / "large.png")
    (tmp_path.parent / "secret.png").write_bytes(whole.getvalue())
    (tmp_path / "link.png").symlink_to(tmp_path.parent / "secret.png")
    expected = {
        "cut.png": "unreadable",
        "text.png": "unsupported",
        "empty.png": "unsupported",
        "folder.png": "missing",
        "nothing.png": "missing",
        "large.png": "too_large",
        "link.png": "outside_root",
    }
    found = {name: decode(tmp_path, name, PLAIN, 1_000_000) for name in expected}
    assert {name: item.status for name, item in found.items()} == expected
    assert all(item.array is None and item.detail for item in found.values())


def test_regions_follow_the_image_by_nearest_neighbour(tmp_path: Path) -> None:
    labels = np.zeros((8, 8), np.uint8)
    labels[4:] = 3
    saved(Image.fromarray(labels), tmp_path / "r.png")
    found = decode_regions(tmp_path, "r.png", Preprocessing(size=(4, 4)), 100)
    assert isinstance(found, np.ndarray)
    assert set(np.unique(found)) == {0, 3}
    assert (found[2:] == 3).all()


def test_thumbnail_has_the_models_geometry() -> None:
    picture = Image.new("RGB", (600, 300))
    assert thumbnail(picture, Preprocessing(size=(48, 48))).size == (160, 160)
    assert thumbnail(picture, Preprocessing(shorter_side=32, crop=(32, 24))).size == (120, 160)
    assert max(thumbnail(picture, Preprocessing()).size) == 160
