"""The list of audits, errors, comparisons and the state of the data in Chromium: links, downloads, keyboard, widths."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pandas as pd
import pytest

from audit.run import open_run
from dashboard.errors.gallery import SIZE, image_rows
from dashboard.errors.wanted import Wanted, find
from dashboard.server import Server
from tests.dashboard.conftest import free_port
from tests.dashboard.test_browser import PATIENCE, go, page, pick, query, settle  # noqa: F401  `page` is a fixture

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]

VIEWS = [
    "",
    *(f"errors?run=sample&errors={part}" for part in ("images", "where", "confusion")),
    *(f"compare?run=sample&compared={part}" for part in ("changed", "verdicts", "agreement", "release")),
    *(f"robustness?run=sample&data={part}" for part in ("coverage", "problems", "conditions", "labels", "training")),
]


def drawn(page: Page, address: str = "") -> None:  # noqa: F811
    """Wait until every element of the page is there."""
    if address:
        go(page, address)
    settle(page)
    page.wait_for_function("document.querySelectorAll('[data-testid=stSkeleton]').length === 0")


def test_run_of_the_list_opens_on_its_overview(server: Server, page: Page) -> None:  # noqa: F811
    go(page, server.url)
    assert page.locator("h1").inner_text() == "Audits"
    page.get_by_role("link", name="sample run (synthetic)").click()
    page.wait_for_url(re.compile("/overview"))
    settle(page)
    assert query(page)["run"] == ["sample"]
    assert page.locator("h1").inner_text() == "sample run (synthetic)"


def test_name_of_the_first_page_can_be_typed(server: Server, page: Page) -> None:  # noqa: F811
    page.goto(f"{server.url}/audits?search=nothing-like-it")
    page.get_by_text("0 match").wait_for()
    assert urlsplit(page.url).path == "/"
    assert query(page)["search"] == ["nothing-like-it"]
    assert page.get_by_role("dialog").count() == 0
    names = page.locator("[data-testid=stSidebarNav]").get_by_role("link").all_inner_texts()
    assert [name for name in names if name == "Audits"] == ["Audits"]


def test_error_is_opened_by_keyboard_and_leads_to_its_maps(server: Server, page: Page) -> None:  # noqa: F811
    drawn(page, f"{server.url}/errors?run=sample&model=biased-torch")
    pictures = page.locator(".st-key-errors_grid img")
    assert pictures.count() > 0
    assert all(place.evaluate("image => image.complete && image.naturalWidth > 40") for place in pictures.all())
    assert all(place.get_attribute("alt") for place in pictures.all())
    button = page.locator(".st-key-errors_grid [class*=st-key-open_] button:visible").nth(1)
    name = button.inner_text().strip()
    button.focus()
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(f"image={name}"))
    settle(page)
    assert page.get_by_role("heading", name=f"Image {name}").count() == 1
    page.get_by_role("link", name="Its maps, method by method").click()
    page.wait_for_url(re.compile("/explanations"))
    settle(page)
    assert query(page)["image"] == [name]
    assert page.get_by_role("heading", name=f"Image {name}").count() == 1


def test_filters_and_page_are_in_the_address(server: Server, page: Page) -> None:  # noqa: F811
    drawn(page, f"{server.url}/errors?run=sample&model=biased-torch")
    first = page.locator(".st-key-errors_grid [class*=st-key-open_] button:visible").first.inner_text()
    page.locator("[data-testid=stPagination]").get_by_text("2", exact=True).click()
    page.wait_for_url(re.compile("errors-page=2"))
    drawn(page)
    assert page.locator(".st-key-errors_grid [class*=st-key-open_] button:visible").first.inner_text() != first
    pick(page, "Group", "tone-4")
    drawn(page)
    assert query(page)["group"] == ["tone-4"]
    assert query(page)["errors-page"] == ["1"]
    shown = page.locator(".st-key-errors_grid").inner_text()
    other = page.context.new_page()
    other.set_default_timeout(PATIENCE)
    drawn(other, page.url)
    assert other.locator(".st-key-errors_grid").inner_text() == shown
    assert other.url == page.url


def test_worst_group_leads_to_its_images(server: Server, page: Page) -> None:  # noqa: F811
    drawn(page, f"{server.url}/errors?run=sample&model=biased-torch&errors=where")
    link = page.locator(".st-key-group_links a").first
    words = link.inner_text().split("\n")[-1].replace("\N{WORD JOINER}", "")
    link.click()
    page.wait_for_url(re.compile("errors=images"))
    drawn(page)
    assert words == f"Errors in {query(page)['by'][0]}: {query(page)['group'][0]}"
    assert page.locator(".st-key-errors_grid [class*=st-key-open_] button:visible").count() > 0


def test_download_of_errors_carries_run_model_and_date(
    server: Server,
    page: Page,  # noqa: F811
    runs: Path,
    tmp_path: Path,
) -> None:
    go(page, f"{server.url}/errors?run=sample&model=biased-keras&by=tone&group=tone-5")
    button = page.locator("[class*=st-key-download_images] button:visible")
    with page.expect_download() as waiting:
        button.click()
    assert waiting.value.suggested_filename == (
        "faircam_sample-run-synthetic_biased-keras_images-wrong-tone-tone-5_2026-01-15.csv"
    )
    waiting.value.save_as(tmp_path / "x.csv")
    run = open_run(runs / "sample")
    wanted = Wanted("biased-keras", "wrong", "tone", "tone-5")
    expected = image_rows(run, "biased-keras", find(run, wanted))
    assert pd.read_csv(tmp_path / "x.csv")["image_id"].tolist() == expected["image_id"].tolist()
    assert 0 < len(expected) <= SIZE


def test_comparison_is_drawn_and_saved(server: Server, page: Page, tmp_path: Path) -> None:  # noqa: F811
    go(page, f"{server.url}/compare?run=sample&attribute=tone")
    plot = page.locator(".js-plotly-plot").first
    plot.wait_for()
    assert "tone-4" in plot.text_content()
    with page.expect_download() as waiting:
        page.get_by_role("button", name=re.compile("The comparison as a document")).click()
    assert waiting.value.suggested_filename == (
        "faircam_sample-run-synthetic_biased-torch-to-biased-keras_comparison_2026-01-15.html"
    )
    waiting.value.save_as(tmp_path / "x.html")
    text = (tmp_path / "x.html").read_text(encoding="utf-8")
    assert "What changed, for whom" in text
    assert "<script" not in text


def test_every_part_opens_in_a_narrow_window(server: Server, browser: Browser) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme="dark")
    context.set_default_timeout(PATIENCE)
    narrow = context.new_page()
    errors: list[str] = []
    narrow.on("pageerror", lambda error: errors.append(str(error)))
    for view in VIEWS:
        go(narrow, f"{server.url}/{view}")
        main = narrow.locator("[data-testid=stMain]")
        assert main.evaluate("element => element.scrollWidth <= element.clientWidth + 1"), view
        assert narrow.locator("[data-testid=stException]").count() == 0, view
        assert narrow.locator("h1").count() == 1, view
    context.close()
    assert errors == []


@pytest.fixture(scope="module")
def odd_server(odd_runs: Path) -> Iterator[Server]:
    with Server(odd_runs, free_port()) as started:
        started.wait_until_ready()
        yield started


def test_hostile_names_are_text_and_ask_nothing_outside(odd_server: Server, page: Page) -> None:  # noqa: F811
    for view in ("errors", "errors?errors=confusion", "compare?attribute=tone", "robustness?by=tone"):
        joint = "&" if "?" in view else "?"
        go(page, f"{odd_server.url}/{view}{joint}run=hostile")
        assert page.locator("[data-testid=stMain] a[href^='http://x.invalid']").count() == 0
        assert page.locator("[data-testid=stMain] b").count() == 0
