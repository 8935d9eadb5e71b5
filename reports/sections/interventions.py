"""What changes when a region is hidden: predictions before and after, beside equal areas hidden elsewhere, by group."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from audit.run.claims import claim_of
from reports.figures import ForestFigure
from reports.format import NOTHING, clean, count, interval, known, p_words, rate, signed, status_words
from reports.language import phrase, say
from reports.nodes import Block, Bullets, Callout, Cell, Column, FigureBlock, FigureRow, Paragraph, Section, Table
from reports.sections.explained import crossed, drawn_groups, forest_row
from reports.sections.explained_gaps import EFFECT, effect_sentences, gap_table, gaps_of
from reports.sections.facts import EVERYBODY, Facts, pick, records
from reports.sections.tables import capped, muted

__all__ = ["interventions"]

_HIDE, _CONTROL, _SWAP, _EFFECT = "hide", "control", "swap", "effect"
_ACTIONS = {
    _HIDE: phrase("Region hidden"),
    _CONTROL: phrase("Equal area elsewhere hidden"),
    _EFFECT: phrase("Effect: region minus elsewhere"),
    _SWAP: phrase("Region of another image put in"),
}
_MEASURES = {
    "changed": phrase("predictions changed"),
    "drop": phrase("drop of the probability"),
    "positive_rate_change": phrase("change of the positive rate"),
}
_REASONS = (
    phrase("no reason is recorded"),
    phrase("the image does not show the region"),
    phrase("the image has no prediction"),
    phrase("the image has no region map"),
    phrase("the region is too large to lie beside itself, so it has no control"),
    phrase("none of 20 images of another label shows the region"),
)
_FILLS = {"mean": phrase("the mean colour around it"), "blur": phrase("a blurred copy of the image")}
_LIMITS = phrase(
    "An effect shows that, on these images, the content of the region had more part in the predictions than an equal "
    "area elsewhere. It depends on what is shown in place of the region, and an image with a hole in it is unlike "
    "those that the model was trained on. It says nothing of images without the region, and a region without an "
    "effect may still matter together with others."
)
_NOTE = phrase(
    "Below each value: 95 % interval, number of images, and for an effect its p. Drop of the probability: probability "
    "of the predicted class, before minus after. Change of the positive rate: share predicted positive, after minus "
    "before."
)


def interventions(facts: Facts) -> Section | None:
    """Table `intervention_groups`, region by region; None where no region was hidden."""
    table = facts.run.table("intervention_groups")
    if table.empty:
        return None
    blocks: list[Block] = [Paragraph(_text(facts)), Callout(say("What this does not show"), say(_LIMITS))]
    named = [*facts.distrusted, *facts.regions, *(str(name) for name in table["region"].unique())]
    for place, region in enumerate([name for name in dict.fromkeys(named) if (table["region"] == name).any()]):
        blocks.append(_region(facts, pick(table, region=region), region, place))
    return Section("interventions", say("What changes when a region is hidden"), tuple(blocks))


def _text(facts: Facts) -> str:
    config = facts.config.get("interventions")
    config = config if isinstance(config, Mapping) else {}
    fill, instead = config.get("fill"), ""
    if known(fill):
        words = say(_FILLS[str(fill)]) if str(fill) in _FILLS else clean(fill)
        instead = say(", with {fill} in its place", fill=words)
    return say(
        "Each region was hidden{instead}, and the model predicted again. As a control, areas of the same shape and "
        "size were hidden elsewhere in the same image. The effect is the paired difference between the two: how much "
        "more often the prediction of an image changes when the region is hidden than when an equal area elsewhere is. "
        "Its p is that of a test of no difference and is not corrected for the number of regions and groups.",
        instead=instead,
    )


def _region(facts: Facts, table: pd.DataFrame, region: str, place: int) -> Section:
    blocks: list[Block] = [Bullets(tuple(_sentences(facts, table))), _overall(table, region), *_absent(facts, region)]
    for name in [name for name in facts.names if (table["attribute"] == name).any()]:
        blocks += _forests(facts, pick(table, attribute=name), region, name)
    gaps = facts.run.table("quality_gaps")
    own = gaps[gaps["measure"].astype(str).str.startswith(EFFECT)]
    own = own[own["measure"].astype(str).str.split(":", n=1).str[-1] == region]
    blocks += _gaps(facts, own, region) if len(own) else []
    for name in [name for name in [*facts.names, *facts.crossings] if (table["attribute"] == name).any()]:
        caption = say("Hiding {region}, by {attribute}", region=region, attribute=crossed(name))
        blocks.append(_table(pick(table, attribute=name), caption, folded=True))
    return Section(f"intervention-{place}", say("Region {region}", region=clean(region)), tuple(blocks))


def _gaps(facts: Facts, own: pd.DataFrame, region: str) -> list[Block]:
    """How far the groups' effects are apart."""
    if not any(gap.comparable for gap in gaps_of(own)):
        return [Paragraph(say("The effects of the groups were not compared: fewer than two groups are large enough."))]
    text = say(
        "How far apart the groups' effects are, among all images and among those matched on label and confidence:"
    )
    said = effect_sentences(facts, own[own["measure"] == f"effect_changed:{region}"])
    caption = say("Effect of hiding {region}: gaps between groups", region=region)
    return [Paragraph(text), *said, gap_table(facts, own, caption, say("Measure"), methods=False)]


