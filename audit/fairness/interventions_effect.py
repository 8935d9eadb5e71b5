"""What hiding a region does beyond hiding as large an area elsewhere, image by image and in groups.

Tables are made of it in `interventions`, verdicts in `audit.findings`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd

from audit.errors import InputError
from audit.fairness.contrasts import Comparison, Interval, bonferroni, no_comparison
from audit.fairness.explained.gaps import LEAST
from audit.fairness.explained.values import Design
from audit.fairness.intervals import Bounds, Floats
from audit.fairness.joint import WIDTH
from audit.fairness.paired_counts import PairedUnits, sign_flip_p
from audit.fairness.permutation import Permutations
from audit.fairness.rows import Ints, require_columns

__all__ = ["EFFECT", "HIDE", "ChangeEffect", "action_rows", "effect_rows", "flip_p", "is_control", "largest_effect"]

HIDE, EFFECT = "hide", "effect"
ENUMERATED = 12
_CHUNK = 4_000_000

Place = tuple[str, Sequence[str]]


def is_control(action: str) -> bool:
    """Whether an action hides as large an area elsewhere: ``control``, or a name that starts with it."""
    return action.startswith("control")


def action_rows(interventions: pd.DataFrame, images: pd.DataFrame) -> pd.DataFrame:
    """Table `interventions` with what is counted of each row.

    Returns
    -------
    DataFrame
        ``model, image_id, region, action, changed`` (0, 1 or NaN), ``drop`` (probability before less after),
        ``before`` and ``after`` (the mapped predictions). NaN where the status of the row or the image is not ``ok``.

    Raises
    ------
    InputError
        A column is missing, or an image is unknown.
    """
    names = ("model", "image_id", "region", "action", "predicted", "predicted_after", "changed")
    require_columns(interventions, "interventions", (*names, "probability", "probability_after", "status"))
    place = pd.Index(images["image_id"]).get_indexer(pd.Index(interventions["image_id"]))
    if (place < 0).any():
        unknown = interventions["image_id"].to_numpy()[place < 0][0]
        raise InputError(f"an intervention names image_id '{unknown}', which the images table does not have")
    fine = (interventions["status"] == "ok").to_numpy(bool) & (images["status"] == "ok").to_numpy(bool)[place]
    before, after = (
        pd.to_numeric(interventions[name], errors="coerce").to_numpy(np.float64, na_value=np.nan)
        for name in ("probability", "probability_after")
    )
    changed = interventions["changed"].astype("boolean").to_numpy(np.float64, na_value=np.nan)
    rows = interventions[["model", "image_id", "region", "action"]].astype(str).reset_index(drop=True)
    rows["image_id"] = interventions["image_id"].to_numpy()
    return rows.assign(
        changed=np.where(fine, changed, np.nan),
        drop=np.where(fine, before - after, np.nan),
        before=interventions["predicted"].to_numpy(object),
        after=interventions["predicted_after"].to_numpy(object),
    )


def effect_rows(actions: pd.DataFrame) -> pd.DataFrame:
    """The paired effect on every image that a region was hidden in.

    Parameters
    ----------
    actions : DataFrame
        As `action_rows` gives them.

    Returns
    -------
    DataFrame
        ``model, region, image_id, hidden`` (whether hiding the region changed the prediction), ``elsewhere`` and
        ``controls`` (how many of its controls did, of how many), ``changed`` and ``drop`` (value under ``hide`` less
        the mean over the controls). NaN where there is no control, or no usable one of either.

    Raises
    ------
    InputError
        A region is hidden twice in one image.
    """
    keys = ["model", "region", "image_id"]
    control = actions["action"].map(is_control).to_numpy(bool)
    hidden = actions[(actions["action"] == HIDE).to_numpy(bool)].set_index(keys)
    if hidden.index.has_duplicates:
        model, region, image = hidden.index[hidden.index.duplicated()][0]
        raise InputError(f"region '{region}' is hidden twice in image_id '{image}' for model '{model}', allowed: once")
    others = actions[control & actions["changed"].notna().to_numpy(bool)].groupby(keys, sort=False)
    elsewhere = others.agg(elsewhere=("changed", "sum"), controls=("changed", "size"), usual=("drop", "mean"))
    out = hidden[["changed", "drop"]].join(elsewhere).reset_index()
    return pd.DataFrame(
        {
            **{key: out[key] for key in keys},
            "hidden": out["changed"],
            "elsewhere": out["elsewhere"],
            "controls": out["controls"],
            "changed": out["changed"] - out["elsewhere"] / out["controls"],
            "drop": out["drop"] - out["usual"],
        }
    )


@dataclass(frozen=True)
class ChangeEffect:
    """How much more often hiding the region changed the prediction than hiding as large an area elsewhere.

    Parameters
    ----------
    design : Design
        Of the images with a hidden region and a control.
    pairs : PairedUnits
        Every image with each of its controls, repeated so that each image weighs the same; the first arm is the
        control.
    sums : ndarray of int64, shape (N,)
        Effect of each image, times how often it is repeated.
    """

    design: Design
    pairs: PairedUnits
    sums: Ints

    @classmethod
    def of(cls, effects: pd.DataFrame, design: Design) -> ChangeEffect:
        """From rows of `effect_rows` with a value, and their design."""
        controls = effects["controls"].to_numpy(np.int64)
        elsewhere = np.rint(effects["elsewhere"].to_numpy(np.float64)).astype(np.int64)
        hidden = effects["hidden"].to_numpy(np.int64)
        often = math.lcm(*np.unique(controls).tolist()) if len(controls) else 1
        hits = elsewhere * (often // np.maximum(controls, 1))
        image = np.repeat(np.arange(len(effects)), often)
        turn = np.tile(np.arange(often), len(effects))
        pairs = PairedUnits.count(
            design.groups,
            design.group[image],
            design.cluster[image],
            (turn < hits[image], hidden[image]),
            clustered=True,
        )
        return cls(design, pairs, often * hidden - hits)

    @property
    def value(self) -> Floats:
        """Difference of the two shares of changed predictions in every group; NaN where there is no image."""
        return np.asarray(self.pairs.arm(1).rate - self.pairs.arm(0).rate, dtype=np.float64)

    def interval(self, alpha: float = 0.05) -> Bounds:
        """Interval of each group's effect for itself: Newcombe's for pairs, over Korn-Graubard's where rows repeat."""
        return self.pairs.interval(alpha)

    def p_value(self, group: int, permutations: Permutations, stream: tuple[object, ...]) -> float:
        """P-value of no effect in a group, by exchanging region and control in whole clusters; exact if it can be."""
        own = self.design.group == group
        cluster = np.unique(self.design.cluster[own], return_inverse=True)[1].reshape(-1)
        sums = np.bincount(cluster, weights=self.sums[own].astype(np.float64))
        return sign_flip_p(np.rint(sums).astype(np.int64), permutations, ("intervention", *stream))


