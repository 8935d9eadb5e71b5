"""Reports in Chinese: nothing of their own is left in English, and they say the same numbers with the same claims."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from audit.cli import app
from audit.errors import InputError
from audit.fairness.metrics import METRICS
from audit.run import Run
from audit.run.claims import CLAIM_KEYS
from reports import write_report
from reports.bundle.documents import Contents
from reports.bundle.request import BUNDLE, Request, read_request
from reports.document import build_document
from reports.figures import ForestFigure, ForestRow
from reports.html import render_html
from reports.language import say, speaking
from reports.markdown import render_markdown
from reports.nodes import Code, Document, Finding, Table
from reports.palette import verdict_word
from reports.pdf import render_pdf
from reports.pdf_text import find_fonts
from reports.sections.facts import Facts
from reports.sections.sentences import finding_words, flipped_words, original_words
from reports.svg import draw
from reports.tree_json import render_json

MOMENT = datetime(2026, 1, 15, 9, 30, tzinfo=UTC)
ENGLISH = re.compile(r"[A-Za-z][A-Za-z'’-]*(?:[,;:]? [A-Za-z][A-Za-z'’-]*){2,}")
"""Three words of English or more."""
NUMBERS = re.compile(r"[-+]?\d+(?:\.\d+)?(?:e-?\d+)?")
ORIGINAL = "原文："


@pytest.fixture(scope="module")
def english(sample: Run) -> Document:
    return build_document(sample)


@pytest.fixture(scope="module")
def chinese(sample: Run) -> Document:
    with speaking("zh"):
        return build_document(sample)


@pytest.fixture(scope="module")
def given(sample: Run) -> list[str]:
    """What the run itself says in English, settings by their names, and the columns that claims are made of."""
    columns = (("problems", "detail"), ("crosschecks", "note"), ("interventions", "detail"))
    told = [text for table, column in columns for text in sample.table(table)[column].dropna()]
    known = {
        sample.name,
        "tone x marker",
        "mode RGB; resize bilinear",
        "faircam verify FOLDER",
        *told,
        *map(", ".join, CLAIM_KEYS.values()),
    }
    return sorted(known, key=len, reverse=True)


def left(texts: Iterator[str], given: list[str]) -> list[str]:
    """English of more than two words in texts, what was given aside."""
    found = []
    for text in texts:
        said = text
        for known in given:
            said = said.replace(known, "")
        found += [match[0] for match in ENGLISH.finditer(said) if not text.startswith(ORIGINAL)]
    return sorted(set(found))


def every(value: Any, kind: type) -> Iterator[Any]:
    """Every node of a kind in a document, in order."""
    if isinstance(value, kind):
        yield value
    if isinstance(value, tuple):
        for item in value:
            yield from every(item, kind)
    elif is_dataclass(value) and not isinstance(value, type):
        for one in fields(value):
            yield from every(getattr(value, one.name), kind)


class Texts(HTMLParser):
    """Text nodes of a page and what screen readers read of its attributes, code aside."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.inside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("style", "code", "pre"):
            self.inside.append(tag)
        self.found += [value for name, value in attrs if name in ("alt", "aria-label", "title") and value]

    def handle_endtag(self, tag: str) -> None:
        if self.inside and self.inside[-1] == tag:
            self.inside.pop()

    def handle_data(self, data: str) -> None:
        if not self.inside and data.strip():
            self.found.append(data.strip())


def test_no_sentence_of_the_page_is_left_in_english(chinese: Document, given: list[str]) -> None:
    page = Texts()
    text = render_html(chinese)
    page.feed(text)
    assert left(iter(page.found), given) == []
    assert '<html lang="zh">' in text
    assert {"目录", "判定", "如何核对数值"} <= set(page.found)


def test_no_line_of_the_markdown_is_left_in_english(chinese: Document, given: list[str]) -> None:
    text = render_markdown(replace(chinese, sections=_without_code(chinese.sections)))
    lines = (line.replace("\\", "").lstrip("- ") for line in text.splitlines())
    assert left(lines, given) == []


