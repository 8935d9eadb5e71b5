"""What the passes cost: forward-equivalents against the least possible, and micro-batches that had to shrink."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from audit.run.claims import claims_of
from reports.format import NOTHING, clean, count, plain
from reports.nodes import Block, Cell, Column, Paragraph, Section
from reports.sections.facts import Facts, capped, records

__all__ = ["work"]


def work(facts: Facts) -> list[Block]:
    """Table `work` in one sentence, with its rows folded; nothing where it is empty."""
    table = facts.run.table("work")
    if table.empty:
        return []
    used, least = float(table["used"].sum()), float(table["least"].sum())
    text = f"The passes over the models took {count(used)} forward-equivalents; the least possible for what was asked "
    text += f"is {count(least)}{_times(used, least)}. A backward pass counts as one forward pass."
    rows = [
        (
            Cell(clean(row["model"])),
            Cell(plain(str(row["stage"]))),
            Cell(count(row["images"])),
            Cell(count(row["used"])),
            Cell(count(row["least"])),
            Cell(f"{float(row['used']) / float(row['least']):.3f}" if float(row["least"]) > 0 else NOTHING),
            Cell(count(row["micro_batch"])),
        )
        for row in records(table)
    ]
    columns = [Column("Model"), Column("Stage")]
    heads = ("Images", "Forward-equivalents", "Least possible", "Times the least", "Smallest micro-batch")
    columns += [Column(head, numeric=True) for head in heads]
    claims = claims_of("work", table)
    held = capped("Work done, by model and stage", columns, rows, source="work", folded=True, claims=claims)
    return [Section("work", "Work done", (Paragraph(text), *_shrunk(facts, table), held))]


def _times(used: float, least: float) -> str:
    return f", so {used / least:.2f} times the least" if least > 0 else ""


def _shrunk(facts: Facts, table: pd.DataFrame) -> list[Block]:
    """Where memory ran short, so that fewer images were computed at once than the config asks."""
    execution = facts.config.get("execution")
    asked = execution.get("micro_batch") if isinstance(execution, Mapping) else None
    if not isinstance(asked, int):
        return []
    small = table[table["micro_batch"] < asked]
    said = [f"{plain(str(r['stage']))} of {clean(r['model'])}: {count(r['micro_batch'])}" for r in records(small)]
    if not said:
        return []
    text = f"Memory was short: fewer images than the {count(asked)} asked for were computed at once. {'; '.join(said)}."
    return [Paragraph(text)]
