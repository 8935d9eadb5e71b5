"""Long embeddings brought down to fewer columns by a random projection that is the same everywhere."""

from __future__ import annotations

import numpy as np

__all__ = ["projection"]


def projection(size: int, dimensions: int, seed: int) -> np.ndarray | None:
    """Matrix of random signs that keeps distances between embeddings nearly as they are.

    Parameters
    ----------
    size : int
        Columns of the embeddings, D.
    dimensions : int
        Columns to keep, k.
    seed : int
        Of the signs; they depend on nothing else, so both frameworks and every machine get the same.

    Returns
    -------
    ndarray or None
        ``(D, k)`` float32 of ``+-1 / sqrt(k)``, or None where D is at most k and nothing is projected.

    Notes
    -----
    Achlioptas (2003), a Johnson-Lindenstrauss transform: squared distances are kept in the mean, with a relative
    spread of about ``sqrt(2 / k)`` (9 % at k = 256).
    """
    if size <= dimensions:
        return None
    count = size * dimensions
    words = np.random.PCG64(np.random.SeedSequence([seed, size, dimensions])).random_raw(-(-count // 64))
    bits = np.unpackbits(np.asarray(words, "<u8").view(np.uint8), count=count)
    signs = bits.astype(np.float32) * 2 - 1
    return (signs / np.float32(np.sqrt(dimensions))).reshape(size, dimensions)
