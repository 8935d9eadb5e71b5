"""From the command to the run folder, on the NumPy model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from audit.run import open_run
from audit.run.schema import TABLES
from tests.integration.small import faircam, write_audit


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    config = write_audit(folder)
    done = faircam("run", config, "--out", folder / "run")
    assert done.returncode == 0, done.stderr
    return folder


def test_every_table_is_written_and_complete(finished: Path) -> None:
    run = open_run(finished / "run")
    assert run.complete
    for name in TABLES:
        assert run.has(name), name
    assert len(run.table("images")) == len(run.table("predictions")) == 60
    assert run.table("images")["sha256"].str.len().eq(64).all()


def test_group_values_are_those_counted_by_hand(finished: Path) -> None:
    run = open_run(finished / "run")
    images, predictions = run.table("images"), run.table("predictions")
    joined = predictions.merge(images[["image_id", "attr_light"]], on="image_id")
    groups = run.table("groups")
    for light, rows in joined.groupby("attr_light"):
        positives = rows[rows["label"] == "red"]
        mine = groups.query(
            "attribute == 'light' and group == @light and metric == 'true_positive_rate' and `class` == 'red'"
        )
        assert mine["n"].item() == len(positives)
        assert mine["value"].item() == pytest.approx((positives["predicted"] == "red").mean(), abs=1e-12)


def test_missing_group_is_a_category(finished: Path) -> None:
    groups = open_run(finished / "run").table("groups")
    assert "(missing)" in set(groups.query("attribute == 'size'")["group"])


def test_sample_is_explained_with_maps_regions_and_thumbnails(finished: Path) -> None:
    run = open_run(finished / "run")
    explained = run.table("explanations")
    assert explained.groupby("method")["image_id"].nunique().eq(24).all()
    maps = run.maps("closed-form", "gradient_x_input")
    assert set(maps) == set(explained["image_id"])
    assert all(found.shape == (12, 12) for found in maps.values())
    assert all(run.thumbnail(image_id) for image_id in maps)
    mass = run.table("region_mass").query("status == 'ok'")
    assert mass["area"].eq(0.25).all()
    one = mass.query("method == 'gradient_x_input'").iloc[0]
    values = np.abs(maps[one["image_id"]].astype(np.float64))
    assert one["share"] == pytest.approx(values[3:9, 3:9].sum() / values.sum(), abs=1e-12)


def test_cross_check_says_that_it_could_not_measure(finished: Path) -> None:
    checks = open_run(finished / "run").table("crosschecks")
    assert set(checks["status"]) == {"not_measured"}
    assert checks["note"].str.len().gt(0).all()


def test_same_audit_twice_gives_the_same_tables(finished: Path, tmp_path: Path) -> None:
    again = faircam("run", finished / "audit.yaml", "--out", tmp_path / "again")
    assert again.returncode == 0
    assert_same_tables(finished / "run", tmp_path / "again")


def test_dry_run_writes_nothing(finished: Path, tmp_path: Path) -> None:
    done = faircam("run", finished / "audit.yaml", "--out", tmp_path / "dry", "--dry-run")
    assert done.returncode == 0
    assert "60 images" in done.stdout
    assert not (tmp_path / "dry").exists()


def test_resume_from_nothing_and_of_a_finished_run(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "fresh"
    for _ in range(2):
        assert faircam("run", finished / "audit.yaml", "--out", out, "--resume").returncode == 0
        assert_same_tables(finished / "run", out)


def test_explaining_all_takes_one_stage_and_gives_the_same_predictions(finished: Path, tmp_path: Path) -> None:
    config = write_audit(tmp_path / "all", explanations__sample="all")
    assert faircam("run", config, "--out", tmp_path / "run").returncode == 0
    run = open_run(tmp_path / "run")
    assert run.table("explanations")["image_id"].nunique() == 60
    left = run.table("predictions").drop(columns=["probabilities", "confidence"])
    right = open_run(finished / "run").table("predictions").drop(columns=["probabilities", "confidence"])
    pd.testing.assert_frame_equal(left, right)


def assert_same_tables(left: Path, right: Path) -> None:
    for name in TABLES:
        one, two = (folder / "tables" / f"{name}.parquet" for folder in (left, right))
        assert one.read_bytes() == two.read_bytes(), name
