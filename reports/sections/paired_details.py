"""A comparison of two models on the same images: who was compared, every group's numbers, methods, limits, sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from audit.fairness.metrics import METRICS
from audit.fairness.paired import LEFT_OUT
from audit.fairness.rows import OVERALL
from audit.run.claims import claim_of
from reports.figures import ForestFigure, ForestRow
from reports.format import NOTHING, clean, count, interval, known, metric_words, p_value, rate, signed, status_words
from reports.language import say
from reports.nodes import Block, Bullets, Cell, Column, FigureBlock, FigureRow, KeyValues, Paragraph, Section, Table
from reports.sections.paired import PairedFacts, crossed
from reports.sections.tables import capped, interval_name, muted

__all__ = ["compared", "details", "limits", "methods", "metric_details", "sources"]

_MOST_DRAWN = 30


def _difference() -> tuple[Column, ...]:
    heads = ["n", say("Clusters"), say("Before"), say("After"), say("Change"), say("95 % interval")]
    heads += [say("Right only before"), say("Right only after"), say("p, adjusted")]
    return (*(Column(head, numeric=True) for head in heads), Column(say("Interval by")))


def compared(facts: PairedFacts, place: int, *, several: bool) -> Section:
    """How many images take part, and how many of each group do not."""
    whole = facts.rows(OVERALL, "accuracy", None)[0]
    left = facts.rows(OVERALL, LEFT_OUT, None)[0]
    neither = int(left["n"]) - int(left["only_first"]) - int(left["only_second"])
    items = [
        (say("Images compared"), count(whole["n"])),
        (say("Independent units"), count(whole["clusters"]) if facts.clustered else say("every image counts as one")),
        (say("Left out: predicted only before"), count(left["only_first"])),
        (say("Left out: predicted only after"), count(left["only_second"])),
        (say("Left out: predicted by neither"), count(neither)),
    ]
    if facts.dropped:
        items.append((say("Attributes in one run only"), say(", ").join(clean(name) for name in facts.dropped)))
    rows: list[tuple[Cell, ...]] = []
    for attribute in facts.attributes:
        for row in facts.rows(attribute, LEFT_OUT, None):
            if int(row["n"]):
                claim = claim_of("paired", row)
                numbers = [Cell(count(row[name]), claim=claim) for name in ("n", "only_first", "only_second")]
                rows.append((Cell(clean(row["group"])), Cell(crossed(attribute)), *numbers))
    blocks: list[Block] = [KeyValues(tuple(items))]
    if rows:
        heads = [Column(name, numeric=True) for name in (say("Left out"), say("Only before"), say("Only after"))]
        columns = (Column(say("Group")), Column(say("Attribute")), *heads)
        blocks.append(capped(say("Images left out, by group"), columns, rows, source="paired"))
    else:
        blocks.append(Paragraph(say("No image of any group was left out.") if facts.attributes else ""))
    title = say("Who was compared: {models}", models=facts.title) if several else say("Who was compared")
    return Section(f"compared-{place}", title, tuple(blocks))


def details(facts: PairedFacts, place: int, *, several: bool) -> Section:
    """Every group, metric by metric, with figures and tables."""
    blocks: list[Block] = [
        Paragraph(
            say(
                "Point: change from before to after. Bar: its interval, each for itself. Dashed line: no change. To "
                "the right is better, but for a false positive rate, where it is worse."
            ),
            "note",
        ),
    ]
    for number, attribute in enumerate(facts.attributes or (OVERALL,)):
        figures, tables = [], []
        for metric, class_name in facts.metrics:
            figure, table = metric_details(facts, attribute, metric, class_name)
            figures.append(figure)
            tables.append(table)
        title = say("By {attribute}", attribute=crossed(attribute)) if facts.attributes else say("Everybody")
        blocks.append(Section(f"details-{place}-{number}", title, (FigureRow(tuple(figures)), *tables)))
    title = say("Every group: {models}", models=facts.title) if several else say("Every group")
    return Section(f"details-{place}", title, tuple(blocks))


def metric_details(
    facts: PairedFacts, attribute: str, metric: str, class_name: str | None
) -> tuple[FigureBlock, Table]:
    """One metric of every group of an attribute, as a figure and as a table."""
    figure = FigureBlock(_forest(facts, attribute, metric, class_name), metric_words(metric, class_name))
    return figure, _table(facts, attribute, metric, class_name)


def _forest(facts: PairedFacts, attribute: str, metric: str, class_name: str | None) -> ForestFigure:
    whole = facts.rows(OVERALL, metric, class_name)
    own = facts.rows(attribute, metric, class_name) if attribute != OVERALL else []
    harm = -1 if METRICS[metric].direction == "lower" else 1
    own.sort(key=lambda row: (not known(row["difference"]), harm * float(row["difference"] or 0)))
    rows = [*whole, *own[:_MOST_DRAWN]]
    ends = [abs(float(row[name])) for row in rows for name in ("low", "high", "difference") if known(row[name])]
    reach = min(1.0, -(-max(ends, default=0.1) * 20 // 1) / 20)
    change = say("change of {metric}", metric=metric_words(metric, class_name))
    return ForestFigure(
        title=say("{model}: {name}", model=facts.title, name=change),
        axis=change,
        rows=tuple(_line(row, "whole" if place < len(whole) else "none") for place, row in enumerate(rows)),
        reference=0.0,
        reference_label=say("no change"),
        bounds=(-max(reach, 0.05), max(reach, 0.05)),
    )


def _line(row: Mapping[str, Any], emphasis: Any) -> ForestRow:
    numbers = {name: float(row[name]) if known(row[name]) else None for name in ("difference", "low", "high")}
    return ForestRow(
        label=say("Everybody") if emphasis == "whole" else clean(row["group"]),
        n=int(row["n"]),
        clusters=int(row["clusters"]),
        value=numbers["difference"],
        low=numbers["low"],
        high=numbers["high"],
        status=status_words(row["status"]),
        emphasis=emphasis,
        claim=claim_of("paired", row),
    )


def _table(facts: PairedFacts, attribute: str, metric: str, class_name: str | None) -> Table:
    whole = facts.rows(OVERALL, metric, class_name)
    own = facts.rows(attribute, metric, class_name) if attribute != OVERALL else []
    change = facts.range_row(attribute, metric, class_name)
    shown = [(Cell(say("Everybody"), "strong"), row) for row in whole]
    shown += [(Cell(clean(row["group"])), row) for row in own]
    shown += [(Cell(say("Range over the groups"), "strong"), change)] if change is not None else []
    rows, claims = [(head, *_cells(row)) for head, row in shown], [claim_of("paired", row) for _, row in shown]
    words = metric_words(metric, class_name)
    about = {"metric": words[0].upper() + words[1:], "attribute": crossed(attribute)}
    caption = say("{metric}, by {attribute}: before and after", **about)
    columns = (Column(crossed(attribute)), *_difference())
    return capped(caption, columns, rows, source="paired", claims=claims)


def _cells(row: Mapping[str, Any]) -> tuple[Cell, ...]:
    valued = known(row["difference"])
    reason = status_words(row["status"])
    has_bounds = known(row["low"]) and known(row["high"])
    name = str(row["method"])
    method = interval_name(name)
    return (
        Cell(count(row["n"])),
        Cell(count(row["clusters"])),
        Cell(rate(row["first_value"])) if valued else muted(reason),
        Cell(rate(row["second_value"])) if valued else muted(NOTHING),
        Cell(signed(row["difference"])) if valued else muted(NOTHING),
        Cell(interval(row["low"], row["high"])) if has_bounds else muted(reason if valued else NOTHING),
        Cell(count(row["only_first"])),
        Cell(count(row["only_second"])),
        Cell(p_value(row["p_adjusted"])),
        muted(method if has_bounds else NOTHING),
    )


def methods(pairs: Sequence[PairedFacts]) -> Section:
    """How the differences were measured."""
    clustered = any(pair.clustered for pair in pairs)
    items = [
        say(
            "Both models are compared on the very same images, so what makes an image hard cancels out. An image "
            "counts where both models gave a usable prediction; the others are listed above."
        ),
        say(
            "Change: rate after minus rate before. Its interval joins the two rates' Wilson intervals by their "
            "correlation (Newcombe 1998, paired, method 10)."
        ),
        say(
            "p: McNemar's exact test, which looks at the images that only one of the two got right. Adjusted by Holm's "
            "method over the groups of one attribute on one metric; not over attributes, metrics or pairs of models."
        ),
        say(
            "Range over the groups: largest minus smallest rate, over groups of at least 10 independent units. The "
            "interval of its change is a paired bootstrap's; p exchanges the two models at random. The gap is called "
            "smaller or larger only where interval and p agree."
        ),
    ]
    if clustered:
        text = say(
            "Images come in clusters, which are treated as the independent units: the interval is built from "
            "Korn–Graubard intervals and the clusters' own correlation, p exchanges the two models in whole clusters, "
            "and whole clusters are drawn in the bootstrap."
        )
        items.append(text)
    return Section("methods", say("How it was measured"), (Bullets(tuple(items)),))


def limits(pairs: Sequence[PairedFacts]) -> Section:
    """What a comparison does not show."""
    items = [
        say(
            "It does not show why the models differ, nor that the change in training caused it: a second training with "
            "another seed also gives another model. Trainings with several seeds would tell the two apart."
        ),
        say(
            "A group not shown to differ is not shown to be served alike: see how large a loss its interval leaves "
            "open."
        ),
        say("An observed range is never 0 and is larger the smaller the groups are, also where all are served alike."),
        say("It holds for these images and the labels and groups they were given."),
    ]
    if any(pair.positive is None for pair in pairs):
        text = say("No positive class was declared, so true and false positive rates of one class are not compared.")
        items.append(text)
    return Section("limits", say("What this comparison does not show"), (Bullets(tuple(items)),))


def sources(pairs: Sequence[PairedFacts]) -> Section:
    """Runs and models that were read."""
    blocks: list[Block] = []
    seen: set[str] = set()
    for arm in [arm for pair in pairs for arm in (pair.first, pair.second)]:
        if arm.name in seen:
            continue
        seen.add(arm.name)
        record = arm.run.record
        digest = arm.run.model(arm.model).get("sha256")
        items = (
            (say("Model"), clean(arm.model)),
            (say("SHA-256 of its file"), clean(digest) if known(digest) else say("not recorded")),
            (say("Run"), f"{clean(arm.run.name)}, {clean(record.get('run_id', say('not recorded')))}"),
            (say("Measured"), clean(record.get("created", say("not recorded")))),
            ("faircam", clean(record.get("faircam", say("not recorded")))),
        )
        blocks.append(KeyValues(items, clean(arm.name)))
    return Section("sources", say("Where this comes from"), tuple(blocks))