def _without_code(value: Any) -> Any:
    """The same sections, and nothing that is shown as it was given."""
    if isinstance(value, tuple):
        return tuple(_without_code(item) for item in value if not isinstance(item, Code))
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{one.name: _without_code(getattr(value, one.name)) for one in fields(value)})
    return value


def test_numbers_and_claims_are_those_of_the_english_report(english: Document, chinese: Document) -> None:
    ours, theirs = (list(every(document.sections, Table)) for document in (chinese, english))
    assert len(ours) == len(theirs) > 50
    for one, other in zip(ours, theirs, strict=True):
        assert _told(one) == _told(other), other.caption
    for kind in (ForestRow, Finding):
        found, wanted = (list(every(document.sections, kind)) for document in (chinese, english))
        names = [one.name for one in fields(kind) if one.name not in ("label", "status", "text", "details", "remarks")]
        assert [[getattr(one, name) for name in names] for one in found] == [
            [getattr(one, name) for name in names] for one in wanted
        ]


def _told(table: Table) -> list[tuple[str, list[str], list[str]]]:
    """Claim, numbers and numbers below of every cell with a number."""
    numeric = [place for place, column in enumerate(table.columns) if column.numeric]
    cells = [row[place] for row in table.rows for place in numeric]
    return [(cell.claim, NUMBERS.findall(cell.text), NUMBERS.findall(cell.note)) for cell in cells]


def test_what_the_run_wrote_of_a_finding_stands_below_it(english: Document, chinese: Document) -> None:
    ours, theirs = (list(every(document.sections, Finding)) for document in (chinese, english))
    for one, other in zip(ours, theirs, strict=True):
        assert one.text != other.text
        assert f"{ORIGINAL}{other.text}" in one.remarks
        assert not any(remark.startswith(("Original wording", ORIGINAL)) for remark in other.remarks)


def test_the_tree_keeps_to_the_schema_and_names_its_language(english: Document, chinese: Document) -> None:
    schema = json.loads((files("reports") / "schema" / "document.schema.json").read_text(encoding="utf-8"))
    tree = json.loads(render_json(chinese))
    assert (english.language, tree["language"]) == ("en", "zh")
    assert list(Draft202012Validator(schema).iter_errors(tree)) == []


@pytest.mark.skipif(not find_fonts().chinese, reason="noto-cjk-sans-otc is not installed")
def test_the_printed_report_lacks_no_character(chinese: Document) -> None:
    short = replace(chinese, sections=(*chinese.sections[:4], *chinese.sections[-3:]))
    pdf = render_pdf(short, created=MOMENT)
    assert pdf == render_pdf(short, created=MOMENT)
    assert b"/Lang(zh)" in pdf
    if shutil.which("pdftotext"):
        read = subprocess.run(["pdftotext", "-", "-"], input=pdf, capture_output=True, check=True).stdout.decode()
        assert "⟨U+" not in read
        assert re.search(r"第 *1 *页，共 *\d+ *页", read)
        assert "目录" in read


def test_names_stay_as_they_were_given(sample: Run) -> None:
    with speaking("zh"):
        assert verdict_word("fail") == "不通过"
        assert verdict_word("{odd}") == "{odd}"
        assert say("{model}: {name}", model="{a}", name="fail") == "{a}：fail"


def finding(**changes: Any) -> dict[str, Any]:
    """A gap of 0.2 with an interval from 0.1 to 0.3 against a limit of 0.05."""
    row = {
        "model": "m",
        "attribute": "tone",
        "group": "dark",
        "reference": "light",
        "metric": "accuracy",
        "class": None,
        "value": 0.2,
        "low": 0.1,
        "high": 0.3,
        "threshold": 0.05,
        "n_to_settle": None,
        "verdict": "fail",
        "claims": (),
    }
    return {**row, **changes}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {},
            [
                "数值 0.200（置信区间 [0.100, 0.300]），限值 0.050。",
                "已表明超出限值。",
                "这不说明原因，也不说明哪些类别被混淆",
            ],
        ),
        ({"verdict": "pass"}, ["已表明在限值之内。", "这不表明没有差距"]),
        ({"verdict": "inconclusive", "n_to_settle": 480.0}, ["尚不能判定", "n = 480", "既不表明未超出限值"]),
        ({"verdict": "warn", "low": None}, ["（无置信区间）", "接近限值"]),
        ({"verdict": "error", "value": None}, ["未测量，或没有数值。", "无法评估该规则。"]),
        ({"verdict": "waived"}, ["由具名人员附理由予以搁置。"]),
    ],
)
def test_a_finding_in_chinese_says_what_its_row_says(sample: Run, changes: dict[str, Any], said: list[str]) -> None:
    row = finding(**changes)
    assert finding_words(Facts(sample), row, "English.") == "English."
    assert original_words("English.") == ()
    with speaking("zh"):
        text = finding_words(Facts(sample), row, "English.")
        assert original_words("English.") == ("原文：English.",)
    assert text.startswith("m：准确率的差距（按 tone）：dark")
    assert [part for part in said if part not in text] == []


