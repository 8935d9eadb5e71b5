"""Other conditions than those of the audit: corrupted images, another mix of groups, images known from training."""

from __future__ import annotations

import math
import re
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
from reports.language import phrase, say
from reports.nodes import Block, Bullets, Cell, Column, FigureBlock, FigureRow, Folded, Paragraph, Section
from reports.sections.calibration import drawn_groups
from reports.sections.facts import EVERYBODY, Facts, pick, records
from reports.sections.tables import MOST_ROWS, capped, muted, value_table

__all__ = ["conditions", "corruption_figure", "membership_sentence"]

_FIRST_ROWS = 14
_MOST_BARS = 3
_MOST_FIGURES = 10


def conditions(facts: Facts) -> Section | None:
    """Robustness, other mixes and membership, each where it was measured; None where nothing of it was."""
    blocks = [*_robustness(facts), *_shift(facts), *_membership(facts)]
    return Section("conditions", say("Under other conditions"), tuple(blocks)) if blocks else None


def _robustness(facts: Facts) -> list[Block]:
    table = facts.run.table("robustness")
    if table.empty:
        return []
    text = say(
        "Accuracy on the same images, uncorrupted (severity 0) and corrupted ever more. The drop is paired, image by "
        "image. A gap that opens as images get worse falls on those whose images are worse. The corruptions are made "
        "by a program; those of a real camera can differ."
    )
    blocks: list[Block] = [Paragraph(text), _by_corruption(facts, table)]
    for name in facts.names:
        part = pick(table, attribute=name)
        if len(part):
            title = say("Corrupted images, by {attribute}", attribute=clean(name))
            blocks.append(Folded(title, tuple(_by_group(facts, part, name))))
    return [Section("robustness", say("Corrupted images"), tuple(blocks))]


def _by_corruption(facts: Facts, table: pd.DataFrame) -> FigureRow:
    figures = []
    for model in facts.run.models:
        part = pick(table, model=model, attribute="overall", group=EVERYBODY)
        names = [str(name) for name in part["corruption"].drop_duplicates()]
        lines = [(clean(plain(name)), pick(part, corruption=name)) for name in names]
        if lines:
            title = say("{model}: accuracy of everybody by corruption", model=clean(model))
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
    across = say("severity (0: uncorrupted)")
    return LinesFigure(title, across, say("accuracy"), tuple(drawn), bounds=ends, heights=heights, ticks=ticks)


def _by_group(facts: Facts, part: pd.DataFrame, name: str) -> list[Block]:
    chosen = drawn_groups(facts, part, name)
    groups = [group for group in map(str, part["group"].drop_duplicates()) if group in chosen]
    pairs = list(part[["model", "corruption"]].drop_duplicates().itertuples(index=False, name=None))
    drawn = _widest(facts, pairs, name)
    figures = []
    for model, corruption in drawn:
        own = pick(part, model=model, corruption=corruption)
        lines = [(clean(group), pick(own, group=group)) for group in groups]
        title = say("{model}: accuracy under {corruption}", model=clean(model), corruption=plain(str(corruption)))
        figures.append(FigureBlock(corruption_figure(lines, title), title))
    blocks: list[Block] = [FigureRow(tuple(figures)), *_left(part, groups, pairs, drawn), *_gaps(facts, name)]
    keys = ("corruption", "severity", "group", "model")
    caption = say("Accuracy by corruption, severity and {attribute}", attribute=clean(name))
    if len(part) > MOST_ROWS:
        caption = say("{caption}, largest drop first", caption=caption)
        part = part.sort_values("drop", ascending=False, kind="stable")
    blocks.append(value_table(part, caption, keys, source="robustness", folded=True, more=((say("Drop"), "drop"),)))
    return blocks


def _widest(facts: Facts, pairs: list[tuple[str, str]], name: str) -> list[tuple[str, str]]:
    """The models and corruptions that are drawn: all, or those under which the groups come furthest apart."""
    table = facts.run.table("robustness_gaps")
    gaps = pick(table, attribute=name).groupby(["model", "corruption"])["value"].max()
    first = sorted(pairs, key=lambda pair: -float(gaps.get(pair, 0.0)))[:_MOST_FIGURES]
    return [pair for pair in pairs if pair in first]


def _left(
    part: pd.DataFrame, groups: list[str], pairs: list[tuple[str, str]], drawn: list[tuple[str, str]]
) -> list[Block]:
    said = []
    if len(drawn) < len(pairs):
        said.append(
            say(
                "{drawn} of {total} pairs of a model and a corruption are drawn: those with the widest gaps.",
                drawn=len(drawn),
                total=len(pairs),
            )
        )
    if len(groups) < part["group"].nunique():
        said.append(say("The {number} groups with the lowest accuracy are drawn.", number=len(groups)))
    return [Paragraph(say(" ").join(said), "note")] if said else []


