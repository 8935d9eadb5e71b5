"""Mean maps of the groups and their differences from everybody else, as small pictures under one colour scale."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from reports.figures import MapTile
from reports.format import clean, count, known, p_words, status_words
from reports.language import phrase, say
from reports.maps import map_uri
from reports.nodes import Block, Folded, Panel, Paragraph, Section
from reports.sections.explained import leading, score_words, target_words
from reports.sections.facts import Facts, pick, records

__all__ = ["MOST_BYTES", "MOST_GROUPS", "MOST_METHODS", "mean_maps"]

MOST_GROUPS = 8
MOST_METHODS = 3
MOST_BYTES = 500_000
"""Pictures take at most this many characters."""

_TEXT = phrase(
    "Where a group's attribution falls on average: each absolute map is divided by its sum and averaged over the "
    "group's images, each cluster counting once, so a cell holds a share of the attribution. The difference is the "
    "group's mean less that of everybody else; its p says how often a difference as large would be found anywhere on "
    "the map if images were dealt out to the groups at random, and is not corrected for the number of groups, "
    "attributes and methods. It means something only where a place on the map is the same place on the object in every "
    "image: on aligned images. Elsewhere a mean map shows where objects tend to lie. Within a panel all pictures have "
    "one colour scale; cells are shown as they are, without smoothing."
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
    blocks: list[Block] = [Paragraph(say(_TEXT))]
    used, drawn = 0, []
    for place, method in enumerate(methods[:MOST_METHODS]):
        panels = _panels(facts, method, names)
        used += sum(len(tile.uri or "") for panel in panels for tile in panel.tiles)
        if used > MOST_BYTES:
            break
        drawn.append(method)
        title = say("Mean maps of {method}", method=facts.method(method).title)
        blocks += panels if place == 0 else [Folded(title, tuple(panels))]
    return Section("mean-maps", say("Mean maps by group"), (*blocks, *_left_out(facts, methods, drawn, wide)))


def _left_out(facts: Facts, methods: list[str], drawn: list[str], wide: list[str]) -> list[Block]:
    said = []
    left = [facts.method(name).title for name in methods if name not in drawn]
    if left:
        numbers = {"drawn": count(len(drawn)), "all": count(len(methods))}
        names = say(", ").join(left)
        said.append(say("{drawn} of {all} methods are drawn; not drawn: {names}.", **numbers, names=names))
    if wide:
        names = say(", ").join(clean(name) for name in wide)
        said.append(say("With more than {groups} groups, not drawn: {names}.", groups=MOST_GROUPS, names=names))
    if not said:
        return []
    return [Paragraph(say(" ").join([*said, say("Table mean_maps of the run holds them all.")]), "note")]


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
    about = {"method": facts.method(method).title, "model": clean(model), "attribute": clean(name)}
    tiles = tuple(_tile(row, about, largest, signed=signed) for row in rows)
    end = f"{largest:.2g}"
    if signed:
        title = say("{method}, {model}, by {attribute}: each group less everybody else", **about)
        ends = say("−{end}, less", end=end), say("+{end}, more", end=end)
    else:
        title = say("{method}, {model}, by {attribute}: mean share of attribution", **about)
        ends = "0", say("{share} of the attribution in one cell", share=end)
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
    score = score_words(row["score_kind"]) if known(row["score_kind"]) else say("score")
    about = {"score": score, "target": target_words(row["target"])}
    if not known(row["layer"]):
        return say("Maps of the {score} of the {target} class.", **about)
    return say("Maps of the {score} of the {target} class, layer {layer}.", **about, layer=clean(row["layer"]))


def _tile(row: Mapping[str, Any], about: Mapping[str, str], largest: float, *, signed: bool) -> MapTile:
    group = say("everybody") if row["attribute"] == "overall" else clean(row["group"])
    cells = row["map"]
    height, width = int(row["height"]), int(row["width"])
    if cells is None or len(cells) != height * width or not len(cells):
        reason = status_words(row["status"])
        return MapTile(group, None, say("{group}: {reason}", group=group, reason=reason), reason)
    uri = map_uri(np.asarray(cells, np.float32).reshape(height, width), signed=signed, scale=largest)
    named = {**about, "group": group, "caption": _caption(row)}
    text = say("mean map of {method}, {model}, {attribute} {group}, {caption}", **named)
    if signed:
        text = say("difference from everybody else of {method}, {model}, {attribute} {group}, {caption}", **named)
    return MapTile(group, uri, text, named["caption"])


def _caption(row: Mapping[str, Any]) -> str:
    parts = [f"n={count(row['n'])}"]
    parts += [say("{count} clusters", count=count(row["clusters"]))] if row["n"] != row["clusters"] else []
    parts += [p_words(row["p"]).replace(" ", "")] if known(row["p"]) else []
    return ", ".join(parts)
