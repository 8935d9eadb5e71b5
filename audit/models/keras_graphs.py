"""The traced functions of a Keras model: forward, masked, one gradient pass, sums over perturbed copies.

Each has a fixed shape, a whole micro-batch; which of them are kept is the adapter's business.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from audit.errors import ModelError
from audit.models.adapter import CamKind, ModelSpec
from audit.models.cams import TensorOps, combine
from audit.models.keras_tracing import call_model, named_layers, recorded

__all__ = ["NOBODY", "PREDICTED", "KerasGraphs"]

PREDICTED = -1
"""Target that stands for the predicted class."""
NOBODY = -1
"""Owner of a row that only fills a micro-batch up."""

Function = Callable[..., Any]


class KerasGraphs:
    """Traces functions of one model for one micro-batch.

    Parameters
    ----------
    model : keras.Model
        Without its last activation while a function is traced.
    spec : ModelSpec
    micro_batch : int
    """

    def __init__(self, model: Any, spec: ModelSpec, micro_batch: int) -> None:
        self.model = model
        self.spec = spec
        self.micro_batch = micro_batch

    def scores(self) -> Function:
        """From images to scores."""

        def run(images: tf.Tensor) -> tf.Tensor:
            return self._cast(call_model(self.model, images))

        return _traced(run, [self._images()])

    def embeddings(self) -> Function:
        """From images to what enters the head, averaged over positions, if any."""
        name = str(self.spec.embedding_layer)
        head = {name: named_layers(self.model)[name]}

        def run(images: tf.Tensor) -> tf.Tensor:
            with recorded(head) as calls:
                call_model(self.model, images)
            entering = self._cast(calls[-1].source)
            return tf.reduce_mean(entering, axis=list(range(1, len(entering.shape) - 1)))

        return _traced(run, [self._images()])

    def activations(self, layer: str) -> Function:
        """From images to the output of a layer."""
        tapped = {layer: named_layers(self.model)[layer]}

        def run(images: tf.Tensor) -> tf.Tensor:
            with recorded(tapped) as calls:
                call_model(self.model, images)
            return self._cast(calls[-1].tensor)

        return _traced(run, [self._images()])

    def masked(self) -> Function:
        """From images, fills, the owner of each row and masks to scores."""
        height, width, _ = self.spec.input_shape

        def run(sources: tf.Tensor, fill: tf.Tensor, owner: tf.Tensor, masks: tf.Tensor) -> tf.Tensor:
            hidden = (1 - masks)[..., None] * tf.gather(fill - sources, owner)  # faster than a choice by a bool mask
            return self._cast(call_model(self.model, tf.gather(sources, owner) + hidden))

        some = self._some(*self.spec.input_shape)
        return _traced(run, [some, some, self._rows(dtype=tf.int64), self._rows(height, width)])

    def summed(self, scaled: bool, based: bool, shifted: bool) -> Function:
        """From images, targets and copies to sums of gradients and the explained scores.

        Parameters
        ----------
        scaled, based, shifted : bool
            Whether copies have scales, a baseline, offsets.
        """
        whole, row = self._images(), self._rows()
        some = self._some(*self.spec.input_shape)
        signature = [self._rows(dtype=tf.int64), some, self._some(dtype=tf.int64), row]
        signature += [row] * scaled + [whole] * shifted
        signature += [tf.TensorSpec(self.spec.input_shape, self.spec.dtype)] * based

        def run(
            owner: tf.Tensor, sources: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor, *rest: tf.Tensor
        ) -> list[tf.Tensor]:
            given = iter(rest)
            source = tf.maximum(owner, 0)
            copies = tf.gather(sources, source)
            scales = next(given)[:, None, None, None] if scaled else None
            offsets = next(given) if shifted else None
            if scales is not None:
                copies *= scales
                copies += (1 - scales) * next(given) if based else 0
            if offsets is not None:
                copies += offsets
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(copies)
                explained = self._select(call_model(self.model, copies), tf.gather(targets, source))
            gradient = tape.gradient(explained, copies)
            _check_gradients([gradient], ["the image"])
            weighted = self._cast(gradient) * weights[:, None, None, None]
            # Rows of nobody have a negative owner and enter no sum.
            sums = tf.math.unsorted_segment_sum(weighted, owner, tf.shape(sources)[0])
            return [sums, self._cast(explained)]

        return _traced(run, signature)

    def passed(self, layers: tuple[str, ...], kinds: tuple[CamKind, ...]) -> Function:
        """From images and targets to scores, targets, explained scores, gradients and maps."""
        known = named_layers(self.model)
        tapped = {name: known[name] for name in layers}

        def run(images: tf.Tensor, targets: tf.Tensor) -> list[tf.Tensor]:
            with tf.GradientTape(watch_accessed_variables=False) as tape, recorded(tapped) as calls:
                tape.watch(images)
                scores = call_model(self.model, images)
                chosen = tf.where(targets == PREDICTED, self._predicted(scores), targets)
                explained = self._select(scores, chosen)
            taps = {call.name: call.tensor for call in calls}
            activations = [taps[name] for name in layers]
            gradients = tape.gradient(explained, [images, *activations])
            _check_gradients(gradients, ["the image", *layers])
            pairs = zip(activations, gradients[1:], strict=True)
            maps = [combine(kind, *pair, _OPS)[..., 0] for pair in pairs for kind in kinds]
            floats = [self._cast(tensor) for tensor in (scores, explained, gradients[0], *maps)]
            return [floats[0], chosen, *floats[1:]]

        return _traced(run, [self._images(), self._rows(dtype=tf.int64)])

    def _images(self) -> tf.TensorSpec:
        return self._rows(*self.spec.input_shape)

    def _rows(self, *shape: int, dtype: Any = None) -> tf.TensorSpec:
        return tf.TensorSpec((self.micro_batch, *shape), dtype or self.spec.dtype)

    def _some(self, *shape: int, dtype: Any = None) -> tf.TensorSpec:
        """The few images that the rows of a micro-batch are copies of."""
        return tf.TensorSpec((None, *shape), dtype or self.spec.dtype)

    def _cast(self, tensor: tf.Tensor) -> tf.Tensor:
        return tf.cast(tensor, self.spec.dtype)

    def _predicted(self, scores: tf.Tensor) -> tf.Tensor:
        if self.spec.outputs > 1:
            return tf.argmax(scores, axis=1, output_type=tf.int64)
        return tf.cast(scores[:, 0] > (0.0 if self.spec.score == "logit" else 0.5), tf.int64)

    def _select(self, scores: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        if self.spec.outputs > 1:
            return tf.gather(scores, targets, axis=1, batch_dims=1)
        other = -scores[:, 0] if self.spec.score == "logit" else 1 - scores[:, 0]
        return tf.where(targets == 1, scores[:, 0], other)


_OPS = TensorOps(
    total=lambda tensor, axes: tf.reduce_sum(tensor, axis=axes, keepdims=True),
    positive=tf.nn.relu,
    space=(1, 2),
    channel=3,
)


def _traced(run: Callable[..., Any], signature: list[tf.TensorSpec]) -> Function:
    function: Function = tf.function(run, input_signature=signature, autograph=False).get_concrete_function()
    return function


def _check_gradients(gradients: Sequence[Any], names: Sequence[str]) -> None:
    for name, gradient in zip(names, gradients, strict=True):
        if gradient is None:
            raise ModelError(f"the scores do not depend on {name}", fix="choose a layer they depend on")
