"""Weights of a PyTorch module by layer, in the layout of Keras, and back. No framework is imported at module level."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from audit.models.adapter import Weights
from audit.models.torch_tracing import Head

__all__ = ["read_weights", "write_weights"]


def read_weights(module: Any, layers: Sequence[str], head: Head | None) -> Weights:
    """Copies of the parameters and running statistics of the layers that hold some of their own.

    Parameters
    ----------
    module : torch.nn.Module
    layers : sequence of str
        In the order in which they finish.
    head : Head or None
        Whose inputs are put channels last where it was seen what was flattened.

    Returns
    -------
    dict of str to dict of str to ndarray
        Kernels of convolutions ``(h, w, in, out)``, of linear layers ``(in, out)``; the rest as it is.
    """
    found: Weights = {}
    for name in layers:
        part = module.get_submodule(name)
        order = _order(name, head)
        arrays = {
            key: _neutral(part, key, tensor.detach().cpu().numpy(), order).copy() for key, tensor in _tensors(part)
        }
        if arrays:
            found[name] = arrays
    return found


def write_weights(module: Any, layer: str, arrays: dict[str, np.ndarray], head: Head | None) -> None:
    """Put what `read_weights` gave back into one layer, bit for bit."""
    import torch

    part = module.get_submodule(layer)
    order = _order(layer, head)
    with torch.no_grad():
        for key, tensor in _tensors(part):
            tensor.copy_(torch.from_numpy(np.ascontiguousarray(_own(part, key, arrays[key], order))))


def _tensors(part: Any) -> Iterator[tuple[str, Any]]:
    """A layer's own parameters and floating-point buffers."""
    yield from part.named_parameters(recurse=False)
    for key, buffer in part.named_buffers(recurse=False):
        if buffer.is_floating_point():
            yield key, buffer


def _neutral(part: Any, key: str, array: np.ndarray, order: np.ndarray | None) -> np.ndarray:
    match _kind(part, key):
        case "convolution":
            return array.transpose(2, 3, 1, 0)
        case "transposed":  # (in, out, h, w); Keras keeps (h, w, out, in)
            return array.transpose(2, 3, 1, 0)
        case "linear":
            return array.T if order is None else array.T[order]
    return array


def _own(part: Any, key: str, array: np.ndarray, order: np.ndarray | None) -> np.ndarray:
    match _kind(part, key):
        case "convolution" | "transposed":
            return array.transpose(3, 2, 0, 1)
        case "linear":
            if order is None:
                return array.T
            kernel = np.empty_like(array)
            kernel[order] = array
            return kernel.T
    return array


def _kind(part: Any, key: str) -> str:
    from torch import nn

    if key != "weight":
        return "other"
    if isinstance(part, nn.Conv2d):
        return "convolution"
    if isinstance(part, nn.ConvTranspose2d):
        return "transposed"
    return "linear" if isinstance(part, nn.Linear) else "other"


def _order(name: str, head: Head | None) -> np.ndarray | None:
    """Place in PyTorch's flattened order of each input of the head, taken channels last."""
    if head is None or head.name != name or head.flattened is None:
        return None
    return np.arange(int(np.prod(head.flattened))).reshape(head.flattened).transpose(1, 2, 0).ravel()
