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
from reports.language import phrase, say
from reports.nodes import Block, Callout, Cell, Column, FigureBlock, FigureRow, Paragraph, Section, Table
from reports.sections.facts import Facts, group_order, pick, records
from reports.sections.gaps import gaps_section
from reports.sections.tables import MOST_ROWS, capped, interval_name, muted, value_cells, value_columns

__all__ = ["performance"]

_BESIDE = 2
"""With more models than this, a table has a column a model."""

_CLASS_METRICS = ("true_positive_rate", "false_positive_rate", "precision", "f1", "selection_rate")
_HOW_TO_READ = phrase(
    "Point: observed value, hollow where it has no interval. Bar: its 95 % interval, each for itself. Square and "
    "dashed line: everybody. Diamond: the least favourable observed value, which some group always has; the gaps and "
    "findings say whether it is more than chance. Groups are listed from the least favourable value on."
)


def performance(facts: Facts) -> Section:
    """Everything that is measured on predictions."""
    if facts.groups.empty:
        text = say("The run holds no table of group metrics; performance was not measured.")
        return Section("performance", say("Performance by group"), (Callout(say("Not measured"), text),))
    blocks: list[Block] = [Paragraph(say(_HOW_TO_READ), "note")]
    if facts.positive is None:
        text = say("No positive class was declared, so true and false positive rates are in the table by class only.")
        blocks.append(Callout(say("No positive class"), text))
    blocks += [_overall(facts), _by_class(facts)]
    for position, name in enumerate(facts.names):
        blocks.append(_attribute(facts, name, f"performance-{position}", say("By {attribute}", attribute=clean(name))))
    for position, name in enumerate(facts.crossings):
        title = say("Intersection: {attribute}", attribute=_crossed(facts, name))
        blocks.append(_attribute(facts, name, f"crossing-{position}", title, folded=True))
    blocks.append(gaps_section(facts))
    return Section("performance", say("Performance by group"), tuple(blocks))


def _overall(facts: Facts) -> Table:
    whole = _by_metric(facts.groups_of("overall"))
    rows = [
        (Cell(metric_words(row["metric"], row["class"])), Cell(clean(row["model"])), *value_cells(row))
        for row in records(whole)
    ]
    columns = (Column(say("Metric")), Column(say("Model")), *value_columns())
    return capped(say("Over everybody"), columns, rows, source="groups", claims=claims_of("groups", whole))


def _by_metric(frame: pd.DataFrame) -> pd.DataFrame:
    """In the order of the metrics' registry, models beside each other."""
    place = {name: position for position, name in enumerate(METRICS)}
    order = frame["metric"].map(lambda name: place.get(name, len(place)))
    return frame.loc[order.sort_values(kind="stable").index]


def _by_class(facts: Facts) -> Table:
    whole = facts.groups[(facts.groups["attribute"] == "overall") & facts.groups["class"].notna()]
    metrics = [name for name in _CLASS_METRICS if (whole["metric"] == name).any()]
    names = _classes(facts, whole)
    keys = [(class_name, model) for class_name in names for model in facts.run.models]
    found = _by_key(whole, "class")
    rows: list[tuple[Cell, ...]] = []
    for class_name, model in keys[:MOST_ROWS]:
        own = found.get((class_name, model), {})
        cells = [_in_one(own.get((metric, class_name))) for metric in metrics]
        rows.append((Cell(clean(class_name)), Cell(clean(model)), *cells))
    columns = [Column(say("Class")), Column(say("Model"))]
    columns += [Column(_headed(metric_words(metric)), numeric=True) for metric in metrics]
    notes = [say("Each class against all others. n is the rate's own denominator.")]
    if len(names) > _MANY_CLASSES:
        notes.append(say("Classes of which the smallest share is found come first."))
    caption, note = say("By class, over everybody"), say(" ").join(notes)
    return capped(caption, columns, rows, source="groups", note=note, total=len(keys))


_MANY_CLASSES = 12


def _classes(facts: Facts, whole: pd.DataFrame) -> list[str]:
    """Classes in the order of the run; where they are many, those of which the smallest share is found first."""
    held = set(whole["class"])
    names = [name for name in facts.classes if name in held]
    if len(names) <= _MANY_CLASSES:
        return names
    shares = pick(whole, metric="true_positive_rate").groupby("class")["value"].mean()
    return sorted(names, key=lambda name: (name not in shares.index, float(shares.get(name, 0.0))))


def _by_key(part: pd.DataFrame, key: str) -> dict[tuple[str, str], dict[tuple[str, str | None], dict[str, Any]]]:
    """Rows by a column and model, then by metric and class."""
    found: dict[tuple[str, str], dict[tuple[str, str | None], dict[str, Any]]] = {}
    for row in records(part):
        about = (str(row["metric"]), str(row["class"]) if known(row["class"]) else None)
        found.setdefault((str(row[key]), str(row["model"])), {})[about] = row
    return found


def _headed(words: str) -> str:
    return words[0].upper() + words[1:]


def _in_one(row: Mapping[str, Any] | None) -> Cell:
    if row is None:
        return muted(say("not measured"))
    text = re.sub(r"(\[[^]]*,) ", "\\1\u00a0", rate_with_interval(row))  # an interval stays on one line
    return Cell(text, "plain" if known(row["value"]) else "muted", claim=claim_of("groups", row))


