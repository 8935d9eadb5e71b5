"""A reviewer's path in Chromium by keyboard alone, from verdict to bundle, and pages of runs that are not whole."""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from audit.run import open_run
from audit.run.statements import read_statements
from dashboard.pages import PAGES
from dashboard.server import Server
from tests.dashboard.conftest import free_port
from tests.dashboard.runs import HOSTILE, rename_group
from tests.dashboard.test_browser import go, page, query, settle
from tests.derived_run import build_derived

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]
__all__ = ["page"]


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run that verifies, to write into."""
    folder = tmp_path_factory.mktemp("own")
    build_derived(folder / "sample")
    return folder


@pytest.fixture(scope="module")
def own_server(own: Path) -> Iterator[Server]:
    with Server(own, free_port()) as started:
        started.wait_until_ready()
        yield started


class Keyboard:
    """Somebody without a mouse; counts what they press."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.presses = 0

    def reach(self, wanted: Locator) -> None:
        """Go from stop to stop until the wanted one has the focus."""
        wanted.wait_for()
        for _ in range(400):
            if wanted.evaluate("element => element === document.activeElement"):
                return
            self.page.keyboard.press("Tab")
        raise AssertionError(f"the keyboard never reaches {wanted}")

    def press(self, wanted: Locator) -> None:
        self.reach(wanted)
        self.page.keyboard.press("Enter")
        self.presses += 1

    def write(self, wanted: Locator, text: str) -> None:
        self.reach(wanted)
        self.page.keyboard.type(text)


def step(page: Page, name: str) -> Locator:
    return page.locator(".st-key-review_steps :is(a, button)", has_text=name)


def test_from_verdict_to_bundle_in_six_presses(own: Path, own_server: Server, page: Page, tmp_path: Path) -> None:
    go(page, f"{own_server.url}/overview?run=sample")
    keys = Keyboard(page)
    findings = open_run(own / "sample").table("findings")
    first = findings[findings["verdict"] == "fail"].iloc[0]
    claim = f"findings:{first['model']}:{first['rule']}"

    keys.press(page.locator(f".st-key-finding_{first['finding_id']} [data-testid=stPageLink] a").first)
    page.wait_for_url(re.compile("/fairness"))
    settle(page)
    assert query(page)["attribute"] == [first["attribute"]]
    assert query(page)["metric"] == [first["metric"]]

    keys.press(step(page, "Images behind it"))
    page.wait_for_url(re.compile("/errors"))
    settle(page)
    assert query(page)["group"] == [first["group"]]
    assert query(page)["model"] == [first["model"]]
    page.locator("[data-testid=stMain] img").first.wait_for()

    keys.press(step(page, "Statement or waiver"))
    page.wait_for_url(re.compile("/compliance"))
    settle(page)
    assert query(page)["about"] == [claim]
    keys.write(page.get_by_role("textbox", name="Author"), "Ana Ruiz")
    keys.write(page.get_by_role("textbox", name="Role"), "reviewer")
    keys.write(page.get_by_role("textbox", name="Text"), "Seen; the drawings of this tone are too dark.")
    keys.press(page.get_by_role("button", name="Add to the log"))
    page.get_by_text("Added as entry 0001").wait_for()
    entry = read_statements(open_run(own / "sample"))[-1]
    assert (entry.about, entry.author) == (claim, "Ana Ruiz")

    keys.press(step(page, "Bundle"))
    page.wait_for_url(re.compile("compliance=bundle"))
    settle(page)
    assert query(page)["claim"] == [claim], "the selection is never lost"
    keys.press(page.get_by_role("button", name="Make the bundle"))
    page.get_by_role("button", name="Download the bundle").wait_for(timeout=120_000)
    assert keys.presses <= 6

    with page.expect_download() as waiting:
        keys.press(page.get_by_role("button", name="Download the bundle"))
    file = waiting.value
    assert file.suggested_filename == "faircam_sample-run-synthetic_biased-torch_bundle-auditor_2026-01-15.zip"
    file.save_as(tmp_path / "bundle.zip")
    with zipfile.ZipFile(tmp_path / "bundle.zip") as archive:
        assert entry.text in archive.read("statements.yaml").decode()
    keys.press(page.get_by_role("button", name="Verify it"))
    page.get_by_text("Nothing was found that differs").wait_for(timeout=120_000)


@pytest.fixture(scope="module")
def unwhole(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs that are broken off, being written, older, damaged, and of hostile names; and a folder that is no run."""
    folder = tmp_path_factory.mktemp("unwhole")
    record = json.loads((runs / "sample" / "run.json").read_text(encoding="utf-8"))

    def copy(name: str, **changes: object) -> Path:
        shutil.copytree(runs / "sample", folder / name)
        kept = {key: value for key, value in {**record, **changes, "name": name}.items() if value is not None}
        (folder / name / "run.json").write_text(json.dumps(kept), encoding="utf-8")
        return folder / name

    written = copy("being-written", complete=False, tables=None, timings=None)
    for table in ("findings", "groups", "gaps", "stamps", "coverage"):
        (written / "tables" / f"{table}.parquet").unlink()
    (written / "tables" / ".groups.parquet.partial").write_bytes(b"PAR1")
    copy("older", environment=None, policy=None, trust=None, methods=None, tables=None)
    damaged = copy("damaged")
    for table in ("groups", "explanations", "problems"):
        (damaged / "tables" / f"{table}.parquet").write_bytes(b"PAR1 cut off")
    shutil.rmtree(damaged / "thumbnails")
    shutil.rmtree(damaged / "shards")
    hostile = copy("hostile")
    rename_group(hostile, "tone-1", HOSTILE)
    script = "<script>alert(1)</script><img src=http://x.invalid/a.png onerror=alert(2)>"
    rename_group(hostile, "tone-2", script)
    changed = json.loads((hostile / "run.json").read_text(encoding="utf-8"))
    changed["name"] = f"{script} ![x](http://x.invalid/b.png) [l](javascript:alert(3))"
    (hostile / "run.json").write_text(json.dumps(changed), encoding="utf-8")
    broken = folder / "broken"
    broken.mkdir()
    (broken / "run.json").write_text(json.dumps({"schema_version": 1, "complete": False, "name": "broken"}))
    return folder


@pytest.fixture(scope="module")
def unwhole_server(unwhole: Path) -> Iterator[Server]:
    with Server(unwhole, free_port()) as started:
        started.wait_until_ready()
        yield started


@pytest.mark.parametrize("name", ["being-written", "older", "damaged", "broken", "hostile"])
def test_run_that_is_not_whole_opens_on_every_page(unwhole_server: Server, page: Page, name: str) -> None:
    said: list[str] = []
    page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    page.on("pageerror", lambda error: said.append(str(error)))
    for one in PAGES:
        go(page, f"{unwhole_server.url}/{one}?run={name}")
        assert page.locator("[data-testid=stException]").count() == 0, one
        assert page.locator("[data-testid=stMain] script").count() == 0, one
        assert page.locator("[data-testid=stMain] [src*='x.invalid'], [href*='x.invalid']").count() == 0, one
        text = page.locator("[data-testid=stMain]").inner_text()
        assert len(text) > 40, one
        if name in ("being-written", "broken") and one != "audits":
            assert "INCOMPLETE" in text, one
    assert said == [], "no script of a name runs"
