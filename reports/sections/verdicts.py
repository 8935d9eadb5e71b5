"""First section: the verdicts, each finding as a sentence, and what they rest on."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from audit.run.claims import claim_of
from reports.format import clean, count, known, p_value, rate
from reports.nodes import Block, Callout, Finding, Findings, Paragraph, Section, VerdictCount, VerdictCounts
from reports.palette import VERDICT_ORDER, verdict_style
from reports.sections.facts import Facts, records

__all__ = ["verdicts"]

_LAPSED = " expired on "
_TIERS = {"required": 0, "supporting": 1, "informational": 2}


def verdicts(facts: Facts) -> Section:
    """Verdict counts, findings with the failing ones first, and the rules behind them."""
    findings = facts.run.table("findings")
    if findings.empty:
        text = "No rule was evaluated, so this report gives no verdict. The measurements below stand for themselves."
        return Section("verdicts", "Verdicts", (Callout("No findings", text),))
    counts = findings["verdict"].value_counts()
    shown = [*VERDICT_ORDER, *(name for name in counts.index if name not in VERDICT_ORDER)]
    totals = VerdictCounts(tuple(VerdictCount(str(name), int(counts.get(name, 0))) for name in shown))
    mixed = len(findings["preregistered"].unique()) > 1
    remarks = _remarks(facts)
    blocks: list[Block] = [
        Paragraph(_lead(counts, len(findings), facts.run.models), "lead"),
        totals,
        _basis(facts, findings),
        *_waived(findings),
        Findings(tuple(_finding(row, remarks, mixed=mixed) for row in records(_ordered(findings)))),
    ]
    return Section("verdicts", "Verdicts", tuple(blocks))


def _lead(counts: pd.Series[int], total: int, models: list[str]) -> str:
    parts = [f"{counts[name]} {verdict_style(name).word.lower()}" for name in VERDICT_ORDER if counts.get(name, 0)]
    over = "one model" if len(models) == 1 else f"{len(models)} models"
    text = f"{total} findings on {over}: {', '.join(parts)}."
    if counts.get("inconclusive", 0):
        text += " Inconclusive means that the data settle the question neither way; it is not a pass."
    return text


def _ordered(findings: pd.DataFrame) -> pd.DataFrame:
    place = {name: position for position, name in enumerate(VERDICT_ORDER)}
    keys = pd.DataFrame(
        {
            "verdict": findings["verdict"].map(lambda name: place.get(name, 1)),
            "tier": findings["tier"].map(lambda name: _TIERS.get(name, 3)),
        }
    )
    return findings.loc[keys.sort_values(["verdict", "tier"], kind="stable").index]


def _remarks(facts: Facts) -> dict[str, str]:
    """By finding, how many wrong group labels it would take to overturn it, in words."""
    table = facts.run.table("sensitivity")
    said = {}
    for row in records(table[(table["status"] == "ok") & table["text"].notna()]):
        text = clean(row["text"]).removeprefix(f"{clean(row['model'])}, rule {clean(row['rule'])}: ")
        said[str(row["finding_id"])] = f"Wrong group labels: {text}"
    return said


def _waived(findings: pd.DataFrame) -> list[Block]:
    """How many findings somebody set aside, and how many waivers have lapsed."""
    waived = int((findings["verdict"] == "waived").sum())
    lapsed = int(findings["text"].str.contains(_LAPSED, regex=False).sum())
    parts = [
        f"{count(waived)} waived: somebody lets the finding stand for a time; who, why and until when is in its text",
        f"{count(lapsed)} with a waiver that has expired, so that the rule counts again",
    ]
    shown = [part for part, number in zip(parts, (waived, lapsed), strict=True) if number]
    return [Callout("Waivers", f"{'; '.join(shown)}.")] if shown else []


def _finding(row: Mapping[str, Any], remarks: Mapping[str, str], *, mixed: bool) -> Finding:
    details = [f"rule {clean(row['rule'])}"]
    if known(row.get("tier")):
        details.append(clean(row["tier"]))
    if known(row.get("threshold")):
        details.append(f"limit {rate(row['threshold'])}")
    if known(row.get("p_adjusted")):
        details.append(f"adjusted p {_p(row['p_adjusted'])}")
    elif known(row.get("p")):
        details.append(f"p {_p(row['p'])}")
    if known(row.get("n_to_settle")) and math.isfinite(float(row["n_to_settle"])):
        details.append(f"n to settle {count(row['n_to_settle'])}")
    if mixed and known(row.get("preregistered")):
        details.append("preregistered" if row["preregistered"] else "not preregistered")
    name = str(row["finding_id"])
    said = (remarks[name],) if name in remarks else ()
    claims = _claims(row, remarked=bool(said))
    return Finding(clean(name), str(row["verdict"]), clean(row["text"]), tuple(details), said, claims)


def _claims(row: Mapping[str, Any], *, remarked: bool) -> tuple[str, ...]:
    """What a finding rests on: its own row, the rows that it was judged by, and that of its remark."""
    held = row.get("claims")
    cited = [str(claim) for claim in held] if isinstance(held, Iterable) else []
    own = [claim_of("findings", row), *cited, *([claim_of("sensitivity", row)] if remarked else [])]
    return tuple(dict.fromkeys(own))


def _p(value: Any) -> str:
    text = p_value(value)
    return text if text.startswith("<") else f"= {text}"


def _basis(facts: Facts, findings: pd.DataFrame) -> Callout:
    """Which rules were applied, and when they were fixed."""
    policy = facts.run.record.get("policy") or {}
    policy = policy if isinstance(policy, Mapping) else {"name": policy}
    digests = [value for value in findings["policy_sha256"].unique() if known(value)]
    digest = policy.get("sha256") or (digests[0] if digests else None)
    before = bool(findings["preregistered"].fillna(False).astype(bool).all())
    if digest is None:
        text = (
            "No policy was given. The verdicts come from faircam's built-in default rules, whose limits nobody chose "
            "for this model and its use. Read them as a first look, and write a policy before relying on a verdict."
        )
        return Callout("What the verdicts rest on: built-in default rules", text)
    name = f"‘{clean(policy['name'])}’ " if known(policy.get("name")) else ""
    if before:
        text = f"Policy {name}(SHA-256 {digest}) was named in the configuration before the first result existed."
        return Callout("What the verdicts rest on: a preregistered policy", text)
    text = f"Policy {name}(SHA-256 {digest}) was applied, to some findings at least, after results existed: post hoc."
    return Callout("What the verdicts rest on: a policy applied post hoc", text)
