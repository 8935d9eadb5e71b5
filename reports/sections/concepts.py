"""Concepts: whether a direction in a layer that tells images with a concept from others moves the explained score."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from audit.run.claims import claims_of
from reports.format import NOTHING, clean, count, known, p_value, p_words, rate, status_words
from reports.nodes import Bullets, Cell, Column, Paragraph, Section
from reports.sections.explained import crossed
from reports.sections.facts import Facts, capped, muted, records

__all__ = ["concepts"]

_TEXT = (
    "A linear direction in the named layer was fitted, several times over, to tell images with a concept from images "
    "without it (TCAV). The value is the share of images whose explained score rises along that direction, mean over "
    "the fits, with the smallest and the largest of them, which is no confidence interval; beside it, the same along "
    "directions that tell one random set of images from another. p is that of a rank test of the mean slope along the "
    "concept among those along random directions. Accuracy says how well the direction tells the concept on images it "
    "was not fitted to: where that is no better than chance, there is no direction to speak of. A score that rises "
    "along a direction does not show that the model knows the concept: whatever goes along with it in its images "
    "lies on the direction too."
)


def concepts(facts: Facts) -> Section | None:
    """Table `concepts`; None where it is empty."""
    table = facts.run.table("concepts")
    if table.empty:
        return None
    whole = table[table["attribute"].isna() | (table["attribute"] == "overall")]
    problems = facts.run.table("problems")
    reasons = [str(text) for text in problems[problems["stage"] == "concepts"]["detail"].dropna()]
    said = [_sentence(row, reasons) for row in records(whole)]
    heads = ("n", "Share", "Range of the fits", "At random", "p", "Accuracy of the direction")
    columns = [Column("Concept"), Column("Model"), Column("Layer"), Column("Class"), Column("Group")]
    columns += [Column(head, numeric=True) for head in heads]
    rows = [_row(row) for row in records(table)]
    folded, claims = len(rows) > len(said), claims_of("concepts", table)
    held = capped("Concepts", columns, rows, source="concepts", folded=folded, claims=claims)
    return Section("concepts", "Concepts that move the scores", (Paragraph(_TEXT), Bullets(tuple(said)), held))


def _sentence(row: Mapping[str, Any], reasons: list[str]) -> str:
    target = f" for {clean(row['target_class'])}" if known(row["target_class"]) else ""
    about = f"{clean(row['model'])}, {clean(row['concept'])}{target}"
    if row["status"] != "ok" or not known(row["value"]):
        start = f"concept '{row['concept']}': "
        own = [reason.removeprefix(start) for reason in reasons if reason.startswith(start)]
        reason = clean(own[0]).rstrip(".") if own and row["status"] == "not_measured" else status_words(row["status"])
        return f"{about}: not measured ({reason})."
    text = f"{about}: the score rises along the concept in {rate(row['value'])} of {count(row['n'])} images"
    if known(row["low"]) and known(row["high"]):
        text += f" ({rate(row['low'])} to {rate(row['high'])} over the fits)"
    text += f", along random directions in {rate(row['random'])}" if known(row["random"]) else ""
    return f"{text}; {p_words(row['p'])}." if known(row["p"]) else f"{text}."


def _row(row: Mapping[str, Any]) -> tuple[Cell, ...]:
    whole = not known(row["attribute"]) or row["attribute"] == "overall"
    group = "everybody" if whole else f"{crossed(str(row['attribute']))}: {clean(row['group'])}"
    return (
        Cell(clean(row["concept"])),
        Cell(clean(row["model"])),
        Cell(clean(row["layer"]) if known(row["layer"]) else NOTHING),
        Cell(clean(row["target_class"]) if known(row["target_class"]) else NOTHING),
        Cell(group),
        Cell(count(row["n"])),
        Cell(rate(row["value"])) if known(row["value"]) else muted(status_words(row["status"])),
        Cell(f"{rate(row['low'])} to {rate(row['high'])}") if known(row["low"]) else muted(NOTHING),
        Cell(rate(row["random"])),
        Cell(p_value(row["p"])),
        Cell(rate(row["accuracy"])),
    )
