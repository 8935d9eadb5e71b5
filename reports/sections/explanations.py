"""What the models look at: definitions, shares of attribution by region and group, and the gallery."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from reports.figures import ForestFigure, ForestRow
from reports.format import clean, count, known, method_words, plain, rate, status_words
from reports.maps import NORMALISATION
from reports.nodes import Block, Callout, Cell, Column, FigureBlock, FigureRow, Legend, Paragraph, Section, Table
from reports.sections.facts import VALUE_COLUMNS, Facts, capped, muted, pick, records, value_cells
from reports.sections.gallery import galleries

__all__ = ["explanations"]

_FIRST = ("grad_cam", "saliency", "gradient_x_input")
_MOST_DRAWN = 24


def explanations(facts: Facts) -> Section:
    """Regions, then the gallery."""
    table = facts.run.table("explanations")
    if table.empty:
        text = "No image was explained in this run, so nothing can be said about what the models look at."
        return Section("explanations", "What the models look at", (Callout("Not measured", text),))
    blocks: list[Block] = [Paragraph(_sample(table)), *_regions(facts)]
    shown = galleries(facts)
    if shown:
        cards = sum(len(gallery.cards) for gallery in shown)
        text = (
            f"{count(cards)} of {count(table['image_id'].nunique())} explained images are shown; the run holds the "
            f"maps of all. For display, {NORMALISATION}; brightness can therefore not be compared between pictures. "
            "Grad-CAM is "
            "laid over the image in grey, enlarged bilinearly with half-pixel centres. Images are chosen by group "
            "and outcome, those that a model got wrong first; they illustrate and prove nothing. "
            "They come from the audited data: whoever receives this report receives these images."
        )
        blocks.append(Section("gallery", "Maps by group and outcome", (Paragraph(text, "note"), Legend(), *shown)))
    return Section("explanations", "What the models look at", tuple(blocks))


def _sample(table: pd.DataFrame) -> str:
    images, done = table["image_id"].nunique(), table[table["status"] == "ok"]["image_id"].nunique()
    targets = ", ".join(clean(target) for target in table["target"].dropna().unique())
    kinds = ", ".join(plain(str(kind)) for kind in table["score_kind"].dropna().unique())
    text = f"{count(done)} of {count(images)} sampled images were explained, the same for every model. "
    text += f"Explained score: the {kinds or 'score'} of the {targets or 'target'} class. "
    layers = table[table["layer"].notna()][["model", "layer"]].drop_duplicates()
    if len(layers):
        named = "; ".join(f"{clean(row['layer'])} in {clean(row['model'])}" for row in records(layers))
        text += f"Grad-CAM layer: {named}."
    return text


def _regions(facts: Facts) -> list[Block]:
    table = facts.run.table("region_groups")
    if table.empty:
        given = "The data name no regions" if not facts.regions else "Region shares were not computed"
        text = f"{given}, so it was not measured how much of the attribution falls where."
        return [Section("regions", "Share of attribution by region", (Callout("Not measured", text),))]
    blocks: list[Block] = [
        Paragraph(
            "Share of the absolute attribution that falls into a region, mean over images. The upright tick is the "
            "region's mean share of the image: what an even spread would give. A share says where a map lies, not "
            "that the decision would change without the region."
        )
    ]
    if facts.distrusted:
        names = ", ".join(clean(name) for name in facts.distrusted)
        text = f"The configuration says that the decision ought not to rest on: {names}."
        blocks.append(Callout("Regions that should not matter", text))
    blocks.append(_overall(facts, table))
    blocks.append(_table(table, "overall", "Region shares over everybody"))
    for name in [name for name in [*facts.names, *facts.crossings] if (table["attribute"] == name).any()]:
        blocks += _by_group(facts, table, name)
    return [Section("regions", "Share of attribution by region", tuple(blocks))]


def _overall(facts: Facts, table: pd.DataFrame) -> FigureRow:
    figures = []
    for model in facts.run.models:
        part = pick(table, model=model, attribute="overall")
        lines = [_line(row, f"{clean(row['region'])}, {method_words(row['method'])}") for row in records(part)]
        if lines:
            title = f"{clean(model)}: share of attribution by region and method"
            figures.append(FigureBlock(_figure(title, lines), title))
    return FigureRow(tuple(figures))


def _figure(title: str, lines: list[ForestRow]) -> ForestFigure:
    highs = [value for line in lines for value in (line.high, line.value, line.mark) if value is not None]
    top = min(1.0, max([0.1, *highs]) * 1.08)
    return ForestFigure(
        title=title,
        axis="share of absolute attribution",
        rows=tuple(lines),
        mark_label="area of the region",
        bounds=(0.0, top),
    )


def _by_group(facts: Facts, table: pd.DataFrame, name: str) -> list[Block]:
    part = pick(table, attribute=name)
    methods = [method for method in _FIRST if (part["method"] == method).any()] or list(part["method"].unique())
    method = methods[0]
    blocks: list[Block] = []
    if name in facts.names:
        for region in facts.distrusted or facts.regions[:2]:
            figures = []
            for model in facts.run.models:
                rows = records(pick(part, model=model, region=region, method=method))[:_MOST_DRAWN]
                if rows:
                    title = f"{clean(model)}: {clean(region)}, {method_words(method)}, by {clean(name)}"
                    lines = [_line(row, clean(row["group"])) for row in rows]
                    figures.append(FigureBlock(_figure(title, lines), title))
            if figures:
                blocks.append(FigureRow(tuple(figures)))
    blocks.append(_table(part, name, f"Region shares, by {clean(name).replace(' x ', ' × ')}", folded=True))
    return blocks


def _line(row: Mapping[str, Any], label: str) -> ForestRow:
    return ForestRow(
        label=label,
        n=int(row["n"]) if known(row["n"]) else None,
        clusters=int(row["clusters"]) if known(row["clusters"]) else None,
        value=float(row["value"]) if known(row["value"]) else None,
        low=float(row["low"]) if known(row["low"]) else None,
        high=float(row["high"]) if known(row["high"]) else None,
        status=status_words(row["status"]),
        mark=float(row["area"]) if known(row["area"]) else None,
    )


def _table(table: pd.DataFrame, attribute: str, caption: str, *, folded: bool = False) -> Table:
    part = pick(table, attribute=attribute)
    part = part.sort_values(["region", "group", "method", "model"], kind="stable")
    rows: list[tuple[Cell, ...]] = []
    for row in records(part):
        area = Cell(rate(row["area"])) if known(row["area"]) else muted(status_words(row["status"]))
        heads = (Cell(clean(row["region"])), Cell(clean(row["group"])), Cell(clean(row["model"])))
        rows.append((*heads, Cell(method_words(row["method"])), *value_cells(row), area))
    columns = [Column("Region"), Column("Group"), Column("Model"), Column("Method"), *VALUE_COLUMNS]
    columns.append(Column("Area of region", numeric=True))
    return capped(caption, columns, rows, source="region_groups", folded=folded)
