"""One small network in NumPy, PyTorch and Keras, with the same weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from audit.models.numpy_adapter import NumpyAdapter

SHAPE = (6, 5, 3)
CLASSES = ("a", "b", "c", "d")


def images(n: int = 7, dtype: str = "float32", shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    return np.random.default_rng(3).normal(size=(n, *shape)).astype(dtype)


def weights(outputs: int = len(CLASSES), hidden: int = 8) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    arrays = {
        "W1": rng.normal(size=(SHAPE[2], hidden)),
        "b1": rng.normal(size=hidden),
        "W2": rng.normal(size=(hidden, outputs)),
        "b2": rng.normal(size=outputs),
    }
    return {name: array.astype(np.float32) for name, array in arrays.items()}


def numpy_twin(outputs: int = len(CLASSES), dtype: str = "float32", **options: Any) -> NumpyAdapter:
    classes = CLASSES if outputs > 1 else CLASSES[:2]
    return NumpyAdapter(weights(outputs), SHAPE, classes, dtype=dtype, **options)


def torch_twin(outputs: int = len(CLASSES)) -> Any:
    import torch
    from torch import nn

    arrays = {name: torch.from_numpy(array) for name, array in weights(outputs).items()}
    model = nn.Sequential(
        nn.Conv2d(SHAPE[2], len(arrays["b1"]), 1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(len(arrays["b1"]), outputs),
    )
    with torch.no_grad():
        model[0].weight.copy_(arrays["W1"].T[:, :, None, None])
        model[0].bias.copy_(arrays["b1"])
        model[4].weight.copy_(arrays["W2"].T)
        model[4].bias.copy_(arrays["b2"])
    return model


def set_keras_weights(model: Any, outputs: int = len(CLASSES)) -> Any:
    arrays = weights(outputs)
    model.set_weights([arrays["W1"][None, None], arrays["b1"], arrays["W2"], arrays["b2"]])
    return model
