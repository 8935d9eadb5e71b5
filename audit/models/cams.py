"""Class activation maps from an activation and its gradient, written once for every framework's tensors.

A framework lends its two operations; the reduction runs on its device, so only maps leave it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

__all__ = ["CAM_KINDS", "CamKind", "TensorOps", "combine"]

CamKind = Literal["grad_cam", "grad_cam_pp", "hires_cam", "layer_cam"]

CAM_KINDS: tuple[CamKind, ...] = get_args(CamKind)


@dataclass(frozen=True)
class TensorOps:
    """What a framework lends.

    Attributes
    ----------
    total : callable
        ``total(tensor, axes)``: sum over these axes, which stay with length 1.
    positive : callable
        ReLU.
    space : tuple of int
        The two axes of the positions.
    channel : int
        The axis of the channels.
    """

    total: Callable[[Any, tuple[int, ...]], Any]
    positive: Callable[[Any], Any]
    space: tuple[int, int]
    channel: int


def combine(kind: CamKind, activation: Any, gradient: Any, ops: TensorOps) -> Any:
    """One map an image, before the ReLU that ends every class activation map.

    Parameters
    ----------
    kind : str
        One of `CAM_KINDS`.
    activation, gradient : tensor
        A layer's output and d explained / d output, four axes each.
    ops : TensorOps

    Returns
    -------
    tensor
        ``(N, 1, h, w)`` or ``(N, h, w, 1)``.

    Notes
    -----
    With A the activation, g its gradient, sums over positions ij and channels d:

    - ``grad_cam``: ``sum_d mean_ij(g) A`` (Selvaraju et al. 2017, equations 1 and 2).
    - ``grad_cam_pp``: ``sum_d w A`` with ``w = sum_ij relu(g) / (2 + g sum_ij A)``, which is equation 19 of
      Chattopadhay et al. 2018 for the exponential of the score, whose derivatives are powers of g, without the
      common factor exp(score). Meant for activations that are not negative; elsewhere it can be infinite.
    - ``hires_cam``: ``sum_d g A`` (Draelos and Carin 2020).
    - ``layer_cam``: ``sum_d relu(g) A`` (Jiang et al. 2021, equations 4 and 5).
    """
    match kind:
        case "grad_cam":
            height, width = (activation.shape[axis] for axis in ops.space)
            weighted = ops.total(gradient, ops.space) / (height * width) * activation
        case "grad_cam_pp":
            rising = ops.positive(gradient)
            mass = ops.total(activation, ops.space)
            weighted = ops.total(rising / (2 + rising * mass), ops.space) * activation
        case "hires_cam":
            weighted = gradient * activation
        case "layer_cam":
            weighted = ops.positive(gradient) * activation
    return ops.total(weighted, (ops.channel,))
