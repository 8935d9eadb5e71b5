"""Which layer with weights of one model is which of another, and how far their weights differ.

Frameworks name and order layers differently, and flatten in different orders; what an adapter could not see of that
is found here from shapes and values.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from audit.explanations.parity.arrays import channel_orders, relative_difference
from audit.explanations.parity.recording import Recorded

__all__ = ["WeightPair", "pair_weights"]

Shapes = Sequence[tuple[int, ...]]

_FIRST_LOOK = 256


@dataclass(frozen=True)
class WeightPair:
    """Weights of two layers side by side.

    Attributes
    ----------
    first, second : str
        Names of the layers.
    difference : float
        Largest difference over the largest value, of the worst array.
    note : str
        The weight that differs most, and what had to be reordered.
    """

    first: str
    second: str
    difference: float
    note: str


@dataclass(frozen=True)
class _Held:
    """Arrays of one layer, in the order in which the layer lists them, which frameworks agree on."""

    layer: str
    names: tuple[str, ...]
    arrays: tuple[np.ndarray, ...]

    @property
    def signature(self) -> tuple[tuple[int, ...], ...]:
        return tuple(array.shape for array in self.arrays)


def pair_weights(first: Recorded, second: Recorded, tolerance: float) -> list[WeightPair] | str:
    """Pair the layers that hold weights by the shapes of their arrays, and compare them.

    Layers of equal shapes are paired in order. Those that differ so are paired by value where another one is equal,
    for branches may finish in another order in another framework. A dense kernel is also compared with its inputs put
    from channels last to channels first, and back.

    Parameters
    ----------
    first, second : Recorded
    tolerance : float
        Up to which arrays count as equal.

    Returns
    -------
    list of WeightPair or str
        In the order of the first model; or the reason why the weights cannot be paired.
    """
    ours, theirs = (_held(recorded) for recorded in (first, second))
    silent = [recorded.subject.name for recorded, held in ((first, ours), (second, theirs)) if not held]
    if silent:
        return f"no weights are seen of {' and '.join(silent)}"
    if Counter(held.signature for held in ours) != Counter(held.signature for held in theirs):
        return (
            f"the models hold arrays of other shapes ({len(ours)} and {len(theirs)} layers with weights), as after "
            "folding a batch normalisation into a convolution"
        )
    shapes = [layer.shape for recorded in (first, second) for layer in recorded.layers]
    groups: dict[object, list[_Held]] = defaultdict(list)
    for held in theirs:
        groups[held.signature].append(held)
    partners: dict[str, _Held] = {}
    for signature, candidates in groups.items():
        mine = [held for held in ours if held.signature == signature]
        partners.update(_partners(mine, candidates, tolerance, shapes))
    return [_compared(held, partners[held.layer], shapes) for held in ours]


def _held(recorded: Recorded) -> list[_Held]:
    """Layers with weights; the kernel of a depthwise convolution as that of a convolution in groups of one."""
    kinds = {layer.name: layer.kind for layer in recorded.layers}
    found = []
    for layer, weights in recorded.weights.items():
        depthwise = kinds.get(layer) == "DepthwiseConv2D"
        arrays = tuple(
            array.reshape(*array.shape[:2], 1, -1) if depthwise and array.ndim == 4 else array
            for array in weights.values()
        )
        found.append(_Held(layer, tuple(weights), arrays))
    return found


def _partners(ours: list[_Held], theirs: list[_Held], tolerance: float, shapes: Shapes) -> Iterator[tuple[str, _Held]]:
    """Partner of each layer, all of one signature: the one at its place if equal, else an equal one, else the rest."""
    left = dict(enumerate(theirs))
    unpaired: list[_Held] = []
    for place, held in enumerate(ours):
        if _equal(held, theirs[place], tolerance, shapes):
            yield held.layer, left.pop(place)
        else:
            unpaired.append(held)
    different: list[_Held] = []
    for held in unpaired:
        equal = next((place for place, other in left.items() if _equal(held, other, tolerance, shapes)), None)
        if equal is None:
            different.append(held)
        else:
            yield held.layer, left.pop(equal)
    for held, other in zip(different, left.values(), strict=True):
        yield held.layer, other


def _equal(ours: _Held, theirs: _Held, tolerance: float, shapes: Shapes) -> bool:
    for mine, other in zip(ours.arrays, theirs.arrays, strict=True):
        if mine.ndim != 2:  # the order of a dense kernel's inputs is not known yet
            scale = max(float(np.abs(array).max(initial=0)) for array in (mine, other))
            apart = float(np.abs(mine.ravel()[:_FIRST_LOOK] - other.ravel()[:_FIRST_LOOK]).max(initial=0))
            if not apart <= tolerance * scale:
                return False
        if _aligned(mine, other, shapes)[0] > tolerance:
            return False
    return True


def _compared(ours: _Held, theirs: _Held, shapes: Shapes) -> WeightPair:
    worst, said = -1.0, ""
    for name, mine, other in zip(ours.names, ours.arrays, theirs.arrays, strict=True):
        difference, array, order = _aligned(mine, other, shapes)
        if difference > worst:
            worst, said = difference, "; ".join(filter(None, (_most_different(name, mine, array), order)))
    return WeightPair(ours.layer, theirs.layer, worst, said)


def _aligned(mine: np.ndarray, other: np.ndarray, shapes: Shapes) -> tuple[float, np.ndarray, str]:
    """The difference, the other array in the order that suits the first best, and what that order supposes."""
    found = (_difference(mine, other), other, "")
    if mine.ndim != 2 or found[0] == 0:
        return found
    least = float(np.abs(mine - other).mean())
    for supposed, order in channel_orders(len(mine), shapes):
        moved = other[order]
        apart = float(np.abs(mine - moved).mean())
        if apart < least:
            least, found = apart, (_difference(mine, moved), moved, supposed)
    return found


def _difference(mine: np.ndarray, other: np.ndarray) -> float:
    return relative_difference(mine.reshape(1, -1), other.reshape(1, -1))[0]


def _most_different(name: str, mine: np.ndarray, other: np.ndarray) -> str:
    count = int((mine != other).sum())
    if not count:
        return ""
    apart = np.nan_to_num(np.abs(mine - other), nan=np.inf)
    at = tuple(int(index) for index in np.unravel_index(int(apart.argmax()), apart.shape))
    return f"{name}{list(at)} is {mine[at]:.6g} and {other[at]:.6g}, {count} of {mine.size} values differ"
