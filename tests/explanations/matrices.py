"""A small convolutional network as a row of matrices, and backward rules written out in NumPy, one image at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Step:
    """``kind``: linear (with its matrix, its bias, and whether it is a convolution), relu, or pool (with its windows)."""

    kind: str
    matrix: np.ndarray
    bias: np.ndarray
    convolution: bool = False


class Layered:
    """Layers of a PyTorch Sequential of convolutions, ReLUs, max-poolings without overlap and linear layers."""

    def __init__(self, module: Any, shape: tuple[int, int, int]) -> None:
        import torch
        from torch import nn

        height, width, channels = shape
        self.shape = shape
        self.steps: list[Step] = []
        none = np.zeros((0, 0))
        size: tuple[int, ...] = (channels, height, width)
        with torch.no_grad():
            for part in module:
                if isinstance(part, nn.ReLU):
                    self.steps.append(Step("relu", none, none))
                elif isinstance(part, nn.MaxPool2d):
                    numbers = torch.arange(int(np.prod(size))).reshape(1, *size).double()
                    windows = nn.functional.unfold(numbers.transpose(0, 1), part.kernel_size, stride=part.stride)
                    windows = windows.transpose(1, 2).reshape(-1, windows.shape[1])
                    self.steps.append(Step("pool", windows.long().numpy(), none))
                    size = tuple(part(numbers).shape[1:])
                elif not isinstance(part, nn.Flatten | nn.Dropout):
                    number = int(np.prod(size))
                    flat = (number,) if isinstance(part, nn.Linear) else size
                    basis = torch.eye(number).double().reshape(number, *flat)
                    bias = part(torch.zeros(1, *flat).double())
                    matrix = (part(basis) - bias).flatten(1).numpy().T
                    convolution = isinstance(part, nn.Conv2d)
                    self.steps.append(Step("linear", matrix, bias.flatten().numpy(), convolution))
                    size = tuple(bias.shape[1:])

    def forward(self, image: np.ndarray) -> list[np.ndarray]:
        """What enters each step, and what leaves the last."""
        values = [image.transpose(2, 0, 1).ravel()]
        for step in self.steps:
            x = values[-1]
            if step.kind == "linear":
                values.append(step.matrix @ x + step.bias)
            elif step.kind == "relu":
                values.append(np.maximum(x, 0))
            else:
                values.append(x[step.matrix].max(axis=1))
        return values

    def guided(self, image: np.ndarray, target: int) -> np.ndarray:
        """``(H, W)`` guided backpropagation, largest absolute channel."""
        values = self.forward(image)
        gradient = np.eye(len(values[-1]))[target]
        for step, x in zip(self.steps[::-1], values[-2::-1], strict=True):
            if step.kind == "linear":
                gradient = step.matrix.T @ gradient
            elif step.kind == "relu":
                gradient = np.maximum(gradient, 0) * (x > 0)
            else:
                gradient = _to_largest(step.matrix, x, gradient)
        return np.asarray(np.abs(self._image(gradient)).max(axis=0))

    def lrp(self, image: np.ndarray, target: int, epsilon: float, gamma: float) -> np.ndarray:
        """``(H, W)`` relevance: gamma rule in convolutions but the first, epsilon rule elsewhere."""
        values = self.forward(image)
        relevance = np.eye(len(values[-1]))[target] * values[-1]
        for place in reversed(range(len(self.steps))):
            step, x = self.steps[place], values[place]
            if step.kind == "linear":
                share = gamma if step.convolution and place > 0 else 0.0
                matrix = step.matrix + share * np.maximum(step.matrix, 0)
                outputs = matrix @ x + step.bias
                relevance = x * (matrix.T @ (relevance / _stable(outputs, epsilon)))
            elif step.kind == "pool":
                outputs = values[place + 1]
                relevance = x * _to_largest(step.matrix, x, relevance / _stable(outputs, epsilon))
        return np.asarray(self._image(relevance).sum(axis=0))

    def deep_lift(self, image: np.ndarray, baseline: float, target: int) -> np.ndarray:
        """``(H, W)`` rescale rule; at max-pooling captum's, which gives each largest pixel its part of the change."""
        values, others = self.forward(image), self.forward(np.full_like(image, baseline))
        factor = np.eye(len(values[-1]))[target]
        for place in reversed(range(len(self.steps))):
            step, change = self.steps[place], values[place] - others[place]
            if step.kind == "linear":
                factor = step.matrix.T @ factor
                continue
            moved = values[place + 1] - others[place + 1]
            if step.kind == "relu":
                slope = values[place] > 0
                factor = factor * np.where(np.abs(change) < 1e-10, slope, moved / np.where(change == 0, 1, change))
            else:
                both = np.maximum(values[place + 1], others[place + 1])
                given = _to_largest(step.matrix, values[place], factor * (both - others[place + 1]))
                given += _to_largest(step.matrix, others[place], factor * (values[place + 1] - both))
                factor = np.where(np.abs(change) < 1e-10, 0, given / np.where(change == 0, 1, change))
        return np.asarray(self._image(factor * (values[0] - others[0])).sum(axis=0))

    def _image(self, flat: np.ndarray) -> np.ndarray:
        height, width, channels = self.shape
        return flat.reshape(channels, height, width)


def _stable(outputs: np.ndarray, epsilon: float) -> np.ndarray:
    return np.asarray(outputs + epsilon * np.where(outputs < 0, -1, 1))


def _to_largest(windows: np.ndarray, x: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Each window's number at its largest value."""
    found = np.zeros_like(x)
    np.add.at(found, windows[np.arange(len(windows)), x[windows].argmax(axis=1)], given)
    return found
