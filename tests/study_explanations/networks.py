"""The networks of the study: one taught the planted shortcut and one that is not, for every seed and architecture."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from audit.config import NetworkConfig
from audit.data.synthetic import SyntheticImages, SyntheticSpec, draw
from audit.training.settings import TrainingData, TrainingSettings

__all__ = ["CONTROL", "SHORTCUT", "SIZE", "Network", "Size", "scaled"]

SHORTCUT, CONTROL = "shortcut", "control"
MARKED = {SHORTCUT: (0.05, 0.95), CONTROL: (0.5,)}
"""Share of either class that carries the marker in training: nearly its label, or no news of it."""

EPOCHS = {"plain_cnn": 6, "deep_cnn": 8}


@dataclass(frozen=True)
class Size:
    """How much is drawn."""

    side: int = 32
    training: int = 2000
    validation: int = 300
    test: int = 400


SIZE = Size()


@dataclass(frozen=True)
class Network:
    """One network to train and audit.

    Parameters
    ----------
    architecture : str
        ``plain_cnn`` or ``deep_cnn``.
    kind : str
        ``shortcut`` or ``control``; both are tested on the same images, half of which carry the marker.
    seed : int
        Of drawing, first weights, training and audit.
    size : Size
    """

    architecture: str
    kind: str
    seed: int
    size: Size = SIZE

    @property
    def name(self) -> str:
        """Name of its folder."""
        return f"{self.architecture}-{self.kind}-{self.seed:02d}"

    @cached_property
    def test(self) -> SyntheticImages:
        """Images that it is audited on: tones, classes and the marker independent of each other."""
        return draw(SyntheticSpec(self.size.test, 3 * self.seed + 2, size=self.size.side))

    def trained(self) -> tuple[Any, float]:
        """The network in PyTorch, and its accuracy on images drawn like those it was taught on."""
        from audit.training import torch_loop

        training, validation = (
            draw(SyntheticSpec(count, 3 * self.seed + more, size=self.size.side, marker_rates=MARKED[self.kind]))
            for count, more in ((self.size.training, 0), (self.size.validation, 1))
        )
        data = TrainingData(
            scaled(training), training.labels, scaled(validation), validation.labels, training.class_names
        )
        network = NetworkConfig(architecture=self.architecture)
        settings = TrainingSettings(
            "torch", network, epochs=EPOCHS[self.architecture], device="cpu", threads=1, seed=self.seed
        )
        found = torch_loop.fit(settings, data)
        return found.model, found.history[-1].val_accuracy


def scaled(drawn: SyntheticImages) -> np.ndarray:
    """Images as the network takes them: float32, -2 to 2."""
    return (drawn.images.astype(np.float32) / 255 - np.float32(0.5)) / np.float32(0.25)
