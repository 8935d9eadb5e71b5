"""Tables that need the maps themselves: how alike the maps of two models are, and mean maps by group."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from audit.explanations.quality import Measure, mass_distance, ranked, same_size, spearman, top_overlap
from audit.fairness.mean_maps import mean_map_table
from audit.run.schema import columns
from audit.run.shards import explained_shards, read_maps

__all__ = ["MOST_MAPS", "agreement_table", "mean_maps"]

MOST_MAPS = 2000
"""Images whose maps are compared and averaged; of a larger sample as many, evenly over it."""

_AT_ONCE = 256


def agreement_table(
    run: Path, models: Sequence[str], methods: Sequence[str], predictions: pd.DataFrame, explained: pd.DataFrame
) -> pd.DataFrame:
    """Compute table `agreement`: every two models, method by method and image by image.

    Parameters
    ----------
    run : Path
        Run folder with committed shards.
    models, methods : sequence of str
    predictions, explained : DataFrame
        Tables `predictions` and `explanations` of the run.

    Returns
    -------
    DataFrame
        ``spearman`` of the signed maps, ``overlap`` of the tenth of the pixels with the largest absolute values
        (intersection over union), ``distance`` of the absolute maps scaled to sum to 1 (0 to 2); null where a map has
        no order or no mass. Maps of two sizes are compared at the larger one. Alike maps are no proof that
        either is right.
    """
    if len(models) < 2:
        return pd.DataFrame(columns=columns("agreement"))
    names = _chosen(explained)
    said = predictions[predictions["image_id"].isin(names)].set_index(["model", "image_id"])["predicted"]
    frames = []
    for first, second in combinations(models, 2):
        for method in methods:
            maps = [_maps(run, model, method, names) for model in (first, second)]
            both = [name for name in names if all(name in found for found in maps)]
            for start in range(0, len(both), _AT_ONCE):
                part = both[start : start + _AT_ONCE]
                frames.append(_compared(first, second, method, part, [np.stack([m[n] for n in part]) for m in maps]))
    if not frames:
        return pd.DataFrame(columns=columns("agreement"))
    table = pd.concat(frames, ignore_index=True)
    pairs = [pd.MultiIndex.from_frame(table[[side, "image_id"]]) for side in ("first", "second")]
    table["same_prediction"] = said.reindex(pairs[0]).to_numpy() == said.reindex(pairs[1]).to_numpy()
    return table[columns("agreement")]


def _compared(first: str, second: str, method: str, names: Sequence[str], maps: list[np.ndarray]) -> pd.DataFrame:
    one, other = same_size(*maps)
    found: dict[str, Measure] = {
        "spearman": spearman(ranked(one), ranked(other)),
        "overlap": top_overlap(one, other),
        "distance": mass_distance(one, other),
    }
    defined = np.all([measure.status == "ok" for measure in found.values()], axis=0)
    return pd.DataFrame(
        {
            "first": first,
            "second": second,
            "method": method,
            "image_id": list(names),
            **{name: measure.values for name, measure in found.items()},  # noqa: PD011 - a Measure is no frame
            "status": np.where(defined, "ok", "undefined"),
        }
    )


def mean_maps(
    run: Path,
    models: Sequence[str],
    methods: Sequence[str],
    images: pd.DataFrame,
    explained: pd.DataFrame,
    attributes: Sequence[str],
    seed: int,
) -> pd.DataFrame:
    """Compute table `mean_maps`, a model and a method at a time, so that few maps are held at once."""
    names = _chosen(explained)
    frames = [
        mean_map_table({(model, method): found}, images, attributes, seed=seed)
        for model, method, found in _found(run, models, methods, names)
        if found
    ]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns("mean_maps"))


def _found(
    run: Path, models: Sequence[str], methods: Sequence[str], names: Sequence[str]
) -> Iterator[tuple[str, str, Any]]:
    for model in models:
        for method in methods:
            yield model, method, _maps(run, model, method, names)


def _chosen(explained: pd.DataFrame) -> list[str]:
    """Ids of the explained images that are compared, in their order."""
    names = explained["image_id"].astype("str").unique()
    count = min(len(names), MOST_MAPS)
    return [str(names[place * len(names) // count]) for place in range(count)]


def _maps(run: Path, model: str, method: str, names: Sequence[str]) -> dict[str, np.ndarray]:
    wanted = frozenset(names)
    found: dict[str, np.ndarray] = {}
    for path in explained_shards(run, model):
        found |= read_maps(path, method, wanted)
    return found
