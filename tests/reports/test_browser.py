"""The report in a browser: opens quietly, asks for nothing, and fits desktop and phone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from audit.run import Run
from reports import write_report

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[object]:
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture(scope="module")
def report(sample: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(sample, tmp_path_factory.mktemp("report") / "report.html")


@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page(browser, report: Path, width: int, scheme: str) -> None:
    said: list[str] = []
    asked: list[str] = []
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(report.as_uri())
    page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    page.wait_for_load_state("networkidle")
    assert said == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert len([url for url in asked if url.startswith("file:")]) == 1
    assert page.locator("h1").inner_text() == "sample run (synthetic)"
    assert page.locator("main > section > h2").count() == 17
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 22, 26)"
    assert dark == (scheme == "dark")
    context.close()


def test_the_keyboard_reaches_the_content_first(browser, report: Path) -> None:
    page = browser.new_page()
    page.goto(report.as_uri())
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    page.close()


@pytest.mark.parametrize(("width", "medium"), [(1440, "screen"), (390, "screen"), (900, "print")])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser, report: Path, width: int, medium: str, scheme: str) -> None:
    package = pytest.importorskip("axe_playwright_python", reason="axe-core is not installed")
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    page.emulate_media(media=medium)
    page.goto(report.as_uri())
    page.evaluate((Path(package.__file__).parent / "axe.min.js").read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    grave = [
        f"{rule['id']}: {len(rule['nodes'])} times, first {rule['nodes'][0]['html'][:120]}"
        for rule in found["violations"]
        if rule["impact"] in ("serious", "critical")
    ]
    assert grave == []
    context.close()
