"""The table `leakage`: how well a linear probe reads an attribute from a model's embeddings.

Which images have an embedding, and their principal components, come from `vectors`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from audit.fairness.intervals import Floats
from audit.fairness.permutation import Permutations
from audit.fairness.rows import MISSING, Ints, cluster_names, group_labels
from audit.fairness.vectors import Space, usable_vectors
from audit.run.schema import columns

__all__ = ["balanced_accuracy", "leakage_table", "ridge_probe"]

Names = npt.NDArray[np.object_]

DIMENSIONS = 64
FOLDS = 5
PROBED = 20_000


def leakage_table(
    embeddings: pd.DataFrame,
    images: pd.DataFrame,
    attributes: Sequence[str],
    *,
    seed: int = 0,
    draws: int = 49,
    min_n: int = 10,
) -> pd.DataFrame:
    """Compute table `leakage`.

    Parameters
    ----------
    embeddings, images : DataFrame
        The run's tables; an image counts where both have it with status ``ok``.
    attributes : sequence of str
        Attribute names, without the prefix ``attr_``.
    seed : int
        Of folds and permutations.
    draws : int
        Permutations of the group labels. The least possible p is ``1 / (1 + draws)``.
    min_n : int
        Groups with fewer clusters (images where there are none) are left out, and so are images whose
        group is missing.

    Returns
    -------
    DataFrame
        One row a model and attribute. ``value`` is the balanced accuracy of the probe on held-out clusters
        (the mean over the groups of the share of its images that are recognised); ``baseline`` and
        ``baseline_high`` are the mean and the 95th percentile of the same after permuting the labels.
        Status ``undefined`` where there is one group only, or all embeddings are alike;
        ``too_few_clusters`` where fewer than two groups are large enough; ``not_measured`` without any
        image.

    Raises
    ------
    InputError
        A column or an attribute is missing, or embeddings cannot be used.

    Notes
    -----
    The probe is a ridge classifier with balanced weights on at most 64 standardised principal components
    (they do not know the labels): a closed form, so that every permutation can be fitted anew. At most
    20,000 images are probed, in whole clusters; ``n`` counts them. Labels are permuted between the
    clusters that have one group only, and within the others. Leakage shows that the group can be read
    from the embeddings; not that the model uses it, nor that anyone is served worse. No leakage to a
    linear probe does not exclude leakage to another one.
    """
    permutations = Permutations(draws, seed)
    rows: list[tuple[object, ...]] = []
    for model in embeddings["model"].astype(str).unique():
        ids, vectors = usable_vectors(embeddings, images, model)
        own = images.set_index("image_id").loc[ids].reset_index()
        fine = (own["status"] == "ok").to_numpy(bool)
        own, vectors = own[fine].reset_index(drop=True), vectors[fine]
        clusters = cluster_names(own).to_numpy(object)
        for name in attributes:
            groups = group_labels(own, (name,)).to_numpy(object)
            rng = permutations.stream("leakage", model, name)
            rows.append((model, name, *_probed(vectors, groups, clusters, rng, draws=draws, min_n=min_n)))
    names = columns("leakage")
    whole = ("groups", "n", "clusters", "dimensions")
    text = ("model", "attribute", "method", "status")
    types = {name: "int64" if name in whole else "str" if name in text else "float64" for name in names}
    return pd.DataFrame(rows, columns=names).astype(types)


def _probed(
    vectors: Floats, groups: Names, clusters: Names, rng: np.random.Generator, *, draws: int, min_n: int
) -> tuple[object, ...]:
    """Everything of a row after its attribute."""
    frame = pd.DataFrame({"group": groups, "cluster": clusters})
    frame = frame[frame["group"] != MISSING]
    present = frame["group"].nunique()
    size = frame.groupby("group")["cluster"].nunique()
    kept = frame[frame["group"].isin(size.index[size >= min_n])]
    kept = kept.loc[_sampled(kept["cluster"].to_numpy(object), rng)]
    counts = (int(kept["group"].nunique()), len(kept), int(kept["cluster"].nunique()))
    nothing = (*counts, *[np.nan] * 4, 0, "none")
    if not present:
        return (*nothing, "not_measured")
    if counts[0] < 2:
        return (*nothing, "undefined" if present < 2 else "too_few_clusters")
    chosen = vectors[kept.index.to_numpy()]
    space = Space.fit(chosen, DIMENSIONS)
    if space is None:
        return (*nothing, "undefined")
    points = space.apply(chosen)
    group = np.unique(kept["group"].to_numpy(object), return_inverse=True)[1].reshape(-1).astype(np.int64)
    cluster = np.unique(kept["cluster"].to_numpy(object), return_inverse=True)[1].reshape(-1).astype(np.int64)
    folds = int(min(FOLDS, size[size >= min_n].min()))
    if folds < 2:
        return (*nothing, "too_few_clusters")
    value = _held_out(points, group, cluster, folds, rng)
    dealt = [_held_out(points, _permuted(group, cluster, rng), cluster, folds, rng) for _ in range(draws)]
    finite = np.array([one for one in dealt if np.isfinite(one)])
    if np.isnan(value) or not len(finite):
        return (*nothing, "too_few_clusters")
    p = float((1 + (finite >= value - 1e-12).sum()) / (1 + len(finite)))
    high = float(np.quantile(finite, 0.95, method="higher"))
    method = f"ridge, {folds} folds, {len(finite)} permutations"
    return (*counts, value, float(finite.mean()), high, p, points.shape[1], method, "ok")


def _sampled(clusters: Names, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Which images are probed: all, or whole clusters in random order up to the limit."""
    code = np.unique(clusters, return_inverse=True)[1].reshape(-1)
    if len(code) <= PROBED:
        return np.ones(len(code), dtype=bool)
    size = np.bincount(code)
    order = rng.permutation(len(size))
    chosen = np.zeros(len(size), dtype=bool)
    chosen[order[np.cumsum(size[order]) <= PROBED]] = True
    return np.asarray(chosen[code])


