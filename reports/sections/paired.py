"""A comparison of two models on the same images: its facts, and the section on what changed for whom.

The numbers of every group, methods and limits are in `paired_details`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import pandas as pd

from audit.fairness.metrics import METRICS
from audit.fairness.paired import LEFT_OUT, RANGE
from audit.fairness.rows import OVERALL
from audit.run import Run
from reports.format import clean, count, known, metric_words, p_value, rate, signed, status_words
from reports.nodes import Block, Bullets, Callout, Paragraph, Section
from reports.sections.facts import pick, records

__all__ = ["Arm", "PairedFacts", "changes", "crossed"]


@dataclass(frozen=True)
class Arm:
    """A model of a run, and the name it is called by in the comparison."""

    run: Run
    model: str
    name: str


@dataclass(frozen=True)
class PairedFacts:
    """Two models compared, and what sections ask of that.

    Attributes
    ----------
    first, second : Arm
        Before and after.
    table : DataFrame
        Rows of table `paired`.
    attributes : tuple of str
        Attributes and intersections compared along.
    dropped : tuple of str
        Attributes that only one of the runs has.
    positive : str or None
        Declared positive class.
    clustered : bool
        Whether images come in clusters.
    alpha : float
        One minus the confidence level.
    """

    first: Arm
    second: Arm
    table: pd.DataFrame
    attributes: tuple[str, ...]
    dropped: tuple[str, ...]
    positive: str | None
    clustered: bool
    alpha: float = 0.05

    @property
    def title(self) -> str:
        """Before and after, by name."""
        return f"{clean(self.first.name)} → {clean(self.second.name)}"

    @cached_property
    def metrics(self) -> list[tuple[str, str | None]]:
        """Metrics compared, with their class."""
        rows = records(self.table.loc[self.table["metric"] != LEFT_OUT, ["metric", "class"]].drop_duplicates())
        return [(str(row["metric"]), str(row["class"]) if known(row["class"]) else None) for row in rows]

    def rows(self, attribute: str, metric: str, class_name: str | None) -> list[dict[str, Any]]:
        """Rows of the groups of an attribute, without that of the range."""
        part = pick(self.table, attribute=attribute, metric=metric, class_=class_name)
        return records(part[part["group"] != RANGE])

    def range_row(self, attribute: str, metric: str, class_name: str | None) -> dict[str, Any] | None:
        """Row of the range over an attribute's groups."""
        found = records(pick(self.table, attribute=attribute, metric=metric, class_=class_name, group=RANGE))
        return found[0] if found else None


def changes(facts: PairedFacts, place: int, *, several: bool) -> Section:
    """What improved, for whom, and what it cost others, in sentences."""
    blocks: list[Block] = []
    for metric, class_name in facts.metrics:
        kind: Literal["lead", "body"] = "lead" if metric == "accuracy" else "body"
        whole = facts.rows(OVERALL, metric, class_name)
        blocks.extend(Paragraph(_overall_sentence(facts, row), kind) for row in whole)
    if not facts.attributes:
        blocks.append(Callout("No groups", "No attribute is in both runs, so nothing can be said about groups."))
    for number, attribute in enumerate(facts.attributes):
        title = f"By {crossed(attribute)}"
        blocks.append(Section(f"changed-{place}-{number}", title, tuple(_attribute_changes(facts, attribute))))
    title = f"What changed: {facts.title}" if several else "What changed, for whom"
    return Section(f"changed-{place}", title, tuple(blocks))


def _overall_sentence(facts: PairedFacts, row: Mapping[str, Any]) -> str:
    words = METRICS[str(row["metric"])].say(row["class"] if known(row["class"]) else None)
    if not known(row["difference"]):
        return f"Everybody: the {words} cannot be compared ({status_words(row['status'])})."
    verdict = {1: "better", -1: "worse", 0: "not shown to differ"}[_shown(row, facts.alpha)]
    return f"Everybody: the {words} goes {_from_to(row, facts)}: {verdict}."


