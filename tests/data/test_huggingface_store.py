"""Local datasets of `datasets` as a source: bytes as they are held, names of classes, splits, and nothing of a network."""

from __future__ import annotations

import hashlib
import io
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
from audit.errors import ConfigError, DataError

datasets = pytest.importorskip("datasets")

PLAIN = Preprocessing()
SEX = ["f", "m", None, "f"]
AGE = [24, 25, 60, 61]
LABELS = [0, 1, 1, 0]


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test reaches a network, and what `datasets` prepares is kept in the test's own folder."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def jpeg(seed: int, orientation: int | None = None) -> bytes:
    """A picture of noise, 6 wide and 4 high."""
    picture = Image.fromarray(np.random.default_rng(seed).integers(0, 256, (4, 6, 3), dtype=np.uint8))
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    written = io.BytesIO()
    picture.save(written, "JPEG", exif=exif, quality=95)
    return written.getvalue()


PICTURES = [jpeg(0), jpeg(1, orientation=6), jpeg(2), jpeg(3)]


def made(**columns: Any) -> Any:
    """Four pictures with label, sex and age; the label is a number with the names of classes beside it."""
    content = {
        "image": [{"bytes": content, "path": None} for content in PICTURES],
        "label": LABELS,
        "sex": SEX,
        "age": AGE,
        **columns,
    }
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "label": datasets.ClassLabel(names=["happy", "sad"]),
            **{name: datasets.Value("int64" if name in ("age", "fold") else "string") for name in list(content)[2:]},
        }
    )
    return datasets.Dataset.from_dict(content, features=features)


def load(folder: Path, path: str = "saved", **keys: Any) -> Dataset:
    return load_dataset(parse_config(DataConfig, {"huggingface": path, **keys}, where="test"), folder)


def test_table_of_a_saved_dataset(tmp_path: Path) -> None:
    made().save_to_disk(tmp_path / "saved")
    found = load(tmp_path, groups=["sex", {"column": "age", "bins": [25, 60]}])
    assert list(found.rows["path"]) == ["000000", "000001", "000002", "000003"]
    assert list(found.rows["image_id"]) == ["000000", "000001", "000002", "000003"]
    assert list(found.rows["label"]) == ["happy", "sad", "sad", "happy"]
    assert list(found.rows["attr_sex"]) == ["f", "m", MISSING, "f"]
    assert list(found.rows["attr_age"]) == ["< 25", "25 to < 60", ">= 60", ">= 60"]
    assert found.classes == ("happy", "sad")


def test_pictures_are_decoded_and_hashed_as_the_same_files_are(tmp_path: Path) -> None:
    """The oracle is the path of plain files: equal arrays, equal digests, EXIF orientation applied."""
    made().save_to_disk(tmp_path / "saved")
    found = load(tmp_path)
    for row, content in enumerate(PICTURES):
        (tmp_path / f"{row}.jpg").write_bytes(content)
        ours, plain = (
            decode(found.place, f"{row:06d}", PLAIN, 1000),
            decode(tmp_path, f"{row}.jpg", PLAIN, 1000),
        )
        assert ours.status == plain.status == "ok"
        assert ours.sha256 == plain.sha256 == hashlib.sha256(content).hexdigest()
        np.testing.assert_array_equal(ours.array, plain.array)
    turned = decode(found.place, "000001", PLAIN, 1000)
    assert turned.array is not None
    assert turned.array.shape == (6, 4, 3)  # orientation 6: stored 6 wide and 4 high, shown upright 4 wide


def test_every_form_of_storage_gives_the_same(tmp_path: Path) -> None:
    """Saved folder, Parquet file, Parquet without the library's own metadata, folder of pictures."""
    made().save_to_disk(tmp_path / "saved")
    made().to_parquet(tmp_path / "one.parquet")
    plain = {"image": PICTURES, "label": ["happy", "sad", "sad", "happy"], "sex": SEX, "age": AGE}
    pd.DataFrame(plain).to_parquet(tmp_path / "bytes.parquet")
    expected = load(tmp_path, groups=["sex", "age"])
    for path in ("one.parquet", "bytes.parquet"):
        found = load(tmp_path, path, groups=["sex", "age"])
        pd.testing.assert_frame_equal(found.rows, expected.rows)
        assert found.fingerprint == expected.fingerprint
        assert [found.place.read(name) for name in found.rows["path"]] == PICTURES  # type: ignore[union-attr]


def test_folder_of_pictures(tmp_path: Path) -> None:
    for row, content in enumerate(PICTURES):
        folder = tmp_path / "photos" / "train" / ("happy", "sad")[LABELS[row]]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{row}.jpg").write_bytes(content)
    found = load(tmp_path, "photos")
    assert list(found.rows["label"]) == ["happy", "happy", "sad", "sad"]
    assert list(found.rows["path"]) == [f"train/00000{row}" for row in range(4)]
    digests = [decode(found.place, path, PLAIN, 1000).sha256 for path in found.rows["path"]]
    assert digests == [hashlib.sha256(PICTURES[row]).hexdigest() for row in (0, 3, 1, 2)]


def test_splits_become_a_column(tmp_path: Path) -> None:
    parts = datasets.DatasetDict({"train": made(), "test": made().select([2, 1])})
    parts.save_to_disk(tmp_path / "saved")
    everything = load(tmp_path)
    assert len(everything) == 6
    found = load(tmp_path, split={"column": "split", "keep": ["test"]})
    assert list(found.rows["path"]) == ["test/000000", "test/000001"]
    assert list(found.rows["image_id"]) == ["test__000000", "test__000001"]
    assert list(found.rows["split"]) == ["test", "test"]
    digests = [decode(found.place, path, PLAIN, 1000).sha256 for path in found.rows["path"]]
    assert digests == [hashlib.sha256(PICTURES[row]).hexdigest() for row in (2, 1)]
    alone = load(tmp_path, "saved/test")
    assert list(alone.rows["path"]) == ["000000", "000001"]


