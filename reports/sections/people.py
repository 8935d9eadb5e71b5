"""Who is in the data: counts by group and label, where the labels come from, who is missing and what failed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from audit.fairness.coverage import coverage_table
from audit.run.claims import claim_of
from reports.format import NOTHING, clean, count, known, plain, share, status_words
from reports.language import phrase, say
from reports.nodes import Block, Callout, Cell, Column, KeyValues, Paragraph, Section, Table
from reports.sections.facts import MISSING, Facts, records
from reports.sections.tables import MOST_ROWS, capped, group_words, muted

__all__ = ["people"]

_MOST_LABELS = 8
_MOST_NAMED = 20


def people(facts: Facts) -> Section:
    """Counts of everybody, then of each attribute, then every problem."""
    images = facts.run.table("images")
    if images.empty:
        return Section("data", say("Who is in the data"), _without_rows(facts))
    blocks: list[Block] = [_summary(facts, images)]
    if not facts.names:
        text = say("No group attribute was given, so nothing can be said about differences between groups.")
        blocks.append(Callout(say("No groups"), text))
    coverage = _coverage(facts)
    for attribute in facts.attributes:
        column = f"attr_{attribute['name']}"
        if column in images:
            blocks.append(_attribute(facts, images, attribute, coverage))
    for crossing in [name for name in coverage["attribute"].unique() if name not in (*facts.names, "overall")]:
        part = coverage[coverage["attribute"] == crossing]
        blocks.append(_counts(facts, part, clean(crossing).replace(" x ", " × "), folded=True))
    blocks.append(_problems(facts))
    return Section("data", say("Who is in the data"), tuple(blocks))


def _without_rows(facts: Facts) -> tuple[Block, ...]:
    """What can be said where there are no rows: at a level that withholds them, the counts that are published."""
    level = (facts.run.record.get("disclosure") or {}).get("level")
    coverage = facts.run.table("coverage")
    if level is None or coverage.empty:
        return (Callout(say("No images"), say("The run holds no table of images.")),)
    text = say(
        "This report was made at the level '{level}': rows about single images are withheld. Counts of groups "
        "are shown where they are published; small ones, and others from which they could be worked out, are not.",
        level=clean(level),
    )
    names = [str(name) for name in coverage["attribute"].unique()]
    return (
        Callout(say("Rows are withheld"), text),
        *(_published(coverage[coverage["attribute"] == name]) for name in names),
    )


def _published(part: pd.DataFrame) -> Table:
    """Counts as they are published: those that are suppressed say so."""
    name = clean(part["attribute"].iloc[0]).replace(" x ", " × ")
    rows = []
    for row in records(part):
        label = clean(row["label"]) if known(row["label"]) else say("every class")
        numbers = [count(row[key]) if known(row[key]) else status_words("suppressed") for key in ("images", "clusters")]
        rows.append((Cell(group_words(row["group"])), Cell(label), *(Cell(text) for text in numbers)))
    numeric = (Column(head, numeric=True) for head in (say("Images"), say("Clusters")))
    columns = (Column(name), Column(say("Class")), *numeric)
    claims = [claim_of("coverage", row) for row in records(part)]
    return capped(
        say("Images by {attribute}", attribute=name),
        columns,
        rows,
        source="coverage",
        claims=claims,
        folded=" × " in name,
    )


def _summary(facts: Facts, images: pd.DataFrame) -> KeyValues:
    planned = facts.data.get("planned", len(images))
    statuses = images["status"].value_counts()
    usable = int(statuses.get("ok", 0))
    failed = [
        say("{number} {reason}", number=count(n), reason=status_words(name))
        for name, n in statuses.items()
        if name != "ok"
    ]
    labels = images["label"].value_counts(dropna=False)
    items = [
        (say("Images planned"), count(planned)),
        (say("Images used"), f"{count(usable)} ({share(usable, int(planned))})"),
        (say("Images not used"), say("; ").join(failed) or say("none")),
        (say("Labels"), _labels(labels)),
        (say("Positive class"), facts.positive or say("none declared, so no positive-class rates are drawn")),
    ]
    cluster = facts.data.get("cluster")
    if known(cluster) and images["cluster"].notna().any():
        found = int(images["cluster"].nunique())
        units = say("{number} clusters, by {cluster}", number=count(found), cluster=clean(cluster))
    else:
        units = say("no cluster was declared; every image counts as independent")
    return KeyValues((*items, (say("Independent units"), units)))


def _labels(labels: pd.Series[int]) -> str:
    """How many images each class has; of many classes, the ends of the list."""
    said = [f"{clean(name)} {count(n)}" for name, n in labels.items()]
    if len(said) <= _MOST_NAMED:
        return say(", ").join(said)
    return say("{number} classes, from {most} to {least}", number=count(len(said)), most=said[0], least=said[-1])


def _attribute(facts: Facts, images: pd.DataFrame, attribute: Mapping[str, Any], coverage: pd.DataFrame) -> Section:
    name = clean(attribute["name"])
    origin = attribute.get("provenance") or "not stated"
    groups = images[f"attr_{attribute['name']}"].fillna(MISSING)
    missing = int((groups == MISSING).sum())
    said = [say("Source of the group labels: {origin}.", origin=_origin(origin))]
    if origin == "not stated":
        said.append(say("Whether they were self-reported, perceived or inferred is not known."))
    if missing:
        numbers = {"missing": count(missing), "images": count(len(images))}
        text = say("{missing} of {images} images have no group here; they are kept as a group of their own.", **numbers)
        said.append(text)
    else:
        said.append(say("Every image has a group."))
    bins = attribute.get("bins")
    if known(bins) and bins:
        said.append(say("Numeric values were cut at {edges}.", edges=say(", ").join(str(edge) for edge in bins)))
    blocks: list[Block] = [Paragraph(say(" ").join(said))]
    part = coverage[coverage["attribute"] == attribute["name"]]
    if len(part):
        blocks.append(_counts(facts, part, name))
    title = say("By {attribute}", attribute=name)
    return Section(f"data-{facts.names.index(attribute['name'])}", title, tuple(blocks))


_ORIGINS = (
    *(phrase("self-reported"), phrase("perceived"), phrase("inferred"), phrase("measured")),
    *(phrase("by construction"), phrase("not stated")),
)


def _origin(origin: Any) -> str:
    return say(origin) if origin in _ORIGINS else clean(origin)


def _coverage(facts: Facts) -> pd.DataFrame:
    """Table `coverage`; counted here where an older run lacks it."""
    if len(facts.coverage):
        return facts.coverage
    images = facts.run.table("images")
    names = [name for name in facts.names if f"attr_{name}" in images]
    crossed = [[str(name) for name in item] for item in facts.data.get("intersections") or []]
    return coverage_table(images, names, [item for item in crossed if set(item) <= set(names)])


def _counts(facts: Facts, part: pd.DataFrame, name: str, *, folded: bool = False) -> Table:
    """Planned, failed and clusters of each group, and how its images are spread over the classes."""
    whole = {str(row["group"]): row for row in records(part[part["label"].isna()])}
    of_label = records(part[part["label"].notna()])
    by_label = {(str(row["group"]), str(row["label"])): row for row in of_label}
    seen = {label for (_, label), row in by_label.items() if int(row["images"])}
    labels = [*(label for label in facts.classes if label in seen), *sorted(seen - set(facts.classes))]
    few = labels[:_MOST_LABELS]
    everybody = sum(int(row["images"]) for row in whole.values())
    clustered = known(facts.data.get("cluster"))
    rows: list[tuple[Cell, ...]] = []
    for group in sorted(whole, key=lambda value: (MISSING in value, value)):
        row, total = whole[group], int(whole[group]["images"])
        own = _claim(facts, row)
        cells = [Cell(group_words(group), "muted" if group == MISSING else "plain"), Cell(count(total), claim=own)]
        cells += [Cell(share(total, everybody), claim=own), Cell(count(row["failed"]), claim=own)]
        cells += [Cell(count(row["clusters"]), claim=own) if clustered else muted(NOTHING)]
        cells += [_mix(facts, by_label.get((group, label)), total) for label in few]
        rows.append(tuple(cells))
    heads = (say("Planned"), say("Share"), say("Not used"), say("Clusters"), *(clean(label) for label in few))
    columns = [Column(name), *(Column(head, numeric=True) for head in heads)]
    note = ""
    if len(labels) > len(few):
        note = say("The first {shown} of {total} classes are shown.", shown=len(few), total=len(labels))
    caption = say("Images by {attribute} and label, with each class's share of the group", attribute=name)
    return capped(caption, columns, rows, source="coverage", note=note, folded=folded)


def _mix(facts: Facts, row: Mapping[str, Any] | None, total: int) -> Cell:
    images = int(row["images"]) if row is not None else 0
    text = f"{count(images)} ({share(images, total)})" if total else count(images)
    return Cell(text, claim=_claim(facts, row) if row is not None else "")


def _claim(facts: Facts, row: Mapping[str, Any]) -> str:
    """Claim of a row; none where the counts were made here, as no table of the run holds them."""
    return claim_of("coverage", row) if len(facts.coverage) else ""


def _problems(facts: Facts) -> Section:
    problems = facts.run.table("problems")
    title = say("What did not make it")
    copies = _copies(facts, problems)
    if problems.empty:
        none = Paragraph(say("The run lists no problem with any image, map or check."))
        return Section("problems", title, (none, *copies))
    rows: list[tuple[Cell, ...]] = [
        (
            Cell(plain(str(row["stage"]))),
            Cell(clean(row["model"]) if known(row["model"]) else NOTHING),
            Cell(clean(row["image_id"]) if known(row["image_id"]) else NOTHING),
            Cell(status_words(row["status"])),
            Cell(clean(row["detail"]) if known(row["detail"]) else NOTHING, "muted"),
        )
        for row in records(problems.head(MOST_ROWS))
    ]
    columns = tuple(Column(name) for name in (say("Stage"), say("Model"), say("Image"), say("Status"), say("Detail")))
    number = count(len(problems))
    text = say(
        "{number} entries. An image without a prediction counts neither as right nor as wrong; a copy counts like "
        "every image.",
        number=number,
    )
    table = capped(say("Problems"), columns, rows, source="problems", total=len(problems))
    return Section("problems", title, (Paragraph(text), *copies, table))


def _copies(facts: Facts, problems: pd.DataFrame) -> tuple[Paragraph, ...]:
    """How copies were looked for, and how many there are; nothing where the run does not say."""
    data = facts.config.get("data") or {}
    if not isinstance(data.get("look_alikes", ""), int | None):
        return ()  # an older run, or a level that does not say
    same, alike = (int((problems["status"] == status).sum()) for status in ("copy", "looks_alike"))
    if data["look_alikes"] is None:
        text = say(
            "Images that are the same file as another one: {same}. Pictures that look alike were not looked for.",
            same=count(same),
        )
    else:
        text = say(
            "Images that are the same file as another one: {same}. Others that look like one (perceptual hashes differ "
            "in at most {bits} of 255 bits): {alike}. Crops and mirror images are not found.",
            same=count(same),
            bits=str(data["look_alikes"]),
            alike=count(alike),
        )
    return (Paragraph(text),)
