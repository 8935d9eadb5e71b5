"""tf-explain's vanilla gradients, gradients x inputs and Grad-CAM on the model under audit.

Only its static methods that return raw tensors are used: `explain` normalises over the batch.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tf_explain.core.grad_cam import GradCAM
from tf_explain.core.gradients_inputs import GradientsInputs
from tf_explain.core.vanilla_gradients import VanillaGradients

from audit.errors import InputError, ModelError
from audit.explanations.crosscheck import Explain, Opinion
from audit.models.adapter import ModelAdapter
from audit.models.keras_adapter import KerasAdapter
from audit.models.keras_tracing import call_model

__all__ = ["opened"]

# Each takes an image (1, H, W, C), a column of the scores and its sign, and gives our definition of the map.
Draw = Callable[[np.ndarray, tf.Tensor, float], np.ndarray]


@contextmanager
def opened(adapter: ModelAdapter, method: str) -> Iterator[Explain]:
    """Prepare the model for tf-explain and put it back at the end.

    Parameters
    ----------
    adapter : ModelAdapter
        Of a Keras model.
    method : str
        ``saliency``, ``gradient_x_input`` or ``grad_cam``.

    Yields
    ------
    callable
        From an image ``(1, H, W, C)`` and its target to the map in our definition.
    """
    if not isinstance(adapter, KerasAdapter):
        raise ModelError(f"tf-explain explains Keras models, not {adapter.spec.framework}")
    if method not in _METHODS:
        raise InputError(f"tf-explain is not asked for the method '{method}'")
    prepare, note = _METHODS[method]
    spec = adapter.spec
    with adapter.cut() as model, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"[\s\S]*structure of `inputs`", category=UserWarning)
        draw = prepare(adapter, model)

        def explain(image: np.ndarray, target: int) -> Opinion:
            column = tf.constant(target if spec.outputs > 1 else 0)
            sign = -1.0 if spec.outputs == 1 and target == 0 else 1.0
            return Opinion(draw(image, column, sign), note)

        yield explain


def _scored(model: Any) -> Callable[[tf.Tensor], tf.Tensor]:
    """A function of its own: tf-explain keeps its trace, and that of the whole model must stay whole."""
    return lambda images: call_model(model, images)


def _saliency(_adapter: KerasAdapter, model: Any) -> Draw:
    scored = _scored(model)

    def draw(image: np.ndarray, column: tf.Tensor, _sign: float) -> np.ndarray:
        gradient = VanillaGradients.compute_gradients(tf.constant(image), scored, column)
        return np.asarray(np.abs(gradient.numpy()[0]).max(axis=-1))

    return draw


def _gradient_x_input(_adapter: KerasAdapter, model: Any) -> Draw:
    scored = _scored(model)

    def draw(image: np.ndarray, column: tf.Tensor, sign: float) -> np.ndarray:
        product = GradientsInputs.compute_gradients(tf.constant(image), scored, column)
        return np.asarray(sign * product.numpy()[0].sum(axis=-1))

    return draw


def _grad_cam(adapter: KerasAdapter, model: Any) -> Draw:
    name = adapter.spec.layer
    try:
        # The same layers as a functional model, which is what tf-explain can take apart.
        whole = keras.Model(model.inputs[0], model.outputs[0])
    except (AttributeError, ValueError, TypeError) as error:
        raise ModelError("tf-explain's Grad-CAM needs a Sequential or functional model") from error
    if name is None:
        raise ModelError("the model has no layer for Grad-CAM")
    if name not in {layer.name for layer in whole.layers}:
        raise ModelError(f"layer '{name}' lies inside a nested model, where tf-explain does not reach")
    if isinstance(whole.get_layer(name), keras.Model):
        raise ModelError(f"layer '{name}' is itself a nested model, whose output tf-explain does not reach")

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def run(image: tf.Tensor, column: tf.Tensor) -> tf.Tensor:
        # As a graph, so that the gradients of the weights, which its tape asks for, are left out: run
        # eagerly they cost most of the time, and TensorFlow 2.21 with oneDNN can crash in them.
        outputs, gradients = GradCAM.get_gradients_and_filters(whole, image, name, column, False)
        (found,) = GradCAM.generate_ponderated_output(tf.unstack(outputs, num=1), tf.unstack(gradients, num=1))
        return found

    def draw(image: np.ndarray, column: tf.Tensor, sign: float) -> np.ndarray:
        return np.asarray(np.maximum(sign * run(tf.constant(image), column).numpy(), 0))

    return draw


_CALLED = "tf-explain {}, on the model without its last activation; corrected: {}"

_METHODS: dict[str, tuple[Callable[[KerasAdapter, Any], Draw], str]] = {
    "saliency": (
        _saliency,
        _CALLED.format(
            "VanillaGradients.compute_gradients",
            "absolute value and largest over channels instead of scaling over the batch",
        ),
    ),
    "gradient_x_input": (
        _gradient_x_input,
        _CALLED.format(
            "GradientsInputs.compute_gradients",
            "channels summed with their sign instead of scaling over the batch",
        ),
    ),
    "grad_cam": (
        _grad_cam,
        _CALLED.format(
            "GradCAM.get_gradients_and_filters and generate_ponderated_output",
            "gradients not masked, ReLU added, map not resized",
        ),
    ),
}
