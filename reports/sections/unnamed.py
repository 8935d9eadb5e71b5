"""What lies beyond the groups that somebody named: the lattice of subgroups, slices of images, attribute leakage."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pandas as pd

from audit.run.claims import claims_of
from reports.format import (
    NOTHING,
    clean,
    count,
    interval,
    known,
    metric_words,
    p_value,
    p_words,
    plain,
    rate,
    status_words,
)
from reports.language import phrase, say
from reports.maps import picture_uri
from reports.nodes import Block, Bullets, Cell, Column, Paragraph, Section, SliceCard, SliceCards, Table
from reports.sections.facts import Facts, pick, records
from reports.sections.tables import MOST_ROWS, capped, muted

__all__ = ["leakage_sentence", "slice_sentence", "slice_state", "unnamed", "worst_first"]

_MOST_SLICES = 6
_MOST_PICTURES = 8
_FIRST = 8


def unnamed(facts: Facts) -> Section | None:
    """Lattice, slices and leakage, each where it was measured; None where nothing of it was."""
    blocks = [*_lattice(facts), *_slices(facts), *_leakage(facts)]
    return Section("unnamed", say("Beyond the named groups"), tuple(blocks)) if blocks else None


def worst_first(table: pd.DataFrame) -> pd.DataFrame:
    """Rows with the largest difference to the rest first, those without one last."""
    return table.assign(difference=pd.to_numeric(table["difference"])).sort_values(
        "difference", ascending=False, na_position="last", kind="stable"
    )


def _lattice(facts: Facts) -> list[Block]:
    table = facts.run.table("lattice")
    if table.empty:
        return []
    text = say(
        "{number} subgroups of one to {depth} attributes were searched, each against all other images, those served "
        "worst first. This is exploration: the subgroup at the top was chosen because it looks worst. Corrected p is "
        "Benjamini and Hochberg's over all that were searched. What stands out here needs fresh images, or a rule that "
        "names it before they are seen.",
        number=count(len(table.drop_duplicates("group"))),
        depth=count(table["depth"].max()),
    )
    ordered = worst_first(table)
    blocks: list[Block] = [Paragraph(text), _subgroups(ordered[:_FIRST], say("Subgroups served worst"))]
    if len(ordered) > _FIRST:
        blocks.append(_subgroups(ordered[_FIRST:], say("All other subgroups"), folded=True))
    return [Section("lattice", say("Subgroups, searched"), tuple(blocks))]


def _subgroups(part: pd.DataFrame, caption: str, *, folded: bool = False) -> Table:
    rows, claims = [_subgroup(row) for row in records(part)], claims_of("lattice", part)
    return capped(caption, _against(say("Subgroup")), rows, source="lattice", folded=folded, claims=claims)


def _against(first: str) -> list[Column]:
    heads = ("n", say("Clusters"), say("Value"), say("Others"), say("Difference"), say("95 % interval"))
    numbers = (Column(name, numeric=True) for name in (*heads, say("Corrected p")))
    return [Column(first), Column(say("Model")), Column(say("Metric")), *numbers]


def _subgroup(row: Mapping[str, Any]) -> tuple[Cell, ...]:
    fine = known(row["value"])
    return (
        Cell(clean(row["group"])),
        Cell(clean(row["model"])),
        Cell(metric_words(row["metric"], row["class"])),
        Cell(count(row["n"])),
        Cell(count(row["clusters"])),
        Cell(rate(row["value"])) if fine else muted(status_words(row["status"])),
        Cell(rate(row["rest"])),
        Cell(rate(row["difference"])),
        Cell(interval(row["low"], row["high"])),
        Cell(p_value(row["p_adjusted"])),
    )


def slice_state(row: Mapping[str, Any]) -> tuple[str, str]:
    """Sign and words for whether a slice was confirmed on images that did not take part in finding it."""
    if not known(row["confirmed"]):
        return "?", status_words(row["status"])
    return ("✕", say("confirmed")) if row["confirmed"] else ("–", say("not confirmed"))


def slice_sentence(row: Mapping[str, Any]) -> str:
    """What was measured in one slice, how sure, and what it is made of."""
    if not known(row["value"]):
        return say("Its error rate was not measured: {reason}.", reason=status_words(row["status"]))
    apart = float(row["difference"])
    clustered = row["clusters"] != row["n"]
    text = say(
        "Error rate {value} in {images} held-out images{clusters} against {rest} in the others: {apart} {way}",
        value=rate(row["value"]),
        images=count(row["n"]),
        clusters=say(" ({number} clusters)", number=count(row["clusters"])) if clustered else "",
        rest=rate(row["rest"]),
        apart=rate(abs(apart)),
        way=say("higher") if apart >= 0 else say("lower"),
    )
    if known(row["low"]):
        text += say(", difference {bounds} for all slices together", bounds=interval(row["low"], row["high"]))
    if known(row["p_adjusted"]):
        text += say(", {p} after Holm's correction", p=p_words(row["p_adjusted"]))
    said = [say("{text}.", text=text)]
    if known(row["makeup"]) and row["makeup"]:
        said.append(say("Make-up: {makeup}.", makeup=_makeup(clean(row["makeup"]).rstrip("."))))
    return say(" ").join(said)


_NO_MAKEUP = phrase("no declared group or class stands out")
_OF_ALL = re.compile(r"\((\d+ %) of all\)")


def _makeup(text: str) -> str:
    """What `audit.fairness.slices` says of a slice's groups and classes."""
    if text == _NO_MAKEUP:
        return say(_NO_MAKEUP)
    return _OF_ALL.sub(lambda found: say("({share} of all)", share=found[1]), text)


