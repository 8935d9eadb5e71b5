"""Erasure: rows, maps and thumbnails of an image leave a run, numbers are computed again, and the rest stands."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from audit.derived import RAW, Facts, derive
from audit.erasure import Erasure, erase
from audit.errors import InputError
from audit.run import Run, open_run
from audit.run.integrity import IntegrityError, check_integrity
from audit.run.schema import TABLES
from audit.run.shards import read_receipt
from audit.run.tables import write_table
from tests.derived_run import build_derived

DAY = date(2026, 11, 25)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run with a report in its folder; not to be changed."""
    run = build_derived(tmp_path_factory.mktemp("erasure") / "run")
    (run.path / "report.html").write_text("shows pictures", encoding="utf-8")
    return run


@pytest.fixture
def run(whole: Run, tmp_path: Path) -> Run:
    """A copy."""
    shutil.copytree(whole.path, tmp_path / "run")
    return open_run(tmp_path / "run")


def _asked(*images: str, clusters: tuple[str, ...] = ()) -> Erasure:
    return Erasure(images, clusters, "asked for on 2 May", "Ana Ruiz, data protection", DAY)


def test_an_image_leaves_every_file_of_the_run(run: Run) -> None:
    gone = str(run.table("explanations")["image_id"].iloc[0])
    kept = str(run.table("explanations")["image_id"].iloc[-1])
    assert run.thumbnail(gone) is not None
    receipt = read_receipt(run.path, *_first_shard(run))
    erase(run, _asked(gone))
    after = open_run(run.path)
    for path in sorted(path for path in run.path.rglob("*") if path.is_file()):
        assert gone.encode() not in path.read_bytes(), path
    for name in TABLES:
        if after.has(name) and "image_id" in TABLES[name]:
            assert gone not in set(after.table(name)["image_id"]), name
    assert after.thumbnail(gone) is None
    assert after.thumbnail(kept) is not None
    assert after.maps("biased-torch", "saliency", [gone]) == {}
    assert list(after.maps("biased-torch", "saliency", [kept])) == [kept]
    assert read_receipt(run.path, *_first_shard(run)) == receipt
    assert not (run.path / "report.html").exists()


def _first_shard(run: Run) -> tuple[str, object]:
    from audit.run.plan import read_plan

    plan = read_plan(run.path)
    return plan.models[0], plan.for_model(plan.models[0])[0]


def test_numbers_are_those_of_a_run_that_never_had_the_images(run: Run, whole: Run) -> None:
    gone = whole.table("images")["image_id"].iloc[[3, 11]].tolist()
    erase(run, _asked(*gone))
    raw = {}
    for name in ("images", "predictions", *RAW):
        frame = whole.table(name)
        raw[name] = frame[~frame["image_id"].isin(gone)].reset_index(drop=True)
    expected = derive(raw, Facts.of(whole.record))
    after = open_run(run.path)
    overall = after.table("groups").iloc[0]
    assert overall["n"] == whole.table("groups").iloc[0]["n"] - 2
    for name in ("groups", "gaps", "coverage", "findings"):
        pd.testing.assert_frame_equal(
            after.table(name).drop(columns="claims", errors="ignore"),
            expected[name].drop(columns="claims", errors="ignore"),
            check_dtype=False,
        )


def test_a_cluster_leaves_whole(run: Run) -> None:
    images = run.table("images")
    scene = str(images["cluster"].dropna().iloc[0])
    size = int((images["cluster"] == scene).sum())
    erase(run, _asked(clusters=(scene,)))
    after = open_run(run.path)
    assert len(after.table("images")) == len(images) - size
    assert scene not in set(after.table("images")["cluster"].dropna())


def test_it_is_recorded_without_saying_whom_it_was_about_and_twice_is_two_entries(run: Run) -> None:
    first, second = run.table("images")["image_id"].iloc[[0, 1]].tolist()
    erase(run, _asked(first))
    erase(open_run(run.path), _asked(second))
    after = open_run(run.path)
    entry = {"day": "2026-11-25", "by": "Ana Ruiz, data protection", "reason": "asked for on 2 May", "images": 1}
    assert after.record["erasures"] == [entry, entry]
    assert "erasing" not in after.record
    assert check_integrity(after) == []


def test_after_a_crash_the_same_call_goes_on(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    import audit.erasure as module

    gone = str(run.table("explanations")["image_id"].iloc[0])

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "derive", crash)
    with pytest.raises(KeyboardInterrupt):
        erase(run, _asked(gone))
    assert gone in open_run(run.path).record["erasing"]
    monkeypatch.undo()
    erase(open_run(run.path), _asked(gone))
    after = open_run(run.path)
    assert gone not in set(after.table("images")["image_id"])
    assert [entry["images"] for entry in after.record["erasures"]] == [1]
    assert check_integrity(after) == []


def test_what_is_not_there_is_refused_and_nothing_changes(run: Run) -> None:
    before = (run.path / "run.json").read_bytes()
    with pytest.raises(InputError, match="has no image 'synthetic-9999'"):
        erase(run, _asked("synthetic-9999"))
    with pytest.raises(InputError, match="has no cluster"):
        erase(run, _asked(clusters=("nobody",)))
    with pytest.raises(InputError, match="nothing is to be erased"):
        _asked()
    with pytest.raises(InputError, match="--by is empty"):
        Erasure(("a",), (), "why", " ", DAY)
    assert (run.path / "run.json").read_bytes() == before


def test_a_changed_run_is_refused(run: Run) -> None:
    frame = run.table("groups")
    frame.loc[0, "value"] = 0.5
    write_table(run.path, "groups", frame)
    with pytest.raises(IntegrityError, match="groups"):
        erase(run, _asked(str(run.table("images")["image_id"].iloc[0])))
