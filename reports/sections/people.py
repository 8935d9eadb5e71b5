"""Who is in the data: counts by group and label, where the labels come from, who is missing and what failed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from reports.format import NOTHING, clean, count, known, plain, share, status_words
from reports.nodes import Block, Callout, Cell, Column, KeyValues, Paragraph, Section, Table
from reports.sections.facts import MISSING, Facts, capped, muted, records

__all__ = ["people"]


def people(facts: Facts) -> Section:
    """Counts of everybody, then of each attribute, then every problem."""
    images = facts.run.table("images")
    if images.empty:
        return Section("data", "Who is in the data", (Callout("No images", "The run holds no table of images."),))
    blocks: list[Block] = [_summary(facts, images)]
    if not facts.names:
        text = "No group attribute was given, so nothing can be said about differences between groups."
        blocks.append(Callout("No groups", text))
    for attribute in facts.attributes:
        column = f"attr_{attribute['name']}"
        if column in images:
            blocks.append(_attribute(facts, images, attribute, column))
    blocks.append(_problems(facts))
    return Section("data", "Who is in the data", tuple(blocks))


def _summary(facts: Facts, images: pd.DataFrame) -> KeyValues:
    planned = facts.data.get("planned", len(images))
    statuses = images["status"].value_counts()
    usable = int(statuses.get("ok", 0))
    failed = [f"{count(n)} {status_words(name)}" for name, n in statuses.items() if name != "ok"]
    labels = images["label"].value_counts(dropna=False)
    items = [
        ("Images planned", count(planned)),
        ("Images used", f"{count(usable)} ({share(usable, int(planned))})"),
        ("Images not used", "; ".join(failed) or "none"),
        ("Labels", ", ".join(f"{clean(name)} {count(n)}" for name, n in labels.items())),
        ("Positive class", facts.positive or "none declared, so no positive-class rates are drawn"),
    ]
    cluster = facts.data.get("cluster")
    if known(cluster) and images["cluster"].notna().any():
        found = int(images["cluster"].nunique())
        items.append(("Independent units", f"{count(found)} clusters, by {clean(cluster)}"))
    else:
        items.append(("Independent units", "no cluster was declared; every image counts as independent"))
    return KeyValues(tuple(items))


def _attribute(facts: Facts, images: pd.DataFrame, attribute: Mapping[str, Any], column: str) -> Section:
    name = clean(attribute["name"])
    origin = attribute.get("provenance") or "not stated"
    groups = images[column].fillna(MISSING)
    missing = int((groups == MISSING).sum())
    text = f"Source of the group labels: {clean(origin)}."
    if origin == "not stated":
        text += " Whether they were self-reported, perceived or inferred is not known."
    text += (
        f" {count(missing)} of {count(len(images))} images have no group here; they are kept as a group of their own."
        if missing
        else " Every image has a group."
    )
    bins = attribute.get("bins")
    if known(bins) and bins:
        text += f" Numeric values were cut at {', '.join(str(edge) for edge in bins)}."
    table = _counts(facts, images, groups, name)
    return Section(f"data-{facts.names.index(attribute['name'])}", f"By {name}", (Paragraph(text), table))


def _counts(facts: Facts, images: pd.DataFrame, groups: pd.Series[str], name: str) -> Table:
    labels = [label for label in facts.classes if (images["label"] == label).any()]
    few = labels[:8]
    by_label = pd.crosstab(groups, images["label"])
    failed = (images["status"] != "ok").groupby(groups).sum()
    clusters = images["cluster"].groupby(groups).nunique() if images["cluster"].notna().any() else None
    rows: list[tuple[Cell, ...]] = []
    for group in sorted(by_label.index, key=lambda value: (value == MISSING, str(value))):
        total = int(by_label.loc[group].sum())
        cells = [Cell(clean(group), "muted" if group == MISSING else "plain"), Cell(count(total))]
        cells += [Cell(share(total, len(images)))]
        cells += [Cell(count(by_label.loc[group].get(label, 0))) for label in few]
        cells += [
            Cell(count(clusters[group])) if clusters is not None else muted(NOTHING),
            Cell(count(failed[group])),
        ]
        rows.append(tuple(cells))
    columns = [Column(name), Column("Images", numeric=True), Column("Share", numeric=True)]
    columns += [Column(clean(label), numeric=True) for label in few]
    columns += [Column("Clusters", numeric=True), Column("Not used", numeric=True)]
    note = f"The first {len(few)} of {len(labels)} classes are shown." if len(labels) > len(few) else ""
    return capped(f"Images by {name} and label", columns, rows, source="images", note=note)


def _problems(facts: Facts) -> Section:
    problems = facts.run.table("problems")
    title = "What did not make it"
    if problems.empty:
        return Section("problems", title, (Paragraph("The run lists no problem with any image, map or check."),))
    rows: list[tuple[Cell, ...]] = [
        (
            Cell(plain(str(row["stage"]))),
            Cell(clean(row["model"]) if known(row["model"]) else NOTHING),
            Cell(clean(row["image_id"]) if known(row["image_id"]) else NOTHING),
            Cell(status_words(row["status"])),
            Cell(clean(row["detail"]) if known(row["detail"]) else NOTHING, "muted"),
        )
        for row in records(problems.head(1000))
    ]
    columns = tuple(Column(name) for name in ("Stage", "Model", "Image", "Status", "Detail"))
    text = f"{count(len(problems))} entries. None of them is counted as a right or a wrong answer."
    return Section("problems", title, (Paragraph(text), capped("Problems", columns, rows, source="problems")))