def _attribute(facts: Facts, name: str, identifier: str, title: str, *, folded: bool = False) -> Section:
    blocks: list[Block] = []
    shown = _crossed(facts, name)
    for metric, class_name in facts.headline:
        part = pick(facts.groups_of(name), metric=metric, class_=class_name)
        if part.empty:
            continue
        order = group_order(part, metric)
        words = metric_words(metric, class_name)
        figures = [_forest(facts, part, model, metric, class_name) for model in facts.run.models]
        blocks.append(FigureRow(tuple(FigureBlock(figure, f"{figure.title}") for figure in figures if figure.rows)))
        if len(order) > facts.most_drawn:
            numbers = {"drawn": facts.most_drawn, "total": len(order)}
            text = say("The {drawn} groups with the least favourable values are drawn, of {total}.", **numbers)
            blocks.append(Paragraph(text, "note"))
        caption = say("{metric}, by {attribute}", metric=_headed(words), attribute=shown)
        made = _beside if len(facts.run.models) > _BESIDE else _table
        blocks.append(made(facts, part, order, caption, clean(name), folded=folded))
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
    whole = records(pick(facts.groups_of("overall"), model=model, metric=metric, class_=class_name))
    lines = [_line(row, say("Everybody"), "whole") for row in whole[:1]]
    lines += [_line(rows[group], group, "worst" if group == worst else "none") for group in shown[: facts.most_drawn]]
    reference = float(whole[0]["value"]) if whole and known(whole[0]["value"]) else None
    words = metric_words(metric, class_name)
    return ForestFigure(
        title=say("{model}: {name}", model=clean(model), name=words),
        axis=words,
        rows=tuple(lines) if shown else (),
        reference=reference,
        reference_label=say("everybody"),
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


def _beside(facts: Facts, part: pd.DataFrame, order: list[str], caption: str, attribute: str, *, folded: bool) -> Table:
    """Groups down, models across, so that a group can be read along a line."""
    found = {(str(row["group"]), str(row["model"])): row for row in records(part)}
    models = facts.run.models
    rows = [
        (Cell(clean(group)), *(_in_one(found.get((group, model))) for model in models)) for group in order[:MOST_ROWS]
    ]
    columns = [Column(attribute), *(Column(clean(model), numeric=True) for model in models)]
    methods = dict.fromkeys(interval_name(name) for name in part["method"] if known(name) and name != "none")
    note = say("Intervals by: {methods}.", methods=say("; ").join(methods)) if methods else ""
    return capped(caption, columns, rows, source="groups", note=note, folded=folded, total=len(order))


def _table(_: Facts, part: pd.DataFrame, order: list[str], caption: str, attribute: str, *, folded: bool) -> Table:
    rows: list[tuple[Cell, ...]] = []
    claims: list[str] = []
    by_group = {str(group): frame for group, frame in part.groupby("group", sort=False)}
    for group in order:
        found = records(by_group[group])
        rows += [(Cell(clean(group)), Cell(clean(row["model"])), *value_cells(row)) for row in found]
        claims += claims_of("groups", by_group[group])
    columns = (Column(attribute), Column(say("Model")), *value_columns())
    return capped(caption, columns, rows, source="groups", folded=folded, claims=claims)


def _standardised(facts: Facts, name: str) -> list[Table]:
    """Accuracy beside what it would be under the class mix of the whole set; nothing where it was not measured."""
    part = pick(facts.groups_of(name), metric="standardised_accuracy", class_=None)
    if part.empty:
        return []
    plain = pick(facts.groups_of(name), metric="accuracy", class_=None)
    found = {(row["group"], row["model"]): row for row in records(part)}
    observed = {(row["group"], row["model"]): row for row in records(plain)}
    rows: list[tuple[Cell, ...]] = []
    for group in group_order(part, "accuracy"):
        for model in facts.run.models:
            key = (group, model)
            rows.append((Cell(clean(group)), Cell(clean(model)), _in_one(observed.get(key)), _in_one(found.get(key))))
    heads = (say("Accuracy"), say("Under the class mix of all images"))
    columns = [Column(clean(name)), Column(say("Model")), *(Column(head, numeric=True) for head in heads)]
    note = say("Where the second column brings groups together, their accuracies differ by class mix, not by service.")
    caption = say("With classes mixed alike: accuracy, by {attribute}", attribute=_crossed(facts, name))
    return [capped(caption, columns, rows, source="groups", note=note, folded=True)]


def _further(facts: Facts, name: str) -> Table:
    """Every other metric, folded away."""
    part = facts.groups_of(name)
    keys = [
        (metric, class_name)
        for metric, class_name in _keys(_by_metric(part))
        if (metric, class_name) not in facts.headline
    ]
    places = [(str(group), model) for group in part["group"].drop_duplicates() for model in facts.run.models]
    found = _by_key(part[part["group"].isin([group for group, _ in places[:MOST_ROWS]])], "group")
    rows: list[tuple[Cell, ...]] = []
    for group, model in places[:MOST_ROWS]:
        own = found.get((group, model), {})
        rows.append((Cell(clean(group)), Cell(clean(model)), *(_in_one(own.get(key)) for key in keys)))
    heads = [Column(_headed(metric_words(metric, class_name)), numeric=True) for metric, class_name in keys]
    columns = [Column(clean(name)), Column(say("Model")), *heads]
    caption = say("Further metrics, by {attribute}", attribute=_crossed(facts, name))
    return capped(caption, columns, rows, source="groups", folded=True, total=len(places))


def _keys(frame: pd.DataFrame) -> list[tuple[str, str | None]]:
    pairs = records(frame[["metric", "class"]].drop_duplicates())
    return [(str(row["metric"]), str(row["class"]) if known(row["class"]) else None) for row in pairs]
