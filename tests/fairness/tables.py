"""Small tables that the tests of this folder share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

CLASSES = ["neg", "pos"]


def tables(
    rows: Sequence[tuple[Any, ...]],
    attributes: Sequence[str] = ("a",),
    model: str = "m",
    clusters: Any = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Images and predictions from rows of (label, predicted, group, group...)."""
    ids = [f"i{place}" for place in range(len(rows))]
    images = pd.DataFrame({"image_id": ids, "label": [row[0] for row in rows], "status": "ok"})
    images["cluster"] = clusters
    for place, name in enumerate(attributes):
        images[f"attr_{name}"] = [row[2 + place] for row in rows]
    predictions = pd.DataFrame(
        {"model": model, "image_id": ids, "label": images["label"], "predicted": [row[1] for row in rows]}
    )
    predictions["status"] = "ok"
    return images, predictions


def repeated(counts: dict[tuple[Any, ...], int]) -> list[tuple[Any, ...]]:
    """Rows by how often each occurs."""
    return [row for row, count in counts.items() for _ in range(count)]


def random_tables(
    n: int, seed: int, *, classes: Sequence[str] = ("x", "y", "z"), groups: int = 3, cluster_size: int = 0
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Random predictions with probabilities, two attributes, and clusters where a size is given."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(list(classes), n)
    probabilities = rng.dirichlet(np.ones(len(classes)), n)
    rows = [
        (label, classes[best], f"g{group}", f"h{other}")
        for label, best, group, other in zip(
            labels,
            probabilities.argmax(axis=1),
            rng.integers(groups, size=n),
            rng.integers(2, size=n),
            strict=True,
        )
    ]
    clusters = [f"p{place // cluster_size}" for place in range(n)] if cluster_size else None
    images, predictions = tables(rows, ("a", "b"), clusters=clusters)
    predictions["probabilities"] = list(probabilities)
    return images, predictions


def pick(table: pd.DataFrame, **where: Any) -> pd.Series:
    """The one row of a table with these values; None stands for null."""
    chosen = table
    for name, value in where.items():
        column = chosen[name]
        chosen = chosen[column.isna() if value is None else column == value]
    assert len(chosen) == 1, f"{len(chosen)} rows for {where}"
    return chosen.iloc[0]
