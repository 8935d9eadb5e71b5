"""A report over 50 groups, 100 classes and 5 models: small enough to send, short enough to read, and it says what it cut."""

from __future__ import annotations

import pytest

from audit.run import Run
from reports.document import build_document
from reports.figures import ForestFigure
from reports.fitting import MOST_CELLS, fitted
from reports.html import render_html
from reports.nodes import Block, Bullets, Cell, Column, Document, FigureRow, Findings, Folded, Section, Table
from tests.large_run import Size, build_large

SIZE = Size(images=500, every_class=False)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return build_large(tmp_path_factory.mktemp("large") / "run", SIZE)


@pytest.fixture(scope="module")
def document(run: Run) -> Document:
    return build_document(run)


def of(document: Document, kind: type[Block]) -> list[Block]:
    return [block for block in document.walk() if isinstance(block, kind)]


def test_the_page_is_under_5_mb(document: Document) -> None:
    assert (SIZE.groups, SIZE.classes, SIZE.models) == (50, 100, 5)
    assert len(render_html(document).encode()) < 5_000_000


def test_tables_say_what_they_leave_out(run: Run, document: Document) -> None:
    long = [table for table in of(document, Table) if table.total > len(table.rows)]
    assert {table.source for table in long} >= {"groups", "findings", "coverage", "curves", "paired", "quality_groups"}
    for table in long:
        assert table.rows
        assert f"The first {len(table.rows)} of " in table.note
        assert table.note.endswith(f"rows are shown; all stand in tables/{table.source}.parquet of the run.")
        assert run.has(table.source)
    assert sum(len(table.rows) * len(table.columns) for table in of(document, Table) if table.total) <= MOST_CELLS


def test_what_is_not_folded_away_can_be_read(document: Document) -> None:
    """On the way down the page no table is longer than a screen or two, no list or figure either."""

    def shown(blocks: tuple[Block, ...]) -> list[Block]:
        found: list[Block] = []
        for block in blocks:
            found += [block, *shown(block.blocks)] if isinstance(block, Section) else [block]
        return found

    blocks = shown(document.sections)
    assert [
        table.caption for table in blocks if isinstance(table, Table) and not table.folded and len(table.rows) > 60
    ] == []
    assert max(len(block.items) for block in blocks if isinstance(block, Bullets)) <= 40
    assert max(len(block.items) for block in blocks if isinstance(block, Findings)) <= 60
    forests = [
        one.figure for row in of(document, FigureRow) for one in row.figures if isinstance(one.figure, ForestFigure)
    ]
    assert max(len(figure.rows) for figure in forests) <= 14
    assert max(len(row.figures) for row in of(document, FigureRow)) <= 10


def test_findings_beyond_the_first_stand_in_a_table(run: Run, document: Document) -> None:
    [listed] = [block for block in of(document, Findings) if len(block.items) == 60]
    [rest] = [
        table for table in of(document, Table) if table.source == "findings" and "further findings" in table.caption
    ]
    assert rest.total == len(run.table("findings")) - 60
    assert {item.verdict for item in listed.items} == {"fail"}  # there are more of them than that
    assert rest.folded


def test_groups_are_read_across_models_and_classes_by_need(run: Run, document: Document) -> None:
    by_caption = {table.caption: table for table in of(document, Table)}
    accuracy = by_caption["Accuracy, by site"]
    assert [column.title for column in accuracy.columns] == ["site", *SIZE.model_names]
    assert accuracy.total == 50
    classes = by_caption["By class, over everybody"]
    found = run.table("groups", filters=[("attribute", "==", "overall"), ("metric", "==", "true_positive_rate")])
    lowest = found.groupby("class")["value"].mean().idxmin()
    assert classes.rows[0][0].text == lowest
    assert classes.total == 500


def table(rows: int, *, folded: bool = False) -> Table:
    cells = tuple((Cell(str(place)), Cell("1")) for place in range(rows))
    return Table("t", (Column("a"), Column("b", numeric=True)), cells, "Note.", folded, "groups", 200)


def test_fitting_by_hand() -> None:
    """Two tables of 150 rows and 2 columns are 600 cells; at 70 rows each they are 280."""
    document = Document("d", "", True, sections=(Section("s", "S", (table(150), Folded("f", (table(150),)))),))
    whole, cut, least = fitted(document, 600), fitted(document, 599), fitted(document, 0)
    rows = [[len(one.rows) for one in of(each, Table)] for each in (whole, cut, least)]
    assert rows == [[150, 150], [100, 100], [20, 20]]
    assert [len(one.rows) for one in of(fitted(document, 399), Table)] == [70, 70]
    [first, _] = of(least, Table)
    assert first.note == "Note. The first 20 of 200 rows are shown; all stand in tables/groups.parquet of the run."
    both = Document("d", "", True, sections=(Section("s", "S", (table(150), table(150, folded=True))),))
    assert [len(one.rows) for one in of(fitted(both, 0), Table)] == [20, 10]


def test_a_table_that_shows_all_says_nothing() -> None:
    one = Table("t", (Column("a"),), ((Cell("1"),),), "Note.", source="groups", total=1)
    document = Document("d", "", True, sections=(Section("s", "S", (one,)),))
    assert fitted(document) == document
