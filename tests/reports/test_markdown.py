"""The Markdown report: what it says, and that no name becomes markup, judged by an independent parser."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from audit.run import Run
from reports import write_report
from reports.document import build_document
from reports.format import clean
from reports.markdown import escape, render_markdown
from reports.nodes import (
    Bullets,
    Callout,
    Cell,
    Code,
    Column,
    Document,
    FigureBlock,
    Findings,
    KeyValues,
    Paragraph,
    Section,
    Table,
)
from tests.reports.conftest import Change
from tests.reports.every_node import PICTURE, blocks, document
from tests.reports.hostile import HOSTILE

PARSER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
HARMLESS = {
    *("heading_open", "heading_close", "paragraph_open", "paragraph_close", "inline", "text", "fence"),
    *("bullet_list_open", "bullet_list_close", "list_item_open", "list_item_close", "strong_open", "strong_close"),
    *("blockquote_open", "blockquote_close", "softbreak", "text_special"),
    *(f"{part}_{end}" for part in ("table", "thead", "tbody", "tr", "th", "td") for end in ("open", "close")),
}
"""What the renderer writes on purpose: no HTML, link, picture, code span, emphasis or rule."""


def parsed(text: str) -> list[Token]:
    """All tokens, those inside lines included."""
    return [one for token in PARSER.parse(text) for one in (token, *(token.children or ()))]


def spoken(text: str) -> str:
    """What a reader sees of some Markdown."""
    return "".join(token.content for token in parsed(text) if token.type in ("text", "text_special"))


def seen(name: str) -> str:
    """A name as a reader should see it."""
    return " ".join(clean(name).split())


def whole(*parts: object) -> str:
    return render_markdown(Document("t", "s", complete=True, sections=(Section("a", "A", parts),)))  # type: ignore[arg-type]


def test_the_parts_of_a_small_document() -> None:
    columns = (Column("Group"), Column("Value", numeric=True))
    rows = ((Cell("a|b", "strong", "few"), Cell("0.5")), (Cell("c"), Cell("", stamp="evidence")))
    text = render_markdown(
        Document(
            "Title_1",
            "sub",
            complete=False,
            warning="It ended early.",
            sections=(
                Section(
                    "s",
                    "First",
                    (
                        Paragraph("1. not a list"),
                        Bullets(("one", "# two")),
                        Callout("Note", "text"),
                        KeyValues((("key", "value"),), "Facts"),
                        Table("Rates", columns, rows, "A note.", source="groups"),
                        Code("Config", "a = ```\n  b"),
                    ),
                ),
            ),
        )
    )
    assert text == (
        "# Title\\_1\n\nsub\n\n> **INCOMPLETE.** It ended early.\n\n"
        "Pictures are left out of this format, and figures are given in words; the HTML and PDF reports show both.\n\n"
        "## First\n\n1\\. not a list\n\n- one\n- \\# two\n\n> **Note**\n>\n> text\n\n"
        "### Facts\n\n- **key** value\n\n"
        "**Rates**\n\n| Group | Value |\n| --- | ---: |\n| **a\\|b** (few) | 0.5 |\n| c | ✓ Evidence |\n\n"
        "A note. Numbers from table groups.\n\n"
        "### Config\n\n````text\na = ```\n  b\n````\n"
    )


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_names_stay_text_in_every_place(name: str) -> None:
    text = render_markdown(document(name, complete=False))
    kinds = {token.type for token in parsed(text)}
    assert kinds <= HARMLESS, kinds - HARMLESS
    assert "data:image" not in text
    harmless = [token.type for token in parsed(render_markdown(document("tone", complete=False)))]
    ours = [token.type for token in parsed(text)]
    if seen(name):
        for kind in ("heading_open", "tr_open", "td_open", "th_open", "bullet_list_open", "list_item_open", "fence"):
            assert ours.count(kind) == harmless.count(kind), kind


@given(st.text())
@example("a_b_ *c* **d** ~~e~~ `f`")
@example("![x](http://y.z) <http://a.b> www.a.b https://a.b me@a.b @user #12 &amp; &#x41; $x$")
@example("---")
@example("===")
@example("1) a")
@example("a\\")
@example("[x]: y")
@example(":--")
@example("    four spaces")
def test_escaped_text_is_read_back(text: str) -> None:
    words = escape(text)
    tokens = parsed(words)
    assert {token.type for token in tokens} <= {"paragraph_open", "paragraph_close", "inline", "text", "text_special"}
    assert spoken(words).replace("\u2060", "") == seen(text).replace("\u2060", "")


@given(st.text())
@example("a|b")
@example("\\|")
def test_a_cell_is_one_cell(text: str) -> None:
    page = whole(Table("c", (Column("x"), Column(text)), ((Cell(text), Cell(text, note=text)),)))
    kinds = [token.type for token in parsed(page)]
    assert kinds.count("td_open") == kinds.count("th_open") == 2
    assert kinds.count("table_open") == 1


@given(st.text())
@example("```")
@example("````\n# x\n````")
def test_code_stays_in_its_fence(text: str) -> None:
    tokens = parsed(whole(Code("c", text), Paragraph("after")))
    [fence] = [token for token in tokens if token.type == "fence"]
    assert fence.content == "\n".join(clean(text).splitlines()) + "\n"
    assert tokens[-2].content == tokens[-3].content == "after" or "after" in [token.content for token in tokens]


@pytest.mark.parametrize("name", ["@octocat", "me@example.org", "#12", "see#12"])
def test_nobody_is_called(name: str) -> None:
    assert not re.search(r"[@#]\w", escape(name))


@pytest.mark.parametrize("name", ["http://x.y", "HTTPS://x.y", "ftp://x.y", "www.x.y", "mailto:a"])
def test_addresses_are_no_links(name: str) -> None:
    assert not re.search(r"(?i)(https?|ftp|mailto):|www\.", escape(name))


def test_all_tables_of_a_run(sample: Run) -> None:
    tree = build_document(sample)
    text = render_markdown(tree)
    tables = [block for block in tree.walk() if isinstance(block, Table)]
    kinds = [token.type for token in parsed(text)]
    assert kinds.count("table_open") == len(tables) > 10
    assert kinds.count("td_open") == sum(len(table.rows) * len(table.columns) for table in tables)
    assert text == render_markdown(build_document(sample))


def test_figures_are_given_in_words_and_pictures_left_out() -> None:
    text = spoken(render_markdown(document("tone-1")))
    for figure in (block.figure for block in blocks("tone-1") if isinstance(block, FigureBlock)):
        assert seen(figure.description) in text
    assert PICTURE not in text
    assert "Pictures are left out" in text


def test_findings_rest_on_their_claims() -> None:
    found = [block for block in blocks("n") if isinstance(block, Findings)]
    assert "  - Rests on n" in whole(*found)


def test_an_incomplete_run_says_so_first(changed: Change) -> None:
    text = render_markdown(build_document(changed(complete=False)))
    assert text.index("> **INCOMPLETE.**") < text.index("## ")


def test_write_report(sample: Run, tmp_path: Path) -> None:
    out = write_report(sample, tmp_path / "r.md", "md")
    assert out.read_text(encoding="utf-8") == render_markdown(build_document(sample))
