"""What is held against a model that shows nothing but its scores: their shape and kind, on noise."""

from __future__ import annotations

from typing import Literal

import numpy as np

from audit.errors import ModelError
from audit.models.adapter import ScoreKind
from audit.models.checks import looks_like_probabilities

__all__ = ["Layout", "check_rows", "in_layout", "score_kind"]

Layout = Literal["NCHW", "NHWC"]

_EDGE = 1e-3  # by which rounding may carry a probability out of [0, 1]
_SUM = 1e-2  # half precision over many classes adds up to 1 no better


def in_layout(images: np.ndarray, layout: Layout) -> np.ndarray:
    """Images ``(N, H, W, C)`` as a model of that layout takes them: a contiguous copy."""
    turned = images.transpose(0, 3, 1, 2) if layout == "NCHW" else images
    return np.array(turned, order="C")


def check_rows(scores: np.ndarray, n: int, outputs: int | None, *, where: str | None = None) -> None:
    """Scores are one row an image, of as many columns as ever (None: any number), or a clear error."""
    if scores.ndim != 2 or len(scores) != n:
        raise ModelError(f"must give one row of scores an image, gave {scores.shape} for {n} images", where=where)
    if outputs is not None and scores.shape[1] != outputs:
        raise ModelError(f"gave {outputs} scores an image at first and now {scores.shape[1]}", where=where)


def score_kind(
    scores: np.ndarray, head: str, declared: Literal["auto", "logit", "probability"], *, where: str | None = None
) -> ScoreKind:
    """Whether scores are logits or probabilities: what is declared, unless the numbers contradict it.

    Parameters
    ----------
    scores : ndarray
        ``(N, K)``, on `audit.models.checks.noise_images`; rows that are not finite say nothing.
    head : str
        ``softmax`` or ``sigmoid``.
    declared : str
        ``auto`` stands for logits: a black box cannot be cut before its last activation.
    where : str, optional
        Name of the model, for errors.

    Raises
    ------
    ModelError
        Probabilities were not declared, or what was declared as probabilities is none.
    """
    if declared != "probability":
        if looks_like_probabilities(scores, head):
            key = "score='probability'" if where is None else "`score: probability`"  # a call, or a file
            raise ModelError(
                "gives numbers between 0 and 1 where logits are expected",
                where=where,
                fix=f"return logits, or declare {key}",
            )
        return "logit"
    finite = scores[np.isfinite(scores).all(axis=1)].astype(np.float64)
    if finite.size and not (finite.min() >= -_EDGE and finite.max() <= 1 + _EDGE):
        found = f"gives numbers from {finite.min():.3g} to {finite.max():.3g}"
        raise ModelError(f"{found}, which are no probabilities", where=where, fix="declare `score: logit`")
    sums = finite.sum(axis=1)
    if head == "softmax" and finite.size and float(np.abs(sums - 1).max()) > _SUM:
        raise ModelError(
            f"gives rows that add up to {sums.min():.3g} to {sums.max():.3g}, probabilities of a softmax to 1",
            where=where,
            fix="declare `head: sigmoid` where each class has a probability of its own",
        )
    return "probability"
