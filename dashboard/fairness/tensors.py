"""Counts of one model along one attribute, from columns of short numbers: a million images are counted in milliseconds.

What is counted is what `audit.fairness.count_predictions` counts, which also counts ranks and many attributes at once.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from audit.fairness import CountTensor, count_predictions
from audit.fairness.rows import JOIN, sorted_groups
from audit.run import Run
from dashboard import columns

__all__ = ["ranked_tensor", "tensor_along"]

Ints = npt.NDArray[np.int64]
_FEW = 100_000
"""Cells that a tally may always have."""


def tensor_along(run: Run, model: str, classes: list[str], parts: tuple[str, ...]) -> CountTensor:
    """Counts along an attribute, or several crossed, without ranks of the true class.

    Parameters
    ----------
    run : Run
    model : str
    classes : list of str
        Of the run; an image of another label, or predicted to be of another, is not counted.
    parts : tuple of str
        Attributes to cross.
    """
    said, cluster, k = columns.outcomes(run, model), columns.clusters(run), len(classes)
    groups, group = _groups(run, parts)
    counts = said.usable & (said.label.codes >= 0) & (said.label.codes < k) & (said.predicted.codes < k)
    width = 1 if cluster is None else int(cluster.max(initial=0)) + 1
    key = group[counts]
    if cluster is not None:
        key = key * width + cluster[counts]
    key = (key * k + said.label.codes[counts]) * k + said.predicted.codes[counts]
    seen, number = _tallied(key, len(groups) * width * k * k)
    rest, predicted = np.divmod(seen, k)
    rest, truth = np.divmod(rest, k)
    of_group, of_cluster = np.divmod(rest, width)
    name = JOIN.join(parts)
    cells = pd.DataFrame(
        {
            f"attr_{name}": np.array(groups, dtype=object)[of_group],
            "cluster": "" if cluster is None else of_cluster,
            "truth": truth,
            "predicted": predicted,
            "rank": np.int64(0),
            "count": number,
        }
    )
    return CountTensor(model, tuple(classes), {name: (name,)}, {name: groups}, cells, cluster is not None)


def _tallied(key: Ints, size: int) -> tuple[Ints, Ints]:
    """Values that occur, in order, and how often; values lie below `size`. Sorts only where a tally would be sparse."""
    if size > 4 * len(key) + _FEW:
        return np.unique(key, return_counts=True)
    number = np.bincount(key, minlength=size)
    seen = np.flatnonzero(number)
    return seen, number[seen]


def _groups(run: Run, parts: tuple[str, ...]) -> tuple[tuple[str, ...], Ints]:
    """Groups that any image is in, usable or not, in order, and each image's place among them."""
    every = [columns.attribute(run, name) for name in parts]
    key = np.zeros(len(every[0].codes), np.int64)
    for one in every:
        key = key * len(one.names) + one.codes
    shape = [len(one.names) for one in every]
    seen, _ = _tallied(key, int(np.prod(shape)))
    places = np.unravel_index(seen, shape)
    named = [[one.names[place] for place in of_one] for one, of_one in zip(every, places, strict=True)]
    joined = [JOIN.join(names) for names in zip(*named, strict=True)]
    groups = sorted_groups(set(joined))
    order = {name: place for place, name in enumerate(groups)}
    code = np.zeros(int(np.prod(shape)), np.int64)
    code[seen] = [order[name] for name in joined]
    return groups, code[key]


def ranked_tensor(run: Run, model: str, classes: list[str], parts: tuple[str, ...]) -> CountTensor:
    """The same with ranks, for which the probabilities of every image must be read."""
    known = ["image_id", "label", "status", "cluster", *(f"attr_{name}" for name in parts)]
    said = ["model", "image_id", "predicted", "probabilities", "status"]
    images = run.table("images", columns=known)
    made = run.table("predictions", columns=said, filters=[("model", "=", model)])
    return count_predictions(images, made, classes, list(parts), [parts] if len(parts) > 1 else [])[model]