def _held_out(points: Floats, group: Ints, cluster: Ints, folds: int, rng: np.random.Generator) -> float:
    """Balanced accuracy over all images, each predicted by a probe that saw no image of its cluster."""
    fold = _folds(group, cluster, folds, rng)
    predicted = np.full(len(group), -1, dtype=np.int64)
    for held in range(folds):
        train, test = fold != held, fold == held
        if not test.any():
            continue
        if len(np.unique(group[train])) < 2:
            return float("nan")
        predicted[test] = ridge_probe(points[train], group[train], points[test])
    return balanced_accuracy(group, predicted)


def ridge_probe(points: Floats, group: Ints, others: Floats) -> Ints:
    """Recognise the group of `others` by ridge regression on the groups' indicators, each group weighing the same.

    It is scikit-learn's ``RidgeClassifier(alpha=D, class_weight="balanced")`` on standardised points, `D`
    being the number of dimensions, without its cost a call.
    """
    names, code = np.unique(group, return_inverse=True)
    code = code.reshape(-1)
    centre, scale = points.mean(axis=0), points.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    known, asked = (points - centre) / scale, (others - centre) / scale
    weight = (len(code) / len(names) / np.bincount(code))[code]
    middle = weight @ known / weight.sum()
    target = 2 * np.eye(len(names))[code] - 1
    level = weight @ target / weight.sum()
    weighted = (known - middle) * weight[:, None]
    square = weighted.T @ (known - middle) + points.shape[1] * np.eye(points.shape[1])
    slope = np.linalg.solve(square, weighted.T @ (target - level))
    return np.asarray(names[((asked - middle) @ slope + level).argmax(axis=1)], dtype=np.int64)


def balanced_accuracy(group: Ints, predicted: Ints) -> float:
    """Mean over the groups of the share of its images that are recognised."""
    size = np.bincount(group)
    hits = np.bincount(group[group == predicted], minlength=len(size))
    return float((hits[size > 0] / size[size > 0]).mean())


def _folds(group: Ints, cluster: Ints, folds: int, rng: np.random.Generator) -> Ints:
    """Fold of each image: clusters are dealt in turn, those of one (commonest) group after another."""
    table = np.zeros((int(cluster.max()) + 1, int(group.max()) + 1), dtype=np.int64)
    np.add.at(table, (cluster, group), 1)
    order = np.lexsort((rng.random(len(table)), table.argmax(axis=1)))
    place = np.empty(len(table), dtype=np.int64)
    place[order] = np.arange(len(table)) % folds
    return np.asarray(place[cluster], dtype=np.int64)


def _permuted(group: Ints, cluster: Ints, rng: np.random.Generator) -> Ints:
    """Labels dealt anew: between clusters of one group only, and within the others.

    So neither the sizes of the clusters nor what their images share is taken for leakage; and one odd
    label in a cluster does not freeze the labels of all the rest.
    """
    least = np.full(int(cluster.max()) + 1, group.max() + 1)
    most = np.full(len(least), -1)
    np.minimum.at(least, cluster, group)
    np.maximum.at(most, cluster, group)
    constant = least == most
    dealt = least.copy()
    dealt[constant] = rng.permutation(least[constant])
    out = np.where(constant[cluster], dealt[cluster], group)
    mixed = np.flatnonzero(~constant[cluster])
    if len(mixed):
        shuffled = mixed[np.lexsort((rng.random(len(mixed)), cluster[mixed]))]
        ordered = mixed[np.argsort(cluster[mixed], kind="stable")]
        out[ordered] = group[shuffled]
    return np.asarray(out, dtype=np.int64)
