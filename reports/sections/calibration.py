"""Calibration within groups and curves over the decision threshold, drawn from table `curves`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from audit.run.claims import claim_of
from reports.figures import Line, LinesFigure, Point
from reports.format import NOTHING, clean, interval, known, metric_words, rate
from reports.nodes import Block, Cell, Column, FigureBlock, FigureRow, Folded, Paragraph, Section, Table
from reports.sections.facts import EVERYBODY, Facts, capped, group_order, muted, pick, records, value_table

__all__ = ["calibration", "curve_points", "reliability_figure", "threshold_figure"]

MOST_GROUPS = 8
_SHOWN_AT = (0.1, 0.3, 0.5, 0.7, 0.9)
_CRITERIA = ("true_positive_rate", "false_positive_rate")
_HOW_TO_READ = (
    "Each point is one of fifteen equal parts of the confidence scale, the same for every group: across, the mean "
    "confidence there; up, the share that was right, with its 95 % interval. On the dashed diagonal, a confidence of "
    "0.8 is right 8 times in 10; below it the model promises more than it keeps. Points that rest on few images "
    "scatter: read the intervals."
)


def calibration(facts: Facts) -> Section | None:
    """Reliability by group as small multiples, then threshold curves; None where no curve was computed."""
    curves = facts.run.table("curves")
    if curves.empty:
        return None
    blocks: list[Block] = []
    reliability = curves[curves["kind"] == "reliability"]
    if len(reliability):
        blocks += [Paragraph(_HOW_TO_READ, "note"), _everybody(facts, reliability)]
        for name in facts.names:
            blocks += _reliability(facts, pick(reliability, attribute=name), name)
    blocks += _thresholds(facts, curves[curves["kind"] == "threshold"])
    return Section("calibration", "Confidence and decision threshold", tuple(blocks))


def _everybody(facts: Facts, reliability: pd.DataFrame) -> FigureRow:
    figures = []
    for model in facts.run.models:
        part = pick(reliability, model=model, attribute="overall", group=EVERYBODY)
        if len(part):
            figure = reliability_figure(part, f"{clean(model)}: everybody", -1)
            figures.append(FigureBlock(figure, figure.title))
    return FigureRow(tuple(figures), small=True)


def _reliability(facts: Facts, part: pd.DataFrame, name: str) -> list[Block]:
    if part.empty:
        return []
    shown = drawn_groups(facts, part, name)
    blocks: list[Block] = []
    for model in facts.run.models:
        figures = []
        for style, group in enumerate(shown):
            rows = pick(part, model=model, group=group)
            if len(rows):
                figures.append(FigureBlock(reliability_figure(rows, clean(group), style), clean(group)))
        if figures:
            blocks += [Paragraph(f"{clean(model)}, by {clean(name)}.", "note"), FigureRow(tuple(figures), small=True)]
    blocks += [_left(part, shown), *_table(part, f"Share right by confidence, by {clean(name)}")]
    return [Folded(f"Confidence kept within groups, by {clean(name)}", tuple(b for b in blocks if b is not None))]


def _left(part: pd.DataFrame, shown: Sequence[str]) -> Paragraph:
    left = part["group"].nunique() - len(shown)
    text = "Every group is drawn." if left <= 0 else f"The {len(shown)} groups with the lowest accuracy are drawn."
    return Paragraph(text, "note")


def _table(part: pd.DataFrame, caption: str) -> list[Table]:
    held = part[part["value"].notna()]
    return [value_table(held, caption, ("group", "model", "x"), source="curves", folded=True)]


def drawn_groups(facts: Facts, part: pd.DataFrame, name: str) -> list[str]:
    """The groups that are drawn: those with the lowest accuracy, or all where they are few."""
    present = [str(group) for group in part["group"].drop_duplicates()]
    accuracy = pick(facts.groups, attribute=name, metric="accuracy")
    ordered = [group for group in group_order(accuracy, "accuracy") if group in present] if len(accuracy) else []
    return [*ordered, *(group for group in present if group not in ordered)][:MOST_GROUPS]


def curve_points(part: pd.DataFrame) -> tuple[Point, ...]:
    """Rows of one curve as points, from left to right; rows without a value are no points."""
    rows = [row for row in records(part) if known(row["value"]) and known(row["x"])]
    return tuple(
        Point(
            float(row["x"]),
            float(row["value"]),
            float(row["low"]) if known(row["low"]) else None,
            float(row["high"]) if known(row["high"]) else None,
            int(row["n"]) if known(row["n"]) else None,
        )
        for row in sorted(rows, key=lambda row: float(row["x"]))
    )


def reliability_figure(part: pd.DataFrame, title: str, style: int) -> LinesFigure:
    """One group's share right over its mean confidence."""
    line = Line(title, curve_points(part), style)
    return LinesFigure(title, "mean confidence", "share right", (line,), diagonal=True, small=True)


