"""Groups compared on several measures of explanations: who takes part, differences, intervals, p-values.

Tables are made of it in `rows`, verdicts in `audit.findings`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from audit.fairness.contrasts import Comparison, Excluded, no_comparison
from audit.fairness.explained.means import group_means
from audit.fairness.explained.pairs import PairDifferences, pair_differences
from audit.fairness.explained.permuted import equal_means_ps, telling_strata
from audit.fairness.explained.values import Bools, Design
from audit.fairness.intervals import Floats
from audit.fairness.permutation import Permutations
from audit.fairness.rows import Ints

__all__ = ["LEAST", "MeanGaps", "mean_gaps"]

LEAST = 2
"""Clusters that a group needs for any spread to be seen."""


@dataclass(frozen=True)
class MeanGaps:
    """Groups compared on several measures that have a value on the same images.

    Parameters
    ----------
    design : Design
        Images that count: of groups that are large enough, in strata that hold several of them.
    data : ndarray of float64, shape (N, C)
        Their values.
    pairs : PairDifferences
        Every two groups.
    bounds : ndarray, shape (2, C)
    excluded : tuple of (str, int)
        Groups left out as too small, with their clusters in strata that hold another group too.
    status : str
        ``ok``, ``undefined`` (fewer than two groups have a value, or no stratum brings two together),
        ``too_few_clusters``.
    """

    design: Design
    data: Floats
    pairs: PairDifferences
    bounds: Floats
    excluded: Excluded
    status: str

    def ends(self) -> tuple[Ints, Ints, Floats]:
        """The higher and the lower group of the pair that is furthest apart, and the difference, shape (C,) each."""
        best, place = self.pairs.largest(), np.arange(self.data.shape[1])
        value = self.pairs.value[best, place]
        first, second = self.pairs.first[best], self.pairs.second[best]
        return np.where(value < 0, second, first), np.where(value < 0, first, second), np.abs(value)

    def p_values(self, permutations: Permutations, stream: tuple[object, ...]) -> Floats:
        """P-value of no difference between any groups, of every measure (`equal_means_ps`)."""
        rng = permutations.stream("explained", *stream)
        return equal_means_ps(self.data, self.design, permutations.draws, rng)

    def comparison(self, permutations: Permutations, stream: tuple[object, ...]) -> Comparison:
        """The first measure as a rule judges it; ``sides`` are the two groups' plain means, matched or not."""
        if self.status != "ok":
            return no_comparison(self.status, self.excluded)
        group, reference, value = (part[0] for part in self.ends())
        pairs, names = self.pairs, self.design.groups
        best, count = int(pairs.largest()[0]), len(pairs.first)
        means = group_means(self.data, self.design, self.bounds)
        low, high = (bound[:, 0].tolist() for bound in means.intervals())
        sides = tuple((names[g], float(means.value[g, 0]), low[g], high[g]) for g in (group, reference))

        def interval(level: float) -> tuple[float, float]:
            least, most = pairs.range_bounds(level)
            return float(least[0]), float(most[0])

        return Comparison(
            float(value),
            names[group],
            names[reference],
            "above",
            interval,
            count,
            "welch_cluster_means" + ("_bonferroni" if count > 1 else ""),
            float(self.p_values(permutations, stream)[0]),
            "ok",
            self.excluded,
            None,
            float(pairs.unit_variance[best, 0]),
            sides,
            int(pairs.smallest[best]),
            bool(len(self.design.units) < len(self.design.group)),
            float(np.sqrt(pairs.variance[best, 0])),
            lambda level: level / count,
        )


def mean_gaps(values: Floats, design: Design, bounds: Floats, min_n: int = LEAST) -> MeanGaps:
    """Compare the groups' means of several measures.

    Parameters
    ----------
    values : ndarray, shape (N, C)
        Without gaps: every image has every measure.
    design : Design
        Of the N images; images with stratum -1 are left out.
    bounds : ndarray, shape (2, C)
        As `bounds_of` gives them.
    min_n : int
        Groups with fewer clusters (images where there are none), at least 2, are left out: where strata are matched,
        fewer in those that hold another group too.
    """
    usable = design.stratum >= 0
    kept = _telling(design, usable, min_n)
    chosen = design.only(kept)
    met = usable.copy()
    met[usable] = telling_strata(design.only(usable))
    sizes = (part.clusters.tolist() for part in (design, design.only(met), chosen))
    counted = zip(design.groups, *sizes, strict=True)
    excluded = tuple((name, here) for name, anywhere, here, left in counted if anywhere and not left)
    pairs = pair_differences(values[kept], chosen, bounds)
    status = "ok"
    if not len(pairs.first):
        status = "too_few_clusters" if met.any() else "undefined"
    return MeanGaps(chosen, values[kept], pairs, bounds, excluded, status)


def _telling(design: Design, kept: Bools, min_n: int) -> Bools:
    """Images of groups that are large enough, in strata that hold several of them; each asks for the other."""
    while True:
        part = design.only(kept)
        new = kept.copy()
        new[kept] = (part.clusters >= max(min_n, LEAST))[part.group]
        new[new] = telling_strata(design.only(new))
        if new.sum() == kept.sum():
            return kept
        kept = new
