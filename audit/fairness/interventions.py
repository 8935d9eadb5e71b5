"""What hiding a region changes, by group: the table `intervention_groups`, and its gaps for `quality_gaps`.

Images are changed and predicted elsewhere; the paired effect is in `interventions_effect`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from audit.fairness.explained.means import GroupMeans, asked_counts, group_means
from audit.fairness.explained.rows import gap_rows
from audit.fairness.explained.values import Bools, Design, frame_of
from audit.fairness.intervals import Floats
from audit.fairness.interventions_effect import EFFECT, ChangeEffect, action_rows, effect_rows, flip_p
from audit.fairness.paired_counts import PairedUnits
from audit.fairness.permutation import Permutations
from audit.fairness.rates import GroupRates
from audit.fairness.rows import Ints, slice_columns
from audit.run.schema import columns

__all__ = ["INTERVENTION_GROUP_COLUMNS", "INTERVENTION_METHOD", "intervention_gap_table", "intervention_group_table"]

INTERVENTION_GROUP_COLUMNS = tuple(columns("intervention_groups"))
INTERVENTION_METHOD = "intervention"
"""What stands in the column `method` of `quality_gaps` for interventions."""
DROP_BOUNDS = (-1.0, 1.0)


@dataclass(frozen=True)
class _Block:
    """One measure of one action in every group, shape (G,) each."""

    measure: str
    n: Ints
    clusters: Ints
    value: Floats
    low: Floats
    high: Floats
    p: Floats


def intervention_group_table(
    interventions: pd.DataFrame,
    images: pd.DataFrame,
    attributes: Sequence[str],
    intersections: Sequence[Sequence[str]] = (),
    positive: str | None = None,
    *,
    alpha: float = 0.05,
    draws: int = 9999,
    seed: int = 0,
) -> pd.DataFrame:
    """Compute table `intervention_groups`.

    Parameters
    ----------
    interventions, images : DataFrame
        The run's tables. Rows with another status than ``ok`` do not count.
    attributes, intersections
        As in `group_table`.
    positive : str or None
        The declared positive class.
    alpha : float
        One minus the confidence level of each interval, which stands for itself alone.
    draws, seed : int
        Of the sign-flip tests.

    Returns
    -------
    DataFrame
        Columns `INTERVENTION_GROUP_COLUMNS`, for each model, region, action and group the measures

        ``changed``
            share of images whose mapped prediction changed (Clopper-Pearson, Korn-Graubard where clusters or images
            repeat);
        ``drop``
            mean of the probability of the prediction before less after (t interval over cluster means);
        ``positive_rate_change``
            with a positive class, share of images predicted positive after less before (Newcombe's interval for
            pairs).

        The action ``effect`` is the paired difference on each image, ``hide`` less the mean of its ``control``
        actions, which hide as large an area elsewhere: of ``changed`` with Newcombe's interval for pairs, of ``drop``
        with a t interval over cluster means. Its ``p`` is that of no effect, by turning the signs of whole clusters;
        it is not corrected. ``n`` counts images. Status ``undefined`` where no image of the group has a value (for
        an effect: both a hidden region and a control), ``too_few_clusters`` without an interval, ``not_measured``
        where no image of the group was changed in this way.

    Raises
    ------
    InputError
        A column is missing, an image is unknown, or a region is hidden twice in one image.

    Notes
    -----
    An effect shows that, on these images, what the region showed took part in the prediction more than as large an
    area elsewhere did. It depends on what the region is filled with, and says nothing of images without the region.
    """
    slices = slice_columns(attributes, intersections)
    permutations = Permutations(draws, seed)
    actions = action_rows(interventions, images)
    effects = effect_rows(actions)
    rows: list[tuple[object, ...]] = []
    for (model, region), part in actions.groupby(["model", "region"], sort=False):
        own = effects[(effects["model"] == model) & (effects["region"] == region)]
        named = [(str(action), one, False) for action, one in part.groupby("action", sort=False)]
        if len(own):
            named.append((EFFECT, own, True))
        for action, one, paired in named:
            cells: dict[str, list[tuple[object, ...]]] = {}
            for attribute, parts in slices.items():
                case = _Case.of(one, images, parts, alpha)
                stream = (str(model), str(region), attribute)
                blocks = _effects(case, permutations, stream) if paired else _action(case, positive)
                for block in blocks:
                    lines = _lines(block, case)
                    cells.setdefault(block.measure, []).extend((attribute, *line) for line in lines)
            rows += [(model, region, action, measure, *cell) for measure, found in cells.items() for cell in found]
    return frame_of(rows, INTERVENTION_GROUP_COLUMNS)


@dataclass(frozen=True)
class _Case:
    """Rows of one model, region and action, laid out along an attribute."""

    rows: pd.DataFrame
    design: Design
    known: Bools
    alpha: float

    @classmethod
    def of(cls, rows: pd.DataFrame, images: pd.DataFrame, parts: Sequence[str], alpha: float) -> _Case:
        place = pd.Index(images["image_id"]).get_indexer(pd.Index(rows["image_id"]))
        design = Design.along(images, place.astype(np.int64), parts)
        return cls(rows, design, rows["changed"].notna().to_numpy(bool), alpha)

    @property
    def usable(self) -> tuple[pd.DataFrame, Design]:
        return self.rows[self.known], self.design.only(self.known)

    def images(self, rows: Bools) -> Ints:
        """Images of each group among these rows."""
        once = ~self.rows["image_id"].where(rows).duplicated().to_numpy(bool) & rows
        return np.bincount(self.design.group[once], minlength=len(self.design.groups)).astype(np.int64)


def _lines(block: _Block, case: _Case) -> Iterator[tuple[object, ...]]:
    """``group, n, clusters, value, low, high, p, status`` of every group."""
    asked = asked_counts(np.ones((len(case.rows), 1), dtype=bool), case.design)[:, 0]
    status = np.where(np.isnan(block.value), "undefined", np.where(np.isnan(block.low), "too_few_clusters", "ok"))
    status = np.where(asked == 0, "not_measured", status)
    numbers = (block.n, block.clusters, block.value, block.low, block.high, block.p, status)
    return zip(case.design.groups, *(part.tolist() for part in numbers), strict=True)


def _action(case: _Case, positive: str | None) -> Iterator[_Block]:
    rows, design = case.usable
    n, nothing = case.images(case.known), np.full(len(design.groups), np.nan)
    changed = rows["changed"].to_numpy(np.int64)
    rates = _rates(design, changed)
    yield _Block("changed", n, rates.clusters, rates.rate, *rates.intervals(case.alpha), nothing)
    yield _mean_block("drop", case, nothing)
    if positive is None:
        return
    hits = tuple((rows[name] == positive).to_numpy(bool) for name in ("before", "after"))
    units = PairedUnits.count(design.groups, design.group, design.cluster, (hits[0], hits[1]), clustered=True)
    value = units.arm(1).rate - units.arm(0).rate
    yield _Block("positive_rate_change", n, units.arm(0).clusters, value, *units.interval(case.alpha), nothing)


def _rates(design: Design, hits: Ints) -> GroupRates:
    """Share of hits by group, counted per cluster."""
    g = len(design.groups)
    key, unit = np.unique(design.cluster * g + design.group, return_inverse=True)
    unit = unit.reshape(-1)
    counts = [np.bincount(unit, weights=part, minlength=len(key)) for part in (hits, np.ones(len(hits)))]
    successes, trials = (np.rint(part).astype(np.int64) for part in counts)
    return GroupRates(design.groups, True, key % g, key // g, successes, trials)


def _mean_block(measure: str, case: _Case, p: Floats) -> _Block:
    values = case.rows[measure].to_numpy(np.float64)[:, None]
    means: GroupMeans = group_means(values, case.design, np.array([DROP_BOUNDS]).T)
    low, high = means.intervals(case.alpha)
    n = case.images(np.isfinite(values[:, 0]))
    return _Block(measure, n, means.clusters[:, 0], means.value[:, 0], low[:, 0], high[:, 0], p)


def _effects(case: _Case, permutations: Permutations, stream: tuple[str, ...]) -> Iterator[_Block]:
    rows, design = case.usable
    found = ChangeEffect.of(rows, design)
    names = (*stream, "changed")
    p = [
        found.p_value(g, permutations, (*names, name)) if (design.group == g).any() else np.nan
        for g, name in enumerate(design.groups)
    ]
    yield _Block(
        "changed", case.images(case.known), design.clusters, found.value, *found.interval(case.alpha), np.array(p)
    )
    values = case.rows["drop"].to_numpy(np.float64)
    flips: list[Any] = []
    for g, name in enumerate(case.design.groups):
        own = (case.design.group == g) & np.isfinite(values)
        rng = permutations.stream("intervention", *stream, "drop", name)
        flips.append(flip_p(values[own], case.design.cluster[own], permutations.draws, rng))
    yield _mean_block("drop", case, np.array(flips))


def intervention_gap_table(
    interventions: pd.DataFrame,
    images: pd.DataFrame,
    predictions: pd.DataFrame,
    attributes: Sequence[str],
    intersections: Sequence[Sequence[str]] = (),
    *,
    alpha: float = 0.05,
    min_n: int = 5,
    draws: int = 1999,
    seed: int = 0,
) -> pd.DataFrame:
    """Compute rows of table `quality_gaps` for the effects of interventions.

    Parameters
    ----------
    interventions, images, predictions : DataFrame
        The run's tables.
    attributes, intersections, alpha, min_n, draws, seed
        As in `quality_gap_table`.

    Returns
    -------
    DataFrame
        Columns of `quality_gaps`, compared, matched, tested and corrected as there, with method ``intervention`` and
        measures ``effect_changed:REGION`` and ``effect_drop:REGION``: how far the groups' effects are apart. An image
        without a hidden region or a control has none.

    Raises
    ------
    InputError
        As in `intervention_group_table`.
    """
    rows = measure_rows_of(effect_rows(action_rows(interventions, images)))
    permutations = Permutations(draws, seed)
    common = (images, predictions, attributes, intersections)
    return gap_rows(rows, *common, permutations=permutations, limits=(alpha, min_n))


def measure_rows_of(effects: pd.DataFrame) -> pd.DataFrame:
    """Rows of `effect_rows` as a long table of measures."""
    parts = []
    for name in ("changed", "drop"):
        part = effects[["model", "image_id"]].assign(method=INTERVENTION_METHOD, value=effects[name])
        part["measure"] = [f"effect_{name}:{region}" for region in effects["region"]]
        parts.append(part.assign(status=np.where(effects[name].notna(), "ok", "undefined")))
    return pd.concat(parts, ignore_index=True)
