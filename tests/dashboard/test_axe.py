"""Every page against axe-core's rules for accessibility, light and dark, on a desktop and on a phone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from dashboard.pages import PAGES
from dashboard.server import Server
from tests.dashboard.test_browser import PATIENCE, go, settle

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
SIZES = {"desktop": (1440, 1000), "phone": (390, 844)}
GRAVE = ("serious", "critical")
FURTHER = {
    "fairness": [f"view={part}" for part in ("confidence", "unnamed", "map", "conditions")],
    "errors": ["errors=where", "errors=confusion"],
    "explanations": [f"part={part}" for part in ("regions", "means", "interventions", "agreement", "stamps")],
    "compare": ["compared=verdicts", "compared=agreement"],
    "robustness": [f"data={part}" for part in ("problems", "conditions", "labels", "training")],
    "compliance": ["compliance=statements", "compliance=bundle", "clause=Art.%2015&pack=eu-ai-act"],
}
"""Parts of pages that are shown on their own, as queries."""
VIEWS = [f"{name}?run=sample&{query}" for name in PAGES for query in ["", *FURTHER.get(name, [])]]


@pytest.fixture(scope="module")
def axe() -> str:
    """The source of axe-core, as its package for Playwright ships it."""
    package = pytest.importorskip("axe_playwright_python", reason="axe-core is not installed")
    return (Path(package.__file__).parent / "axe.min.js").read_text(encoding="utf-8")


def grave(page: Page, axe: str) -> list[str]:
    """What axe finds that keeps somebody out, one line a rule."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(axe)
    found: dict[str, Any] = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{rule['id']} ({rule['impact']}), {len(rule['nodes'])} times: {rule['help']}: {rule['nodes'][0]['html'][:300]} "
        f"{rule['nodes'][0]['any'][0]['message'] if rule['nodes'][0]['any'] else ''}"
        for rule in found["violations"]
        if rule["impact"] in GRAVE
    ]


@pytest.fixture(scope="module")
def windows(browser: Browser) -> Iterator[dict[str, Page]]:
    """A page a colour scheme, which keep what they loaded from view to view."""
    contexts = {scheme: browser.new_context(color_scheme=scheme) for scheme in SCHEMES}
    for context in contexts.values():
        context.set_default_timeout(PATIENCE)
    yield {scheme: context.new_page() for scheme, context in contexts.items()}
    for context in contexts.values():
        context.close()


@pytest.mark.parametrize("view", VIEWS)
def test_nothing_grave(server: Server, windows: dict[str, Page], axe: str, view: str) -> None:
    found: dict[str, list[str]] = {}
    for scheme, opened in windows.items():
        for name, (width, height) in SIZES.items():
            opened.set_viewport_size({"width": width, "height": height})
            if name == "desktop":
                go(opened, f"{server.url}/{view}")
            else:
                settle(opened)
            found[f"{scheme}, {name}"] = grave(opened, axe)
    assert not any(found.values()), "\n".join(f"{where}: {line}" for where, lines in found.items() for line in lines)