def _sentences(facts: Facts, table: pd.DataFrame) -> list[str]:
    """What hiding the region did, one sentence a model."""
    whole = pick(table, attribute="overall", measure="changed")
    said = []
    for model in facts.run.models:
        rows = {str(row["action"]): row for row in records(pick(whole, model=model))}
        said.append(_sentence(clean(model), rows))
    return said


def _sentence(model: str, rows: Mapping[str, Mapping[str, Any]]) -> str:
    hidden, control, effect = (rows.get(action) for action in (_HIDE, _CONTROL, _EFFECT))
    if hidden is None or not known(hidden["value"]):
        reason = status_words(hidden["status"] if hidden else None)
        return say("{model}: what changes when it is hidden was not measured ({reason}).", model=model, reason=reason)
    elsewhere, outcome = "", say("; there is no control to compare with, so no effect is given")
    if control is not None and known(control["value"]):
        elsewhere = say(", {share} when an equal area elsewhere was", share=_with_bounds(control))
    if effect is not None and known(effect["value"]):
        bounds = interval(effect["low"], effect["high"])
        outcome = say(
            "; effect {effect} {bounds}, {p}", effect=signed(effect["value"]), bounds=bounds, p=p_words(effect["p"])
        )
    return say(
        "{model}: of {images} predictions, a share of {share} changed when the region was hidden{elsewhere}{outcome}.",
        model=model,
        share=_with_bounds(hidden),
        images=count(hidden["n"]),
        elsewhere=elsewhere,
        outcome=outcome,
    )


def _with_bounds(row: Mapping[str, Any]) -> str:
    return f"{rate(row['value'])} {interval(row['low'], row['high'])}"


def _absent(facts: Facts, region: str) -> list[Block]:
    """Images in which there was nothing to hide, and changes that could not be made."""
    raw = facts.run.table("interventions", columns=["image_id", "region", "action", "status", "detail"])
    raw = raw[(raw["region"] == region) & (raw["status"] != "ok")]
    said = []
    for (action, detail), part in raw.groupby(["action", "detail"], sort=False, dropna=False):
        reason = clean(detail) if known(detail) and str(detail) else _REASONS[0]
        reason = say(reason) if reason in _REASONS else reason
        what = say(_ACTIONS[action]) if action in _ACTIONS else clean(action)
        images = count(part["image_id"].nunique())
        said.append(say("{what}: not done in {images} images, {reason}.", what=what, images=images, reason=reason))
    return [Bullets(tuple(said))] if said else []


def _overall(table: pd.DataFrame, region: str) -> Table:
    caption = say("Hiding {region}, over everybody", region=region)
    return _table(pick(table, attribute="overall", group=EVERYBODY), caption)


def _table(part: pd.DataFrame, caption: str, *, folded: bool = False) -> Table:
    """Measures, groups and models down; what was done across."""
    found: dict[tuple[str, str, str], dict[str, dict[str, Any]]] = {}
    for row in records(part):
        key = (str(row["measure"]), str(row["group"]), str(row["model"]))
        found.setdefault(key, {})[str(row["action"])] = row
    actions = [action for action in _ACTIONS if (part["action"] == action).any()]
    by_group = bool((part["attribute"] != "overall").any())
    order = list(_MEASURES)
    rows = []
    for measure, group, model in sorted(found, key=lambda key: order.index(key[0]) if key[0] in order else len(order)):
        own = found[measure, group, model]
        words = say(_MEASURES[measure]) if measure in _MEASURES else clean(measure)
        heads = [Cell(words), *([Cell(clean(group))] if by_group else [])]
        rows.append((*heads, Cell(clean(model)), *(_value(own.get(action)) for action in actions)))
    titles = [say("Measure"), *([say("Group")] if by_group else []), say("Model")]
    columns = [
        *(Column(title) for title in titles),
        *(Column(say(_ACTIONS[action]), numeric=True) for action in actions),
    ]
    return capped(caption, columns, rows, source="intervention_groups", note=say(_NOTE), folded=folded)


def _value(row: Mapping[str, Any] | None) -> Cell:
    if row is None:
        return muted(NOTHING)
    claim = claim_of("intervention_groups", row)
    if not known(row["value"]):
        return muted(status_words(row["status"]), claim)
    plain = row["measure"] == "changed" and row["action"] != _EFFECT
    bounds = interval(row["low"], row["high"]) if known(row["low"]) and known(row["high"]) else say("no interval")
    text = rate(row["value"]) if plain else signed(row["value"])
    p = f"\n{p_words(row['p'])}" if known(row["p"]) else ""
    return Cell(text, note=f"{bounds}, n={count(row['n'])}{p}", claim=claim)


def _forests(facts: Facts, part: pd.DataFrame, region: str, name: str) -> list[Block]:
    """The effect on predictions by group, one figure a model, all on one axis."""
    part, left = drawn_groups(facts, pick(part, action=_EFFECT, measure="changed"))
    ends = [float(value) for column in ("value", "low", "high") for value in part[column] if known(value)]
    bounds = (min([-0.05, *ends]), max([0.05, *ends]))
    figures = []
    for model in facts.run.models:
        rows = records(pick(part, model=model))
        if rows:
            names = {"model": clean(model), "region": clean(region), "attribute": clean(name)}
            title = say("{model}: effect of hiding {region}, by {attribute}", **names)
            lines = tuple(forest_row("intervention_groups", row, clean(row["group"])) for row in rows)
            axis = say("predictions changed: region minus elsewhere")
            figure = ForestFigure(title, axis, lines, 0.0, say("no effect"), bounds=bounds)
            figures.append(FigureBlock(figure, title))
    return [FigureRow(tuple(figures)), *left] if figures else []
