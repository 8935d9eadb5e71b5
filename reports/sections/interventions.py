"""What changes when a region is hidden: predictions before and after, beside equal areas hidden elsewhere, by group."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from audit.run.claims import claim_of
from reports.figures import ForestFigure
from reports.format import NOTHING, clean, count, interval, known, p_words, rate, signed, status_words
from reports.nodes import Block, Bullets, Callout, Cell, Column, FigureBlock, FigureRow, Paragraph, Section, Table
from reports.sections.explained import crossed, forest_row
from reports.sections.explained_gaps import EFFECT, effect_sentences, gap_table, gaps_of
from reports.sections.facts import EVERYBODY, Facts, capped, muted, pick, records

__all__ = ["interventions"]

_HIDE, _CONTROL, _SWAP, _EFFECT = "hide", "control", "swap", "effect"
_ACTIONS = {
    _HIDE: "Region hidden",
    _CONTROL: "Equal area elsewhere hidden",
    _EFFECT: "Effect: hidden less elsewhere",
    _SWAP: "Region of another image put in",
}
_MEASURES = {
    "changed": "predictions changed",
    "drop": "drop of the probability",
    "positive_rate_change": "change of the positive rate",
}
_MOST_DRAWN = 24
_LIMITS = (
    "An effect shows that, on these images, what the region showed took part in the prediction more than as large an "
    "area elsewhere did. It depends on what is shown instead of the region, and an image with a hole in it is unlike "
    "those that the model was trained on. It says nothing of images without the region, and a region without an "
    "effect may still matter together with others."
)
_NOTE = (
    "Below each value: its 95 % interval, the images that have it, and p of the effect. Drop of the probability: that "
    "of the prediction, before less after. Change of the positive rate: share predicted positive, after less before."
)


def interventions(facts: Facts) -> Section | None:
    """Table `intervention_groups`, region by region; None where no region was hidden."""
    table = facts.run.table("intervention_groups")
    if table.empty:
        return None
    blocks: list[Block] = [Paragraph(_text(facts)), Callout("What this does not show", _LIMITS)]
    named = [*facts.distrusted, *facts.regions, *(str(name) for name in table["region"].unique())]
    for place, region in enumerate([name for name in dict.fromkeys(named) if (table["region"] == name).any()]):
        blocks.append(_region(facts, pick(table, region=region), region, place))
    return Section("interventions", "What changes when a region is hidden", tuple(blocks))


def _text(facts: Facts) -> str:
    config = facts.config.get("interventions")
    config = config if isinstance(config, Mapping) else {}
    fills = {"mean": "the mean colour around it", "blur": "the image blurred"}
    fill = config.get("fill")
    instead = f" and {fills.get(str(fill), clean(fill))} shown instead" if known(fill) else ""
    return (
        f"Each region was hidden{instead}, and the model asked again. As a control, areas of the same shape and size "
        "were hidden elsewhere in the same image. The effect is the paired difference between the two, image by image: "
        "how much more often the prediction changes when the region is hidden than when as much is hidden elsewhere. "
        "Its p tests that there is no difference and is not corrected for the number of regions and groups."
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
        caption = f"Hiding {region}, by {crossed(name)}"
        blocks.append(_table(pick(table, attribute=name), caption, folded=True))
    return Section(f"intervention-{place}", f"Region {clean(region)}", tuple(blocks))


def _gaps(facts: Facts, own: pd.DataFrame, region: str) -> list[Block]:
    """How far the groups' effects are apart."""
    if not any(gap.comparable for gap in gaps_of(own)):
        return [Paragraph("The effects of the groups were not compared: fewer than two groups are large enough.")]
    text = "How far apart the groups' effects are, among all images and among those matched on label and confidence:"
    said = effect_sentences(facts, own[own["measure"] == f"effect_changed:{region}"])
    held = gap_table(facts, own, f"Effect of hiding {region}: gaps between groups", "Measure", methods=False)
    return [Paragraph(text), *said, held]