def test_wrong_labels_in_chinese() -> None:
    row = {"labels": 400, "flips": 1, "share": 1 / 400, "random_share": 0.063}
    assert flipped_words(row, "English.") == "English."
    with speaking("zh"):
        assert flipped_words(row, "") == (
            "400 个标签中有 1 个（0.25 %）以最不利的方式出错，即足以推翻该判定。若为随机出错，则出错比例须达到 6.3 %。"
        )
        none = {"labels": 800, "flips": None, "share": None, "random_share": float("nan")}
        assert flipped_words(none, "") == "800 个群组标签中无论错多少个，都不足以推翻该判定。"


def test_a_figure_is_described_and_labelled_in_its_language() -> None:
    row = ForestRow("dark", 49, 49, 0.734, 0.589, 0.851, stamp="evidence")
    empty = ForestRow("light", 0, 0, None, None, None, "未定义：没有可作分母的图像")
    figure = ForestFigure("t", "准确率", (row, empty), 0.8, "全体")
    assert figure.description == (
        "准确率. dark (evidence): 0.734, interval 0.589 to 0.851, n 49; light: 未定义：没有可作分母的图像. Reference "
        "line, 全体: 0.800."
    )
    with speaking("zh"):
        assert figure.description == (
            "准确率。dark（证据）：0.734，置信区间 0.589 至 0.851，n 49；light：未定义：没有可作分母的图像。参考线（全体）：0.800。"
        )
        assert ">未定义</text>" in draw(figure, "f")  # the reason up to its colon, as there is no room for more


def test_labels_are_cut_by_width() -> None:
    figure = ForestFigure(
        "t", "a", (ForestRow("肤色" * 12, 1, 1, 0.5, 0.4, 0.6), ForestRow("skin" * 5, 1, 1, 0.5, 0.4, 0.6))
    )
    labels = re.findall(r">([^<>]*(?:肤|skin)[^<>]*)</text>", draw(figure, "f"))
    assert labels == ["肤色肤色肤色肤色…色肤色", "skin" * 5]  # eleven and the dots, of 1.75 each, are 21


def test_every_metric_is_defined_in_chinese() -> None:
    with speaking("zh"):
        for metric in METRICS.values():
            for text in (metric.words, metric.undefined, metric.does_not_show):
                assert not ENGLISH.search(say(text, **{"class": "C"}))


def test_the_option_makes_the_same_report_again(sample: Run, chinese: Document, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    done = CliRunner().invoke(app, ["report", str(sample.path), "--language", "zh", "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert out.read_text("utf-8") == render_html(chinese)


def test_a_language_without_texts_is_refused(sample: Run, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"language 'fr' is unknown, allowed: en, zh"):
        write_report(sample, tmp_path / "report.html", language="fr")
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_remembers_its_language(sample: Run, chinese: Document, tmp_path: Path) -> None:
    """Verification makes every document again from the request."""
    request = Request("internal", date(2026, 11, 25), language="zh")
    record = tmp_path / BUNDLE
    record.write_text(json.dumps(request.to_json()), encoding="utf-8")
    assert Contents(sample, read_request(tmp_path)).document == chinese
    earlier = {key: value for key, value in request.to_json().items() if key != "language"}
    record.write_text(json.dumps(earlier), encoding="utf-8")
    assert read_request(tmp_path).language == "en"  # a bundle made before there was a choice
