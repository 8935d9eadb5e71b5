"""Manifests: from CSV, Parquet and folders, with groups, bins, clusters and splits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from audit.config import DataConfig, parse_config
from audit.data.manifest import MISSING, load_dataset
from audit.errors import ConfigError, DataError


@pytest.fixture
def table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "image": ["a.png", "b.png", "c.png", "d.png"],
            "label": ["NA", "yes", "yes", "NA"],
            "age": ["24", "25", "", "61.5"],
            "sex": ["f", "", "m", "f"],
            "person": ["1", "1", "2", "3"],
            "fold": ["0", "1", "0", "1"],
        }
    )


def load(folder: Path, **keys: Any) -> Any:
    return load_dataset(parse_config(DataConfig, {"manifest": "m.csv", **keys}, where="test"), folder)


def test_csv_keeps_what_is_written(table: pd.DataFrame, tmp_path: Path) -> None:
    table.to_csv(tmp_path / "m.csv", index=False)
    found = load(tmp_path, groups=["sex"], cluster="person")
    assert found.classes == ("NA", "yes")
    assert list(found.rows["attr_sex"]) == ["f", MISSING, "m", "f"]
    assert list(found.rows["cluster"]) == ["1", "1", "2", "3"]


def test_parquet_gives_the_same_as_csv(table: pd.DataFrame, tmp_path: Path) -> None:
    keys: dict[str, Any] = {
        "groups": [{"column": "age", "bins": [25, 60]}],
        "cluster": "person",
        "split": {"column": "fold", "keep": [0]},
    }
    table.to_csv(tmp_path / "m.csv", index=False)
    typed = table.assign(
        age=pd.to_numeric(table["age"]), fold=table["fold"].astype(int), person=table["person"].astype(float)
    )
    typed.to_parquet(tmp_path / "m.parquet")
    pd.testing.assert_frame_equal(load(tmp_path, **keys).rows, load(tmp_path, **{**keys, "manifest": "m.parquet"}).rows)


def test_bins_are_closed_on_the_left(table: pd.DataFrame, tmp_path: Path) -> None:
    table.to_csv(tmp_path / "m.csv", index=False)
    found = load(tmp_path, groups=[{"column": "age", "bins": [25, 60]}])
    assert list(found.rows["attr_age"]) == ["< 25", "25 to < 60", MISSING, ">= 60"]


def test_split_keeps_named_values_only(table: pd.DataFrame, tmp_path: Path) -> None:
    table.to_csv(tmp_path / "m.csv", index=False)
    found = load(tmp_path, split={"column": "fold", "keep": [1]})
    assert list(found.rows["path"]) == ["b.png", "d.png"]
    assert list(found.rows.index) == [0, 1]


def test_image_folder_with_attributes(tmp_path: Path) -> None:
    for name in ("cat/1.png", "cat/2.png", "dog/1.png"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(tmp_path / "photos" / name)
    (tmp_path / "photos" / "cat" / "notes.txt").write_text("no image")
    (tmp_path / "who.csv").write_text("image,colour\ncat/1.png,grey\ndog/1.png,brown\n")
    config = parse_config(
        DataConfig, {"image_folder": "photos", "attributes_table": "who.csv", "groups": ["colour"]}, where="test"
    )
    found = load_dataset(config, tmp_path)
    assert list(found.rows["path"]) == ["cat/1.png", "cat/2.png", "dog/1.png"]
    assert list(found.rows["label"]) == ["cat", "cat", "dog"]
    assert list(found.rows["attr_colour"]) == ["grey", MISSING, "brown"]
    assert found.rows["image_id"].is_unique


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"image": "imgae"}, "Did you mean 'image'?"),
        ({"groups": ["sxe"]}, "Did you mean 'sex'?"),
        ({"groups": [{"column": "sex", "bins": [1]}]}, "holds 'f'"),
        ({"id": "person"}, "names '1' more than once"),
        ({"cluster": "sex"}, "row 3: cluster column 'sex' is empty"),
        ({"split": {"column": "fold", "keep": ["7"]}}, "no value '7'"),
    ],
)
def test_errors_name_column_row_and_fix(
    change: dict[str, Any], words: str, table: pd.DataFrame, tmp_path: Path
) -> None:
    table.to_csv(tmp_path / "m.csv", index=False)
    with pytest.raises(DataError) as caught:
        load(tmp_path, **change)
    assert words in str(caught.value)


def test_missing_clusters_name_their_rows(table: pd.DataFrame, tmp_path: Path) -> None:
    table.loc[[1, 3], "person"] = ""
    table.to_csv(tmp_path / "m.csv", index=False)
    with pytest.raises(DataError, match=r"row 3: cluster column 'person' is empty \(2 such rows: 3, 5\)\. Fix: give"):
        load(tmp_path, cluster="person")


def test_labels_that_are_lists_are_refused(table: pd.DataFrame, tmp_path: Path) -> None:
    table.assign(label=[["yes"], ["yes", "NA"], [], ["NA"]]).to_parquet(tmp_path / "m.parquet")
    with pytest.raises(DataError, match=r"row 2: the label is a list \(4 such rows\).*single-label classification"):
        load(tmp_path, manifest="m.parquet")


def test_several_label_columns_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"'label': names several columns.*single-label classification"):
        parse_config(DataConfig, {"manifest": "m.csv", "label": ["happy", "sad"]}, where="test")


@pytest.mark.parametrize("path", ["../a.png", "/etc/passwd", "http://host/a.png", "x/../../a.png", "a\0.png"])
def test_paths_stay_inside_the_root(path: str, table: pd.DataFrame, tmp_path: Path) -> None:
    table["image"] = [path, "b.png", "c.png", "d.png"]
    table.to_parquet(tmp_path / "m.parquet")
    with pytest.raises(DataError, match="leaves the folder"):
        load(tmp_path, manifest="m.parquet")
