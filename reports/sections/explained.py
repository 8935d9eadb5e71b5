"""What the sections on explanations share: which methods lead, what was explained, rows as cells and as lines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from audit.run.claims import claim_of
from reports.figures import ForestRow
from reports.format import clean, known, plain, status_words
from reports.language import phrase, say
from reports.nodes import Block, Cell, Paragraph
from reports.sections.facts import Facts, records

__all__ = ["asked", "crossed", "drawn_groups", "forest_row", "leading", "method_cell", "score_words", "target_words"]

_FIRST = ("grad_cam", "saliency", "gradient_x_input")
_SCORES = {"logit": phrase("logit"), "probability": phrase("probability")}
_TARGETS = {"predicted": phrase("predicted"), "label": phrase("label")}
_RANK = ("evidence", "inconclusive", "not_measured", "not_evidence")


def leading(facts: Facts, methods: Iterable[str]) -> list[str]:
    """Methods in the order in which they are drawn where not all can be: by their worst stamp, then by the config.

    Where stamps do not tell them apart, Grad-CAM, saliency and gradient x input go before others.
    """
    place = {name: position for position, name in enumerate((*_FIRST, *facts.methods))}

    def key(name: str) -> tuple[int, int]:
        stamps = [facts.stamp(model, name) for model in facts.run.models]
        return max((_rank(stamp) for stamp in stamps), default=0), place.get(name, len(place))

    return sorted(dict.fromkeys(methods), key=key)


def _rank(stamp: str) -> int:
    return _RANK.index(stamp) if stamp in _RANK else _RANK.index("not_measured")


def asked(facts: Facts) -> str:
    """Which score of which class was explained, and at which layers, as a sentence."""
    columns = ["model", "method", "layer", "target", "score_kind"]
    table = facts.run.table("explanations", columns=columns).drop_duplicates()
    targets = say(", ").join(target_words(target) for target in table["target"].dropna().unique())
    kinds = say(", ").join(score_words(kind) for kind in table["score_kind"].dropna().unique())
    about = {"score": kinds or say("score"), "target": targets or say("target")}
    layers = records(table[table["layer"].notna()][["model", "layer"]].drop_duplicates())
    if not layers:
        return say("Explained score: the {score} of the {target} class.", **about)
    named = [say("{layer} in {model}", layer=clean(row["layer"]), model=clean(row["model"])) for row in layers]
    return say(
        "Explained score: the {score} of the {target} class. Layer of the class activation maps: {layers}.",
        **about,
        layers=say("; ").join(named),
    )


def score_words(kind: Any) -> str:
    """Which score of a class was explained."""
    return say(_SCORES[kind]) if kind in _SCORES else plain(str(kind))


def target_words(target: Any) -> str:
    """How the class that was explained was chosen."""
    return say(_TARGETS[target]) if target in _TARGETS else clean(target)


def drawn_groups(facts: Facts, part: pd.DataFrame) -> tuple[pd.DataFrame, list[Block]]:
    """Rows of the groups that are drawn, and what is to be said of the others: many give way to the largest values."""
    values = part.assign(value=pd.to_numeric(part["value"])).groupby("group", sort=False)["value"].mean()
    if len(values) <= facts.most_drawn:
        return part, []
    largest = values.sort_values(ascending=False, kind="stable").index[: facts.most_drawn]
    text = say(
        "The {drawn} of {total} groups with the largest values are drawn.", drawn=len(largest), total=len(values)
    )
    return part[part["group"].isin(largest)], [Paragraph(text, "note")]


def crossed(name: str) -> str:
    """An attribute or intersection as a reader is to see it."""
    return clean(name).replace(" x ", " × ")


def method_cell(facts: Facts, row: Mapping[str, Any]) -> Cell:
    """A row's method with its stamp on the row's model."""
    return Cell(facts.method(row["method"]).title, stamp=facts.stamp(row["model"], row["method"]))


def forest_row(
    source: str, row: Mapping[str, Any], label: str, stamp: str = "", mark: float | None = None
) -> ForestRow:
    """A row of the run's table `source` as a line of a forest plot."""
    return ForestRow(
        label=label,
        n=int(row["n"]) if known(row["n"]) else None,
        clusters=int(row["clusters"]) if known(row["clusters"]) else None,
        value=float(row["value"]) if known(row["value"]) else None,
        low=float(row["low"]) if known(row["low"]) else None,
        high=float(row["high"]) if known(row["high"]) else None,
        status=status_words(row["status"]),
        mark=mark,
        stamp=stamp,
        claim=claim_of(source, row),
    )
