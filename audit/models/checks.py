"""What every adapter checks of images, targets, layers and outputs, with one wording of the errors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from audit.errors import InputError, ModelError, nearest
from audit.models.adapter import Copies, LayerInfo, ModelSpec, Targets
from audit.models.cams import CAM_KINDS

__all__ = [
    "check_copies",
    "check_images",
    "check_kinds",
    "check_layer",
    "check_layers",
    "check_masks",
    "check_outputs",
    "check_targets",
    "check_weighted",
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


def check_layer(name: str, known: Sequence[LayerInfo]) -> None:
    """A layer of that name runs, or a clear error."""
    names = [layer.name for layer in known]
    if name not in names:
        raise ModelError(
            f"has no layer '{name}' that a forward pass reaches; it has: {_some(names)}.{nearest(name, names)}"
        )


def check_weighted(wanted: Sequence[str], known: Iterable[str]) -> None:
    """Every wanted layer holds weights, or a clear error."""
    names = list(known)
    for name in wanted:
        if name not in names:
            raise ModelError(f"layer '{name}' holds no weights; these do: {_some(names)}.{nearest(name, names)}")


def check_kinds(kinds: Sequence[str]) -> None:
    """Every class activation map asked for is known, or a clear error."""
    for kind in kinds:
        if kind not in CAM_KINDS:
            raise InputError(f"class activation map '{kind}' is unknown, allowed: {', '.join(CAM_KINDS)}.")


def check_copies(spec: ModelSpec, copies: Copies, images: int) -> Copies:
    """Perturbed copies with arrays of the model's type, or a clear error."""
    n = len(np.atleast_1d(copies.weights))
    expected = {"weights": (n,), "scales": (n,), "baseline": spec.input_shape, "offsets": (n, *spec.input_shape)}
    expected["strength"] = (images,)
    arrays: dict[str, np.ndarray] = {}
    for name, shape in expected.items():
        given = getattr(copies, name)
        if given is None:
            continue
        arrays[name] = np.ascontiguousarray(given, dtype=spec.dtype)
        if arrays[name].shape != shape or n == 0:
            raise InputError(
                f"{name} of the copies have shape {arrays[name].shape}, expected {shape} with n at least 1"
            )
    return replace(copies, **arrays)


def check_masks(spec: ModelSpec, masks: np.ndarray, n: int) -> np.ndarray:
    """Masks of the images' size within 0 to 1, or a clear error."""
    size = spec.input_shape[:2]
    fits = masks.ndim in (3, 4) and masks.shape[-2:] == size and (masks.ndim == 3 or len(masks) == n)
    if not fits:
        allowed = f"(M, {size[0]}, {size[1]}) or ({n}, M, {size[0]}, {size[1]})"
        raise InputError(f"masks have shape {masks.shape}, expected {allowed}")
    if masks.size and masks.dtype != bool and not (masks.min() >= 0 and masks.max() <= 1):
        raise InputError(f"masks reach from {masks.min()} to {masks.max()}, allowed: 0 (hidden) to 1 (shown)")
    return masks


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
