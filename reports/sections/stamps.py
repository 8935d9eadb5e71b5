"""Whether the maps are evidence: the stamp of every method on every model, the checks behind it, and refusals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from audit.findings.stamps import CHECKS, OVERALL
from audit.run.claims import claim_of, claims_of
from reports.format import NOTHING, clean, count, decimal, decimals, known, plain, status_words
from reports.language import phrase, say
from reports.nodes import Block, Bullets, Callout, Cell, Column, Paragraph, Section, StampLegend, Table
from reports.sections.facts import Facts, pick, records
from reports.sections.tables import capped, muted

__all__ = ["refusals", "stamps"]

_TEXT = phrase(
    "A stamp says whether the maps of a method follow what a model computes on these images. It rests on checks that "
    "were measured here: whether the maps change when the model's weights are shuffled, whether the pixels that they "
    "name move the probability more than those of a random map, and, where they apply, whether two seeds of the "
    "method give the same map, whether the map adds up to the difference of the scores, and whether an independent "
    "implementation gives the same map. A check is passed or failed only where its 95 % interval lies wholly on one "
    "side of its threshold. A stamp does not say that a reader interprets the map rightly, that the map is the "
    "whole reason for a decision, or that the decision is right. A map without the stamp “Evidence” is at most an "
    "illustration."
)
_RESULTS = {"passed": phrase("passed"), "failed": phrase("failed"), "inconclusive": phrase("open")}
_SYMBOLS = {"passed": "✓", "failed": "✕", "inconclusive": "?", "not_measured": "–"}


def stamps(facts: Facts) -> Section:
    """The stamps as a table of methods and models, with the checks folded."""
    title = say("Are the maps evidence?")
    table = facts.run.table("stamps")
    refused = refusals(facts)
    listed: list[Block] = []
    if refused:
        listed = [Paragraph(say("Methods of which there are no maps:")), Bullets(tuple(refused))]
    if table.empty:
        text = say(
            "Whether the maps follow what the models compute was not measured in this run. No map and no region share "
            "below has a stamp other than “not measured”: they illustrate, and are no evidence of why a model decided "
            "as it did."
        )
        return Section("stamps", title, (Callout(say("Not measured"), text), *listed))
    blocks: list[Block] = [Paragraph(say(_TEXT)), StampLegend(), _matrix(facts)]
    for model in facts.run.models:
        own = pick(table, model=model)
        own = own[own["check"] != OVERALL]
        if len(own):
            blocks.append(_checks(facts, own, say("Checks behind the stamps of {model}", model=model)))
    return Section("stamps", title, (*blocks, *listed))


def _matrix(facts: Facts) -> Table:
    """Methods down, models across; below each stamp, the checks that decided it."""
    table = facts.run.table("stamps")
    names = [str(name) for name in table["method"].drop_duplicates()]
    models = [name for name in facts.run.models if (table["model"] == name).any()]
    rows = []
    for name in names:
        cells = [_stamp(facts, model, name, records(pick(table, model=model, method=name))) for model in models]
        rows.append((Cell(facts.method(name).title), *cells))
    columns = [Column(say("Method")), *(Column(clean(model)) for model in models)]
    return capped(say("Stamp of every method on every model"), columns, rows, source="stamps")


def _stamp(facts: Facts, model: str, method: str, rows: list[dict[str, Any]]) -> Cell:
    """The stamp, and the deciding checks by their results."""
    found: dict[str, list[str]] = {"failed": [], "inconclusive": [], "passed": []}
    for row in rows:
        check = CHECKS.get(str(row["check"]))
        if check is not None and check.deciding and row["result"] in found:
            found[str(row["result"])].append(_name(row))
    said = []
    for result, checks in found.items():
        if checks:
            said.append(say("{result}: {checks}", result=say(_RESULTS[result]), checks=say(", ").join(checks)))
    whole = next((row for row in rows if row["check"] == OVERALL), None)
    claim = claim_of("stamps", whole) if whole is not None else ""
    return Cell("", note=say("; ").join(said), stamp=facts.stamp(model, method), claim=claim)


_NAMES = {
    "depends_on_model": phrase("depends on model"),
    "beats_random": phrase("beats random"),
    "beats_centre": phrase("beats centre"),
    "beats_edges": phrase("beats edges"),
    "same_again": phrase("same again"),
    "adds_up": phrase("adds up"),
    "second_opinion": phrase("second opinion"),
}
_NOTE = phrase(
    "Values are means over images; the largest disagreement with an independent implementation is over all images, and "
    "its interval is the value itself. Checks marked “shown only” decide nothing."
)


def _name(row: Mapping[str, Any]) -> str:
    name = str(row["check"])
    return say(_NAMES[name]) if name in _NAMES else plain(name)


def _checks(facts: Facts, own: pd.DataFrame, caption: str) -> Table:
    """Every check of a model with its value and its threshold."""
    heads = (say("Method"), say("Check"), say("Result"))
    numbers = (say("Value"), say("95 % interval"), say("Wanted"), "n")
    columns = [*(Column(head) for head in heads), *(Column(head, numeric=True) for head in numbers)]
    columns.append(Column(say("What it measures")))
    rows, claims = [_check(facts, row) for row in records(own)], claims_of("stamps", own)
    return capped(caption, columns, rows, source="stamps", note=say(_NOTE), folded=True, claims=claims)


def _check(facts: Facts, row: Mapping[str, Any]) -> tuple[Cell, ...]:
    check = CHECKS.get(str(row["check"]))
    words = say(check.words) if check is not None else clean(row["text"])
    shown = "" if check is None or check.deciding else say("shown only")
    measured = known(row["value"])
    return (
        Cell(facts.method(row["method"]).title),
        Cell(_name(row), note=shown),
        _result(str(row["result"])),
        Cell(decimal(row["value"])) if measured else muted(NOTHING),
        Cell(decimals(row["low"], row["high"])) if measured else muted(NOTHING),
        Cell(_wanted(row)),
        Cell(count(row["n"])),
        Cell(words),
    )


def _result(result: str) -> Cell:
    if result not in _SYMBOLS:
        return Cell(clean(result))
    words = status_words(result) if result == "not_measured" else say(_RESULTS[result])
    return Cell(f"{_SYMBOLS[result]} {words}", "muted" if result == "not_measured" else "plain")


def _wanted(row: Mapping[str, Any]) -> str:
    """On which side of its threshold a check is passed."""
    check = CHECKS.get(str(row["check"]))
    if not known(row["threshold"]):
        return NOTHING
    threshold = f"{float(row['threshold']):g}"
    if check is None:
        return threshold
    if check.small_is_good:
        return say("at most {threshold}", threshold=threshold)
    return say("above {threshold}", threshold=threshold)


def refusals(facts: Facts) -> list[str]:
    """Methods that gave no map of any image of a model, with the reason, as sentences."""
    table = facts.run.table("explanations", columns=["model", "method", "status"])
    problems = facts.run.table("problems")
    explained = problems[(problems["stage"] == "explain") & (problems["status"] == "not_measured")]
    said = []
    for (model, method), part in table.groupby(["model", "method"], sort=False):
        found = set(part["status"])
        if "not_measured" not in found or found & {"ok", "not_converged"}:
            continue
        reasons = [
            str(text).removeprefix(f"{method}: ")
            for text in explained[explained["model"] == model]["detail"].dropna()
            if str(text).startswith(f"{method}: ")
        ]
        reason = clean(reasons[0]).rstrip(".") if reasons else say("no reason is recorded")
        title = facts.method(method).title
        said.append(say("{method} on {model}: {reason}.", method=title, model=clean(model), reason=reason))
    return said
