"""Concepts: whether a direction in a layer that tells images with a concept from others moves the explained score."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from audit.run.claims import claims_of
from reports.format import NOTHING, clean, count, known, p_value, p_words, rate, status_words
from reports.language import phrase, say
from reports.nodes import Bullets, Cell, Column, Paragraph, Section
from reports.sections.explained import crossed
from reports.sections.facts import Facts, records
from reports.sections.tables import capped, muted

__all__ = ["concepts"]

_TEXT = phrase(
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
    heads = (say("Concept"), say("Model"), say("Layer"), say("Class"), say("Group"))
    numbers = ("n", say("Share"), say("Range of the fits"), say("At random"), "p", say("Accuracy of the direction"))
    columns = [*(Column(head) for head in heads), *(Column(head, numeric=True) for head in numbers)]
    rows = [_row(row) for row in records(table)]
    folded, claims = len(rows) > len(said), claims_of("concepts", table)
    held = capped(say("Concepts"), columns, rows, source="concepts", folded=folded, claims=claims)
    return Section(
        "concepts", say("Concepts that move the scores"), (Paragraph(say(_TEXT)), Bullets(tuple(said)), held)
    )


def _sentence(row: Mapping[str, Any], reasons: list[str]) -> str:
    names = {"model": clean(row["model"]), "concept": clean(row["concept"])}
    about = say("{model}, {concept}", **names)
    if known(row["target_class"]):
        about = say("{model}, {concept} for {target}", **names, target=clean(row["target_class"]))
    if row["status"] != "ok" or not known(row["value"]):
        start = f"concept '{row['concept']}': "
        own = [reason.removeprefix(start) for reason in reasons if reason.startswith(start)]
        reason = clean(own[0]).rstrip(".") if own and row["status"] == "not_measured" else status_words(row["status"])
        return say("{about}: not measured ({reason}).", about=about, reason=reason)
    fits, at_random, p = "", "", ""
    if known(row["low"]) and known(row["high"]):
        fits = say(" ({low} to {high} over the fits)", low=rate(row["low"]), high=rate(row["high"]))
    if known(row["random"]):
        at_random = say(", along random directions in {share}", share=rate(row["random"]))
    if known(row["p"]):
        p = say("; {p}", p=p_words(row["p"]))
    return say(
        "{about}: the score rises along the concept in {share} of {images} images{fits}{random}{p}.",
        about=about,
        share=rate(row["value"]),
        images=count(row["n"]),
        fits=fits,
        random=at_random,
        p=p,
    )


def _row(row: Mapping[str, Any]) -> tuple[Cell, ...]:
    whole = not known(row["attribute"]) or row["attribute"] == "overall"
    group, spread = say("everybody"), muted(NOTHING)
    if not whole:
        group = f"{crossed(str(row['attribute']))}: {clean(row['group'])}"
    if known(row["low"]):
        spread = Cell(say("{low} to {high}", low=rate(row["low"]), high=rate(row["high"])))
    return (
        Cell(clean(row["concept"])),
        Cell(clean(row["model"])),
        Cell(clean(row["layer"]) if known(row["layer"]) else NOTHING),
        Cell(clean(row["target_class"]) if known(row["target_class"]) else NOTHING),
        Cell(group),
        Cell(count(row["n"])),
        Cell(rate(row["value"])) if known(row["value"]) else muted(status_words(row["status"])),
        spread,
        Cell(rate(row["random"])),
        Cell(p_value(row["p"])),
        Cell(rate(row["accuracy"])),
    )
