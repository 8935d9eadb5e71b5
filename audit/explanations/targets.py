"""The probability that perturbation methods and measures read: that of each image's own target."""

from __future__ import annotations

import numpy as np

from audit.models.adapter import ModelSpec, probabilities

__all__ = ["target_probabilities"]


def target_probabilities(spec: ModelSpec, scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Probability of each image's target.

    Parameters
    ----------
    spec : ModelSpec
        Declares how scores become probabilities.
    scores : ndarray
        ``(N, ..., K)``.
    targets : ndarray
        ``(N,)``.

    Returns
    -------
    ndarray
        ``(N, ...)`` float64; NaN where a score is not finite.
    """
    lead = scores.shape[:-1]
    flat = scores.reshape(-1, scores.shape[-1])
    finite = np.isfinite(flat).all(axis=1)
    found = probabilities(spec, np.where(finite[:, None], flat, 0))
    chosen = np.repeat(targets, int(np.prod(lead[1:], dtype=np.int64)))
    picked = found[np.arange(len(flat)), chosen]
    return np.where(finite, picked, np.nan).reshape(lead)
