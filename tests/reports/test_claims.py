"""Every number in a table of the report names the row that it comes from, and says what that row says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pandas as pd
import pytest

from audit.run import Run
from audit.run.claims import CLAIM_KEYS, claim_parts, claims_of, find_claim
from reports.comparison import build_comparison, compare_runs
from reports.document import build_document
from reports.figures import ForestFigure
from reports.format import (
    NOTHING,
    count,
    decimal,
    decimals,
    interval,
    known,
    metric_words,
    p_value,
    rate,
    rate_with_interval,
    share,
    signed,
)
from reports.html import render_html
from reports.nodes import Cell, Document, FigureBlock, FigureRow, Finding, Findings, Section, Table
from reports.sections.closing import checking
from reports.sections.facts import Facts
from reports.sections.people import people
from tests.reports.conftest import Change
from tests.reports.reading import blocks, cells

Row = Mapping[str, Any]
Written = Callable[[Row], str]
Tables = Mapping[str, pd.DataFrame]

COUNTED = "Quality of the maps: how many gaps stand"
"""Counts rows of a table, so that no single row is what its numbers come from."""

WITHOUT = ("does not apply", "not measured", "see each model", NOTHING)
"""What stands where the table has no row that a number could come from."""


def number(column: str, write: Callable[[Any], str]) -> Written:
    return lambda row: write(row[column])


def bounds(row: Row) -> str:
    return interval(row["low"], row["high"])


def valued(row: Row) -> str:
    return f"{rate(row['value'])} {bounds(row)}"


SIZES: dict[str, Written] = {"n": number("n", count), "Clusters": number("clusters", count)}
VALUES: dict[str, Written] = {**SIZES, "Value": number("value", rate), "95 % interval": bounds}
APART: dict[str, Written] = {
    **VALUES,
    "Others": number("rest", rate),
    "Difference": number("difference", rate),
    "Corrected p": number("p_adjusted", p_value),
}
GAP: dict[str, Written] = {"Gap": number("value", rate), "95 % interval": bounds, "p": number("p", p_value)}

EXPECTED: dict[str, dict[str, Written]] = {
    "groups": {**VALUES, "": rate_with_interval},
    "gaps": {**GAP, "Corrected p": number("p_adjusted", p_value), "Would have shown": number("detectable", rate)},
    "coverage": {
        "Planned": number("images", count),
        "Not used": number("failed", count),
        "Clusters": number("clusters", count),
    },
    "curves": {**VALUES, "At": number("x", rate), **{f"at 0.{tenth}": valued for tenth in (1, 3, 5, 7, 9)}},
    "lattice": APART,
    "slices": APART,
    "shift": {
        "As audited": number("observed", rate),
        "There": number("value", rate),
        "95 % interval": bounds,
        "Change": lambda row: signed(row["value"] - row["observed"]),
    },
    "leakage": {
        **SIZES,
        "Groups": number("groups", count),
        "Balanced accuracy": number("value", rate),
        "At random": number("baseline", rate),
        "95 % below": number("baseline_high", rate),
        "p": number("p", p_value),
    },
    "robustness": {**VALUES, "Severity": number("severity", count), "Drop": number("drop", signed)},
    "robustness_gaps": {**GAP, "Severity": number("severity", count)},
    "membership": {
        "Trained on": number("members", count),
        "Others": number("others", count),
        "Area": number("value", rate),
        "95 % interval": bounds,
        "Accuracy, trained on": number("member_accuracy", rate),
        "Accuracy, others": number("other_accuracy", rate),
    },
    "stamps": {
        "Value": number("value", decimal),
        "95 % interval": lambda row: decimals(row["low"], row["high"]),
        "n": number("n", count),
    },
    "region_groups": {**VALUES, "Area of region": number("area", rate), "": number("value", rate)},
    "quality_groups": {"": number("value", decimal)},
    "quality_gaps": {
        "Gap, all images": lambda row: f"{decimal(row['value'])} {decimals(row['low'], row['high'])}",
        "Gap, matched images": lambda row: f"{decimal(row['value'])} {decimals(row['low'], row['high'])}",
        "p": number("p", p_value),
        "p, matched": number("p", p_value),
    },
    "intervention_groups": {
        "": lambda row: (
            rate(row["value"]) if row["measure"] == "changed" and row["action"] != "effect" else signed(row["value"])
        )
    },
    "agreement_groups": {"n": number("n", count), "": number("value", rate)},
    "concepts": {
        "n": number("n", count),
        "Share": number("value", rate),
        "Range of the fits": lambda row: f"{rate(row['low'])} to {rate(row['high'])}",
        "At random": number("random", rate),
        "p": number("p", p_value),
        "Accuracy of the direction": number("accuracy", rate),
    },
    "work": {
        "Images": number("images", count),
        "Forward-equivalents": number("used", count),
        "Least possible": number("least", count),
        "Times the least": lambda row: f"{row['used'] / row['least']:.3f}",
        "Smallest micro-batch": number("micro_batch", count),
    },
    "paired": {
        **SIZES,
        "Before": number("first_value", rate),
        "After": number("second_value", rate),
        "Change": number("difference", signed),
        "95 % interval": bounds,
        "Right only before": number("only_first", count),
        "Right only after": number("only_second", count),
        "p, adjusted": number("p_adjusted", p_value),
        "Left out": number("n", count),
        "Only before": number("only_first", count),
        "Only after": number("only_second", count),
        "": number("difference", signed),
    },
    "findings": {
        "Value": number("value", rate),
        "Interval": bounds,
        "95 % interval": bounds,
        "Limit": number("threshold", rate),
        "Value before": rate_with_interval,
        "Value after": rate_with_interval,
    },
}
"""By table and heading, what a row's cell says; the heading '' is any other, where headings are names or metrics."""


