"""The tables `slices` and `slice_images`: groups that nobody labelled, in which a model errs more.

Regions of the embeddings are searched in one half of the clusters (`candidates`) and tested in the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from audit.errors import InputError
from audit.fairness.candidates import Rule, promising
from audit.fairness.excess import Excess, Units, excess_of_units
from audit.fairness.intervals import Floats
from audit.fairness.permutation import Permutations
from audit.fairness.rows import MISSING, Ints, usable_rows
from audit.fairness.vectors import Space, usable_vectors
from audit.run.schema import columns

__all__ = ["slice_tables"]

Bools = npt.NDArray[np.bool_]

TESTED = 3
SEARCHED = 20_000
DIMENSIONS = 32
NOTABLE = 3


@dataclass(frozen=True)
class _Half:
    """Images of one half: their rows, errors, clusters (codes) and principal components."""

    rows: pd.DataFrame
    errors: Bools
    clusters: Ints
    points: Floats


def slice_tables(
    embeddings: pd.DataFrame,
    images: pd.DataFrame,
    predictions: pd.DataFrame,
    attributes: Sequence[str],
    *,
    seed: int = 0,
    alpha: float = 0.05,
    min_n: int = 10,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Compute tables `slices` and `slice_images`.

    Parameters
    ----------
    embeddings, images, predictions : DataFrame
        The run's tables. An image counts where all three have it with status ``ok``.
    attributes : sequence of str
        Attributes that `makeup` speaks of; they have no part in the search.
    seed : int
        Of the halves and of the search.
    alpha : float
        Level at which a slice is confirmed, all tested slices of a model taken together (Holm).
    min_n : int
        Fewest clusters (images where there are none) of a slice in either half, and of everybody else.

    Returns
    -------
    slices : DataFrame
        At most three a model, the most promising first. Numbers are those of the confirm half: ``value``
        is the error rate in the slice, ``rest`` outside it. ``p`` is one-sided, for "no more errors in
        the slice" (Fisher's exact test; where clusters repeat the inverted interval); ``p_adjusted`` is
        Holm's. ``low`` and ``high`` bound the difference at the level of the tests (``1 - 2 alpha /
        tested``). ``makeup`` names groups of the attributes, and true classes, that are over-represented.
        A model for which nothing could be searched has one row without a slice and a status:
        ``undefined`` (all embeddings alike, no error at all or errors only), ``too_few_clusters`` or
        ``not_measured`` (no image with an embedding and a prediction); ``ok`` where the search found
        nothing that promised more errors.
    slice_images : DataFrame
        Images of these slices in both halves, with their distance from the centre of the slice's images
        of the search half, in principal components: the nearest are the most typical.

    Raises
    ------
    InputError
        A column or an attribute is missing, image ids repeat or are unknown, or embeddings cannot be used.

    Notes
    -----
    Half of the clusters (at most 20,000 images) are searched, the rest confirm. A slice that is not found
    says little: it may be small, or not stand apart in these embeddings. A confirmed slice is a
    statistical pattern; what its images have in common is for a person to see.
    """
    if not 0 < alpha < 1:
        raise InputError(f"alpha is {alpha}, allowed: above 0 and below 1")
    seen = sorted({str(name) for name in [*images["label"].dropna(), *predictions["predicted"].dropna()]})
    rows = usable_rows(images, predictions, seen, attributes)
    rows["label"] = np.asarray(seen, dtype=object)[rows["truth"].to_numpy(np.int64)]
    slices: list[tuple[object, ...]] = []
    members: list[pd.DataFrame] = []
    for model in embeddings["model"].astype(str).unique():
        ids, vectors = usable_vectors(embeddings, images, model)
        own = rows[(rows["model"] == model) & rows["image_id"].isin(ids)].sort_values("image_id")
        vectors = vectors[ids.get_indexer(own["image_id"])]
        rng = Permutations(1, seed).stream("slices", model)
        found = _Found(model, tuple(attributes), alpha, min_n)
        more, images_of = found.tables(own.reset_index(drop=True), vectors, rng)
        slices += more
        members += images_of
    names = columns("slices")
    table = pd.DataFrame(slices, columns=names).astype(_types("slices"))
    listed = columns("slice_images")
    joined = pd.concat(members, ignore_index=True) if members else pd.DataFrame(columns=listed)
    return table, joined[listed].astype(_types("slice_images"))


def _types(table: str) -> dict[str, str]:
    special = {"n": "int64", "clusters": "int64", "confirmed": "bool"}
    text = ("model", "slice", "makeup", "status", "image_id", "half")
    return {name: special.get(name, "str" if name in text else "float64") for name in columns(table)}


