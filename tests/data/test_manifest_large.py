"""Large tables: kept in a mapped file, with the same rows, fingerprint and errors as small ones."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from audit.config import DataConfig
from audit.data import manifest
from audit.data.manifest import fingerprint, load_dataset
from audit.errors import DataError


def written(folder: Path, rows: pd.DataFrame) -> DataConfig:
    rows.to_csv(folder / "images.csv", index=False)
    return DataConfig.model_validate({"manifest": "images.csv", "groups": ["site"]})


def rows(count: int) -> pd.DataFrame:
    names = [f"pictures/{number:05d}é.png" for number in range(count)]
    return pd.DataFrame({"image": names, "label": ["a", "b"] * (count // 2), "site": ["x", None] * (count // 2)})


def test_a_large_table_is_the_small_one_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = written(tmp_path, rows(100))
    small = load_dataset(config, tmp_path)
    monkeypatch.setattr(manifest, "_MAPPED_FROM", 50)
    large = load_dataset(config, tmp_path)
    pd.testing.assert_frame_equal(large.rows, small.rows)
    assert large.fingerprint == small.fingerprint
    assert [large.path(place) for place in (0, 99)] == ["pictures/00000é.png", "pictures/00099é.png"]
    assert not list(tmp_path.glob("*.arrow"))


def test_fingerprint_tells_cells_and_columns_apart() -> None:
    seen = {
        fingerprint(pd.DataFrame(content, dtype="str"))
        for content in (
            {"a": ["x", "yz"]},
            {"a": ["xy", "z"]},
            {"a": ["xyz", None]},
            {"a": ["xyz", ""]},
            {"b": ["x", "yz"]},
            {"a": ["x", "yz"], "b": [None, None]},
            {"a": ["x"], "b": ["yz"]},
        )
    }
    assert len(seen) == 7
    table = pd.DataFrame({"a": ["q", "x", "yz"]}, dtype="str")
    assert fingerprint(table.iloc[1:]) == fingerprint(pd.DataFrame({"a": ["x", "yz"]}, dtype="str"))


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("../out.png", r"row 42: path '\.\./out\.png' leaves the folder"),
        ("a/../../out.png", "leaves the folder"),
        ("a\\..\\out.png", "leaves the folder"),
        ("/etc/passwd", "leaves the folder"),
        ("http://far/away.png", "leaves the folder"),
        ("", "row 42: column 'image' is empty"),
        ("pictures/00000é.png", "more than once"),
        ("x" * 241, "row 42: column 'image' holds an id of 241 bytes"),
    ],
)
def test_the_bad_row_is_named(tmp_path: Path, bad: str, said: str) -> None:
    table = rows(100)
    table.loc[40, "image"] = bad
    with pytest.raises(DataError, match=said):
        load_dataset(written(tmp_path, table), tmp_path)


def test_dots_that_leave_nothing_are_fine(tmp_path: Path) -> None:
    table = rows(100)
    table.loc[40, "image"] = "a..b/..c/d...png"
    assert load_dataset(written(tmp_path, table), tmp_path).path(40) == "a..b/..c/d...png"
