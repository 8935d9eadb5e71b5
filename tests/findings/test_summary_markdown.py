"""A check as Markdown: what it says, and that no name in it can act. The oracle is a Markdown parser."""

from __future__ import annotations

from datetime import date
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from audit.errors import InputError
from audit.findings import Check, check_run
from audit.findings.summary_markdown import _escaped, check_markdown, write_markdown
from audit.run.files import sha256_file
from tests.findings.runs import FEW, NARROW, WIDE, Counts, accuracy, build, policy_file

DAY = date(2027, 1, 10)


def checked(folder: Path, counts: Counts, *rules: dict[str, Any], **options: Any) -> Check:
    return check_run(build(folder / "run", counts), policy_file(folder / "p.yaml", *rules), day=DAY, **options)


class Reader(HTMLParser):
    """Text and tags of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.cells: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.cells:
            self.cells[-1] += data.strip("\n")


def read(markdown: str) -> Reader:
    """As GitHub reads it: HTML passes, there are tables, strikethrough and bare addresses."""
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    return Reader(parser.render(markdown))


def test_a_failure_by_hand(tmp_path: Path) -> None:
    """0.975 of 400 light and 0.75 of 400 dark: a gap of 0.225."""
    check = checked(tmp_path, WIDE)
    text = check_markdown(check)
    lines = text.splitlines()
    row = check.findings.iloc[0]
    assert lines[0] == "## A required rule FAILED."
    assert "judged by policy 'p' (approver: A. Person) on 2027-01-10" in text
    assert "Verdicts are post\\_hoc: not the policy that the run named" in text
    expected = f"| ❌ fail | required | m | gap | 0.225 [{row['low']:.3f}, {row['high']:.3f}] | 0.05 | {row['p_adjusted']:.4f} |  |"
    assert expected in lines
    assert f"| policy SHA-256 | {sha256_file(tmp_path / 'p.yaml')} |" in lines
    assert f"| run fingerprint | {check.run.record['fingerprint']} |" in lines
    assert "| exit code | 1 |" in lines
    assert any(line.startswith("- ❌ m: ") and "0.75 for" in line for line in lines)


@pytest.mark.parametrize(
    ("counts", "rule", "outcome", "mark"),
    [
        (NARROW, {}, "Every required rule passed", "✅ pass"),
        (NARROW, {"warn": 0.001}, "Every required rule passed", "⚠️ warn"),
        (FEW, {}, "NOT CERTIFIED", "❔ inconclusive"),
        (WIDE, {"tier": "supporting"}, "No rule of this policy is required", "⚠️ warn"),
    ],
)
def test_outcomes(counts: Counts, rule: dict[str, Any], outcome: str, mark: str, tmp_path: Path) -> None:
    text = check_markdown(checked(tmp_path, counts, rule))
    assert text.startswith(f"## {outcome}")
    assert f"| {mark} |" in text


def test_waivers_and_an_incomplete_run_are_said(tmp_path: Path) -> None:
    waivers = tmp_path / "waivers.yaml"
    waivers.write_text(
        "- {rule: gap, signed_by: A. Person, reason: new | data, created: 2027-01-01, expires: 2027-03-31}\n",
        encoding="utf-8",
    )
    text = check_markdown(checked(tmp_path, WIDE, waivers=waivers))
    assert "| ➖ waived |" in text
    assert "- Waiver for gap by A. Person, in force (until 2027-03-31): new \\| data" in text
    incomplete = check_run(build(tmp_path / "open", NARROW, complete=False), tmp_path / "p.yaml", day=DAY)
    assert "The run is INCOMPLETE." in check_markdown(incomplete).splitlines()[0]


def test_names_do_not_act(tmp_path: Path) -> None:
    hostile = "<img src=x>|[a](http://b.c)`*x*`\n\n# head"
    text = check_markdown(checked(tmp_path, accuracy(light=(390, 400), **{hostile: (300, 400)})))
    page = read(text)
    assert not set(page.tags) & {"img", "a", "code", "em", "h1", "script"}
    assert page.tags.count("h2") == 1
    assert "<img src=x>|[a](http://b.c)`*x*`" in page.text
    header, foot = 8, 2
    assert len(page.cells) == header * 2 + foot + foot * 5


@given(st.text(max_size=60))
def test_any_text_is_read_back_as_it_is(text: str) -> None:
    """In a cell of a table; spaces at the ends and runs of them apart, which HTML folds as well."""
    page = read(f"| a | b |\n| --- | --- |\n| {_escaped('x' + text + 'x')} | y |")
    assert set(page.tags) <= {"table", "thead", "tbody", "tr", "th", "td"}
    assert page.cells[2:] == [page.cells[2], "y"]
    kept = [sign for sign in text if sign.isprintable() and sign not in "\ufffd "]
    assert [sign for sign in page.cells[2][1:-1] if sign.isprintable() and sign not in "\ufffd "] == kept


def test_many_findings_are_counted_not_shown(tmp_path: Path) -> None:
    rules = [{"id": f"gap-{number}", "correction": "none"} for number in range(13)]
    check = checked(tmp_path, WIDE, *rules)
    text = check_markdown(check)
    assert "- 1 more are in the table." in text
    many = Check(check.run, check.policy, "0", DAY, False, pd.concat([check.findings] * 10))
    assert "100 of 130 findings are shown." in check_markdown(many)
    assert check_markdown(many).count("| ❌ fail |") == 100


def test_same_check_same_text_and_a_file(tmp_path: Path) -> None:
    check = checked(tmp_path, WIDE)
    write_markdown(check, tmp_path / "summary.md")
    assert (tmp_path / "summary.md").read_text(encoding="utf-8") == check_markdown(check) == check_markdown(check)
    assert str(tmp_path) not in check_markdown(check)
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="cannot be written"):
        write_markdown(check, tmp_path / "file" / "summary.md")
