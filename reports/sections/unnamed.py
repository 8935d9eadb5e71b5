"""What lies beyond the groups that somebody named: the lattice of subgroups, slices of images, attribute leakage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from audit.run.claims import claims_of
from reports.format import NOTHING, clean, count, interval, known, metric_words, p_value, plain, rate, status_words
from reports.maps import picture_uri
from reports.nodes import Block, Bullets, Cell, Column, Paragraph, Section, SliceCard, SliceCards, Table
from reports.sections.facts import MOST_ROWS, Facts, capped, muted, pick, records

__all__ = ["leakage_sentence", "slice_sentence", "slice_state", "unnamed", "worst_first"]

_MOST_SLICES = 6
_MOST_PICTURES = 8
_FIRST = 8


def unnamed(facts: Facts) -> Section | None:
    """Lattice, slices and leakage, each where it was measured; None where nothing of it was."""
    blocks = [*_lattice(facts), *_slices(facts), *_leakage(facts)]
    return Section("unnamed", "Beyond the named groups", tuple(blocks)) if blocks else None


def worst_first(table: pd.DataFrame) -> pd.DataFrame:
    """Rows with the largest difference to the rest first, those without one last."""
    return table.assign(difference=pd.to_numeric(table["difference"])).sort_values(
        "difference", ascending=False, na_position="last", kind="stable"
    )


def _lattice(facts: Facts) -> list[Block]:
    table = facts.run.table("lattice")
    if table.empty:
        return []
    text = (
        f"{count(len(table.drop_duplicates('group')))} subgroups of one to {count(table['depth'].max())} attributes "
        "were searched, each against all other images, those served worst first. This is exploration: the subgroup at "
        "the top was chosen because it looks worst. Corrected p is Benjamini and Hochberg's over all that were "
        "searched. What stands out here needs fresh images, or a rule that names it before they are seen."
    )
    ordered = worst_first(table)
    blocks: list[Block] = [Paragraph(text), _subgroups(ordered[:_FIRST], "Subgroups served worst")]
    if len(ordered) > _FIRST:
        blocks.append(_subgroups(ordered[_FIRST:], "All other subgroups", folded=True))
    return [Section("lattice", "Subgroups, searched", tuple(blocks))]


def _subgroups(part: pd.DataFrame, caption: str, *, folded: bool = False) -> Table:
    rows, claims = [_subgroup(row) for row in records(part)], claims_of("lattice", part)
    return capped(caption, _against("Subgroup", "Difference"), rows, source="lattice", folded=folded, claims=claims)


def _against(first: str, difference: str) -> list[Column]:
    heads = ("n", "Clusters", "Value", "Others", difference, "95 % interval", "Corrected p")
    return [Column(first), Column("Model"), Column("Metric"), *(Column(name, numeric=True) for name in heads)]


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
    return ("✕", "confirmed") if row["confirmed"] else ("–", "not confirmed")


def slice_sentence(row: Mapping[str, Any]) -> str:
    """What was measured in one slice, how sure, and what it is made of."""
    if not known(row["value"]):
        return f"Its error rate was not measured: {status_words(row['status'])}."
    apart = float(row["difference"])
    clusters = f" ({count(row['clusters'])} clusters)" if row["clusters"] != row["n"] else ""
    text = (
        f"Error rate {rate(row['value'])} in {count(row['n'])} held-out images{clusters} "
        f"against {rate(row['rest'])} in the others: {rate(abs(apart))} {'higher' if apart >= 0 else 'lower'}"
    )
    text += f", difference {interval(row['low'], row['high'])} for all slices together" if known(row["low"]) else ""
    text += f", {_p(row['p_adjusted'])} after Holm's correction." if known(row["p_adjusted"]) else "."
    return f"{text} Make-up: {clean(row['makeup']).rstrip('.')}." if known(row["makeup"]) and row["makeup"] else text


def _slices(facts: Facts) -> list[Block]:
    table = facts.run.table("slices")
    if table.empty:
        return []
    confirmed = int(table["confirmed"].fillna(False).astype(bool).sum())
    named = int(table["slice"].notna().sum())
    text = (
        "Images were grouped by what the model itself sees as alike (its embeddings), without any label, in one half "
        "of the data; the groups with many errors were then tested in the other half. "
        f"{count(confirmed)} of {count(named)} were confirmed there, after correction. Nobody named these groups: "
        "look at the images before giving them a name. A slice that was not confirmed may be chance."
    )
    pictures = facts.run.table("slice_images")
    blocks: list[Block] = [Paragraph(text)]
    for model in facts.run.models:
        own = worst_first(pick(table, model=model))
        blocks += [Paragraph(f"{clean(model)}: {_no_slice(row)}") for row in records(own[own["slice"].isna()])]
        own = own[own["slice"].notna()]
        if own.empty:
            continue
        first = own.sort_values("confirmed", ascending=False, kind="stable", na_position="last").head(_MOST_SLICES)
        blocks.append(Paragraph(f"{clean(model)}: {count(len(first))} of {count(len(own))} slices.", "note"))
        blocks.append(SliceCards(tuple(_card(facts, row, pictures) for row in records(first))))
    found = table[table["slice"].notna()]
    if len(found) > _MOST_SLICES:
        found = worst_first(found)
        rows, claims = [_slice_row(row) for row in records(found)], claims_of("slices", found)
        columns = [*_against("Slice", "Difference"), Column("Held-out half")]
        caption = "Every slice, by error rate"
        blocks.append(capped(caption, columns, rows, source="slices", folded=True, claims=claims))
    return [Section("slices", "Slices that nobody labelled", tuple(blocks))]


def _no_slice(row: Mapping[str, Any]) -> str:
    """Why a model has no slice to show."""
    if row["status"] == "ok":
        return "no group of images alike promised more errors than the others."
    return f"not searched: {status_words(row['status'])}."


def _slice_row(row: Mapping[str, Any]) -> tuple[Cell, ...]:
    cells = _subgroup({**row, "group": row["slice"], "metric": "error_rate", "class": None})
    return (*cells, Cell(" ".join(slice_state(row))))


def _card(facts: Facts, row: Mapping[str, Any], table: pd.DataFrame) -> SliceCard:
    symbol, state = slice_state(row)
    members = pick(table, model=row["model"], slice=row["slice"])
    pictures: list[tuple[str, str]] = []
    for image in members.sort_values("distance", kind="stable")["image_id"]:
        path = facts.run.thumbnail(str(image))
        made = picture_uri(path, 72) if path is not None and len(pictures) < _MOST_PICTURES else None
        if made is not None:
            pictures.append((made[0], clean(image)))
    note = f"{count(len(pictures))} of its {count(len(members))} images, the most typical of those kept as thumbnails."
    if not pictures:
        note = f"None of its {count(len(members))} images was kept as a thumbnail."
    title = f"{clean(row['model'])}, {clean(row['slice'])}"
    sure = bool(known(row["confirmed"]) and row["confirmed"])
    return SliceCard(title, symbol, state, sure, slice_sentence(row), tuple(pictures), note)


def leakage_sentence(row: Mapping[str, Any]) -> str:
    """What one row of table `leakage` says."""
    name, model = clean(row["attribute"]), clean(row["model"])
    if not known(row["value"]):
        return f"{model}: how well {name} can be read was not measured: {status_words(row['status'])}."
    above = known(row["baseline_high"]) and float(row["value"]) > float(row["baseline_high"])
    reading = "more than labels dealt at random allow" if above else "no more than labels dealt at random allow"
    text = (
        f"{model}: {name} is read from the embeddings with balanced accuracy {rate(row['value'])} on held-out "
        f"clusters; with group labels dealt at random {rate(row['baseline'])}"
    )
    text += f" (95 % of them below {rate(row['baseline_high'])})" if known(row["baseline_high"]) else ""
    return f"{text}: {reading} ({_p(row['p'])})."


def _p(value: Any) -> str:
    text = p_value(value)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def _leakage(facts: Facts) -> list[Block]:
    table = facts.run.table("leakage")
    if table.empty:
        return []
    text = (
        "How well a linear probe reads a group from what the model keeps of an image. That a group can be read does "
        "not show that the decision uses it; that it cannot be read linearly does not show that it is absent."
    )
    rows = [_leak_row(row) for row in records(table)]
    heads = ("n", "Clusters", "Balanced accuracy", "At random", "95 % below", "p")
    columns = [Column("Attribute"), Column("Model"), Column("Groups", numeric=True)]
    columns += [*(Column(head, numeric=True) for head in heads), Column("Method")]
    said = Bullets(tuple(leakage_sentence(row) for row in records(table.head(MOST_ROWS))))
    claims = claims_of("leakage", table)
    held = capped("Attribute leakage", columns, rows, source="leakage", folded=True, claims=claims)
    return [Section("leakage", "Groups that can be read from the embeddings", (Paragraph(text), said, held))]


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
        muted(plain(str(row["method"])) if known(row["method"]) else NOTHING),
    )
