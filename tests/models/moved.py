"""Networks moved from one framework to the other by hand, layer by layer: the fixtures of the parity tests.

Each function gives the same network twice, in PyTorch and in Keras, with weights drawn from a seed and running
statistics that come from data and are then disturbed, so that neither an epsilon nor a mean can hide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from audit.models.adapter import ModelAdapter
from audit.models.loading import wrap_model

Precision = Literal["float32", "float64"]
RESNET_SHAPE = (72, 56, 3)
MOBILENET_SHAPE = (97, 65, 3)  # 97 49 25 13 7 and 65 33 17 9 5 enter the stride-2 layers: all odd


@dataclass(frozen=True)
class Pair:
    """The same network in both frameworks."""

    torch: Any
    keras: Any
    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    head: Literal["softmax", "sigmoid"] = "softmax"

    def adapters(self, dtype: Precision, micro_batch: int = 4) -> tuple[ModelAdapter, ModelAdapter]:
        """PyTorch and Keras behind the seam."""
        options: dict[str, Any] = {"head": self.head, "dtype": dtype, "input_shape": self.shape}
        ours, theirs = (
            wrap_model(model, self.classes, micro_batch=micro_batch, **options) for model in (self.torch, self.keras)
        )
        return ours, theirs


def noise(n: int, shape: tuple[int, int, int], dtype: str, seed: int = 3) -> np.ndarray:
    """``(n, *shape)`` smooth blobs under noise: flat regions would tie in pooling."""
    rng = np.random.default_rng(seed)
    height, width, channels = shape
    rows, columns = np.meshgrid(np.linspace(0, 3, height), np.linspace(0, 3, width), indexing="ij")
    phases = rng.uniform(0, 2 * np.pi, (2, n, 1, 1, channels))
    blobs = np.sin(rows[None, ..., None] + phases[0]) * np.sin(columns[None, ..., None] + phases[1])
    return np.asarray(blobs + 0.3 * rng.normal(size=(n, *shape))).astype(dtype)


def built_in(architecture: str, head: Literal["softmax", "sigmoid"] = "softmax") -> Pair:
    """The networks that `faircam train` trains, through `audit.models.transfer`; Keras ends in its activation."""
    import torch

    from audit.models import torch_networks, transfer
    from audit.models.networks import NetworkArguments

    shape, classes = (40, 32, 3), ("no", "yes", "perhaps")
    torch.manual_seed(0)
    arguments = NetworkArguments(num_classes=3, input_shape=shape, head=head)
    ours = torch_networks.build(architecture, **arguments.as_dict())
    _settle(ours, shape)
    return Pair(ours, transfer.convert(ours, "keras", architecture, arguments), shape, classes, head)


def softmax_ended() -> Pair:
    """Both models end in their framework's own softmax, in Keras as the activation of the dense layer."""
    import keras
    from torch import nn

    rng = np.random.default_rng(7)
    kernels = (rng.normal(size=(3, 3, 3, 8)) / 4, rng.normal(size=(8, 4)))
    biases = (rng.normal(size=8), rng.normal(size=4))
    ours = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4), nn.Softmax(1)
    )
    theirs = keras.Sequential(
        [
            keras.Input((19, 15, 3)),
            keras.layers.Conv2D(8, 3, strides=2),
            keras.layers.ReLU(),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(4, activation="softmax"),
        ]
    )
    theirs.set_weights([kernels[0], biases[0], kernels[1], biases[1]])
    for layer, kernel, bias in zip((ours[0], ours[4]), kernels, biases, strict=True):
        _set(layer, weight=_oihw(kernel) if kernel.ndim == 4 else kernel.T, bias=bias)
    return Pair(ours, theirs, (19, 15, 3), ("a", "b", "c", "d"))