def flip_p(values: Floats, clusters: Ints, draws: int, rng: np.random.Generator) -> float:
    """P-value of a mean of 0, by turning the sign of whole clusters.

    Parameters
    ----------
    values : ndarray of float64, shape (N,)
        Paired differences.
    clusters : ndarray of int64, shape (N,)
        Each counts once, by its mean.
    draws : int
        Random signs; all of them are tried where there are no more than 12 clusters.
    rng : Generator
        Source of the draws.

    Returns
    -------
    float
        Two-sided. Exact under symmetry about 0. NaN without any value.
    """
    if not len(values):
        return float("nan")
    code = np.unique(clusters, return_inverse=True)[1].reshape(-1)
    means = np.bincount(code, weights=values) / np.bincount(code)
    observed = abs(means.sum()) - 1e-9 * np.abs(means).sum()
    if len(means) <= ENUMERATED:
        signs = np.array(list(product((-1.0, 1.0), repeat=len(means))))
        return float((np.abs(signs @ means) >= observed).mean())
    beyond, done = 0, 0
    while done < draws:
        size = min(draws - done, max(1, _CHUNK // len(means)))
        beyond += int((np.abs((2.0 * rng.integers(2, size=(size, len(means))) - 1) @ means) >= observed).sum())
        done += size
    return (1 + beyond) / (1 + draws)


def largest_effect(
    found: ChangeEffect, min_n: int, permutations: Permutations, stream: tuple[object, ...]
) -> Comparison:
    """The largest effect of any group (of everybody, where the design has one group), as a rule judges it.

    Parameters
    ----------
    found : ChangeEffect
    min_n : int
        Groups with fewer clusters (images where there are none) are left out.
    permutations : Permutations
    stream : tuple
        Names the test's random numbers.

    Returns
    -------
    Comparison
        ``sides`` are the shares of changed predictions with the region hidden and with the control.
    """
    clusters, names = found.design.clusters, found.design.groups
    kept = np.flatnonzero(clusters >= max(min_n, LEAST))
    left = tuple((names[g], int(clusters[g])) for g in np.flatnonzero(clusters > 0) if g not in kept)
    if not len(kept):
        return no_comparison("too_few_clusters" if clusters.any() else "undefined", left)
    best = int(kept[found.value[kept].argmax()])

    def interval(alpha: float) -> Interval:
        low, high = found.interval(alpha / len(kept))
        return float(low[kept].max()), float(high[kept].max())

    alone = found.interval(0.05)
    deviation = float(alone[1][best] - alone[0][best]) / WIDTH
    sides = tuple(_side(found, which, best, name) for which, name in ((1, "hidden"), (0, "control")))
    tests: list[float] = [found.p_value(int(g), permutations, (*stream, names[g])) for g in kept]
    level: Callable[[float], float] = lambda alpha: alpha / len(kept)  # noqa: E731
    return Comparison(
        float(found.value[best]),
        names[best],
        None,
        "above",
        interval,
        len(kept),
        "newcombe_paired" + ("_bonferroni" if len(kept) > 1 else ""),
        bonferroni(tests),
        "too_few_clusters" if math.isnan(interval(0.05)[0]) else "ok",
        left,
        None,
        deviation**2 * int(clusters[best]),
        sides,
        int(clusters[best]),
        bool(len(found.design.units) < len(found.design.group)),
        deviation,
        level,
    )


def _side(found: ChangeEffect, which: int, group: int, name: str) -> tuple[str, float, float, float]:
    arm = found.pairs.arm(which)
    low, high = arm.intervals(0.05)
    return name, float(arm.rate[group]), float(low[group]), float(high[group])
