"""A black box behind the seam: any function from images to scores. It has no gradients and no layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from audit.errors import ModelError
from audit.models.adapter import ModelSpec
from audit.models.black_box import Layout, check_rows, in_layout, score_kind
from audit.models.checks import check_outputs, noise_images
from audit.models.chunked import ChunkedAdapter

__all__ = ["CallableAdapter"]


class CallableAdapter(ChunkedAdapter):
    """A function of images that gives ``(N, K)`` scores.

    Parameters
    ----------
    function : callable
        Gets a copy of at most `micro_batch` images at once, float32.
    classes : sequence of str
        In output order.
    input_shape : tuple of int
        ``(H, W, C)``, whatever the layout.
    layout : str
        ``NHWC`` or ``NCHW``: how the function takes its images.
    head : str
        ``softmax`` or ``sigmoid``.
    score : str
        ``auto`` refuses numbers that look like probabilities; declare ``probability`` for them.
    micro_batch : int
        Images that are given at once.
    where : str, optional
        Name of the model, for errors.

    Raises
    ------
    ModelError
        The function fails on noise, or what it gives is not what is declared.
    """

    def __init__(
        self,
        function: Callable[[np.ndarray], Any],
        *,
        classes: Sequence[str],
        input_shape: tuple[int, int, int],
        layout: Layout = "NHWC",
        head: Literal["softmax", "sigmoid"] = "softmax",
        score: Literal["auto", "logit", "probability"] = "auto",
        micro_batch: int = 32,
        where: str | None = None,
    ) -> None:
        self._function = function
        self._layout: Layout = layout
        self._where = where
        self._outputs: int | None = None
        self.micro_batch = micro_batch
        self._layers = []
        noise = noise_images(input_shape)
        scores = np.concatenate(self._in_chunks(len(noise), lambda rows: self._scores(noise[rows])))
        self._outputs = scores.shape[1]
        check_outputs(tuple(classes), head, self._outputs, where=where)
        self._spec = ModelSpec(
            framework="callable",
            input_shape=input_shape,
            classes=tuple(classes),
            head=head,
            outputs=self._outputs,
            score=score_kind(scores, head, score, where=where),
            layer=None,
            device="unknown",
            parameters=0,
            capabilities=frozenset({"scores"}),
        )

    def close(self) -> None:
        """Nothing to undo."""

    def _scores(self, images: np.ndarray) -> np.ndarray:
        try:
            scores = np.asarray(self._function(in_layout(images, self._layout)), dtype=np.float32)
        except MemoryError:
            raise
        except Exception as error:
            shape = " x ".join(map(str, images.shape))
            raise ModelError(
                f"the function failed on {shape} images: {type(error).__name__}: {error}", where=self._where
            ) from error
        check_rows(scores, len(images), self._outputs, where=self._where)
        return scores
