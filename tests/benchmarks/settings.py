"""What the benchmarks of explanations run on: networks with random weights, images of noise, settings of the methods."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

__all__ = ["COPIES", "METHODS", "NETWORKS", "SIGMA", "Network", "goes_back", "in_batches", "noise", "window"]

COPIES = 16
SIGMA = 0.5
METHODS = ("integrated_gradients", "smooth_grad", "occlusion", "rise")


class Network(NamedTuple):
    """A network, and how many images each method explains so that a round takes seconds.

    Attributes
    ----------
    framework : str
    size : int
        Side of the images in pixels.
    classes : int
    batch : int
        Images that pass through it at once: `execution.micro_batch` of ours, and the bound's.
    images : dict of str to int
        By method.
    most : int
        Most nodes that integrated gradients may take.
    """

    framework: str
    size: int
    classes: int
    batch: int
    images: dict[str, int]
    most: int


_LARGE = {"integrated_gradients": 4, "smooth_grad": 8, "occlusion": 1, "rise": 1}
_SMALL = {"integrated_gradients": 32, "smooth_grad": 32, "occlusion": 17, "rise": 8}  # fill their batches

NETWORKS = {
    "resnet18": Network("torch", 224, 1000, 32, _LARGE, 48),
    "plain_torch": Network("torch", 48, 2, 256, _SMALL, 512),
    "mobilenetv2": Network("keras", 224, 1000, 32, _LARGE, 48),
    "plain_keras": Network("keras", 48, 2, 256, _SMALL, 512),
}


def noise(count: int, size: int) -> np.ndarray:
    """``(N, H, W, 3)`` float32 images: smooth patches and noise, so that neither ReLU nor pooling ties."""
    rng = np.random.default_rng(0)
    coarse = rng.normal(size=(count, size // 8, size // 8, 3))
    fine = rng.normal(size=(count, size, size, 3))
    return (coarse.repeat(8, axis=1).repeat(8, axis=2) + 0.3 * fine).astype(np.float32)


def window(size: int) -> tuple[int, int, int]:
    """Side and step of the window of occlusion, as `audit.explanations` chooses them, and how many there are."""
    side = -(-size // 8)
    step = -(-side // 2)
    return side, step, (-(-(size - side) // step) + 1) ** 2


def goes_back(method: str) -> bool:
    """Whether a method needs gradients."""
    return method in ("integrated_gradients", "smooth_grad")


def in_batches(rows: int, batch: int, run: Callable[[int], object]) -> None:
    """Run as many rows in batches, the last one smaller."""
    for start in range(0, rows, batch):
        run(min(batch, rows - start))
