"""The seam for Keras models on TensorFlow: one traced forward and backward pass.

Reading files is in `keras_loading`, watching layers and cutting the softmax in `keras_tracing`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from audit.errors import ModelError
from audit.models.adapter import (
    ALL_CAPABILITIES,
    CamKind,
    GradientPass,
    LayerPass,
    ModelSpec,
    Weights,
    probabilities,
)
from audit.models.checks import check_images, check_layers, check_outputs, looks_like_probabilities, noise_images
from audit.models.chunked import ChunkedAdapter
from audit.models.keras_graphs import NOBODY, PREDICTED, KerasGraphs
from audit.models.keras_tracing import (
    Call,
    End,
    call_model,
    cut,
    find_end,
    find_head,
    image_shape,
    in_double,
    named_layers,
    own_weights,
    recorded,
    to_record,
)
from audit.models.layer_choice import channels_of, choose_layer, layer_infos
from audit.models.rows import CopyRows, MaskRows

__all__ = ["KerasAdapter"]

_TOLERANCE = 1e-4


class KerasAdapter(ChunkedAdapter):
    """A Keras model behind the seam: Sequential, functional, nested or subclassed.

    The last softmax or sigmoid is left out while a pass is traced; the model itself stays whole.
    A pass has a fixed shape, `micro_batch` images, of which the last are blank where fewer remain.

    Parameters
    ----------
    model : keras.Model
        Takes ``(N, H, W, C)`` and returns ``(N, K)``.
    classes : sequence of str
        In output order.
    input_shape : tuple of int, optional
        ``(H, W, C)``; needed where the model does not fix it.
    head : str
        ``softmax`` or ``sigmoid``.
    score : str
        What the model's last layer gives: ``auto``, ``logit`` or ``probability``.
    layer : str, optional
        Layer of Grad-CAM; found when left out.
    dtype : str
        ``float32`` or ``float64``; the latter works on a copy of the model.
    micro_batch : int
        Images that pass through the model at once.
    where : str, optional
        Names the model in errors.
    """

    _fixed_shape = True

    def __init__(
        self,
        model: keras.Model,
        *,
        classes: Sequence[str],
        input_shape: tuple[int, int, int] | None = None,
        head: Literal["softmax", "sigmoid"] = "softmax",
        score: Literal["auto", "logit", "probability"] = "auto",
        layer: str | None = None,
        dtype: str = "float32",
        micro_batch: int = 32,
        where: str | None = None,
    ) -> None:
        if keras.config.backend() != "tensorflow":
            raise ModelError(
                f"Keras runs on the backend '{keras.config.backend()}', allowed: tensorflow",
                where=where,
                fix="set the environment variable KERAS_BACKEND=tensorflow",
            )
        shape = image_shape(model, input_shape, where)
        self.model = in_double(model, where) if dtype == "float64" else model
        self.micro_batch = micro_batch
        self._end: End | None = None
        self._functions: dict[Any, Callable[..., Any]] = {}
        calls, output = self._trace(shape, where)
        records = [to_record(call) for call in calls]
        head_call = find_head(calls)
        self._layers = layer_infos(records)
        kind = self._judge_end(find_end(calls, output), output.numpy(), head, score, where)
        check_outputs(tuple(classes), head, output.shape[1], where=where)
        if layer is not None:
            check_layers([layer], self._layers, where=where)
        chosen = layer or choose_layer(records)
        self._spec = ModelSpec(
            framework="keras",
            input_shape=shape,
            classes=tuple(classes),
            head=head,
            outputs=output.shape[1],
            score=kind,
            layer=chosen,
            device="cuda" if tf.config.list_logical_devices("GPU") else "cpu",
            parameters=self.model.count_params(),
            capabilities=ALL_CAPABILITIES if head_call else ALL_CAPABILITIES - {"embeddings"},
            dtype=dtype,
            embedding_layer=head_call.name if head_call else None,
            embedding_size=int(head_call.source.shape[-1]) if head_call else 0,
            layer_channels=channels_of(chosen, self._layers),
        )
        if self._end is not None:
            self._prove_cut(output.numpy(), where)

    def close(self) -> None:
        """Let go of the model; nothing of it was changed outside the tracing of a pass."""
        self._functions.clear()
        self._end = None
        self.model = None

    @contextmanager
    def cut(self) -> Iterator[keras.Model]:
        """The model without its last activation while the context is open."""
        with cut(self._end):
            yield self.model

    def traced(self, key: Hashable, trace: Callable[[keras.Model], Callable[..., Any]]) -> Callable[..., Any]:
        """A function made from the model without its last activation when first needed; kept until `close`."""
        if key not in self._functions:
            with self.cut() as model:
                self._functions[key] = trace(model)
        return self._functions[key]

    def scores(self, images: np.ndarray) -> np.ndarray:
        """``(N, K)`` scores of ``(N, H, W, C)`` images; a single one, such as a baseline, goes by itself, unfilled."""
        images = check_images(self._spec, images)
        if len(images) != 1:
            return super().scores(images)
        self.used += 1
        return np.asarray(self._function("scores", rows=1)(tf.convert_to_tensor(images)).numpy())

    def _scores(self, images: np.ndarray) -> np.ndarray:
        function = self._function("scores")
        return np.asarray(function(self._padded(images)).numpy()[: len(images)])

    def _embeddings(self, images: np.ndarray) -> np.ndarray:
        function = self._function("embeddings")
        return np.asarray(function(self._padded(images)).numpy()[: len(images)])

    def _activations(self, images: np.ndarray, layer: str) -> np.ndarray:
        function = self._function("activations", layer)
        return np.asarray(function(self._padded(images)).numpy()[: len(images)])

    def _masked_scores(self, part: MaskRows) -> np.ndarray:
        function = self._function("masked")
        few = (tf.convert_to_tensor(part.sources), tf.convert_to_tensor(part.fill))
        scores = function(*few, self._padded(part.owner), self._padded(part.masks.astype(self._spec.dtype)))
        return np.asarray(scores.numpy()[: len(part.owner)])

    def _gradient_sum(self, part: CopyRows) -> tuple[np.ndarray, np.ndarray]:
        n = len(part.owner)
        kinds = (part.scales is not None, part.baseline is not None, part.offsets is not None)
        function = self._function("summed", *kinds)
        tensors = [self._padded(part.owner, NOBODY), *map(tf.convert_to_tensor, (part.sources, part.targets))]
        given = (part.weights, part.scales, part.offsets)
        tensors += [self._padded(array) for array in given if array is not None]
        if part.baseline is not None:
            tensors.append(tf.constant(part.baseline))
        sums, explained = function(*tensors)
        return np.asarray(sums.numpy()), np.asarray(explained.numpy()[:n])

    def _weights(self) -> Weights:
        known = named_layers(self.model)
        found = {layer.name: own_weights(known[layer.name]) for layer in self._layers if layer.name in known}
        return {
            name: {weight.name: np.array(weight.numpy()) for weight in weights}
            for name, weights in found.items()
            if weights
        }

    def _write(self, layer: str, arrays: dict[str, np.ndarray]) -> None:
        for weight in own_weights(named_layers(self.model)[layer]):
            if weight.name in arrays:
                weight.assign(arrays[weight.name])

    def _pass(
        self, images: np.ndarray, targets: np.ndarray | None, layers: tuple[str, ...], cams: tuple[CamKind, ...]
    ) -> GradientPass:
        n = len(images)
        wanted = np.full(self.micro_batch, PREDICTED, dtype=np.int64)
        if targets is not None:
            wanted[:n] = targets
        function = self._function("passed", layers, cams)
        scores, chosen, explained, gradient, *drawn = (
            result.numpy()[:n] for result in function(self._padded(images), tf.constant(wanted))
        )
        maps = iter(drawn)
        return GradientPass(
            scores=scores,
            targets=chosen,
            explained=explained,
            input_gradient=gradient,
            cams={name: LayerPass({kind: next(maps) for kind in cams}) for name in layers},
        )

    def _padded(self, rows: np.ndarray, blank: int = 0) -> tf.Tensor:
        """Rows filled up to a whole micro-batch."""
        missing = self.micro_batch - len(rows)
        if missing:
            rows = np.concatenate([rows, np.full((missing, *rows.shape[1:]), blank, rows.dtype)])
        return tf.convert_to_tensor(rows)

    def _function(self, name: str, *arguments: Any, rows: int = 0) -> Callable[..., Any]:
        """The traced function of that name for that many rows, by default a micro-batch, traced when first needed."""
        size = rows or self.micro_batch
        return self.traced(
            (name, *arguments, size), lambda model: getattr(KerasGraphs(model, self._spec, size), name)(*arguments)
        )

    def _short_of_memory(self, error: Exception) -> bool:
        return isinstance(error, tf.errors.ResourceExhaustedError)

    def _trace(self, shape: tuple[int, int, int], where: str | None) -> tuple[list[Call], tf.Tensor]:
        """Run noise through the model once and record every layer that finishes with a tensor."""
        output = self._try(shape, where)  # builds what is not built yet, so that its layers are known
        layers = named_layers(self.model)
        first = [name for name, part in layers.items() if getattr(part, "data_format", "") == "channels_first"]
        if first:
            raise ModelError(
                f"works channels first (layer '{first[0]}'); images cross as (N, H, W, C) and TensorFlow has no "
                "channels-first convolution on the CPU",
                where=where,
                fix="rebuild it with data_format='channels_last'",
            )
        with recorded(layers) as calls:
            output = self._try(shape, where)
        return calls, output

    def _try(self, shape: tuple[int, int, int], where: str | None) -> tf.Tensor:
        noise = noise_images(shape)
        try:
            output = call_model(self.model, noise)
        except Exception as error:
            raise ModelError(
                f"cannot take images of {shape[0]} x {shape[1]} x {shape[2]}: {_first_line(error)}",
                where=where,
                fix="check preprocessing (size, mode)",
            ) from error
        if not tf.is_tensor(output) or len(output.shape) != 2 or output.shape[0] != len(noise):
            shown = tuple(output.shape) if tf.is_tensor(output) else type(output).__name__
            raise ModelError(f"must give one row of scores an image, gave {shown} for {len(noise)} images", where=where)
        return output

    def _judge_end(
        self, end: End | None, output: np.ndarray, head: str, score: str, where: str | None
    ) -> Literal["logit", "probability"]:
        """What kind of score the adapter gives; sets the activation to be cut off."""
        if end is not None and score != "logit":
            if end.head != head:
                raise ModelError(f"ends in a {end.head}", where=where, fix=f"declare `head: {end.head}`")
            self._end = end
            return "logit"
        if score != "probability" and looks_like_probabilities(output, head):
            found = "a layer ends in" if end is not None else "no layer is known that ends in"
            raise ModelError(
                "gives numbers between 0 and 1 where scores before the last activation are expected "
                f"({found} a softmax or sigmoid)",
                where=where,
                fix="declare `score: probability`, or `auto` where such a layer is known",
            )
        return "probability" if score == "probability" else "logit"

    def _prove_cut(self, output: np.ndarray, where: str | None) -> None:
        """The cut model's scores give back the whole model's probabilities."""
        with self.cut():
            scores = self._try(self._spec.input_shape, where).numpy()
        if self._end is not None and self._end.logarithm:
            output = np.exp(output)
        again = probabilities(self._spec, scores)[:, -output.shape[1] :]
        if not np.allclose(again[:2], output[:2], atol=_TOLERANCE):
            raise ModelError(
                "does not give its probabilities back when its last activation is applied outside: another "
                "layer shares it, or it is random",
                where=where,
            )


def _first_line(error: Exception) -> str:
    """The line of a Keras error that says what is wrong."""
    lines = [line.strip(" \x1b[1m0") for line in str(error).splitlines()]
    said = [line for line in lines if line and not line.startswith("Exception encountered when calling")]
    return said[0] if said else type(error).__name__
