"""What the passes cost: forward-equivalents against the least possible, and micro-batches that had to shrink."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from audit.run.claims import claims_of
from reports.format import NOTHING, clean, count, plain
from reports.language import say
from reports.nodes import Block, Cell, Column, Paragraph, Section
from reports.sections.facts import Facts, records
from reports.sections.tables import capped

__all__ = ["work"]


def work(facts: Facts) -> list[Block]:
    """Table `work` in one sentence, with its rows folded; nothing where it is empty."""
    table = facts.run.table("work")
    if table.empty:
        return []
    used, least = float(table["used"].sum()), float(table["least"].sum())
    text = say(
        "The passes over the models took {used} forward-equivalents; the least possible for what was asked is "
        "{least}{times}. A backward pass counts as one forward pass.",
        used=count(used),
        least=count(least),
        times=say(", so {times} times the least", times=f"{used / least:.2f}") if least > 0 else "",
    )
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
    columns = [Column(say("Model")), Column(say("Stage"))]
    heads = [say("Images"), say("Forward-equivalents"), say("Least possible"), say("Times the least")]
    heads.append(say("Smallest micro-batch"))
    columns += [Column(head, numeric=True) for head in heads]
    claims = claims_of("work", table)
    held = capped(say("Work done, by model and stage"), columns, rows, source="work", folded=True, claims=claims)
    return [Section("work", say("Work done"), (Paragraph(text), *_shrunk(facts, table), held))]


def _shrunk(facts: Facts, table: pd.DataFrame) -> list[Block]:
    """Where memory ran short, so that fewer images were computed at once than the config asks."""
    execution = facts.config.get("execution")
    asked = execution.get("micro_batch") if isinstance(execution, Mapping) else None
    if not isinstance(asked, int):
        return []
    small = table[table["micro_batch"] < asked]
    said = [
        say("{stage} of {model}: {number}", stage=plain(stage), model=clean(model), number=count(number))
        for stage, model, number in small[["stage", "model", "micro_batch"]].itertuples(index=False)
    ]
    if not said:
        return []
    text = say(
        "Memory was short: fewer images than the {asked} asked for were computed at once. {stages}.",
        asked=count(asked),
        stages=say("; ").join(said),
    )
    return [Paragraph(text)]
