"""The PDF report: tagged, the same bytes each time, every name readable and inside the page."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.errors import InputError, RunError
from audit.run import Run
from reports import write_report
from reports.document import build_document
from reports.nodes import Block, Cell, Code, Column, Document, FigureBlock, Paragraph, Section, Table
from reports.pdf import render_pdf
from reports.pdf_tables import divide, tied
from reports.pdf_text import BREAK, Fonts, Typesetter, breakable, find_fonts, fitted
from tests.reports.conftest import Change
from tests.reports.every_node import blocks, document
from tests.reports.hostile import HOSTILE

MOMENT = datetime(2026, 1, 15, 9, 30, tzinfo=UTC)
WIDTH = 595.276
"""Width of an A4 page in points; text stays 15 mm from either side."""
MARGIN = 15 / 25.4 * 72

needs_poppler = pytest.mark.skipif(shutil.which("pdftotext") is None, reason="poppler is not installed")


def made(*parts: Block, complete: bool = True, warning: str = "") -> bytes:
    return render_pdf(
        Document("title", "subtitle", complete, warning, (Section("s", "Section", parts),)), created=MOMENT
    )


def read(pdf: bytes, *options: str) -> str:
    """What poppler reads of a file."""
    run = subprocess.run(["pdftotext", *options, "-", "-"], input=pdf, capture_output=True, check=True)
    return run.stdout.decode()


def tags(pdf: bytes) -> list[str]:
    """Kinds of all structure elements."""
    return [kind.decode() for kind in re.findall(rb"/Type/StructElem/S/(\w+)", pdf)]


@pytest.fixture(scope="module")
def sample_pdf(sample: Run) -> bytes:
    return render_pdf(build_document(sample), created=MOMENT)


def test_standards_title_language_and_date(sample_pdf: bytes) -> None:
    assert sample_pdf.startswith(b"%PDF-1.7")
    for said in (
        b"<pdfuaid:part>1<",
        b"<pdfaid:part>2<",
        b"<pdfaid:conformance>A<",
        b"<xmp:CreateDate>2026-01-15T09:30:00",
        b"faircam audit report",
        b"/Lang(en)",
        b"/DisplayDocTitle true",
    ):
        assert said in sample_pdf, said


def test_bytes_depend_on_the_document_and_its_moment_alone(
    sample: Run, sample_pdf: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = build_document(sample)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert render_pdf(tree, created=MOMENT) == sample_pdf
    elsewhere = MOMENT.astimezone(timezone(timedelta(hours=9)))
    assert render_pdf(tree, created=elsewhere) == sample_pdf
    assert str(tmp_path).encode() not in sample_pdf
    assert render_pdf(tree, created=MOMENT + timedelta(seconds=1)) != sample_pdf
    assert list(tmp_path.iterdir()) == []


def test_a_time_without_a_zone_counts_as_utc() -> None:
    assert render_pdf(document(), created=MOMENT.replace(tzinfo=None)) == render_pdf(document(), created=MOMENT)


def test_tags_follow_the_tree() -> None:
    columns = (Column("Group"), Column("Value", numeric=True))
    rows = ((Cell("a"), Cell("1")), (Cell("b"), Cell("2")), (Cell("c"), Cell("3")))
    found = tags(
        made(Table("Caption", columns, rows), *(part for part in blocks("n") if isinstance(part, FigureBlock)))
    )
    assert found.count("Table") == 1
    assert found.count("THead") == found.count("TBody") == 1
    assert found.count("TH") == 2
    assert found.count("TD") == 6
    assert found.count("TR") == 4
    assert found.count("Figure") >= 1
    assert found.count("H1") == 2  # the contents and the section


def test_every_figure_has_its_words(sample_pdf: bytes) -> None:
    figures = re.findall(rb"/Type/StructElem/S/Figure(.*?)endobj", sample_pdf, re.DOTALL)
    assert len(figures) > 20
    assert all(b"/Alt" in figure for figure in figures)


@needs_poppler
def test_a_long_table_repeats_its_header() -> None:
    columns = (Column("Group of people"), Column("Value", numeric=True))
    rows = tuple((Cell(f"g{number}"), Cell(str(number))) for number in range(150))
    pdf = made(Table("Caption", columns, rows))
    pages = read(pdf, "-layout").split("\f")[:-1]
    holding = [page for page in pages if re.search(r"\bg\d+\b", page)]
    assert len(holding) >= 2
    assert all("Group of people" in page for page in holding)
    assert tags(pdf).count("TH") == 2


@needs_poppler
def test_every_number_of_the_report_is_printed(sample: Run, sample_pdf: bytes) -> None:
    text = read(sample_pdf, "-raw")
    squeezed = re.sub(r"\s+", "", text)
    tree = build_document(sample)
    cells = {cell.text for block in tree.walk() if isinstance(block, Table) for row in block.rows for cell in row}
    assert len(cells) > 200
    lost = [cell for cell in cells if re.sub(r"\s+", "", cell) not in squeezed]
    assert lost == []


@needs_poppler
def test_incomplete_stands_on_page_one_and_on_all_others(changed: Change) -> None:
    run = changed(complete=False)
    pages = read(render_pdf(build_document(run), created=MOMENT)).split("\f")[:-1]
    assert "INCOMPLETE" in pages[0]
    assert "ended before every planned image" in pages[0].replace("\n", " ")
    assert all("INCOMPLETE" in page for page in pages)
    assert f"Page 1 of {len(pages)}" in pages[0]


@needs_poppler
def test_a_complete_run_has_no_banner(sample_pdf: bytes) -> None:
    pages = read(sample_pdf).split("\f")
    assert not any("INCOMPLETE" in page for page in pages)
    assert "Contents" in pages[1]


def test_every_kind_of_block_is_printed() -> None:
    kinds = {type(part).__name__ for part in blocks("n")} | {"Section"}
    named = {part.strip() for part in str(get_args(Block) or Block).replace("'", "").split("|")}
    assert {re.sub(r"\W", "", name.split("(")[-1]) for name in named} == kinds
    assert tags(render_pdf(document(), created=MOMENT))


@needs_poppler
@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_names_stay_text_inside_the_page(name: str) -> None:
    pdf = render_pdf(document(name, complete=False), created=MOMENT)
    text = re.sub(r"[\s\u202a-\u202e\u2066-\u2069]+", "", unicodedata.normalize("NFC", read(pdf)))
    if all(ord(sign) < 0x500 for sign in name) and name.isprintable():
        assert re.sub(r"\s+", "", name) in text
    for left, right in re.findall(r'<word xMin="([-\d.]+)"[^>]*xMax="([-\d.]+)"', read(pdf, "-bbox")):
        assert float(left) > MARGIN - 2
        assert float(right) < WIDTH - MARGIN + 2


@pytest.mark.parametrize(
    "name", ["#panic()", '#import "@preview/x:1.0.0"', "$x$", "= heading", "<label>", "@ref", "\\u{41}"]
)
@needs_poppler
def test_typst_markup_in_a_name_is_not_run(name: str) -> None:
    text = read(made(Paragraph(name), Code("code", name)))
    assert text.replace("\n", " ").count(name) == 2


# Which characters the fonts have ------------------------------------------------------------------------------------

SMALL = Fonts(
    ("A", "B", "C"), (), (frozenset(map(ord, "abcé\u0301 ⟨⟩")), frozenset(map(ord, "ab")), frozenset([0x4E2D])), False
)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("abc", "abc"),
        ("aя", "a⟨U+044F⟩"),
        ("яюb", "⟨U+044F U+044E⟩b"),
        ("中", "中"),
        ("e\u0301", "é"),
        ("я\u0301", "⟨U+044F U+0301⟩"),
        ("中\u0301", "中⟨U+0301⟩"),
        ("\U0001f468\u200d\U0001f469", "⟨U+1F468 U+200D U+1F469⟩"),
        ("a\u00adb", "a⟨U+00AD⟩b"),
        ("a\u2066b", "a⟨U+2066⟩b"),
        ("a\u200bb", "a⟨U+200B⟩b"),
        ("a \t\n b", "a b"),
        ("", ""),
    ],
)
def test_what_the_fonts_lack_is_written_as_code_points(text: str, written: str) -> None:
    assert Typesetter(SMALL).line(text) == written


def test_missing_characters_are_remembered_and_said() -> None:
    setter = Typesetter(SMALL)
    setter.words("aя中")
    assert setter.missing == {0x44F}


@needs_poppler
def test_the_first_page_says_which_characters_are_missing() -> None:
    said = read(made(Paragraph("🧑🏽‍🚀"))).split("\f")[0].replace("\n", " ")
    assert "stand as their code points" in said
    assert "⟨U+1F9D1" in said
    assert "code points" not in read(made(Paragraph("Latin, Ελληνικά, кириллица, עברית, العربية ✓ ▲ ✕ ≤")))


def test_a_language_without_a_font_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = find_fonts()
    latin = Fonts(whole.families[:2], whole.folders[:1], whole.characters[:2], chinese=False)
    monkeypatch.setattr("reports.pdf.find_fonts", lambda: latin)
    assert render_pdf(document(), created=MOMENT).startswith(b"%PDF")
    with pytest.raises(InputError, match=r"lack \d\d characters of a report in 'zh'") as refused:
        render_pdf(replace(document(), language="zh"), created=MOMENT)
    assert "noto-cjk-sans-otc" in str(refused.value)


@pytest.mark.skipif(not find_fonts().chinese, reason="noto-cjk-sans-otc is not installed")
def test_chinese_is_set_in_its_own_font() -> None:
    pdf = render_pdf(replace(document("肤色：深"), language="zh"), created=MOMENT)
    assert b"NotoSansCJKsc" in pdf
    assert b"/Lang(zh)" in pdf


@settings(max_examples=12, deadline=None)
@given(st.lists(st.text(max_size=60), min_size=20, max_size=40))
def test_no_text_stops_the_compiler(texts: list[str]) -> None:
    assert made(*(part for text in texts for part in (Paragraph(text), Code(text, text)))).startswith(b"%PDF")


@given(st.text(max_size=80), st.integers(4, 40))
def test_breaks_add_nothing_else(word: str, limit: int) -> None:
    assert breakable(word, limit).replace(BREAK, "") == word.replace(BREAK, "")


@pytest.mark.parametrize(
    ("word", "limit", "parts"),
    [
        ("short", 6, ["short"]),
        ("groups:model=a", 8, ["groups:", "model=", "a"]),
        ("abcdefghijklm", 7, ["abcdef", "ghijkl", "m"]),
        ("abcdef\u0301ghijkl", 7, ["abcdef\u0301", "ghijkl"]),
        ("中" * 9 + "abcdefghij，" + "中" * 9, 7, ["中" * 9 + "abcdef", "ghij，" + "中" * 9]),
    ],
)
def test_where_words_break(word: str, limit: int, parts: list[str]) -> None:
    found = breakable(word, limit).split(BREAK)
    assert found == parts


@pytest.mark.parametrize(
    ("text", "limit", "cut"), [("abcdef", 6, "abcdef"), ("abcdefghij", 6.75, "abcd…j"), ("中" * 9, 9, "中中中…中")]
)
def test_labels_are_cut_by_width(text: str, limit: float, cut: str) -> None:
    assert fitted(text, limit) == cut


# Tables -------------------------------------------------------------------------------------------------------------


def test_intervals_thousands_and_comparisons_stay_together() -> None:
    assert tied("0.7 [0.5, 0.8], n=1 200") == "0.7 [0.5,\u00a00.8], n=1\u00a0200"
    assert tied("p < 0.001 of all") == "p <\u00a00.001 of all"


def table(widths: list[int], numeric_from: int = 2) -> Table:
    """A table whose columns have one word of these widths each."""
    columns = tuple(Column("x", numeric=place >= numeric_from) for place in range(len(widths)))
    return Table("", columns, (tuple(Cell("x" * width) for width in widths),))


def test_a_table_that_fits_is_one_part() -> None:
    [part] = divide(table([10, 10, 10]))
    assert part.places == (0, 1, 2)
    assert part.widths == (12.0, 12.0, 12.0)  # a word of ten and two for the space between columns
    assert not part.fills
    assert part.scale == 1.0


def test_a_column_of_chinese_is_as_wide_as_four_characters_or_its_longest_word() -> None:
    columns = (Column("指标"), *(Column("x" * 17) for _ in range(6)))
    names = ("真阳性率的差距（按肤色）", "图 biased-torch")
    rows = tuple((Cell(name), *(Cell("1") for _ in range(6))) for name in names)
    # The line is full, so no column gets more than it needs: here four of 1.75 and two for the space between columns,
    assert divide(Table("", columns, rows[:1]))[0].widths[0] == 9.0
    # here the twelve of the model's name.
    assert divide(Table("", columns, rows))[0].widths[0] == 14.0


def test_a_table_slightly_too_wide_is_set_smaller() -> None:
    [part] = divide(table([14] * 8))  # 8 x 16 = 128 characters on a line of 116
    assert part.scale == round(116 / 128, 3)


def test_a_table_far_too_wide_is_cut_and_keeps_its_first_columns() -> None:
    # 16 columns of 16 need 256; a line of small type holds 134, so two key columns leave room for six others.
    parts = divide(table([14] * 16))
    assert [part.places[:2] for part in parts] == [(0, 1)] * len(parts)
    assert [place for part in parts for place in part.places[2:]] == list(range(2, 16))
    assert [len(part.places) - 2 for part in parts] == [5, 5, 4]


@given(st.lists(st.integers(0, 400), min_size=1, max_size=30), st.integers(0, 5))
def test_every_column_is_printed_once_and_fits(widths: list[int], numeric_from: int) -> None:
    parts = divide(table(widths, numeric_from))
    keys = 0 if len(parts) == 1 else len(set(parts[0].places) & set(parts[1].places))
    rest = [place for part in parts for place in part.places[keys:]]
    assert [*parts[0].places[:keys], *rest] == list(range(len(widths)))
    for part in parts:
        assert len(part.places) == len(part.widths)
        assert sum(part.widths) * part.scale <= 116 + 1


@needs_poppler
def test_parts_say_so() -> None:
    text = read(made(table([14] * 16)), "-layout")
    assert "(part 1 of 3)" in text
    assert "(part 3 of 3)" in text


# Through the command's door ------------------------------------------------------------------------------------------


def test_write_report(sample: Run, tmp_path: Path) -> None:
    out = write_report(sample, tmp_path / "deep" / "r.pdf", "pdf")
    assert out.read_bytes().startswith(b"%PDF-1.7")
    assert b"<xmp:CreateDate>2026-" in out.read_bytes()
    assert write_report(sample, tmp_path / "again.pdf", "pdf").read_bytes() == out.read_bytes()


@pytest.mark.parametrize("moment", ["soon", None, 3])
def test_a_run_without_a_date_has_no_pdf(sample: Run, tmp_path: Path, moment: object) -> None:
    with pytest.raises(RunError, match=f"created is {moment!r}, but a PDF needs a date"):
        write_report(Run(sample.path, {**sample.record, "created": moment}), tmp_path / "x.pdf", "pdf")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_typst_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "typst", None)
    with pytest.raises(ModuleNotFoundError) as caught:
        render_pdf(document(), created=MOMENT)
    assert caught.value.name == "typst"


def test_pdfua_finds_nothing(sample_pdf: bytes, tmp_path: Path) -> None:
    pdfua = pytest.importorskip("pdfua")
    for number, pdf in enumerate(_checked(sample_pdf)):
        file = tmp_path / f"{number}.pdf"
        file.write_bytes(pdf)
        assert [finding.message for finding in pdfua.validate(str(file)).findings] == []


def _checked(sample_pdf: bytes) -> Iterator[bytes]:
    yield sample_pdf
    yield render_pdf(document(HOSTILE[0], complete=False), created=MOMENT)