def _gaps(facts: Facts, name: str) -> list[Block]:
    table = facts.run.table("robustness_gaps")
    part = pick(table, attribute=name) if len(table) else table
    if part.empty:
        return []
    heads = (say("Corruption"), say("Severity"), say("Model"), say("Worst group"), say("Best group"))
    columns = [Column(head, numeric=place == 1) for place, head in enumerate(heads)]
    columns += [Column(head, numeric=True) for head in (say("Gap"), say("95 % interval"), "p")]
    rows = [_gap_row(row) for row in records(part)]
    note = say("p is not corrected for the number of corruptions and severities.")
    caption = say("Gap in accuracy at each severity, by {attribute}", attribute=clean(name))
    claims = claims_of("robustness_gaps", part)
    long = len(rows) > _FIRST_ROWS * 2
    return [capped(caption, columns, rows, source="robustness_gaps", note=note, folded=long, claims=claims)]


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
    text = say(
        "What the figures over everybody would be if the groups came in other shares, each group being served as it "
        "was here. It says nothing of groups that are not in these data."
    )
    accuracy = table["metric"] == "accuracy"
    heads = (say("Scenario"), say("Attribute"), say("Model"), say("Metric"))
    numbers = (say("As audited"), say("There"), say("95 % interval"), say("Change"))
    columns = [*(Column(head) for head in heads), *(Column(head, numeric=True) for head in numbers)]
    first = accuracy & ~table["scenario"].str.endswith(" points")
    blocks: list[Block] = [Paragraph(text)]
    for part, caption, folded in (
        (table[first], say("Accuracy under another mix of groups"), False),
        (table[~first], say("Each group up by ten points, and other rates"), True),
    ):
        rows = [_shift_row(row) for row in records(part)]
        if rows:
            claims = claims_of("shift", part)
            blocks.append(capped(caption, columns, rows, source="shift", folded=folded, claims=claims))
    return [Section("shift", say("Another mix of groups"), tuple(blocks))]


_SCENARIOS = (phrase("equal shares"), phrase("stated population"))
_RAISED = re.compile(r"(.*) up by (\d+) points", re.DOTALL)


def _scenario(name: Any) -> str:
    """A scenario of `audit.fairness.shift` in words."""
    if name in _SCENARIOS:
        return say(name)
    raised = _RAISED.fullmatch(str(name))
    if raised is None:
        return clean(name)
    return say("{group} up by {number} points", group=clean(raised[1]), number=raised[2])


def _shift_row(row: Mapping[str, Any]) -> tuple[Cell, ...]:
    fine = known(row["value"])
    change = float(row["value"]) - float(row["observed"]) if fine and known(row["observed"]) else None
    return (
        Cell(_scenario(row["scenario"])),
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
    whole = row["attribute"] == "overall"
    who = say("everybody") if whole else f"{clean(row['attribute'])} {clean(row['group'])}"
    about = {"model": clean(row["model"]), "who": who}
    if not known(row["value"]):
        return say("{model}, {who}: not measured ({reason}).", **about, reason=status_words(row["status"]))
    above = known(row["low"]) and float(row["low"]) > 0.5
    return say(
        "{model}, {who}: by its loss, an image of the training set is told from another with an area under the curve "
        "of {value} {bounds}, {reading}.",
        **about,
        value=rate(row["value"]),
        bounds=interval(row["low"], row["high"]),
        reading=say("better than guessing") if above else say("not shown to be better than guessing (0.5)"),
    )


def _membership(facts: Facts) -> list[Block]:
    table = facts.run.table("membership")
    if table.empty:
        return []
    text = say(
        "Whether it shows in the model's answers which images it was trained on (loss-threshold attack). 0.5 is "
        "guessing. A higher value in one group means that its members are easier to recognise; stronger attacks may "
        "find more."
    )
    said = [membership_sentence(row) for row in records(table[table["attribute"] == "overall"])]
    heads = (say("Attribute"), say("Group"), say("Model"))
    numbers = [say("Trained on"), say("Others"), say("Area"), say("95 % interval")]
    numbers += [say("Accuracy, trained on"), say("Accuracy, others")]
    columns = [*(Column(head) for head in heads), *(Column(head, numeric=True) for head in numbers)]
    rows = [_member_row(row) for row in records(table)]
    long, claims = len(rows) > _FIRST_ROWS, claims_of("membership", table)
    caption = say("Membership inference by group")
    held = capped(caption, columns, rows, source="membership", folded=long, claims=claims)
    return [Section("membership", say("Images known from training"), (Paragraph(text), Bullets(tuple(said)), held))]


def _member_row(row: Mapping[str, Any]) -> tuple[Cell, ...]:
    whole = row["attribute"] == "overall"
    return (
        Cell(say("everybody") if whole else clean(row["attribute"])),
        Cell(NOTHING if whole else clean(row["group"])),
        Cell(clean(row["model"])),
        Cell(count(row["members"])),
        Cell(count(row["others"])),
        Cell(rate(row["value"])) if known(row["value"]) else muted(status_words(row["status"])),
        Cell(interval(row["low"], row["high"])),
        Cell(rate(row["member_accuracy"])),
        Cell(rate(row["other_accuracy"])),
    )
