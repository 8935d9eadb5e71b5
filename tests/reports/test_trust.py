"""A report says what was trusted, and a bundle's record holds it at every level."""

from __future__ import annotations

import json
from pathlib import Path

from audit.run import Run
from reports import write_report
from reports.bundle.disclosed_record import disclosed_record
from tests.reports.conftest import Change

DIGEST = "c" * 64


def words(run: Run, folder: Path, language: str = "en") -> str:
    path = folder / f"report-{language}.md"
    write_report(run, path, "md", language)
    return path.read_text(encoding="utf-8").replace("\\", "")


def test_nothing_is_said_where_nothing_was_trusted(sample: Run, tmp_path: Path) -> None:
    assert "sha256:" not in words(sample, tmp_path)
    assert "Import paths of the configuration were followed" not in words(sample, tmp_path)


def test_trust_is_printed(sample: Run, changed: Change, tmp_path: Path) -> None:
    models = [dict(model) for model in sample.record["models"]]
    models[0]["sha256"] = DIGEST
    given = {"trust_code": True, "trust_models": [DIGEST, "d" * 64]}
    run = changed(models=models, trust=given)
    said = words(run, tmp_path)
    assert "Import paths of the configuration were followed: code of whoever wrote it ran" in said
    assert (
        f"model {models[0]['name']} could run code when it was loaded; it was trusted by its digest, sha256:{DIGEST}"
        in said
    )
    assert f"sha256:{'d' * 64}, of no model of this run, was trusted" in said
    assert f"它凭摘要 sha256:{DIGEST} 被信任" in words(run, tmp_path, "zh")
    for rows in (True, False):
        assert json.loads(json.dumps(disclosed_record(run.record, {}, rows=rows)))["trust"] == given