def test_a_split_column_of_its_own(tmp_path: Path) -> None:
    own = made(split=["a", "b", "a", "b"])
    datasets.DatasetDict({"train": own}).save_to_disk(tmp_path / "saved")
    with pytest.raises(DataError, match=r"saved: has parts train and a column 'split' of its own. Fix: name one part"):
        load(tmp_path)
    found = load(tmp_path, "saved/train", split={"column": "split", "keep": ["b"]})
    assert list(found.rows["path"]) == ["000001", "000003"]


def test_ids_clusters_and_a_joined_table(tmp_path: Path) -> None:
    made(name=["a", "b", "c", "d"], person=["p", "p", "q", "r"]).save_to_disk(tmp_path / "saved")
    joined = pd.DataFrame({"image": ["000000", "000002"], "hat": ["yes", "no"]})
    joined.to_csv(tmp_path / "who.csv", index=False)
    found = load(tmp_path, id="name", cluster="person", attributes_table="who.csv", groups=["hat"])
    assert list(found.rows["image_id"]) == ["a", "b", "c", "d"]
    assert list(found.rows["cluster"]) == ["p", "p", "q", "r"]
    assert list(found.rows["attr_hat"]) == ["yes", MISSING, "no", MISSING]


def test_unlabelled_rows_are_refused(tmp_path: Path) -> None:
    made(label=[0, -1, 1, 0]).save_to_disk(tmp_path / "saved")
    with pytest.raises(DataError, match=r"saved: row 3: the label is empty \(1 such rows\)"):
        load(tmp_path)


def test_a_picture_that_cannot_be_read_is_listed(tmp_path: Path) -> None:
    """A damaged picture, an empty cell, a picture too large, a path outside, an address."""
    outside = tmp_path / "secret.jpg"
    outside.write_bytes(PICTURES[0])
    cells = [
        {"bytes": PICTURES[0][:40], "path": None},
        None,
        {"bytes": PICTURES[2], "path": None},
        {"bytes": None, "path": str(outside)},
        {"bytes": None, "path": "https://example.org/a.jpg"},
    ]
    (tmp_path / "data").mkdir()
    pd.DataFrame({"image": cells, "label": list("ababa")}).to_parquet(tmp_path / "data" / "one.parquet")
    found = load(tmp_path, "data/one.parquet")
    loaded = load_arrays(found, PLAIN, max_pixels=24)
    statuses = {path: item.status for path, item in loaded.problems}
    assert statuses == {
        "000000": "unreadable",
        "000001": "missing",
        "000003": "outside_root",
        "000004": "outside_root",
    }
    assert decode(found.place, "000002", PLAIN, max_pixels=23).status == "too_large"
    assert decode(found.place, "000005", PLAIN, 1000).status == "missing"
    assert [found.place.has(name) for name in ("000004", "000005", "x/000000", "-1")] == [True, False, False, False]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"image": "img"}, r"no column 'img'; there are image, label, sex, age; of images are image"),
        ({"image": "age"}, r"column 'age' holds .*allowed: images, their encoded bytes or their paths"),
        ({"label": "lable"}, r"no column 'lable'; there are .* Did you mean 'label'"),
        ({"groups": ["tone"]}, r"no column 'tone'"),
        ({"split": {"column": "sex", "keep": ["x"]}}, r"has no value 'x'; there are f, m"),
    ],
)
def test_what_is_not_there_is_named(keys: dict[str, Any], message: str, tmp_path: Path) -> None:
    made().save_to_disk(tmp_path / "saved")
    with pytest.raises(DataError, match=message):
        load(tmp_path, **keys)


def test_paths_that_are_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"saved: no such file or folder. Fix: check data.huggingface"):
        load(tmp_path)
    (tmp_path / "saved").mkdir()
    with pytest.raises(DataError, match=r"holds no saved dataset, no Parquet file and no image"):
        load(tmp_path)
    (tmp_path / "x.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"is a '.csv' file, allowed: .parquet"):
        load(tmp_path, "x.csv")
    (tmp_path / "x.parquet").write_text("no parquet", encoding="utf-8")
    with pytest.raises(DataError, match=r"x.parquet: `datasets` cannot read it"):
        load(tmp_path, "x.parquet")
    (tmp_path / "saved" / "dataset_info.json").write_text("{}", encoding="utf-8")
    with pytest.raises(DataError, match=r"saved: `datasets` cannot read it"):
        load(tmp_path)


def test_one_source_only() -> None:
    with pytest.raises(ConfigError, match=r"exactly one of 'manifest', 'image_folder', 'huggingface', 'torchvision'"):
        parse_config(DataConfig, {"huggingface": "a", "manifest": "b"}, where="test")
    with pytest.raises(ConfigError, match=r"not none"):
        parse_config(DataConfig, {}, where="test")


def test_offline_and_progress_settings_are_put_back(tmp_path: Path) -> None:
    made().save_to_disk(tmp_path / "saved")
    before = datasets.config.HF_HUB_OFFLINE, datasets.is_progress_bar_enabled()
    load(tmp_path)
    assert (datasets.config.HF_HUB_OFFLINE, datasets.is_progress_bar_enabled()) == before
