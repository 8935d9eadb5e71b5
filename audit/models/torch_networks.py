"""The built-in networks in PyTorch; they give logits.

Layer names equal those of `keras_networks`. ReLU are modules of their own, so that hooks find them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

from torch import nn

from audit.models.networks import BATCH_NORM_EPSILON, NetworkArguments, channels, final_shape

__all__ = ["REGISTRY", "build"]


def _plain_cnn(arguments: NetworkArguments) -> nn.Module:
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    before = arguments.input_shape[2]
    for place, after in enumerate(channels("plain_cnn"), start=1):
        layers[f"conv{place}"] = nn.Conv2d(before, after, 3, padding=1)
        layers[f"relu{place}"] = nn.ReLU()
        layers[f"pool{place}"] = nn.MaxPool2d(2)
        before = after
    height, width, depth = final_shape("plain_cnn", arguments)
    layers["flatten"] = nn.Flatten()
    layers["dense"] = nn.Linear(height * width * depth, arguments.outputs)
    return nn.Sequential(layers)


def _deep_cnn(arguments: NetworkArguments) -> nn.Module:
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    before = arguments.input_shape[2]
    for place, after in enumerate(channels("deep_cnn"), start=1):
        layers[f"conv{place}"] = nn.Conv2d(before, after, 3, padding=1, bias=False)
        layers[f"bn{place}"] = nn.BatchNorm2d(after, eps=BATCH_NORM_EPSILON, momentum=0.1)
        layers[f"relu{place}"] = nn.ReLU()
        layers[f"pool{place}"] = nn.MaxPool2d(2)
        before = after
    height, width, depth = final_shape("deep_cnn", arguments)
    layers["average"] = nn.AdaptiveAvgPool2d((height, width))
    layers["flatten"] = nn.Flatten()
    layers["dropout"] = nn.Dropout(arguments.dropout)
    layers["dense"] = nn.Linear(height * width * depth, arguments.outputs)
    return nn.Sequential(layers)


REGISTRY: Final[dict[str, Callable[[NetworkArguments], nn.Module]]] = {
    "plain_cnn": _plain_cnn,
    "deep_cnn": _deep_cnn,
}


def build(architecture: str, **arguments: Any) -> nn.Module:
    """Build a network with PyTorch's own first weights.

    Parameters
    ----------
    architecture : str
        ``plain_cnn`` or ``deep_cnn``.
    **arguments
        Fields of `NetworkArguments`: num_classes, input_shape [H, W, C], head, dropout. Anything else is refused.

    Returns
    -------
    torch.nn.Module
        Takes (N, C, H, W), gives (N, outputs) logits.

    Raises
    ------
    ModelError
        The architecture or an argument is unknown, missing or out of range.
    """
    parsed = NetworkArguments.parse(architecture, arguments)
    return REGISTRY[architecture](parsed)