@dataclass(frozen=True)
class _Found:
    """Search and test for one model."""

    model: str
    attributes: tuple[str, ...]
    alpha: float
    min_n: int

    def tables(
        self, rows: pd.DataFrame, vectors: Floats, rng: np.random.Generator
    ) -> tuple[list[tuple[object, ...]], list[pd.DataFrame]]:
        """Rows of `slices`, and frames of `slice_images`."""
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

        errors = (rows["truth"] != rows["predicted"]).to_numpy(bool)
        clusters = np.unique(rows["cluster"].to_numpy(object), return_inverse=True)[1].reshape(-1).astype(np.int64)
        searched = _searched(clusters, rng)
        space = Space.fit(vectors[searched], DIMENSIONS, telling=True)
        status = self._obstacle(errors, clusters, searched, space)
        if status is not None or space is None:
            return [self._nothing(rows, clusters, status or "undefined")], []
        points = space.apply(vectors)
        search, confirm = (
            _Half(rows[kept], errors[kept], clusters[kept], points[kept]) for kept in (searched, ~searched)
        )
        # One thread: several wait for each other longer than these few points take.
        with threadpool_limits(limits=1):
            rules = promising(search.points, search.errors, search.clusters, rng, most=TESTED, min_n=self.min_n)
        if not rules:
            return [self._nothing(rows, clusters, "ok")], []
        lists = [_listed(self.model, place, rule, search, confirm) for place, rule in enumerate(rules)]
        return self._tested(rules, confirm), lists

    def _obstacle(self, errors: Bools, clusters: Ints, searched: Bools, space: Space | None) -> str | None:
        """Why there is nothing to search, if so."""
        if not len(errors):
            return "not_measured"
        if min(len(np.unique(clusters[kept])) for kept in (searched, ~searched)) < 2 * self.min_n:
            return "too_few_clusters"
        if space is None or len(np.unique(errors)) < 2:
            return "undefined"
        return None

    def _nothing(self, rows: pd.DataFrame, clusters: Ints, status: str) -> tuple[object, ...]:
        counts = (len(rows), len(np.unique(clusters)))
        return (self.model, None, *counts, *[np.nan] * 7, False, None, status)

    def _tested(self, rules: Sequence[Rule], confirm: _Half) -> list[tuple[object, ...]]:
        from statsmodels.stats.multitest import multipletests

        inside = np.stack([rule.members(confirm.points) for rule in rules], axis=1)
        excess = _against_rest(inside, confirm.errors, confirm.clusters)
        enough = np.minimum(excess.own.clusters, excess.rest.clusters) >= self.min_n
        p = np.where(enough, excess.p_higher(), np.nan)
        tested = np.isfinite(p)
        adjusted = np.full(len(rules), np.nan)
        if tested.any():
            adjusted[tested] = multipletests(p[tested], method="holm")[1]
        low, high = excess.bounds(min(0.999, 2 * self.alpha / max(1, int(tested.sum()))))
        out: list[tuple[object, ...]] = []
        for place in range(len(rules)):
            numbers = (excess.own.rate, excess.rest.rate, excess.difference, low, high, p, adjusted)
            shown = [float(column[place]) if enough[place] else np.nan for column in numbers]
            confirmed = bool(shown[2] > 0 and shown[6] < self.alpha)
            size = int(excess.own.total[place]), int(excess.own.clusters[place])
            status = "ok" if tested[place] else "too_few_clusters"
            makeup = self._makeup(inside[:, place], confirm)
            out.append((self.model, _name(place), *size, *shown, confirmed, makeup, status))
        return out

    def _makeup(self, inside: Bools, confirm: _Half) -> str:
        """Groups and classes over-represented in the slice, the most so first."""
        named: list[tuple[str, Bools]] = []
        for name, column in [*((name, f"attr_{name}") for name in self.attributes), ("class", "label")]:
            values = confirm.rows[column].to_numpy(object)
            named += [(f"{name} {group}", values == group) for group in sorted(set(values) - {MISSING})]
        notable = []
        for phrase, holds in named:
            excess = _against_rest(inside[:, None], holds, confirm.clusters)
            p, apart = float(excess.p_higher()[0]), float(excess.difference[0])
            if p * len(named) < self.alpha and apart > 0:
                share, whole = 100 * float(excess.own.rate[0]), 100 * float(holds.mean())
                notable.append((-apart, f"{phrase} {share:.0f} % ({whole:.0f} % of all)"))
        chosen = [text for _, text in sorted(notable)[:NOTABLE]]
        return "; ".join(chosen) if chosen else "no declared group or class stands out"


def _name(place: int) -> str:
    return f"slice {place + 1}"


def _searched(clusters: Ints, rng: np.random.Generator) -> Bools:
    """Whole clusters, in random order, up to half of the images."""
    if not len(clusters):
        return np.zeros(0, dtype=bool)
    size = np.bincount(clusters)
    order = rng.permutation(len(size))
    taken = np.cumsum(size[order]) <= min(len(clusters) / 2, SEARCHED)
    chosen = np.zeros(len(size), dtype=bool)
    chosen[order[taken]] = True
    return np.asarray(chosen[clusters])


def _against_rest(inside: Bools, hits: Bools, clusters: Ints) -> Excess:
    """Rate of `hits` inside each slice ``(N, C)`` against outside it."""
    code = np.unique(clusters, return_inverse=True)[1].reshape(-1)
    size = int(code.max()) + 1
    row, group = np.nonzero(inside)
    key, unit = np.unique(group * size + code[row], return_inverse=True)
    return excess_of_units(
        Units(
            key // size,
            key % size,
            np.bincount(unit.reshape(-1), weights=hits[row], minlength=len(key)).astype(np.float64),
            np.bincount(unit.reshape(-1), minlength=len(key)).astype(np.float64),
            np.bincount(code, weights=hits, minlength=size).astype(np.float64),
            np.bincount(code, minlength=size).astype(np.float64),
        ),
        inside.shape[1],
    )


def _listed(model: str, place: int, rule: Rule, search: _Half, confirm: _Half) -> pd.DataFrame:
    """The slice's images in both halves, the most typical first."""
    centre = search.points[rule.members(search.points)].mean(axis=0)
    parts = []
    for half, name in ((search, "search"), (confirm, "confirm")):
        inside = rule.members(half.points)
        ids = half.rows["image_id"].to_numpy(object)[inside]
        distance = np.linalg.norm(half.points[inside] - centre, axis=1)
        frame = pd.DataFrame({"image_id": ids, "half": name, "distance": distance})
        parts.append(frame.sort_values(["distance", "image_id"]))
    return pd.concat(parts, ignore_index=True).assign(model=model, slice=_name(place))
