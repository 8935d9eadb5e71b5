"""What the sections on explanations share: which methods lead, what was explained, rows as cells and as lines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from audit.run.claims import claim_of
from reports.figures import ForestRow
from reports.format import clean, known, plain, status_words
from reports.nodes import Cell
from reports.sections.facts import Facts, records

__all__ = ["asked", "crossed", "forest_row", "leading", "method_cell"]

_FIRST = ("grad_cam", "saliency", "gradient_x_input")
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
    targets = ", ".join(clean(target) for target in table["target"].dropna().unique())
    kinds = ", ".join(plain(str(kind)) for kind in table["score_kind"].dropna().unique())
    text = f"Explained score: the {kinds or 'score'} of the {targets or 'target'} class."
    layers = table[table["layer"].notna()][["model", "layer"]].drop_duplicates()
    if len(layers):
        named = "; ".join(f"{clean(row['layer'])} in {clean(row['model'])}" for row in records(layers))
        text += f" Layer of the class activation maps: {named}."
    return text


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
