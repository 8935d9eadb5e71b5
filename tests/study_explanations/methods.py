"""The methods that are audited: which of them are sound, and fakes that look at the image and not at the model.

The lists were fixed before any figure on held-out networks; a method that fails stays on them.
"""

from __future__ import annotations

import zlib
from typing import Any, ClassVar

import numpy as np
from scipy.stats import rankdata

from audit.explanations.explainer import Batch, Explainer
from audit.explanations.gradient_methods import largest_channel
from audit.explanations.maps import Maps
from audit.explanations.quality import reference_maps
from audit.explanations.registry import explainers, register

__all__ = ["FAKES", "METHODS", "SOUND", "register_fakes"]

SOUND: dict[str, str] = {
    "saliency": "Saliency",
    "gradient_x_input": "Gradient x input",
    "smooth_grad": "SmoothGrad",
    "integrated_gradients": "Integrated gradients",
    "occlusion": "Occlusion",
    "rise": "RISE",
    "grad_cam": "Grad-CAM",
    "grad_cam_pp": "Grad-CAM++",
    "hires_cam": "HiResCAM",
    "layer_cam": "LayerCAM",
}
"""Computed from the model, each at its own default settings: wanted with their stamp on a network that uses the object."""

DRESSED = 0.8
"""Share of edges in the dressed fake. Were its fifth of saliency wholly changed by other weights, the rank correlation
would be .8² / (.8² + .2²) = .94."""


class EdgeDetector(Explainer):
    """Sobel's edges."""

    name: ClassVar = "edge_detector"
    title: ClassVar = "Edge detector"
    definition: ClassVar = "magnitude of the Sobel gradient of the grey image; a fake"
    needs: ClassVar = frozenset()

    def explain(self, batch: Batch) -> Maps:
        return Maps(_reference(batch, "edges"))


class CentreBlob(Explainer):
    """A Gaussian in the middle."""

    name: ClassVar = "centre_blob"
    title: ClassVar = "Centre blob"
    definition: ClassVar = "a Gaussian in the middle of the image; a fake"
    needs: ClassVar = frozenset()

    def explain(self, batch: Batch) -> Maps:
        return Maps(_reference(batch, "centre"))


class PureNoise(Explainer):
    """Uniform noise of the audit's seed."""

    name: ClassVar = "pure_noise"
    title: ClassVar = "Pure noise"
    definition: ClassVar = "uniform noise; a fake"
    needs: ClassVar = frozenset()
    noisy: ClassVar = True

    def explain(self, batch: Batch) -> Maps:
        return Maps(np.random.default_rng(batch.seed).random(batch.images.shape[:3]))


class SeededNoise(Explainer):
    """Uniform noise seeded by the model's own scores: other weights give other noise, the same weights the same."""

    name: ClassVar = "seeded_noise"
    title: ClassVar = "Noise seeded by the scores"
    definition: ClassVar = "uniform noise, seeded by the bytes of an image's scores; a fake"
    needs: ClassVar = frozenset()

    def explain(self, batch: Batch) -> Maps:
        shape = batch.images.shape[1:3]
        seeds = [zlib.crc32(np.ascontiguousarray(scores).tobytes()) for scores in batch.scores]
        return Maps(np.stack([np.random.default_rng(seed).random(shape) for seed in seeds]))


class DressedEdges(Explainer):
    """Edges with some saliency mixed in, by rank: harder to find out than a fake that ignores the model wholly."""

    name: ClassVar = "dressed_edges"
    title: ClassVar = "Dressed edges"
    definition: ClassVar = "four fifths the ranks of Sobel's edges, one fifth those of saliency; a fake"

    def explain(self, batch: Batch) -> Maps:
        edges, real = _ranks(_reference(batch, "edges")), _ranks(largest_channel(batch.gradients.input_gradient))
        return Maps(DRESSED * edges + (1 - DRESSED) * real)


_FAKES = (EdgeDetector, CentreBlob, DressedEdges, PureNoise, SeededNoise)

FAKES: dict[str, str] = {fake.name: fake.title for fake in _FAKES}
"""Wanted without a stamp on every network."""

METHODS = {**SOUND, **FAKES}


def register_fakes() -> None:
    """Make the fakes known in this process, as a plug-in would be."""
    for fake in _FAKES:
        if fake.name not in explainers():
            register(fake)


def _reference(batch: Batch, name: str) -> np.ndarray[Any, Any]:
    keys = [str(place) for place in range(len(batch.images))]
    return np.array(reference_maps(batch.images, keys)[name])


def _ranks(maps: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    flat = maps.reshape(len(maps), -1)
    return np.asarray(rankdata(flat, axis=1) / flat.shape[1]).reshape(maps.shape)
