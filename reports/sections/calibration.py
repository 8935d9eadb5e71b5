"""Calibration within groups and curves over the decision threshold, drawn from table `curves`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from audit.run.claims import claim_of
from reports.figures import Line, LinesFigure, Point
from reports.format import NOTHING, clean, interval, known, metric_words, rate
from reports.language import phrase, say
from reports.nodes import Block, Cell, Column, FigureBlock, FigureRow, Folded, Paragraph, Section, Table
from reports.sections.facts import EVERYBODY, Facts, group_order, pick, records
from reports.sections.tables import capped, muted, value_table

__all__ = ["calibration", "curve_points", "reliability_figure", "threshold_figure"]

_MOST_GROUPS, _FEWEST, _LINES = 8, 3, 16
"""Groups that are drawn: at most, at least, and of all models together."""

_SHOWN_AT = (0.1, 0.3, 0.5, 0.7, 0.9)
_CRITERIA = ("true_positive_rate", "false_positive_rate")
_HOW_TO_READ = phrase(
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
        blocks += [Paragraph(say(_HOW_TO_READ), "note"), _everybody(facts, reliability)]
        for name in facts.names:
            blocks += _reliability(facts, pick(reliability, attribute=name), name)
    blocks += _thresholds(facts, curves[curves["kind"] == "threshold"])
    return Section("calibration", say("Confidence and decision threshold"), tuple(blocks))


def _everybody(facts: Facts, reliability: pd.DataFrame) -> FigureRow:
    figures = []
    for model in facts.run.models:
        part = pick(reliability, model=model, attribute="overall", group=EVERYBODY)
        if len(part):
            figure = reliability_figure(part, say("{model}: {name}", model=clean(model), name=say("everybody")), -1)
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
            about = say("{model}, by {attribute}.", model=clean(model), attribute=clean(name))
            blocks += [Paragraph(about, "note"), FigureRow(tuple(figures), small=True)]
    caption = say("Share right by confidence, by {attribute}", attribute=clean(name))
    blocks += [_left(part, shown), *_table(part, shown, caption)]
    return [Folded(say("Confidence kept within groups, by {attribute}", attribute=clean(name)), tuple(blocks))]


def _left(part: pd.DataFrame, shown: Sequence[str]) -> Paragraph:
    left = part["group"].nunique() - len(shown)
    text = say("Every group is drawn.")
    if left > 0:
        text = say("The {number} groups with the lowest accuracy are drawn.", number=len(shown))
    return Paragraph(text, "note")


def _table(part: pd.DataFrame, shown: Sequence[str], caption: str) -> list[Table]:
    held = part[part["value"].notna()]
    first = {group: place for place, group in enumerate(shown)}
    held = held.sort_values("group", key=lambda groups: groups.map(first).fillna(len(first)), kind="stable")
    return [value_table(held, caption, ("group", "model", "x"), source="curves", folded=True)]


def drawn_groups(facts: Facts, part: pd.DataFrame, name: str) -> list[str]:
    """The groups that are drawn: those with the lowest accuracy, or all where they are few; fewer of many models."""
    present = [str(group) for group in part["group"].drop_duplicates()]
    accuracy = pick(facts.groups_of(name), metric="accuracy")
    ordered = [group for group in group_order(accuracy, "accuracy") if group in present] if len(accuracy) else []
    most = min(_MOST_GROUPS, max(_FEWEST, _LINES // max(len(facts.run.models), 1)))
    return [*ordered, *(group for group in present if group not in ordered)][:most]


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
    return LinesFigure(title, say("mean confidence"), say("share right"), (line,), diagonal=True, small=True)


def threshold_figure(part: pd.DataFrame, metric: str, title: str, shown: Sequence[str]) -> LinesFigure:
    """One rate over the decision threshold, a line a group; intervals are in the table."""
    lines = []
    for style, group in enumerate(shown):
        points = curve_points(pick(part, group=group, metric=metric))
        plain = tuple(Point(point.x, point.value, n=point.n) for point in points)
        lines.append(Line(clean(group), plain, style))
    return LinesFigure(title, say("decision threshold"), metric_words(metric), tuple(lines))


def _thresholds(facts: Facts, curves: pd.DataFrame) -> list[Block]:
    blocks: list[Block] = []
    for name in facts.names:
        part = pick(curves, attribute=name)
        if part.empty:
            continue
        shown = drawn_groups(facts, part, name)
        about = next((clean(value) for value in part["class"] if known(value)), say("the positive class"))
        text = say(
            "What each group would have met at another threshold on the score of {about}. The curves are of single "
            "groups without intervals; a threshold chosen on these images must be checked on others.",
            about=about,
        )
        inner: list[Block] = [Paragraph(text, "note")]
        for model in facts.run.models:
            own = pick(part, model=model)
            figures = [
                threshold_figure(own, metric, _named(model, metric, name), shown)
                for metric in _CRITERIA
                if (own["metric"] == metric).any()
            ]
            inner.append(FigureRow(tuple(FigureBlock(figure, figure.title) for figure in figures)))
        inner += [_left(part, shown), *_half(part, name)]
        title = say("Rates over the decision threshold, by {attribute}", attribute=clean(name))
        blocks.append(Folded(title, tuple(inner)))
    return blocks


def _named(model: str, metric: str, attribute: str) -> str:
    words = {"model": clean(model), "metric": metric_words(metric), "attribute": clean(attribute)}
    return say("{model}: {metric} by {attribute}", **words)


def _half(part: pd.DataFrame, name: str) -> list[Table]:
    """Rates at a few thresholds, a column each; the run holds them at all."""
    held = part[part["metric"].isin(_CRITERIA) & part["x"].round(2).isin(_SHOWN_AT)]
    found = {(row["metric"], row["group"], row["model"], round(float(row["x"]), 2)): row for row in records(held)}
    rows: list[tuple[Cell, ...]] = []
    for metric, group, model in dict.fromkeys(key[:3] for key in found):
        cells = [_cell(found.get((metric, group, model, place))) for place in _SHOWN_AT]
        rows.append((Cell(clean(group)), Cell(clean(model)), Cell(metric_words(str(metric))), *cells))
    columns = [Column(clean(name)), Column(say("Model")), Column(say("Metric"))]
    columns += [Column(say("at {place}", place=f"{place:.1f}"), numeric=True) for place in _SHOWN_AT]
    note = say("The rates at every hundredth are in tables/curves.parquet of the run.")
    caption = say("Rates at some thresholds, by {attribute}", attribute=clean(name))
    return [capped(caption, columns, rows, source="curves", note=note, folded=True)]


def _cell(row: Mapping[str, Any] | None) -> Cell:
    if row is None:
        return muted(NOTHING)
    claim = claim_of("curves", row)
    if not known(row["value"]):
        return muted(NOTHING, claim)
    return Cell(f"{rate(row['value'])} {interval(row['low'], row['high'])}", claim=claim)
