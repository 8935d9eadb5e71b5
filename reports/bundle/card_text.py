"""The text of a model card, as Markdown: what was measured, on whom, how sure, and what it does not show."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from reports.bundle.slices import Result, Selection
from reports.format import (
    NOTHING,
    clean,
    count,
    criterion_words,
    decimal,
    decimals,
    interval,
    known,
    metric_words,
    rate,
    status_words,
)
from reports.nodes import Bullets
from reports.palette import VERDICT_ORDER, verdict_style
from reports.sections.closing import limits
from reports.sections.facts import EVERYBODY, Facts, records

__all__ = ["card_text", "escaped"]

_MOST_LINES = 200
_MARKUP = re.compile(r"([\\`*_\[\]|~$]|(?<=www)\.|:(?=[\w/+-])|^[#+=-](?=[\s#+=-]|$)|(?<=^\d)[.)](?=\s))")
"""Signs that mean something inside a line, start a link or a short code, or start a block."""


def card_text(facts: Facts, selection: Selection, name: str) -> str:
    """Body of the card.

    Parameters
    ----------
    facts : Facts
    selection : Selection
        What the index holds.
    name : str
        Of the model, or of the audit where there are several.
    """
    parts = [
        [f"# {escaped(name)}: results of an audit"],
        _incomplete(facts),
        _measured(facts, selection),
        _on_whom(facts),
        _how_sure(facts),
        _results(facts, selection),
        _silent(selection),
        _verdicts(facts),
        ["## What this does not show", *_bullets(escaped(text) for text in _limits(facts))],
        _only_a_person(),
        _provenance(facts),
    ]
    return "\n".join("\n".join(part) + "\n" for part in parts if part)


def escaped(text: Any) -> str:
    """A name or sentence as Markdown that shows it as it is: no markup, no HTML, on one line."""
    plain_text = " ".join(clean(text).replace("\u2028", " ").replace("\u2029", " ").split())
    masked = _MARKUP.sub(r"\\\1", plain_text)
    return masked.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _bullets(items: Iterable[str]) -> list[str]:
    return ["", *(f"- {item}" for item in items)]


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = ["", f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}"]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows)]


def _incomplete(facts: Facts) -> list[str]:
    if facts.run.complete:
        return []
    return ["> **INCOMPLETE.** The run ended before every planned image was accounted for."]


def _measured(facts: Facts, selection: Selection) -> list[str]:
    models = facts.run.record.get("models") or []
    lines = ["## What was measured", ""]
    lines.append(f"The audit '{escaped(facts.run.name)}' ran image classification on the images described below.")
    items = []
    for model in models:
        digest = f", SHA-256 {escaped(model['sha256'])}" if known(model.get("sha256")) else ", no digest recorded"
        framework = f" ({escaped(model['framework'])})" if known(model.get("framework")) else ""
        items.append(f"Model {escaped(model['name'])}{framework}{digest}")
    classes = ", ".join(escaped(label) for label in facts.classes) or "not recorded"
    items.append(f"Classes: {classes}; positive class: {escaped(facts.positive or 'none declared')}")
    index = f"The index above holds {count(len(selection.shown))} results: {escaped(selection.rule)}."
    if selection.left_out:
        index += f" {count(selection.left_out)} further rows are in `tables/groups.csv`."
    return [*lines, *_bullets(items), "", index]


def _on_whom(facts: Facts) -> list[str]:
    lines = ["## On whom", ""]
    planned, counts = facts.data.get("planned"), facts.data.get("counts") or {}
    used = f"{count(planned)} images planned" if known(planned) else "The number of planned images is not recorded"
    states = "; ".join(f"{count(n)} {escaped(status_words(name))}" for name, n in sorted(counts.items()))
    lines.append(f"{used}{': ' + states if states else ''}.")
    cluster = facts.data.get("cluster")
    unit = f"images of one {escaped(cluster)} count as one unit" if known(cluster) else "every image counts as a unit"
    lines.append(f"Independent units: {unit}.")
    if not facts.names:
        return [*lines, "", "No group attribute was given, so nothing can be said about differences between groups."]
    sources = [
        f"{escaped(item['name'])}: group labels {escaped(item.get('provenance') or 'of a source that is not stated')}"
        for item in facts.attributes
    ]
    return [*lines, *_bullets(sources)]


def _how_sure(facts: Facts) -> list[str]:
    unit = "clusters" if known(facts.data.get("cluster")) else "images"
    text = (
        f"Intervals are two-sided at 95 % and take {unit} as independent. They cover chance in the choice of "
        "images, not wrong labels, wrong group labels or another camera. A value without an interval says why."
    )
    return ["## How sure", "", text]


def _results(facts: Facts, selection: Selection) -> list[str]:
    chosen = [
        result
        for result in selection.shown
        if (result.metric, result.class_name) in facts.headline and result.attribute in {"overall", *facts.names}
    ]
    if not chosen:
        return ["## Results by slice", "", "No value can be given."]
    rows = [_line(result) for result in chosen[:_MOST_LINES]]
    lines = ["## Results by slice", *_table(("Model", "Slice", "Metric", "n", "Value", "95 % interval"), rows)]
    if len(chosen) > _MOST_LINES:
        lines += ["", f"{count(len(chosen) - _MOST_LINES)} further rows are in the index above."]
    return lines


def _line(result: Result) -> tuple[str, ...]:
    bounded = result.low is not None and result.high is not None
    bounds = interval(result.low, result.high) if bounded else f"none: {status_words(result.status)}"
    return (
        escaped(result.model),
        _slice_words(result),
        escaped(metric_words(result.metric, result.class_name)),
        escaped(count(result.n)),
        escaped(rate(result.value)),
        escaped(bounds),
    )


def _slice_words(result: Result) -> str:
    if result.group == EVERYBODY and result.attribute == "overall":
        return "all images"
    return f"{escaped(result.attribute)}: {escaped(result.group)}"


def _silent(selection: Selection) -> list[str]:
    """Every result that has no value, with the reason; metrics of one slice and reason on one line."""
    if not selection.silent:
        return []
    found: dict[tuple[str, str, str], list[str]] = {}
    for result in selection.silent:
        key = (escaped(result.model), _slice_words(result), escaped(status_words(result.status)))
        found.setdefault(key, []).append(escaped(metric_words(result.metric, result.class_name)))
    lines = [f"{model}, {part}: {reason} ({', '.join(names)})" for (model, part, reason), names in found.items()]
    more = len(lines) - _MOST_LINES
    shown = _bullets(lines[:_MOST_LINES])
    return [
        "## Values that are not given",
        *shown,
        *(["", f"{count(more)} further lines are in `tables/groups.csv`."] if more > 0 else []),
    ]


def _verdicts(facts: Facts) -> list[str]:
    findings = facts.run.table("findings")
    if findings.empty:
        return ["## Verdicts", "", "No rule was evaluated, so there is no verdict."]
    place = {name: position for position, name in enumerate(VERDICT_ORDER)}
    rows = sorted(records(findings), key=lambda row: place.get(str(row["verdict"]), len(place)))
    before = bool(findings["preregistered"].fillna(False).astype(bool).all())
    digests = [value for value in findings["policy_sha256"].unique() if known(value)]
    if not digests:
        basis = "They come from built-in default rules, whose limits nobody chose for this model and its use."
    else:
        basis = f"They come from the policy with SHA-256 {digests[0]}, {'fixed before' if before else 'applied after'} "
        basis += "there were results."
    table = _table(
        ("Verdict", "Model", "Rule", "Measured", "Value", "95 % interval", "Limit"),
        [_verdict(row) for row in rows[:_MOST_LINES]],
    )
    more = len(rows) - _MOST_LINES
    further = ["", f"{count(more)} further findings are in `verdicts.json`."] if more > 0 else []
    return ["## Verdicts", "", escaped(basis), *table, *further]


def _verdict(row: dict[str, Any]) -> tuple[str, ...]:
    measured = f"{criterion_words(str(row['metric']), row.get('class'))}; {_subject(row)}"
    cells = (
        verdict_style(str(row["verdict"])).word,
        row["model"],
        row["rule"],
        measured,
        decimal(row.get("value")),
        decimals(row.get("low"), row.get("high")),
        decimal(row.get("threshold")),
    )
    return tuple(escaped(cell) if known(cell) else NOTHING for cell in cells)


def _subject(row: dict[str, Any]) -> str:
    """What a finding is about: attribute, group, and what the group was held against."""
    words = clean(row["attribute"]) if known(row.get("attribute")) else "all images"
    if known(row.get("group")):
        words += f": {clean(row['group'])}"
        words += f" against {clean(row['reference'])}" if known(row.get("reference")) else ""
    return words


def _limits(facts: Facts) -> list[str]:
    section = limits(facts)
    return [item for block in section.blocks if isinstance(block, Bullets) for item in block.items]


def _only_a_person() -> list[str]:
    text = (
        "Intended use, oversight, licence and residual risk are not measured. What somebody stated about them, and "
        "what is still missing, is in `statements.yaml` beside this card."
    )
    return ["## What only a person can say", "", text]


def _provenance(facts: Facts) -> list[str]:
    record = facts.run.record
    items = {
        "Run": record.get("run_id"),
        "Made": record.get("created"),
        "Plan fingerprint": record.get("fingerprint"),
        "faircam": record.get("faircam"),
        "Seed": facts.config.get("seed"),
    }
    said = [f"{key}: {escaped(value) if known(value) else 'not recorded'}" for key, value in items.items()]
    disclosure = record.get("disclosure")
    if isinstance(disclosure, dict) and known(disclosure.get("level")):
        said.append(f"Disclosure level: {escaped(disclosure['level'])}; what it withholds is not in this card")
    return ["## Where this comes from", *_bullets(said)]
