"""Methods that average gradients over perturbed copies of an image: SmoothGrad and integrated gradients."""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from audit.explanations.explainer import Batch, Explainer
from audit.explanations.gradient_methods import largest_channel
from audit.explanations.maps import Maps
from audit.models.adapter import Copies, ModelSpec

__all__ = ["IntegratedGradients", "SmoothGrad", "score_difference"]


class SmoothGrad(Explainer):
    """Mean of the signed gradient over noisy copies, then the largest absolute channel, ``(N, H, W)``.

    Smilkov et al. 2017, equation 2. The noise is the same for every image but for its strength.
    """

    name: ClassVar = "smooth_grad"
    title: ClassVar = "SmoothGrad"
    definition: ClassVar = (
        "largest absolute value over the channels of the mean gradient over noisy copies; sigma is a share of the "
        "image's own range"
    )
    noisy: ClassVar = True

    copies: int = Field(default=16, ge=1, description="Noisy copies of an image.")
    level: float = Field(default=0.1, gt=0, description="Standard deviation of the noise, as a share of the range.")

    def explain(self, batch: Batch) -> Maps:
        """Raw maps of a batch."""
        images = batch.images
        noise = np.random.default_rng([batch.seed, 1]).normal(size=(self.copies, *images.shape[1:]))
        copies = Copies(
            weights=np.full(self.copies, 1 / self.copies),
            offsets=noise,
            strength=self.level * np.ptp(images.reshape(len(images), -1), axis=1),
        )
        return Maps(largest_channel(batch.adapter.gradient_sum(images, batch.targets, copies).total))

    def least(self, spec: ModelSpec) -> float:
        """A forward and a backward pass a copy."""
        del spec
        return 2.0 * self.copies


class IntegratedGradients(Explainer):
    """Gradient averaged along the straight path from a baseline, times the difference, ``(N, H, W)``, signed.

    Sundararajan, Taly and Yan 2017, equation 1; channels are summed. The path is cut by Gauss-Legendre nodes. An
    image whose sum differs from the difference of the scores by more than the tolerance gets a further rule with
    twice as many panels, and the two are averaged by their numbers of nodes: no gradient is thrown away. What is
    not exact enough at `max_steps` nodes has the status ``not_converged``.
    """

    name: ClassVar = "integrated_gradients"
    title: ClassVar = "Integrated gradients"
    definition: ClassVar = (
        "gradient of the explained score averaged along the straight path from a constant baseline (Gauss-Legendre), "
        "times the difference to the baseline, summed over channels, signed"
    )
    signed: ClassVar = True

    steps: int = Field(default=16, ge=2, description="Nodes of the first rule.")
    max_steps: int = Field(default=512, ge=2, description="Most nodes an image may take.")
    tolerance: float = Field(
        default=0.01, gt=0, description="Largest error of completeness, as a share of the difference of the scores."
    )
    floor: float = Field(default=1e-3, ge=0, description="Error that is always accepted, in units of the score.")
    baseline: float = Field(default=0.0, description="Constant image that the path starts from, after preprocessing.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.max_steps < self.steps:
            raise ValueError(f"max_steps is {self.max_steps}, less than steps ({self.steps})")
        return self

    def explain(self, batch: Batch) -> Maps:
        """Raw maps of a batch, with measures ``completeness`` (error over tolerated difference) and ``steps``."""
        images, difference = batch.images, score_difference(batch, self.baseline)
        accepted = np.maximum(self.tolerance * np.abs(difference), self.floor)
        mean = np.zeros_like(images)
        error, steps = np.full(len(images), np.inf), np.zeros(len(images), int)
        waiting, panels = np.arange(len(images)), 1
        while len(waiting) and steps[waiting[0]] + panels * self.steps <= self.max_steps:
            found = batch.adapter.gradient_sum(images[waiting], batch.targets[waiting], self._nodes(panels, images))
            share = panels / (2 * panels - 1)  # of this rule among all nodes so far
            mean[waiting] += np.asarray(share, mean.dtype) * (found.total - mean[waiting])
            steps[waiting] += panels * self.steps
            reached = ((images[waiting] - self.baseline) * mean[waiting]).astype(np.float64).sum(axis=(1, 2, 3))
            error[waiting] = np.abs(reached - difference[waiting])
            waiting = waiting[error[waiting] > accepted[waiting]]
            panels *= 2
        raw = ((images - np.asarray(self.baseline, images.dtype)) * mean).sum(axis=3)
        size = np.maximum(np.abs(difference), self.floor / self.tolerance)
        status = np.where(error > accepted, "not_converged", "ok")
        return Maps(raw, {"completeness": error / size, "steps": steps.astype(float)}, status, 2.0 * steps.sum())

    def least(self, spec: ModelSpec) -> float:
        """A forward and a backward pass a node of the first rule."""
        del spec
        return 2.0 * self.steps

    def _nodes(self, panels: int, images: np.ndarray) -> Copies:
        """Gauss-Legendre nodes and weights on `panels` equal parts of the path."""
        place, weight = np.polynomial.legendre.leggauss(self.steps)
        starts = np.arange(panels)[:, None]
        nodes = ((place + 1) / 2 + starts) / panels
        weights = np.broadcast_to(weight / (2 * panels), nodes.shape)
        baseline = np.full(images.shape[1:], self.baseline) if self.baseline else None
        return Copies(weights=weights.ravel(), scales=nodes.ravel(), baseline=baseline)


def score_difference(batch: Batch, baseline: float) -> np.ndarray:
    """``(N,)`` float64 explained score of each image minus that of a constant image."""
    spec = batch.spec
    blank = np.full((1, *spec.input_shape), baseline, spec.dtype)
    scores = batch.adapter.scores(blank)[0].astype(np.float64)
    explained = batch.gradients.explained.astype(np.float64)
    if spec.outputs > 1:
        return np.asarray(explained - scores[batch.targets])
    other = -scores[0] if spec.score == "logit" else 1 - scores[0]
    return np.asarray(explained - np.where(batch.targets == 1, scores[0], other))
