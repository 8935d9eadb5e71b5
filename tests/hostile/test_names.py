"""One corpus of hostile names through spreadsheets, pages, JUnit and the terminal; the other formats draw on it too.

PDF, Markdown, JSON, model card and ML-BOM: `tests.reports`; bundle: `tests.reports.test_hostile_bundle`; dashboard:
`tests.dashboard.test_browser`.
"""

from __future__ import annotations

import csv
import io
import os
import pty
import re
import select
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pandas as pd
import pytest
import yaml

from audit.cli import main
from audit.console import findings_table, paired_table, say, step, warn
from audit.errors import ConfigError, DataError
from audit.run import Run, open_run
from reports import write_report
from reports.spreadsheet import csv_text
from tests.hostile.named_run import build_named
from tests.hostile.names import NAMES, Name, named, texts
from tests.integration.small import change, write_audit
from tests.reports.test_html import Page
from tests.sample_run import build

if TYPE_CHECKING:
    from playwright.sync_api import Browser

LABELS = [name.label for name in NAMES]
SIGNS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
RICH = re.compile(r"\x1b\[[\d;]*m|\x1b\[\?25[lh]|\x1b\[\d?[AK]|\r")
"""What the progress bars and colours of the program itself send."""


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return build(tmp_path_factory.mktemp("sample") / "run")