def _sentences(facts: Facts, table: pd.DataFrame) -> list[str]:
    """What hiding the region did, one sentence a model."""
    whole = pick(table, attribute="overall", measure="changed")
    said = []
    for model in facts.run.models:
        rows = {str(row["action"]): row for row in records(pick(whole, model=model))}
        hidden, effect = rows.get(_HIDE), rows.get(_EFFECT)
        if hidden is None or not known(hidden["value"]):
            reason = status_words(hidden["status"] if hidden else None)
            said.append(f"{clean(model)}: what hiding it changes was not measured ({reason}).")
            continue
        text = (
            f"{clean(model)}: hiding it changed a share of {_with_bounds(hidden)} of {count(hidden['n'])} predictions"
        )
        control = rows.get(_CONTROL)
        if control is not None and known(control["value"]):
            text += f", hiding an equal area elsewhere {_with_bounds(control)}"
        if effect is not None and known(effect["value"]):
            text += (
                f"; effect {signed(effect['value'])} {interval(effect['low'], effect['high'])}, {p_words(effect['p'])}"
            )
        else:
            text += "; there is no control to compare with, so no effect is given"
        said.append(f"{text}.")
    return said


def _with_bounds(row: Mapping[str, Any]) -> str:
    return f"{rate(row['value'])} {interval(row['low'], row['high'])}"


def _absent(facts: Facts, region: str) -> list[Block]:
    """Images in which there was nothing to hide, and changes that could not be made."""
    raw = facts.run.table("interventions", columns=["image_id", "region", "action", "status", "detail"])
    raw = raw[(raw["region"] == region) & (raw["status"] != "ok")]
    said = []
    for (action, detail), part in raw.groupby(["action", "detail"], sort=False, dropna=False):
        reason = clean(detail) if known(detail) and str(detail) else "no reason is recorded"
        what = _ACTIONS.get(str(action), clean(action))
        said.append(f"{what}: not done in {count(part['image_id'].nunique())} images, {reason}.")
    return [Bullets(tuple(said))] if said else []


def _overall(table: pd.DataFrame, region: str) -> Table:
    return _table(pick(table, attribute="overall", group=EVERYBODY), f"Hiding {region}, over everybody")


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
        heads = [Cell(_MEASURES.get(measure, clean(measure))), *([Cell(clean(group))] if by_group else [])]
        rows.append((*heads, Cell(clean(model)), *(_value(own.get(action)) for action in actions)))
    columns = [Column("Measure"), *([Column("Group")] if by_group else []), Column("Model")]
    columns += [Column(_ACTIONS[action], numeric=True) for action in actions]
    return capped(caption, columns, rows, source="intervention_groups", note=_NOTE, folded=folded)


def _value(row: Mapping[str, Any] | None) -> Cell:
    if row is None:
        return muted(NOTHING)
    claim = claim_of("intervention_groups", row)
    if not known(row["value"]):
        return muted(status_words(row["status"]), claim)
    plain = row["measure"] == "changed" and row["action"] != _EFFECT
    bounds = interval(row["low"], row["high"]) if known(row["low"]) and known(row["high"]) else "no interval"
    text = rate(row["value"]) if plain else signed(row["value"])
    p = f"\n{p_words(row['p'])}" if known(row["p"]) else ""
    return Cell(text, note=f"{bounds}, n={count(row['n'])}{p}", claim=claim)


def _forests(facts: Facts, part: pd.DataFrame, region: str, name: str) -> list[Block]:
    """The effect on predictions by group, one figure a model, all on one axis."""
    part = pick(part, action=_EFFECT, measure="changed")
    ends = [float(value) for column in ("value", "low", "high") for value in part[column] if known(value)]
    bounds = (min([-0.05, *ends]), max([0.05, *ends]))
    figures = []
    for model in facts.run.models:
        rows = records(pick(part, model=model))[:_MOST_DRAWN]
        if rows:
            title = f"{clean(model)}: effect of hiding {clean(region)}, by {clean(name)}"
            lines = tuple(forest_row("intervention_groups", row, clean(row["group"])) for row in rows)
            axis = "predictions changed: hidden less elsewhere"
            figure = ForestFigure(title, axis, lines, 0.0, "no effect", bounds=bounds)
            figures.append(FigureBlock(figure, title))
    return [FigureRow(tuple(figures))] if figures else []
