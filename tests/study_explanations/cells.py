"""Pieces of the page: a table, a part of the figures, a spread of values in one cell."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd

__all__ = ["part_of", "spread", "table"]


def table(header: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    rows = [header, ["---"] * len(header), *lines]
    return "\n".join(f"| {' | '.join(str(cell) for cell in row)} |" for row in rows) + "\n"


def part_of(figures: pd.DataFrame, part: str, kind: str | None = None) -> pd.DataFrame:
    """Figures of one part, of one kind of network where it is named."""
    own = figures[figures["part"] == part]
    return own if kind is None else own[own["kind"] == kind]


def spread(values: pd.Series, digits: int = 2) -> str:
    """Median, and least to largest."""
    values = values.dropna()
    if values.empty:
        return "not measured"
    low, middle, high = (f"{value:.{digits}f}" for value in (values.min(), values.median(), values.max()))
    return f"{middle} ({low} to {high})"
