"""The models of one run on the same images: what changes, for whom, from the first to each other one.

Sentences are those of `paired`; a comparison of several runs is a document of its own (`reports.comparison`).
"""

from __future__ import annotations

from dataclasses import replace

from reports.format import clean
from reports.language import say
from reports.nodes import Folded, Paragraph, Section
from reports.sections.facts import Facts
from reports.sections.paired import Arm, PairedFacts, changes

__all__ = ["side_by_side"]

_MOST_PAIRS = 4


def side_by_side(facts: Facts) -> Section | None:
    """What table `paired` says of every two models; None for a run of one model."""
    table = facts.run.table("paired")
    if table.empty:
        return None
    clustered = bool(facts.run.table("images", columns=["cluster"])["cluster"].notna().any())
    sections = []
    pairs = table[["first", "second"]].drop_duplicates().itertuples(index=False)
    for place, (first, second) in enumerate(pairs):
        rows = table[(table["first"] == first) & (table["second"] == second)]
        before, after = (Arm(facts.run, name, name) for name in (str(first), str(second)))
        names = tuple(name for name in facts.names if (rows["attribute"] == name).any())
        paired = PairedFacts(before, after, rows, names, (), facts.positive, clustered)
        made = changes(paired, place, several=True)
        title = say("{first} against {second}", first=clean(first), second=clean(second))
        sections.append(replace(made, title=title))
    shown, rest = sections[:_MOST_PAIRS], tuple(sections[_MOST_PAIRS:])
    folded = [Folded(say("{number} further pairs of models", number=len(rest)), rest)] if rest else []
    text = say(
        "Before is the first model named, after the second, on the images that both predicted. The tests are paired, "
        "image by image, and corrected by Holm's method over the groups of an attribute. Table paired, and the report "
        "of the command faircam compare, hold the numbers of every group and intersection."
    )
    return Section("side-by-side", say("Models side by side"), (Paragraph(text, "note"), *shown, *folded))
