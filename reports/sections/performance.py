"""Performance: over everybody, by class, by group with forest plots and tables, intersections and gaps."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pandas as pd

from audit.fairness.metrics import METRICS
from audit.run.claims import claim_of, claims_of
from reports.figures import ForestFigure, ForestRow
from reports.format import clean, known, metric_words, rate_with_interval, status_words
from reports.nodes import Block, Callout, Cell, Column, FigureBlock, FigureRow, Paragraph, Section, Table
from reports.sections.facts import (
    VALUE_COLUMNS,
    Facts,
    capped,
    group_order,
    muted,
    pick,
    records,
    value_cells,
)
from reports.sections.gaps import gaps_section

__all__ = ["performance"]

_MOST_DRAWN = 30
_CLASS_METRICS = ("true_positive_rate", "false_positive_rate", "precision", "f1", "selection_rate")
_HOW_TO_READ = (
    "Point: observed value, hollow where it has no interval. Bar: its 95 % interval, each for itself. Square and "
    "dashed line: everybody. Diamond: the least favourable observed value, which some group always has; the gaps and "
    "findings say whether it is more than chance. Groups are listed from the least favourable value on."
)


def performance(facts: Facts) -> Section:
    """Everything that is measured on predictions."""
    if facts.groups.empty:
        text = "The run holds no table of group metrics; performance was not measured."
        return Section("performance", "Performance by group", (Callout("Not measured", text),))
    blocks: list[Block] = [Paragraph(_HOW_TO_READ, "note")]
    if facts.positive is None:
        text = "No positive class was declared, so true and false positive rates are in the table by class only."
        blocks.append(Callout("No positive class", text))
    blocks += [_overall(facts), _by_class(facts)]
    for position, name in enumerate(facts.names):
        blocks.append(_attribute(facts, name, f"performance-{position}", f"By {clean(name)}"))
    for position, name in enumerate(facts.crossings):
        title = f"Intersection: {_crossed(facts, name)}"
        blocks.append(_attribute(facts, name, f"crossing-{position}", title, folded=True))
    blocks.append(gaps_section(facts))
    return Section("performance", "Performance by group", tuple(blocks))


def _overall(facts: Facts) -> Table:
    whole = facts.groups[facts.groups["attribute"] == "overall"]
    whole = whole[whole["class"].isna() | (whole["class"] == facts.positive)]
    whole = _by_metric(whole)
    rows = [
        (Cell(metric_words(row["metric"], row["class"])), Cell(clean(row["model"])), *value_cells(row))
        for row in records(whole)
    ]
    columns = (Column("Metric"), Column("Model"), *VALUE_COLUMNS)
    return capped("Over everybody", columns, rows, source="groups", claims=claims_of("groups", whole))


def _by_metric(frame: pd.DataFrame) -> pd.DataFrame:
    """In the order of the metrics' registry, models beside each other."""
    place = {name: position for position, name in enumerate(METRICS)}
    order = frame["metric"].map(lambda name: place.get(name, len(place)))
    return frame.loc[order.sort_values(kind="stable").index]


def _by_class(facts: Facts) -> Table:
    whole = facts.groups[(facts.groups["attribute"] == "overall") & facts.groups["class"].notna()]
    metrics = [name for name in _CLASS_METRICS if (whole["metric"] == name).any()]
    rows: list[tuple[Cell, ...]] = []
    for class_name in [name for name in facts.classes if (whole["class"] == name).any()]:
        for model in facts.run.models:
            found = {row["metric"]: row for row in records(pick(whole, class_=class_name, model=model))}
            cells = [_in_one(found.get(metric)) for metric in metrics]
            rows.append((Cell(clean(class_name)), Cell(clean(model)), *cells))
    columns = [Column("Class"), Column("Model"), *(Column(_headed(metric), numeric=True) for metric in metrics)]
    note = "Each class against all others. n is the rate's own denominator."
    return capped("By class, over everybody", columns, rows, source="groups", note=note)


def _headed(metric: str) -> str:
    words = metric_words(metric)
    return words[0].upper() + words[1:]


def _in_one(row: Mapping[str, Any] | None) -> Cell:
    if row is None:
        return muted("not measured")
    text = re.sub(r"(\[[^]]*,) ", "\\1\u00a0", rate_with_interval(row))  # an interval stays on one line
    return Cell(text, "plain" if known(row["value"]) else "muted", claim=claim_of("groups", row))


def _attribute(facts: Facts, name: str, identifier: str, title: str, *, folded: bool = False) -> Section:
    blocks: list[Block] = []
    shown = _crossed(facts, name)
    for metric, class_name in facts.headline:
        part = pick(facts.groups, attribute=name, metric=metric, class_=class_name)
        if part.empty:
            continue
        order = group_order(part, metric)
        words = metric_words(metric, class_name)
        figures = [_forest(facts, part, model, metric, class_name) for model in facts.run.models]
        blocks.append(FigureRow(tuple(FigureBlock(figure, f"{figure.title}") for figure in figures if figure.rows)))
        if len(order) > _MOST_DRAWN:
            text = f"The {_MOST_DRAWN} groups with the least favourable values are drawn; the table has {len(order)}."
            blocks.append(Paragraph(text, "note"))
        blocks.append(_table(part, order, f"{_headed(words)}, by {shown}", clean(name), folded=folded))
    blocks += _standardised(facts, name)
    blocks.append(_further(facts, name))
    return Section(identifier, title, tuple(blocks))


