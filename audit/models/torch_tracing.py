"""Watching a PyTorch module run: what each part gave, and which activations enter its head.

No framework is imported at module level; passes over images are in `torch_adapter`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from audit.models.layer_choice import LayerRecord

__all__ = ["Call", "Head", "find_head", "to_record"]


@dataclass(frozen=True)
class Call:
    """One finished call of a module: its name, the module, the tensor it was given, the one it gave."""

    name: str
    module: Any
    source: Any
    tensor: Any


@dataclass(frozen=True)
class Head:
    """The last linear layer or convolution of a module.

    Attributes
    ----------
    name : str
    size : int
        Length of an embedding.
    flattened : tuple of int or None
        ``(C, h, w)`` of the activation that was flattened before it, where that could be seen.
    convolution : bool
        Whether it works at every position of ``(N, C, h, w)``.
    """

    name: str
    size: int
    flattened: tuple[int, ...] | None
    convolution: bool

    def embeddings(self, source: Any) -> Any:
        """``(N, D)`` from what enters the head, channels last.

        Parameters
        ----------
        source : Tensor
            ``(N, D)``, ``(N, ..., D)``, or ``(N, C, h, w)`` before a convolution; more than one position is averaged.
        """
        if self.convolution:
            return source.mean(dim=(2, 3))
        if source.ndim > 2:
            return source.flatten(1, -2).mean(dim=1)
        if self.flattened is None:
            return source
        return source.reshape(len(source), *self.flattened).permute(0, 2, 3, 1).flatten(1)


def find_head(calls: Sequence[Call]) -> Head | None:
    """The head of a traced module, or None where no linear layer or convolution was seen."""
    from torch import nn

    for place in reversed(range(len(calls))):
        call = calls[place]
        if call.source is None or not isinstance(call.module, nn.Linear | nn.Conv2d):
            continue
        convolution = isinstance(call.module, nn.Conv2d)
        size = int(call.source.shape[1 if convolution else -1])
        flattened = _flattened(call.source, calls[:place]) if call.source.ndim == 2 else None
        return Head(call.name, size, flattened, convolution)
    return None


def _flattened(source: Any, before: Sequence[Call]) -> tuple[int, ...] | None:
    """Shape of the latest spatial output whose flattening is this input, by its values."""
    import torch

    rows = source[:2]
    for call in reversed(before):
        output = call.tensor
        same_size = output.ndim == 4 and output[0].numel() == source[0].numel() and len(output) == len(source)
        if same_size and torch.equal(output[:2].flatten(1), rows):
            return tuple(output.shape[1:])
    return None


def to_record(call: Call) -> LayerRecord:
    """What the choice of a layer needs to know of a call."""
    shape = tuple(call.tensor.shape[1:])
    if len(shape) == 3:
        shape = (*shape[1:], shape[0])
    leaf = next(call.module.children(), None) is None
    return LayerRecord(call.name, type(call.module).__name__, shape, id(call.tensor), leaf)
