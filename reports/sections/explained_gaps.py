"""Gaps of table `quality_gaps`, plain beside matched: as rows of a table, and as sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from audit.run.claims import claim_of
from reports.format import NOTHING, clean, count, decimal, decimals, known, p_value, p_words, status_words
from reports.language import say
from reports.nodes import Block, Bullets, Cell, Column, Paragraph, Table
from reports.palette import stamp_word
from reports.sections.explained import crossed, leading
from reports.sections.facts import Facts, records
from reports.sections.measures import effect_words, measure_words
from reports.sections.tables import capped, muted

__all__ = ["EFFECT", "LEVEL", "SHARE", "Gap", "effect_sentences", "gap_table", "gaps_of", "share_sentences"]

SHARE, EFFECT = "share:", "effect_"
LEVEL = 0.05
"""Corrected p below which a gap is said to stand."""

_FOLD = 16
_MOST_SENTENCES = 24
_KEYS = ("model", "method", "measure", "attribute")


@dataclass(frozen=True)
class Gap:
    """The groups that are furthest apart in one measure: among all images, and among matched ones.

    Attributes
    ----------
    key : dict of str to str
        ``model, method, measure, attribute``.
    plain, matched : dict or None
        Rows of `quality_gaps`.
    """

    key: Mapping[str, str]
    plain: Mapping[str, Any] | None
    matched: Mapping[str, Any] | None

    @property
    def comparable(self) -> bool:
        """Whether either way of comparing gave a value."""
        return any(row is not None and known(row["value"]) for row in (self.plain, self.matched))

    @property
    def value(self) -> float:
        """The plain gap; the matched one where there is none."""
        rows = [row for row in (self.plain, self.matched) if row is not None and known(row["value"])]
        return float(rows[0]["value"]) if rows else float("-inf")

    @property
    def corrected(self) -> float:
        """The lower of the two corrected p-values; 2 without any."""
        rows = (self.plain, self.matched)
        return min([float(row["p_adjusted"]) for row in rows if row and known(row["p_adjusted"])], default=2.0)

    def stands(self, *, matched: bool) -> bool:
        """Whether the difference remains after correction."""
        row = self.matched if matched else self.plain
        return row is not None and known(row["p_adjusted"]) and float(row["p_adjusted"]) < LEVEL


def gaps_of(table: pd.DataFrame) -> list[Gap]:
    """Rows of `quality_gaps` by what they compare, in the order of the table."""
    found: dict[tuple[str, ...], dict[str, dict[str, Any]]] = {}
    for row in records(table):
        found.setdefault(tuple(str(row[name]) for name in _KEYS), {})[str(row["matching"])] = row
    return [
        Gap(dict(zip(_KEYS, key, strict=True)), rows.get("none"), rows.get("label_confidence"))
        for key, rows in found.items()
    ]


def gap_table(facts: Facts, table: pd.DataFrame, caption: str, first: str, *, methods: bool = True) -> Table:
    """Gaps with their intervals and p-values, those that stand first.

    Parameters
    ----------
    facts : Facts
    table : DataFrame
        Rows of `quality_gaps`.
    caption : str
    first : str
        Heading of the column that names the measure.
    methods : bool
        Whether rows are about explanation methods.
    """
    every = gaps_of(table)
    shown = sorted((gap for gap in every if gap.comparable), key=lambda gap: (gap.corrected, -gap.value))
    heads = [first, *([say("Method")] if methods else []), say("Model"), say("Attribute")]
    columns = [*(Column(head) for head in heads), Column(say("Gap, all images")), Column("p", numeric=True)]
    columns += [Column(say("Gap, matched images")), Column(say("p, matched"), numeric=True)]
    rows = [_row(facts, gap, methods=methods) for gap in shown]
    left, more = len(every) - len(shown), ""
    if left:
        more = say(" {count} comparisons have no value: fewer than two groups are large enough.", count=count(left))
    note = say(
        "Below each gap: the group with the higher and the one with the lower mean, and n. Below each p: the "
        "corrected p.{more}",
        more=more,
    )
    return capped(caption, columns, rows, source="quality_gaps", note=note, folded=len(rows) > _FOLD)


def _row(facts: Facts, gap: Gap, *, methods: bool) -> tuple[Cell, ...]:
    key = gap.key
    stamp = facts.stamp(key["model"], key["method"])
    method = [Cell(facts.method(key["method"]).title, stamp=stamp)] if methods else []
    return (
        Cell(measure_words(key["measure"]) if methods else effect_words(key["measure"])),
        *method,
        Cell(clean(key["model"])),
        Cell(crossed(key["attribute"])),
        *_cells(gap.plain),
        *_cells(gap.matched),
    )


def _cells(row: Mapping[str, Any] | None) -> tuple[Cell, Cell]:
    if row is None:
        return muted(status_words(None)), muted(NOTHING)
    claim = claim_of("quality_gaps", row)
    if not known(row["value"]):
        return muted(status_words(row["status"]), claim), muted(NOTHING, claim)
    sides = say(
        "{group} over {reference}, n={n}",
        group=clean(row["group"]),
        reference=clean(row["reference"]),
        n=count(row["n"]),
    )
    gap = Cell(f"{decimal(row['value'])} {decimals(row['low'], row['high'])}", note=sides, claim=claim)
    return gap, Cell(p_value(row["p"]), note=p_value(row["p_adjusted"]), claim=claim)


def share_sentences(facts: Facts, table: pd.DataFrame) -> list[Block]:
    """One sentence for each model, region and attribute: what was found over the methods, and with the leading one."""
    said = []
    for (model, measure, attribute), gaps in _grouped(facts, table):
        said.append(_found(facts, gaps, _about(model, clean(measure.removeprefix(SHARE)), attribute)))
    return _listed(said)


def effect_sentences(facts: Facts, table: pd.DataFrame) -> list[Block]:
    """One sentence for each model, effect and attribute."""
    said = []
    for (model, measure, attribute), gaps in _grouped(facts, table):
        about = _about(model, effect_words(measure), attribute)
        said.append(say("{about}: {compared}", about=about, compared=_both(gaps[0])))
    return _listed(said)


def _about(model: str, measure: str, attribute: str) -> str:
    return say("{model}, {measure} by {attribute}", model=clean(model), measure=measure, attribute=crossed(attribute))


def _grouped(facts: Facts, table: pd.DataFrame) -> Iterator[tuple[tuple[str, str, str], list[Gap]]]:
    found: dict[tuple[str, str, str], list[Gap]] = {}
    for gap in gaps_of(table[table["attribute"].isin(facts.names)]):
        if gap.comparable:
            found.setdefault((gap.key["model"], gap.key["measure"], gap.key["attribute"]), []).append(gap)
    first = [f"{SHARE}{name}" for name in facts.distrusted]
    return iter(sorted(found.items(), key=lambda item: item[0][1] not in first))


def _listed(said: list[str]) -> list[Block]:
    left = len(said) - _MOST_SENTENCES
    more = say("{count} further comparisons are in the table only.", count=count(left))
    notes = [Paragraph(more, "note")] if left > 0 else []
    return [Bullets(tuple(said[:_MOST_SENTENCES])), *notes] if said else []


def _found(facts: Facts, gaps: list[Gap], about: str) -> str:
    standing = [gap for gap in gaps if gap.stands(matched=False)]
    also = sum(gap.stands(matched=True) for gap in standing)
    only = sum(gap.stands(matched=True) for gap in gaps) - also
    order = leading(facts, [gap.key["method"] for gap in standing or gaps])
    chosen = next(gap for gap in standing or gaps if gap.key["method"] == order[0])
    methods = say("{count} methods", count=count(len(gaps))) if len(gaps) != 1 else say("1 method")
    if standing:
        found = say(
            "{standing} of {methods} show a gap that stands after correction, {also} of them also between matched "
            "images",
            standing=count(len(standing)),
            methods=methods,
            also=count(also),
        )
    else:
        found = say("none of {methods} shows a gap that stands after correction among all images", methods=methods)
    return say(
        "{about}: {found}{only}. With {method} ({stamp}): {compared}",
        about=about,
        found=found,
        only=say("; {count} between matched images only", count=count(only)) if only else "",
        method=facts.method(chosen.key["method"]).title,
        stamp=stamp_word(facts.stamp(chosen.key["model"], chosen.key["method"])).lower(),
        compared=_both(chosen),
    )


def _both(gap: Gap) -> str:
    """The two rows of a gap in words."""
    every, matched = _said(gap.plain, say("all images")), _said(gap.matched, say("matched images"))
    return say("{all}; {matched}.", all=every, matched=matched)


def _said(row: Mapping[str, Any] | None, among: str) -> str:
    if row is None or not known(row["value"]):
        reason = status_words(row["status"] if row is not None else None)
        return say("{images}: {reason}", images=among, reason=reason)
    return say(
        "{images}: {group} {gap} above {reference} {bounds}, corrected {p}",
        images=among,
        group=clean(row["group"]),
        gap=decimal(row["value"]),
        reference=clean(row["reference"]),
        bounds=decimals(row["low"], row["high"]),
        p=p_words(row["p_adjusted"]),
    )
