"""Disclosure levels: what each keeps, and that an auditor's rows give the run's own numbers."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from audit.derived import RAW, Facts, derive
from audit.errors import InputError
from audit.run import Run, open_run
from audit.run.schema import TABLES
from reports.bundle.levels import disclose
from tests.derived_run import build_derived

SECRET = b"s" * 32


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A whole run, its images in scenes; not to be changed."""
    return build_derived(tmp_path_factory.mktemp("levels") / "run")


def test_internal_keeps_every_table_and_thumbnail(run: Run, tmp_path: Path) -> None:
    disclose(run, "internal", tmp_path / "out", secret=SECRET)
    out = open_run(tmp_path / "out")
    for name in TABLES:
        assert out.has(name) == run.has(name), name
        if run.has(name):
            pd.testing.assert_frame_equal(out.table(name), run.table(name))
    assert len(list((out.path / "thumbnails").iterdir())) == len(list((run.path / "thumbnails").iterdir()))
    assert not (out.path / "shards").exists()
    assert out.record["disclosure"]["level"] == "internal"


def test_an_auditor_gets_the_numbers_of_the_run(sample: Run, tmp_path: Path) -> None:
    """Two attributes and their intersection, in clusters: joint intervals are drawn over these in their order."""
    disclose(sample, "auditor", tmp_path / "out", secret=SECRET)
    out = open_run(tmp_path / "out")
    raw = ("images", "predictions", *(name for name in RAW if name in ("region_mass", "crosschecks")))
    mine, theirs = (derive({name: each.table(name) for name in raw}, Facts.of(each.record)) for each in (sample, out))
    for name in ("groups", "gaps", "findings", "lattice", "sensitivity"):
        drop = [column for column in ("claims",) if column in mine[name]]
        pd.testing.assert_frame_equal(mine[name].drop(columns=drop), theirs[name].drop(columns=drop))


def test_an_auditor_sees_no_name_of_an_image_or_cluster(run: Run, tmp_path: Path) -> None:
    disclose(run, "auditor", tmp_path / "out", secret=SECRET)
    out = open_run(tmp_path / "out")
    images = run.table("images")
    content = b"".join(path.read_bytes() for path in sorted(out.path.rglob("*")) if path.is_file())
    for column in ("image_id", "path", "sha256", "cluster"):
        for name in images[column].dropna().unique():
            assert str(name).encode() not in content, name
    assert out.table("images")["image_id"].is_unique
    assert set(out.table("predictions")["image_id"]) <= set(out.table("images")["image_id"])
    assert out.table("images")["cluster"].nunique() == images["cluster"].nunique()
    assert not (out.path / "thumbnails").exists()


def test_pseudonyms_depend_on_the_secret(run: Run, tmp_path: Path) -> None:
    for place, secret in (("one", SECRET), ("same", SECRET), ("other", b"t" * 32)):
        disclose(run, "auditor", tmp_path / place, secret=secret)
    one, same, other = (open_run(tmp_path / place).table("images")["image_id"] for place in ("one", "same", "other"))
    assert list(one) == list(same)
    assert not set(one) & set(other)


def test_the_public_level_has_no_row_about_an_image(run: Run, tmp_path: Path) -> None:
    disclose(run, "public", tmp_path / "out", secret=SECRET)
    out = open_run(tmp_path / "out")
    for name, columns in TABLES.items():
        assert not (out.has(name) and "image_id" in columns), name
    assert not (out.path / "plan.json").exists()
    assert "manifest.csv" not in json.dumps(out.record)


def test_what_is_refused(run: Run, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="level 'publik' is unknown, allowed: public, auditor, internal"):
        disclose(run, "publik", tmp_path / "out", secret=SECRET)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="threshold is 1, allowed: 2 or more"):
        disclose(run, "public", tmp_path / "out", threshold=1, secret=SECRET)
    with pytest.raises(InputError, match="secret"):
        disclose(run, "auditor", tmp_path / "out", secret=b"")
