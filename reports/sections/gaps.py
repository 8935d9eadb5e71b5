"""Gaps between groups: ranges, ratios, criteria made of several rates, and the worst group against everybody else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from audit.run.claims import claims_of
from reports.format import NOTHING, clean, criterion_words, interval, known, p_value, rate, status_words
from reports.language import phrase, say
from reports.nodes import Block, Cell, Column, Paragraph, Section, Table
from reports.sections.facts import Facts, records
from reports.sections.tables import capped, group_words, interval_name, muted

__all__ = ["gap_rows", "gaps_section"]

_COMPOSITES = ("equalised_odds", "average_odds")
_TEXT = phrase(
    "A gap is the best group's value minus the worst group's. Some gap is seen between any groups, also where the "
    "model serves all of them alike; interval and p say how far it can be told from chance. p tests that there is no "
    "gap at all. Corrected p is Benjamini and Hochberg's over all rows of a model: it bounds the share of false "
    "alarms among what is pointed out, for exploration. Verdicts rest on each rule's own correction. “Would have "
    "shown” is the smallest true gap that groups of these sizes would have shown in four of five audits: smaller ones "
    "can be there unseen."
)


def gap_rows(table: pd.DataFrame, *compare: str) -> pd.DataFrame:
    """Rows of table `gaps` with one of these comparisons; where a run names none, its rows are ranges."""
    return table[table["compare"].astype(object).where(table["compare"].notna(), "range").isin(compare)]


def gaps_section(facts: Facts) -> Section:
    """Every row of the table, each in the table it belongs to."""
    table = facts.run.table("gaps")
    if table.empty:
        text = say("No gap between groups was computed: there are no groups, or fewer than two with a value.")
        return Section("gaps", say("Gaps between groups"), (Paragraph(text),))
    composite = table["metric"].isin(_COMPOSITES)
    ranges = gap_rows(table[~composite], "range")
    wanted = {(metric, class_name or "") for metric, class_name in facts.headline}
    keys = zip(ranges["metric"], ranges["class"], strict=True)
    drawn = pd.Series([(m, c if known(c) else "") in wanted for m, c in keys], index=ranges.index, dtype=bool)
    ratios = gap_rows(table[~composite], "ratio")
    criteria = pd.concat([ratios, table[composite]])
    against = gap_rows(table[~composite], "overall")
    rest = table.drop(index=[*ranges.index, *criteria.index, *against.index])
    blocks: list[Block] = [Paragraph(say(_TEXT)), _table(ranges[drawn], say("Gaps in the metrics drawn above"))]
    folded = (
        (criteria, say("Gaps in criteria made of several rates, and ratios")),
        (against, say("Gaps of the worst group against everybody else")),
        (pd.concat([ranges[~drawn], rest]), say("Gaps in further metrics")),
    )
    blocks += [_table(part, caption, folded=True) for part, caption in folded if len(part)]
    return Section("gaps", say("Gaps between groups"), tuple(blocks))


def _table(part: pd.DataFrame, caption: str, *, folded: bool = False) -> Table:
    ordered = part.assign(value=pd.to_numeric(part["value"])).sort_values("value", ascending=False, na_position="last")
    names = (say("Metric"), say("Model"), say("Attribute"), say("Worst group"), say("Against"))
    numbers = (say("Gap"), say("95 % interval"), "p", say("Corrected p"), say("Would have shown"))
    columns = [*(Column(name) for name in names), *(Column(name, numeric=True) for name in numbers)]
    methods = dict.fromkeys(interval_name(name) for name in part["method"] if known(name) and name != "none")
    note = say("Intervals by: {methods}.", methods=say("; ").join(methods)) if methods else ""
    rows, claims = [_row(row) for row in records(ordered)], claims_of("gaps", ordered)
    return capped(caption, columns, rows, source="gaps", note=note, folded=folded, claims=claims)


def _row(row: Mapping[str, Any]) -> tuple[Cell, ...]:
    fine = known(row["value"])
    bounds = known(row["low"]) and known(row["high"])
    return (
        Cell(criterion_words(row["metric"], row["class"], row.get("compare"))),
        Cell(clean(row["model"])),
        Cell(clean(row["attribute"]).replace(" x ", " × ")),
        Cell(clean(row["group"]) if known(row["group"]) else NOTHING),
        Cell(group_words(row["reference"]) if known(row["reference"]) else NOTHING),
        Cell(rate(row["value"])) if fine else muted(status_words(row["status"])),
        Cell(interval(row["low"], row["high"])) if bounds else muted(NOTHING if not fine else say("no interval")),
        Cell(p_value(row["p"])),
        Cell(p_value(row["p_adjusted"])),
        Cell(rate(row["detectable"])),
    )
