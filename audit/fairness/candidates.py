"""Candidate slices: regions of embedding space in which a model errs more, as found in one half.

They are ranked here and tested, on images that had no part in the search, in `slices`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy import sparse

from audit.fairness.intervals import Floats
from audit.fairness.rows import Ints

__all__ = ["Beyond", "Nearest", "Rule", "promising"]

Bools = npt.NDArray[np.bool_]

COUNTS = (2, 3, 4, 5, 6, 8, 10)
VIEWS = (3, 8, 32)
JOINED = 3
AXES = 12
SHARES = (0.1, 0.2, 0.33)
FOLDS = 5
SHARPENED = 12
STEPS = 10
RIDGE = 0.1
LARGEST = 0.5
ALIKE = 0.5


class Rule(Protocol):
    """Says of any image, from its position in embedding space, whether it is in the slice."""

    def members(self, points: Floats) -> Bools:
        """Whether each of the points ``(N, Q)`` is in the slice."""
        ...


@dataclass(frozen=True)
class Nearest:
    """Points whose nearest centre, in the leading components, is one of the chosen."""

    centres: Floats
    chosen: tuple[int, ...]

    def members(self, points: Floats) -> Bools:
        """Whether each point is in the slice."""
        return np.isin(_nearest(points, self.centres), self.chosen)


@dataclass(frozen=True)
class Beyond:
    """Points that lie further along a direction than a threshold."""

    direction: Floats
    threshold: float

    def members(self, points: Floats) -> Bools:
        """Whether each point is in the slice."""
        return np.asarray(points @ self.direction > self.threshold)


Candidate = tuple[Rule, Bools]


def promising(
    points: Floats, errors: Bools, clusters: Ints, rng: np.random.Generator, *, most: int, min_n: int
) -> list[Rule]:
    """Find the rules whose slices look worst, the worst first, no two of them much alike.

    Parameters
    ----------
    points : ndarray, shape (N, Q)
        Principal components of the search half, the widest first.
    errors : ndarray of bool, shape (N,)
        Whether the model erred.
    clusters : ndarray of int64, shape (N,)
        Cluster of each image.
    rng : Generator
        Of the starting points and folds.
    most : int
        How many rules are returned at most.
    min_n : int
        Fewest clusters of a slice. The largest slice is half of the images.

    Notes
    -----
    Candidates are the groups of k-means for several numbers of groups and of leading components, unions of
    the worst of them, both ends of the first components, and the far end of the direction along which
    errors are most frequent (the difference of the means in whitened components, as in a linear
    discriminant; scored on folds that it was not fitted on). They are ranked by a cluster-robust score
    statistic, which a few images alone cannot make large.
    """
    found = [*_grouped(points, errors, rng), *_ends(points), *_steepest(points, errors, clusters, rng)]
    code = np.unique(clusters, return_inverse=True)[1].reshape(-1)
    belongs = sparse.csr_array((np.ones(len(code)), (code, np.arange(len(code)))))
    promise = _promise(found, errors, belongs, min_n)
    best = np.argsort(-promise, kind="stable")[:SHARPENED].tolist()
    found += [sharp for place in best for sharp in _sharpened(found[place][1], points)]
    promise = _promise(found, errors, belongs, min_n)
    chosen: list[int] = []
    for place in np.argsort(-promise, kind="stable").tolist():
        if len(chosen) == most or promise[place] <= 0:
            break
        if all(_overlap(found[place][1], found[other][1]) <= ALIKE for other in chosen):
            chosen.append(place)
    return [found[place][0] for place in chosen]


def _promise(found: Sequence[Candidate], errors: Bools, belongs: sparse.csr_array, min_n: int) -> Floats:
    """Cluster-robust score statistic of "errors are more frequent inside", one a candidate.

    Minus infinity for slices of too few clusters, or of more than half of the images.
    """
    inside = np.stack([members for _, members in found], axis=1)
    away = errors - errors.mean()
    terms = belongs @ ((inside - inside.mean(axis=0)) * away[:, None])
    size = np.sqrt((terms**2).sum(axis=0))
    promise = terms.sum(axis=0) / np.where(size > 0, size, np.inf)
    large = ((belongs @ inside.astype(np.float64)) > 0).sum(axis=0) >= min_n
    return np.where(large & (inside.mean(axis=0) <= LARGEST), promise, -np.inf)


def _sharpened(inside: Bools, points: Floats) -> Iterator[Candidate]:
    """The slice moved to where the images themselves part.

    Two normal distributions of one covariance are fitted, image by image to the likelier of the two,
    from the slice and its complement on (a linear discriminant, again and again). Errors play no part.
    """
    for view in sorted({min(view, points.shape[1]) for view in VIEWS[1:]}):
        part, leading = inside, points[:, :view]
        direction, threshold = np.zeros(view), np.inf
        for _ in range(STEPS):
            share = float(part.mean())
            if not 0.01 < share < 0.99:
                break
            centres = leading[part].mean(axis=0), leading[~part].mean(axis=0)
            away = leading - np.where(part[:, None], *centres)
            spread = away.T @ away / len(away)
            ridge = RIDGE * np.trace(spread) / view * np.eye(view)
            direction = np.linalg.solve(spread + ridge, centres[0] - centres[1])
            threshold = float(direction @ (centres[0] + centres[1]) / 2 + np.log((1 - share) / share))
            before, part = part, leading @ direction > threshold
            if (part == before).all():
                break
        padded = np.zeros(points.shape[1])
        padded[:view] = direction
        yield Beyond(padded, threshold), part


def _overlap(first: Bools, second: Bools) -> float:
    """Shared images over all images of two slices (Jaccard)."""
    return float((first & second).sum() / max(1, int((first | second).sum())))


def _grouped(points: Floats, errors: Bools, rng: np.random.Generator) -> Iterator[Candidate]:
    """Groups of k-means, and unions of those with most errors."""
    from sklearn.cluster import KMeans

    for view in sorted({min(view, points.shape[1]) for view in VIEWS}):
        distinct = len(np.unique(points[:, :view], axis=0))
        for count in (count for count in COUNTS if count < distinct):
            start = int(rng.integers(2**31))
            means = KMeans(count, n_init=2, random_state=start).fit(points[:, :view])
            label = _nearest(points, means.cluster_centers_)
            size = np.bincount(label, minlength=count)
            # Shrunk towards the common rate, so that a tiny group does not lead.
            rate = (np.bincount(label, errors, minlength=count) + 5 * errors.mean()) / (size + 5)
            worst = np.argsort(-rate, kind="stable").tolist()
            unions = [tuple(sorted(worst[:joined])) for joined in range(2, min(JOINED, count - 1) + 1)]
            for chosen in [*((place,) for place in range(count)), *unions]:
                yield Nearest(means.cluster_centers_, chosen), np.isin(label, chosen)


def _ends(points: Floats) -> Iterator[Candidate]:
    """Both ends of the first components."""
    for axis in range(min(AXES, points.shape[1])):
        for sign in (1.0, -1.0):
            direction = np.zeros(points.shape[1])
            direction[axis] = sign
            yield from _cuts(direction, points, points @ direction)


def _steepest(points: Floats, errors: Bools, clusters: Ints, rng: np.random.Generator) -> Iterator[Candidate]:
    """The far end of the direction of most errors, judged on images of other folds."""
    names, code = np.unique(clusters, return_inverse=True)
    fold = rng.permutation(len(names))[code.reshape(-1)] % FOLDS
    whitened = points / points.std(axis=0)
    away = errors - errors.mean()
    score = np.zeros(len(points))
    for held in range(FOLDS):
        others = fold != held
        direction = whitened[others].T @ (away[others] - away[others].mean())
        length = float(np.linalg.norm(direction))
        score[~others] = whitened[~others] @ direction / (length or 1.0)
    yield from _cuts(whitened.T @ away / points.std(axis=0), points, score)


def _cuts(direction: Floats, points: Floats, score: Floats) -> Iterator[Candidate]:
    """The far end along a direction, at several shares; judged by a score that may be another."""
    along = points @ direction
    for share in SHARES:
        rule = Beyond(direction, float(np.quantile(along, 1 - share)))
        yield rule, score > np.quantile(score, 1 - share)


def _nearest(points: Floats, centres: Floats) -> Ints:
    leading = points[:, : centres.shape[1]]
    return np.asarray(((centres**2).sum(axis=1) - 2 * leading @ centres.T).argmin(axis=1), dtype=np.int64)
