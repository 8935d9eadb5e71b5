"""Contestants in Keras: the bare passes in a ``tf.function``, and tf-explain in the settings that may be its fastest."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from tf_explain.core.integrated_gradients import IntegratedGradients
from tf_explain.core.occlusion_sensitivity import OcclusionSensitivity
from tf_explain.core.smoothgrad import SmoothGrad

from audit.models import keras_networks
from audit.models.adapter import ModelAdapter
from audit.models.loading import wrap_model
from tests.benchmarks.rounds import Contestant
from tests.benchmarks.settings import COPIES, NETWORKS, SIGMA, in_batches, noise

__all__ = ["bounds", "network", "rivals"]


def network(name: str, threads: int) -> tuple[keras.Model, ModelAdapter]:
    """A network of `NETWORKS`, which ends in a softmax, and its adapter."""
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    keras.utils.disable_interactive_logging()
    warnings.simplefilter("ignore")
    keras.utils.set_random_seed(0)
    _, size, classes, batch, *_ = NETWORKS[name]
    if name == "mobilenetv2":
        model = keras.applications.MobileNetV2(weights=None)
        for part in model.layers:
            if isinstance(part, keras.layers.BatchNormalization):
                part.momentum = 0.0
        model(noise(batch, size), training=True)  # without statistics of its own it computes next to nothing
    else:
        model = keras_networks.build("plain_cnn", num_classes=classes, input_shape=(size, size, 3))
    return model, wrap_model(model, [str(index) for index in range(classes)], micro_batch=batch)


def bounds(model: keras.Model, name: str, rows: int, back: bool) -> list[Contestant]:
    """The bare passes over that many rows, in one ``tf.function`` on tensors in memory."""
    batch = NETWORKS[name].batch
    whole = tf.constant(noise(batch, NETWORKS[name].size))
    images = {count: whole[:count] for count in (batch, rows % batch) if count}

    def forward(inputs: tf.Tensor) -> tf.Tensor:
        return model(inputs, training=False)

    def both(inputs: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(inputs)
            explained = model(inputs, training=False)[:, 0]
        return tape.gradient(explained, inputs)

    traced = {
        count: tf.function(both if back else forward, autograph=False).get_concrete_function(tensor)
        for count, tensor in images.items()
    }

    def run(count: int) -> np.ndarray:
        values: np.ndarray = traced[count](images[count]).numpy()
        return values

    cost = rows * (2 if back else 1)
    return [Contestant("bound, one tf.function", lambda: in_batches(rows, batch, run), cost)]


def rivals(method: str, model: keras.Model, images: np.ndarray, targets: np.ndarray) -> dict[str, Contestant]:
    """tf-explain's own method by setting; none for RISE, which it has not. It takes one class for all images."""
    make = {"integrated_gradients": _integrated, "smooth_grad": _smooth, "occlusion": _occlusion}.get(method)
    return make(model, images, int(targets[0])) if make else {}


def _integrated(model: keras.Model, images: np.ndarray, target: int) -> dict[str, Contestant]:
    method = IntegratedGradients()

    def static(some: np.ndarray) -> np.ndarray:
        path = method.generate_interpolations(some, COPIES).astype(np.float32)
        values: np.ndarray = method.get_integrated_gradients(path, model, target, COPIES).numpy()
        return values

    def explain() -> np.ndarray:
        values: np.ndarray = method.explain((images, None), model, target, COPIES)
        return values

    return _settings("tf-explain IntegratedGradients", images, explain, static)


def _smooth(model: keras.Model, images: np.ndarray, target: int) -> dict[str, Contestant]:
    method = SmoothGrad()

    def static(some: np.ndarray) -> np.ndarray:
        noisy = method.generate_noisy_images(some, COPIES, SIGMA)
        values: np.ndarray = method.get_averaged_gradients(noisy, model, target, COPIES).numpy()
        return values

    def explain() -> np.ndarray:
        values: np.ndarray = method.explain((images, None), model, target, COPIES, SIGMA)
        return values

    return _settings("tf-explain SmoothGrad", images, explain, static)


def _settings(
    name: str, images: np.ndarray, explain: Callable[[], np.ndarray], static: Callable[[np.ndarray], np.ndarray]
) -> dict[str, Contestant]:
    """As a user calls it, and its static functions on a few images at a time."""

    def run(at_once: int) -> np.ndarray:
        parts = [static(images[start : start + at_once]) for start in range(0, len(images), at_once)]
        return np.concatenate(parts).sum(axis=-1)

    cost = 2 * COPIES * len(images)
    found = {"explain": Contestant(name, explain, cost)}
    for at_once in (1, 2, 4):
        found[f"static, {at_once} images at once"] = Contestant(name, lambda at_once=at_once: run(at_once), cost)
    return found


def _occlusion(model: keras.Model, images: np.ndarray, target: int) -> dict[str, Contestant]:
    side = -(-images.shape[1] // 16)  # its windows do not overlap: 256 of them to our 225
    cost = len(images) * (-(-images.shape[1] // side)) ** 2
    name = "tf-explain OcclusionSensitivity"

    def static(batch: int) -> np.ndarray:
        method = OcclusionSensitivity(batch)
        return np.stack([method.get_sensitivity_map(model, image, target, side) for image in images])

    def explain() -> np.ndarray:
        values: np.ndarray = OcclusionSensitivity().explain((images, None), model, target, side)
        return values

    found = {"explain": Contestant(name, explain, cost)}
    for batch in (32, 64, 256):
        found[f"static, batch {batch}"] = Contestant(name, lambda batch=batch: static(batch), cost)
    return found