@pytest.fixture(scope="module")
def tables(sample: Run) -> dict[str, pd.DataFrame]:
    """Tables that the sample lacks or in which it has few rows."""
    slices = sample.table("slices")
    first = slices[slices["slice"].notna()].iloc[:1]
    many = [first.assign(slice=f"s:{i}", n=20 + i, clusters=20 + i, value=i / 100, difference=i / 50) for i in range(9)]
    concept = {"layer": "relu2", "target_class": "cross", "low": 0.1, "high": 0.9, "random": 0.5, "status": "ok"}
    places = (("overall", "all"), ("tone", "tone-1"), ("tone", "tone-2"))
    return {
        "slices": pd.concat([slices, *many], ignore_index=True),
        "concepts": pd.DataFrame(
            [
                {**concept, "model": model, "concept": "striped: 50 %", "attribute": attribute, "group": group}
                | {"n": 40 + place, "value": 0.6 + place / 50, "p": 0.01 * place, "accuracy": 0.8 + place / 100}
                for model in sample.models
                for place, (attribute, group) in enumerate(places)
            ]
        ),
        "work": pd.DataFrame(
            [
                {"model": model, "stage": stage, "images": 10 * i, "used": 100.0 * i, "least": 90.0, "micro_batch": i}
                for model in sample.models
                for i, stage in enumerate(("predict", "explain"), 1)
            ]
        ),
    }


@pytest.fixture
def full(tables: dict[str, pd.DataFrame], changed: Change) -> Run:
    return changed(tables)


def numbered(document: Document) -> Iterator[tuple[Table, str, Cell, tuple[Cell, ...]]]:
    """Cells of tables that rest on a table with claims: those in numeric columns, and any other with a claim."""
    for table in document.walk():
        if not isinstance(table, Table) or table.source not in CLAIM_KEYS or table.caption == COUNTED:
            continue
        for row in table.rows:
            for column, cell in zip(table.columns, row, strict=True):
                if column.numeric or cell.claim:
                    yield table, column.title, cell, row


