"""Embeddings as matrices: which ones count, and their principal components.

What is looked for in them is decided in `slices` and `leakage`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from audit.errors import InputError
from audit.fairness.intervals import Floats

__all__ = ["Space", "usable_vectors"]

FARTHEST = 5.0
FLAT = 1e-9


def usable_vectors(embeddings: pd.DataFrame, images: pd.DataFrame, model: str) -> tuple[pd.Index[str], Floats]:
    """Embeddings of one model with status ``ok``, in the order of their image ids.

    Returns
    -------
    ids : Index
        The images.
    vectors : ndarray of float64, shape (N, D)
        One row an image.

    Raises
    ------
    InputError
        An image id is unknown or occurs twice, embeddings differ in length, or a number is not finite.
    """
    absent = [name for name in ("model", "image_id", "embedding", "status") if name not in embeddings]
    if absent:
        raise InputError(f"table 'embeddings' has no column '{absent[0]}', it has: {[str(c) for c in embeddings]}")
    own = embeddings[(embeddings["model"] == model) & (embeddings["status"] == "ok")].sort_values("image_id")
    ids = pd.Index(own["image_id"])
    if not ids.is_unique:
        raise InputError(f"image_id '{ids[ids.duplicated()][0]}' occurs twice among the embeddings of model '{model}'")
    unknown = ids[~ids.isin(images["image_id"])]
    if len(unknown):
        raise InputError(f"an embedding names image_id '{unknown[0]}', which the images table does not have")
    given = own["embedding"].tolist()
    lengths = {len(vector) for vector in given}
    if len(lengths) > 1:
        raise InputError(f"embeddings of model '{model}' have {sorted(lengths)} numbers, allowed: one length")
    vectors = np.array(given, dtype=np.float64).reshape(len(own), max(lengths, default=0))
    wrong = ~np.isfinite(vectors).all(axis=1)
    if wrong.any():
        raise InputError(
            f"the embedding of image_id '{ids[wrong][0]}' by model '{model}' is not finite",
            fix="give such rows another status than 'ok'",
        )
    return ids, vectors


@dataclass(frozen=True)
class Space:
    """Principal components of standardised vectors, fitted on some of them and applied to others.

    Parameters
    ----------
    centre, scale : ndarray, shape (D,)
        Mean and standard deviation of every dimension; 0 where the dimension is constant, which leaves it
        out. Standardised numbers are cut at five standard deviations.
    basis : ndarray, shape (D, Q)
        Directions of the components, the widest first.
    spread : ndarray, shape (Q,)
        Standard deviation along each.
    """

    centre: Floats
    scale: Floats
    basis: Floats
    spread: Floats

    @classmethod
    def fit(cls, vectors: Floats, most: int, *, telling: bool = False) -> Space | None:
        """Fit at most `most` components; None where all vectors are equal.

        With `telling` only components wider than the average dimension are kept (Kaiser 1960), two at
        least.
        """
        if not vectors.size:
            return None
        centre, scale = vectors.mean(axis=0), vectors.std(axis=0)
        scale = np.where(scale > FLAT * np.maximum(1.0, np.abs(centre)), scale, 0.0)
        varying = int((scale > 0).sum())
        if not varying:
            return None
        flat = _standardised(vectors, centre, scale)
        values, directions = np.linalg.eigh(flat.T @ flat / len(flat))
        order = np.argsort(values)[::-1]
        values, directions = np.maximum(values[order], 0.0), directions[:, order]
        kept = min(most, varying, int((values > FLAT * values[0]).sum()))
        if telling:
            kept = min(kept, max(2, int((values > values.sum() / varying).sum())))
        # A direction's sign is arbitrary: its largest entry is made positive.
        basis = directions[:, :kept]
        sign = np.sign(basis[np.abs(basis).argmax(axis=0), np.arange(kept)])
        return cls(centre, scale, basis * sign, np.sqrt(values[:kept]))

    def apply(self, vectors: Floats) -> Floats:
        """Components of vectors, shape ``(N, Q)``."""
        return np.asarray(_standardised(vectors, self.centre, self.scale) @ self.basis, dtype=np.float64)


def _standardised(vectors: Floats, centre: Floats, scale: Floats) -> Floats:
    away = np.where(scale > 0, vectors - centre, 0.0) / np.where(scale > 0, scale, 1.0)
    return np.clip(away, -FARTHEST, FARTHEST)
