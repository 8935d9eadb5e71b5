"""What adapters share: input checks, work in micro-batches, and halving them where memory is short.

A framework's own forward and backward pass over one micro-batch is left to the adapter.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from audit.errors import ModelError
from audit.models.adapter import GradientPass, LayerInfo, ModelSpec, Targets, join_passes
from audit.models.checks import check_images, check_layers, check_targets

__all__ = ["ChunkedAdapter"]

Part = TypeVar("Part")


class ChunkedAdapter(ABC):
    """Base of the adapters that ship with faircam; see `audit.models.adapter.ModelAdapter`."""

    micro_batch: int
    _spec: ModelSpec
    _layers: list[LayerInfo]

    @property
    def spec(self) -> ModelSpec:
        """What is declared and known of the model."""
        return self._spec

    def layers(self) -> list[LayerInfo]:
        """Layers in the order in which they finish; one that runs twice counts where it ran last."""
        return list(self._layers)

    def scores(self, images: np.ndarray) -> np.ndarray:
        """``(N, K)`` scores of ``(N, H, W, C)`` images."""
        images = check_images(self._spec, images)
        if len(images) == 0:
            return self.scores(self._blank())[:0]
        return np.concatenate(self._in_chunks(len(images), lambda rows: self._scores(images[rows])))

    def embeddings(self, images: np.ndarray) -> np.ndarray:
        """``(N, D)`` activations that enter the head; see `audit.models.adapter.ModelAdapter`."""
        if "embeddings" not in self._spec.capabilities:
            raise ModelError("gives scores but no embeddings: it has no dense layer or convolution that can be seen")
        images = check_images(self._spec, images)
        if len(images) == 0:
            return self.embeddings(self._blank())[:0]
        return np.concatenate(self._in_chunks(len(images), lambda rows: self._embeddings(images[rows])))

    def gradient_pass(self, images: np.ndarray, targets: Targets, layers: Sequence[str] = ()) -> GradientPass:
        """One forward and one backward pass; see `audit.models.adapter.ModelAdapter`."""
        if "gradients" not in self._spec.capabilities:
            raise ModelError("gives scores but no gradients, so only methods that need none apply")
        images = check_images(self._spec, images)
        chosen = check_targets(self._spec, targets, len(images))
        check_layers(layers, self._layers)
        if len(images) == 0:
            return self.gradient_pass(self._blank(), "predicted", layers).rows(slice(0, 0))
        names = tuple(dict.fromkeys(layers))

        def run(rows: slice) -> GradientPass:
            return self._pass(images[rows], None if chosen is None else chosen[rows], names)

        return join_passes(self._in_chunks(len(images), run))

    @abstractmethod
    def _scores(self, images: np.ndarray) -> np.ndarray:
        """Scores of at most `micro_batch` images."""

    def _embeddings(self, images: np.ndarray) -> np.ndarray:
        """Embeddings of at most `micro_batch` images."""
        raise NotImplementedError

    def _pass(self, images: np.ndarray, targets: np.ndarray | None, layers: tuple[str, ...]) -> GradientPass:
        """Gradient pass over at most `micro_batch` images; no targets means the predicted classes."""
        raise NotImplementedError

    def _short_of_memory(self, error: Exception) -> bool:
        """Whether the framework failed for lack of memory."""
        return isinstance(error, MemoryError)

    def _blank(self) -> np.ndarray:
        return np.zeros((1, *self._spec.input_shape), dtype=self._spec.dtype)

    def _in_chunks(self, n: int, run: Callable[[slice], Part]) -> list[Part]:
        parts: list[Part] = []
        start = 0
        while start < n:
            rows = slice(start, min(start + self.micro_batch, n))
            try:
                parts.append(run(rows))
            except Exception as error:
                if not self._short_of_memory(error):
                    raise
                if self.micro_batch == 1:
                    raise ModelError("memory does not suffice for a single image") from error
                self.micro_batch //= 2
            else:
                start = rows.stop
        return parts
