"""Which layer Grad-CAM looks at: the last spatial activation after its nonlinearity.

Works on records of one traced forward pass, so both frameworks choose by the same rule.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from audit.models.adapter import LayerInfo

__all__ = ["LayerRecord", "channels_of", "choose_layer", "layer_infos"]

# Layers that only move, shrink or pass on what another layer computed.
_PASSIVE = ("pool", "dropout", "flatten", "pad", "identity", "permute", "reshape", "upsampl", "crop")


@dataclass(frozen=True)
class LayerRecord:
    """One finished call of a layer.

    Attributes
    ----------
    name : str
        Name by which the layer is asked for.
    kind : str
        Its class in the framework.
    shape : tuple of int
        Output shape without the batch, channels last.
    tensor : int
        Identity of the output: equal where a block hands on the very tensor of its last layer.
    leaf : bool
        Whether it holds no layers of its own.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    tensor: int
    leaf: bool = True

    @property
    def passive(self) -> bool:
        """Whether a single layer pools, drops, pads or passes on, by the name of its class."""
        kind = self.kind.lower()
        return self.leaf and any(word in kind for word in _PASSIVE)


def choose_layer(records: Iterable[LayerRecord]) -> str | None:
    """Name of the layer for class activation maps.

    Parameters
    ----------
    records : iterable of LayerRecord
        In the order in which the layers finished, without the whole model.

    Returns
    -------
    str or None
        The outermost name of the last spatial tensor that was not made by pooling, dropout,
        flattening or padding; None where the model has none.
    """
    calls = list(records)
    maker: dict[int, LayerRecord] = {}
    for record in calls:
        maker.setdefault(record.tensor, record)
    spatial = [record for record in calls if _spatial(record) and not maker[record.tensor].passive]
    if not spatial:
        return None
    last = max(spatial, key=lambda record: _first_index(calls, record.tensor))
    names = [record.name for record in spatial if record.tensor == last.tensor and not record.passive]
    return names[-1]


def layer_infos(records: Iterable[LayerRecord]) -> list[LayerInfo]:
    """The layers of a trace, each once, where it ran last."""
    found: dict[str, LayerInfo] = {}
    for record in records:
        found.pop(record.name, None)
        found[record.name] = LayerInfo(record.name, record.kind, record.shape)
    return list(found.values())


def channels_of(name: str | None, layers: Iterable[LayerInfo]) -> int:
    """Channels of a layer's output; 0 without a layer."""
    return next((layer.shape[-1] for layer in layers if layer.name == name), 0)


def _spatial(record: LayerRecord) -> bool:
    return len(record.shape) == 3 and record.shape[0] * record.shape[1] > 1


def _first_index(calls: list[LayerRecord], tensor: int) -> int:
    return next(index for index, record in enumerate(calls) if record.tensor == tensor)
