"""Weights of the built-in networks, to and from NumPy arrays, and so from one framework to the other.

The neutral layout is that of Keras (`networks.layout`): PyTorch's kernels are transposed, and the inputs of its
dense layer, which it flattens channel first, are put into the order height, width, channel.
"""

from __future__ import annotations

import sys
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from audit.errors import ModelError
from audit.models.networks import Arrays, NetworkArguments, final_shape, layout

__all__ = ["convert", "from_arrays", "to_arrays"]

_TORCH_NAMES = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def convert(source: Any, framework: Literal["torch", "keras"], architecture: str, arguments: NetworkArguments) -> Any:
    """Build the same network in a framework, with the weights of another network.

    Parameters
    ----------
    source : torch.nn.Module or keras.Model
        A network that `build` of either framework made.
    framework : str
        ``torch`` or ``keras``: what to build.
    architecture : str
        ``plain_cnn`` or ``deep_cnn``.
    arguments : NetworkArguments

    Returns
    -------
    torch.nn.Module in evaluation mode, or keras.Model ending in its head's activation
    """
    arrays = to_arrays(source, architecture, arguments)
    target: Any
    if framework == "torch":
        from audit.models import torch_networks

        target = torch_networks.build(architecture, **arguments.as_dict()).eval()
    else:
        from audit.models import keras_networks

        target = keras_networks.build(architecture, **arguments.as_dict())
    from_arrays(target, arrays, architecture, arguments)
    return target


def to_arrays(model: Any, architecture: str, arguments: NetworkArguments) -> Arrays:
    """Read the weights of a network.

    Parameters
    ----------
    model : torch.nn.Module or keras.Model
    architecture : str
    arguments : NetworkArguments

    Returns
    -------
    dict of str to ndarray
        Copies in the neutral layout, in the model's own precision.

    Raises
    ------
    ModelError
        The model lacks a weight of this architecture, or one has another shape.
    """
    names = layout(architecture, arguments)
    if _is_torch(model):
        state = {name: value.detach().cpu().numpy().copy() for name, value in model.state_dict().items()}
        order = _torch_order(architecture, arguments)
        arrays = {name: _neutral(name, _find(state, _torch_name(name)), order) for name in names}
    else:
        found = {f"{layer.name}/{weight.name}": weight for layer in model.layers for weight in layer.weights}
        arrays = {name: _find(found, name).numpy() for name in names}
    _check_shapes(arrays, names)
    return arrays


def from_arrays(model: Any, arrays: Arrays, architecture: str, arguments: NetworkArguments) -> None:
    """Write weights into a network, in the network's own precision.

    Parameters
    ----------
    model : torch.nn.Module or keras.Model
        Changed in place.
    arrays : dict of str to ndarray
        In the neutral layout.
    architecture : str
    arguments : NetworkArguments

    Raises
    ------
    ModelError
        An array is missing or has another shape.
    """
    names = layout(architecture, arguments)
    _check_shapes({name: _find(arrays, name) for name in names}, names)
    if not _is_torch(model):
        for name in names:
            layer, weight = name.split("/")
            {variable.name: variable for variable in model.get_layer(layer).weights}[weight].assign(arrays[name])
        return
    torch = sys.modules["torch"]
    order = _torch_order(architecture, arguments)
    state = {_torch_name(name): torch.from_numpy(_channel_first(name, arrays[name], order)) for name in names}
    missing, unexpected = model.load_state_dict(state, strict=False)
    left = [name for name in missing if not name.endswith("num_batches_tracked")]
    if left or unexpected:
        raise ModelError(f"the network is no {architecture}: without {left}, with {list(unexpected)}")


def _is_torch(model: Any) -> bool:
    """Whether a model is a PyTorch module; imports nothing: who holds one has imported PyTorch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(model, torch.nn.Module)


def _find(found: dict[str, Any], name: str) -> Any:
    if name not in found:
        raise ModelError(f"weight '{name}' is missing; there are: {', '.join(found)}")
    return found[name]


def _check_shapes(arrays: Arrays, names: dict[str, tuple[int, ...]]) -> None:
    for name, shape in names.items():
        if arrays[name].shape != shape:
            raise ModelError(
                f"weight '{name}' has shape {arrays[name].shape}, the network needs {shape}",
                fix="give the input_shape, num_classes and head that the weights were made with",
            )


def _torch_name(name: str) -> str:
    layer, weight = name.split("/")
    return f"{layer}.{_TORCH_NAMES[weight]}"


def _torch_order(architecture: str, arguments: NetworkArguments) -> npt.NDArray[np.int64]:
    """Where each input of PyTorch's dense layer, flattened channel first, stands in the neutral layout."""
    shape = final_shape(architecture, arguments)
    return np.arange(int(np.prod(shape))).reshape(shape).transpose(2, 0, 1).ravel()


def _neutral(name: str, array: npt.NDArray[Any], order: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    if array.ndim == 4:
        return np.ascontiguousarray(array.transpose(2, 3, 1, 0))
    if name == "dense/kernel" and array.shape[1] == len(order):
        kernel = np.empty_like(array.T, order="C")
        kernel[order] = array.T
        return kernel
    return array


def _channel_first(name: str, array: npt.NDArray[Any], order: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    if array.ndim == 4:
        return np.ascontiguousarray(array.transpose(3, 2, 0, 1))
    if name == "dense/kernel":
        return np.ascontiguousarray(array[order].T)
    return np.array(array)
