"""The first page, for a reader who stops there: what was audited, what was found, what that does not show.

Details, and the reasons for them, are in the sections that follow; the gravest findings are in `gravest`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from audit.run.claims import claim_of
from audit.run.integrity import IntegrityError
from audit.run.statements import missing_statements, read_statements
from reports.format import NOTHING, clean, count, interval, known, short, signed
from reports.language import phrase, say
from reports.nodes import (
    Block,
    Callout,
    Cell,
    Column,
    KeyValues,
    Paragraph,
    Section,
    VerdictCount,
    VerdictCounts,
)
from reports.palette import VERDICT_ORDER
from reports.sections.facts import MISSING, Facts, pick, records
from reports.sections.gravest import gravest
from reports.sections.rules import basis_words
from reports.sections.tables import capped, muted

__all__ = ["SUMMARY", "summary"]

SUMMARY = "summary"
"""Identifier of the section; a printed report gives it a page of its own."""

_MOST_MODELS, _MOST_NAMED, _MOST_METHODS, _MOST_REGIONS = 5, 4, 8, 2
_SMALL = 10

_ORIGINS = {
    "self-reported": phrase("labels self-reported"),
    "perceived": phrase("labels perceived by others"),
    "inferred": phrase("labels inferred"),
    "measured": phrase("labels measured"),
    "by construction": phrase("labels by construction"),
}
_STATEMENTS = {
    "intended_purpose": phrase("intended purpose"),
    "oversight": phrase("human oversight"),
    "why_these_groups": phrase("why these groups"),
    "residual_risk": phrase("residual risk"),
    "acceptable_use": phrase("acceptable use"),
    "data_origin": phrase("origin of the data"),
}


def summary(facts: Facts) -> Section:
    """One page: facts, verdicts, the gravest findings, what explanations add, limits, what is left to people."""
    blocks: list[Block] = [_verdict(facts), KeyValues(tuple(_audited(facts)))]
    if facts.run.complete and not facts.run.table("findings").empty:
        blocks += [_counts(facts.run.table("findings")), *gravest(facts)]
    blocks += [*_explained(facts), KeyValues(tuple(_left(facts)))]
    return Section(SUMMARY, say("Summary"), tuple(blocks))


def _verdict(facts: Facts) -> Block:
    """The outcome in a sentence; of a run that ended early, that there is none."""
    findings = facts.run.table("findings")
    if not facts.run.complete:
        text = say(
            "The run ended early, so this page gives none. Numbers and verdicts below are those of the images reached, "
            "and may change when it goes on."
        )
        return Callout(say("INCOMPLETE: no verdict is settled"), text, "alarm")
    if findings.empty:
        return Paragraph(say("No rule was evaluated, so there is no verdict."), "lead")
    total, fail = len(findings), int((findings["verdict"] == "fail").sum())
    unsettled = int(findings["verdict"].isin(["inconclusive", "error"]).sum())
    if not fail and not unsettled:
        return Paragraph(say("Of {total} findings none fails and none is open.", total=count(total)), "lead")
    text = say(
        "Of {total} findings, {fail} fail, which means that a limit is shown to be exceeded, and {unsettled} are open: "
        "the data settle them neither way.",
        total=count(total),
        fail=count(fail),
        unsettled=count(unsettled),
    )
    return Paragraph(text, "lead")


def _audited(facts: Facts) -> Iterator[tuple[str, str]]:
    yield say("Models"), _models(facts)
    yield say("Data"), _data(facts)
    groups = [_groups(facts, name) for name in facts.names]
    yield say("Groups"), _some(groups) or say("none were given, so nothing is said of differences between groups")
    yield say("Rules"), say(" ").join(basis_words(facts))


def _models(facts: Facts) -> str:
    said = []
    for model in facts.run.record.get("models") or []:
        made = [clean(model["framework"])] if known(model.get("framework")) else []
        made += [f"SHA-256 {clean(model['sha256'])[:12]}"] if known(model.get("sha256")) else []
        said.append(f"{short(model.get('name', ''), 40)} ({', '.join(made)})" if made else short(model.get("name", "")))
    return _some(said) or say("none")


def _some(names: Sequence[str], most: int = _MOST_NAMED) -> str:
    """The first of some names, and how many more there are."""
    more = [say("{number} more", number=count(len(names) - most))] if len(names) > most else []
    return say(", ").join([*names[:most], *more])


def _data(facts: Facts) -> str:
    """How many images of how many units, of which classes, and whether anybody is in them."""
    images, units = _sizes(facts)
    planned = facts.data.get("planned")
    if images is None:
        return say("No table of images is held.")
    text = say("{images} of {planned} planned images used", images=count(images), planned=count(planned))
    cluster = facts.data.get("cluster")
    if known(cluster) and units is not None:
        text += say(", of {units} units by {cluster}", units=count(units), cluster=short(cluster))
    else:
        text += say(", each taken as independent")
    classes = [_class(facts, name) for name in facts.classes]
    if len(classes) > _MOST_NAMED:
        positive = [_class(facts, name) for name in facts.classes if name == facts.positive]
        classes = [count(len(classes)), *positive]
    text += say("; classes: {classes}.", classes=say(", ").join(classes))
    made = [say("The images are synthetic, made by a program.")] if _synthetic(facts) else []
    return say(" ").join([text, *made])


def _class(facts: Facts, name: str) -> str:
    return say("{name} (positive)", name=short(name, 20)) if name == facts.positive else short(name, 20)


def _synthetic(facts: Facts) -> bool:
    """Whether the groups hold by construction, as those of drawn images do."""
    return bool(facts.attributes) and all(item.get("provenance") == "by construction" for item in facts.attributes)


def _sizes(facts: Facts) -> tuple[int | None, int | None]:
    """Images used and their clusters, from the rows or, where these are withheld, from the counts."""
    images = facts.run.table("images", columns=["status", "cluster"])
    if len(images):
        clusters = int(images["cluster"].nunique())
        return int((images["status"] == "ok").sum()), clusters or None
    coverage = facts.run.table("coverage")
    [whole] = records(pick(coverage, attribute="overall", label=None)) or [{}]
    if not known(whole.get("images")):
        return None, None
    return int(whole["images"]) - int(whole["failed"]), int(whole["clusters"]) if known(whole["clusters"]) else None


def _groups(facts: Facts, name: str) -> str:
    origin = next((item.get("provenance") for item in facts.attributes if item["name"] == name), None)
    labelled = say(_ORIGINS[origin]) if origin in _ORIGINS else say("labels of unstated origin")
    number = facts.groups.loc[facts.groups["attribute"] == name, "group"].loc[lambda group: group != MISSING].nunique()
    return say("{attribute}: {number} groups ({origin})", attribute=short(name), number=number, origin=labelled)


def _counts(findings: pd.DataFrame) -> VerdictCounts:
    counts = findings["verdict"].value_counts()
    return VerdictCounts(tuple(VerdictCount(name, int(counts.get(name, 0))) for name in VERDICT_ORDER))


def _explained(facts: Facts) -> Iterator[Block]:
    """Which maps are evidence on which model, and what hiding a region changed, a row a model."""
    if not facts.methods and facts.run.table("stamps").empty:
        yield Paragraph(say("No image was explained, so nothing is said of what the models look at."))
        return
    effects = pick(facts.run.table("intervention_groups"), attribute="overall", action="effect", measure="changed")
    held = [str(name) for name in effects["region"].unique()]
    strength = pd.to_numeric(effects["low"]).groupby(effects["region"].astype(str)).max()
    regions = [name for name in facts.distrusted if name in held] or held
    regions = sorted(regions, key=lambda name: -strength.fillna(-np.inf)[name])[:_MOST_REGIONS]
    rows = [_looks(facts, model, effects, regions) for model in facts.run.models[:_MOST_MODELS]]
    hidden = [Column(say("Effect of hiding {region}", region=short(name, 20)), numeric=True) for name in regions]
    maps = (say("Maps that are evidence"), say("Maps that are not, or are open"))
    columns = [Column(say("Model")), *hidden, *(Column(head) for head in maps)]
    yield capped(say("What the explanations add"), columns, rows, source="intervention_groups" if regions else "stamps")
    yield Paragraph(_took_part(effects, regions), "note")


def _looks(facts: Facts, model: str, effects: pd.DataFrame, regions: Sequence[str]) -> tuple[Cell, ...]:
    stamped = {name: facts.stamp(model, name) for name in facts.methods or _stamped(facts)}
    sides = []
    for wanted in (True, False):
        names = [facts.method(name).title for name, stamp in stamped.items() if (stamp == "evidence") == wanted]
        sides.append(Cell(_some(names, _MOST_METHODS)) if names else muted(say("none")))
    own = pick(effects, model=model)
    return (Cell(short(model, 40)), *(_effect(records(pick(own, region=name))) for name in regions), *sides)


def _stamped(facts: Facts) -> list[str]:
    return list(dict.fromkeys(method for _, method in facts.stamps))


def _effect(rows: Sequence[dict[str, object]]) -> Cell:
    if not rows or not known(rows[0]["value"]):
        return muted(NOTHING)
    [row] = rows
    note = f"{interval(row['low'], row['high'])}, n={count(row['n'])}"
    return Cell(signed(row["value"]), note=note, claim=claim_of("intervention_groups", row))


def _took_part(effects: pd.DataFrame, regions: Sequence[str]) -> str:
    """Whether hiding a region changed predictions more than hiding as much elsewhere did."""
    if not regions:
        return say("No region was hidden, so nothing is said of what would follow from it.")
    lows = {name: pd.to_numeric(pick(effects, region=name)["low"]) for name in regions}
    found = [short(name) for name, low in lows.items() if (low > 0).any()]
    meaning = say("Effect: share of predictions that change when it is hidden, minus that when as much elsewhere is.")
    shown = say("It is not shown to be above 0.")
    if found:
        shown = say("It is shown to be above 0, so what is there took part: {regions}.", regions=_some(found))
    return say(" ").join((meaning, shown))


def _left(facts: Facts) -> Iterator[tuple[str, str]]:
    yield say("What this does not show"), say(" ").join(_limits(facts))
    yield say("Left for a person to say"), _missing(facts)
    yield (
        say("To check a number"),
        say(
            "Its claim names table and row; “How to check a number” near the end leads from there to its definition. "
            "faircam verify FOLDER computes the numbers of a bundle again and says what it cannot."
        ),
    )


def _limits(facts: Facts) -> Iterator[str]:
    """Limits that apply to this run, the broadest first."""
    level = (facts.run.record.get("disclosure") or {}).get("level")
    if level == "public":
        yield say("Rows, images and the numbers of small groups are withheld at the public level.")
    if _synthetic(facts):
        yield say("Synthetic images say nothing of any person.")
    yield say("Other images can give other values, and a difference that was not found is not shown to be absent.")
    accuracy = pick(facts.groups, metric="accuracy")
    accuracy = accuracy[accuracy["attribute"].isin(facts.names)]
    part = accuracy[accuracy["group"] != MISSING]
    small = [
        f"{short(row['attribute'], 16)} {short(row['group'], 16)}"
        for row in records(part[part["clusters"] < _SMALL].drop_duplicates(["attribute", "group"]))
    ]
    if small:
        yield say("Groups of fewer than {small} units say little: {groups}.", small=_SMALL, groups=_some(small))
    without = accuracy[accuracy["group"] == MISSING].groupby("attribute", sort=False)["n"].max()
    for name, number in without.items():
        yield say("{images} images have no {attribute}.", images=count(number), attribute=short(name))
    images, _ = _sizes(facts)
    planned = int(facts.data.get("planned") or 0)
    if images is not None and planned > images:
        yield say("{images} planned images could not be used.", images=count(planned - images))


def _missing(facts: Facts) -> str:
    """Statements that nobody has made, and waivers, which only the verdicts of a day can apply."""
    try:
        entries = read_statements(facts.run)
    except IntegrityError:
        return say("The log of statements was changed since it was written; nothing in it counts.")
    missing = missing_statements(entries)
    said = [say("Every statement that a bundle needs was made; they stand in its statements.yaml.")]
    if missing:
        said = [say("Missing: {names}.", names=say(", ").join(say(_STATEMENTS[name]) for name in missing))]
    waivers = sum(entry.kind == "waiver" for entry in entries)
    if waivers:
        said.append(say("Waivers on record: {number}; verdicts.json of a bundle applies them.", number=waivers))
    return say(" ").join(said)