def mistakes(document: Document, held: Tables, rows: dict[str, dict[str, Any]] | None = None) -> list[str]:
    """What is wrong with the claims of a document; `rows` keeps what was found for the next call."""
    found: list[str] = []
    rows = {} if rows is None else rows
    for table, title, cell, row in numbered(document):
        where = f"{table.caption}, {title}, {cell.text!r}, {cell.claim}"
        if not cell.claim:
            found += [] if cell.kind == "muted" and cell.text in WITHOUT else [f"no claim: {where}"]
            continue
        name = cell.claim.split(":")[0]
        if cell.claim not in rows:
            named = find_claim(held[name], cell.claim)
            if name != table.source or len(named) != 1:
                found.append(f"{len(named)} rows: {where}")
                continue
            rows[cell.claim] = {str(key): value for key, value in named.iloc[0].items()}
        found += [f"says otherwise: {where}"] if not agrees(table, title, cell, row, rows[cell.claim], held) else []
    return found


def agrees(table: Table, title: str, cell: Cell, row: tuple[Cell, ...], held: Row, every: Tables) -> bool:
    """Whether a cell says what the row says that it claims, and stands beside that row's names."""
    titles = [column.title for column in table.columns]
    if "Model" in titles and row[titles.index("Model")].text != held.get("model"):
        return False
    text = cell.text.replace("\u00a0", " ")
    if table.source == "stamps" and title == "Wanted":
        return text.split()[-1] == (f"{held['threshold']:g}" if known(held["threshold"]) else NOTHING)
    if table.source == "stamps" and not text:
        return bool(cell.stamp == held["result"] and held["check"] == "overall")
    if table.source == "coverage" and title not in EXPECTED["coverage"]:
        return text == spread(title, held, every["coverage"])
    expected = EXPECTED[table.source]
    write = expected.get(title) or expected[""]
    said = write(held)
    if text != said:
        return cell.kind == "muted" and NOTHING in said
    return headed(table.source, title, cell, held)


def spread(title: str, held: Row, coverage: pd.DataFrame) -> str:
    """What a share of coverage says: of a group among all, or of a label within its group."""
    part = coverage[coverage["attribute"] == held["attribute"]]
    if title == "Share":
        return share(int(held["images"]), int(part[part["label"].isna()]["images"].sum()))
    [whole] = part[part["label"].isna() & (part["group"] == held["group"])]["images"]
    return f"{held['images']} ({share(int(held['images']), int(whole))})" if held["label"] == title else ""


def headed(source: str, title: str, cell: Cell, held: Row) -> bool:
    """Whether heading and small print agree with the row."""
    if source == "quality_gaps":
        small = p_value(held["p_adjusted"]) if title.startswith("p") else f"n={held['n']}"
        compared = bool(held["matching"] == ("label_confidence" if "matched" in title else "none"))
        return compared and (small in cell.note or not known(held["value"]))
    if source == "region_groups" and title not in VALUES and title != "Area of region":
        return bool(title == held["model"]) and f"n={count(held['n'])}" in cell.note
    if source in ("quality_groups", "intervention_groups"):
        return f"n={count(held['n'])}" in cell.note
    if source == "curves" and title.startswith("at "):
        return bool(title == f"at {held['x']:.1f}")
    if source == "groups" and title not in VALUES and not title.startswith(("Accuracy", "Under")):
        words = {metric_words(held["metric"]), metric_words(held["metric"], held["class"])}
        return title.lower() in {word.lower() for word in words}
    return True


def rolled(document: Document, source: str) -> Document:
    """The document's tables on one table of the run, with the claims of every row moved to the row before."""
    found = [block for block in document.walk() if isinstance(block, Table) and block.source == source]
    return replace(document, sections=(Section("rolled", "Rolled", tuple(_rolled(table) for table in found)),))


def _rolled(table: Table) -> Table:
    pairs = zip(table.rows, (*table.rows[1:], table.rows[0]), strict=True)
    rows = (tuple(replace(a, claim=b.claim) for a, b in zip(row, after, strict=True)) for row, after in pairs)
    return replace(table, rows=tuple(rows))


def held_by(run: Run) -> dict[str, pd.DataFrame]:
    return {name: run.table(name) for name in CLAIM_KEYS}


def test_every_number_names_its_row_and_says_what_it_says(full: Run) -> None:
    document, held, rows = build_document(full), held_by(full), dict[str, dict[str, Any]]()
    assert mistakes(document, held, rows) == []
    sources = {table.source for table, *_ in numbered(document)}
    assert sources == set(EXPECTED)
    for source in sorted(sources):
        assert mistakes(rolled(document, source), held, rows), source