def _crossed(facts: Facts, name: str) -> str:
    """An attribute's name; that of an intersection with a sign between its parts."""
    return clean(name).replace(" x ", " × ") if name in facts.crossings else clean(name)


def _forest(facts: Facts, part: pd.DataFrame, model: str, metric: str, class_name: str | None) -> ForestFigure:
    own = part[part["model"] == model]
    rows = {str(row["group"]): row for row in records(own)}
    shown = group_order(own, metric)
    valued = [group for group in shown if known(rows[group]["value"])]
    directed = metric in METRICS and METRICS[metric].direction is not None
    worst = valued[0] if len(valued) > 1 and directed else None
    whole = records(pick(facts.groups, model=model, attribute="overall", metric=metric, class_=class_name))
    lines = [_line(row, "Everybody", "whole") for row in whole[:1]]
    lines += [_line(rows[group], group, "worst" if group == worst else "none") for group in shown[:_MOST_DRAWN]]
    reference = float(whole[0]["value"]) if whole and known(whole[0]["value"]) else None
    words = metric_words(metric, class_name)
    return ForestFigure(
        title=f"{clean(model)}: {words}",
        axis=words,
        rows=tuple(lines) if shown else (),
        reference=reference,
        reference_label="everybody",
    )


def _line(row: Mapping[str, Any], label: str, emphasis: Any) -> ForestRow:
    return ForestRow(
        label=clean(label),
        n=int(row["n"]) if known(row["n"]) else None,
        clusters=int(row["clusters"]) if known(row["clusters"]) else None,
        value=float(row["value"]) if known(row["value"]) else None,
        low=float(row["low"]) if known(row["low"]) else None,
        high=float(row["high"]) if known(row["high"]) else None,
        status=status_words(row["status"]),
        emphasis=emphasis,
        claim=claim_of("groups", row),
    )


def _table(part: pd.DataFrame, order: list[str], caption: str, attribute: str, *, folded: bool) -> Table:
    rows: list[tuple[Cell, ...]] = []
    claims: list[str] = []
    by_group = {str(group): frame for group, frame in part.groupby("group", sort=False)}
    for group in order:
        found = records(by_group[group])
        rows += [(Cell(clean(group)), Cell(clean(row["model"])), *value_cells(row)) for row in found]
        claims += claims_of("groups", by_group[group])
    columns = (Column(attribute), Column("Model"), *VALUE_COLUMNS)
    return capped(caption, columns, rows, source="groups", folded=folded, claims=claims)


def _standardised(facts: Facts, name: str) -> list[Table]:
    """Accuracy beside what it would be under the class mix of the whole set; nothing where it was not measured."""
    part = pick(facts.groups, attribute=name, metric="standardised_accuracy", class_=None)
    if part.empty:
        return []
    plain = pick(facts.groups, attribute=name, metric="accuracy", class_=None)
    found = {(row["group"], row["model"]): row for row in records(part)}
    observed = {(row["group"], row["model"]): row for row in records(plain)}
    rows: list[tuple[Cell, ...]] = []
    for group in group_order(part, "accuracy"):
        for model in facts.run.models:
            key = (group, model)
            rows.append((Cell(clean(group)), Cell(clean(model)), _in_one(observed.get(key)), _in_one(found.get(key))))
    heads = ("Accuracy", "Under the class mix of all images")
    columns = [Column(clean(name)), Column("Model"), *(Column(head, numeric=True) for head in heads)]
    note = "Where the second column brings groups together, their accuracies differ by class mix, not by service."
    caption = f"With classes mixed alike: accuracy, by {_crossed(facts, name)}"
    return [capped(caption, columns, rows, source="groups", note=note, folded=True)]


def _further(facts: Facts, name: str) -> Table:
    """Every other metric, folded away."""
    part = pick(facts.groups, attribute=name)
    part = part[part["class"].isna() | (part["class"] == facts.positive)]
    keys = [
        (metric, class_name)
        for metric, class_name in _keys(_by_metric(part))
        if (metric, class_name) not in facts.headline
    ]
    rows: list[tuple[Cell, ...]] = []
    for group in part["group"].drop_duplicates():
        for model in facts.run.models:
            found = records(pick(part, group=group, model=model))
            cells = {(row["metric"], row["class"] if known(row["class"]) else None): row for row in found}
            rows.append((Cell(clean(group)), Cell(clean(model)), *(_in_one(cells.get(key)) for key in keys)))
    heads = [Column(_headed(metric_words(metric, class_name)), numeric=True) for metric, class_name in keys]
    columns = [Column(clean(name)), Column("Model"), *heads]
    return capped(f"Further metrics, by {_crossed(facts, name)}", columns, rows, source="groups", folded=True)


def _keys(frame: pd.DataFrame) -> list[tuple[str, str | None]]:
    pairs = records(frame[["metric", "class"]].drop_duplicates())
    return [(str(row["metric"]), str(row["class"]) if known(row["class"]) else None) for row in pairs]
