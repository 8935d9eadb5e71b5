"""The pass that asks whether a concept moves the explained scores: TCAV for one concept of the configuration."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import numpy as np
import pandas as pd

from audit.config import ConceptConfig
from audit.engine.batches import read_batch
from audit.engine.explaining import Explaining
from audit.errors import FaircamError
from audit.explanations.concepts import ConceptResult, concept_scores, refusal

__all__ = ["concept_rows"]

_MOST_TESTED = 500  # images whose scores are followed along the concept


def concept_rows(explaining: Explaining, concept: ConceptConfig) -> pd.DataFrame:
    """TCAV scores of one concept, by class and group.

    Parameters
    ----------
    explaining : Explaining
        The model, and what is explained of each image.
    concept : ConceptConfig
        Its images are the first half of the group's, in a random order; the other half, like that of all other
        images, is tested on.

    Returns
    -------
    DataFrame
        ``concept, layer, target_class, attribute, group, n, value, low, high, random, p, accuracy, status, detail``;
        one row ``not_measured`` with the reason where the model cannot be tested.
    """
    try:
        reason = refusal(explaining.adapter.spec, concept.layer)
        if reason is not None:
            return _unmeasured(concept, reason)
        return pd.DataFrame(list(_scored(explaining, concept)))
    except FaircamError as error:
        return _unmeasured(concept, error.what)


def _scored(explaining: Explaining, concept: ConceptConfig) -> Iterator[dict[str, object]]:
    job, adapter = explaining.job, explaining.adapter
    rows = job.source.rows
    column = "label" if concept.attribute == "label" else f"attr_{concept.attribute}"
    shows = rows[column].astype(str).to_numpy() == concept.group
    rng = np.random.default_rng([job.seed, zlib.crc32(concept.name.encode())])
    with_it, without = (rng.permutation(np.flatnonzero(mask)) for mask in (shows, ~shows))
    counts = [min(concept.images, len(part) // 2) for part in (with_it, without)]
    left = np.concatenate([part[count:] for part, count in zip((with_it, without), counts, strict=True)])
    tested = np.sort(rng.permutation(left)[:_MOST_TESTED]).tolist()
    shown, others = (
        _read(explaining, part[:count].tolist())[0] for part, count in zip((with_it, without), counts, strict=True)
    )
    images, kept = _read(explaining, tested)
    targets = explaining.targets(kept)
    result = concept_scores(adapter, images, targets, shown, others, concept.layer, concept.runs, job.seed)
    labels = {"overall": np.full(len(kept), "all")}
    for attribute in [name.removeprefix("attr_") for name in rows.columns if name.startswith("attr_")]:
        labels[attribute] = rows[f"attr_{attribute}"].iloc[kept].astype(str).to_numpy()
    for target in np.unique(result.targets):
        for attribute, groups in labels.items():
            for group in np.unique(groups):
                chosen = (result.targets == target) & (groups == group)
                if chosen.any():
                    about = {"target_class": adapter.spec.classes[int(target)], "attribute": attribute, "group": group}
                    yield {"concept": concept.name, **about, **_summary(result, chosen)}


def _summary(result: ConceptResult, chosen: np.ndarray) -> dict[str, object]:
    found = result.score(chosen)
    detail = "" if found.n else "no image has a finite derivative"
    if result.status == "not_separable":
        detail = "images with and without the concept are not told apart at this layer, so it has no direction there"
    return {
        "layer": result.layer,
        "n": found.n,
        "value": found.share,
        "low": found.low,
        "high": found.high,
        "random": found.random,
        "p": found.p,
        "accuracy": float(result.accuracy.mean()),
        "status": result.status if found.n else "undefined",
        "detail": detail,
    }


def _read(explaining: Explaining, positions: list[int]) -> tuple[np.ndarray, list[int]]:
    """Images that can be read, and their positions."""
    decoded, images = read_batch(explaining.job.source, positions, explaining.adapter.spec.input_shape)
    fine = [place for place, item in enumerate(decoded) if item.array is not None]
    return images[fine], [positions[place] for place in fine]


def _unmeasured(concept: ConceptConfig, reason: str) -> pd.DataFrame:
    blank = dict.fromkeys(
        ("layer", "target_class", "attribute", "group", "value", "low", "high", "random", "p", "accuracy")
    )
    return pd.DataFrame([{"concept": concept.name, **blank, "n": 0, "status": "not_measured", "detail": reason}])
