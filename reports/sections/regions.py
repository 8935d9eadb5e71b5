"""Share of the attribution that falls into each region: over everybody, by group, and the gaps between groups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from audit.run.claims import claim_of, claims_of
from reports.figures import ForestFigure, ForestRow
from reports.format import NOTHING, clean, count, interval, known, rate, status_words
from reports.language import phrase, say
from reports.nodes import Block, Callout, Cell, Column, FigureBlock, FigureRow, Paragraph, Section, Table
from reports.sections.explained import asked, crossed, drawn_groups, forest_row, leading, method_cell
from reports.sections.explained_gaps import LEVEL, SHARE, gap_table, gaps_of, share_sentences
from reports.sections.facts import Facts, pick, records
from reports.sections.tables import MOST_ROWS, capped, muted, value_cells, value_columns

__all__ = ["regions"]

_MOST_ROWS_DRAWN = 24
_MOST_REGIONS_DRAWN = 4
_OPEN_ROWS = 32
_TEXT = phrase(
    "Share of the absolute attribution that falls into a region, mean over images. The upright tick is the "
    "region's mean share of the image: what an even spread would give. A share says where a map lies, not "
    "that the decision would change without the region. Beside each method stands its stamp on that model."
)
_GAPS = phrase(
    "How far the groups' mean shares are apart: the two groups that are furthest apart, among all explained images, "
    "and among images matched on label and on the model's confidence, so that groups are compared on images that the "
    "model finds alike. Each interval is one of the largest difference over all groups (pairwise Welch intervals of "
    "cluster means at Bonferroni's level), so it starts at 0 where no difference is shown. p is that of a permutation "
    "test of no difference between any groups; corrected p is Holm's over the measures and attributes of the same "
    "model, method and matching; a gap stands where it is below {level}. A gap says that attribution falls on the "
    "region more in one group's images, not that decisions rest on it."
)


def regions(facts: Facts) -> Section:
    """Figures and tables of table `region_groups`, then the gaps of table `quality_gaps` in the same shares."""
    table = facts.run.table("region_groups")
    title = say("Share of attribution by region")
    if table.empty:
        text = say("The data name no regions, so it was not measured how much of the attribution falls where.")
        if facts.regions:
            text = say(
                "Region shares were not computed, so it was not measured how much of the attribution falls where."
            )
        return Section("regions", title, (Callout(say("Not measured"), text),))
    blocks: list[Block] = [Paragraph(say(_TEXT))]
    if facts.distrusted:
        names = say(", ").join(clean(name) for name in facts.distrusted)
        text = say("The configuration says that the decision ought not to rest on: {regions}.", regions=names)
        blocks.append(Callout(say("Regions that should not matter"), text))
    blocks += _overall(facts, table)
    blocks.append(_matrix(facts, pick(table, attribute="overall"), say("Region shares over everybody")))
    for name in [name for name in [*facts.names, *facts.crossings] if (table["attribute"] == name).any()]:
        blocks += _by_group(facts, table, name)
    return Section("regions", title, (*blocks, *_gaps(facts)))


def _drawn(facts: Facts, table: pd.DataFrame, most: int | None = _MOST_REGIONS_DRAWN) -> list[str]:
    """Regions, those that should not matter first; at most so many."""
    named = [*facts.distrusted, *facts.regions, *(str(name) for name in table["region"].dropna().unique())]
    found = [name for name in dict.fromkeys(named) if (table["region"] == name).any()]
    return found[:most]


def _overall(facts: Facts, table: pd.DataFrame) -> list[Block]:
    drawn, whole = _drawn(facts, table), pick(table, attribute="overall")
    blocks: list[Block] = []
    for region in drawn:
        figures = []
        for model in facts.run.models:
            rows = records(pick(whole, model=model, region=region))[:_MOST_ROWS_DRAWN]
            if rows:
                names = {"model": clean(model), "region": clean(region)}
                title = say("{model}: share of attribution in {region}, by method", **names)
                lines = [_line(row, *_labelled(facts, row)) for row in rows]
                figures.append(FigureBlock(_figure(title, lines), title))
        blocks.append(FigureRow(tuple(figures)))
    left = whole["region"].nunique() - len(drawn)
    if left > 0:
        blocks.append(Paragraph(say("{count} further regions are in the table only.", count=count(left)), "note"))
    return blocks


def _labelled(facts: Facts, row: Mapping[str, Any]) -> tuple[str, str]:
    return facts.method(row["method"]).title, facts.stamp(row["model"], row["method"])


def _figure(title: str, lines: list[ForestRow]) -> ForestFigure:
    highs = [value for line in lines for value in (line.high, line.value, line.mark) if value is not None]
    top = min(1.0, max([0.1, *highs]) * 1.08)
    return ForestFigure(
        title=title,
        axis=say("share of absolute attribution"),
        rows=tuple(lines),
        mark_label=say("area of the region"),
        bounds=(0.0, top),
    )


def _by_group(facts: Facts, table: pd.DataFrame, name: str) -> list[Block]:
    part = pick(table, attribute=name)
    blocks: list[Block] = []
    method = next(iter(leading(facts, [str(method) for method in part["method"].unique()])))
    if name in facts.names:
        for region in facts.distrusted or facts.regions[:2]:
            own, left = drawn_groups(facts, pick(part, region=region, method=method))
            figures = []
            for model in facts.run.models:
                rows = records(pick(own, model=model))
                if rows:
                    names = {"model": clean(model), "region": clean(region), "method": facts.method(method).title}
                    title = say("{model}: {region}, {method}, by {attribute}", **names, attribute=clean(name))
                    lines = [_line(row, clean(row["group"])) for row in rows]
                    figures.append(FigureBlock(_figure(title, lines), title, facts.stamp(model, method)))
            if figures:
                blocks += [FigureRow(tuple(figures)), *left]
    caption = say("Region shares, by {attribute}", attribute=crossed(name))
    blocks.append(_table(facts, part, name, caption, folded=True))
    return blocks


def _line(row: Mapping[str, Any], label: str, stamp: str = "") -> ForestRow:
    return forest_row("region_groups", row, label, stamp, mark=float(row["area"]) if known(row["area"]) else None)


def _matrix(facts: Facts, whole: pd.DataFrame, caption: str) -> Table:
    """Regions and methods down, models across, each share with its interval, n and stamp."""
    found = {(str(r["region"]), str(r["method"]), str(r["model"])): r for r in records(whole)}
    keys = dict.fromkeys((region, method) for region, method, _ in found)
    regions_, methods = _drawn(facts, whole, most=None), facts.methods
    place = {name: number for number, name in enumerate([*regions_, *methods])}
    models = [name for name in facts.run.models if (whole["model"] == name).any()]
    rows = []
    for region, method in sorted(keys, key=lambda key: [place.get(name, len(place)) for name in key]):
        own = [found.get((region, method, model)) for model in models]
        area = _area(own)
        cells = [_share(facts, row, area=not area.claim) for row in own]
        rows.append((Cell(clean(region)), Cell(facts.method(method).title), *cells, area))
    columns = [Column(say("Region")), Column(say("Method")), *(Column(clean(model)) for model in models)]
    columns.append(Column(say("Area of region"), numeric=True))
    note = say("Below each share: its 95 % interval and n. {asked}", asked=asked(facts))
    return capped(caption, columns, rows, source="region_groups", note=note, folded=len(rows) > _OPEN_ROWS)


def _area(rows: list[dict[str, Any] | None]) -> Cell:
    """The area of a region, where it is one for all models: they can have maps of other images."""
    held = [row for row in rows if row is not None and known(row["area"])]
    if not held:
        return muted(NOTHING)
    if len({rate(row["area"]) for row in held}) > 1:
        return muted(say("see each model"))
    return Cell(rate(held[0]["area"]), claim=claim_of("region_groups", held[0]))


def _share(facts: Facts, row: Mapping[str, Any] | None, *, area: bool) -> Cell:
    if row is None:
        return muted(NOTHING)
    stamp, claim = facts.stamp(row["model"], row["method"]), claim_of("region_groups", row)
    if not known(row["value"]):
        return Cell(status_words(row["status"]), "muted", stamp=stamp, claim=claim)
    bounds = interval(row["low"], row["high"]) if known(row["low"]) and known(row["high"]) else say("no interval")
    note = f"{bounds}, n={count(row['n'])}"
    if area and known(row["area"]):
        note = say("{interval}, n={n}, area {area}", interval=bounds, n=count(row["n"]), area=rate(row["area"]))
    return Cell(rate(row["value"]), note=note, stamp=stamp, claim=claim)


def _table(facts: Facts, table: pd.DataFrame, attribute: str, caption: str, *, folded: bool = False) -> Table:
    part = pick(table, attribute=attribute)
    part = part.sort_values(["region", "group", "method", "model"], kind="stable")
    rows: list[tuple[Cell, ...]] = []
    shown = part.head(MOST_ROWS)
    for row in records(shown):
        area = Cell(rate(row["area"])) if known(row["area"]) else muted(status_words(row["status"]))
        heads = (Cell(clean(row["region"])), Cell(clean(row["group"])), Cell(clean(row["model"])))
        rows.append((*heads, method_cell(facts, row), *value_cells(row), area))
    titles = (say("Region"), say("Group"), say("Model"), say("Method"))
    columns = [*(Column(title) for title in titles), *value_columns(), Column(say("Area of region"), numeric=True)]
    note, claims, total = asked(facts), claims_of("region_groups", shown), len(part)
    return capped(caption, columns, rows, source="region_groups", note=note, folded=folded, claims=claims, total=total)


def _gaps(facts: Facts) -> list[Block]:
    table = facts.run.table("quality_gaps")
    part = table[table["measure"].astype(str).str.startswith(SHARE)]
    title = say("Region shares: gaps between groups")
    if not any(gap.comparable for gap in gaps_of(part)):
        return []
    blocks = (
        Paragraph(say(_GAPS, level=f"{LEVEL:g}")),
        *share_sentences(facts, part),
        gap_table(facts, part, title, say("Region")),
    )
    return [Section("region-gaps", title, blocks)]