def _from_to(row: Mapping[str, Any], facts: PairedFacts) -> str:
    level = f"{100 * (1 - facts.alpha):g} %"
    size = f"{count(row['n'])} images" + (f" in {count(row['clusters'])} clusters" if facts.clustered else "")
    span = f"{level} interval {signed(row['low'])} to {signed(row['high'])}" if known(row["low"]) else "no interval"
    alone = (
        f"right only after: {count(row['only_second'])}, right only before: {count(row['only_first'])}, "
        f"adjusted p {_p(row['p_adjusted'])}"
    )
    return (
        f"from {rate(row['first_value'])} to {rate(row['second_value'])}, a change of {signed(row['difference'])} "
        f"({span}; {size}; {alone})"
    )


def _p(value: Any) -> str:
    text = p_value(value)
    return text if text.startswith("<") else f"= {text}"


def _shown(row: Mapping[str, Any], alpha: float) -> int:
    """1 where a change for the better is shown, -1 for the worse, 0 where neither is."""
    if not known(row["p_adjusted"]) or float(row["p_adjusted"]) >= alpha or not known(row["difference"]):
        return 0
    change = float(row["difference"]) * (-1 if METRICS[str(row["metric"])].direction == "lower" else 1)
    return (change > 0) - (change < 0)


def _attribute_changes(facts: PairedFacts, attribute: str) -> list[Block]:
    better: list[str] = []
    worse: list[str] = []
    rest: list[str] = []
    for metric, class_name in facts.metrics:
        words = metric_words(metric, class_name)
        valued = [row for row in facts.rows(attribute, metric, class_name) if known(row["difference"])]
        for row in valued:
            shown = _shown(row, facts.alpha)
            if shown:
                sentence = f"{clean(row['group'])}: {words} {_from_to(row, facts)}."
                (better if shown > 0 else worse).append(sentence)
        undecided = [row for row in valued if not _shown(row, facts.alpha)]
        if undecided:
            rest.append(_undecided(words, metric, undecided, len(valued)))
    blocks: list[Block] = [
        Paragraph("Served better after:" if better else "For no group was a change for the better shown."),
        Bullets(tuple(better)),
        Paragraph("Served worse after, the cost:" if worse else "For no group was a change for the worse shown."),
        Bullets(tuple(worse)),
        Paragraph("Not shown to differ, and what that leaves open:" if rest else "Every group was shown to differ."),
        Bullets(tuple(rest)),
        Paragraph("The gap between the groups:"),
        Bullets(tuple(_gap_sentence(facts, attribute, *key) for key in facts.metrics)),
    ]
    return [block for block in blocks if not isinstance(block, Bullets) or block.items]


def _undecided(words: str, metric: str, rows: Sequence[Mapping[str, Any]], total: int) -> str:
    """How many groups were not shown to differ, and the largest loss that their intervals leave open."""
    names = ", ".join(clean(row["group"]) for row in rows[:8]) + (" and others" if len(rows) > 8 else "")
    lower = METRICS[metric].direction == "lower"
    losses = [
        (float(row["high"]) if lower else -float(row["low"]), clean(row["group"])) for row in rows if known(row["low"])
    ]
    text = f"{words}: {len(rows)} of {total} groups ({names})."
    if losses and max(losses)[0] > 0:
        most, group = max(losses)
        text += f" Their intervals leave open a loss of up to {most:.3f}, for {group}."
    return text


def _gap_sentence(facts: PairedFacts, attribute: str, metric: str, class_name: str | None) -> str:
    words = metric_words(metric, class_name)
    row = facts.range_row(attribute, metric, class_name)
    if row is None or not known(row["difference"]):
        reason = status_words(row["status"] if row else None)
        return f"{words}: not compared, as fewer than two groups are large enough ({reason})."
    shown = known(row["low"]) and not float(row["low"]) <= 0 <= float(row["high"]) and float(row["p"]) < facts.alpha
    verdict = (
        "not shown to change" if not shown else "smaller after" if float(row["difference"]) < 0 else "larger after"
    )
    return (
        f"{words}: the observed range over the groups goes from {rate(row['first_value'])} to "
        f"{rate(row['second_value'])}, a change of {signed(row['difference'])} ({100 * (1 - facts.alpha):g} % interval "
        f"{signed(row['low'])} to {signed(row['high'])}, p {_p(row['p'])}): {verdict}."
    )


def crossed(attribute: str) -> str:
    """An attribute's name; that of an intersection with a sign between its parts."""
    return clean(attribute).replace(" x ", " × ")
