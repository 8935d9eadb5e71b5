"""What an ONNX graph declares of its input and outputs, held against what the configuration declares.

A dimension is a number where the graph fixes it, and a name or None where it does not; a graph that gives no
dimensions at all has an unknown rank.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from audit.errors import ModelError
from audit.models.black_box import Layout

__all__ = ["Node", "find_input", "find_output", "image_shape"]

Dims = Sequence[int | str | None]

_FLOATS = {"tensor(float)", "tensor(float16)", "tensor(double)"}
_OTHER: dict[Layout, Layout] = {"NHWC": "NCHW", "NCHW": "NHWC"}
_PLACES: dict[Layout, tuple[int, int, int]] = {"NHWC": (1, 2, 3), "NCHW": (2, 3, 1)}  # of height, width, channels


class Node(Protocol):
    """An input or output, as ONNX Runtime describes it."""

    name: str
    shape: list[int | str | None]
    type: str


def find_input(inputs: Sequence[Node], *, where: str | None = None) -> Node:
    """The one input of the graph.

    Raises
    ------
    ModelError
        There are several or none, or it is not an array of float32.
    """
    if len(inputs) != 1:
        raise ModelError(
            f"the graph takes {len(inputs)} inputs, a classifier of images takes one: {_listed(inputs)}",
            where=where,
            fix="export the model with the image as its only input",
        )
    (node,) = inputs
    if node.type != "tensor(float)":
        raise ModelError(
            f"the input '{node.name}' is {node.type}, allowed: tensor(float), which is float32",
            where=where,
            fix="export the model for float32 images",
        )
    return node


def find_output(outputs: Sequence[Node], *, where: str | None = None) -> Node:
    """The only output, or of several the only one that can be scores: floating point, one row an image.

    Raises
    ------
    ModelError
        No output, or more than one, can be the scores.
    """
    named = [node for node in outputs if node.type in _FLOATS]
    rows = named if len(outputs) == 1 else [node for node in named if len(node.shape) == 2]
    if len(rows) != 1:
        found = "more than one of them" if rows else "none of them"
        raise ModelError(
            f"scores are floating point with shape (N, classes), and among the outputs {found} is: {_listed(outputs)}",
            where=where,
            fix="export the model with the scores as its only output",
        )
    return rows[0]


def image_shape(
    dims: Dims, wanted: tuple[int | None, int | None, int], layout: Layout, *, where: str | None = None
) -> tuple[int, int, int]:
    """Height, width and channels of one image.

    Parameters
    ----------
    dims : sequence of int, str or None
        Shape of the graph's input; empty where the graph does not say its rank.
    wanted : tuple of int or None
        ``(H, W, C)`` that preprocessing makes; None where it leaves a size to the graph.
    layout : str
        The declared order of the graph's dimensions: ``NCHW`` or ``NHWC``.
    where : str, optional
        Name of the model, for errors.

    Raises
    ------
    ModelError
        The graph's shape contradicts the declared layout or size, or neither says how large an image is.
    """
    if dims and len(dims) != 4:
        raise ModelError(f"the input has shape {_shown(dims)}, a batch of images has four dimensions", where=where)
    if dims and not _fits(dims, wanted, layout):
        other = _OTHER[layout]
        if _fits(dims, wanted, other):
            raise ModelError(
                f"the graph takes {_shown(dims)}, which is {other}, and the declared layout is {layout}",
                where=where,
                fix=f"declare `layout: {other}` under `preprocessing:`",
            )
        made = " x ".join("?" if size is None else str(size) for size in wanted)
        raise ModelError(
            f"the graph takes {_shown(dims)}, preprocessing makes {made} (height, width, channels), layout {layout}",
            where=where,
            fix="correct `size:`, `crop:`, `mode:` or `layout:` of the model's preprocessing",
        )
    sizes = [
        dims[place] if size is None and dims else size for size, place in zip(wanted, _PLACES[layout], strict=True)
    ]
    height, width, channels = (size if isinstance(size, int) else None for size in sizes)
    if height is None or width is None or channels is None:
        raise ModelError(
            "needs one image size, and the graph fixes none",
            where=where,
            fix="give preprocessing a `size:` or a `crop:`",
        )
    return height, width, channels


def _fits(dims: Dims, wanted: tuple[int | None, int | None, int], layout: Layout) -> bool:
    """Whether no dimension that both sides fix differs."""
    pairs = zip(wanted, (dims[place] for place in _PLACES[layout]), strict=True)
    return all(size is None or not isinstance(given, int) or given == size for size, given in pairs)


def _shown(dims: Dims) -> str:
    return "(" + ", ".join("?" if size is None else str(size) for size in dims) + ")"


def _listed(nodes: Sequence[Node]) -> str:
    return ", ".join(f"{node.name} {_shown(node.shape)} {node.type}" for node in nodes) or "none"
