"""Mean maps of the groups and their differences from everybody else, as small pictures under one colour scale."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from reports.figures import MapTile
from reports.format import clean, count, known, p_value, status_words
from reports.maps import map_uri
from reports.nodes import Block, Folded, Panel, Paragraph, Section
from reports.sections.explained import leading
from reports.sections.facts import Facts, pick, records

__all__ = ["MOST_BYTES", "MOST_GROUPS", "MOST_METHODS", "mean_maps"]

MOST_GROUPS = 8
MOST_METHODS = 3
MOST_BYTES = 500_000
"""Pictures take at most this many characters."""

_TEXT = (
    "Where a group's attribution falls on average: each absolute map is divided by its sum and averaged over the "
    "group's images, each cluster counting once, so a cell holds a share of the attribution. The difference is the "
    "group's mean less that of everybody else; its p says how often a difference as large would be found anywhere on "
    "the map if the groups were dealt anew, and is not corrected for the number of groups, attributes and methods. It "
    "means something only where a place on the map is the same place on the object in every image: on aligned images. "
    "Elsewhere a mean map shows where objects tend to lie. Within a panel all pictures have one colour scale; cells "
    "are shown as they are, without smoothing."
)


def mean_maps(facts: Facts) -> Section | None:
    """Panels of table `mean_maps`, the leading method first and the others folded; None where it is empty."""
    run = facts.run
    table = run.table("mean_maps", columns=["model", "method", "attribute", "group"])
    if table.empty:
        return None
    methods = leading(facts, [str(name) for name in table["method"].unique()])
    wide = [name for name in facts.names if pick(table, attribute=name)["group"].nunique() > MOST_GROUPS]
    names = [name for name in facts.names if name not in wide and (table["attribute"] == name).any()]
    blocks: list[Block] = [Paragraph(_TEXT)]
    used, drawn = 0, []
    for place, method in enumerate(methods[:MOST_METHODS]):
        panels = _panels(facts, method, names)
        used += sum(len(tile.uri or "") for panel in panels for tile in panel.tiles)
        if used > MOST_BYTES:
            break
        drawn.append(method)
        title = f"Mean maps of {facts.method(method).title}"
        blocks += panels if place == 0 else [Folded(title, tuple(panels))]
    return Section("mean-maps", "Mean maps by group", (*blocks, *_left_out(facts, methods, drawn, wide)))


def _left_out(facts: Facts, methods: list[str], drawn: list[str], wide: list[str]) -> list[Block]:
    said = []
    left = [facts.method(name).title for name in methods if name not in drawn]
    if left:
        said.append(f"{count(len(drawn))} of {count(len(methods))} methods are drawn; not drawn: {', '.join(left)}.")
    if wide:
        named = ", ".join(clean(name) for name in wide)
        said.append(f"With more than {MOST_GROUPS} groups, not drawn: {named}.")
    return [Paragraph(f"{' '.join(said)} Table mean_maps of the run holds them all.", "note")] if said else []


def _panels(facts: Facts, method: str, names: list[str]) -> list[Panel]:
    table = facts.run.table("mean_maps", filters=[("method", "==", method)])
    panels = []
    for model in facts.run.models:
        own = pick(table, model=model)
        everybody = records(pick(own, attribute="overall", kind="mean"))
        for name in names:
            part = pick(own, attribute=name)
            rows = records(pick(part, kind="mean"))
            if rows:
                panels.append(_panel(facts, model, method, name, [*everybody, *rows]))
            rows = records(pick(part, kind="difference"))
            if rows:
                panels.append(_panel(facts, model, method, name, rows))
    return panels


def _panel(facts: Facts, model: str, method: str, name: str, rows: list[dict[str, Any]]) -> Panel:
    """Means or differences of the groups of one attribute, on one scale."""
    signed = rows[0]["kind"] == "difference"
    largest = max([float(row["largest"]) for row in rows if known(row["largest"])], default=0.0)
    about = f"{facts.method(method).title}, {clean(model)}"
    tiles = tuple(_tile(row, about, name, largest, signed=signed) for row in rows)
    what = "each group less everybody else" if signed else "mean share of attribution"
    end = f"{largest:.2g}"
    ends = (f"−{end}, less", f"+{end}, more") if signed else ("0", f"{end} of the attribution in one cell")
    title = f"{about}, by {clean(name)}: {what}"
    return Panel(title, tiles, *ends, signed, stamp=facts.stamp(model, method), note=_note(facts, model, method))


def _note(facts: Facts, model: str, method: str) -> str:
    """Score, target and layer of the maps that were averaged."""
    columns = ["model", "method", "layer", "target", "score_kind"]
    kept = [("method", "==", method), ("model", "==", model)]
    table = facts.run.table("explanations", columns=columns, filters=kept)
    rows = records(pick(table, model=model, method=method).drop_duplicates())
    if not rows:
        return ""
    row = rows[0]
    layer = f", layer {clean(row['layer'])}" if known(row["layer"]) else ""
    kind = clean(row["score_kind"]) if known(row["score_kind"]) else "score"
    return f"Maps of the {kind} of the {clean(row['target'])} class{layer}."


def _tile(row: Mapping[str, Any], about: str, name: str, largest: float, *, signed: bool) -> MapTile:
    whole = row["attribute"] == "overall"
    group = "everybody" if whole else clean(row["group"])
    size = f"n={count(row['n'])}"
    if row["n"] != row["clusters"]:
        size += f", {count(row['clusters'])} clusters"
    caption = f"{size}, p={p_value(row['p'])}" if known(row["p"]) else size
    caption = caption.replace("=<", "<").replace("p=< ", "p < ")
    cells = row["map"]
    height, width = int(row["height"]), int(row["width"])
    if cells is None or len(cells) != height * width or not len(cells):
        return MapTile(group, None, f"{group}: {status_words(row['status'])}", status_words(row["status"]))
    uri = map_uri(np.asarray(cells, np.float32).reshape(height, width), signed=signed, scale=largest)
    what = "difference from everybody else" if signed else "mean map"
    return MapTile(group, uri, f"{what} of {about}, {clean(name)} {group}, {caption}", caption)
