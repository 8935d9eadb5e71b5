"""The findings that weigh most, one row each: how much, how sure, on how many, and the claim to check it by."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from audit.findings.subjects import INTERVENTION_EFFECT, REGION_SHARE
from audit.run.claims import claim_of, claim_parts
from reports.format import NOTHING, clean, count, interval, known, metric_words, rate, short
from reports.language import phrase, say
from reports.nodes import Block, Cell, Column
from reports.palette import VERDICTS, verdict_style
from reports.sections.facts import Facts, pick, records
from reports.sections.tables import capped, muted

__all__ = ["gravest", "judged"]

_MOST = 5
_ORDER = {"fail": 0, "error": 1, "inconclusive": 2, "warn": 3}
_TIERS = {
    "required": phrase("required"),
    "supporting": phrase("supporting"),
    "informational": phrase("informational"),
}
_SIDES = ("groups", "region_groups", "intervention_groups")


def gravest(facts: Facts) -> list[Block]:
    """At most five findings that did not pass, as a table: failing, then open, then warning ones; required first."""
    findings = facts.run.table("findings")
    chosen = sorted((row for row in records(findings) if row["verdict"] in _ORDER), key=_weight)
    if not chosen:
        return []
    rows = [_row(facts, row) for row in chosen[:_MOST]]
    columns = (
        Column(say("Verdict")),
        Column(say("What was judged, and its claim")),
        Column(say("Value"), numeric=True),
        Column(say("Interval"), numeric=True),
        Column(say("Limit"), numeric=True),
    )
    caption = say("Findings that weigh most: {shown} of {total}", shown=len(rows), total=count(len(findings)))
    note = say("Failing ones first, required before others, then by how many times the limit the value is.")
    return [capped(caption, columns, rows, source="findings", note=note)]


def _weight(row: Mapping[str, Any]) -> tuple[int, int, float]:
    tiers = list(_TIERS)
    tier = tiers.index(str(row["tier"])) if row["tier"] in tiers else len(tiers)
    return _ORDER[str(row["verdict"])], tier, -_times(row) if row["verdict"] == "fail" else 0.0


def _times(row: Mapping[str, Any]) -> float:
    """How many times the limit a value is, or the limit the value where small ones are the trouble."""
    if not known(row["value"]) or not known(row["threshold"]):
        return 0.0
    less, more = sorted((abs(float(row["value"])), abs(float(row["threshold"]))))
    return more / less if less else math.inf


def _row(facts: Facts, row: Mapping[str, Any]) -> tuple[Cell, ...]:
    style, claim = verdict_style(str(row["verdict"])), claim_of("findings", row)
    word = say(style.word) if row["verdict"] in VERDICTS else clean(style.word)
    tier = say(_TIERS[row["tier"]]) if row["tier"] in _TIERS else ""
    valued = known(row["value"])
    return (
        Cell(f"{style.symbol} {word}", "verdict", note=tier),
        Cell(say("{model}: {name}", model=short(row["model"], 24), name=judged(facts, row)), note=short(claim, 90)),
        Cell(rate(row["value"]), claim=claim) if valued else muted(say("not measured"), claim),
        Cell(interval(row["low"], row["high"]), claim=claim) if valued else muted(NOTHING, claim),
        Cell(rate(row["threshold"]), claim=claim),
    )


def judged(facts: Facts, row: Mapping[str, Any]) -> str:
    """The rule in words, with the groups compared and how many images each has."""
    cited = list(_cited(row))
    if row["metric"] in (REGION_SHARE, INTERVENTION_EFFECT):
        about = next((parts for name, parts in cited if name in _SIDES[1:]), {})
        words = _region_words(facts, row, about)
    else:
        words = metric_words(str(row["metric"]), row["class"])
    sides = [_side(facts, row[name], cited) for name in ("group", "reference") if known(row[name])]
    values = {"metric": words, "attribute": short(row["attribute"], 24)}
    if len(sides) == 2:
        ratio = any(name == "gaps" and parts["compare"] == "ratio" for name, parts in cited)
        return _compared(values, sides, ratio=ratio)
    if row["attribute"] in ("region", "overall"):
        return say("{metric}, everybody ({size})", metric=words, size=_size(_held(facts, cited)))
    where = sides[0] if sides else say("groups not compared")
    return say("{metric}, by {attribute}: {group}", **values, group=where)


def _compared(values: Mapping[str, str], sides: list[str], *, ratio: bool) -> str:
    if ratio:
        return say("ratio of {metric}, by {attribute}: {group} to {reference}", **_sides(values, sides))
    return say("gap in {metric}, by {attribute}: {group} against {reference}", **_sides(values, sides))


def _sides(values: Mapping[str, str], sides: list[str]) -> dict[str, str]:
    return {**values, "group": sides[0], "reference": sides[1]}


def _region_words(facts: Facts, row: Mapping[str, Any], about: Mapping[str, str]) -> str:
    region = short(about.get("region") or row["group"], 24)
    if row["metric"] == INTERVENTION_EFFECT:
        return say("predictions changed by hiding {region} beyond hiding as much elsewhere", region=region)
    method = facts.method(about["method"]).title if about.get("method") else say("a method")
    return say("attribution by {method} on {region}, times its area", method=method, region=region)


def _cited(row: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, str]]]:
    """The claims that a finding rests on, taken apart."""
    held = row.get("claims")
    for claim in held if isinstance(held, Iterable) else ():
        yield claim_parts(str(claim))


def _side(facts: Facts, group: Any, cited: list[tuple[str, dict[str, str]]]) -> str:
    """A group with its own value, and on how many images this rests."""
    row = _held(facts, [(name, parts) for name, parts in cited if parts.get("group") == str(group)])
    value = f" {rate(row['value'])}" if known(row.get("value")) else ""
    return f"{short(group, 24)}{value} ({_size(row)})"


def _size(row: Mapping[str, Any]) -> str:
    return f"n={count(row['n'])}" if known(row.get("n")) else say("n not given")


def _held(facts: Facts, cited: list[tuple[str, dict[str, str]]]) -> dict[str, Any]:
    """The first row of a group, or of everybody, that is among the claims."""
    for name, parts in cited:
        if name in _SIDES:
            rows = pick(facts.run.table(name), **{key: value or None for key, value in parts.items()})
            if len(rows):
                return records(rows)[0]
    return {}