def test_a_number_without_a_claim_is_found(full: Run) -> None:
    document = build_document(full)
    [section] = [section for section in document.sections if section.identifier == "performance"]
    bare = next(block for block in section.blocks if isinstance(block, Table))
    rows = (tuple(replace(cell, claim="") for cell in bare.rows[0]), *bare.rows[1:])
    less = replace(section, blocks=(replace(bare, rows=rows),))
    found = mistakes(replace(document, sections=(less,)), held_by(full))
    assert [line.split(":")[0] for line in found] == ["no claim"] * 4


def test_numbers_of_a_comparison_name_rows_of_its_table(sample: Run) -> None:
    pairs = compare_runs([sample], draws=99)
    document = build_comparison(pairs)
    held, rows = {**held_by(sample), "paired": pairs[0].table}, dict[str, dict[str, Any]]()
    assert mistakes(document, held, rows) == []
    assert {table.source for table, *_ in numbered(document)} == {"paired", "findings"}
    for source in ("paired", "findings"):
        assert mistakes(rolled(document, source), held, rows), source


def test_the_area_of_a_region_is_said_by_model_where_models_differ(sample: Run, changed: Change) -> None:
    groups = sample.table("region_groups")
    one = (groups["model"] == sample.models[0]) & (groups["method"] == "saliency") & (groups["region"] == "object")
    groups.loc[one, "area"] = 0.125
    run = changed({"region_groups": groups})
    document = build_document(run)
    [table] = [t for t in document.walk() if isinstance(t, Table) and t.caption == "Region shares over everybody"]
    [row] = [row for row in cells(table) if (row["Region"].text, row["Method"].text) == ("object", "Saliency")]
    assert (row["Area of region"].text, row["Area of region"].claim) == ("see each model", "")
    assert row[sample.models[0]].note.endswith(", area 0.125")
    alike = [row for row in cells(table) if row["Method"].text != "Saliency"]
    assert all("area" not in row[sample.models[0]].note and row["Area of region"].claim for row in alike)
    assert mistakes(document, held_by(run)) == []


def forests(document: Document) -> Iterator[ForestFigure]:
    for block in document.walk():
        figures = block.figures if isinstance(block, FigureRow) else (block,) if isinstance(block, FigureBlock) else ()
        yield from (item.figure for item in figures if isinstance(item.figure, ForestFigure))


def test_lines_of_forest_plots_name_their_rows(sample: Run) -> None:
    pairs = compare_runs([sample], draws=99)
    held = {**held_by(sample), "paired": pairs[0].table}
    seen = set()
    for figure in [*forests(build_document(sample)), *forests(build_comparison(pairs))]:
        for line in figure.rows:
            name, parts = claim_parts(line.claim)
            [row] = find_claim(held[name], line.claim).to_dict("records")
            value = row["difference" if name == "paired" else "value"]
            numbers = [line.value, line.low, line.high, line.n]
            wanted = [value, row["low"], row["high"], row["n"]]
            assert numbers == [item if known(item) else None for item in wanted], line.claim
            everybody = parts["attribute"] == "overall"
            assert everybody or line.label == parts["group"]
            seen.add(name)
    assert seen == {"groups", "region_groups", "intervention_groups", "paired"}


def test_findings_rest_on_rows_that_exist(sample: Run) -> None:
    document, held = build_document(sample), held_by(sample)
    findings = [item for block in document.walk() if isinstance(block, Findings) for item in block.items]
    table = held["findings"].set_index("finding_id")
    assert len(findings) == len(table)
    for finding in findings:
        row = table.loc[finding.identifier]
        own, *others = finding.claims
        [named] = find_claim(held["findings"], own)["finding_id"]
        assert named == finding.identifier
        cited = list(row["claims"])
        assert others[: len(cited)] == cited
        assert [claim.split(":")[0] for claim in others[len(cited) :]] == ["sensitivity"] * len(finding.remarks)
        for claim in finding.claims:
            assert len(find_claim(held[claim.split(":")[0]], claim)) == 1, claim


