"""tf-explain's vanilla gradients, gradients x inputs and Grad-CAM on the model under audit.

Only its static methods that return raw tensors are used: `explain` normalises over the batch.
"""

from __future__ import annotations

import warnings

import keras
import numpy as np
import tensorflow as tf
from tf_explain.core.grad_cam import GradCAM
from tf_explain.core.gradients_inputs import GradientsInputs
from tf_explain.core.vanilla_gradients import VanillaGradients

from audit.errors import InputError, ModelError
from audit.explanations.crosscheck import Opinion
from audit.models.adapter import ModelAdapter
from audit.models.keras_adapter import KerasAdapter

__all__ = ["explain"]


def explain(adapter: ModelAdapter, method: str, image: np.ndarray, target: int) -> Opinion:
    """One map by tf-explain.

    Parameters
    ----------
    adapter : ModelAdapter
        Of a Keras model.
    method : str
        ``saliency``, ``gradient_x_input`` or ``grad_cam``.
    image : ndarray
        ``(1, H, W, C)``.
    target : int
        Class explained.

    Returns
    -------
    Opinion
        The map in our definition, and what was called and corrected.
    """
    if not isinstance(adapter, KerasAdapter):
        raise ModelError(f"tf-explain explains Keras models, not {adapter.spec.framework}")
    column = tf.constant(target if adapter.spec.outputs > 1 else 0)
    sign = -1.0 if adapter.spec.outputs == 1 and target == 0 else 1.0
    with adapter.cut() as model, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"[\s\S]*structure of `inputs`", category=UserWarning)
        whole = _rebuilt(model)
        if method == "saliency":
            gradient = VanillaGradients.compute_gradients(tf.constant(image), whole, column)
            found = np.abs(gradient.numpy()[0]).max(axis=-1)
            note = "tf-explain VanillaGradients.compute_gradients; absolute value and largest over channels"
        elif method == "gradient_x_input":
            product = GradientsInputs.compute_gradients(tf.constant(image), whole, column)
            found = sign * product.numpy()[0].sum(axis=-1)
            note = "tf-explain GradientsInputs.compute_gradients; channels summed"
        elif method == "grad_cam":
            found = np.maximum(sign * _grad_cam(adapter, whole, image, column), 0)
            note = (
                "tf-explain GradCAM.get_gradients_and_filters without its masking of gradients, and "
                "generate_ponderated_output; ReLU added, not resized"
            )
        else:
            raise InputError(f"tf-explain is not asked for the method '{method}'")
    return Opinion(found, f"{note} by faircam, on the model without its last activation")


def _rebuilt(model: keras.Model) -> keras.Model:
    """The same layers as a functional model, which is what tf-explain can take apart."""
    try:
        return keras.Model(model.inputs[0], model.outputs[0])
    except (AttributeError, ValueError, TypeError) as error:
        raise ModelError("tf-explain needs a Sequential or functional model that is built") from error


def _grad_cam(adapter: KerasAdapter, model: keras.Model, image: np.ndarray, column: tf.Tensor) -> np.ndarray:
    name = adapter.spec.layer
    if name is None:
        raise ModelError("the model has no layer for Grad-CAM")
    if name not in {layer.name for layer in model.layers}:
        raise ModelError(f"layer '{name}' lies inside a nested model, where tf-explain does not reach")
    if isinstance(model.get_layer(name), keras.Model):
        raise ModelError(f"layer '{name}' is itself a nested model, whose output tf-explain does not reach")
    outputs, gradients = GradCAM.get_gradients_and_filters(model, image, name, column, use_guided_grads=False)
    (found,) = GradCAM.generate_ponderated_output(outputs, gradients)
    return np.asarray(found.numpy())