def threshold_figure(part: pd.DataFrame, metric: str, title: str, shown: Sequence[str]) -> LinesFigure:
    """One rate over the decision threshold, a line a group; intervals are in the table."""
    lines = []
    for style, group in enumerate(shown):
        points = curve_points(pick(part, group=group, metric=metric))
        plain = tuple(Point(point.x, point.value, n=point.n) for point in points)
        lines.append(Line(clean(group), plain, style))
    return LinesFigure(title, "decision threshold", metric_words(metric), tuple(lines))


def _thresholds(facts: Facts, curves: pd.DataFrame) -> list[Block]:
    blocks: list[Block] = []
    for name in facts.names:
        part = pick(curves, attribute=name)
        if part.empty:
            continue
        shown = drawn_groups(facts, part, name)
        about = next((clean(value) for value in part["class"] if known(value)), "the positive class")
        text = (
            f"What each group would have met at another threshold on the score of {about}. The curves are of single "
            "groups without intervals; a threshold chosen on these images must be checked on others."
        )
        inner: list[Block] = [Paragraph(text, "note")]
        for model in facts.run.models:
            own = pick(part, model=model)
            figures = [
                threshold_figure(own, metric, f"{clean(model)}: {metric_words(metric)} by {clean(name)}", shown)
                for metric in _CRITERIA
                if (own["metric"] == metric).any()
            ]
            inner.append(FigureRow(tuple(FigureBlock(figure, figure.title) for figure in figures)))
        inner += [_left(part, shown), *_half(part, name)]
        blocks.append(Folded(f"Rates over the decision threshold, by {clean(name)}", tuple(inner)))
    return blocks


def _half(part: pd.DataFrame, name: str) -> list[Table]:
    """Rates at a few thresholds, a column each; the run holds them at all."""
    held = part[part["metric"].isin(_CRITERIA)]
    found = {(row["metric"], row["group"], row["model"], round(float(row["x"]), 2)): row for row in records(held)}
    rows: list[tuple[Cell, ...]] = []
    for metric, group, model in dict.fromkeys(key[:3] for key in found):
        cells = [_cell(found.get((metric, group, model, place))) for place in _SHOWN_AT]
        rows.append((Cell(clean(group)), Cell(clean(model)), Cell(metric_words(str(metric))), *cells))
    columns = [Column(clean(name)), Column("Model"), Column("Metric")]
    columns += [Column(f"at {place:.1f}", numeric=True) for place in _SHOWN_AT]
    note = "The rates at every hundredth are in tables/curves.parquet of the run."
    return [
        capped(f"Rates at some thresholds, by {clean(name)}", columns, rows, source="curves", note=note, folded=True)
    ]


def _cell(row: Mapping[str, Any] | None) -> Cell:
    if row is None:
        return muted(NOTHING)
    claim = claim_of("curves", row)
    if not known(row["value"]):
        return muted(NOTHING, claim)
    return Cell(f"{rate(row['value'])} {interval(row['low'], row['high'])}", claim=claim)
