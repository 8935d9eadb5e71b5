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
from audit.run.claims import claim_of
from reports.format import clean, count, known, metric_words, p_value, rate, signed, status_words
from reports.language import say
from reports.nodes import Block, Bullets, Callout, Cell, Column, Paragraph, Section, Table
from reports.sections.facts import records
from reports.sections.tables import capped, muted

__all__ = ["Arm", "PairedFacts", "attribute_changes", "changes", "crossed", "overall_changes"]

_MOST_NAMED = 8


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
        return [row for row in self._parts.get((attribute, metric, class_name), []) if row["group"] != RANGE]

    def range_row(self, attribute: str, metric: str, class_name: str | None) -> dict[str, Any] | None:
        """Row of the range over an attribute's groups."""
        found = self._parts.get((attribute, metric, class_name), [])
        return next((row for row in found if row["group"] == RANGE), None)

    @cached_property
    def _parts(self) -> dict[tuple[str, str, str | None], list[dict[str, Any]]]:
        """Rows by attribute, metric and class: sections ask for each of them several times."""
        found: dict[tuple[str, str, str | None], list[dict[str, Any]]] = {}
        for row in records(self.table):
            key = str(row["attribute"]), str(row["metric"]), str(row["class"]) if known(row["class"]) else None
            found.setdefault(key, []).append(row)
        return found


def changes(facts: PairedFacts, place: int, *, several: bool) -> Section:
    """What improved, for whom, and what it cost others, in sentences."""
    blocks: list[Block] = [*overall_changes(facts)]
    if not facts.attributes:
        blocks.append(
            Callout(say("No groups"), say("No attribute is in both runs, so nothing can be said about groups."))
        )
    for number, attribute in enumerate(facts.attributes):
        title = say("By {attribute}", attribute=crossed(attribute))
        blocks.append(Section(f"changed-{place}-{number}", title, tuple(attribute_changes(facts, attribute))))
    title = say("What changed: {models}", models=facts.title) if several else say("What changed, for whom")
    return Section(f"changed-{place}", title, tuple(blocks))


def overall_changes(facts: PairedFacts) -> list[Paragraph]:
    """What became of everybody, a sentence a metric; that on accuracy leads."""
    found = []
    for metric, class_name in facts.metrics:
        kind: Literal["lead", "body"] = "lead" if metric == "accuracy" else "body"
        whole = facts.rows(OVERALL, metric, class_name)
        found += [Paragraph(_overall_sentence(facts, row), kind) for row in whole]
    return found


def _overall_sentence(facts: PairedFacts, row: Mapping[str, Any]) -> str:
    words = say(METRICS[str(row["metric"])].words, **{"class": row["class"] if known(row["class"]) else None})
    if not known(row["difference"]):
        reason = status_words(row["status"])
        return say("Everybody: the {metric} cannot be compared ({reason}).", metric=words, reason=reason)
    verdict = {1: say("better"), -1: say("worse"), 0: say("not shown to differ")}[_shown(row, facts.alpha)]
    return say(
        "Everybody: the {metric} goes from {before} to {after}, a change of {change} ({span}; {size}; right only "
        "after: {only_after}, right only before: {only_before}, adjusted p {p}): {verdict}.",
        metric=words,
        before=rate(row["first_value"]),
        after=rate(row["second_value"]),
        change=signed(row["difference"]),
        span=_span(row, facts.alpha) if known(row["low"]) else say("no interval"),
        size=_size(row, clustered=facts.clustered),
        only_after=count(row["only_second"]),
        only_before=count(row["only_first"]),
        p=_p(row["p_adjusted"]),
        verdict=verdict,
    )


def _span(row: Mapping[str, Any], alpha: float) -> str:
    level = f"{100 * (1 - alpha):g}"
    return say("{level} % interval {low} to {high}", level=level, low=signed(row["low"]), high=signed(row["high"]))


def _size(row: Mapping[str, Any], *, clustered: bool) -> str:
    if clustered:
        return say("{images} images in {clusters} clusters", images=count(row["n"]), clusters=count(row["clusters"]))
    return say("{images} images", images=count(row["n"]))


def _p(value: Any) -> str:
    text = p_value(value)
    return text if text.startswith("<") else f"= {text}"


def _shown(row: Mapping[str, Any], alpha: float) -> int:
    """1 where a change for the better is shown, -1 for the worse, 0 where neither is."""
    if not known(row["p_adjusted"]) or float(row["p_adjusted"]) >= alpha or not known(row["difference"]):
        return 0
    change = float(row["difference"]) * (-1 if METRICS[str(row["metric"])].direction == "lower" else 1)
    return (change > 0) - (change < 0)


def attribute_changes(facts: PairedFacts, attribute: str) -> list[Block]:
    """Who of an attribute's groups is better off, who is worse off, and what became of the gaps between them."""
    said = [sentence for key in facts.metrics if (sentence := _served(facts, attribute, *key))]
    gaps = [_gap_sentence(facts, attribute, *key) for key in facts.metrics]
    return [
        Bullets(tuple(said)),
        _gained(facts, attribute),
        Paragraph(say("The gap between the groups:")),
        Bullets(tuple(gaps)),
    ]


