"""How alike the maps of two models are on the same images, and where they say the same but look elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from audit.run.claims import claim_of
from reports.format import NOTHING, clean, count, interval, known, rate, status_words
from reports.nodes import Block, Callout, Cell, Column, Gallery, Paragraph, Section, Table
from reports.palette import stamp_style
from reports.sections.cards import Cards
from reports.sections.explained import crossed, leading
from reports.sections.facts import EVERYBODY, Facts, capped, muted, pick, records
from reports.sections.gallery import legend

__all__ = ["agreement"]

_MEASURES = {
    "spearman": "Rank correlation",
    "overlap": "Overlap of the top tenth",
    "distance": "Distance of mass",
}
_WHEN = {"all": "all images", "same": "same prediction", "different": "other prediction"}
_MOST_CARDS = 6
_MOST_PAIRS = 3
_MOST_TILES = 4
_MOST_BYTES = 400_000
_TEXT = (
    "Every two models on the same images. Rank correlation (Spearman's) compares the signed maps; overlap is that of "
    "the tenth of the pixels with the largest absolute values, intersection over union; distance is the sum of the "
    "absolute differences of the absolute maps, each scaled to sum to 1, from 0 to 2. Maps of two sizes are compared "
    "at the larger one. Models that agree can both be wrong, and low agreement does not say which of the two looks at "
    "the better place. Whether two models predict the same is an outcome: the images on which they do can be of other "
    "kinds in different groups. Values by intersection are in table agreement_groups of the run."
)


def agreement(facts: Facts) -> Section | None:
    """Tables `agreement_groups` and `agreement`; None for one model, or where maps were not compared."""
    table, raw = facts.run.table("agreement_groups"), facts.run.table("agreement")
    if table.empty and raw.empty:
        return None
    blocks: list[Block] = [Paragraph(_TEXT)]
    pairs = list(table[["first", "second"]].drop_duplicates().itertuples(index=False, name=None))
    for first, second in pairs:
        own = pick(table, first=first, second=second)
        title = f"Agreement of {clean(first)} and {clean(second)}"
        whole = pick(own, attribute="overall", group=EVERYBODY)
        blocks.append(_table(facts, pick(whole, when="all"), f"{title}, by method", group=False))
        split = whole[whole["when"] != "all"]
        if len(split):
            caption = f"{title}, by whether they predict the same"
            blocks.append(_table(facts, split, caption, group=False, folded=True))
        names = [name for name in facts.names if (own["attribute"] == name).any()]
        blocks += [_by_group(facts, pick(own, attribute=name), f"{title}, by {crossed(name)}") for name in names]
    return Section("agreement", "Do the models look at the same places?", (*blocks, *_disagreement(facts, raw)))


def _by_group(facts: Facts, own: pd.DataFrame, caption: str) -> Table:
    return _table(facts, own, caption, group=True, folded=True)


def _table(facts: Facts, part: pd.DataFrame, caption: str, *, group: bool, folded: bool = False) -> Table:
    """Methods and images down, measures across."""
    found: dict[tuple[str, ...], dict[str, dict[str, Any]]] = {}
    for row in records(part):
        key = (str(row["method"]), str(row["when"]), str(row["group"]))
        found.setdefault(key, {"_": row})[str(row["measure"])] = row
    place = {name: position for position, name in enumerate(facts.methods)}
    when = list(_WHEN)
    keys = sorted(found, key=lambda key: (place.get(key[0], len(place)), when.index(key[1]) if key[1] in when else 9))
    rows = []
    for method, images, name in keys:
        cells = found[method, images, name]
        head = Cell(facts.method(method).title, note=_stamps(facts, cells["_"]))
        groups = [Cell(clean(name))] if group else []
        values = [_value(cells.get(measure)) for measure in _MEASURES]
        size = Cell(count(cells["_"]["n"]), claim=claim_of("agreement_groups", cells["_"]))
        rows.append((head, *groups, Cell(_WHEN.get(images, clean(images))), size, *values))
    columns = [Column("Method"), *([Column("Group")] if group else []), Column("Images"), Column("n", numeric=True)]
    columns += [Column(words, numeric=True) for words in _MEASURES.values()]
    return capped(caption, columns, rows, source="agreement_groups", folded=folded)


def _stamps(facts: Facts, row: Mapping[str, Any]) -> str:
    """Stamps of a method on the two models, in words."""
    words = [stamp_style(facts.stamp(row[side], row["method"])) for side in ("first", "second")]
    if words[0] == words[1]:
        return f"{words[0].symbol} {words[0].word.lower()} on both"
    sides = zip(("first", "second"), words, strict=True)
    return "; ".join(f"{style.symbol} {style.word.lower()} on {clean(row[side])}" for side, style in sides)


def _value(row: Mapping[str, Any] | None) -> Cell:
    if row is None:
        return muted(NOTHING)
    claim = claim_of("agreement_groups", row)
    if not known(row["value"]):
        return muted(status_words(row["status"]), claim)
    bounds = interval(row["low"], row["high"]) if known(row["low"]) else "no interval"
    return Cell(rate(row["value"]), note=bounds, claim=claim)


def _disagreement(facts: Facts, raw: pd.DataFrame) -> list[Block]:
    """Images on which two models say the same while their maps lie furthest apart."""
    same = raw[raw["same_prediction"].fillna(False).astype(bool) & raw["distance"].notna()]
    title = "Same answer, other place"
    if same.empty:
        text = "There is no explained image on which two models say the same and both have a map."
        return [Section("disagreement", title, (Callout("Nothing to show", text),))] if len(raw) else []
    method = leading(facts, [str(name) for name in same["method"].unique()])[0]
    own = same[same["method"] == method].sort_values("distance", ascending=False, kind="stable")
    shown: list[Gallery] = []
    cards = Cards.of(facts, leading(facts, facts.methods)[:_MOST_TILES], _MOST_BYTES)
    for first, second in list(own[["first", "second"]].drop_duplicates().itertuples(index=False, name=None))[
        :_MOST_PAIRS
    ]:
        rows = records(pick(own, first=first, second=second).head(_MOST_CARDS))
        made = cards.make(
            [str(row["image_id"]) for row in rows],
            (first, second),
            {str(row["image_id"]): _apart(row) for row in rows},
        )
        if made:
            shown.append(Gallery(f"{clean(first)} and {clean(second)}", tuple(made)))
    counted = sum(len(gallery.cards) for gallery in shown)
    text = (
        f"{count(counted)} of {count(len(own))} images on which two models predict the same: those whose maps of "
        f"{facts.method(method).title} lie furthest apart, by the distance of their mass. They were picked because "
        "they differ most, so they do not show what is usual; the table above does."
    )
    return [Section("disagreement", title, (Paragraph(text, "note"), legend(facts, cards.methods), *shown))]


def _apart(row: Mapping[str, Any]) -> str:
    return f"distance {rate(row['distance'])} of 2, rank correlation {rate(row['spearman'])}"