def nested() -> Pair:
    """A Keras model inside a Keras model; a Sequential inside a PyTorch module."""
    import keras
    import torch
    from torch import nn

    rng = np.random.default_rng(11)
    kernels = [rng.normal(size=shape) / 4 for shape in ((3, 3, 3, 6), (3, 3, 6, 8))]
    dense = rng.normal(size=(5 * 4 * 8, 3)) / 8
    biases = [rng.normal(size=size) for size in (6, 8, 3)]

    inside = keras.Input((21, 17, 3))
    hidden = keras.layers.Conv2D(6, 3, strides=2, padding="same", activation="relu", name="first")(inside)
    hidden = keras.layers.Conv2D(8, 3, padding="same", name="second")(hidden)
    backbone = keras.Model(inside, keras.layers.Activation("relu", name="last")(hidden), name="backbone")
    image = keras.Input((21, 17, 3))
    flat = keras.layers.Flatten()(keras.layers.MaxPooling2D()(backbone(image)))
    theirs = keras.Model(image, keras.layers.Dense(3, name="head")(flat))
    theirs.set_weights([kernels[0], biases[0], kernels[1], biases[1], dense, biases[2]])

    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backbone = nn.Sequential(
                nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(6, 8, 3, padding=1), nn.ReLU()
            )
            self.pool = nn.MaxPool2d(2)
            self.head = nn.Linear(5 * 4 * 8, 3)

        def forward(self, images: Any) -> Any:
            return self.head(torch.flatten(self.pool(self.backbone(images)), 1))

    ours = Whole()
    for layer, kernel, bias in zip((ours.backbone[0], ours.backbone[2]), kernels, biases, strict=False):
        _set(layer, weight=_oihw(kernel), bias=bias)
    channel_first = dense.reshape(5, 4, 8, 3).transpose(2, 0, 1, 3).reshape(-1, 3)  # as PyTorch flattens
    _set(ours.head, weight=channel_first.T, bias=biases[2])
    return Pair(ours, theirs, (21, 17, 3), ("a", "b", "c"))


def resnet18() -> Pair:
    """The ResNet-18 of torchvision in Keras: explicit padding, and the epsilon of PyTorch."""
    import keras
    import torch
    import torchvision

    torch.manual_seed(1)
    ours = torchvision.models.resnet18(weights=None, num_classes=5)
    _settle(ours, RESNET_SHAPE)
    image = keras.Input(RESNET_SHAPE)
    hidden = _padded_conv(image, ours.conv1, "conv1")
    hidden = _relu(_norm(hidden, ours.bn1, "bn1"), "relu")
    hidden = keras.layers.MaxPooling2D(3, strides=2)(keras.layers.ZeroPadding2D(1)(hidden))  # after a ReLU: 0 is least
    for stage in range(1, 5):
        for place, block in enumerate(getattr(ours, f"layer{stage}")):
            hidden = _basic_block(hidden, block, f"layer{stage}_{place}")
    hidden = keras.layers.GlobalAveragePooling2D()(hidden)
    theirs = keras.Model(image, keras.layers.Dense(5, name="fc")(hidden))
    for name, layer in _weighted(ours):
        _copy_to_keras(layer, theirs.get_layer(name))
    return Pair(ours, theirs, RESNET_SHAPE, tuple("abcde"))


def mobilenet_v2(dtype: Precision, fold: bool = True, shape: tuple[int, int, int] = MOBILENET_SHAPE) -> Pair:
    """`keras.applications` MobileNetV2 in torchvision's, layer by layer in the order in which both are built.

    The batch normalisation of Keras adds 1e-3 to the variance, that of PyTorch 1e-5; gamma takes the ratio of the
    two roots, in double precision, unless `fold` is off.
    """
    import keras
    import torch
    import torchvision

    keras.utils.set_random_seed(2)
    theirs = keras.applications.MobileNetV2(input_shape=shape, weights=None, classes=5, classifier_activation="softmax")
    _settle_keras(theirs, shape)
    ours = torchvision.models.mobilenet_v2(weights=None, num_classes=5).to(getattr(torch, dtype)).eval()
    kept = ("Conv2D", "DepthwiseConv2D", "BatchNormalization", "Dense")
    layers = [layer for layer in theirs.layers if type(layer).__name__ in kept]
    for (_, ours_layer), layer in zip(_weighted(ours), layers, strict=True):
        _copy_to_torch(layer, ours_layer, fold)
    return Pair(ours, theirs, shape, tuple("abcde"))


def _settle(module: Any, shape: tuple[int, int, int]) -> None:
    """Random scales and shifts, and the running statistics of noise, disturbed: none equals the batch's own."""
    import torch
    from torch import nn

    generator = torch.Generator().manual_seed(5)
    norms = [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)]
    with torch.no_grad():
        for norm in norms:
            norm.momentum = 1.0
            norm.weight.uniform_(0.5, 1.5, generator=generator)
            norm.bias.normal_(0, 0.3, generator=generator)
        module.train()(torch.from_numpy(noise(8, shape, "float32", seed=4)).permute(0, 3, 1, 2))
        module.eval()
        for norm in norms:
            spread = norm.running_var.sqrt()
            norm.running_mean += 0.2 * spread * torch.randn(spread.shape, generator=generator)
            norm.running_var *= torch.empty_like(spread).uniform_(0.6, 1.5, generator=generator)


