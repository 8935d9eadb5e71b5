"""Copies in the data and in training are listed, with what speaks against them."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from audit.erasure import Erasure, erase
from audit.run import open_run
from audit.run.integrity import check_integrity
from tests.integration.small import faircam, write_audit


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images 1 to 3 are image 0 again: the file, a BMP of twice the size, and a darker one; training has image 4, larger."""
    folder = tmp_path_factory.mktemp("copies")
    members = {"image_folder": "train", "groups": []}
    config = write_audit(
        folder,
        images=24,
        models__0__training_data=members,
        interventions={"sample": 24, "swap": True, "controls": 1},
        data__split={"column": "split", "keep": ["test", "train"]},
    )
    rng = np.random.Generator(np.random.PCG64(1))
    for file in sorted((folder / "images").iterdir()):
        coarse = np.asarray(Image.fromarray(rng.integers(20, 235, (9, 9, 3), dtype=np.uint8)).resize((48, 48)))
        noise = rng.integers(-8, 9, coarse.shape)
        Image.fromarray((coarse + noise).astype(np.uint8)).save(file)
    images = folder / "images"
    first = Image.open(images / "0000.png")
    shutil.copy(images / "0000.png", images / "0001.png")
    first.resize((96, 96), Image.Resampling.BICUBIC).save(images / "0002.png", format="BMP")
    first.point(lambda value: int(value * 0.9)).save(images / "0003.png")
    (folder / "train" / "dull").mkdir(parents=True)
    (folder / "train" / "red").mkdir()
    Image.open(images / "0004.png").resize((80, 80), Image.Resampling.BICUBIC).save(folder / "train" / "dull" / "a.png")
    shutil.copy(images / "0005.png", folder / "train" / "red" / "b.png")
    done = faircam("run", config, "--out", folder / "run")
    assert done.returncode == 0, done.stderr
    return folder


def test_copies_in_the_data(finished: Path) -> None:
    problems = open_run(finished / "run").table("problems").query("stage == 'data'")
    found = problems.set_index("image_id")[["status", "detail"]]
    assert found["status"].to_dict() == {
        "images__0001.png": "copy",
        "images__0002.png": "looks_alike",
        "images__0003.png": "looks_alike",
    }
    assert found["detail"]["images__0001.png"] == (
        "the same file as images__0000.png; their labels are 'red' here and 'dull' there; "
        "they are of the splits 'test' and 'train'"
    )
    assert "looks like images__0000.png (" in found["detail"]["images__0002.png"]
    assert problems["model"].isna().all()


def test_copies_in_training(finished: Path) -> None:
    problems = open_run(finished / "run").table("problems").query("stage == 'members'")
    assert problems.set_index("image_id")["status"].to_dict() == {
        "images__0004.png": "looks_trained_on",
        "images__0005.png": "trained_on",
    }
    assert "dull__a.png" in problems.set_index("image_id")["detail"]["images__0004.png"]


def test_an_erased_image_is_named_by_no_other(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished / "run", tmp_path / "run")
    swapped = open_run(tmp_path / "run").table("interventions").query("action == 'swap' and status == 'ok'")
    gone = ["images__0000.png", swapped["detail"].iloc[0].removeprefix("from ")]
    assert gone[1] != gone[0]
    before = _mentions(tmp_path / "run", gone)
    assert {"problems.parquet", "interventions.parquet"} <= {path.name for path, _ in before}
    assert any(path.name.startswith("intervene-") for path, _ in before)
    erase(open_run(tmp_path / "run"), Erasure(tuple(gone), (), "asked for", "Ana", date(2026, 11, 26)))
    assert _mentions(tmp_path / "run", gone) == []
    run = open_run(tmp_path / "run")
    assert check_integrity(run) == []
    problems = run.table("problems").set_index("image_id")["detail"]
    assert problems["images__0001.png"].startswith("the same file as an image that was erased; their labels are 'red'")


def _mentions(run: Path, names: list[str]) -> list[tuple[Path, str]]:
    """Files of tables and shards of which a cell holds one of the names."""
    found = []
    for path in sorted(run.rglob("*.parquet")):
        table = pq.read_table(path)
        texts = [
            column
            for column in table.columns
            if pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
        ]
        cells = {str(cell) for column in texts for cell in column.unique().to_pylist()}
        found += [(path, name) for name in names if any(name in cell for cell in cells)]
    return found


def test_the_search_can_be_left_out(finished: Path, tmp_path: Path) -> None:
    config = finished / "audit.yaml"
    plain = config.read_text(encoding="utf-8").replace("data:\n", "data:\n  look_alikes: null\n", 1)
    (finished / "without.yaml").write_text(plain, encoding="utf-8")
    done = faircam("run", finished / "without.yaml", "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    problems: pd.DataFrame = open_run(tmp_path / "run").table("problems").query("stage != 'intervene'")
    assert set(problems["status"]) == {"copy", "trained_on"}


def test_the_report_says_how_many_and_how_they_were_looked_for(finished: Path, tmp_path: Path) -> None:
    done = faircam("report", finished / "run", "--format", "md", "--out", tmp_path / "report.md")
    assert done.returncode == 0, done.stderr
    said = " ".join((tmp_path / "report.md").read_text(encoding="utf-8").split())
    assert "the same file as another one: 1. Others that look like one" in said
    assert "at most 12 of 255 bits): 2." in said
