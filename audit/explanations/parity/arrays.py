"""How far two arrays differ, by value and by rank, and in which orders a flattening may have put its values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

__all__ = ["channel_orders", "least_spearman", "relative_difference"]


def relative_difference(first: np.ndarray, second: np.ndarray, *, own_scale: bool = False) -> tuple[float, int]:
    """Largest difference over the largest value, of the worst row, and which row that is.

    Parameters
    ----------
    first, second : ndarray
        ``(N, ...)`` of one shape.
    own_scale : bool
        Whether a row is held against its own largest value, as maps are, whose size means nothing across images; else
        against that of all rows. Scores need the latter: those of an image between the classes may all be near zero.

    Returns
    -------
    float
        Relative to the larger of the two largest absolute values: 0 where both are zero throughout, infinite where a
        number is not finite.
    int
        Index of the worst row; 0 where there are no values.
    """
    if first.size == 0:
        return 0.0, 0
    ours, theirs = (array.reshape(len(array), -1) for array in (first, second))
    with np.errstate(invalid="ignore", over="ignore"):
        apart = np.abs(ours - theirs).max(axis=1).astype(np.float64)
        scale = np.maximum(np.abs(ours).max(axis=1), np.abs(theirs).max(axis=1)).astype(np.float64)
    finite = np.isfinite(apart) & np.isfinite(scale)
    if not own_scale:
        scale = np.full_like(scale, scale[finite].max(initial=0))
    relative = np.divide(apart, scale, out=np.zeros_like(apart), where=finite & (scale != 0))
    relative[~finite] = np.inf
    worst = int(relative.argmax())
    return float(relative[worst]), worst


def least_spearman(first: np.ndarray, second: np.ndarray) -> float | None:
    """Spearman's rank correlation of the worst row, of signed values.

    Returns
    -------
    float or None
        None where a row of one of the two is constant or not finite, for ranks say nothing there.
    """
    from scipy.stats import rankdata

    found = []
    for ours, theirs in zip(first, second, strict=True):
        if not (np.isfinite(ours).all() and np.isfinite(theirs).all()):
            return None
        ranks = [rankdata(values.ravel()) for values in (ours, theirs)]
        if any(np.ptp(rank) == 0 for rank in ranks):
            return None
        found.append(float(np.corrcoef(*ranks)[0, 1]))
    return min(found, default=None)


def channel_orders(size: int, shapes: Iterable[tuple[int, ...]]) -> Iterator[tuple[str, np.ndarray]]:
    """Orders that lead from a flattening channels last to one channels first, and back.

    Parameters
    ----------
    size : int
        Number of values flattened.
    shapes : iterable of tuple of int
        Shapes ``(h, w, C)`` that may have been flattened; others are passed over.

    Yields
    ------
    str
        What the order supposes.
    ndarray
        ``(size,)``: ``second[order]`` stands in the order of the first.
    """
    for shape in sorted({shape for shape in shapes if len(shape) == 3 and int(np.prod(shape)) == size}):
        if shape[2] == 1 or shape[0] * shape[1] == 1:
            continue  # both orders are the same
        first = np.arange(size).reshape(shape).transpose(2, 0, 1).ravel()
        said = " x ".join(map(str, shape))
        yield f"the first model flattens {said} channels first", first
        yield f"the second model flattens {said} channels first", np.argsort(first)
