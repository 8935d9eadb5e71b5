"""The built-in networks: equal in both frameworks, and what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from audit.errors import ModelError
from audit.models.networks import NetworkArguments, initial_arrays, layout
from audit.models.transfer import convert, from_arrays, to_arrays

pytestmark = [pytest.mark.torch, pytest.mark.tensorflow]

CASES = [
    ("plain_cnn", 2, "softmax", (24, 20, 3)),
    ("plain_cnn", 2, "sigmoid", (18, 21, 1)),
    ("deep_cnn", 5, "softmax", (48, 40, 3)),
    ("deep_cnn", 3, "sigmoid", (64, 64, 1)),
]


def pair(architecture: str, arguments: NetworkArguments, precision: str) -> tuple[Any, Any, np.ndarray]:
    """One network in both frameworks with awkward weights, and noise images."""
    import keras
    import torch

    from audit.models import keras_networks, torch_networks

    generator = np.random.default_rng(0)
    arrays = initial_arrays(architecture, arguments, 3)
    for name, array in arrays.items():
        if not name.endswith("kernel"):
            arrays[name] = generator.uniform(0.5, 1.5, array.shape)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        keras_model = keras_networks.build(architecture, **arguments.as_dict())
    finally:
        keras.config.set_dtype_policy(before)
    torch_model = torch_networks.build(architecture, **arguments.as_dict()).to(getattr(torch, precision)).eval()
    for model in (keras_model, torch_model):
        from_arrays(model, arrays, architecture, arguments)
    images = generator.normal(size=(6, *arguments.input_shape)).astype(precision)
    return keras_model, torch_model, images


def keras_pass(model: Any, images: np.ndarray, layer: str) -> tuple[np.ndarray, ...]:
    """Logits, input gradient of the first score, and Grad-CAM before ReLU and resizing."""
    import keras
    import tensorflow as tf

    network = keras.Model(model.input, [model.get_layer(layer).output, model.get_layer("dense").output])
    with tf.GradientTape() as tape:
        inputs = tf.constant(images)
        tape.watch(inputs)
        activation, logits = network(inputs, training=False)
        score = tf.reduce_sum(logits[:, 0])
    inner, slopes = tape.gradient(score, [inputs, activation])
    cam = (activation.numpy() * slopes.numpy().mean((1, 2), keepdims=True)).sum(-1)
    return logits.numpy(), inner.numpy(), cam


def torch_pass(model: Any, images: np.ndarray, layer: str) -> tuple[np.ndarray, ...]:
    """The same in PyTorch."""
    import torch

    kept: list[torch.Tensor] = []
    handle = model.get_submodule(layer).register_forward_hook(lambda _module, _inputs, output: kept.append(output))
    inputs = torch.from_numpy(images).permute(0, 3, 1, 2).requires_grad_(True)
    logits = model(inputs)
    handle.remove()
    inner, slopes = torch.autograd.grad(logits[:, 0].sum(), [inputs, kept[0]])
    cam = (kept[0] * slopes.mean((2, 3), keepdim=True)).sum(1)
    return logits.detach().numpy(), inner.permute(0, 2, 3, 1).numpy(), cam.detach().numpy()


def worst(one: np.ndarray, other: np.ndarray) -> float:
    """Largest difference over largest value, worst image."""
    axes = tuple(range(1, one.ndim))
    return float((np.abs(one - other).max(axes) / np.abs(one).max(axes)).max())


@pytest.mark.parametrize(("architecture", "classes", "head", "shape"), CASES)
@pytest.mark.parametrize(("precision", "limits"), [("float64", (1e-10, 1e-8, 1e-8)), ("float32", (1e-5, 1e-4, 1e-4))])
def test_both_frameworks_agree(
    architecture: str, classes: int, head: Any, shape: Any, precision: str, limits: tuple[float, ...]
) -> None:
    arguments = NetworkArguments(classes, shape, head)
    keras_model, torch_model, images = pair(architecture, arguments, precision)
    layer = "relu2" if architecture == "plain_cnn" else "relu3"
    ours, theirs = keras_pass(keras_model, images, layer), torch_pass(torch_model, images, layer)
    assert ours[0].dtype == theirs[0].dtype == precision
    assert ours[0].shape == (6, arguments.outputs)
    assert worst(ours[0], theirs[0]) < limits[0]
    assert worst(ours[2], theirs[2]) < limits[1]
    assert worst(ours[1], theirs[1]) < limits[2]


@pytest.mark.parametrize(("architecture", "classes", "head", "shape"), CASES)
def test_conversion_there_and_back_changes_no_bit(architecture: str, classes: int, head: Any, shape: Any) -> None:
    arguments = NetworkArguments(classes, shape, head)
    first = convert(pair(architecture, arguments, "float32")[1], "keras", architecture, arguments)
    second = convert(first, "torch", architecture, arguments)
    start, end = to_arrays(first, architecture, arguments), to_arrays(second, architecture, arguments)
    assert list(start) == list(end) == list(layout(architecture, arguments))
    for name, array in start.items():
        assert np.array_equal(array, end[name])


@pytest.mark.parametrize("architecture", ["plain_cnn", "deep_cnn"])
def test_layers_have_the_same_names(architecture: str) -> None:
    keras_model, torch_model, _ = pair(architecture, NetworkArguments(2, (32, 32, 3)), "float32")
    keras_names = [layer.name for layer in keras_model.layers if layer.weights or "image" not in layer.name]
    assert [*(name for name, _ in torch_model.named_children()), "softmax"] == keras_names


def test_head_activation_can_be_left_off() -> None:
    from audit.models import keras_networks

    model = keras_networks.build("plain_cnn", num_classes=2, input_shape=[16, 16, 3], head_activation=False)
    assert model.layers[-1].name == "dense"


@pytest.mark.parametrize(
    ("architecture", "arguments", "message"),
    [
        ("plain_cn", {}, "Did you mean 'plain_cnn'"),
        ("plain_cnn", {"num_classes": 2}, "needs the argument 'input_shape'"),
        ("plain_cnn", {"num_clases": 2, "input_shape": [16, 16, 3]}, "Did you mean 'num_classes'"),
        ("plain_cnn", {"num_classes": 1, "input_shape": [16, 16, 3]}, "num_classes is 1"),
        ("deep_cnn", {"num_classes": 2, "input_shape": [31, 48, 3]}, "sides from 32"),
        ("deep_cnn", {"num_classes": 2, "input_shape": [32, 32, 3], "head": "tanh"}, "allowed: softmax, sigmoid"),
    ],
)
def test_bad_arguments_are_refused(architecture: str, arguments: dict[str, Any], message: str) -> None:
    from audit.models import keras_networks, torch_networks

    for networks in (keras_networks, torch_networks):
        with pytest.raises(ModelError, match=message):
            networks.build(architecture, **arguments)


def test_weights_of_another_size_are_refused() -> None:
    arrays = initial_arrays("plain_cnn", NetworkArguments(2, (16, 16, 3)), 0)
    larger = NetworkArguments(2, (24, 24, 3))
    _, torch_model, _ = pair("plain_cnn", larger, "float32")
    with pytest.raises(ModelError, match="dense/kernel"):
        from_arrays(torch_model, arrays, "plain_cnn", larger)
