"""What the report says of gaps, coverage, calibration, unnamed groups and other conditions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from audit.run import Run
from reports.document import build_document
from reports.figures import Line, LinesFigure, Point
from reports.format import criterion_words, p_value, rate
from reports.html import render_html
from reports.nodes import (
    Bullets,
    Callout,
    Document,
    FigureRow,
    Finding,
    Findings,
    Paragraph,
    Section,
    SliceCard,
    SliceCards,
    Table,
)
from reports.palette import DARK, LIGHT, LINE_COLOURS
from reports.sections.conditions import corruption_figure, membership_sentence
from reports.sections.gaps import gap_rows
from reports.sections.unnamed import leakage_sentence, slice_sentence, slice_state
from reports.svg import draw
from tests.reports.test_parts import _contrast

Change = Callable[..., Run]
BEYOND = (
    *("curves", "lattice", "shift", "robustness", "robustness_gaps", "embeddings", "corrupted", "members"),
    *("leakage", "slices", "slice_images", "membership", "sensitivity", "coverage", "paired"),
)


@pytest.fixture(scope="session")
def document(sample: Run) -> Document:
    return build_document(sample)


def blocks(document: Document, kind: type) -> list[Any]:
    return [block for block in document.walk() if isinstance(block, kind)]


def table(document: Document, start: str) -> Table:
    [found] = [block for block in blocks(document, Table) if block.caption.startswith(start)]
    return found


def findings(document: Document) -> list[Finding]:
    return [item for block in blocks(document, Findings) for item in block.items]


def cells(found: Table) -> list[dict[str, str]]:
    return [{c.title: cell.text for c, cell in zip(found.columns, row, strict=True)} for row in found.rows]


def test_coverage_counts_planned_failed_and_missing(document: Document) -> None:
    rows = {row["tone"]: row for row in cells(table(document, "Images by tone and label"))}
    assert list(rows)[-1] == "(missing)"
    assert (rows["tone-6"]["Planned"], rows["tone-6"]["Not used"]) == ("40", "1")
    assert (rows["(missing)"]["Planned"], rows["(missing)"]["cross"]) == ("6", "3 (50.0 %)")
    assert sum(int(row["Planned"]) for row in rows.values()) == 240
    assert table(document, "Images by tone × marker").folded


def test_coverage_is_counted_where_an_older_run_lacks_it(document: Document, changed: Change) -> None:
    older = build_document(changed(without=("coverage",)))
    one, two = (table(each, "Images by tone and label") for each in (older, document))
    assert [[cell.text for cell in row] for row in one.rows] == [[cell.text for cell in row] for row in two.rows]


def test_every_gap_has_its_corrected_p_and_what_would_have_shown(sample: Run, document: Document) -> None:
    gaps = sample.table("gaps")
    wanted = gaps[(gaps["attribute"] == "tone") & (gaps["metric"] == "accuracy") & (gaps["compare"] == "range")]
    shown = [row for row in cells(table(document, "Gaps in the metrics drawn")) if row["Metric"] == "accuracy"]
    by_model = {row["Model"]: row for row in shown if row["Attribute"] == "tone"}
    for row in wanted.to_dict("records"):
        assert by_model[row["model"]]["Corrected p"] == p_value(row["p_adjusted"])
        assert by_model[row["model"]]["Would have shown"] == rate(row["detectable"])
        assert by_model[row["model"]]["Gap"] == rate(row["value"])


def test_ranges_are_kept_apart_from_ratios_and_criteria(document: Document) -> None:
    drawn = [row["Metric"] for row in cells(table(document, "Gaps in the metrics drawn"))]
    assert set(drawn) == {"accuracy", "true positive rate, cross", "false positive rate, cross"}
    assert len(drawn) == 3 * 3 * 2
    criteria = {row["Metric"] for row in cells(table(document, "Gaps in criteria"))}
    assert criteria == {
        "selection rate, cross: ratio of smallest to largest",
        "equalised odds, cross: the larger of the two gaps",
        "equalised odds, cross: mean of the two gaps",
        "average odds, cross",
    }


def test_gaps_of_an_older_run_are_ranges(sample: Run, changed: Change) -> None:
    gaps = sample.table("gaps")
    older = gaps[(gaps["compare"] == "range") & (gaps["metric"] == "accuracy")].assign(compare=None, p_adjusted=None)
    assert len(gap_rows(older, "range")) == len(older)
    made = build_document(changed({"gaps": older}))
    assert len(table(made, "Gaps in the metrics drawn").rows) == len(older)
    assert not [block for block in blocks(made, Table) if block.caption.startswith("Gaps in criteria")]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("accuracy", None, "range"), "accuracy"),
        (("accuracy", None, None), "accuracy"),
        (("selection_rate", "cat", "ratio"), "selection rate, cat: ratio of smallest to largest"),
        (("accuracy", None, "overall"), "accuracy: worst group against everybody else"),
        (("equalised_odds", "cat", "mean"), "equalised odds, cat: mean of the two gaps"),
    ],
)
def test_comparisons_in_words(given: tuple[str, str | None, str | None], words: str) -> None:
    assert criterion_words(*given) == words


def test_wrong_labels_stand_beside_their_finding(sample: Run, document: Document) -> None:
    table = sample.table("sensitivity")
    shown = {item.identifier: item.remarks for item in findings(document)}
    assert set(shown) == set(table["finding_id"])
    for row in table.to_dict("records"):
        assert len(shown[row["finding_id"]]) == (1 if row["status"] == "ok" else 0)
    some = table[table["flips"] == 8].iloc[0]
    assert shown[some["finding_id"]][0].startswith("Wrong group labels: at least 8 of 120 marker labels")


def test_waivers_are_counted_and_expired_ones_too(sample: Run, changed: Change) -> None:
    judged = sample.table("findings")
    judged.loc[0, ["verdict", "text"]] = ["waived", "Waived by Ada, head of quality until 2026-12-31: known."]
    judged.loc[1, "text"] += " A waiver by Ada expired on 2026-01-01; the rule counts again."
    made = build_document(changed({"findings": judged}))
    [box] = [block for block in blocks(made, Callout) if block.title == "Waivers"]
    assert box.text.startswith("1 waived:")
    assert "1 with a waiver that has expired" in box.text
    assert [item.verdict for item in findings(made)].count("waived") == 1


def test_no_waiver_no_word_of_it(document: Document) -> None:
    assert not [block for block in blocks(document, Callout) if block.title == "Waivers"]


def test_what_was_not_measured_is_one_line_and_no_section(changed: Change) -> None:
    made = build_document(changed(without=BEYOND))
    ids = {section.identifier for section in made.sections}
    assert not ids & {"calibration", "unnamed", "conditions"}
    said = [item for block in blocks(made, Bullets) for item in block.items if item.startswith("Not measured in")]
    assert len(said) == 1
    for words in ("corrupted images", "slices that nobody labelled", "read from the embeddings", "wrong group labels"):
        assert words in said[0]


def test_nothing_is_called_not_measured_that_was(document: Document) -> None:
    items = [item for block in blocks(document, Bullets) for item in block.items]
    assert not [item for item in items if item.startswith("Not measured in")]


def test_subgroups_are_listed_worst_first_and_called_exploration(sample: Run, document: Document) -> None:
    rows = cells(table(document, "Subgroups served worst")) + cells(table(document, "All other subgroups"))
    found = sample.table("lattice")
    assert len(rows) == len(found)
    wanted = sorted(found["difference"].dropna(), reverse=True)
    assert [row["Difference"] for row in rows] == [*map(rate, wanted), *["–"] * (len(found) - len(wanted))]
    assert any("exploration" in block.text for block in blocks(document, Paragraph))


def test_slices_show_images_and_whether_they_held(sample: Run, document: Document) -> None:
    cards: list[SliceCard] = [item for block in blocks(document, SliceCards) for item in block.items]
    found = sample.table("slices")
    assert len(cards) == len(found)
    states = {card.title: (card.symbol, card.state) for card in cards}
    for row in found.to_dict("records"):
        wanted = ("✕", "confirmed") if row["confirmed"] else ("–", "not confirmed")
        assert states[f"{row['model']}, {row['slice']}"] == wanted
    assert all(card.pictures and card.pictures[0][0].startswith("data:image/") for card in cards)
    listed = sample.table("slice_images").groupby(["model", "slice"])["image_id"].agg(set)
    for card in cards:
        model, name = card.title.split(", ")
        assert {image for _, image in card.pictures} <= listed[model, name]


def test_a_model_without_a_slice_says_so(sample: Run, changed: Change) -> None:
    found = sample.table("slices")
    none = found[found["model"] == "biased-torch"].head(1).assign(slice=None, value=None, makeup=None, confirmed=False)
    few = none.assign(model="biased-keras", status="too_few_clusters")
    made = build_document(changed({"slices": pd.concat([none, few])}))
    said = [block.text for block in blocks(made, Paragraph)]
    assert "biased-torch: no group of images alike promised more errors than the others." in said
    assert any(text.startswith("biased-keras: not searched: too few independent clusters") for text in said)
    assert not blocks(made, SliceCards)


SLICE = {
    "n": 40,
    "clusters": 30,
    "value": 0.5,
    "rest": 0.2,
    "difference": 0.3,
    "low": 0.1,
    "high": 0.45,
    "p_adjusted": 0.004,
    "confirmed": True,
    "makeup": "tone dark 80 % (20 % of all)",
    "status": "ok",
}


def test_a_slice_in_a_sentence() -> None:
    assert slice_sentence(SLICE) == (
        "Error rate 0.500 in 40 held-out images (30 clusters) against 0.200 in the others: 0.300 higher, "
        "difference [0.100, 0.450] for all slices together, p = 0.004 after Holm's correction. "
        "Make-up: tone dark 80 % (20 % of all)."
    )
    better = SLICE | {"difference": -0.01, "low": None, "high": None, "p_adjusted": None, "makeup": None}
    assert slice_sentence(better).endswith("0.010 lower.")
    assert slice_state(SLICE | {"confirmed": False}) == ("–", "not confirmed")
    assert slice_sentence(SLICE | {"value": None, "status": "too_few_clusters"}).startswith("Its error rate was not")


LEAK = {
    "model": "m",
    "attribute": "tone",
    "value": 0.6,
    "baseline": 0.25,
    "baseline_high": 0.31,
    "p": 0.001,
    "status": "ok",
}


def test_leakage_in_a_sentence() -> None:
    assert leakage_sentence(LEAK) == (
        "m: tone is read from the embeddings with balanced accuracy 0.600 on held-out clusters; with group labels "
        "dealt at random 0.250 (95 % of them below 0.310): more than labels dealt at random allow (p = 0.001)."
    )
    assert "no more than labels dealt at random" in leakage_sentence(LEAK | {"value": 0.3})
    assert "was not measured" in leakage_sentence(LEAK | {"value": None, "status": "too_few_clusters"})


def test_membership_in_a_sentence() -> None:
    row = {"model": "m", "attribute": "overall", "group": "all", "value": 0.7, "low": 0.6, "high": 0.8, "status": "ok"}
    assert membership_sentence(row).endswith("curve of 0.700 [0.600, 0.800], better than guessing.")
    assert "not shown to be better" in membership_sentence(row | {"low": 0.4})
    assert "tone dark" in membership_sentence(row | {"attribute": "tone", "group": "dark"})


def test_reliability_and_threshold_figures_hold_the_runs_numbers(sample: Run, document: Document) -> None:
    curves = sample.table("curves")
    figures = [one.figure for row in blocks(document, FigureRow) for one in row.figures]
    lines = [figure for figure in figures if isinstance(figure, LinesFigure)]
    small = [figure for figure in lines if figure.diagonal]
    kept = curves[(curves["kind"] == "reliability") & curves["value"].notna() & curves["x"].notna()]
    kept = kept[kept["attribute"].isin(["overall", "tone", "marker"])]
    assert sum(len(line.points) for figure in small for line in figure.lines) == len(kept)
    thresholds = [figure for figure in lines if figure.across == "decision threshold"]
    assert len(thresholds) == 2 * 2 * 2
    assert all(len(line.points) == 101 for figure in thresholds for line in figure.lines)


def test_robustness_shows_each_severity_and_its_gap(sample: Run, document: Document) -> None:
    rows = cells(table(document, "Gap in accuracy at each severity, by tone"))
    gaps = sample.table("robustness_gaps")
    wanted = gaps[gaps["attribute"] == "tone"]
    assert [row["Gap"] for row in rows] == [rate(value) for value in wanted["value"]]
    drops = cells(table(document, "Accuracy by corruption, severity and tone"))
    assert {row["Drop"] for row in drops if row["Severity"] == "0"} == {"+0.000"}


def test_intervals_are_left_out_where_many_lines_would_hide_them() -> None:
    part = pd.DataFrame(
        {"severity": [0, 3], "value": [0.9, 0.5], "low": [0.8, 0.35], "high": [0.95, 0.65], "n": [40, 40]}
    )
    few = corruption_figure([("noise", part)], "t")
    many = corruption_figure([(str(number), part) for number in range(4)], "t")
    assert few.lines[0].points[1] == Point(3.0, 0.5, 0.35, 0.65, 40)
    assert few.ticks == (0.0, 3.0)
    assert few.heights == (0.3, 1.0)
    assert many.lines[0].points[1].low is None


LINES = LinesFigure(
    "t & <b>",
    "severity",
    "accuracy",
    (
        Line("everybody", (Point(0, 0.9), Point(1, 0.8))),
        Line("<i>a</i>", (Point(0, 0.9, 0.8, 0.95), Point(1, 0.79)), 0),
        Line("b", (Point(0, 0.5), Point(1, 0.78)), 1),
        Line("empty", (), 2),
    ),
)


def test_lines_are_drawn_the_same_each_time_and_named() -> None:
    drawn = draw(LINES, "l1")
    assert drawn == draw(LINES, "l1")
    assert "<i>" not in drawn
    assert "&lt;i&gt;a&lt;/i&gt;" in drawn
    assert drawn.count(">empty<") == 0
    assert "a: 0.900 at 0 (interval 0.800 to 0.950), 0.790 at 1" in LINES.description.replace("<i>", "").replace(
        "</i>", ""
    )
    assert "empty: nothing measured" in LINES.description


def test_equal_figures_under_other_names_share_no_identifier() -> None:
    one, two = draw(LINES, "l1"), draw(LINES, "l2")
    assert one.replace("l1-", "l2-") == two


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_lines_can_be_seen_on_every_ground(theme: object) -> None:
    assert len(set(LINE_COLOURS)) == 8
    for colour in LINE_COLOURS:
        for ground in ("page", "surface"):
            assert _contrast(colour, getattr(theme, ground)) >= 3, (colour, ground)


def test_hostile_names_in_the_further_tables_are_escaped(sample: Run, changed: Change) -> None:
    evil = "<script>alert(1)</script>"
    frames = {}
    for name in ("lattice", "curves", "robustness", "robustness_gaps", "membership", "coverage", "gaps"):
        frame = sample.table(name)
        frames[name] = frame.assign(group=frame["group"].str.replace("tone-1", evil, regex=False))
    frames["slices"] = sample.table("slices").assign(makeup=evil)
    frames["sensitivity"] = sample.table("sensitivity").assign(text=evil)
    text = render_html(build_document(changed(frames)))
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)" in text


def test_models_of_a_run_stand_side_by_side(sample: Run, document: Document) -> None:
    [found] = [section for section in document.sections if section.identifier == "side-by-side"]
    first, second = sample.models
    [pair] = [block for block in found.blocks if isinstance(block, Section)]
    assert pair.title == f"{first} against {second}"
    rows = sample.table("paired").query("attribute == 'overall' and metric == 'accuracy'")
    [whole] = rows.to_dict("records")
    sentence = next(block.text for block in pair.blocks if isinstance(block, Paragraph))
    assert f"from {rate(whole['first_value'])} to {rate(whole['second_value'])}" in sentence
    assert f"right only before: {whole['only_first']}" in sentence


def test_one_model_has_nobody_beside_it(sample: Run, changed: Change) -> None:
    alone = changed({"paired": sample.table("paired").iloc[:0]})
    assert "side-by-side" not in [section.identifier for section in build_document(alone).sections]
