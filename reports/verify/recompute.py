"""Computing every number of a run again from its stored predictions, and holding it against what the tables say."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from audit.derived import DERIVED, RAW, RESTS_ON, derive
from audit.errors import FaircamError
from audit.run import Run
from audit.run.claims import CLAIM_KEYS, claims_of
from audit.run.tables import json_value
from reports.bundle.verdicts import facts_of
from reports.verify.checks import Check

__all__ = ["raw_problems", "recompute"]

_NEEDED = ("images", "predictions")
_RELATIVE, _ABSOLUTE = 1e-9, 1e-12
_NOT_DERIVED = {
    "training": "epochs of the training",
    "work": "passes that were made",
    "agreement": "agreement of maps, image by image",
    "mean_maps": "mean maps",
    "concepts": "concepts",
    "crosschecks": "comparisons with a second implementation",
    "explanations": "the explained scores",
    "problems": "images that failed",
}


def recompute(run: Run) -> Check:
    """Compute every derived table again and compare it cell by cell.

    Parameters
    ----------
    run : Run
        A run, or a bundle that holds rows.
    """
    missing = [name for name in _NEEDED if not run.has(name)]
    if missing:
        text = (
            "every number: this level holds no predictions to compute them from; only a signature shows whether one "
            "was changed together with its digest"
        )
        return Check("numbers", "not recomputed", unseen=(text,))
    tables = {name: run.table(name) for name in (*_NEEDED, *RAW)}
    try:
        found = derive(tables, facts_of(run))
    except FaircamError as error:
        return Check("numbers", "could not be recomputed", problems=(str(error),))
    withheld = [name for name in DERIVED if RESTS_ON[name] and not any(run.has(raw) for raw in RESTS_ON[name])]
    compared = [name for name in DERIVED if name not in withheld and (run.has(name) or len(found[name]))]
    problems = [problem for name in compared for problem in _differences(name, run.table(name), found[name])]
    unseen = [
        f"{words} (table `{name}`): they do not follow from the predictions"
        for name, words in _NOT_DERIVED.items()
        if run.has(name) and not run.table(name).empty
    ]
    unseen += [
        f"table `{name}`: the rows that it rests on ({', '.join(RESTS_ON[name])}) were withheld"
        for name in withheld
        if run.has(name) and not run.table(name).empty
    ]
    numbers = sum(len(found[name]) for name in compared)
    said = f"{numbers:,} rows of {len(compared)} tables computed again from {len(tables['predictions']):,} predictions"
    return Check("numbers", said, tuple(problems), tuple(unseen))


def _differences(name: str, stored: pd.DataFrame, found: pd.DataFrame) -> Iterator[str]:
    if len(stored) != len(found):
        yield f"table `{name}` has {len(stored)} rows, {len(found)} are computed"
        return
    labels = claims_of(name, found) if name in CLAIM_KEYS else [f"{name}:row {place}" for place in range(len(found))]
    for column in stored.columns:
        mine = found[column] if column in found else pd.Series([None] * len(found))
        for place in _unequal(stored[column], mine):
            said, computed = (json_value(part.iloc[place]) for part in (stored[column], mine))
            yield f"{labels[place]}: {column} is {_shown(said)}, computed {_shown(computed)}"


def _unequal(stored: pd.Series, found: pd.Series) -> list[int]:
    """Places at which two columns differ; numbers within rounding are equal."""
    if pd.api.types.is_float_dtype(stored.dtype):
        first, second = (pd.to_numeric(part).to_numpy(np.float64, na_value=np.nan) for part in (stored, found))
        differ = ~np.isclose(first, second, rtol=_RELATIVE, atol=_ABSOLUTE, equal_nan=True)
        return [int(place) for place in np.flatnonzero(differ)]
    pairs = zip(stored, found, strict=True)
    return [place for place, (first, second) in enumerate(pairs) if json_value(first) != json_value(second)]


def _shown(value: object) -> str:
    text = "nothing" if value is None else repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 120 else f"{text[:117]}..."


def raw_problems(run: Run) -> Check:
    """Whether images and predictions fit each other and what was planned."""
    if not all(run.has(name) for name in _NEEDED):
        return Check("rows", "this level holds none")
    images, predictions = run.table("images"), run.table("predictions")
    planned = (run.record.get("data") or {}).get("planned")
    erased = sum(int(item.get("images", 0)) for item in run.record.get("erasures") or ())
    problems = []
    if planned is not None and run.complete and len(images) + erased != planned:
        more = f" and {erased} were erased" if erased else ""
        problems.append(f"{planned} images were planned, table `images` has {len(images)}{more}")
    if images["image_id"].duplicated().any():
        problems.append("table `images` names an image twice")
    labels = images.set_index("image_id")["label"]
    for model in run.models:
        own = predictions[predictions["model"] == model]
        if run.complete and set(own["image_id"]) != set(labels.index):
            problems.append(f"model '{model}': {len(own)} predictions do not match {len(images)} images one by one")
        given = own["image_id"].map(labels)
        other = own.loc[(given != own["label"]) & given.notna(), "image_id"].head(3)
        problems += [f"model '{model}', image '{name}': the label is not that of table `images`" for name in other]
    unknown = sorted(set(predictions["model"]) - set(run.models))
    problems += [f"predictions of a model that the record does not name: '{name}'" for name in unknown]
    return Check("rows", f"{len(images):,} images and {len(predictions):,} predictions", tuple(problems))
