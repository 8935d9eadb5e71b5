"""The run folder: atomic files, shards with maps and receipts, plans, and opening what is there."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from audit.errors import RunError
from audit.run import find_runs, open_run
from audit.run.files import commit, lock, write_json
from audit.run.plan import Plan, Shard, cut, read_plan, shard_path, write_plan
from audit.run.shards import Receipt, read_maps, read_receipt, read_rows, write_shard
from audit.run.tables import read_table, write_table


def test_commit_keeps_the_old_content_when_writing_fails(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail(partial: Path) -> None:
        partial.write_text("half")
        raise OSError(28, "no space left on device")

    with pytest.raises(OSError, match="no space"):
        commit(path, fail)
    assert path.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["a.txt"]


def test_shards_cover_every_row_once() -> None:
    shards = cut("predict", 1030, 512)
    assert [(shard.start, shard.stop) for shard in shards] == [(0, 512), (512, 1024), (1024, 1030)]
    assert cut("explain", 0, 512) == []


def test_shard_keeps_rows_maps_and_receipt(tmp_path: Path) -> None:
    shard = Shard("explain", 0, 0, 3)
    receipt = Receipt("f" * 64, "m", shard, {"ok": 2, "missing": 1}, 32, 0.5)
    maps = [np.arange(6, dtype=np.float32).reshape(2, 3), None, np.full((2, 3), -1, np.float32)]
    rows = pd.DataFrame({"image_id": ["a", "b", "c"], "probabilities": [[0.25, 0.75], None, [1.0, 0.0]]})
    write_shard(tmp_path, receipt, rows, {"saliency": maps})
    assert read_receipt(tmp_path, "m", shard) == receipt
    assert list(read_rows(tmp_path, "m", [shard]).columns) == ["image_id", "probabilities"]
    found = read_maps(shard_path(tmp_path, "m", shard), "saliency")
    assert set(found) == {"a", "c"}
    np.testing.assert_array_equal(found["a"], maps[0])
    np.testing.assert_array_equal(found["c"], maps[2])
    assert set(read_maps(shard_path(tmp_path, "m", shard), "saliency", frozenset({"c"}))) == {"c"}
    assert read_maps(shard_path(tmp_path, "m", shard), "grad_cam") == {}


def test_shard_without_any_map(tmp_path: Path) -> None:
    shard = Shard("explain", 0, 0, 1)
    receipt = Receipt("f", "m", shard, {"missing": 1}, 32, 0.1)
    write_shard(tmp_path, receipt, pd.DataFrame({"image_id": ["a"]}), {"saliency": [None]})
    assert read_maps(shard_path(tmp_path, "m", shard), "saliency") == {}


def test_torn_shard_has_no_receipt(tmp_path: Path) -> None:
    shard = Shard("predict", 0, 0, 1)
    write_shard(tmp_path, Receipt("f", "m", shard, {"ok": 1}, 1, 0.1), pd.DataFrame({"image_id": ["a"]}), {})
    path = shard_path(tmp_path, "m", shard)
    path.write_bytes(path.read_bytes()[:-50])
    assert read_receipt(tmp_path, "m", shard) is None


def test_plan_is_read_back_and_a_change_is_noticed(tmp_path: Path) -> None:
    plan = Plan({"config": {"name": "a", "seed": 0}}, ("m",), (Shard("predict", 0, 0, 5),))
    write_plan(tmp_path, plan)
    assert read_plan(tmp_path) == plan
    other = Plan({"config": {"name": "b", "seed": 0}}, ("m",), plan.shards)
    assert plan.differences(other) == ["config.name"]
    text = (tmp_path / "plan.json").read_text().replace('"stop": 5', '"stop": 6')
    (tmp_path / "plan.json").write_text(text)
    with pytest.raises(RunError, match="was changed"):
        read_plan(tmp_path)


def test_tables_keep_their_types_and_refuse_strangers(tmp_path: Path) -> None:
    problems = pd.DataFrame(
        [{"stage": "predict", "model": "m", "image_id": "a", "path": "a.png", "status": "missing", "detail": None}]
    )
    write_table(tmp_path, "problems", problems)
    assert read_table(tmp_path, "problems")["status"].item() == "missing"
    with pytest.raises(RunError, match="unknown columns"):
        write_table(tmp_path, "problems", problems.assign(extra=1))
    with pytest.raises(RunError, match="Did you mean 'groups'"):
        read_table(tmp_path, "gruops")
    assert list(read_table(tmp_path, "gaps").columns)[:3] == ["model", "attribute", "metric"]


def test_one_writer_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.run.files._LOCK_PATIENCE", 0.2)
    with lock(tmp_path), pytest.raises(RunError, match="another process"), lock(tmp_path):
        pass
    with lock(tmp_path):
        pass


def test_opening(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is no run"):
        open_run(tmp_path)
    write_json(tmp_path / "one" / "run.json", {"schema_version": 1, "name": "first"})
    run = open_run(tmp_path / "one")
    assert run.name == "first"
    assert not run.complete
    assert run.models == []
    assert run.table("findings").empty
    assert "INCOMPLETE" in run._repr_html_()
    assert find_runs(tmp_path) == [tmp_path / "one"]
    (tmp_path / "one" / "run.json").write_text(json.dumps({"schema_version": 99}))
    with pytest.raises(RunError, match="update faircam"):
        open_run(tmp_path / "one")
