"""The main pages over a run that carries the whole corpus of hostile names: no script, no request to another host."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dashboard.server import Server
from tests.dashboard.conftest import free_port
from tests.dashboard.test_browser import _outside, go
from tests.hostile.named_run import build_named

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PAGES = (*("", "overview", "fairness", "errors", "explanations", "compare", "robustness", "compliance", "provenance"),)


def test_no_page_runs_a_name_or_asks_another_host(browser: Browser, runs: Path, tmp_path: Path) -> None:
    build_named(runs / "sample", tmp_path / "runs" / "named")
    acted: list[str] = []
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    context.set_default_timeout(45_000)
    page = context.new_page()
    page.on("dialog", lambda dialog: (acted.append(dialog.message), dialog.dismiss()))
    page.on("pageerror", lambda error: acted.append(str(error)))
    page.on("request", lambda request: acted.append(request.url) if _outside(request.url) else None)
    with Server(tmp_path / "runs", free_port()) as server:
        server.wait_until_ready()
        for name in PAGES:
            go(page, f"{server.url}/{name}")
            assert page.locator("[data-testid=stException]").count() == 0, name
            main = page.locator("[data-testid=stMain]")
            assert main.locator("script, iframe, object").count() == 0, name
            links = main.evaluate("main => [...main.querySelectorAll('a')].map(a => a.protocol + a.hostname)")
            assert set(links) <= {"http:127.0.0.1"}, name
            assert len(main.inner_text()) > 200, name
    context.close()
    assert acted == []
