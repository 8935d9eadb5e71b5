"""What every adapter checks of images, targets, layers and outputs, with one wording of the errors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from audit.errors import InputError, ModelError, nearest
from audit.models.adapter import LayerInfo, ModelSpec, Targets

__all__ = [
    "check_images",
    "check_layers",
    "check_outputs",
    "check_targets",
    "looks_like_probabilities",
    "noise_images",
]


def check_images(spec: ModelSpec, images: np.ndarray) -> np.ndarray:
    """Images as a contiguous array of the model's type, or a clear error."""
    height, width, channels = spec.input_shape
    if not isinstance(images, np.ndarray) or images.ndim != 4 or images.shape[1:] != spec.input_shape:
        shape = images.shape if isinstance(images, np.ndarray) else type(images).__name__
        raise InputError(
            f"images have shape {shape}, the model takes (N, {height}, {width}, {channels})",
            fix="give images channels last, of the size that preprocessing makes",
        )
    if images.dtype.kind != "f":
        raise InputError(
            f"images have type {images.dtype}, allowed: float32, float64",
            fix="scale the bytes to the model's range first",
        )
    return np.ascontiguousarray(images, dtype=spec.dtype)


def check_targets(spec: ModelSpec, targets: Targets, n: int) -> np.ndarray | None:
    """Targets as ``(n,)`` int64, or None where they are to be the predicted classes."""
    if isinstance(targets, str):
        if targets != "predicted":
            raise InputError(f"targets are '{targets}', allowed: 'predicted' or an array of class indices")
        return None
    array = np.asarray(targets)
    if array.shape != (n,) or array.dtype.kind not in "iu":
        raise InputError(f"targets have shape {array.shape} and type {array.dtype}, expected ({n},) whole numbers")
    if n and (array.min() < 0 or array.max() >= len(spec.classes)):
        raise InputError(f"targets reach from {array.min()} to {array.max()}, allowed: 0 to {len(spec.classes) - 1}")
    return array.astype(np.int64)


def check_layers(wanted: Sequence[str], known: Sequence[LayerInfo], *, where: str | None = None) -> None:
    """Every wanted layer exists and has a spatial output, or a clear error."""
    shapes = {layer.name: layer.shape for layer in known}
    spatial = [name for name, shape in shapes.items() if len(shape) == 3]
    for name in wanted:
        if name not in shapes:
            raise ModelError(
                f"has no layer '{name}' that a forward pass reaches; with a spatial output it has: "
                f"{_some(spatial)}.{nearest(name, spatial)}",
                where=where,
            )
        if len(shapes[name]) != 3:
            raise ModelError(
                f"layer '{name}' gives shape {shapes[name]}, Grad-CAM needs (h, w, channels): {_some(spatial)}",
                where=where,
            )


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[-12:]) or "none"
    return shown if len(names) <= 12 else f"..., {shown}"


def check_outputs(classes: Sequence[str], head: str, outputs: int, *, where: str | None = None) -> None:
    """The number of outputs agrees with the declared classes and head, or a clear error."""
    if outputs == 1 and head == "sigmoid" and len(classes) == 2:
        return
    if outputs == 1 and head == "softmax":
        raise ModelError("has one output, for which a softmax is always 1", where=where, fix="declare `head: sigmoid`")
    if outputs != len(classes):
        raise ModelError(
            f"has {outputs} outputs, but {len(classes)} classes are declared: {', '.join(classes)}",
            where=where,
            fix="list the model's own classes in output order under `classes:`",
        )


def noise_images(input_shape: tuple[int, int, int]) -> np.ndarray:
    """``(4, H, W, C)`` noise to try a model on: two images in [-1, 1], and the same a hundredfold.

    The large ones tell logits, which grow with them, from probabilities, which stay within [0, 1].
    """
    noise = np.random.default_rng(0).uniform(-1, 1, (2, *input_shape))
    return np.concatenate([noise, 100 * noise]).astype(np.float32)


def looks_like_probabilities(scores: np.ndarray, head: str) -> bool:
    """Whether scores on `noise_images` lie within [0, 1], and for a softmax sum to 1."""
    values = scores[np.isfinite(scores).all(axis=1)].astype(np.float64)
    inside = len(values) > 0 and bool(np.all((values >= 0) & (values <= 1)))
    if head == "sigmoid":
        return inside
    return inside and bool(np.allclose(values.sum(axis=1), 1, atol=1e-3))
