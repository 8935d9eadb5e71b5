"""Names that formats stumble over, through every document of a bundle: made, verified, well-formed, and only text."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import date
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import yaml

from audit.run import Run, open_run
from reports.bundle.make import write_bundle
from reports.bundle.request import Request
from reports.verify import verify
from tests.derived_run import MODEL, build_derived
from tests.reports.test_html import Page

NAMES = {
    "tone-1": "<script>alert(1)</script>",
    "tone-2": '"><img src=x onerror=alert(1)>',
    "tone-3": "مرحبا \u202eabc\u202c",
    "tone-4": "🧑🏽‍🚀 | `code` **bold**\nsecond line\rthird",
    "tone-5": "x" * 300,
    "tone-6": "=1+1",
    "cross": "<b>cross</b> | [a](http://x.y)",
    "disc": "-1+cmd|' /C calc'!A0",
    MODEL: "<script>alert(2)<script> | `m` \"'",
}
LEVELS = ("auditor", "internal")
DAY = date(2026, 11, 25)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run whose groups, classes and model have these names."""
    return build_derived(tmp_path_factory.mktemp("hostile") / "run", NAMES, positive=None)


@pytest.fixture(scope="module", params=LEVELS)
def bundle(hostile: Run, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its bundle at a level."""
    out = tmp_path_factory.mktemp("bundle") / str(request.param)
    write_bundle(hostile, out, Request(request.param, DAY, ("nyc-ll144",)))
    return out


def test_it_verifies(bundle: Path) -> None:
    found = verify(bundle)
    assert found.exit_code == 0, found.lines()


def test_the_page_holds_names_as_text(bundle: Path) -> None:
    page = Page((bundle / "report.html").read_text(encoding="utf-8"))
    assert not [tag for tag, _ in page.tags if tag in ("script", "iframe")]
    assert all(str(given.get("src")).startswith("data:image/") for tag, given in page.tags if tag == "img")
    assert not [name for _, given in page.tags for name in given if name.startswith("on")]
    text = "".join(page.text)
    for name in (NAMES["tone-1"], NAMES["tone-2"], NAMES["tone-5"], NAMES[MODEL]):
        assert name in text
    assert "\u202e" not in text


@pytest.mark.parametrize("file", ["report.md", "modelcard.md"])
def test_tables_in_markdown_keep_their_columns(bundle: Path, file: str) -> None:
    text = (bundle / file).read_text(encoding="utf-8")
    text = text.split("\n---\n", 1)[1] if text.startswith("---\n") else text  # data that begin a card hold names whole
    assert "\u202e" not in text
    width, checked = 0, 0
    for line in text.split("\n"):
        cells = len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) if line.startswith("|") else 0
        assert not cells or not width or cells == width, line
        width, checked = cells, checked + bool(cells)
    assert checked > 20
    assert not re.search(r"(?<!\\)<(script|img|b)\b", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def test_no_cell_of_a_csv_is_a_formula_and_every_row_is_whole(bundle: Path) -> None:
    files = sorted(bundle.rglob("*.csv"))
    assert files
    for file in files:
        head, *rows = csv.reader(io.StringIO(file.read_bytes().decode(), newline=""))
        assert {len(row) for row in rows} <= {len(head)}, file
        for cell in {cell for row in rows for cell in row}:
            assert not cell.startswith(("=", "+", "-", "@", "\t", "\r")) or _number(cell), (file, cell)
    groups = (bundle / "tables" / "groups.csv").read_text(encoding="utf-8")
    assert "'=1+1" in groups


def test_every_other_document_can_be_read(bundle: Path) -> None:
    names = {case.get("classname", "") for case in ET.parse(bundle / "junit.xml").iter("testcase")}  # noqa: S314
    assert any(NAMES[MODEL] in name for name in names), names
    for file in bundle.rglob("*.json"):
        json.loads(file.read_text(encoding="utf-8"))
    yaml.safe_load((bundle / "statements.yaml").read_text(encoding="utf-8"))
    assert (bundle / "report.pdf").read_bytes().startswith(b"%PDF-1.7")
    assert open_run(bundle).models == [NAMES[MODEL]]
    files = {path.name for path in bundle.rglob("*")}
    assert not [name for name in files if "<" in name or len(name) > 100]


def _number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
