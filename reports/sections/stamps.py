"""Whether the maps are evidence: the stamp of every method on every model, the checks behind it, and refusals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from audit.findings.stamps import CHECKS, OVERALL
from audit.run.claims import claim_of, claims_of
from reports.format import NOTHING, clean, count, decimal, decimals, known, plain
from reports.nodes import Block, Bullets, Callout, Cell, Column, Paragraph, Section, StampLegend, Table
from reports.sections.facts import Facts, capped, muted, pick, records

__all__ = ["refusals", "stamps"]

_TEXT = (
    "A stamp says whether the maps of a method follow what a model computes on these images. It rests on checks that "
    "were measured here: whether the maps change when the model's weights are shuffled, whether the pixels that they "
    "name move the probability more than those of a random map, and, where they apply, whether two seeds of the "
    "method give the same map, whether the map adds up to the difference of the scores, and whether an independent "
    "implementation gives the same map. A check is passed or failed only where its 95 % interval lies wholly on one "
    "side of its threshold. A stamp does not say that a person reads the map rightly, that the map is the whole "
    "reason of a decision, or that the decision is right. A map without the stamp of evidence illustrates at most."
)
_RESULTS = {"passed": "✓ passed", "failed": "✕ failed", "inconclusive": "? open", "not_measured": "– not measured"}


def stamps(facts: Facts) -> Section:
    """The stamps as a table of methods and models, with the checks folded."""
    title = "Are the maps evidence?"
    table = facts.run.table("stamps")
    refused = refusals(facts)
    listed: list[Block] = []
    if refused:
        listed = [Paragraph("Methods of which there are no maps:"), Bullets(tuple(refused))]
    if table.empty:
        text = (
            "Whether the maps follow what the models compute was not measured in this run. No map and no region share "
            "below has a stamp other than “not measured”: they illustrate, and are no evidence of why a model decided "
            "as it did."
        )
        return Section("stamps", title, (Callout("Not measured", text), *listed))
    blocks: list[Block] = [Paragraph(_TEXT), StampLegend(), _matrix(facts)]
    for model in facts.run.models:
        own = pick(table, model=model)
        own = own[own["check"] != OVERALL]
        if len(own):
            caption = f"Checks behind the stamps of {model}"
            checks, claims = [_check(facts, row) for row in records(own)], claims_of("stamps", own)
            blocks.append(capped(caption, _COLUMNS, checks, source="stamps", note=_NOTE, folded=True, claims=claims))
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
    columns = [Column("Method"), *(Column(clean(model)) for model in models)]
    return capped("Stamp of every method on every model", columns, rows, source="stamps")


def _stamp(facts: Facts, model: str, method: str, rows: list[dict[str, Any]]) -> Cell:
    """The stamp, and the deciding checks by their results."""
    found: dict[str, list[str]] = {"failed": [], "inconclusive": [], "passed": []}
    for row in rows:
        check = CHECKS.get(str(row["check"]))
        if check is not None and check.deciding and row["result"] in found:
            found[str(row["result"])].append(plain(str(row["check"])))
    words = {"failed": "failed", "inconclusive": "open", "passed": "passed"}
    said = [f"{words[result]}: {', '.join(checks)}" for result, checks in found.items() if checks]
    whole = next((row for row in rows if row["check"] == OVERALL), None)
    claim = claim_of("stamps", whole) if whole is not None else ""
    return Cell("", note="; ".join(said), stamp=facts.stamp(model, method), claim=claim)


_COLUMNS = (
    Column("Method"),
    Column("Check"),
    Column("Result"),
    Column("Value", numeric=True),
    Column("95 % interval", numeric=True),
    Column("Wanted", numeric=True),
    Column("n", numeric=True),
    Column("What it measures"),
)
_NOTE = (
    "Values are means over images; the largest disagreement with an independent implementation is over all images, and "
    "its interval is the value itself. Checks marked “shown only” decide nothing."
)


def _check(facts: Facts, row: Mapping[str, Any]) -> tuple[Cell, ...]:
    check = CHECKS.get(str(row["check"]))
    words = clean(check.words) if check is not None else clean(row["text"])
    wanted = NOTHING
    if known(row["threshold"]):
        side = "at most " if check is not None and check.small_is_good else "above " if check is not None else ""
        wanted = f"{side}{float(row['threshold']):g}"
    result = _RESULTS.get(str(row["result"]), clean(row["result"]))
    shown = "" if check is None or check.deciding else "shown only"
    measured = known(row["value"])
    return (
        Cell(facts.method(row["method"]).title),
        Cell(plain(str(row["check"])), note=shown),
        Cell(result) if row["result"] != "not_measured" else muted(result),
        Cell(decimal(row["value"])) if measured else muted(NOTHING),
        Cell(decimals(row["low"], row["high"])) if measured else muted(NOTHING),
        Cell(wanted),
        Cell(count(row["n"])),
        Cell(words),
    )


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
        reason = clean(reasons[0]).rstrip(".") if reasons else "no reason is recorded"
        said.append(f"{facts.method(method).title} on {clean(model)}: {reason}.")
    return said
