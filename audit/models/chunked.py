"""What adapters share: input checks, work in micro-batches, and halving them where memory is short.

A framework's own forward and backward pass over one micro-batch is left to the adapter.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TypeVar

import numpy as np

from audit.errors import ModelError
from audit.models.adapter import (
    CamKind,
    Copies,
    GradientPass,
    GradientSum,
    LayerInfo,
    ModelSpec,
    Targets,
    Weights,
    join_passes,
)
from audit.models.checks import (
    check_copies,
    check_images,
    check_kinds,
    check_layer,
    check_layers,
    check_masks,
    check_targets,
    check_weighted,
)
from audit.models.rows import CopyRows, MaskRows

__all__ = ["ChunkedAdapter", "no_memory"]

Part = TypeVar("Part")

_FORWARD, _BOTH = 1, 2  # forward-equivalents of a row; a backward pass to the input costs about a forward one


class ChunkedAdapter(ABC):
    """Base of the adapters that ship with faircam; see `audit.models.adapter.ModelAdapter`."""

    micro_batch: int
    used: float = 0.0
    _fixed_shape: bool = False  # whether a short micro-batch is filled up with blank rows
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
        self._need(
            "embeddings", "gives scores but no embeddings: it has no dense layer or convolution that can be seen"
        )
        images = check_images(self._spec, images)
        if len(images) == 0:
            return self.embeddings(self._blank())[:0]
        return np.concatenate(self._in_chunks(len(images), lambda rows: self._embeddings(images[rows])))

    def activations(self, images: np.ndarray, layer: str) -> np.ndarray:
        """Output of a layer, channels last; see `audit.models.adapter.ModelAdapter`."""
        self._need("layers", "shows no layers, so there are no activations")
        images = check_images(self._spec, images)
        check_layer(layer, self._layers)
        if len(images) == 0:
            return self.activations(self._blank(), layer)[:0]
        return np.concatenate(self._in_chunks(len(images), lambda rows: self._activations(images[rows], layer)))

    def gradient_pass(
        self, images: np.ndarray, targets: Targets, layers: Sequence[str] = (), cams: Sequence[CamKind] = ("grad_cam",)
    ) -> GradientPass:
        """One forward and one backward pass; see `audit.models.adapter.ModelAdapter`."""
        self._need("gradients", "gives scores but no gradients, so only methods that need none apply")
        images = check_images(self._spec, images)
        chosen = check_targets(self._spec, targets, len(images))
        check_layers(layers, self._layers)
        check_kinds(cams)
        if len(images) == 0:
            return self.gradient_pass(self._blank(), "predicted", layers, cams).rows(slice(0, 0))
        names, kinds = tuple(dict.fromkeys(layers)), tuple(dict.fromkeys(cams))

        def run(rows: slice) -> GradientPass:
            return self._pass(images[rows], None if chosen is None else chosen[rows], names, kinds)

        return join_passes(self._in_chunks(len(images), run, _BOTH))

    def gradient_sum(self, images: np.ndarray, targets: np.ndarray, copies: Copies) -> GradientSum:
        """Weighted sum of input gradients; see `audit.models.adapter.ModelAdapter`."""
        self._need("gradients", "gives scores but no gradients, so only methods that need none apply")
        images = check_images(self._spec, images)
        chosen = check_targets(self._spec, targets, len(images))
        if chosen is None:
            raise ModelError("a sum over perturbed copies needs the targets as class indices, not 'predicted'")
        copies = check_copies(self._spec, copies, len(images))
        n = len(copies.weights)
        total, explained = np.zeros_like(images), np.zeros(len(images) * n, self._spec.dtype)

        def run(rows: slice) -> None:
            part = CopyRows.of(images, chosen, copies, rows)
            sums, explained[rows] = self._gradient_sum(part)
            total[part.images] += sums

        self._in_chunks(len(explained), run, _BOTH)
        return GradientSum(total, explained.reshape(len(images), n))

    def masked_scores(self, images: np.ndarray, masks: np.ndarray, fill: np.ndarray) -> np.ndarray:
        """``(N, M, K)`` scores of masked images; see `audit.models.adapter.ModelAdapter`."""
        images = check_images(self._spec, images)
        masks = check_masks(self._spec, masks, len(images))
        filled = np.broadcast_to(np.asarray(fill, self._spec.dtype), images.shape)
        count = masks.shape[-3]
        parts = self._in_chunks(
            len(images) * count, lambda rows: self._masked_scores(MaskRows.of(images, masks, filled, rows))
        )
        scores = np.concatenate(parts) if parts else np.zeros((0, self._spec.outputs), self._spec.dtype)
        return scores.reshape(len(images), count, self._spec.outputs)

    def weights(self) -> Weights:
        """Copies of the weights by layer; see `audit.models.adapter.ModelAdapter`."""
        self._need("weights", "shows no weights")
        return self._weights()

    @contextmanager
    def randomised(self, layers: Sequence[str], seed: int) -> Iterator[None]:
        """Weights of these layers shuffled; see `audit.models.adapter.ModelAdapter`."""
        before = self.weights()
        check_weighted(layers, before)
        places = {name: place for place, name in enumerate(before)}
        try:
            for layer in layers:
                self._write(layer, _shuffled(before[layer], [seed, places[layer]]))
            yield
        finally:
            for layer in layers:
                self._write(layer, before[layer])

    def in_micro_batches(self, n: int, run: Callable[[slice], Part], cost: float) -> list[Part]:
        """What `run` gives for successive micro-batches of n rows, for passes that the seam does not know.

        `used` grows by `cost` a row; where memory is short `micro_batch` is halved and the rows are run again.
        """
        return self._in_chunks(n, run, cost)

    @abstractmethod
    def _scores(self, images: np.ndarray) -> np.ndarray:
        """Scores of at most `micro_batch` images."""

    def _embeddings(self, images: np.ndarray) -> np.ndarray:
        """Embeddings of at most `micro_batch` images."""
        raise NotImplementedError

    def _activations(self, images: np.ndarray, layer: str) -> np.ndarray:
        """Activations of at most `micro_batch` images."""
        raise NotImplementedError

    def _pass(
        self, images: np.ndarray, targets: np.ndarray | None, layers: tuple[str, ...], cams: tuple[CamKind, ...]
    ) -> GradientPass:
        """Gradient pass over at most `micro_batch` images; no targets means the predicted classes."""
        raise NotImplementedError

    def _gradient_sum(self, part: CopyRows) -> tuple[np.ndarray, np.ndarray]:
        """Sums ``(m, H, W, C)`` over the copies of each image of the part, and ``(B,)`` explained scores."""
        done = self._pass(part.build(), part.targets[part.owner], (), ())
        sums = np.zeros_like(part.sources)
        weights = part.weights[:, None, None, None].astype(sums.dtype)
        np.add.at(sums, part.owner, weights * done.input_gradient)
        return sums, done.explained

    def _masked_scores(self, part: MaskRows) -> np.ndarray:
        """``(B, K)`` scores of at most `micro_batch` masked images."""
        return self._scores(part.build())

    def _weights(self) -> Weights:
        """Copies of the weights, in the layout of Keras."""
        raise NotImplementedError

    def _write(self, layer: str, arrays: dict[str, np.ndarray]) -> None:
        """Put weights in the layout of Keras into a layer."""
        raise NotImplementedError

    def _short_of_memory(self, error: Exception) -> bool:
        """Whether the framework failed for lack of memory."""
        return isinstance(error, MemoryError)

    def _prepared(self) -> AbstractContextManager[object]:
        """Open while successive micro-batches run, so that what each of them needs is made ready once."""
        return nullcontext()

    def _need(self, capability: str, otherwise: str) -> None:
        if capability not in self._spec.capabilities:
            raise ModelError(otherwise)

    def _blank(self) -> np.ndarray:
        return np.zeros((1, *self._spec.input_shape), dtype=self._spec.dtype)

    def _in_chunks(self, n: int, run: Callable[[slice], Part], cost: float = _FORWARD) -> list[Part]:
        parts: list[Part] = []
        start = 0
        with self._prepared():
            while start < n:
                rows = slice(start, min(start + self.micro_batch, n))
                self.used += cost * (self.micro_batch if self._fixed_shape else rows.stop - start)
                try:
                    parts.append(run(rows))
                except Exception as error:
                    if not self._short_of_memory(error):
                        raise
                    if self.micro_batch == 1:
                        raise no_memory() from error
                    self.micro_batch //= 2
                else:
                    start = rows.stop
        return parts


def no_memory() -> ModelError:
    """What to say where a micro-batch of one image is still too much."""
    return ModelError(
        "memory does not suffice for a single image",
        fix="run it where there is more memory, or on smaller images where the model takes them",
    )


def _shuffled(arrays: dict[str, np.ndarray], seed: list[int]) -> dict[str, np.ndarray]:
    """Each array with its values in a random order, whatever its shape."""
    return {
        name: np.random.default_rng([*seed, place]).permutation(array.ravel()).reshape(array.shape)
        for place, (name, array) in enumerate(arrays.items())
    }
