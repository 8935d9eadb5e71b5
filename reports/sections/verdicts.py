"""First section: the verdicts, each finding as a sentence, and what they rest on."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pandas as pd

from audit.run.claims import claim_of
from reports.format import NOTHING, clean, count, interval, known, p_value, rate
from reports.language import phrase, say
from reports.nodes import (
    Block,
    Callout,
    Cell,
    Column,
    Finding,
    Findings,
    Paragraph,
    Section,
    VerdictCount,
    VerdictCounts,
)
from reports.palette import VERDICT_ORDER, verdict_style, verdict_word
from reports.sections.facts import Facts, records
from reports.sections.rules import basis_of
from reports.sections.sentences import finding_words, flipped_words, original_words
from reports.sections.tables import capped, muted

__all__ = ["verdicts"]

_LAPSED = " expired on "
_MOST = 60
"""Findings that are written out; the others stand in a table."""

_TIERS = {"required": 0, "supporting": 1, "informational": 2}
_TIER_WORDS = {
    "required": phrase("required"),
    "supporting": phrase("supporting"),
    "informational": phrase("informational"),
}


def verdicts(facts: Facts) -> Section:
    """Verdict counts, findings with the failing ones first, and the rules behind them."""
    findings = facts.run.table("findings")
    if findings.empty:
        text = say(
            "No rule was evaluated, so this report gives no verdict. The measurements below stand for themselves."
        )
        return Section("verdicts", say("Verdicts"), (Callout(say("No findings"), text),))
    counts = findings["verdict"].value_counts()
    shown = [*VERDICT_ORDER, *(name for name in counts.index if name not in VERDICT_ORDER)]
    totals = VerdictCounts(tuple(VerdictCount(str(name), int(counts.get(name, 0))) for name in shown))
    mixed = len(findings["preregistered"].unique()) > 1
    remarks = _remarks(facts)
    ordered = records(_ordered(findings))
    blocks: list[Block] = [
        Paragraph(_lead(counts, len(findings), facts.run.models), "lead"),
        totals,
        _basis(facts),
        *_waived(findings),
        Findings(tuple(_finding(facts, row, remarks, mixed=mixed) for row in ordered[:_MOST])),
        *_further(ordered[_MOST:]),
    ]
    return Section("verdicts", say("Verdicts"), tuple(blocks))


def _further(rows: list[dict[str, Any]]) -> list[Block]:
    """Findings beyond those that are written out, a row each."""
    if not rows:
        return []
    heads = (say("Rule"), say("Model"), say("Verdict"), say("Value"), say("95 % interval"), say("Limit"))
    columns = [Column(head, numeric=place > 2) for place, head in enumerate(heads)]
    cells = [_in_a_row(row) for row in rows]
    caption = say("{number} further findings, in the same order", number=count(len(rows)))
    claims = [claim_of("findings", row) for row in rows]
    return [capped(caption, columns, cells, source="findings", folded=True, claims=claims)]


def _in_a_row(row: Mapping[str, Any]) -> tuple[Cell, ...]:
    verdict = str(row["verdict"])
    return (
        Cell(clean(row["rule"])),
        Cell(clean(row["model"])),
        Cell(f"{verdict_style(verdict).symbol} {verdict_word(verdict)}"),
        Cell(rate(row["value"])) if known(row["value"]) else muted(NOTHING),
        Cell(interval(row["low"], row["high"])),
        Cell(rate(row["threshold"])),
    )


def _lead(counts: pd.Series[int], total: int, models: list[str]) -> str:
    parts = [
        say("{number} {verdict}", number=counts[name], verdict=verdict_word(name).lower())
        for name in VERDICT_ORDER
        if counts.get(name, 0)
    ]
    over = say("one model") if len(models) == 1 else say("{number} models", number=len(models))
    said = [say("{total} findings on {models}: {verdicts}.", total=total, models=over, verdicts=say(", ").join(parts))]
    if counts.get("inconclusive", 0):
        said.append(say("Inconclusive means that the data settle the question neither way; it is not a pass."))
    return say(" ").join(said)


def _ordered(findings: pd.DataFrame) -> pd.DataFrame:
    place = {name: position for position, name in enumerate(VERDICT_ORDER)}
    keys = pd.DataFrame(
        {
            "verdict": findings["verdict"].map(lambda name: place.get(name, 1)),
            "tier": findings["tier"].map(lambda name: _TIERS.get(name, 3)),
        }
    )
    return findings.loc[keys.sort_values(["verdict", "tier"], kind="stable").index]


def _remarks(facts: Facts) -> dict[str, tuple[str, ...]]:
    """By finding, how many wrong group labels it would take to overturn it, in words."""
    table = facts.run.table("sensitivity")
    said = {}
    for row in records(table[(table["status"] == "ok") & table["text"].notna()]):
        text = clean(row["text"]).removeprefix(f"{clean(row['model'])}, rule {clean(row['rule'])}: ")
        flipped = say("Wrong group labels: {text}", text=flipped_words(row, text))
        said[str(row["finding_id"])] = (flipped, *original_words(text))
    return said


def _waived(findings: pd.DataFrame) -> list[Block]:
    """How many findings somebody set aside, and how many waivers have lapsed."""
    waived = int((findings["verdict"] == "waived").sum())
    lapsed = int(findings["text"].str.contains(_LAPSED, regex=False).sum())
    parts = [
        say(
            "{number} waived: somebody lets the finding stand for a time; who, why and until when is in its text",
            number=count(waived),
        ),
        say("{number} with a waiver that has expired, so that the rule counts again", number=count(lapsed)),
    ]
    shown = [part for part, number in zip(parts, (waived, lapsed), strict=True) if number]
    return [Callout(say("Waivers"), say("{parts}.", parts=say("; ").join(shown)))] if shown else []


def _finding(facts: Facts, row: Mapping[str, Any], remarks: Mapping[str, tuple[str, ...]], *, mixed: bool) -> Finding:
    name, text = str(row["finding_id"]), clean(row["text"])
    said = remarks.get(name, ())
    claims = _claims(row, remarked=bool(said))
    words, details = finding_words(facts, row, text), tuple(_details(row, mixed=mixed))
    return Finding(clean(name), str(row["verdict"]), words, details, (*original_words(text), *said), claims)


def _details(row: Mapping[str, Any], *, mixed: bool) -> Iterator[str]:
    yield say("rule {name}", name=clean(row["rule"]))
    if known(row.get("tier")):
        yield say(_TIER_WORDS[row["tier"]]) if row["tier"] in _TIER_WORDS else clean(row["tier"])
    if known(row.get("threshold")):
        yield say("limit {value}", value=rate(row["threshold"]))
    if known(row.get("p_adjusted")):
        yield say("adjusted p {value}", value=_p(row["p_adjusted"]))
    elif known(row.get("p")):
        yield f"p {_p(row['p'])}"
    if known(row.get("n_to_settle")) and math.isfinite(float(row["n_to_settle"])):
        yield say("n to settle {number}", number=count(row["n_to_settle"]))
    if mixed and known(row.get("preregistered")):
        yield say("preregistered") if row["preregistered"] else say("not preregistered")


def _claims(row: Mapping[str, Any], *, remarked: bool) -> tuple[str, ...]:
    """What a finding rests on: its own row, the rows that it was judged by, and that of its remark."""
    held = row.get("claims")
    cited = [str(claim) for claim in held] if isinstance(held, Iterable) else []
    own = [claim_of("findings", row), *cited, *([claim_of("sensitivity", row)] if remarked else [])]
    return tuple(dict.fromkeys(own))


def _p(value: Any) -> str:
    text = p_value(value)
    return text if text.startswith("<") else f"= {text}"


def _basis(facts: Facts) -> Callout:
    """Which rules were applied, and when they were fixed."""
    basis = basis_of(facts)
    if basis.digest is None:
        text = say(
            "No policy was given. The verdicts come from faircam's built-in default rules, whose limits nobody chose "
            "for this model and its use. Read them as a first look, and write a policy before relying on a verdict."
        )
        return Callout(say("What the verdicts rest on: built-in default rules"), text)
    named = say("Policy ‘{name}’", name=basis.name) if basis.name else say("A policy")
    policy = say("{policy} (SHA-256 {digest})", policy=named, digest=basis.digest)
    if basis.preregistered:
        text = say("{policy} was named in the configuration before the first result existed.", policy=policy)
        return Callout(say("What the verdicts rest on: a preregistered policy"), text)
    text = say("{policy} was applied, to some findings at least, after results existed: post hoc.", policy=policy)
    return Callout(say("What the verdicts rest on: a policy applied post hoc"), text)
