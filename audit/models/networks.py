"""What the built-in networks are, apart from any framework: arguments, weight layout and first weights.

The layers themselves are in `torch_networks` and `keras_networks`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from audit.errors import ModelError, nearest

__all__ = ["ARCHITECTURES", "BATCH_NORM_EPSILON", "Arrays", "NetworkArguments", "initial_arrays", "layout"]

Arrays = dict[str, npt.NDArray[Any]]

ARCHITECTURES: Final = ("plain_cnn", "deep_cnn")
BATCH_NORM_EPSILON: Final = 1e-3  # in both frameworks; their own defaults differ

_CHANNELS: Final = {"plain_cnn": (32, 64), "deep_cnn": (16, 32, 64)}
_POOLED: Final = 4  # deep_cnn: height and width after its average pooling


@dataclass(frozen=True)
class NetworkArguments:
    """Arguments of `build` in either framework.

    Parameters
    ----------
    num_classes : int
        At least 2.
    input_shape : tuple of int
        Height, width, channels.
    head : str
        ``softmax``, or ``sigmoid``: one output for two classes, else one for each class.
    dropout : float
        Share of the features dropped in training; deep_cnn only.
    """

    num_classes: int
    input_shape: tuple[int, int, int]
    head: Literal["softmax", "sigmoid"] = "softmax"
    dropout: float = 0.5

    def __post_init__(self) -> None:
        if isinstance(self.num_classes, bool) or not isinstance(self.num_classes, int) or self.num_classes < 2:
            raise ModelError(f"num_classes is {self.num_classes!r}, allowed: a whole number from 2")
        shape = tuple(self.input_shape)
        if len(shape) != 3 or any(not isinstance(side, int) or side < 1 for side in shape):
            raise ModelError(f"input_shape is {list(shape)}, allowed: [height, width, channels], each from 1")
        object.__setattr__(self, "input_shape", shape)
        if self.head not in ("softmax", "sigmoid"):
            raise ModelError(f"head is {self.head!r}, allowed: softmax, sigmoid")
        if not 0 <= self.dropout < 1:
            raise ModelError(f"dropout is {self.dropout}, allowed: 0 to below 1")

    @classmethod
    def parse(cls, architecture: str, arguments: Mapping[str, Any]) -> NetworkArguments:
        """Check the name of an architecture and its arguments.

        Raises
        ------
        ModelError
            The architecture or an argument is unknown, missing or out of range.
        """
        if architecture not in ARCHITECTURES:
            raise ModelError(
                f"architecture '{architecture}' is unknown, allowed: {', '.join(ARCHITECTURES)}."
                f"{nearest(architecture, ARCHITECTURES)}"
            )
        allowed = [field.name for field in fields(cls)]
        for name in arguments:
            if name not in allowed:
                raise ModelError(
                    f"{architecture} has no argument '{name}', allowed: {', '.join(allowed)}.{nearest(name, allowed)}"
                )
        for name in ("num_classes", "input_shape"):
            if name not in arguments:
                raise ModelError(f"{architecture} needs the argument '{name}'")
        parsed = cls(**arguments)
        least = 2 ** len(_CHANNELS[architecture]) * (_POOLED if architecture == "deep_cnn" else 1)
        if min(parsed.input_shape[:2]) < least:
            raise ModelError(f"{architecture} needs sides from {least}, input_shape is {list(parsed.input_shape)}")
        return parsed

    @property
    def outputs(self) -> int:
        """Number of output units."""
        return 1 if self.head == "sigmoid" and self.num_classes == 2 else self.num_classes

    def as_dict(self) -> dict[str, Any]:
        """Plain values for a model's entry in a configuration."""
        return {
            "num_classes": self.num_classes,
            "input_shape": list(self.input_shape),
            "head": self.head,
            "dropout": self.dropout,
        }


def channels(architecture: str) -> tuple[int, ...]:
    """Output channels of each convolution."""
    return _CHANNELS[architecture]


def final_shape(architecture: str, arguments: NetworkArguments) -> tuple[int, int, int]:
    """Height, width and channels that reach the flatten layer."""
    if architecture == "deep_cnn":
        return _POOLED, _POOLED, _CHANNELS[architecture][-1]
    height, width, _ = arguments.input_shape
    return height // 4, width // 4, _CHANNELS[architecture][-1]


def layout(architecture: str, arguments: NetworkArguments) -> dict[str, tuple[int, ...]]:
    """Name and shape of every weight, in the neutral layout, in order of the layers.

    Convolution kernels are (height, width, in, out), dense kernels (in, out) with the inputs in the order
    height, width, channel: as Keras keeps them.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    before = arguments.input_shape[2]
    for place, after in enumerate(_CHANNELS[architecture], start=1):
        shapes[f"conv{place}/kernel"] = (3, 3, before, after)
        if architecture == "plain_cnn":
            shapes[f"conv{place}/bias"] = (after,)
        else:
            for name in ("gamma", "beta", "moving_mean", "moving_variance"):
                shapes[f"bn{place}/{name}"] = (after,)
        before = after
    shapes["dense/kernel"] = (math.prod(final_shape(architecture, arguments)), arguments.outputs)
    shapes["dense/bias"] = (arguments.outputs,)
    return shapes


def initial_arrays(architecture: str, arguments: NetworkArguments, seed: int) -> Arrays:
    """Draw the first weights: Glorot uniform kernels, zero biases; the same for either framework.

    Parameters
    ----------
    architecture : str
        A name in `ARCHITECTURES`.
    arguments : NetworkArguments
    seed : int

    Returns
    -------
    dict of str to ndarray of float32
        As `layout` names them.
    """
    generator = np.random.default_rng([seed, 0])
    arrays: Arrays = {}
    for name, shape in layout(architecture, arguments).items():
        if name.endswith("/kernel"):
            field = math.prod(shape[:-2])
            limit = math.sqrt(6 / (field * (shape[-2] + shape[-1])))
            arrays[name] = generator.uniform(-limit, limit, shape).astype(np.float32)
        else:
            ones = name.endswith(("/gamma", "/moving_variance"))
            arrays[name] = np.full(shape, 1.0 if ones else 0.0, dtype=np.float32)
    return arrays
