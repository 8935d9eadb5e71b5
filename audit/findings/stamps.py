"""The stamp of every method on every model: whether its maps are evidence there, and the checks behind it.

What is measured of each image stands in table `quality`; here it is held against thresholds that were set on planted
sets (`docs/study-explanations.md`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from audit.fairness.intervals import Mean, mean_interval
from audit.fairness.rows import cluster_names
from audit.run.schema import columns

__all__ = ["CHECKS", "OVERALL", "REFERENCES", "StampRules", "stamp_table"]

REFERENCES = ("random", "centre", "edges")
"""Maps that know nothing of the model, measured beside the methods."""

OVERALL = "overall"

TIE = 0.1
"""Up to this difference two maps of the same order agree: where rounding resolves a tie in a max-pool the other way, a
few pixels move by a thousandth to some hundredths of the largest value."""

RESULTS = ("passed", "failed", "inconclusive", "not_measured")
STAMPS = ("evidence", "not_evidence", "inconclusive", "not_measured")


@dataclass(frozen=True)
class StampRules:
    """Thresholds of the checks. The first three were set on planted sets, the others are what arithmetic allows.

    Attributes
    ----------
    randomisation : float
        Largest mean rank correlation with the maps of the model with shuffled weights.
    gain : float
        Least gain in faithfulness (insertion less deletion, each over the starting probability) over a random map.
        Above 0, for at 0 a map of noise passes by chance on one model in forty.
    noise_floor : float
        Least mean rank correlation between two seeds of a method with noise of its own. Low, for where a map ranks a
        region of share a first and is noise on the rest, two seeds correlate by 3 a (1 - a) and no more.
    completeness : float
        Largest mean error of a method that promises to add up to the difference of the scores.
    difference : float
        Largest disagreement with an independent implementation on any image: the largest difference over the largest
        value of the map, or 1 less the rank correlation where that is smaller and the difference at most `TIE`.
    """

    randomisation: float = 0.9
    gain: float = 0.05
    noise_floor: float = 0.1
    completeness: float = 0.05
    difference: float = 1e-3


class _Check(NamedTuple):
    """One check: what it asks, and whether a stamp rests on it."""

    words: str
    threshold: str
    small_is_good: bool
    deciding: bool


CHECKS = {
    "depends_on_model": _Check(
        "rank correlation with the maps of the model with shuffled weights", "randomisation", True, True
    ),
    "beats_random": _Check("gain in faithfulness over a random map on the same image", "gain", False, True),
    "beats_centre": _Check("gain in faithfulness over a map that only points at the centre", "gain", False, False),
    "beats_edges": _Check("gain in faithfulness over an edge detector", "gain", False, False),
    "same_again": _Check("rank correlation between two seeds of the method's own noise", "noise_floor", False, True),
    "adds_up": _Check("error of the sum of the map against the difference of the scores", "completeness", True, True),
    "second_opinion": _Check("largest disagreement with an independent implementation", "difference", True, True),
}
"""By name; those that are not deciding are shown and decide nothing."""


def stamp_table(
    quality: pd.DataFrame,
    crosschecks: pd.DataFrame,
    images: pd.DataFrame,
    methods: Sequence[str],
    models: Sequence[str],
    rules: StampRules | None = None,
) -> pd.DataFrame:
    """Compute table `stamps`.

    Parameters
    ----------
    quality : DataFrame
        Table `quality`; its methods `REFERENCES` are the maps to beat.
    crosschecks, images : DataFrame
        Tables of the run.
    methods, models : sequence of str
        Of the run, in order.
    rules : StampRules, optional

    Returns
    -------
    DataFrame
        One row a check, and one with check ``overall``. ``result`` of a check is ``passed`` (the 95 % interval of the
        mean lies on the good side of the threshold), ``failed`` (on the other), ``inconclusive`` or
        ``not_measured``. ``result`` overall is ``not_evidence`` where a deciding check failed; ``evidence`` where
        `depends_on_model` and `beats_random` and every other deciding check that applies passed; ``not_measured``
        where no check was made; else ``inconclusive``.

        A stamp says that the map follows what this model computes on these images. It does not say that a person
        reads it rightly, nor that it is the whole reason of a decision.
    """
    rules = rules or StampRules()
    clusters = pd.Series(cluster_names(images), index=images["image_id"].astype(str))
    rows: list[dict[str, object]] = []
    for model in models:
        own = quality[(quality["model"] == model) & (quality["status"] == "ok")]
        seen = crosschecks[(crosschecks["model"] == model) & (crosschecks["status"] == "ok")]
        values = _Values(own, clusters)
        for method in methods:
            found = {name: _held(name, values.of(name, method, seen), rules) for name in CHECKS}
            rows += [{"model": model, "method": method, "check": name, **found[name]} for name in CHECKS]
            rows.append({"model": model, "method": method, "check": OVERALL, **_overall(found)})
    return pd.DataFrame(rows, columns=columns("stamps"))


class _Values:
    """Measured values of one model, as means with intervals."""

    def __init__(self, quality: pd.DataFrame, clusters: pd.Series[str]) -> None:
        self.wide = quality.pivot_table(
            index="image_id", columns=["method", "measure"], values="value", aggfunc="first"
        )
        self.clusters = clusters

    def of(self, check: str, method: str, crosschecks: pd.DataFrame) -> Mean | None:
        """What a check looks at; None where nothing was measured."""
        plain = {"depends_on_model": "randomisation", "same_again": "noise_floor", "adds_up": "completeness"}
        if check == "second_opinion":
            return _worst(crosschecks[crosschecks["method"] == method])
        reference = check.removeprefix("beats_")
        series = self._gain(method, reference) if reference in REFERENCES else self._column(method, plain[check])
        if series is None or series.dropna().empty:
            return None
        kept = series.dropna()
        names = self.clusters.reindex(kept.index.astype(str)).to_numpy(object).astype(str)
        return mean_interval(kept.to_numpy(np.float64), names)

    def _column(self, method: str, measure: str) -> pd.Series[float] | None:
        return self.wide[(method, measure)] if (method, measure) in self.wide.columns else None

    def _faithful(self, method: str) -> pd.Series[float] | None:
        """Insertion less deletion, a mean over the fills."""
        if method not in self.wide.columns.get_level_values(0):
            return None
        own = self.wide[method]
        fills = [str(name).removeprefix("insertion_") for name in own.columns if str(name).startswith("insertion_")]
        parts = [own[f"insertion_{fill}"] - own[f"deletion_{fill}"] for fill in fills if f"deletion_{fill}" in own]
        if not parts:
            return None
        found: pd.Series[float] = sum(parts[1:], parts[0]) / len(parts)
        return found

    def _gain(self, method: str, reference: str) -> pd.Series[float] | None:
        ours, theirs = self._faithful(method), self._faithful(reference)
        return None if ours is None or theirs is None else ours - theirs


def _worst(crosschecks: pd.DataFrame) -> Mean | None:
    """Disagreement on the image where it is largest, as an interval without width."""
    if crosschecks.empty:
        return None
    difference, rank = (crosschecks[name].astype(float).to_numpy() for name in ("max_difference", "spearman"))
    same_order = np.fmin(difference, 1 - rank)  # a map that is the same everywhere has no ranks
    worst = float(np.where(difference <= TIE, same_order, difference).max())
    return Mean(worst, worst, worst, len(difference), len(difference), 0.0, "ok")


def _held(name: str, mean: Mean | None, rules: StampRules) -> dict[str, object]:
    """One check held against its threshold."""
    check = CHECKS[name]
    threshold = float(getattr(rules, check.threshold))
    if mean is None:
        text = f"{check.words}: not measured"
        return _columns(0, None, None, None, threshold, "not_measured", text)
    sign = 1.0 if check.small_is_good else -1.0
    ends = sorted((sign * mean.low, sign * mean.high)) if mean.status == "ok" else [np.nan, np.nan]
    limit = sign * threshold
    result = "passed" if ends[1] <= limit and ends[0] < limit else "failed" if ends[0] >= limit else "inconclusive"
    wanted = "at most" if check.small_is_good else "above"
    text = f"{check.words}: {mean.value:.3g}, wanted {wanted} {threshold:g}"
    if mean.status != "ok":
        text += " (one cluster only, so there is no interval)"
    return _columns(mean.n, mean.value, mean.low, mean.high, threshold, result, text)


def _overall(found: dict[str, dict[str, object]]) -> dict[str, object]:
    deciding = {name: str(found[name]["result"]) for name, check in CHECKS.items() if check.deciding}
    failed = [name for name, result in deciding.items() if result == "failed"]
    open_ = [name for name, result in deciding.items() if result == "inconclusive"]
    must = [name for name in ("depends_on_model", "beats_random") if deciding[name] == "not_measured"]
    if failed:
        result, text = "not_evidence", "fails: " + "; ".join(str(found[name]["text"]) for name in failed)
    elif all(each == "not_measured" for each in deciding.values()):
        result, text = "not_measured", "no check was made on this model"
    elif open_ or must:
        result = "inconclusive"
        text = "not settled: " + "; ".join(str(found[name]["text"]) for name in [*open_, *must])
    else:
        result, text = "evidence", "passes every check that applies: the maps follow what this model computes"
    return _columns(0, None, None, None, None, result, text)


def _columns(
    n: int, value: float | None, low: float | None, high: float | None, threshold: float | None, result: str, text: str
) -> dict[str, object]:
    numbers = {"n": n, "value": value, "low": low, "high": high, "threshold": threshold}
    return {**numbers, "result": result, "text": text}
