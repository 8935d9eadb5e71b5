"""A black box behind the seam: any function from images to scores. It has no gradients and no layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from audit.errors import ModelError
from audit.models.adapter import ModelSpec
from audit.models.checks import check_outputs, looks_like_probabilities, noise_images
from audit.models.chunked import ChunkedAdapter

__all__ = ["CallableAdapter"]


class CallableAdapter(ChunkedAdapter):
    """A function of ``(N, H, W, C)`` images that gives ``(N, K)`` scores.

    Parameters
    ----------
    function : callable
        Gets at most `micro_batch` images at once.
    classes : sequence of str
        In output order.
    input_shape : tuple of int
        ``(H, W, C)``.
    head : str
        ``softmax`` or ``sigmoid``.
    score : str
        ``auto`` refuses numbers that look like probabilities; declare ``probability`` for them.
    micro_batch : int
        Images that are given at once.
    """

    def __init__(
        self,
        function: Callable[[np.ndarray], Any],
        *,
        classes: Sequence[str],
        input_shape: tuple[int, int, int],
        head: Literal["softmax", "sigmoid"] = "softmax",
        score: Literal["auto", "logit", "probability"] = "auto",
        micro_batch: int = 32,
    ) -> None:
        self._function = function
        self.micro_batch = micro_batch
        self._layers = []
        noise = noise_images(input_shape)
        scores = self._scores(noise)
        if scores.ndim != 2 or len(scores) != len(noise):
            raise ModelError(f"must give one row of scores an image, gave {scores.shape} for {len(noise)} images")
        if score != "probability" and looks_like_probabilities(scores, head):
            raise ModelError(
                "the function gives numbers between 0 and 1 where logits are expected",
                fix="return logits, or declare score='probability'",
            )
        check_outputs(tuple(classes), head, scores.shape[1])
        self._spec = ModelSpec(
            framework="callable",
            input_shape=input_shape,
            classes=tuple(classes),
            head=head,
            outputs=scores.shape[1],
            score="probability" if score == "probability" else "logit",
            layer=None,
            device="unknown",
            parameters=0,
            capabilities=frozenset({"scores"}),
        )

    def close(self) -> None:
        """Nothing to undo."""

    def _scores(self, images: np.ndarray) -> np.ndarray:
        return np.asarray(self._function(images), dtype=np.float32)
