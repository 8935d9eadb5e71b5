"""Datasets of torchvision as a source: lossless bytes, names of classes, and arguments that a config may give."""

from __future__ import annotations

import hashlib
import pickle
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from audit.config import DataConfig, Preprocessing, parse_config
from audit.data.images import decode, load_arrays
from audit.data.manifest import MISSING, Dataset, load_dataset
from audit.data.torchvision_store import TorchvisionStore
from audit.errors import ConfigError, DataError

pytestmark = pytest.mark.torch
torchvision = pytest.importorskip("torchvision")

PLAIN = Preprocessing()
FAKE = {"name": "FakeData", "arguments": {"size": 5, "image_size": [3, 4, 6], "num_classes": 3}}


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reaches a network."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def load(folder: Path, source: dict[str, Any], **keys: Any) -> Dataset:
    return load_dataset(parse_config(DataConfig, {"torchvision": source, **keys}, where="test"), folder)


def photos(folder: Path) -> list[np.ndarray]:
    """A folder of four pictures of two classes: RGB, grey, with transparency, and one that is stored turned."""
    rng = np.random.default_rng(0)
    for name in ("happy", "sad"):
        (folder / name).mkdir(parents=True)
    stored = [rng.integers(0, 256, (4, 6, 3), np.uint8), rng.integers(0, 256, (4, 6), np.uint8)]
    Image.fromarray(stored[0]).save(folder / "happy" / "a.png")
    Image.fromarray(stored[1]).save(folder / "happy" / "b.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = rng.integers(0, 256, (4, 6, 3), np.uint8)
    Image.fromarray(turned).save(folder / "sad" / "c.png", exif=exif)
    Image.fromarray(stored[0][::-1].copy()).save(folder / "sad" / "d.png")
    return [stored[0], np.repeat(stored[1][:, :, None], 3, axis=2), np.rot90(turned, -1), stored[0][::-1]]


def test_folder_of_pictures_is_decoded_as_by_hand(tmp_path: Path) -> None:
    """Orientation 6 is a quarter turn to the right; grey becomes three equal channels."""
    expected = photos(tmp_path / "photos")
    found = load(tmp_path, {"name": "ImageFolder", "root": "photos"})
    assert list(found.rows["path"]) == ["000000", "000001", "000002", "000003"]
    assert list(found.rows["label"]) == ["happy", "happy", "sad", "sad"]
    for path, pixels in zip(found.rows["path"], expected, strict=True):
        decoded = decode(found.place, path, PLAIN, 1000)
        assert decoded.array is not None
        np.testing.assert_array_equal(np.rint(decoded.array * 255).astype(np.uint8), pixels)


def test_folder_is_decoded_as_the_same_files_are(tmp_path: Path) -> None:
    photos(tmp_path / "photos")
    ours = load(tmp_path, {"name": "ImageFolder", "root": "photos"})
    plain = load_dataset(parse_config(DataConfig, {"image_folder": "photos"}, where="test"), tmp_path)
    assert list(ours.rows["label"]) == list(plain.rows["label"])
    small = Preprocessing(size=(3, 3), mode="BGR", mean=(0.1, 0.2, 0.3))
    first, second = (load_arrays(dataset, small, 1000) for dataset in (ours, plain))
    assert len(first.images) == 4
    np.testing.assert_array_equal(first.images, second.images)


def test_digest_is_of_the_pixels_and_the_size(tmp_path: Path) -> None:
    """PPM by hand: ``P6``, width and height, 255, then the bytes of the pixels row by row."""
    expected = photos(tmp_path / "photos")
    found = load(tmp_path, {"name": "ImageFolder", "root": "photos"})
    for path, pixels in zip(found.rows["path"], expected, strict=True):
        header = f"P6\n{pixels.shape[1]} {pixels.shape[0]}\n255\n".encode()
        written = header + np.ascontiguousarray(pixels).tobytes()
        assert decode(found.place, path, PLAIN, 1000).sha256 == hashlib.sha256(written).hexdigest()


def test_fake_data_is_the_same_whenever_it_is_read(tmp_path: Path) -> None:
    found, again = load(tmp_path, FAKE), load(tmp_path, FAKE)
    straight = torchvision.datasets.FakeData(5, (3, 4, 6), 3)
    assert list(found.rows["label"]) == [str(int(straight[place][1])) for place in range(5)]
    assert found.fingerprint == again.fingerprint
    for place, path in enumerate(found.rows["path"]):
        first, second = (decode(dataset.place, path, PLAIN, 1000) for dataset in (found, again))
        assert first.sha256 == second.sha256
        assert first.array is not None
        np.testing.assert_array_equal(np.rint(first.array * 255), np.asarray(straight[place][0]))


def test_cifar_reads_local_files_and_names_its_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = torchvision.datasets.CIFAR10
    folder = tmp_path / "data" / kind.base_folder
    folder.mkdir(parents=True)
    pixels = np.random.default_rng(1).integers(0, 256, (3, 3072), np.uint8)
    content = {
        "test_batch": {"data": pixels, "labels": [3, 0, 9]},
        "batches.meta": {
            "label_names": ["plane", "car", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
        },
    }
    for name, part in content.items():
        (folder / name).write_bytes(pickle.dumps(part))
    digests = {name: hashlib.md5((folder / name).read_bytes(), usedforsecurity=False).hexdigest() for name in content}
    monkeypatch.setattr(kind, "train_list", [])
    monkeypatch.setattr(kind, "test_list", [["test_batch", digests["test_batch"]]])
    monkeypatch.setattr(kind, "meta", {**kind.meta, "md5": digests["batches.meta"]})
    source = {"name": "CIFAR10", "root": "data", "arguments": {"train": False}}
    table = pd.DataFrame({"image": ["000000", "000002"], "light": ["day", "night"]})
    table.to_parquet(tmp_path / "light.parquet")
    found = load(tmp_path, source, attributes_table="light.parquet", groups=["light"])
    assert list(found.rows["label"]) == ["cat", "plane", "truck"]
    assert list(found.rows["attr_light"]) == ["day", MISSING, "night"]
    decoded = decode(found.place, "000001", PLAIN, 2000)
    assert decoded.array is not None
    np.testing.assert_array_equal(np.rint(decoded.array * 255), pixels[1].reshape(3, 32, 32).transpose(1, 2, 0))


def test_attributes_of_the_dataset_become_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As CelebA's: a name a column, the last name empty."""

    class Faces(torchvision.datasets.VisionDataset):  # type: ignore[misc, name-defined]
        attr_names = ["Smiling", "Male", ""]  # noqa: RUF012 - as torchvision has it
        attr = np.array([[1, 0], [0, 1]])

        def __len__(self) -> int:
            return 2

        def __getitem__(self, place: int) -> Any:
            return Image.new("RGB", (2, 2)), self.attr[place]

    monkeypatch.setattr(torchvision.datasets, "CelebA", Faces)
    (tmp_path / "faces").mkdir()
    found = load(tmp_path, {"name": "CelebA", "root": "faces"}, label="Smiling", groups=["Male"])
    assert list(found.rows["label"]) == ["1", "0"]
    assert list(found.rows["attr_Male"]) == ["0", "1"]
    with pytest.raises(DataError, match=r"image 000000: its target is ndarray, allowed: the number of one class"):
        load(tmp_path, {"name": "CelebA", "root": "faces"})


def test_pictures_that_cannot_be_read_are_listed(tmp_path: Path) -> None:
    photos(tmp_path / "photos")
    (tmp_path / "photos" / "happy" / "b.png").write_bytes(b"\x89PNG no more")
    found = load(tmp_path, {"name": "ImageFolder", "root": "photos"})
    loaded = load_arrays(found, Preprocessing(size=(3, 3)), 1000)
    assert {path: item.status for path, item in loaded.problems} == {"000001": "unreadable"}
    assert decode(found.place, "000000", PLAIN, max_pixels=23).status == "too_large"
    assert decode(found.place, "000004", PLAIN, 1000).status == "missing"
    assert decode(TorchvisionStore([(np.zeros((2, 2)), 0)]), "000000", PLAIN, 1000).status == "unsupported"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"name": "cifar10", "root": "x"}, r"no dataset 'cifar10'. Did you mean 'CIFAR10'\?"),
        ({"name": "load"}, r"torchvision.datasets has no dataset 'load'"),
        ({"name": "VisionDataset", "root": "x"}, r"has no dataset 'VisionDataset'"),
        ({"name": "CIFAR10"}, r"'CIFAR10' needs a root"),
        ({"name": "FakeData", "root": "x"}, r"'FakeData' takes no root"),
        ({"name": "CIFAR10", "root": "x", "arguments": {"download": True}}, r"argument 'download' cannot be said"),
        (
            {"name": "ImageFolder", "root": "x", "arguments": {"loader": "os.system"}},
            r"argument 'loader' cannot be said",
        ),
        (
            {"name": "FakeData", "arguments": {"sise": 3}},
            r"'sise' is none of FakeData's; allowed: .*Did you mean 'size'",
        ),
    ],
)
def test_what_a_config_may_say(source: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        load(tmp_path, source)


@pytest.mark.parametrize("source", [{"name": "CIFAR10", "root": "x"}, {"name": "ImageFolder", "root": "x"}])
def test_files_that_are_not_there_are_not_downloaded(source: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=rf"torchvision {source['name']}: torchvision cannot open it: .*nothing is downloaded"
    ):
        load(tmp_path, source)
    assert list(tmp_path.iterdir()) == []
