"""The maps, as functions of one gradient pass: saliency, gradient x input, Grad-CAM.

Maps are raw, at their own resolution; scaling for display is left to whoever draws them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, reduce

import numpy as np

from audit.errors import InputError, nearest
from audit.models.adapter import GradientPass

__all__ = ["METHODS", "Method", "get_method", "grad_cam", "gradient_x_input", "resize_map", "saliency"]


@dataclass(frozen=True)
class Method:
    """One way to explain a decision.

    Attributes
    ----------
    name : str
        Name in configurations and tables.
    title : str
        Name in reports.
    definition : str
        What exactly is computed.
    needs_layer : bool
        Whether it looks at a layer rather than at the image.
    signed : bool
        Whether negative values occur and mean evidence against the target.
    maps : callable
        From pass, images and layer to ``(N, h, w)`` raw maps in the type of the gradients; None
        where the model has no layer to look at.
    """

    name: str
    title: str
    definition: str
    needs_layer: bool
    signed: bool
    maps: Callable[[GradientPass, np.ndarray, str | None], np.ndarray | None]


def saliency(result: GradientPass, images: np.ndarray, layer: str | None = None) -> np.ndarray:  # noqa: ARG001
    """Largest absolute input gradient over the channels, ``(N, H, W)``, never negative.

    Simonyan, Vedaldi and Zisserman 2014, section 3.1.
    """
    channels = np.moveaxis(np.abs(result.input_gradient), -1, 0)
    return np.asarray(reduce(np.maximum, channels))  # five times as fast as max(axis=-1)


def gradient_x_input(result: GradientPass, images: np.ndarray, layer: str | None = None) -> np.ndarray:  # noqa: ARG001
    """Input gradient times preprocessed input, summed over the channels, ``(N, H, W)``, signed.

    Shrikumar et al. 2016. It depends on where preprocessing puts zero.
    """
    values = images.astype(result.input_gradient.dtype, copy=False)
    return np.asarray(np.einsum("nhwc,nhwc->nhw", result.input_gradient, values))


def grad_cam(result: GradientPass, images: np.ndarray, layer: str | None = None) -> np.ndarray | None:  # noqa: ARG001
    """ReLU of the weighted sum of the layer's channels, ``(N, h, w)`` at the layer's resolution.

    Selvaraju et al. 2017, equations 1 and 2: the weights are the spatial mean of the gradient. None
    where the model has no layer for it.
    """
    if layer is None:
        return None
    if layer not in result.cams:
        raise InputError(f"the pass holds nothing of layer '{layer}', only of {list(result.cams)}")
    return np.asarray(np.maximum(result.cams[layer].grad_cam, 0))


METHODS: dict[str, Method] = {
    "saliency": Method(
        name="saliency",
        title="Saliency",
        definition="largest absolute gradient of the explained score over the channels of a pixel",
        needs_layer=False,
        signed=False,
        maps=saliency,
    ),
    "gradient_x_input": Method(
        name="gradient_x_input",
        title="Gradient x input",
        definition="gradient of the explained score times the preprocessed pixel, summed over channels, signed",
        needs_layer=False,
        signed=True,
        maps=gradient_x_input,
    ),
    "grad_cam": Method(
        name="grad_cam",
        title="Grad-CAM",
        definition="ReLU of the layer's channels summed with the spatial mean of their gradients as weights",
        needs_layer=True,
        signed=False,
        maps=grad_cam,
    ),
}


def get_method(name: str) -> Method:
    """The method of that name.

    Raises
    ------
    InputError
        There is none.
    """
    if name not in METHODS:
        raise InputError(f"method '{name}' is unknown, allowed: {', '.join(METHODS)}.{nearest(name, METHODS)}")
    return METHODS[name]


def resize_map(raw: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bilinear resize with half-pixel centres, edges held, no antialiasing.

    Parameters
    ----------
    raw : ndarray
        ``(..., h, w)``.
    size : tuple of int
        Height and width of the result.

    Returns
    -------
    ndarray
        ``(..., H, W)``; equal to PyTorch's ``interpolate(mode='bilinear', align_corners=False)``
        and TensorFlow's ``tf.image.resize``.
    """
    if raw.shape[-2:] == tuple(size):
        return raw
    rows = _interpolation(raw.shape[-2], size[0]).astype(raw.dtype)
    columns = _interpolation(raw.shape[-1], size[1]).astype(raw.dtype)
    return np.asarray(rows @ raw @ columns.T)


@lru_cache(maxsize=64)
def _interpolation(old: int, new: int) -> np.ndarray:
    """``(new, old)`` matrix whose rows hold the two weights of each new pixel."""
    centres = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
    below = np.floor(centres).astype(int)
    above = np.minimum(below + 1, old - 1)
    share = centres - below
    matrix = np.zeros((new, old))
    np.add.at(matrix, (np.arange(new), below), 1 - share)
    np.add.at(matrix, (np.arange(new), above), share)
    matrix.flags.writeable = False
    return matrix
