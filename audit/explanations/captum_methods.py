"""Methods of captum on PyTorch networks: DeepLift, guided backpropagation, LRP, GradientSHAP, KernelSHAP, LIME.

captum itself is imported when one of them explains. Networks that captum's rules do not follow are refused first.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from audit.explanations.explainer import Batch, Explainer
from audit.explanations.gradient_methods import largest_channel
from audit.explanations.maps import Maps
from audit.explanations.path_methods import score_difference
from audit.explanations.perturbation_methods import Fill, fill_image
from audit.models.adapter import ModelSpec

__all__ = ["CAPTUM", "DeepLift", "GradientShap", "GuidedBackpropagation", "KernelShap", "Lime", "Lrp"]


class _Captum(Explainer):
    """A method that captum computes."""

    frameworks: ClassVar = frozenset({"torch"})
    provider: ClassVar = "captum"

    def refusal(self, spec: ModelSpec) -> str | None:
        """Why a model cannot be explained this way; None where its framework and head allow it.

        What the network is made of is looked at by `explain`, which raises a ModelError with the reason; see
        `audit.explanations.captum_rules.unsupported`.
        """
        reason = super().refusal(spec)
        if reason is None and find_spec("captum") is None:
            return f"{self.title} is computed by captum, which is not installed"
        return reason


class DeepLift(_Captum):
    """Contributions of the difference to a baseline, ``(N, H, W)``, signed; they sum to the difference of the scores.

    Shrikumar, Greenside and Kundaje 2017, section 3.5.1 (rescale rule); channels are summed. Refused are networks with
    nonlinear operations outside of modules, reused modules and max-pooling whose windows overlap. An image whose sum
    differs from the difference of the scores by more than the tolerance has the status ``not_converged``.
    """

    name: ClassVar = "deep_lift"
    title: ClassVar = "DeepLift"
    definition: ClassVar = (
        "difference to a constant baseline times multipliers, which at a nonlinearity are the change of its output "
        "over that of its input (rescale rule), summed over channels, signed"
    )
    signed: ClassVar = True

    baseline: float = Field(default=0.0, description="Constant image that is compared with, after preprocessing.")
    tolerance: float = Field(
        default=0.01, gt=0, description="Largest error of completeness, as a share of the difference of the scores."
    )
    floor: float = Field(default=1e-3, ge=0, description="Error that is always accepted, in units of the score.")

    def explain(self, batch: Batch) -> Maps:
        """Raw maps of a batch, with the measure ``completeness``: error over tolerated difference."""
        from audit.explanations.captum_backend import deep_lift

        difference = score_difference(batch, self.baseline)
        found = deep_lift(batch.adapter, batch.images, batch.targets, self.baseline)
        error = np.abs(found.sum(axis=(1, 2, 3), dtype=np.float64) - difference)
        accepted = np.maximum(self.tolerance * np.abs(difference), self.floor)
        size = np.maximum(np.abs(difference), self.floor / self.tolerance)
        status = np.where(error > accepted, "not_converged", "ok")
        return Maps(found.sum(axis=3), {"completeness": error / size}, status)

    def least(self, spec: ModelSpec) -> float:
        """A forward and a backward pass of image and baseline together."""
        del spec
        return 4.0


class GuidedBackpropagation(_Captum):
    """Input gradient that loses at every ReLU what is negative, largest absolute channel, ``(N, H, W)``.

    Springenberg et al. 2015, section 3.4. Refused are networks with other or functional rectifiers. It resembles an
    edge detector and depends little on the weights (Adebayo et al. 2018): judge it by its randomisation test.
    """

    name: ClassVar = "guided_backpropagation"
    title: ClassVar = "Guided backpropagation"
    definition: ClassVar = (
        "largest absolute value over the channels of the input gradient, from which every ReLU on the way back removes "
        "what is negative"
    )

    def explain(self, batch: Batch) -> Maps:
        """Raw maps of a batch."""
        from audit.explanations.captum_backend import guided_backpropagation

        return Maps(largest_channel(guided_backpropagation(batch.adapter, batch.images, batch.targets)))

    def least(self, spec: ModelSpec) -> float:
        """A forward and a backward pass, since the shared one has the true gradients."""
        del spec
        return 2.0


class Lrp(_Captum):
    """Relevance of the explained score, passed back layer by layer, ``(N, H, W)``, signed.

    Epsilon rule of Bach et al. 2015, equation 58, and gamma rule of Montavon et al. 2019, section 10.2.3, in
    convolutions whose input is never negative; batch normalisation is folded into the convolution before it; at
    max-pooling the largest takes all; channels are summed. Biases and epsilon absorb relevance: the measure
    ``absorbed``. With gamma 0 and a small epsilon, a network of ReLUs gives gradient x input (Ancona et al. 2018).
    Refused are networks with sums of branches, reused layers and layers without a rule.
    """

    name: ClassVar = "lrp"
    title: ClassVar = "LRP"
    definition: ClassVar = (
        "relevance of the explained score passed back by the gamma rule in convolutions on positive inputs and the "
        "epsilon rule elsewhere, batch normalisation folded in, summed over channels, signed"
    )
    signed: ClassVar = True

    epsilon: float = Field(default=1e-6, gt=0, description="What the epsilon rule adds to an output, with its sign.")
    gamma: float = Field(
        default=0.25, ge=0, description="By how much positive weights count more in convolutions; 0: epsilon rule."
    )

    def explain(self, batch: Batch) -> Maps:
        """Raw maps of a batch, with the measure ``absorbed``: share of the score that reaches no pixel."""
        from audit.explanations.captum_backend import lrp

        found = lrp(batch.adapter, batch.images, batch.targets, self.epsilon, self.gamma)
        explained = batch.gradients.explained.astype(np.float64)
        missing = explained - found.sum(axis=(1, 2, 3), dtype=np.float64)
        absorbed = np.divide(missing, explained, out=np.full(len(found), np.nan), where=explained != 0)
        return Maps(found.sum(axis=3), {"absorbed": absorbed})

    def least(self, spec: ModelSpec) -> float:
        """Two forward passes, one for the activations, and a backward pass."""
        del spec
        return 3.0


class GradientShap(_Captum):
    """Mean of gradient times difference at random places between a baseline and noisy copies, ``(N, H, W)``, signed.

    Lundberg and Lee 2017 with expected gradients (Erion et al. 2021, equation 3), as captum samples them; channels
    are summed. The measure ``completeness`` shows the error that chance leaves; more samples make it smaller.
    """

    name: ClassVar = "gradient_shap"
    title: ClassVar = "GradientSHAP"
    definition: ClassVar = (
        "mean over random samples of the gradient at a random place between a constant baseline and a noisy copy, "
        "times the difference of the two, summed over channels, signed"
    )
    signed: ClassVar = True
    noisy: ClassVar = True

    samples: int = Field(default=32, ge=1, description="Random samples of an image.")
    baseline: float = Field(default=0.0, description="Constant image that samples start from, after preprocessing.")
    level: float = Field(default=0.1, ge=0, description="Standard deviation of the noise, as a share of the range.")

    def explain(self, batch: Batch) -> Maps:
        """Raw maps of a batch, with the measure ``completeness``: error over the difference of the scores."""
        from audit.explanations.captum_backend import gradient_shap

        draws = (self.samples, self.baseline, self.level)
        found = gradient_shap(batch.adapter, batch.images, batch.targets, draws, batch.seed)
        difference = score_difference(batch, self.baseline)
        error = np.abs(found.sum(axis=(1, 2, 3), dtype=np.float64) - difference)
        relative = np.divide(error, np.abs(difference), out=np.full(len(found), np.nan), where=difference != 0)
        return Maps(found.sum(axis=3), {"completeness": relative})

    def least(self, spec: ModelSpec) -> float:
        """A forward and a backward pass a sample."""
        del spec
        return 2.0 * self.samples


class _Surrogate(_Captum):
    """A linear model of the target's probability in the cells of a regular grid, ``(N, r, c)`` at the grid's size."""

    signed: ClassVar = True
    needs: ClassVar = frozenset({"scores"})
    noisy: ClassVar = True

    cells: int = Field(default=6, ge=2, description="Cells of the regular grid along each side.")
    samples: int = Field(default=256, ge=4, description="Random sets of cells that are shown.")
    fill: Fill = Field(
        default="mean", description="What hides a cell. mean: the image's mean colour; zero: 0 after preprocessing."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.samples < 2 * self.cells**2:
            raise ValueError(
                f"samples is {self.samples}; {self.cells} x {self.cells} cells need at least {2 * self.cells**2}"
            )
        return self

    def least(self, spec: ModelSpec) -> float:
        """One forward pass a sample."""
        del spec
        return float(self.samples)


class KernelShap(_Surrogate):
    """Shapley values of the cells of a regular grid for the target's probability, ``(N, r, c)``, signed.

    Lundberg and Lee 2017, theorem 2: least squares over random sets of cells drawn with the Shapley kernel. A cell
    stands in for a superpixel. The values sum to the probability of the image minus that of the hidden image: the
    measure ``completeness`` is the error of that; ``fit`` is how much of the probabilities the sum of values explains.
    """

    name: ClassVar = "kernel_shap"
    title: ClassVar = "KernelSHAP"
    definition: ClassVar = (
        "Shapley values of the cells of a regular grid for the target's probability, estimated from random sets of "
        "cells that are shown, signed"
    )

    def explain(self, batch: Batch) -> Maps:
        """Raw maps of a batch at the resolution of the grid, with measures ``completeness`` and ``fit``."""
        from audit.explanations.captum_surrogates import kernel_shap
        from audit.explanations.targets import target_probabilities

        fill = fill_image(batch.images, self.fill)
        found = kernel_shap(batch, self.cells, self.samples, fill)
        hidden = batch.adapter.masked_scores(batch.images, np.zeros((1, *batch.images.shape[1:3])), fill)
        difference = batch.probability - target_probabilities(batch.spec, hidden, batch.targets)[:, 0]
        error = np.abs(found.coefficients.sum(axis=(1, 2)) - difference)
        relative = np.divide(error, np.abs(difference), out=np.full(len(error), np.nan), where=difference != 0)
        return Maps(found.coefficients, {"completeness": relative, "fit": found.fit})


class Lime(_Surrogate):
    """Coefficients of a local linear model in the cells of a regular grid, ``(N, r, c)``, signed.

    Ribeiro, Singh and Guestrin 2016, algorithm 1, with a ridge regression as their code for images has it. Samples are
    weighted by the exponential kernel of their cosine distance to the whole image in terms of cells. A cell stands in
    for a superpixel. The measure ``fit`` is how much of the probabilities the linear model explains.
    """

    name: ClassVar = "lime"
    title: ClassVar = "LIME"
    definition: ClassVar = (
        "coefficients of a ridge regression of the target's probability on which cells of a regular grid are shown, "
        "weighted by closeness to the whole image, signed"
    )

    width: float = Field(default=0.25, gt=0, description="Width of the kernel that weights the samples.")
    ridge: float = Field(default=1.0, ge=0, description="Penalty on the squared coefficients.")

    def explain(self, batch: Batch) -> Maps:
        """Raw maps of a batch at the resolution of the grid, with the measure ``fit``."""
        from audit.explanations.captum_surrogates import lime

        fill = fill_image(batch.images, self.fill)
        found = lime(batch, self.cells, self.samples, fill, (self.width, self.ridge))
        return Maps(found.coefficients, {"fit": found.fit})


CAPTUM: tuple[type[Explainer], ...] = (DeepLift, GuidedBackpropagation, Lrp, GradientShap, KernelShap, Lime)
