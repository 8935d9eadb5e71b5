"""Several audited models side by side for a decision: their figures and verdicts, and which verdicts flipped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from audit.run.claims import claim_of
from reports.format import NOTHING, clean, count, known, metric_words, rate, rate_with_interval, status_words
from reports.language import say
from reports.nodes import Block, Cell, Column, Paragraph, Section, Table
from reports.palette import VERDICT_ORDER, verdict_style, verdict_word
from reports.sections.facts import Facts, pick, records
from reports.sections.paired import Arm, PairedFacts
from reports.sections.tables import capped, muted

__all__ = ["release_section", "verdict_changes"]

_Rows: TypeAlias = Mapping[str, Mapping[str, Any]]

_MOST_NAMED = 8
_COUNTED = ("fail", "error", "inconclusive", "warn", "pass", "waived")


def release_section(arms: Sequence[Arm]) -> Section:
    """One row a model: accuracy, its least favourable group, and how its findings stand."""
    columns = (
        Column(say("Model")),
        Column(say("Accuracy, everybody"), numeric=True),
        Column(say("Least accurate group"), numeric=True),
        Column(say("Largest gap in accuracy"), numeric=True),
        *(Column(verdict_word(name), numeric=True) for name in _COUNTED),
        Column(say("Policy")),
        Column(say("State")),
    )
    rows = [_row(arm) for arm in arms]
    note = say(
        "Each row is one run's own measurement on its own images; differences between rows that stand on the same "
        "images are tested in the sections above. Verdicts of different policies are not comparable."
    )
    table = Table(say("Models side by side"), columns, tuple(rows), note)
    text = say("For a release decision: what each model was measured at, and how the findings of its own policy stand.")
    return Section("release", say("All models in one table"), (Paragraph(text), table))


def _row(arm: Arm) -> tuple[Cell, ...]:
    facts = Facts(arm.run)
    own = pick(facts.groups, model=arm.model, metric="accuracy", class_=None)
    whole = records(own[own["attribute"] == "overall"])
    groups = [row for row in records(own[own["attribute"].isin(facts.names)]) if known(row["value"])]
    worst = min(groups, key=lambda row: float(row["value"]), default=None)
    gaps = pick(arm.run.table("gaps"), model=arm.model, metric="accuracy", class_=None, compare="range")
    gap = max((row for row in records(gaps) if known(row["value"])), key=lambda row: float(row["value"]), default=None)
    findings = arm.run.table("findings")
    counts = Counter(findings.loc[findings["model"] == arm.model, "verdict"])
    return (
        Cell(clean(arm.name)),
        _value(whole[0]) if whole else muted(NOTHING),
        _value(worst, f"{clean(worst['attribute'])} {clean(worst['group'])}") if worst else muted(NOTHING),
        Cell(rate(gap["value"]), note=clean(gap["attribute"]), claim=claim_of("gaps", gap)) if gap else muted(NOTHING),
        *(Cell(str(counts.get(name, 0)), "plain" if counts.get(name, 0) else "muted") for name in _COUNTED),
        Cell(_policy(arm)),
        Cell(say("complete")) if arm.run.complete else Cell(say("INCOMPLETE"), "strong"),
    )


def _value(row: Mapping[str, Any], note: str = "") -> Cell:
    return Cell(rate_with_interval(row), note=note, claim=claim_of("groups", row))


def _policy(arm: Arm) -> str:
    policy = arm.run.record.get("policy") or {}
    if not policy.get("sha256"):
        return say("built-in default rules")
    return f"{clean(policy.get('name'))} ({clean(policy['sha256'])[:12]})"


def verdict_changes(facts: PairedFacts, place: int, *, several: bool) -> Section:
    """Rules that both models were judged by, with both verdicts; those that flipped come first."""
    before, after = (_findings(arm) for arm in (facts.first, facts.second))
    shared = [rule for rule in after if rule in before]
    blocks: list[Block] = []
    if not shared:
        blocks.append(Paragraph(say("No rule was applied to both, so no verdict can have changed.")))
    else:
        flipped = [rule for rule in shared if before[rule]["verdict"] != after[rule]["verdict"]]
        order = sorted(shared, key=lambda rule: (rule not in flipped, _severity(after[rule])))
        blocks.append(Paragraph(_said(flipped, before, after, len(shared)), "lead"))
        rows = [_change(before[rule], after[rule], changed=rule in flipped) for rule in order]
        heads = (say("Rule"), say("Metric"), say("Before"), say("After"))
        numbers = (say("Value before"), say("Value after"), say("Limit"))
        columns = [*map(Column, heads), *(Column(head, numeric=True) for head in numbers)]
        note = say("A verdict can flip because the model changed, or because the images or their number did.")
        blocks.append(capped(say("Verdicts, before and after"), columns, rows, source="findings", note=note))
    only = [rule for rule in [*before, *after] if rule not in shared]
    if only:
        text = say("Applied to one of the two only: {rules}.", rules=say(", ").join(map(clean, only)))
        blocks.append(Paragraph(text, "note"))
    title = say("Verdicts that flipped: {models}", models=facts.title) if several else say("Verdicts that flipped")
    return Section(f"flipped-{place}", title, tuple(blocks))


def _findings(arm: Arm) -> dict[str, dict[str, Any]]:
    table = arm.run.table("findings")
    return {str(row["rule"]): row for row in records(table[table["model"] == arm.model])}


def _severity(row: Mapping[str, Any]) -> int:
    verdict = str(row["verdict"])
    return VERDICT_ORDER.index(verdict) if verdict in VERDICT_ORDER else len(VERDICT_ORDER)


def _said(flipped: Sequence[str], before: _Rows, after: _Rows, shared: int) -> str:
    """How many verdicts changed, and from what to what."""
    if not flipped:
        return say("None of the {shared} verdicts changed.", shared=count(shared))
    ways: dict[str, list[str]] = {}
    for rule in flipped:
        old, new = (verdict_word(str(rows[rule]["verdict"])) for rows in (before, after))
        ways.setdefault(f"{old} → {new}", []).append(clean(rule))
    said = [say("{way}: {rules}", way=way, rules=_some(rules)) for way, rules in ways.items()]
    changed = say("{number} of {shared} verdicts changed.", number=count(len(flipped)), shared=count(shared))
    return say(" ").join([changed, say("{ways}.", ways=say("; ").join(said))])


def _some(rules: Sequence[str]) -> str:
    left = len(rules) - _MOST_NAMED
    more = [say("{number} more", number=count(left))] if left > 0 else []
    return say(", ").join([*rules[:_MOST_NAMED], *more])


def _change(before: Mapping[str, Any], after: Mapping[str, Any], *, changed: bool) -> tuple[Cell, ...]:
    words = [str(row["verdict"]) for row in (before, after)]
    return (
        Cell(clean(after["rule"]), "strong" if changed else "plain"),
        Cell(metric_words(after["metric"], after["class"])),
        *(
            Cell(f"{verdict_style(name).symbol} {verdict_word(name)}", "strong" if changed else "plain")
            for name in words
        ),
        *(_measured(row) for row in (before, after)),
        Cell(rate(after["threshold"]), claim=claim_of("findings", after)),
    )


def _measured(row: Mapping[str, Any]) -> Cell:
    claim = claim_of("findings", row)
    if not known(row["value"]):
        return Cell(status_words("not_measured"), "muted", claim=claim)
    return Cell(rate_with_interval(row), claim=claim)