@pytest.fixture(scope="module")
def run(sample: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The sample run with the corpus in every place."""
    return build_named(sample.path, tmp_path_factory.mktemp("named") / "run")


@pytest.fixture(scope="module")
def page(run: Run) -> Path:
    return write_report(run)


def folded(text: str) -> str:
    return " ".join(text.split())


def test_the_corpus_is_large_and_its_labels_are_unique() -> None:
    assert len(NAMES) >= 30
    assert len(set(LABELS)) == len(set(texts())) == len(NAMES)


# Spreadsheets -------------------------------------------------------------------------------------------------------


def cells(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


@pytest.mark.parametrize("name", NAMES, ids=LABELS)
def test_a_cell_holds_the_name_and_no_formula(name: Name) -> None:
    head, row = cells(csv_text(pd.DataFrame({"group": [name.text], "value": [-0.5]})))
    assert head == ["group", "value"]
    assert row == [f"'{name.text}" if name.formula else name.text, "-0.5"]


def test_the_claims_as_csv_keep_rows_whole_and_formulas_dead(run: Run, tmp_path: Path) -> None:
    head, *rows = cells(write_report(run, tmp_path / "results.csv", "csv").read_bytes().decode())
    assert {len(row) for row in rows} == {len(head)}
    assert {row[head.index("group")] for row in rows} >= {f"'{n.text}" if n.formula else n.text for n in NAMES}
    for cell in {cell for row in rows for cell in row}:
        assert not cell.startswith(SIGNS) or pd.notna(pd.to_numeric(cell, errors="coerce")), cell


# Pages --------------------------------------------------------------------------------------------------------------


def test_the_page_has_no_tag_attribute_or_address_that_a_name_brought(run: Run, sample: Run, page: Path) -> None:
    read, plain = (Page(path.read_text(encoding="utf-8")) for path in (page, write_report(sample)))
    assert {tag for tag, _ in read.tags} == {tag for tag, _ in plain.tags}
    assert {key for _, given in read.tags for key in given} == {key for _, given in plain.tags for key in given}
    links = {str(given["href"]) for _, given in read.tags if "href" in given}
    assert all(link.startswith("#") for link in links), links
    sources = {str(given["src"])[:11] for _, given in read.tags if "src" in given}
    assert sources <= {"data:image/"}


def test_the_page_shows_every_name_as_text(page: Path) -> None:
    text = folded("".join(Page(page.read_text(encoding="utf-8")).text))
    assert [name.label for name in NAMES if folded(name.shown) not in text] == []
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", text)


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    from tests.dashboard.conftest import ARGUMENTS

    with sync_api.sync_playwright() as play:
        opened = play.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.mark.browser
def test_no_script_runs_and_nothing_is_asked_for(browser: Browser, page: Path) -> None:
    """The policy of the page is taken away first, so that it is the escaping that is tested."""
    bare = page.with_name("bare.html")
    text = page.read_text(encoding="utf-8")
    bare.write_text(re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text), encoding="utf-8")
    assert len(bare.read_bytes()) < len(page.read_bytes())
    for path in (page, bare):
        said, asked = [], []
        opened = browser.new_page()
        opened.on("dialog", lambda dialog, said=said: (said.append(dialog.message), dialog.dismiss()))
        opened.on("pageerror", lambda error, said=said: said.append(str(error)))
        opened.on("console", lambda message, said=said: said.append(message.text))
        opened.on("request", lambda request, asked=asked: asked.append(request.url))
        opened.goto(path.as_uri())
        opened.hover("h1")
        opened.wait_for_load_state("networkidle")
        assert said == []
        assert [url for url in asked if not url.startswith("data:image/")] == [path.as_uri()]
        assert opened.title().count(named("script-end")) == 1
        opened.close()


# JUnit --------------------------------------------------------------------------------------------------------------


def test_junit_is_one_case_a_finding_and_holds_no_sign_that_steers(run: Run, tmp_path: Path) -> None:
    text = write_report(run, tmp_path / "junit.xml", "junit").read_text(encoding="utf-8")
    assert "<!DOCTYPE" not in text
    assert "<!ENTITY" not in text
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)
    names = {folded(str(case.get("name"))) for case in ET.fromstring(text).iter("testcase")}  # noqa: S314
    assert len(list(ET.fromstring(text).iter("testcase"))) == len(run.table("findings")) + 1  # noqa: S314
    for name in NAMES:
        if all(unicodedata.category(sign) not in ("Cc", "Cf") for sign in name.text):
            assert folded(f"{name.text} rule") in names, name.label


# The terminal -------------------------------------------------------------------------------------------------------


def steering(text: str) -> list[str]:
    """Signs that a terminal would obey."""
    return re.findall("[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]", text)


def test_what_is_printed_steers_nothing(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    findings_table(run)
    paired_table(named("osc-link"), run.table("paired"))
    for name in (*texts(), "lost \ud800 surrogate"):
        say(name)
        warn(name)
        with step(name) as progress:
            progress(name)
    told = capsys.readouterr()
    assert steering(told.out + told.err) == []
    for label in ("ansi-colour", "osc-title", "controls", "bidi", "rich"):
        [name] = [name for name in NAMES if name.label == label]
        assert name.shown in told.out
    assert "\n✓ pass" not in told.out, "a name with a line break forges no line"


def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *given: object) -> tuple[int, str]:
    """Exit code of a command and what it printed."""
    monkeypatch.setattr(sys, "argv", ["faircam", *map(str, given)])
    with pytest.raises(SystemExit) as ended:
        main()
    told = capsys.readouterr()
    return int(ended.value.code or 0), told.out + told.err


@pytest.mark.parametrize(
    "given",
    [
        ("report", "{run}", "--format", "junit", "--out", "{out}"),
        ("report", "{run}", "--format", named("ansi-clear")),
        ("report", named("osc-title")),
        ("statement", "{run}"),
        ("statement", "{run}", "--about", named("osc-link"), "--author", "a", "--role", "b", "--text", "c"),
        ("erase", "{run}", "--image", named("ansi-colour"), "--by", "a", "--reason", "b"),
        ("compare", "{run}", "--models", named("c1"), named("bidi")),
        ("check", "{run}", "--policy", named("ansi-clear")),
        ("methods", named("ansi-colour")),
        (named("osc-title"),),
        ("run", "audit.yaml", "--out", "x", f"--{named('ansi-colour')}"),
    ],
    ids=lambda given: " ".join(given[:1]).strip("\x1b"),
)
def test_commands_and_their_errors_steer_nothing(
    run: Run,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    given: tuple[str, ...],
) -> None:
    places = {"{run}": str(run.path), "{out}": str(tmp_path / named("ansi-colour"))}
    code, text = command(capsys, monkeypatch, *(places.get(part, part) for part in given))
    assert code in (0, 2, 4)
    assert text.strip()
    assert steering(text) == []


# From the manifest to the run ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """An audit whose manifest holds the corpus, under a terminal; its folder and what the terminal got."""
    folder = tmp_path_factory.mktemp("audited")
    config = write_audit(folder, images=2 * len(NAMES), data__manifest="images.parquet", data__id="id")
    content = yaml.safe_load(config.read_text(encoding="utf-8"))
    change(content, "models__0__name", named("osc-title").replace("/", ""))
    change(content, "name", named("ansi-clear"))
    change(content, "explanations__sample", "all")
    config.write_text(yaml.safe_dump(content), encoding="utf-8")
    table = pd.read_csv(folder / "images.csv", dtype=str)
    table["light"] = [texts()[row % len(NAMES)] for row in range(len(table))]
    ids = [text.replace("\0", "")[:200] for text in texts()]
    table["id"] = [f"{ids[row % len(ids)]} {row}" for row in range(len(table))]
    table.loc[0, "image"] = f"images/{named('ansi-clear').replace('/', '')}.png"
    table.loc[1, "image"] = f"images/{named('osc-title')}.png"
    (folder / str(table.loc[1, "image"])).write_bytes(b"no image")
    table.to_parquet(folder / "images.parquet")
    return folder, in_a_terminal("run", config, "--out", folder / "run")


def in_a_terminal(*given: object) -> str:
    """Run the command line on a pseudo-terminal; what it was sent."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-P", "-m", "audit.cli", *map(str, given)]
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env={**os.environ, "TERM": "xterm"}
    ) as child:
        os.close(theirs)
        got = b""
        while select.select([ours], [], [], 60)[0]:
            try:
                part = os.read(ours, 65536)
            except OSError:  # the other end was closed
                break
            if not part:
                break
            got += part
    os.close(ours)
    assert child.returncode == 0, got.decode()
    return got.decode()


