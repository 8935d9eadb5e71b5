"""Shards taken over from an earlier run: the same tables, and nothing that its content does not vouch for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from audit.config import AuditConfig, load_config
from audit.pipeline import run_audit
from audit.preflight import preflight
from audit.run import Run
from tests.integration.small import write_audit

EXPLAINED: dict[str, Any] = {
    "explanations": {"methods": ["saliency", "occlusion"], "sample": 24, "cross_check": 0},
    "quality": {"sample": 6, "repeat_images": 2, "road": False},
    "interventions": {"controls": 1, "sample": 16},
}


def audit(folder: Path, name: str, **changes: Any) -> Run:
    config = write_audit(folder / name, **{**EXPLAINED, **changes})
    return run_audit(
        preflight(load_config(AuditConfig, config), config.parent), folder / name / "run", cache=folder / "kept"
    )


def used(run: Run) -> dict[str, float]:
    return run.table("work").set_index("stage")["used"].to_dict()


@pytest.fixture
def first(tmp_path: Path) -> Run:
    return audit(tmp_path, "first")


def same(one: Run, other: Run, table: str) -> None:
    pd.testing.assert_frame_equal(one.table(table), other.table(table))


def test_a_second_run_passes_nothing_through_the_model(first: Run, tmp_path: Path) -> None:
    second = audit(tmp_path, "second", data__intersections=[])
    assert all(value > 0 for value in used(first).values())
    assert set(used(second).values()) == {0.0}
    assert (first.table("work")["least"] == second.table("work")["least"]).all()
    for table in ("predictions", "explanations", "quality", "interventions", "region_mass", "findings"):
        same(first, second, table)
    assert second.complete
    names = second.table("explanations")["image_id"].unique()
    assert all(second.thumbnail(name) for name in names)
    assert set(second.maps("closed-form", "occlusion")) == set(names)


def test_a_setting_of_one_stage_costs_that_stage_alone(first: Run, tmp_path: Path) -> None:
    changed = {"methods": ["saliency", {"name": "occlusion", "window": 3}], "sample": 24, "cross_check": 0}
    second = audit(tmp_path, "second", explanations=changed)
    spent = used(second)
    assert spent["predict"] == spent["intervene"] == 0
    assert spent["explain"] > 0
    assert spent["quality"] > 0
    same(first, second, "predictions")


def test_a_changed_image_is_looked_at_again(first: Run, tmp_path: Path) -> None:
    config = write_audit(tmp_path / "second", **EXPLAINED)
    picture = tmp_path / "second" / "images" / "0001.png"
    Image.new("RGB", (12, 12), (0, 0, 200)).save(picture)
    second = run_audit(
        preflight(load_config(AuditConfig, config), config.parent), tmp_path / "run", cache=tmp_path / "kept"
    )
    assert 0 < used(second)["predict"] < used(first)["predict"]
    rows = [run.table("predictions").set_index("image_id") for run in (first, second)]
    assert rows[0].loc["images__0001.png", "confidence"] != rows[1].loc["images__0001.png", "confidence"]
    other = [frame.drop(index="images__0001.png") for frame in rows]
    pd.testing.assert_frame_equal(*other)


def test_a_torn_shard_is_computed_again(first: Run, tmp_path: Path) -> None:
    for path in (tmp_path / "kept").rglob("*.parquet"):
        path.write_bytes(path.read_bytes()[:-40])
    second = audit(tmp_path, "second")
    assert used(second) == used(first)
    same(first, second, "quality")
