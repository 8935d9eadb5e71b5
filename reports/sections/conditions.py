"""Other conditions than those of the audit: corrupted images, another mix of groups, images known from training."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from audit.run.claims import claims_of
from reports.figures import Line, LinesFigure, Point
from reports.format import (
    NOTHING,
    clean,
    count,
    interval,
    known,
    metric_words,
    p_value,
    plain,
    rate,
    signed,
    status_words,
)
from reports.nodes import Block, Bullets, Cell, Column, FigureBlock, FigureRow, Folded, Paragraph, Section
from reports.sections.calibration import MOST_GROUPS
from reports.sections.facts import EVERYBODY, Facts, capped, muted, pick, records, value_table

__all__ = ["conditions", "corruption_figure", "membership_sentence"]

_FIRST_ROWS = 14
_MOST_BARS = 3


def conditions(facts: Facts) -> Section | None:
    """Robustness, other mixes and membership, each where it was measured; None where nothing of it was."""
    blocks = [*_robustness(facts), *_shift(facts), *_membership(facts)]
    return Section("conditions", "Under other conditions", tuple(blocks)) if blocks else None


def _robustness(facts: Facts) -> list[Block]:
    table = facts.run.table("robustness")
    if table.empty:
        return []
    text = (
        "Accuracy on the same images, uncorrupted (severity 0) and corrupted ever more. The drop is paired, image by "
        "image. A gap that opens as images get worse falls on those whose images are worse. The corruptions are made "
        "by a program; those of a real camera can differ."
    )
    blocks: list[Block] = [Paragraph(text), _by_corruption(facts, table)]
    for name in facts.names:
        part = pick(table, attribute=name)
        if len(part):
            blocks.append(Folded(f"Corrupted images, by {clean(name)}", tuple(_by_group(facts, part, name))))
    return [Section("robustness", "Corrupted images", tuple(blocks))]


def _by_corruption(facts: Facts, table: pd.DataFrame) -> FigureRow:
    figures = []
    for model in facts.run.models:
        part = pick(table, model=model, attribute="overall", group=EVERYBODY)
        names = [str(name) for name in part["corruption"].drop_duplicates()]
        lines = [(clean(plain(name)), pick(part, corruption=name)) for name in names]
        if lines:
            title = f"{clean(model)}: accuracy of everybody by corruption"
            figures.append(FigureBlock(corruption_figure(lines, title), title))
    return FigureRow(tuple(figures))


def corruption_figure(lines: list[tuple[str, pd.DataFrame]], title: str) -> LinesFigure:
    """Accuracy over severity, a line a name; intervals are drawn where lines are few."""
    drawn, severities, bars = [], set[float](), len(lines) <= _MOST_BARS
    for style, (name, part) in enumerate(lines):
        rows = sorted(records(part[part["value"].notna()]), key=lambda row: int(row["severity"]))
        points = tuple(
            Point(
                float(row["severity"]),
                float(row["value"]),
                float(row["low"]) if bars and known(row["low"]) else None,
                float(row["high"]) if bars and known(row["high"]) else None,
                int(row["n"]),
            )
            for row in rows
        )
        severities |= {point.x for point in points}
        drawn.append(Line(name, points, style))
    ticks = tuple(sorted(severities))
    ends = (0.0, max(severities, default=1.0))
    lows = [point.value if point.low is None else point.low for line in drawn for point in line.points]
    heights = (math.floor(10 * min([*lows, 0.9])) / 10, 1.0)
    across = "severity (0: uncorrupted)"
    return LinesFigure(title, across, "accuracy", tuple(drawn), bounds=ends, heights=heights, ticks=ticks)


def _by_group(facts: Facts, part: pd.DataFrame, name: str) -> list[Block]:
    groups = [str(group) for group in part["group"].drop_duplicates()][:MOST_GROUPS]
    figures = []
    for model in facts.run.models:
        own = pick(part, model=model)
        for corruption in own["corruption"].drop_duplicates():
            lines = [(clean(group), pick(own, corruption=corruption, group=group)) for group in groups]
            title = f"{clean(model)}: accuracy under {clean(plain(str(corruption)))}"
            figures.append(FigureBlock(corruption_figure(lines, title), title))
    blocks: list[Block] = [FigureRow(tuple(figures)), *_gaps(facts, name)]
    keys = ("corruption", "severity", "group", "model")
    caption = f"Accuracy by corruption, severity and {clean(name)}"
    blocks.append(value_table(part, caption, keys, source="robustness", folded=True, more=(("Drop", "drop"),)))
    return blocks


def _gaps(facts: Facts, name: str) -> list[Block]:
    table = facts.run.table("robustness_gaps")
    part = pick(table, attribute=name) if len(table) else table
    if part.empty:
        return []
    heads = [Column("Corruption"), Column("Severity", numeric=True), Column("Model"), Column("Worst group")]
    columns = [*heads, Column("Best group"), Column("Gap", numeric=True), Column("95 % interval", numeric=True)]
    rows = [_gap_row(row) for row in records(part)]
    note = "p is not corrected for the number of corruptions and severities."
    caption = f"Gap in accuracy at each severity, by {clean(name)}"
    columns.append(Column("p", numeric=True))
    claims = claims_of("robustness_gaps", part)
    return [capped(caption, columns, rows, source="robustness_gaps", note=note, claims=claims)]


def _gap_row(row: Mapping[str, Any]) -> tuple[Cell, ...]:
    fine = known(row["value"])
    return (
        Cell(clean(plain(str(row["corruption"])))),
        Cell(count(row["severity"])),
        Cell(clean(row["model"])),
        Cell(clean(row["group"]) if known(row["group"]) else NOTHING),
        Cell(clean(row["reference"]) if known(row["reference"]) else NOTHING),
        Cell(rate(row["value"])) if fine else muted(status_words(row["status"])),
        Cell(interval(row["low"], row["high"])),
        Cell(p_value(row["p"])),
    )


def _shift(facts: Facts) -> list[Block]:
    table = facts.run.table("shift")
    if table.empty:
        return []
    text = (
        "What the figures over everybody would be if the groups came in other shares, each group being served as it "
        "was here. It says nothing of groups that are not in these data."
    )
    accuracy = table["metric"] == "accuracy"
    columns = [Column("Scenario"), Column("Attribute"), Column("Model"), Column("Metric")]
    columns += [Column(head, numeric=True) for head in ("As audited", "There", "95 % interval", "Change")]
    first = accuracy & ~table["scenario"].str.endswith(" points")
    blocks: list[Block] = [Paragraph(text)]
    for part, caption, folded in (
        (table[first], "Accuracy under another mix of groups", False),
        (table[~first], "Each group up by ten points, and other rates", True),
    ):
        rows = [_shift_row(row) for row in records(part)]
        if rows:
            claims = claims_of("shift", part)
            blocks.append(capped(caption, columns, rows, source="shift", folded=folded, claims=claims))
    return [Section("shift", "Another mix of groups", tuple(blocks))]


def _shift_row(row: Mapping[str, Any]) -> tuple[Cell, ...]:
    fine = known(row["value"])
    change = float(row["value"]) - float(row["observed"]) if fine and known(row["observed"]) else None
    return (
        Cell(clean(row["scenario"])),
        Cell(clean(row["attribute"])),
        Cell(clean(row["model"])),
        Cell(metric_words(row["metric"], row["class"])),
        Cell(rate(row["observed"])),
        Cell(rate(row["value"])) if fine else muted(status_words(row["status"])),
        Cell(interval(row["low"], row["high"])),
        Cell(signed(change)),
    )


def membership_sentence(row: Mapping[str, Any]) -> str:
    """What the attack makes of one group."""
    who = "everybody" if row["attribute"] == "overall" else f"{clean(row['attribute'])} {clean(row['group'])}"
    if not known(row["value"]):
        return f"{clean(row['model'])}, {who}: not measured ({status_words(row['status'])})."
    bounds = interval(row["low"], row["high"])
    above = known(row["low"]) and float(row["low"]) > 0.5
    reading = "better than guessing" if above else "not shown to be better than guessing (0.5)"
    return (
        f"{clean(row['model'])}, {who}: by its loss, an image of the training set is told from another with an area "
        f"under the curve of {rate(row['value'])} {bounds}, {reading}."
    )


def _membership(facts: Facts) -> list[Block]:
    table = facts.run.table("membership")
    if table.empty:
        return []
    text = (
        "Whether it shows in the model's answers which images it was trained on (loss-threshold attack). 0.5 is "
        "guessing. A higher value in one group means that its members are easier to recognise; stronger attacks may "
        "find more."
    )
    said = [membership_sentence(row) for row in records(table[table["attribute"] == "overall"])]
    heads = ("Trained on", "Others", "Area", "95 % interval", "Accuracy, trained on", "Accuracy, others")
    columns = [Column("Attribute"), Column("Group"), Column("Model"), *(Column(head, numeric=True) for head in heads)]
    rows = [_member_row(row) for row in records(table)]
    long, claims = len(rows) > _FIRST_ROWS, claims_of("membership", table)
    held = capped("Membership inference by group", columns, rows, source="membership", folded=long, claims=claims)
    return [Section("membership", "Images known from training", (Paragraph(text), Bullets(tuple(said)), held))]


def _member_row(row: Mapping[str, Any]) -> tuple[Cell, ...]:
    whole = row["attribute"] == "overall"
    return (
        Cell("everybody" if whole else clean(row["attribute"])),
        Cell(NOTHING if whole else clean(row["group"])),
        Cell(clean(row["model"])),
        Cell(count(row["members"])),
        Cell(count(row["others"])),
        Cell(rate(row["value"])) if known(row["value"]) else muted(status_words(row["status"])),
        Cell(interval(row["low"], row["high"])),
        Cell(rate(row["member_accuracy"])),
        Cell(rate(row["other_accuracy"])),
    )