def _slices(facts: Facts) -> list[Block]:
    table = facts.run.table("slices")
    if table.empty:
        return []
    confirmed = int(table["confirmed"].fillna(False).astype(bool).sum())
    named = int(table["slice"].notna().sum())
    text = say(
        "Images were grouped by what the model itself sees as alike (its embeddings), without any label, in one half "
        "of the data; the groups with many errors were then tested in the other half. {confirmed} of {named} were "
        "confirmed there, after correction. Nobody named these groups: look at the images before giving them a name. "
        "A slice that was not confirmed may be chance.",
        confirmed=count(confirmed),
        named=count(named),
    )
    pictures = facts.run.table("slice_images")
    blocks: list[Block] = [Paragraph(text)]
    for model in facts.run.models:
        own = worst_first(pick(table, model=model))
        empty = records(own[own["slice"].isna()])
        blocks += [Paragraph(say("{model}: {name}", model=clean(model), name=_no_slice(row))) for row in empty]
        own = own[own["slice"].notna()]
        if own.empty:
            continue
        first = own.sort_values("confirmed", ascending=False, kind="stable", na_position="last").head(_MOST_SLICES)
        numbers = {"shown": count(len(first)), "total": count(len(own))}
        blocks.append(Paragraph(say("{model}: {shown} of {total} slices.", model=clean(model), **numbers), "note"))
        blocks.append(SliceCards(tuple(_card(facts, row, pictures) for row in records(first))))
    found = table[table["slice"].notna()]
    if len(found) > _MOST_SLICES:
        found = worst_first(found)
        rows, claims = [_slice_row(row) for row in records(found)], claims_of("slices", found)
        columns = [*_against(say("Slice")), Column(say("Held-out half"))]
        caption = say("Every slice, by error rate")
        blocks.append(capped(caption, columns, rows, source="slices", folded=True, claims=claims))
    return [Section("slices", say("Slices that nobody labelled"), tuple(blocks))]


def _no_slice(row: Mapping[str, Any]) -> str:
    """Why a model has no slice to show."""
    if row["status"] == "ok":
        return say("no group of images alike promised more errors than the others.")
    return say("not searched: {reason}.", reason=status_words(row["status"]))


def _slice_row(row: Mapping[str, Any]) -> tuple[Cell, ...]:
    cells = _subgroup({**row, "group": _slice(row["slice"]), "metric": "error_rate", "class": None})
    return (*cells, Cell(" ".join(slice_state(row))))


_NUMBERED = re.compile(r"slice (\d+)")


def _slice(name: Any) -> str:
    """A slice's name, which is the audit's own: it has a number."""
    numbered = _NUMBERED.fullmatch(str(name))
    return say("slice {number}", number=numbered[1]) if numbered is not None else clean(name)


