"""Which layer of one model gives what a layer of another gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from audit.explanations.parity.arrays import channel_orders, relative_difference
from audit.explanations.parity.recording import Recorded

__all__ = ["OutputPair", "pair_outputs"]


@dataclass(frozen=True)
class OutputPair:
    """Outputs of two layers side by side.

    Attributes
    ----------
    first : str
        Layer of the first model.
    second : str or None
        Layer of the second; None where none gives this output and none is known to be its counterpart.
    difference : float or None
        Largest difference over the largest value.
    note : str
        What had to be supposed.
    """

    first: str
    second: str | None
    difference: float | None
    note: str = ""


def pair_outputs(first: Recorded, second: Recorded, known: Mapping[str, str], tolerance: float) -> list[OutputPair]:
    """Find for each layer of the first model the layer of the second that gives the same.

    A layer is held against its counterpart first, then against every layer with an output of this shape. Where only
    the counterpart is left, and one of the two has an activation built in, that is applied to the other.

    Parameters
    ----------
    first, second : Recorded
    known : mapping of str to str
        Counterparts known from the weights; else a layer of the same name is taken for it.
    tolerance : float
        Up to which outputs count as equal.

    Returns
    -------
    list of OutputPair
        In the order of the first model.
    """
    ours, theirs = ({layer.name: layer.shape for layer in recorded.layers} for recorded in (first, second))
    shapes = [*ours.values(), *theirs.values()]
    found = []
    for name, output in first.outputs.items():
        counterpart = known.get(name, name)
        alike = [
            other
            for other, array in second.outputs.items()
            if array.shape == output.shape and _sides(theirs.get(other)) == _sides(ours.get(name))
        ]
        alike.sort(key=lambda other: other != counterpart)
        candidates = {other: second.outputs[other] for other in alike}
        found.append(_paired((name, output), candidates, counterpart, _Rule(tolerance, shapes)))
    return found


def _sides(shape: tuple[int, ...] | None) -> tuple[int, ...] | None:
    """A shape without sides of 1, which a pooling may keep or drop."""
    return None if shape is None else tuple(side for side in shape if side != 1)


@dataclass(frozen=True)
class _Rule:
    tolerance: float
    shapes: Sequence[tuple[int, ...]]


def _paired(
    layer: tuple[str, np.ndarray], candidates: Mapping[str, np.ndarray], counterpart: str, rule: _Rule
) -> OutputPair:
    name, output = layer
    for other, theirs in candidates.items():
        difference, note = _aligned(output, theirs, rule)
        if difference <= rule.tolerance:
            return OutputPair(name, other, difference, note)
    if counterpart not in candidates:
        return OutputPair(name, None, None, "no layer of the second model gives this output")
    theirs = candidates[counterpart]
    for activation, function in _ACTIVATIONS.items():
        for ours, others, whose in ((function(output), theirs, "second"), (output, function(theirs), "first")):
            difference = relative_difference(ours, others)[0]
            if difference <= rule.tolerance:
                return OutputPair(name, counterpart, difference, f"the {whose} has a {activation} built in")
    return OutputPair(name, counterpart, *_aligned(output, theirs, rule))


def _aligned(ours: np.ndarray, theirs: np.ndarray, rule: _Rule) -> tuple[float, str]:
    """The difference, where a flattening may have been in either order."""
    difference = relative_difference(ours, theirs)[0]
    if difference <= rule.tolerance or ours.shape[1] > 1:
        return difference, ""
    moved = [
        (relative_difference(ours, theirs[..., order])[0], supposed)
        for supposed, order in channel_orders(ours.shape[-1], rule.shapes)
    ]
    return min([(difference, ""), *moved])


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.exp(-np.logaddexp(0, -values)))


_ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "ReLU": lambda values: np.maximum(values, 0),
    "ReLU6": lambda values: np.clip(values, 0, 6),
    "SiLU": lambda values: values * _sigmoid(values),
    "sigmoid": _sigmoid,
    "tanh": np.tanh,
    "ELU": lambda values: np.where(values > 0, values, np.expm1(np.minimum(values, 0))),
}
