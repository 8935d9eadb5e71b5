"""How alike the maps of two models are on the same images, and where they say the same but look elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from audit.run.claims import claim_of
from reports.format import NOTHING, clean, count, interval, known, rate, status_words
from reports.language import phrase, say
from reports.nodes import Block, Callout, Cell, Column, Folded, Gallery, Paragraph, Section, Table
from reports.palette import stamp_style, stamp_word
from reports.sections.cards import Cards
from reports.sections.explained import crossed, leading
from reports.sections.facts import EVERYBODY, Facts, pick, records
from reports.sections.gallery import legend
from reports.sections.tables import capped, first_of, muted

__all__ = ["agreement"]

_MEASURES = {
    "spearman": phrase("Rank correlation"),
    "overlap": phrase("Overlap of the top tenth"),
    "distance": phrase("L1 distance"),
}
_WHEN = {"all": phrase("all images"), "same": phrase("same prediction"), "different": phrase("different predictions")}
_KEYS = ("method", "when", "group")
_MOST_CARDS = 6
_MOST_PAIRS = 3
_MOST_TILES = 4
_MOST_BYTES = 300_000
_TEXT = phrase(
    "Each pair of models, on the same images. Rank correlation (Spearman's) compares the signed maps. Overlap is the "
    "intersection over union of the tenth of the pixels with the largest absolute values. L1 distance is the sum of "
    "the absolute differences of the absolute maps, each scaled to sum to 1: from 0 to 2. Maps of two sizes are "
    "compared at the larger one. Models that agree can both be wrong, and low agreement does not say which of the two "
    "looks at the better place. Whether two models predict the same is an outcome: the images on which they do can be "
    "of different kinds in different groups. Values by intersection are in table agreement_groups of the run."
)


def agreement(facts: Facts) -> Section | None:
    """Tables `agreement_groups` and `agreement`; None for one model, or where maps were not compared."""
    table, raw = facts.run.table("agreement_groups"), facts.run.table("agreement")
    if table.empty and raw.empty:
        return None
    blocks: list[Block] = [Paragraph(say(_TEXT))]
    pairs = list(table[["first", "second"]].drop_duplicates().itertuples(index=False, name=None))
    for first, second in pairs[:_MOST_PAIRS]:
        blocks += _pair(facts, pick(table, first=first, second=second), first, second, by_group=True)
    rest: list[Block] = []
    for first, second in pairs[_MOST_PAIRS:]:
        rest += _pair(facts, pick(table, first=first, second=second), first, second, by_group=False)
    if rest:
        title = say("{number} further pairs of models", number=len(pairs) - _MOST_PAIRS)
        note = say("Their values by group are in table agreement_groups of the run.")
        blocks.append(Folded(title, (Paragraph(note, "note"), *rest)))
    return Section("agreement", say("Do the models look at the same places?"), (*blocks, *_disagreement(facts, raw)))


def _pair(facts: Facts, own: pd.DataFrame, first: str, second: str, *, by_group: bool) -> list[Block]:
    """Tables of two models."""
    pair = {"first": clean(first), "second": clean(second)}
    whole = pick(own, attribute="overall", group=EVERYBODY)
    caption = say("Agreement of {first} and {second}, by method", **pair)
    blocks: list[Block] = [_table(facts, pick(whole, when="all"), caption, group=False)]
    split = whole[whole["when"] != "all"]
    if len(split):
        caption = say("Agreement of {first} and {second}, by whether they predict the same", **pair)
        blocks.append(_table(facts, split, caption, group=False, folded=True))
    for name in [name for name in facts.names if by_group and (own["attribute"] == name).any()]:
        caption = say("Agreement of {first} and {second}, by {attribute}", **pair, attribute=crossed(name))
        blocks.append(_table(facts, pick(own, attribute=name), caption, group=True, folded=True))
    return blocks


def _table(facts: Facts, part: pd.DataFrame, caption: str, *, group: bool, folded: bool = False) -> Table:
    """Methods and images down, measures across."""
    found: dict[tuple[str, ...], dict[str, dict[str, Any]]] = {}
    place = {name: position for position, name in enumerate(facts.methods)}
    methods = sorted(map(str, part["method"].unique()), key=lambda name: place.get(name, len(place)))
    total = len(part[list(_KEYS)].drop_duplicates())
    for row in records(first_of(part, methods, _KEYS)):
        key = (str(row["method"]), str(row["when"]), str(row["group"]))
        found.setdefault(key, {"_": row})[str(row["measure"])] = row
    when = list(_WHEN)
    keys = sorted(found, key=lambda key: (place.get(key[0], len(place)), when.index(key[1]) if key[1] in when else 9))
    rows = []
    for method, images, name in keys:
        cells = found[method, images, name]
        head = Cell(facts.method(method).title, note=_stamps(facts, cells["_"]))
        groups = [Cell(clean(name))] if group else []
        values = [_value(cells.get(measure)) for measure in _MEASURES]
        size = Cell(count(cells["_"]["n"]), claim=claim_of("agreement_groups", cells["_"]))
        rows.append((head, *groups, Cell(say(_WHEN[images]) if images in _WHEN else clean(images)), size, *values))
    heads = [say("Method"), *([say("Group")] if group else []), say("Images")]
    numbers = ["n", *(say(words) for words in _MEASURES.values())]
    columns = [*(Column(head) for head in heads), *(Column(head, numeric=True) for head in numbers)]
    return capped(caption, columns, rows, source="agreement_groups", folded=folded, total=total)


def _stamps(facts: Facts, row: Mapping[str, Any]) -> str:
    """Stamps of a method on the two models, in words."""
    models = [row["first"], row["second"]]
    stamps = [facts.stamp(model, row["method"]) for model in models]
    words = [f"{stamp_style(stamp).symbol} {stamp_word(stamp).lower()}" for stamp in stamps]
    if words[0] == words[1]:
        return say("{stamp} on both", stamp=words[0])
    pairs = zip(words, models, strict=True)
    return say("; ").join(say("{stamp} on {model}", stamp=word, model=clean(model)) for word, model in pairs)


def _value(row: Mapping[str, Any] | None) -> Cell:
    if row is None:
        return muted(NOTHING)
    claim = claim_of("agreement_groups", row)
    if not known(row["value"]):
        return muted(status_words(row["status"]), claim)
    bounds = interval(row["low"], row["high"]) if known(row["low"]) else say("no interval")
    return Cell(rate(row["value"]), note=bounds, claim=claim)


def _disagreement(facts: Facts, raw: pd.DataFrame) -> list[Block]:
    """Images on which two models say the same while their maps lie furthest apart."""
    same = raw[raw["same_prediction"].fillna(False).astype(bool) & raw["distance"].notna()]
    title = say("Same prediction, different place")
    if same.empty:
        text = say("There is no explained image on which two models predict the same and both have a map.")
        return [Section("disagreement", title, (Callout(say("Nothing to show"), text),))] if len(raw) else []
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
            shown.append(Gallery(say("{first} and {second}", first=clean(first), second=clean(second)), tuple(made)))
    counted = sum(len(gallery.cards) for gallery in shown)
    text = say(
        "Of {all} images on which two models predict the same, these {shown} have the {method} maps that lie furthest "
        "apart by L1 distance. They were picked because they differ most, so they do not show what is usual; the table "
        "above does.",
        shown=count(counted),
        all=count(len(own)),
        method=facts.method(method).title,
    )
    return [Section("disagreement", title, (Paragraph(text, "note"), legend(facts, cards.methods), *shown))]


def _apart(row: Mapping[str, Any]) -> str:
    values = {"distance": rate(row["distance"]), "correlation": rate(row["spearman"])}
    return say("distance {distance} of 2, rank correlation {correlation}", **values)