def _card(facts: Facts, row: Mapping[str, Any], table: pd.DataFrame) -> SliceCard:
    symbol, state = slice_state(row)
    members = pick(table, model=row["model"], slice=row["slice"])
    pictures: list[tuple[str, str]] = []
    for image in members.sort_values("distance", kind="stable")["image_id"]:
        path = facts.run.thumbnail(str(image))
        made = picture_uri(path, 72) if path is not None and len(pictures) < _MOST_PICTURES else None
        if made is not None:
            pictures.append((made[0], clean(image)))
    numbers = {"shown": count(len(pictures)), "total": count(len(members))}
    note = say("{shown} of its {total} images, the most typical of those kept as thumbnails.", **numbers)
    if not pictures:
        note = say("None of its {total} images was kept as a thumbnail.", total=numbers["total"])
    title = say("{model}, {slice}", model=clean(row["model"]), slice=_slice(row["slice"]))
    sure = bool(known(row["confirmed"]) and row["confirmed"])
    return SliceCard(title, symbol, state, sure, slice_sentence(row), tuple(pictures), note)


def leakage_sentence(row: Mapping[str, Any]) -> str:
    """What one row of table `leakage` says."""
    name, model = clean(row["attribute"]), clean(row["model"])
    if not known(row["value"]):
        about = {"model": model, "attribute": name, "reason": status_words(row["status"])}
        return say("{model}: how well {attribute} can be read was not measured: {reason}.", **about)
    limited = known(row["baseline_high"])
    above = limited and float(row["value"]) > float(row["baseline_high"])
    return say(
        "{model}: {attribute} is read from the embeddings with balanced accuracy {value} on held-out clusters; with "
        "group labels dealt at random {random}{limit}: {reading} ({p}).",
        model=model,
        attribute=name,
        value=rate(row["value"]),
        random=rate(row["baseline"]),
        limit=say(" (95 % of them below {limit})", limit=rate(row["baseline_high"])) if limited else "",
        reading=say("more than labels dealt at random allow")
        if above
        else say("no more than labels dealt at random allow"),
        p=p_words(row["p"]),
    )


def _leakage(facts: Facts) -> list[Block]:
    table = facts.run.table("leakage")
    if table.empty:
        return []
    text = say(
        "How well a linear probe reads a group from what the model keeps of an image. That a group can be read does "
        "not show that the decision uses it; that it cannot be read linearly does not show that it is absent."
    )
    rows = [_leak_row(row) for row in records(table)]
    heads = (say("Groups"), "n", say("Clusters"), say("Balanced accuracy"), say("At random"), say("95 % below"), "p")
    columns = [Column(say("Attribute")), Column(say("Model"))]
    columns += [*(Column(head, numeric=True) for head in heads), Column(say("Method"))]
    said = Bullets(tuple(leakage_sentence(row) for row in records(table.head(MOST_ROWS))))
    claims = claims_of("leakage", table)
    held = capped(say("Attribute leakage"), columns, rows, source="leakage", folded=True, claims=claims)
    return [Section("leakage", say("Groups that can be read from the embeddings"), (Paragraph(text), said, held))]


def _leak_row(row: Mapping[str, Any]) -> tuple[Cell, ...]:
    return (
        Cell(clean(row["attribute"])),
        Cell(clean(row["model"])),
        Cell(count(row["groups"])),
        Cell(count(row["n"])),
        Cell(count(row["clusters"])),
        Cell(rate(row["value"])) if known(row["value"]) else muted(status_words(row["status"])),
        Cell(rate(row["baseline"])),
        Cell(rate(row["baseline_high"])),
        Cell(p_value(row["p"])),
        muted(_probe(str(row["method"])) if known(row["method"]) else NOTHING),
    )


_PROBE = re.compile(r"ridge, (\d+) folds, (\d+) permutations")


def _probe(method: str) -> str:
    """How a probe was fitted and tested, as `audit.fairness.leakage` says it."""
    found = _PROBE.fullmatch(method)
    if found is None:
        return plain(method)
    return say("ridge, {folds} folds, {permutations} permutations", folds=found[1], permutations=found[2])
