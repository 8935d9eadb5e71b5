"""Disclosure levels: what each one holds, what it does not, and that what is left still adds up."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from audit.derived import Facts, derive
from audit.errors import InputError, RunError
from audit.run import Run, open_run
from audit.run.integrity import check_integrity, table_digests
from audit.run.schema import TABLES
from audit.run.tables import empty_table
from reports.bundle.disclosed_record import WITHHELD, disclosed_record
from reports.bundle.levels import disclose
from reports.bundle.pseudonyms import pseudonyms
from reports.bundle.public_tables import LEFT_OUT, SUPPRESSED
from reports.document import build_document
from reports.html import render_html

SECRET = b"a secret of the owner"
LEVELS = ("public", "auditor", "internal")
PUBLIC = {
    "coverage",
    "groups",
    "gaps",
    "shift",
    "region_groups",
    "quality_groups",
    "intervention_groups",
    "findings",
    "stamps",
    "training",
    "work",
}


@pytest.fixture(scope="module")
def levels(sample: Run, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """The sample at each level."""
    folder = tmp_path_factory.mktemp("levels")
    for level in LEVELS:
        disclose(sample, level, folder / level, secret=SECRET)  # type: ignore[arg-type]
    return {level: open_run(folder / level) for level in LEVELS}


def everything(folder: Path) -> str:
    """All that a folder says: its text files, and every cell of its tables."""
    texts = [path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.json"))]
    tables = [pq.read_table(path).to_pylist() for path in sorted(folder.rglob("*.parquet"))]
    return "\n".join([*texts, *(json.dumps(rows, ensure_ascii=False, default=str) for rows in tables)])


def names_of(run: Run) -> set[str]:
    """Ids, paths, hashes and clusters of a run's images."""
    images = run.table("images")
    return {str(name) for column in ("image_id", "path", "sha256", "cluster") for name in images[column].dropna()}


@pytest.mark.parametrize("level", ["public", "auditor"])
def test_nothing_names_an_image(level: str, sample: Run, levels: dict[str, Run]) -> None:
    said = everything(levels[level].path)
    assert len(names_of(sample)) > 700
    assert [name for name in names_of(sample) if name in said] == []
    assert "manifest.csv" not in said
    assert not list(levels[level].path.rglob("*.jpg"))
    assert not (levels[level].path / "plan.json").exists()


@pytest.mark.parametrize("level", LEVELS)
def test_a_level_is_a_run_with_a_report(level: str, levels: dict[str, Run]) -> None:
    run = levels[level]
    assert run.complete
    assert run.record["disclosure"]["level"] == level
    assert run.record["tables"] == table_digests(run.path)
    document = build_document(run)
    assert document.title == "sample run (synthetic)"
    assert "synthetic-0" not in render_html(document) or level == "internal"


def test_same_run_same_bytes(sample: Run, levels: dict[str, Run], tmp_path: Path) -> None:
    for level in LEVELS:
        disclose(sample, level, tmp_path / level, secret=SECRET)  # type: ignore[arg-type]
        files = sorted(path.relative_to(tmp_path / level) for path in (tmp_path / level).rglob("*") if path.is_file())
        assert files == sorted(
            path.relative_to(levels[level].path) for path in levels[level].path.rglob("*") if path.is_file()
        )
        for file in files:
            assert (tmp_path / level / file).read_bytes() == (levels[level].path / file).read_bytes(), file


def test_internal_keeps_all_but_the_maps(sample: Run, levels: dict[str, Run], tmp_path: Path) -> None:
    run = levels["internal"]
    for name in TABLES:
        assert run.has(name) == sample.has(name)
        if sample.has(name):
            pd.testing.assert_frame_equal(run.table(name), sample.table(name))
    thumbnails = {path.name for path in (sample.path / "thumbnails").iterdir()}
    assert {path.name for path in (run.path / "thumbnails").iterdir()} == thumbnails
    assert not (run.path / "shards").exists()
    assert "maps" in run.record["disclosure"]["withheld"][0]
    whole = disclose(sample, "internal", tmp_path / "whole", secret=SECRET, maps=True)
    assert whole.withheld == ()
    assert check_integrity(open_run(tmp_path / "whole")) == []


