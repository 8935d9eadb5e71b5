"""The Audits page: every run of a folder, what cannot be shown and why, and the check of the hashes."""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from audit.run import open_run
from audit.run.integrity import table_digests
from audit.run.tables import read_table, write_table
from dashboard.audits import listing
from dashboard.audits.listing import Listed, matches
from dashboard.server import RUNS_VARIABLE
from reports.palette import verdict_style
from tests.dashboard.runs import HOSTILE

OpenApp = Callable[..., Any]


def texts(app: Any) -> str:
    parts = [*app.text, *app.markdown, *app.caption, *app.info, *app.warning, *app.error]
    return "\n".join(str(part.value).replace("\\", "").replace("\N{WORD JOINER}", "") for part in parts)


def change(folder: Path, /, **changes: Any) -> None:
    """Set keys of a run's record."""
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    (folder / "run.json").write_text(json.dumps(record | changes), encoding="utf-8")


@pytest.fixture
def copy(runs: Path, tmp_path: Path) -> Callable[..., Path]:
    """Function that copies the sample run under a name, with changes to its record."""

    def make(folder: str, /, **changes: Any) -> Path:
        shutil.copytree(runs / "sample", tmp_path / folder)
        change(tmp_path / folder, **changes)
        return tmp_path / folder

    return make


def test_a_run_is_listed_with_what_it_found(runs: Path, open_app: OpenApp) -> None:
    app = open_app(runs, "audits")
    said = texts(app)
    run = open_run(runs / "sample")
    assert "2026-01-15 · biased-torch, biased-keras · 239 of 240 images" in said
    for verdict, number in run.table("findings")["verdict"].value_counts().items():
        style = verdict_style(verdict)
        assert f"{style.symbol} {number} {style.word}]" in said
    before = bool(run.table("findings")["preregistered"].all())
    assert ("preregistered" if before else "post hoc") in said
    link = app.get("page_link")[0].proto
    assert link.page.endswith("overview")
    assert parse_qs(link.query_string)["run"] == ["sample"]


def test_every_folder_has_its_message(runs: Path, copy: Callable[..., Path], tmp_path: Path, open_app: OpenApp) -> None:
    copy("whole")
    copy("newer", schema_version=99)
    copy("older", schema_version=0, name="from long ago")
    copy("stopped", complete=False, name="stopped midway")
    (copy("part", name="a part is gone") / "tables" / "predictions.parquet").unlink()
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "run.json").write_text('{"schema_version": 1, "na', encoding="utf-8")
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "plan.json").write_text("{}", encoding="utf-8")
    (tmp_path / "notes").mkdir()
    app = open_app(tmp_path, "audits")
    said = texts(app)
    assert "4 audits" in said
    assert "1 not complete" in said
    assert "It was written in format 0, before this version's 1" in said.replace("’", "'")
    assert "A part is missing: predictions." in said
    assert "! Incomplete" in said
    assert "newer: Its record cannot be read: it was written in format 99" in said
    assert "torn: Its record cannot be read: it is not the record of a run." in said
    assert "begun: A run that ended before its first record was written" in said
    assert "notes: No run: it holds no run.json." in said
    assert not app.error


def test_run_that_is_being_written_says_so(copy: Callable[..., Path], tmp_path: Path, open_app: OpenApp) -> None:
    folder = copy("now", complete=False)
    with (folder / ".lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert "… Being written" in texts(open_app(tmp_path, "audits"))
    assert "! Incomplete" in texts(open_app(tmp_path, "audits"))


def test_search_and_order(copy: Callable[..., Path], tmp_path: Path, open_app: OpenApp) -> None:
    copy("a", name="Second half", created="2026-03-01T00:00:00+00:00")
    copy("b", name="First half", created="2026-02-01T00:00:00+00:00")
    copy("c", name="Other", created="2026-04-01T00:00:00+00:00")

    def listed(**query: str) -> list[str]:
        links = open_app(tmp_path, "audits", **query).get("page_link")
        return [parse_qs(item.proto.query_string)["run"][0] for item in links]

    assert listed() == ["c", "a", "b"]
    assert listed(runs="oldest") == ["b", "a", "c"]
    assert listed(runs="name") == ["b", "c", "a"]
    assert listed(search="half FIRST") == ["b"]
    assert listed(search="2026-03") == ["a"]
    app = open_app(tmp_path, "audits", search="half")
    assert app.text_input(key="search").value == "half"
    app.text_input(key="search").set_value("nothing of the kind").run()
    assert app.query_params["search"] == "nothing of the kind"
    assert "0 match “nothing of the kind”" in texts(app)


def test_search_by_hand() -> None:
    run = Listed(Path("/r/x1"), "Skin study", "2026-01-01", ("net-a",), 1, 1, "complete", policy="clinic")
    assert matches(run, "")
    assert matches(run, "skin CLINIC")
    assert matches(run, "net-a x1")
    assert not matches(run, "skin other")


def test_most_failing_first(monkeypatch: pytest.MonkeyPatch, copy: Callable[..., Path], tmp_path: Path) -> None:
    quiet = copy("quiet")
    findings = read_table(quiet, "findings")
    write_table(quiet, "findings", findings.assign(verdict="pass"))
    copy("loud")
    monkeypatch.setenv(RUNS_VARIABLE, str(tmp_path))
    found = listing.listed("failing")
    assert [run.path.name for run in found] == ["loud", "quiet"]
    assert found[1].verdicts == {"pass": len(findings)}
    assert found[0].failing == int((findings["verdict"] == "fail").sum()) > 0


def test_hashes_are_compared_when_asked(copy: Callable[..., Path], tmp_path: Path, open_app: OpenApp) -> None:
    folder = copy("sealed")
    change(folder, tables=table_digests(folder))
    app = open_app(tmp_path, "audits")
    assert "– Not verified" in texts(app)
    app.button(key="verify_sealed").click().run()
    assert "✓ Hashes agree" in texts(app)
    assert "✓ Hashes agree" in texts(open_app(tmp_path, "audits"))
    gaps = read_table(folder, "gaps")
    write_table(folder, "gaps", gaps.assign(value=gaps["value"] / 2))
    again = open_app(tmp_path, "audits")
    assert "– Not verified" in texts(again)
    again.button(key="verify_sealed").click().run()
    assert "✕ Changed" in texts(again)
    assert "table 'gaps' was changed after the run" in texts(again)


def test_run_without_digests_says_so(runs: Path, open_app: OpenApp) -> None:
    app = open_app(runs, "audits")
    assert "? No digests" in texts(app)
    app.button(key="verify_sample").click().run()
    assert "? No digests" in texts(app)
    assert not app.error


def test_names_with_markup_are_escaped(copy: Callable[..., Path], tmp_path: Path, open_app: OpenApp) -> None:
    copy("odd", name=HOSTILE, policy={"name": HOSTILE, "sha256": "0" * 64})
    app = open_app(tmp_path, "audits", search="<b>")
    for item in [*app.markdown, *app.caption]:
        assert "<b>" not in item.value
        assert ":red[" not in item.value
    label = app.get("page_link")[0].proto.label
    assert "<b>" not in label
    assert ":red[" not in label


def test_one_run_as_the_folder(runs: Path, open_app: OpenApp) -> None:
    app = open_app(runs / "sample", "audits")
    assert "1 audits" not in texts(app)
    assert len(app.get("page_link")) == 1