def test_a_finding_of_an_older_run_without_claims_rests_on_itself(sample: Run, changed: Change) -> None:
    findings = sample.table("findings").assign(claims=None)
    run = changed({"findings": findings}, without=("sensitivity",))
    shown: list[Finding] = [
        item for block in build_document(run).walk() if isinstance(block, Findings) for item in block.items
    ]
    assert {finding.claims for finding in shown} == {(claim,) for claim in claims_of("findings", findings)}


def test_counts_made_for_an_older_run_claim_no_row_that_it_lacks(changed: Change) -> None:
    section = people(Facts(changed(without=("coverage",))))
    counted = [table for table in blocks(section, Table) if table.source == "coverage"]
    assert counted
    assert not any(cell.claim for table in counted for row in table.rows for cell in row)


class Claimed(HTMLParser):
    """Cells of a page's tables as (text begins, class, claim of the cell or else of its row)."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.row, self.cells = False, "", list[tuple[str, str]]()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in ("thead", "tbody"):
            self.body = tag == "tbody"
        elif tag == "tr":
            self.row = given.get("data-claim") or ""
        elif tag in ("th", "td") and self.body and "colspan" not in given:
            self.cells.append((given.get("class") or "", given.get("data-claim") or self.row))


EVIL = "\"><script>alert(1)</script> a:b' 50 % \u202e\n "


def test_the_page_holds_every_claim_as_it_is(sample: Run, changed: Change) -> None:
    groups = sample.table("groups")
    groups["group"] = groups["group"].replace({"tone-1": EVIL})
    document = build_document(changed({"groups": groups}))
    page = Claimed()
    page.feed(render_html(document))
    shown = [
        (column.numeric, cell)
        for table in document.walk()
        if isinstance(table, Table)
        for row in table.rows
        for column, cell in zip(table.columns, row, strict=True)
    ]
    assert len(shown) == len(page.cells)
    for (numeric, cell), (style, claim) in zip(shown, page.cells, strict=True):
        assert ("num" in style.split()) == numeric
        if numeric or cell.claim:
            assert claim == cell.claim
    evil = [cell.claim for _, cell in shown if "script" in cell.claim]
    assert len(set(evil)) == (groups["group"] == EVIL).sum() - hidden(groups)
    assert all(claim_parts(claim)[1]["group"] == EVIL for claim in evil)


def hidden(groups: pd.DataFrame) -> int:
    """Rows of groups that no table shows: classes other than the positive one."""
    return int(((groups["group"] == EVIL) & groups["class"].notna() & (groups["class"] != "cross")).sum())


def test_claims_take_little_room(sample: Run) -> None:
    page = render_html(build_document(sample))
    room = sum(len(part.split('"', 1)[0]) + len(' data-claim=""') for part in page.split(' data-claim="')[1:])
    assert room < 600_000


def test_a_reader_is_told_how_to_check_a_number(full: Run) -> None:
    section = checking(Facts(full))
    assert section.identifier == "checking"
    [table] = blocks(section, Table)
    rows = cells(table)
    named = [row["Table"].text for row in rows]
    assert named == [name for name in CLAIM_KEYS if len(full.table(name))]
    for row in rows:
        name, parts = claim_parts(row["For example"].text)
        assert (name, ", ".join(parts)) == (row["Table"].text, row["Parts of a claim, in this order"].text)
        assert len(find_claim(full.table(name), row["For example"].text)) == 1
    text = render_html(Document("a", "b", complete=True, sections=(section,)))
    assert all(words in text for words in ("results.json", "faircam verify", "signature", "data-claim", ".parquet"))


def test_the_report_tells_it_beside_its_methods(sample: Run) -> None:
    found = [block for block in build_document(sample).walk() if isinstance(block, Section)]
    assert [section.title for section in found if section.identifier == "checking"] == ["How to check a number"]


def test_a_run_without_numbers_says_how_all_the_same(sample: Run, changed: Change) -> None:
    run = changed(without=tuple(name for name in CLAIM_KEYS if sample.has(name)))
    assert blocks(checking(Facts(run)), Table) == []
