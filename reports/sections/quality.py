"""Quality of the maps: every measure over everybody, its gaps between groups, what was not measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from audit.findings.stamps import REFERENCES
from audit.run.claims import claim_of
from reports.format import clean, count, decimal, decimals, known, status_words
from reports.language import phrase, say
from reports.nodes import Block, Bullets, Callout, Cell, Column, Folded, Paragraph, Section, Table
from reports.sections.explained import crossed
from reports.sections.explained_gaps import EFFECT, LEVEL, SHARE, gap_table, gaps_of
from reports.sections.facts import Facts, pick, records
from reports.sections.measures import FAMILIES, Family, in_order, measure_words, towards
from reports.sections.tables import capped, first_of, muted

__all__ = ["quality"]

_OPEN_ROWS = 20
_MOST_ACROSS = 8
_MOST_REASONS = 12
_TEXT = phrase(
    "What each stamp rests on, method by method: means over the images on which quality was measured, with 95 % "
    "intervals and n. Below the methods stand maps that know nothing of the model: a value that they reach too can be "
    "had without looking at the model."
)
_GAPS = phrase(
    "Whether maps are better evidence on some groups' images than on others'. The two groups that are furthest apart "
    "are compared among all images, and among images matched on label and the model's confidence; intervals and "
    "p-values are computed as for the region shares above. A gap says nothing of how well the model serves a group."
)


def quality(facts: Facts) -> Section | None:
    """Tables `quality_groups` and `quality_gaps` but for region shares and interventions; None without any."""
    groups, gaps = facts.run.table("quality_groups"), facts.run.table("quality_gaps")
    groups, gaps = _own(groups), _own(gaps)
    if groups.empty and gaps.empty:
        return None
    blocks: list[Block] = [Paragraph(say(_TEXT))]
    whole = pick(groups, attribute="overall")
    for place, family in enumerate(FAMILIES):
        blocks += _family(facts, whole, family, folded=place > 0)
    blocks += _rest(facts, whole)
    blocks += [*_gaps(facts, gaps), *_details(facts, groups, gaps), *_not_measured(facts)]
    return Section("quality", say("Quality of the maps"), tuple(blocks))


def _own(table: pd.DataFrame) -> pd.DataFrame:
    return table[~table["measure"].astype(str).str.startswith((SHARE, EFFECT))]


def _family(facts: Facts, whole: pd.DataFrame, family: Family, *, folded: bool) -> list[Block]:
    part = whole[whole["measure"].astype(str).str.startswith(family.parts)]
    if part.empty:
        return []
    return [_matrix(facts, part, say(family.title), say(family.text), folded=folded)]


def _rest(facts: Facts, whole: pd.DataFrame) -> list[Block]:
    """Measures that no family names, such as those of a plug-in."""
    every = tuple(start for family in FAMILIES for start in family.parts)
    part = whole[~whole["measure"].astype(str).str.startswith(every)]
    return [_matrix(facts, part, say("Further measures"), "", folded=True)] if len(part) else []


def _matrix(facts: Facts, part: pd.DataFrame, caption: str, note: str, *, folded: bool) -> Table:
    """Methods and models down, measures across; the maps that know nothing last."""
    measures = in_order([str(name) for name in part["measure"].drop_duplicates()])
    found = {(str(r["method"]), str(r["model"]), str(r["measure"])): r for r in records(part)}
    keys = list(dict.fromkeys((method, model) for method, model, _ in found))
    keys.sort(key=lambda key: (key[0] in REFERENCES, _place(facts.methods, key[0]), _place(facts.run.models, key[1])))
    rows = []
    for method, model in keys:
        head = _method(facts, method, model)
        cells = [_cell(found.get((method, model, measure))) for measure in measures]
        rows.append((head, Cell(clean(model)), *cells))
    columns = [Column(say("Method")), Column(say("Model")), *(Column(_head(name), numeric=True) for name in measures)]
    return capped(caption, columns, rows, source="quality_groups", note=note, folded=folded or len(rows) > _OPEN_ROWS)


def _head(measure: str) -> str:
    words, way = measure_words(measure), towards(measure)
    return say("{measure} ({way})", measure=words, way=way) if way else words


def _place(names: list[str], name: str) -> int:
    return names.index(name) if name in names else len(names)


def _cell(row: Mapping[str, Any] | None) -> Cell:
    """A mean with its interval and n below."""
    if row is None:
        return muted(say("does not apply"))
    claim = claim_of("quality_groups", row)
    if not known(row["value"]):
        return muted(status_words(row["status"]), claim)
    bounds = decimals(row["low"], row["high"]) if known(row["low"]) and known(row["high"]) else say("no interval")
    return Cell(decimal(row["value"]), note=f"{bounds}\nn={count(row['n'])}", claim=claim)


def _gaps(facts: Facts, table: pd.DataFrame) -> list[Block]:
    methods = table[~table["method"].isin(REFERENCES)]
    compared = [gap for gap in gaps_of(methods) if gap.comparable]
    if not compared:
        return []
    blocks: list[Block] = [Paragraph(say(_GAPS)), _standing(facts, methods)]
    standing = {tuple(gap.key.values()) for gap in compared if gap.stands(matched=False) or gap.stands(matched=True)}
    if standing:
        names = ["model", "method", "measure", "attribute"]
        rows = methods[[key in standing for key in methods[names].astype(str).itertuples(index=False, name=None)]]
        caption = say("Quality of the maps: gaps that stand after correction")
        blocks.append(gap_table(facts, rows, caption, say("Measure")))
    return [Section("quality-gaps", say("Quality by group"), tuple(blocks))]


def _standing(facts: Facts, table: pd.DataFrame) -> Table:
    """How many comparisons stand, by model and attribute."""
    rows = []
    for model in facts.run.models:
        for name in [*facts.names, *facts.crossings]:
            gaps = [gap for gap in gaps_of(pick(table, model=model, attribute=name)) if gap.comparable]
            if not gaps:
                continue
            plain = [gap for gap in gaps if gap.stands(matched=False)]
            both = sum(gap.stands(matched=True) for gap in plain)
            only = sum(gap.stands(matched=True) for gap in gaps) - both
            numbers = (len(gaps), len(plain), both, only)
            rows.append((Cell(clean(model)), Cell(crossed(name)), *(Cell(count(number)) for number in numbers)))
    heads = (say("Comparisons"), say("Stand, all images"), say("Of these, also matched"), say("Stand, matched only"))
    columns = [Column(say("Model")), Column(say("Attribute")), *(Column(head, numeric=True) for head in heads)]
    note = say(
        "A comparison is one method and measure; it stands where its corrected p is below {level}.", level=f"{LEVEL:g}"
    )
    return capped(say("Quality of the maps: how many gaps stand"), columns, rows, source="quality_gaps", note=note)


def _details(facts: Facts, groups: pd.DataFrame, gaps: pd.DataFrame) -> list[Block]:
    """Every group of every attribute, and every gap, folded away."""
    names = [name for name in facts.names if (groups["attribute"] == name).any()]
    inside: list[Block] = []
    for name in names:
        caption = say("Quality of the maps, by {attribute}", attribute=clean(name))
        inside.append(_by_group(facts, pick(groups, attribute=name), caption))
    if len(gaps):
        inside.append(gap_table(facts, gaps, say("Quality of the maps: every gap"), say("Measure")))
    if inside and facts.crossings:
        inside.append(Paragraph(say("Means by intersection are in table quality_groups of the run."), "note"))
    return [Folded(say("Quality of the maps, by group"), tuple(inside))] if inside else []


def _by_group(facts: Facts, part: pd.DataFrame, caption: str) -> Table:
    """Measures, methods and models down, groups across; the groups down too where they are many."""
    names = [str(name) for name in part["group"].drop_duplicates()]
    across = names if len(names) <= _MOST_ACROSS else []
    keys = ("measure", "method", "model", *(() if across else ("group",)))
    measures, total = (
        in_order([str(name) for name in part["measure"].unique()]),
        len(part[list(keys)].drop_duplicates()),
    )
    found: dict[tuple[str, str, str], dict[str, Mapping[str, Any]]] = {}
    for row in records(first_of(part, measures, keys)):
        key = (str(row["measure"]), str(row["method"]), str(row["model"]))
        found.setdefault(key, {})[str(row["group"])] = row
    rows: list[tuple[Cell, ...]] = []
    for measure in measures:
        for key in [key for key in found if key[0] == measure]:
            heads = (Cell(measure_words(measure)), _method(facts, *key[1:]), Cell(clean(key[2])))
            if across:
                rows.append((*heads, *(_cell(found[key].get(name)) for name in across)))
            else:
                rows += [(*heads, Cell(clean(name)), _cell(row)) for name, row in found[key].items()]
    columns = [Column(say("Measure")), Column(say("Method")), Column(say("Model"))]
    columns += [Column(clean(name), numeric=True) for name in across]
    columns += [] if across else [Column(say("Group")), Column(say("Mean"), numeric=True)]
    return capped(caption, columns, rows, source="quality_groups", folded=True, total=total)


def _method(facts: Facts, method: str, model: str) -> Cell:
    """A method with its stamp; a map that knows nothing of the model has none."""
    stamp = "" if method in REFERENCES else facts.stamp(model, method)
    return Cell(facts.method(method).title, stamp=stamp)


def _not_measured(facts: Facts) -> list[Block]:
    """Measures that were planned and not made, by their reasons."""
    table = facts.run.table("quality", filters=[("status", "==", "not_measured")])
    if table.empty:
        return []
    said = []
    keys = ["model", "method", "measure", "detail"]
    for (model, method, measure, detail), part in table.groupby(keys, sort=False, dropna=False):
        text = say(
            "{method} on {model}, {measure}: {reason} ({images} images).",
            method=facts.method(method).title,
            model=clean(model),
            measure=measure_words(str(measure)),
            reason=clean(detail) if known(detail) and str(detail) else say("no reason is recorded"),
            images=count(part["image_id"].nunique()),
        )
        said.append(text)
    left = len(said) - _MOST_REASONS
    if left > 0:
        more = say("{count} further measures are in table quality of the run.", count=count(left))
        said = [*said[:_MOST_REASONS], more]
    return [Callout(say("Not measured"), say("Measures of quality that were not made:")), Bullets(tuple(said))]
