"""The HTML report: complete, self-contained, escaped, and true to the tables."""

from __future__ import annotations

import itertools
import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from audit.errors import InputError
from audit.run import Run
from reports import REPORT_FORMATS, write_report
from reports.document import build_document
from reports.format import interval, known, rate, status_words
from reports.html import render_html
from reports.nodes import Table

EVIL = "<script>alert(1)</script>"
LONG = "x" * 300
ALWAYS = {
    "summary",
    "verdicts",
    "data",
    "performance",
    "explanations",
    "crosschecks",
    "training",
    "limits",
    "methods",
    "provenance",
}
ARABIC = "مجموعة"


class Page(HTMLParser):
    """Tags, headings, attributes and tables of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.headings: list[tuple[int, str]] = []
        self.text: list[str] = []
        self._heading = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if re.fullmatch("h[1-6]", tag):
            self.headings.append((int(tag[1]), ""))
            self._heading = True

    def handle_endtag(self, tag: str) -> None:
        if re.fullmatch("h[1-6]", tag):
            self._heading = False

    def handle_data(self, data: str) -> None:
        self.text.append(data)
        if self._heading:
            level, text = self.headings[-1]
            self.headings[-1] = (level, text + data.strip())


@pytest.fixture(scope="session")
def page(sample: Run) -> str:
    return render_html(build_document(sample))


def tables(run: Run) -> list[Table]:
    return [block for block in build_document(run).walk() if isinstance(block, Table)]


def test_equal_runs_give_equal_bytes(sample: Run, page: str) -> None:
    assert render_html(build_document(sample)) == page


def test_nothing_is_loaded_from_outside(page: str) -> None:
    for tag, attributes in Page(page).tags:
        assert tag not in {"script", "iframe", "object", "embed", "link", "base", "form"}
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href", "xlink:href", "srcset", "data"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:image/", "#")), (tag, value)
    assert "http" not in re.sub(r"http-equiv", "", page)
    assert "@import" not in page
    assert not re.findall(r"url\((?!#)", page)


def test_content_security_policy(page: str) -> None:
    metas = [a for tag, a in Page(page).tags if tag == "meta" and a.get("http-equiv") == "Content-Security-Policy"]
    assert len(metas) == 1
    rules = str(metas[0]["content"])
    assert rules.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:")
    assert "script-src" not in rules


def test_headings_descend_without_gaps(page: str) -> None:
    levels = [level for level, _ in Page(page).headings]
    assert levels.count(1) == 1
    in_order = levels[levels.index(1) :]
    assert all(after - before <= 1 for before, after in itertools.pairwise(in_order))


def test_sections_stand_in_the_reviewers_order(page: str) -> None:
    titles = [text for level, text in Page(page).headings if level == 2 and text != "Contents"]
    assert titles == [
        "Summary",
        "Verdicts",
        "Who is in the data",
        "Performance by group",
        "Confidence and decision threshold",
        "Beyond the named groups",
        "Under other conditions",
        "Models side by side",
        "What the models look at",
        "What changes when a region is hidden",
        "The maps themselves",
        "Do the models look at the same places?",
        "Cross-check with other implementations",
        "Training and over-fitting",
        "What this report does not show",
        "How it was measured",
        "Where this comes from",
    ]


def test_identifiers_are_unique(page: str) -> None:
    identifiers = [a["id"] for _, a in Page(page).tags if "id" in a]
    assert len(identifiers) == len(set(identifiers))


def test_tables_have_captions_and_scopes(page: str) -> None:
    tags = Page(page).tags
    count = sum(tag == "table" for tag, _ in tags)
    assert count > 10
    assert sum(tag == "caption" for tag, _ in tags) == count
    assert all(a.get("scope") in {"col", "row"} for tag, a in tags if tag == "th")


def test_pictures_have_alternatives(page: str) -> None:
    tags = Page(page).tags
    assert all(a.get("alt") for tag, a in tags if tag == "img")
    drawings = [a for tag, a in tags if tag == "svg"]
    assert drawings
    assert all(a["role"] == "img" and a["aria-labelledby"] for a in drawings)


def test_wording(page: str) -> None:
    words = " ".join(Page(page).text).lower()
    words = words.replace("faircam", "")
    for forbidden in ("fair", "unbiased", "compliant"):
        assert not re.search(rf"\b{forbidden}\b", words), forbidden


def test_size(page: str) -> None:
    assert len(page.encode()) < 5_000_000


@pytest.mark.parametrize("metric", ["accuracy", "true_positive_rate", "false_positive_rate"])
def test_group_tables_show_the_runs_numbers(sample: Run, metric: str) -> None:
    groups = sample.table("groups")
    wanted = groups[(groups["attribute"] == "tone") & (groups["metric"] == metric)]
    wanted = wanted[wanted["class"].isna() | (wanted["class"] == "cross")]
    words = metric.replace("_", " ")
    [table] = [t for t in tables(sample) if t.caption.lower().startswith(words) and t.caption.endswith("by tone")]
    shown = {(row[0].text, row[1].text): [cell.text for cell in row[2:]] for row in table.rows}
    assert len(shown) == len(wanted)
    for row in wanted.to_dict("records"):
        n, clusters, value, bounds, _ = shown[row["group"], row["model"]]
        assert (n, clusters) == (str(row["n"]), str(row["clusters"]))
        assert value == (rate(row["value"]) if known(row["value"]) else status_words(row["status"]))
        if known(row["low"]):
            assert bounds == interval(row["low"], row["high"])


def test_gap_tables_show_every_gap(sample: Run) -> None:
    gaps = sample.table("gaps")
    shown = [row for t in tables(sample) if t.caption.startswith(("Gaps in", "Gaps of")) for row in t.rows]
    assert len(shown) == len(gaps)
    assert sorted(row[5].text for row in shown if row[5].kind == "plain") == sorted(
        rate(value) for value in gaps["value"].dropna()
    )


def test_findings_are_all_there_and_failing_first(sample: Run, page: str) -> None:
    text = " ".join("".join(Page(page).text).split())
    places = []
    for row in sample.table("findings").to_dict("records"):
        place = text.find(" ".join(row["text"].split()))
        assert place > 0
        places.append((row["verdict"], place))
    last_fail = max(place for verdict, place in places if verdict == "fail")
    assert last_fail < min(place for verdict, place in places if verdict != "fail")


def test_undefined_is_written_with_its_reason(sample: Run, changed) -> None:
    groups = sample.table("groups")
    one = (groups["group"] == "tone-1") & (groups["metric"] == "accuracy")
    groups.loc[one, ["value", "low", "high"]] = None
    groups.loc[one, "n"] = 0
    groups.loc[one, "status"] = "undefined"
    run = changed({"groups": groups})
    [table] = [t for t in tables(run) if t.caption == "Accuracy, by tone"]
    for row in [row for row in table.rows if row[0].text == "tone-1"]:
        assert row[4].text == status_words("undefined")
        assert "0.000" not in [cell.text for cell in row]


def test_hostile_names_are_escaped(sample: Run, changed) -> None:
    names = {"tone-1": EVIL, "tone-2": LONG, "tone-3": ARABIC, "tone-4": 'a" onload="x', "tone-5": "$x^2$ \x00\u202e"}
    groups, images = sample.table("groups"), sample.table("images")
    regions, findings = sample.table("region_groups"), sample.table("findings")
    for frame, column in ((groups, "group"), (images, "attr_tone"), (regions, "group")):
        frame[column] = frame[column].replace(names)
    findings["text"] = findings["text"] + " " + EVIL
    tables = {"groups": groups, "images": images, "region_groups": regions, "findings": findings}
    run = changed(tables, name=f"{EVIL} {LONG}")
    text = render_html(build_document(run))
    read = Page(text)
    assert not [tag for tag, _ in read.tags if tag == "script"]
    assert not [a for _, a in read.tags if "onload" in a]
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert LONG in text
    assert ARABIC in text
    assert "\x00" not in text
    assert "\u202e" not in text


@pytest.mark.parametrize(
    "without",
    [
        ("region_groups", "region_mass"),
        ("explanations", "region_groups", "region_mass", "crosschecks"),
        ("training",),
        ("findings",),
        ("gaps", "findings"),
        ("problems",),
        ("groups", "gaps", "findings"),
        ("images", "predictions", "groups", "gaps", "findings", "explanations", "region_groups", "region_mass",
         "crosschecks", "training", "problems"),
    ],
    ids=lambda names: "+".join(names) if len(names) < 5 else "everything",
)  # fmt: skip
def test_absent_tables_are_said_to_be_absent(changed, without: tuple[str, ...]) -> None:
    document = build_document(changed(without=without))
    assert {section.identifier for section in document.sections} >= ALWAYS
    assert "<h1" in render_html(document)


def test_every_table_empty(sample: Run, changed) -> None:
    names = ("groups", "gaps", "findings", "explanations", "region_groups", "crosschecks", "training", "problems")
    run = changed({name: sample.table(name).head(0) for name in names})
    assert "Not measured" in render_html(build_document(run))


def test_one_model(sample: Run, changed) -> None:
    frames = {}
    for name in (
        "predictions",
        "groups",
        "gaps",
        "findings",
        "explanations",
        "region_groups",
        "crosschecks",
        "training",
    ):
        frame = sample.table(name)
        frames[name] = frame[frame["model"] == "biased-torch"]
    run = changed(frames, models=sample.record["models"][:1])
    text = render_html(build_document(run))
    assert "one model" in text
    assert "biased-keras says" not in text


def test_no_positive_class_and_no_attributes(sample: Run, changed) -> None:
    data = {**sample.record["data"], "positive": None, "attributes": [], "intersections": []}
    groups = sample.table("groups")
    run = changed({"groups": groups[groups["attribute"] == "overall"]}, data=data)
    text = render_html(build_document(run))
    assert "No positive class was declared" in text
    assert "No group attribute was given" in text


def test_incomplete_runs_say_so(changed) -> None:
    text = render_html(build_document(changed(complete=False)))
    assert "<strong>INCOMPLETE</strong>" in text
    assert "<title>INCOMPLETE: " in text


def test_complete_runs_do_not(page: str) -> None:
    assert "INCOMPLETE" not in page


def test_what_the_verdicts_rest_on(sample: Run, page: str, changed) -> None:
    assert "built-in default rules" in page
    findings = sample.table("findings").assign(preregistered=True, policy_sha256="ab" * 32)
    text = render_html(build_document(changed({"findings": findings}, policy={"sha256": "ab" * 32, "name": "ours"})))
    assert "a preregistered policy" in text
    assert "ab" * 32 in text
    assert "built-in default rules" not in text


def test_a_policy_applied_later_is_called_post_hoc(sample: Run, changed) -> None:
    findings = sample.table("findings").assign(preregistered=False, policy_sha256="cd" * 32)
    assert "post hoc" in render_html(build_document(changed({"findings": findings})))


def test_write_report(sample: Run, tmp_path: Path, page: str) -> None:
    out = write_report(sample, tmp_path / "deep" / "r.html")
    assert out.read_text(encoding="utf-8") == page
    assert write_report(sample) == sample.path / "report.html"
    assert REPORT_FORMATS == ("html", "pdf", "md", "json", "csv", "junit", "modelcard", "mlbom")


def test_unknown_format(sample: Run) -> None:
    with pytest.raises(
        InputError, match=r"'htm' is unknown, allowed: html, pdf, md, json, .*mlbom\. Did you mean 'html'\?"
    ):
        write_report(sample, format="htm")


def test_many_groups_are_capped(sample: Run, changed) -> None:
    groups = sample.table("groups")
    one = groups[(groups["attribute"] == "tone") & (groups["group"] == "tone-1")]
    many = pd.concat([groups, *(one.assign(group=f"further-{i:03d}") for i in range(200))], ignore_index=True)
    run = changed({"groups": many})
    [table] = [t for t in tables(run) if t.caption == "Accuracy, by tone"]
    shown = len(table.rows)
    assert 20 <= shown <= 150
    assert table.note == f"The first {shown} of 414 rows are shown; all stand in tables/groups.parquet of the run."
    assert len(render_html(build_document(run)).encode()) < 5_000_000
