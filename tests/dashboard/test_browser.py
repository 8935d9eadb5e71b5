"""The dashboard in Chromium: links reopen views, downloads carry their names, maps stand side by side."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pandas as pd
import pytest

from audit.run import open_run
from dashboard.server import Server
from tests.dashboard.runs import HOSTILE

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PATIENCE = 45_000
DONE = "[data-testid=stApp][data-test-script-state=notRunning]"


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1440, "height": 1000}, accept_downloads=True)
    context.set_default_timeout(PATIENCE)
    opened = context.new_page()
    outside: list[str] = []
    opened.on("request", lambda request: outside.append(request.url) if _outside(request.url) else None)
    yield opened
    context.close()
    assert outside == [], "a page asked something outside this machine"


def _outside(address: str) -> bool:
    return urlsplit(address).scheme in ("http", "https", "ws", "wss") and urlsplit(address).hostname != "127.0.0.1"


def go(page: Page, address: str) -> None:
    page.goto(address)
    settle(page)


def settle(page: Page) -> None:
    page.wait_for_selector("h1")
    page.wait_for_selector(DONE)
    page.wait_for_timeout(300)


def query(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


def pick(page: Page, label: str, option: str) -> None:
    page.get_by_label(label, exact=True).first.click()
    page.get_by_role("option", name=option, exact=True).click()
    page.wait_for_timeout(200)
    settle(page)


@pytest.mark.parametrize("name", ["overview", "fairness", "explanations", "provenance"])
def test_page_opens_without_an_error(server: Server, page: Page, name: str) -> None:
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    go(page, f"{server.url}/{name}")
    assert page.locator("[data-testid=stException]").count() == 0
    assert page.locator("h2").count() >= 2
    assert query(page)["run"] == ["sample"]
    assert errors == []


def test_filter_moves_the_address_and_the_address_reopens_the_view(server: Server, page: Page) -> None:
    go(page, f"{server.url}/fairness")
    pick(page, "Model", "biased-keras")
    pick(page, "Attribute or intersection", "marker")
    pick(page, "Metric", "false positive rate")
    assert query(page)["attribute"] == ["marker"]
    assert query(page)["metric"] == ["false_positive_rate"]
    assert query(page)["model"] == ["biased-keras"]
    title = page.locator("h2").first.inner_text()
    address = page.url
    other = page.context.new_page()
    other.set_default_timeout(PATIENCE)
    go(other, address)
    assert other.locator("h2").first.inner_text() == title
    assert "False positive rate" in title
    assert other.url == address


def test_finding_leads_to_its_cell(server: Server, page: Page) -> None:
    go(page, f"{server.url}/overview")
    page.locator(".st-key-verdict_counts").wait_for()
    link = page.locator("[class*=st-key-finding_] a").first
    label = link.inner_text()
    link.click()
    page.wait_for_url(re.compile("/fairness"))
    settle(page)
    assert query(page)["metric"] == ["accuracy"]
    assert query(page)["attribute"] == ["tone"]
    assert "accuracy by tone" in label
    assert page.locator("h2").first.inner_text().startswith("Accuracy by tone")


def test_forest_plot_is_drawn(server: Server, page: Page) -> None:
    go(page, f"{server.url}/fairness?run=sample&model=biased-torch&attribute=tone&metric=accuracy")
    plot = page.locator(".js-plotly-plot").first
    plot.wait_for()
    assert "tone-4" in plot.text_content()
    assert plot.locator(".errorbar, .errorbars path").count() >= 7


def test_csv_download_has_name_and_content(server: Server, page: Page, runs: Path, tmp_path: Path) -> None:
    go(page, f"{server.url}/fairness?run=sample&model=biased-torch&attribute=tone&metric=accuracy")
    button = page.locator("[class*=st-key-download_metric-tone-accuracy] button:visible")
    button.wait_for()
    with page.expect_download() as waiting:
        button.click()
    file = waiting.value
    assert file.suggested_filename == "faircam_sample-run-synthetic_biased-torch_metric-tone-accuracy_2026-01-15.csv"
    file.save_as(tmp_path / "x.csv")
    read = pd.read_csv(tmp_path / "x.csv").set_index("group")
    groups = open_run(runs / "sample").table("groups")
    wanted = groups[
        (groups["model"] == "biased-torch") & (groups["attribute"] == "tone") & (groups["metric"] == "accuracy")
    ].set_index("group")
    for group in wanted.index:
        assert read.loc[group, "value"] == pytest.approx(wanted.loc[group, "value"])
        assert read.loc[group, "n"] == wanted.loc[group, "n"]
    assert len(read) == len(wanted) + 1


def test_maps_of_both_models_stand_side_by_side(server: Server, page: Page) -> None:
    go(page, f"{server.url}/explanations")
    for model in ("biased-torch", "biased-keras"):
        tiles = page.locator(f".st-key-tiles_{model} img")
        tiles.nth(3).wait_for()
        assert tiles.count() == 4
        boxes = [tiles.nth(place).bounding_box() for place in range(4)]
        assert len({round(box["y"]) for box in boxes if box}) == 1, "tiles of a model are in one row"
        loaded = "image => image.complete && image.naturalWidth > 100"
        assert all(tiles.nth(place).evaluate(loaded) for place in range(4))
        assert all(tiles.nth(place).get_attribute("alt") for place in range(4))


def test_stamp_opens_its_checks_by_keyboard(server: Server, page: Page) -> None:
    go(page, f"{server.url}/explanations?methods=grad_cam")
    stamp = page.locator("[class*=st-key-stamp_biased-keras] button:visible")
    stamp.wait_for()
    assert stamp.inner_text().split("\n")[0].strip() == "✕ Not evidence"
    checks = page.get_by_text("It does not say that a person reads them rightly")
    assert checks.count() == 0
    stamp.focus()
    page.keyboard.press("Enter")
    checks.wait_for()
    assert page.get_by_role("listitem").filter(has_text="wanted at most 0.9").count() == 1
    page.keyboard.press("Escape")
    checks.wait_for(state="detached")


def test_disagreement_leads_to_the_image(server: Server, page: Page) -> None:
    go(page, f"{server.url}/explanations?part=agreement&method=grad_cam")
    button = page.locator("[class*=st-key-open_] button").first
    name = button.inner_text().split("\n")[-1].strip()
    assert page.locator(".st-key-apart_images img").count() >= 6
    button.click()
    page.wait_for_url(re.compile("part=images"))
    settle(page)
    assert query(page)["image"] == [name]
    assert page.get_by_role("heading", name=f"Image {name}").count() == 1


def test_picked_thumbnail_is_in_the_address(server: Server, page: Page) -> None:
    go(page, f"{server.url}/explanations")
    button = page.locator(".st-key-thumbnails [class*=st-key-pick_] button").nth(2)
    name = button.inner_text().strip()
    button.click()
    page.wait_for_url(re.compile(name))
    settle(page)
    assert query(page)["image"] == [name]
    page.reload()
    settle(page)
    assert page.get_by_role("heading", name=f"Image {name}").count() == 1


def test_going_back_reopens_the_view_before(server: Server, page: Page) -> None:
    go(page, f"{server.url}/fairness?run=sample&model=biased-torch&attribute=tone&metric=accuracy&class=(none)")
    pick(page, "Attribute or intersection", "marker")
    assert page.locator("h2").first.inner_text().startswith("Accuracy by marker")
    page.wait_for_timeout(2500)
    page.go_back()
    page.wait_for_timeout(500)
    settle(page)
    assert query(page)["attribute"] == ["tone"]
    assert page.locator("h2").first.inner_text().startswith("Accuracy by tone")


def test_narrow_window_shows_everything_in_its_width(server: Server, browser: Browser) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme="dark")
    context.set_default_timeout(PATIENCE)
    narrow = context.new_page()
    parts = ("images", "regions", "means", "interventions", "agreement", "stamps")
    explained = [f"explanations?part={part}" for part in parts]
    for name in ("overview", "fairness", *explained, "provenance"):
        go(narrow, f"{server.url}/{name}")
        main = narrow.locator("[data-testid=stMain]")
        assert main.evaluate("element => element.scrollWidth <= element.clientWidth + 1"), name
    context.close()


@pytest.fixture(scope="module")
def odd_server(odd_runs: Path) -> Iterator[Server]:
    from tests.dashboard.conftest import free_port

    with Server(odd_runs, free_port()) as started:
        started.wait_until_ready()
        yield started


def test_names_with_markup_are_shown_as_they_are(odd_server: Server, page: Page) -> None:
    go(page, f"{odd_server.url}/overview?run=hostile")
    body: Any = page.locator("[data-testid=stMain]")
    text = body.inner_text()
    assert "<b>b</b>" in text
    assert ":red[r]" in text
    assert page.locator("[data-testid=stMain] a[href*='x.invalid']").count() == 0
    warned = f"{odd_server.url}/fairness?run=hostile&attribute="
    from urllib.parse import quote

    go(page, warned + quote(HOSTILE))
    alert = page.locator("[data-testid=stAlert]").first.inner_text().replace("\N{WORD JOINER}", "")
    for part in ("*a*", "<b>b</b>", "[l](http://x.invalid)", ":red[r]", ":material/home:", ":smile:", "$x^2$", "`c`"):
        assert part in alert
    assert page.locator("[data-testid=stAlert] a").count() == 0
