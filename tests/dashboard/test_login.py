"""Logging in for real: a browser, the dashboard on a shared deployment, and a provider on this machine."""

from __future__ import annotations

import json
import shutil
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from audit.run import open_run
from audit.run.statements import read_statements
from dashboard.access import require_login
from dashboard.server import Server
from tests.dashboard.conftest import free_port
from tests.dashboard.provider import Provider
from tests.dashboard.test_browser import PATIENCE, settle

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]

for _needed in ("authlib", "httpx", "joserfc"):
    pytest.importorskip(_needed, reason="streamlit[auth] is not installed")


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with Provider() as started:
        yield started


@pytest.fixture(scope="module")
def shared(provider: Provider, runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Server]]:
    """A dashboard with a login over a copy of the sample run; ana is on the list."""
    folder = tmp_path_factory.mktemp("shared")
    shutil.copytree(runs / "sample", folder / "runs" / "sample")
    (folder / "people.txt").write_text("ana@example.org\n", encoding="utf-8")
    port = free_port()
    settings = {
        "redirect_uri": f"http://localhost:{port}/oauth2callback",
        "cookie_secret": "0123456789abcdef0123456789abcdef",
        "client_id": "faircam",
        "client_secret": "secret",
        "server_metadata_url": f"{provider.url}/.well-known/openid-configuration",
    }
    lines = ["[auth]", *(f"{key} = {json.dumps(value)}" for key, value in settings.items())]
    (folder / "secrets.toml").write_text("\n".join(lines), encoding="utf-8")
    login = require_login("127.0.0.1", folder / "people.txt", folder / "secrets.toml")
    with Server(folder / "runs", port, login=login) as started:
        started.wait_until_ready()
        yield folder / "runs" / "sample", started


def log_in(browser: Browser, server: Server, provider: Provider, claims: dict[str, object]) -> Page:
    """A new visitor who presses the button; the provider says who they are."""
    provider.claims = claims
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.goto(f"http://localhost:{server.port}/overview?run=sample")
    settle(page)
    assert "sample" not in page.locator("body").inner_text().replace("samples", "")
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("button", name="Log out").first.wait_for(state="attached")
    settle(page)
    return page


def test_who_is_on_the_list_gets_in_and_writes_under_that_name(
    shared: tuple[Path, Server], provider: Provider, browser: Browser
) -> None:
    folder, server = shared
    page = log_in(browser, server, provider, {"email": "ana@example.org", "email_verified": True, "name": "Boss"})
    page.goto(f"http://localhost:{server.port}/compliance?run=sample&compliance=statements&about=oversight")
    settle(page)
    assert page.get_by_role("textbox", name="Author").input_value() == "ana@example.org"
    page.get_by_role("textbox", name="Role").fill("reviewer")
    page.get_by_role("textbox", name="Text").fill("A person looks at each.")
    page.get_by_role("button", name="Add to the log").click()
    page.get_by_text("Added as entry 0001").wait_for()
    assert read_statements(open_run(folder))[-1].author == "ana@example.org"
    page.context.close()


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"email": "eve@example.org", "email_verified": True}, "is not on the list"),
        ({"email": "ana@example.org", "email_verified": False}, "was not verified"),
        ({"name": "ana@example.org"}, "is not on the list"),
    ],
)
def test_another_does_not(
    shared: tuple[Path, Server], provider: Provider, browser: Browser, claims: dict[str, object], why: str
) -> None:
    page = log_in(browser, shared[1], provider, claims)
    for name in ("", "fairness", "compliance", "provenance"):
        page.goto(f"http://localhost:{shared[1].port}/{name}?run=sample")
        settle(page)
        text = page.locator("body").inner_text()
        assert why in text
        assert "biased-torch" not in text
    page.context.close()


def test_a_forged_header_lets_nobody_in(shared: tuple[Path, Server], browser: Browser) -> None:
    headers = {"X-Forwarded-Email": "ana@example.org", "X-Forwarded-User": "ana@example.org"}
    context = browser.new_context(extra_http_headers=headers)
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.goto(f"http://localhost:{shared[1].port}/overview?run=sample")
    settle(page)
    assert page.get_by_role("button", name="Log in").count() == 1
    context.close()


def test_health_is_all_that_is_told_to_strangers(shared: tuple[Path, Server]) -> None:
    for place in ("_stcore/health", "_stcore/host-config", "_stcore/metrics"):
        with urllib.request.urlopen(f"http://localhost:{shared[1].port}/{place}") as answer:
            said = answer.read().decode()
        assert "sample" not in said
        assert "ana@" not in said
