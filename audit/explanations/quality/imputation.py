"""Linear imputation of removed pixels from those that remain: the core of ROAD, in NumPy and SciPy."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from audit.errors import InputError

__all__ = ["linear_imputation"]

DIRECT, DIAGONAL = 1 / 6, 1 / 12
"""Weights of the four direct and the four diagonal neighbours."""

_BAND_BYTES = 512 * 2**20  # a band matrix larger than this is solved as a sparse one


def linear_imputation(image: np.ndarray, removed: np.ndarray) -> np.ndarray:
    """Replace removed pixels so that each is the weighted mean of its eight neighbours.

    Rong, Leemann, Borisov, Kasneci and Kasneci 2022 (ROAD): direct neighbours weigh 1/6, diagonal ones
    1/12; neighbours that are removed too are unknowns of the same sparse linear system, one right-hand side a
    channel. At the edge of the image the weights of the neighbours that exist are scaled to sum to 1.

    Parameters
    ----------
    image : ndarray
        ``(H, W, C)``.
    removed : ndarray
        ``(H, W)`` bool, with at least one pixel that remains.

    Returns
    -------
    ndarray
        ``(H, W, C)`` float64; what remains is untouched, and no noise is added.

    Raises
    ------
    InputError
        Shapes do not fit, or nothing remains.

    Notes
    -----
    The system is symmetric and positive definite. It is solved by a banded Cholesky factorisation along the longer
    side: 2 to 5 ms at 64 pixels and 0.07 to 0.25 s at 224 where half of the pixels or more are removed (one core),
    far less where few are.
    """
    if image.ndim != 3 or removed.shape != image.shape[:2] or removed.dtype != bool:
        raise InputError(
            f"image has shape {image.shape} and what is removed {removed.shape} {removed.dtype}, "
            "expected (H, W, C) and (H, W) bool"
        )
    if removed.all():
        raise InputError("every pixel is removed, so there is nothing to impute from")
    if removed.shape[1] > removed.shape[0]:  # the band is as wide as a row
        return linear_imputation(image.swapaxes(0, 1), removed.T).swapaxes(0, 1)
    grid = _grid(*removed.shape)
    places = np.flatnonzero(removed)
    values = image.astype(np.float64).reshape(removed.size, -1)
    values[places] = 0
    links = grid.links[places]
    values[places] = _solved(links[:, places], grid.totals[places], links @ values)
    return values.reshape(image.shape)


class _Grid(NamedTuple):
    links: Any  # (P, P) sparse: weight of each neighbour
    totals: np.ndarray  # (P,) their sum, below 1 at the edge


@lru_cache(maxsize=8)
def _grid(height: int, width: int) -> _Grid:
    """Neighbours of every pixel."""
    from scipy import sparse

    places = np.arange(height * width).reshape(height, width)
    pairs: list[tuple[np.ndarray, np.ndarray, float]] = []
    for down, right, weight in ((0, 1, DIRECT), (1, 0, DIRECT), (1, 1, DIAGONAL)):
        pairs.append((places[: height - down, : width - right], places[down:, right:], weight))
    pairs.append((places[:-1, 1:], places[1:, :-1], DIAGONAL))
    first = np.concatenate([here.ravel() for here, _, _ in pairs])
    second = np.concatenate([there.ravel() for _, there, _ in pairs])
    weights = np.concatenate([np.full(here.size, weight) for here, _, weight in pairs])
    upper = sparse.csr_matrix((weights, (first, second)), shape=(places.size, places.size))
    links = (upper + upper.T).tocsr()
    return _Grid(links, np.asarray(links.sum(axis=1)).ravel())


def _solved(links: Any, totals: np.ndarray, known: np.ndarray) -> np.ndarray:
    """``(n, C)`` x of ``totals * x - links @ x = known``."""
    if len(totals) == 0:
        return known
    from scipy import sparse
    from scipy.linalg import solveh_banded
    from scipy.sparse.linalg import splu

    lower = sparse.tril(links, -1).tocoo()
    below = lower.row - lower.col
    width = int(below.max(initial=0)) + 1
    if width * len(totals) * 8 > _BAND_BYTES:
        system = (sparse.diags(totals) - links).tocsc()
        symmetric = splu(system, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0, options={"SymmetricMode": True})
        return np.asarray(symmetric.solve(known))
    band = np.zeros((width, len(totals)))
    band[0] = totals
    band[below, lower.col] = -lower.data
    return np.asarray(solveh_banded(band, known, lower=True, overwrite_ab=True, overwrite_b=True, check_finite=False))