def test_pseudonyms_are_hmac_of_kind_and_name() -> None:
    """Derived from the definition in RFC 2104, for a key shorter than a block."""
    key = SECRET.ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in key) + b"image\0cat-1").digest()
    outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in key) + inner).hexdigest()
    assert pseudonyms(["cat-1"], "image", SECRET) == {"cat-1": outer[:16]}
    assert pseudonyms(["cat-1"], "cluster", SECRET)["cat-1"] != outer[:16]
    assert pseudonyms(["cat-1"], "image", b"another")["cat-1"] != outer[:16]
    with pytest.raises(InputError, match="secret of the pseudonyms is empty"):
        pseudonyms(["cat-1"], "image", b"")


def test_auditor_keeps_every_row_in_order_under_the_same_names(sample: Run, levels: dict[str, Run]) -> None:
    run = levels["auditor"]
    mine, given = run.table("images"), sample.table("images")
    named = dict(zip(given["image_id"], mine["image_id"], strict=True))
    assert len(set(named.values())) == len(given)
    assert mine[["path", "sha256"]].isna().all(axis=None)
    kept = ["label", "split", "status", "attr_tone", "attr_marker"]
    pd.testing.assert_frame_equal(mine[kept], given[kept])
    assert (mine.groupby("cluster").ngroup() >= 0).all()
    pairs = set(zip(given["cluster"], mine["cluster"], strict=True))
    assert len(pairs) == given["cluster"].nunique() == mine["cluster"].nunique()
    for name in TABLES:
        if sample.has(name) and "image_id" in TABLES[name] and name != "embeddings":
            said = sample.table(name)["image_id"]
            known = named | pseudonyms(said.dropna(), "image", SECRET)  # members are other images
            shown = run.table(name)["image_id"].astype(object)
            assert [known.get(one) for one in said] == shown.where(shown.notna(), None).tolist(), name
    assert not run.has("embeddings")


def test_auditor_recomputes_every_derived_table(sample: Run, levels: dict[str, Run]) -> None:
    def derived(run: Run) -> dict[str, pd.DataFrame]:
        tables = {name: run.table(name) for name in TABLES if run.has(name)}
        return derive(tables | {"embeddings": empty_table("embeddings")}, Facts.of(run.record))

    mine, given = derived(levels["auditor"]), derived(sample)
    assert sum(len(frame) for frame in given.values()) > 1000
    for name, frame in given.items():
        pd.testing.assert_frame_equal(mine[name], frame, rtol=1e-9, atol=1e-12, obj=name)


def test_public_holds_sums_alone(levels: dict[str, Run]) -> None:
    run = levels["public"]
    assert {path.stem for path in (run.path / "tables").iterdir()} <= PUBLIC
    assert {"coverage", "groups", "gaps", "findings"} <= {path.stem for path in (run.path / "tables").iterdir()}
    for path in (run.path / "tables").iterdir():
        assert not {"image_id", "path", "sha256", "cluster"} & set(pq.read_schema(path).names)
    withheld = " ".join(run.record["disclosure"]["withheld"])
    assert all(f"`{name}`" in withheld for name in ("curves", "lattice", "paired"))
    assert not set(LEFT_OUT) & PUBLIC
    assert "counts" not in run.record["data"]


def test_public_suppresses_the_small_ones(sample: Run, levels: dict[str, Run]) -> None:
    """Six images have no tone; of an image that cannot be read nothing is known of any model."""
    groups = levels["public"].table("groups")
    small = sample.table("groups")[["n", "clusters"]].min(axis=1) < 10
    rates = ("accuracy", "true_positive_rate", "false_positive_rate", "precision")
    counted = groups["metric"].isin(rates)
    shown = groups[counted & (groups["status"] != SUPPRESSED)]
    assert (shown["n"] >= 10).all()
    assert (groups["status"] == SUPPRESSED).sum() > small.sum()
    gone = groups[groups["status"] == SUPPRESSED]
    assert gone[["n", "clusters", "value", "low", "high", "method"]].isna().all(axis=None)
    assert gone[["model", "attribute", "group", "metric"]].notna().all(axis=None)
    missing = groups[(groups["group"] == "(missing)") & (groups["metric"] == "accuracy")]
    assert set(missing["status"]) == {SUPPRESSED}
    for name in ("region_groups", "quality_groups", "intervention_groups"):
        table = levels["public"].table(name)
        assert (table.loc[table["status"] != SUPPRESSED, "n"] >= 10).all(), name