def _settle_keras(model: Any, shape: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(5)
    norms = [layer for layer in model.layers if type(layer).__name__ == "BatchNormalization"]
    for norm in norms:
        norm.momentum = 0.0
        norm.gamma.assign(rng.uniform(0.5, 1.5, norm.gamma.shape))
        norm.beta.assign(rng.normal(0, 0.3, norm.beta.shape))
    model(noise(8, shape, "float32", seed=4), training=True)
    for norm in norms:
        spread = np.sqrt(norm.moving_variance.numpy())
        norm.moving_mean.assign(norm.moving_mean.numpy() + 0.2 * spread * rng.normal(size=spread.shape))
        norm.moving_variance.assign(norm.moving_variance.numpy() * rng.uniform(0.6, 1.5, spread.shape))


def _basic_block(entering: Any, block: Any, name: str) -> Any:
    import keras

    hidden = _relu(_norm(_padded_conv(entering, block.conv1, f"{name}_conv1"), block.bn1, f"{name}_bn1"), f"{name}_a")
    hidden = _norm(_padded_conv(hidden, block.conv2, f"{name}_conv2"), block.bn2, f"{name}_bn2")
    if block.downsample is not None:
        entering = _padded_conv(entering, block.downsample[0], f"{name}_downsample_0")
        entering = _norm(entering, block.downsample[1], f"{name}_downsample_1")
    return _relu(keras.layers.Add(name=f"{name}_add")([hidden, entering]), f"{name}_b")


def _padded_conv(entering: Any, conv: Any, name: str) -> Any:
    """Zeros on every side, then no padding: TensorFlow's 'same' would pad one side only at stride 2."""
    import keras

    if conv.padding != (0, 0):
        entering = keras.layers.ZeroPadding2D(conv.padding)(entering)
    return keras.layers.Conv2D(conv.out_channels, conv.kernel_size, conv.stride, use_bias=False, name=name)(entering)


def _norm(entering: Any, norm: Any, name: str) -> Any:
    import keras

    return keras.layers.BatchNormalization(epsilon=norm.eps, name=name)(entering)


def _relu(entering: Any, name: str) -> Any:
    import keras

    return keras.layers.ReLU(name=f"{name}_relu")(entering)


def _weighted(module: Any) -> Iterator[tuple[str, Any]]:
    """Convolutions, batch normalisations and linear layers, in order, named as Keras layers may be."""
    from torch import nn

    for name, part in module.named_modules():
        if isinstance(part, nn.Conv2d | nn.BatchNorm2d | nn.Linear):
            yield name.replace(".", "_"), part


def _copy_to_keras(source: Any, target: Any) -> None:
    from torch import nn

    arrays = {name: tensor.detach().numpy() for name, tensor in source.state_dict().items()}
    if isinstance(source, nn.BatchNorm2d):
        target.set_weights([arrays[name] for name in ("weight", "bias", "running_mean", "running_var")])
    elif isinstance(source, nn.Conv2d):
        target.set_weights([arrays["weight"].transpose(2, 3, 1, 0)])
    else:
        target.set_weights([arrays["weight"].T, arrays["bias"]])


def _copy_to_torch(source: Any, target: Any, fold: bool) -> None:
    arrays = [np.asarray(array) for array in source.get_weights()]
    kind = type(source).__name__
    if kind == "BatchNormalization":
        gamma, beta, mean, variance = (array.astype(np.float64) for array in arrays)
        if fold:
            gamma = gamma * np.sqrt((variance + target.eps) / (variance + source.epsilon))
        _set(target, weight=gamma, bias=beta, running_mean=mean, running_var=variance)
    elif kind == "DepthwiseConv2D":
        _set(target, weight=arrays[0].transpose(2, 3, 0, 1))
    elif kind == "Conv2D":
        _set(target, weight=_oihw(arrays[0]))
    else:
        _set(target, weight=arrays[0].T, bias=arrays[1])


def _oihw(kernel: np.ndarray) -> np.ndarray:
    return kernel.transpose(3, 2, 0, 1)


def _set(layer: Any, **arrays: np.ndarray) -> None:
    import torch

    tensors = {**dict(layer.named_parameters()), **dict(layer.named_buffers())}
    with torch.no_grad():
        for name, array in arrays.items():
            if tensors[name].shape != array.shape:
                raise ValueError(f"{name} is {tuple(tensors[name].shape)}, the moved array {array.shape}")
            tensors[name].copy_(torch.from_numpy(np.ascontiguousarray(array)))


PAIRS: dict[str, Callable[[Precision], Pair]] = {
    "plain_cnn": lambda _: built_in("plain_cnn"),
    "plain_cnn_sigmoid": lambda _: built_in("plain_cnn", "sigmoid"),
    "deep_cnn": lambda _: built_in("deep_cnn"),
    "softmax_ended": lambda _: softmax_ended(),
    "nested": lambda _: nested(),
    "resnet18": lambda _: resnet18(),
    "mobilenet_v2": mobilenet_v2,
}
