"""tf-explain's static functions, traced on a Keras model that is mended for them.

What is handed to them as a model gives the explained score of each image, with its own target, in one column.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from tf_explain.core.activations import ExtractActivations
from tf_explain.core.grad_cam import GradCAM
from tf_explain.core.gradients_inputs import GradientsInputs
from tf_explain.core.integrated_gradients import IntegratedGradients
from tf_explain.core.vanilla_gradients import VanillaGradients

from audit.errors import ModelError
from audit.models.adapter import ModelSpec
from audit.models.keras_tracing import call_model

__all__ = ["TfExplainGraphs"]

Function = Callable[..., Any]
Raw = Callable[[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]], tf.Tensor]

_ROWS = tf.TensorSpec((None,), tf.int64)


class TfExplainGraphs:
    """Traces functions of one model for any number of images.

    Graphs of our own, from tf-explain's undecorated functions: its decorated ones keep a trace by model, which would
    mix up the whole model and the cut one, and trace anew for every class. Run eagerly its tape asks for the
    gradients of all weights, in which TensorFlow 2.21 with oneDNN can crash.

    Parameters
    ----------
    model : keras.Model
        Without its last activation while a function is traced.
    spec : ModelSpec
    """

    def __init__(self, model: Any, spec: ModelSpec) -> None:
        self.model = model
        self.spec = spec

    def scores(self) -> Function:
        """From images to scores."""

        def run(images: tf.Tensor) -> tf.Tensor:
            return self._cast(call_model(self.model, images))

        return _traced(run, [self._images()])

    def gradients(self) -> Function:
        """From images and targets to scores, explained scores and input gradients (`VanillaGradients`)."""

        def run(images: tf.Tensor, targets: tf.Tensor) -> list[tf.Tensor]:
            scored = _Scored(self, targets)
            gradient = VanillaGradients.compute_gradients.python_function(images, scored, 0)
            return [self._cast(tensor) for tensor in (scored.scores, scored.explained, gradient)]

        return _traced(run, [self._images(), _ROWS])

    def products(self) -> Function:
        """From images and targets to input times gradient (`GradientsInputs`)."""

        def run(images: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
            scored = _Scored(self, targets)
            return self._cast(GradientsInputs.compute_gradients.python_function(images, scored, 0))

        return _traced(run, [self._images(), _ROWS])

    def summed(self) -> Function:
        """From copies, their targets and weights, and their number an image, to sums (`IntegratedGradients`).

        tf-explain takes the plain mean over the copies; the weights come in through the score.
        """

        def run(
            copies: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor, number: tf.Tensor
        ) -> tuple[tf.Tensor, tf.Tensor]:
            scored = _Scored(self, targets, weights)
            mean = IntegratedGradients.get_integrated_gradients.python_function(copies, scored, 0, number)
            return self._cast(mean) * tf.cast(number, self.spec.dtype), self._cast(scored.explained)

        row = tf.TensorSpec((None,), self.spec.dtype)
        return _traced(run, [self._images(), _ROWS, row, tf.TensorSpec((), tf.int32)])

    def grad_cam(self, layer: str) -> Function:
        """From images and a column of the scores to a layer's outputs and gradients (`GradCAM`), not masked."""
        whole = self._whole(layer)

        def run(images: tf.Tensor, column: tf.Tensor) -> list[tf.Tensor]:
            outputs, gradients = GradCAM.get_gradients_and_filters(whole, images, layer, column, False)
            if gradients is None:
                raise ModelError(f"the scores do not depend on layer '{layer}'", fix="choose a layer they depend on")
            return [self._cast(outputs), self._cast(gradients)]

        with _quiet():
            return _traced(run, [self._images(), tf.TensorSpec((), tf.int32)])

    def activations(self, layer: str) -> Function:
        """From images to the output of a layer (`ExtractActivations`)."""
        drawn = ExtractActivations.generate_activations_graph(self._whole(layer), [layer])

        def run(images: tf.Tensor) -> tf.Tensor:
            return self._cast(call_model(drawn, images))

        return _traced(run, [self._images()])

    def _whole(self, layer: str) -> Any:
        """The same layers as a functional model, which is what tf-explain can take apart.

        Raises
        ------
        ModelError
            It cannot reach the layer.
        """
        try:
            whole = keras.Model(self.model.inputs[0], self.model.outputs[0])
        except (AttributeError, ValueError, TypeError) as error:
            raise ModelError("tf-explain's Grad-CAM and activations need a Sequential or functional model") from error
        found = {part.name: part for part in whole.layers}.get(layer)
        if found is None:
            raise ModelError(
                f"layer '{layer}' lies inside a nested model or is an operation, where tf-explain does not reach"
            )
        if isinstance(found, keras.Model):
            raise ModelError(f"layer '{layer}' is itself a nested model, whose output tf-explain does not reach")
        calls = [node for nodes in whole._nodes_by_depth.values() for node in nodes if node.operation is found]
        if len(calls) != 1 or calls[0].output_tensors[0] is not found.output:
            raise ModelError(f"layer '{layer}' runs more than once, and tf-explain takes its first call")
        return whole

    def _images(self) -> tf.TensorSpec:
        return tf.TensorSpec((None, *self.spec.input_shape), self.spec.dtype)

    def _cast(self, tensor: tf.Tensor) -> tf.Tensor:
        return tf.cast(tensor, self.spec.dtype)


class _Scored:
    """A model of one column: the explained score of each image, times its weight."""

    def __init__(self, graphs: TfExplainGraphs, targets: tf.Tensor, weights: tf.Tensor | None = None) -> None:
        self._graphs = graphs
        self._targets = targets
        self._weights = weights
        self.scores: Any = None
        self.explained: Any = None

    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        self.scores = call_model(self._graphs.model, images)
        self.explained = _explained(self._graphs.spec, self.scores, self._targets)
        if self._weights is None:
            return self.explained[:, None]
        return (self.explained * tf.cast(self._weights, self.explained.dtype))[:, None]


def _explained(spec: ModelSpec, scores: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    if spec.outputs > 1:
        return tf.gather(scores, targets, axis=1, batch_dims=1)
    other = -scores[:, 0] if spec.score == "logit" else 1 - scores[:, 0]
    return tf.where(targets == 1, scores[:, 0], other)


def _traced(run: Function, signature: list[tf.TensorSpec]) -> Function:
    function: Function = tf.function(run, input_signature=signature, autograph=False).get_concrete_function()
    return function


def _quiet() -> warnings.catch_warnings[None]:
    """Without Keras's complaint that tf-explain packs the inputs in two lists."""
    return warnings.catch_warnings(action="ignore", category=UserWarning)