def test_public_findings_rest_on_published_cells(sample: Run, levels: dict[str, Run]) -> None:
    findings, given = (run.table("findings") for run in (levels["public"], sample))
    gone = findings["text"].str.contains("withheld at the public level")
    assert findings["rule"].tolist() == given["rule"].tolist()
    assert gone.any()
    assert not gone.all()
    assert set(findings.loc[gone, "verdict"]) == {"inconclusive"}
    assert findings.loc[gone, ["group", "reference", "value", "low", "high", "p", "n_to_settle"]].isna().all(axis=None)
    assert findings["p_adjusted"].isna().all(), "it would tell of the other rules' p-values"
    columns = ["value", "low", "high", "verdict", "text"]
    pd.testing.assert_frame_equal(findings.loc[~gone, columns], given.loc[~gone, columns])
    suppressed = levels["public"].table("groups").query("status == @SUPPRESSED")["attribute"]
    assert set(findings.loc[gone, "attribute"]) <= set(suppressed)


def test_public_can_be_made_from_the_auditors(levels: dict[str, Run], tmp_path: Path) -> None:
    disclosure = disclose(levels["auditor"], "public", tmp_path / "less", secret=SECRET)
    less = open_run(tmp_path / "less")
    for path in (levels["public"].path / "tables").iterdir():
        pd.testing.assert_frame_equal(less.table(path.stem), levels["public"].table(path.stem), obj=path.stem)
    assert set(disclosure.suppressed["table"]) >= {"coverage", "groups"}


@pytest.mark.parametrize(("given", "asked"), [("public", "public"), ("public", "internal"), ("auditor", "internal")])
def test_a_level_cannot_be_raised(given: str, asked: Any, levels: dict[str, Run], tmp_path: Path) -> None:
    with pytest.raises(RunError, match=f"disclosed at level '{given}' already, so level '{asked}' cannot"):
        disclose(levels[given], asked, tmp_path / "more", secret=SECRET)


def test_bad_requests(sample: Run, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"disclosure level 'publik' is unknown.*Did you mean 'public'"):
        disclose(sample, "publik", tmp_path / "out", secret=SECRET)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="threshold is 1, allowed: 2 or more"):
        disclose(sample, "public", tmp_path / "out", secret=SECRET, threshold=1)
    with pytest.raises(InputError, match="secret of the pseudonyms is empty"):
        disclose(sample, "auditor", tmp_path / "out", secret=b"")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "note.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match="is there already"):
        disclose(sample, "public", tmp_path / "full", secret=SECRET)
    assert not (tmp_path / "out").exists()


def test_a_key_that_nobody_chose_is_withheld() -> None:
    record = {
        "schema_version": 1,
        "secret_note": "home address",
        "models": [{"name": "m", "sha256": "ab", "architecture": "mine.py:Network", "arguments": {"path": "x/y"}}],
        "data": {
            "classes": ["a"],
            "counts": {"ok": 3},
            "owner": "somebody",
            "attributes": [{"name": "t", "column": "c"}],
        },
        "config": {
            "seed": 4,
            "cache": "/home/me",
            "data": {"manifest": "m.csv", "root": None, "groups": []},
            "models": [],
        },
    }
    found = disclosed_record(record, {"level": "public"}, rows=False)
    assert found["models"][0]["architecture"] == found["models"][0]["arguments"] == WITHHELD
    assert found["config"]["cache"] == found["config"]["data"]["manifest"] == WITHHELD
    assert found["config"]["data"]["root"] is None
    assert found["config"]["seed"] == 4
    assert found["data"] == {"classes": ["a"], "attributes": [{"name": "t"}], "training": {}}
    assert not {"home address", "somebody", "/home/me", "x/y"} & set(np.unique(json.dumps(found).split('"')))
    assert "counts" in disclosed_record(record, {"level": "auditor"}, rows=True)["data"]
