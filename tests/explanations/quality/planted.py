"""A model whose probability is a known linear function of the pixels, and helpers for maps."""

from __future__ import annotations

import numpy as np

from audit.explanations.quality import Explained
from audit.models.adapter import ModelSpec
from audit.models.chunked import ChunkedAdapter


class LinearAdapter(ChunkedAdapter):
    """Probability of class 1 is the sum over pixels of weight times value; class 0 has the rest."""

    def __init__(self, weights: np.ndarray, micro_batch: int = 32) -> None:
        self._weights_of_pixels = np.asarray(weights, np.float64)
        self._layers = []
        self.micro_batch = micro_batch
        self._spec = ModelSpec(
            framework="numpy",
            input_shape=(*self._weights_of_pixels.shape, 1),
            classes=("no", "yes"),
            head="sigmoid",
            outputs=1,
            score="probability",
            layer=None,
            device="cpu",
            parameters=self._weights_of_pixels.size,
            capabilities=frozenset({"scores"}),
            dtype="float64",
        )

    def _scores(self, images: np.ndarray) -> np.ndarray:
        return np.einsum("nhwc,hw->n", images, self._weights_of_pixels)[:, None]

    def close(self) -> None:
        """Nothing to undo."""


def of_ones(weights: np.ndarray, n: int = 1, **maps: np.ndarray) -> tuple[LinearAdapter, Explained]:
    """The model, and images of ones with maps that are the same for all of them, or given for each."""
    given = {
        name: np.asarray(array, float) if np.ndim(array) == 3 else np.repeat(np.asarray(array, float)[None], n, axis=0)
        for name, array in maps.items()
    }
    return LinearAdapter(weights), Explained(np.ones((n, *np.shape(weights), 1)), np.ones(n, int), given)