def test_a_terminal_gets_colours_and_bars_of_ours_alone(audited: tuple[Path, str]) -> None:
    _, told = audited
    assert "\x1b[" in told, "it is a terminal that colours are sent to"
    assert steering(RICH.sub("", told)) == []
    assert "\ufffd]0;owned" in told
    assert "unsupported" in told


def test_a_run_keeps_every_name_as_it_is(audited: tuple[Path, str]) -> None:
    folder, _ = audited
    run = open_run(folder / "run")
    assert run.complete
    assert set(run.table("images")["attr_light"]) == set(texts())
    assert {path.parent for path in run.path.rglob("*.jpg")} == {run.path / "thumbnails"}


@pytest.mark.parametrize("text", ["a\0b", "x" * 300, "é" * 130], ids=["nul", "long", "long-in-bytes"])
def test_a_name_that_cannot_be_a_file_is_refused_before_anything_runs(tmp_path: Path, text: str) -> None:
    from audit.config import AuditConfig, load_config
    from audit.preflight import preflight

    config = write_audit(tmp_path / "a", images=4, data__manifest="images.parquet", data__id="id")
    table = pd.read_csv(tmp_path / "a" / "images.csv", dtype=str)
    table.assign(id=[text, "b", "c", "d"]).to_parquet(tmp_path / "a" / "images.parquet")
    with pytest.raises(DataError, match="cannot be the name of a file"):
        preflight(load_config(AuditConfig, config), config.parent)
    with pytest.raises(ConfigError, match="usable as a folder name"):
        load_config(AuditConfig, write_audit(tmp_path / "b", images=1, models__0__name=text))


def test_two_paths_that_would_share_an_id_are_refused(tmp_path: Path) -> None:
    from audit.config import AuditConfig, load_config
    from audit.preflight import preflight

    config = write_audit(tmp_path / "a", images=4)
    table = pd.read_csv(tmp_path / "a" / "images.csv", dtype=str)
    table.loc[3, "image"] = "images__0000.png"
    table.to_csv(tmp_path / "a" / "images.csv", index=False)
    with pytest.raises(DataError, match="names 'images__0000.png' more than once"):
        preflight(load_config(AuditConfig, config), config.parent)
