"""What a notebook shows of a run: counts and numbers by hand from its tables, and nothing in a name that acts."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from audit.run import Run, open_run
from audit.run.schema import columns
from audit.run.tables import write_table
from tests.findings.runs import NARROW, build

HOSTILE = "<script>alert(1)</script> & \u202egnp.exe"


class Reader(HTMLParser):
    """Tables of a page as rows of cells, and every tag."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""
        self.rows: list[list[str]] = []
        self.inside = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self.inside = True

    def handle_endtag(self, tag: str) -> None:
        self.inside = self.inside and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.inside:
            self.rows[-1][-1] += data


def finding(verdict: str, model: str = "m", text: str = "said", **more: object) -> dict[str, object]:
    return {"verdict": verdict, "model": model, "text": text, "preregistered": True, **more}


def group(
    model: str, attribute: str, name: str, value: float | None, n: int, metric: str = "accuracy"
) -> dict[str, object]:
    sure = {"low": None, "high": None} if value is None else {"low": value - 0.1, "high": value + 0.1}
    status = "undefined" if value is None else "ok"
    return {
        "model": model,
        "attribute": attribute,
        "group": name,
        "metric": metric,
        "n": n,
        "value": value,
        **sure,
        "status": status,
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return build(tmp_path / "run", NARROW).path


def run_with(folder: Path, findings: list[dict[str, object]], groups: list[dict[str, object]]) -> Run:
    for name, rows in (("findings", findings), ("groups", groups)):
        write_table(folder, name, pd.DataFrame(rows, dtype=object).reindex(columns=columns(name)).astype(object))
    return open_run(folder)


def test_counts_findings_and_groups_by_hand(folder: Path) -> None:
    findings = [finding("pass", text="within"), finding("fail", text="beyond"), finding("pass", "k", "also within")]
    groups = [
        group("m", "overall", "all", 0.5, 40),
        group("k", "overall", "all", 0.25, 40),
        group("m", "tone", "dark", None, 0),
        group("m", "tone", "light", 0.75, 1234),
        group("m", "tone", "light", 0.1, 1234, metric="f1"),
    ]
    page = Reader(run_with(folder, findings, groups)._repr_html_())
    assert "3 findings (preregistered): 1 fail, 2 pass" in page.text
    assert page.rows == [
        ["verdict", "model", "finding"],
        ["✗ fail", "m", "beyond"],
        ["✓ pass", "m", "within"],
        ["✓ pass", "k", "also within"],
        ["attribute", "group", "m", "k"],
        ["overall", "all", "0.500 [0.400, 0.600], n = 40", "0.250 [0.150, 0.350], n = 40"],
        ["tone", "dark", "undefined", "not measured"],
        ["tone", "light", "0.750 [0.650, 0.850], n = 1,234", "not measured"],
    ]
    assert "INCOMPLETE" not in page.text


def test_names_do_not_act(folder: Path) -> None:
    findings = [finding("fail", HOSTILE, HOSTILE, preregistered=None)]
    shown = run_with(folder, findings, [group(HOSTILE, HOSTILE, HOSTILE, 0.5, 3)])._repr_html_()
    page = Reader(shown)
    assert page.tags <= {"h4", "p", "table", "thead", "tbody", "tr", "th", "td"}
    assert page.rows[1] == ["✗ fail", *["<script>alert(1)</script> & \ufffdgnp.exe"] * 2]
    assert "1 findings (post hoc): 1 fail" in page.text
    assert "\u202e" not in shown


def test_intersections_are_left_to_the_report(folder: Path) -> None:
    groups = [group("m", "tone", "dark", 0.5, 3), group("m", "tone x light", "dark x dim", 0.5, 3)]
    run = run_with(folder, [], groups)
    run.record["data"]["intersections"] = [["tone", "light"]]
    page = Reader(run._repr_html_())
    assert [row[0] for row in page.rows] == ["attribute", "tone"]
    assert "No findings: nothing was judged." in page.text


def test_long_tables_are_cut_and_say_so(folder: Path) -> None:
    findings = [finding("warn", text=f"number {place}") for place in range(25)]
    groups = [group("m", "tone", f"t{place}", 0.5, 3) for place in range(50)]
    page = Reader(run_with(folder, findings, groups)._repr_html_())
    assert "20 of 25 are shown" in page.text
    assert "40 of 50 groups are shown" in page.text
    assert len(page.rows) == 1 + 20 + 1 + 40


def test_an_incomplete_run_without_results(folder: Path) -> None:
    run = run_with(folder, [], [])
    run.record["complete"] = False
    page = Reader(run._repr_html_())
    assert "INCOMPLETE: not every planned image was accounted for" in page.text
    assert page.rows == []