def _served(facts: PairedFacts, attribute: str, metric: str, class_name: str | None) -> str:
    """For whom a rate got better, for whom worse, for whom neither is shown, and how large a loss that leaves open."""
    valued = [row for row in facts.rows(attribute, metric, class_name) if known(row["difference"])]
    if not valued:
        return ""
    sides = {side: [row for row in valued if _shown(row, facts.alpha) == side] for side in (1, -1, 0)}
    parts = [say("better for {groups}", groups=_named(sides[1])), say("worse for {groups}", groups=_named(sides[-1]))]
    parts += [say("not shown to differ for {groups}", groups=_named(sides[0]))] if sides[0] else []
    words = metric_words(metric, class_name)
    said = [say("{metric}: {changes}.", metric=words[0].upper() + words[1:], changes=say("; ").join(parts))]
    most = max(sides[0], key=_loss, default=None)
    if most is not None and _loss(most) > 0:
        loss, group = f"{_loss(most):.3f}", clean(most["group"])
        said.append(say("That leaves open a loss of up to {loss}, for {group}.", loss=loss, group=group))
    return say(" ").join(said)


def _named(rows: Sequence[Mapping[str, Any]]) -> str:
    names = [clean(row["group"]) for row in rows[:_MOST_NAMED]]
    more = [say("{number} more", number=count(len(rows) - _MOST_NAMED))] if len(rows) > _MOST_NAMED else []
    return say(", ").join([*names, *more]) or say("nobody")


def _loss(row: Mapping[str, Any]) -> float:
    """The largest loss that an interval leaves open; 0 where it has none."""
    if not known(row["low"]) or not known(row["high"]):
        return 0.0
    return float(row["high"]) if METRICS[str(row["metric"])].direction == "lower" else -float(row["low"])


def _gained(facts: PairedFacts, attribute: str) -> Table:
    """A row a group, those that lost most first; a column a metric."""
    found: dict[str, list[Cell]] = {}
    least: dict[str, float] = {}
    for metric, class_name in facts.metrics:
        harm = -1 if METRICS[metric].direction == "lower" else 1
        for row in facts.rows(attribute, metric, class_name):
            name = clean(row["group"])
            found.setdefault(name, []).append(_change(row, facts.alpha))
            gain = harm * float(row["difference"]) if known(row["difference"]) else 0.0
            least[name] = min(gain, least.get(name, gain))
    rows = [(Cell(name), *found[name]) for name in sorted(found, key=lambda name: least[name])]
    heads = [metric_words(*key) for key in facts.metrics]
    columns = [Column(crossed(attribute)), *(Column(head[0].upper() + head[1:], numeric=True) for head in heads)]
    caption = say("Who gained and who lost, by {attribute}", attribute=crossed(attribute))
    note = say(
        "Change from before to after; below it whether that is shown to be for the better or the worse (adjusted p "
        "below {alpha}), both values, the interval and n. Of a false positive rate less is better. Those that gained "
        "least stand first.",
        alpha=f"{facts.alpha:g}",
    )
    return capped(caption, columns, rows, source="paired", note=note, folded=" x " in attribute)


def _change(row: Mapping[str, Any], alpha: float) -> Cell:
    claim = claim_of("paired", row)
    if not known(row["difference"]):
        return muted(status_words(row["status"]), claim)
    word = {1: say("▲ better"), -1: say("▼ worse"), 0: say("not shown to differ")}[_shown(row, alpha)]
    values = say("{before} to {after}", before=rate(row["first_value"]), after=rate(row["second_value"]))
    bounds = f"[{signed(row['low'])}, {signed(row['high'])}]" if known(row["low"]) else say("no interval")
    note = f"{word}\n{values}\n{bounds}, n={count(row['n'])}"
    return Cell(signed(row["difference"]), "strong" if _shown(row, alpha) else "plain", note=note, claim=claim)


def _gap_sentence(facts: PairedFacts, attribute: str, metric: str, class_name: str | None) -> str:
    words = metric_words(metric, class_name)
    row = facts.range_row(attribute, metric, class_name)
    if row is None or not known(row["difference"]):
        reason = status_words(row["status"] if row else None)
        about = {"metric": words, "reason": reason}
        return say("{metric}: not compared, as fewer than two groups are large enough ({reason}).", **about)
    shown = known(row["low"]) and not float(row["low"]) <= 0 <= float(row["high"]) and float(row["p"]) < facts.alpha
    verdict = say("not shown to change")
    if shown:
        verdict = say("smaller after") if float(row["difference"]) < 0 else say("larger after")
    return say(
        "{metric}: the observed range over the groups goes from {before} to {after}, a change of {change} ({span}, p "
        "{p}): {verdict}.",
        metric=words,
        before=rate(row["first_value"]),
        after=rate(row["second_value"]),
        change=signed(row["difference"]),
        span=_span(row, facts.alpha),
        p=_p(row["p"]),
        verdict=verdict,
    )


def crossed(attribute: str) -> str:
    """An attribute's name; that of an intersection with a sign between its parts."""
    return clean(attribute).replace(" x ", " × ")
