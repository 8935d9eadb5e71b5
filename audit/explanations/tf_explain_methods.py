"""tf-explain's methods on Keras models, mended: raw maps of each image for its own target, in our definitions.

tf-explain runs when a map is asked for; see `tf_explain_backend`. It computes in float32 whatever the model does.
"""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, ClassVar, cast

import numpy as np

from audit.explanations.explainer import Batch, Explainer
from audit.explanations.gradient_methods import largest_channel
from audit.explanations.maps import Maps
from audit.explanations.path_methods import IntegratedGradients, SmoothGrad
from audit.explanations.perturbation_methods import Occlusion, fill_image
from audit.models.adapter import ModelAdapter, ModelSpec

if TYPE_CHECKING:
    from audit.explanations.tf_explain_backend import TfExplainModel

__all__ = [
    "TF_EXPLAIN",
    "TfExplainActivations",
    "TfExplainGradCam",
    "TfExplainGradientsInputs",
    "TfExplainIntegratedGradients",
    "TfExplainOcclusion",
    "TfExplainSmoothGrad",
    "TfExplainVanillaGradients",
]

_MOST_WINDOWS = 96  # a side: tf-explain's loop holds the fourth power of it in bytes, twice


def _model(batch: Batch) -> TfExplainModel:
    from audit.explanations.tf_explain_backend import TfExplainModel

    return batch.adapter if isinstance(batch.adapter, TfExplainModel) else TfExplainModel(batch.adapter)


def _through(batch: Batch) -> Batch:
    """The batch with scores and sums of gradients by tf-explain."""
    return replace(batch, adapter=cast("ModelAdapter", _model(batch)))


class _TfExplain(Explainer):
    """What the methods have in common: Keras only, and tf-explain must be installed."""

    frameworks: ClassVar = frozenset({"keras"})
    provider: ClassVar = "tf-explain"

    def refusal(self, spec: ModelSpec) -> str | None:
        """Why a model cannot be explained this way; None where it can."""
        missing = [
            name for name, package in (("tf-explain", "tf_explain"), ("OpenCV", "cv2")) if not find_spec(package)
        ]
        if missing and spec.framework == "keras":
            return f"{self.title} needs {' and '.join(missing)}: pip install 'faircam[tensorflow]'"
        return super().refusal(spec)


class _OnePass(_TfExplain):
    """One forward and one backward pass of its own."""

    def least(self, spec: ModelSpec) -> float:
        """A forward and a backward pass."""
        del spec
        return 2.0


class TfExplainVanillaGradients(_OnePass):
    """Largest absolute input gradient over the channels, ``(N, H, W)``, never negative: our saliency.

    Simonyan, Vedaldi and Zisserman 2014, section 3.1.
    """

    name: ClassVar = "tf_explain_vanilla_gradients"
    title: ClassVar = "Vanilla gradients (tf-explain)"
    definition: ClassVar = (
        "largest absolute gradient of the explained score over the channels of a pixel, by tf-explain's "
        "VanillaGradients.compute_gradients; corrected: score before the last activation also where a dense layer "
        "applies it, each image with its own target, raw instead of standardised over the batch"
    )

    def explain(self, batch: Batch) -> Maps:
        """Raw maps of a batch."""
        return Maps(largest_channel(_model(batch).gradient_pass(batch.images, batch.targets).input_gradient))


class TfExplainGradientsInputs(_OnePass):
    """Input gradient times preprocessed input, summed over the channels, ``(N, H, W)``, signed: gradient x input.

    Shrikumar et al. 2016. It depends on where preprocessing puts zero.
    """

    name: ClassVar = "tf_explain_gradients_inputs"
    title: ClassVar = "Gradients x inputs (tf-explain)"
    definition: ClassVar = (
        "gradient of the explained score times the preprocessed pixel, summed over channels, signed, by tf-explain's "
        "GradientsInputs.compute_gradients; corrected: score before the last activation also where a dense layer "
        "applies it, each image with its own target, signed and raw instead of absolute and standardised over the "
        "batch"
    )
    signed: ClassVar = True

    def explain(self, batch: Batch) -> Maps:
        """Raw maps of a batch."""
        return Maps(np.asarray(_model(batch).products(batch.images, batch.targets).sum(axis=3)))


class TfExplainIntegratedGradients(_TfExplain, IntegratedGradients):
    """Integrated gradients, ``(N, H, W)``, signed, with gradients averaged by tf-explain.

    Sundararajan, Taly and Yan 2017, equation 1; settings, measures and status are those of `IntegratedGradients`.
    """

    name: ClassVar = "tf_explain_integrated_gradients"
    title: ClassVar = "Integrated gradients (tf-explain)"
    definition: ClassVar = (
        "gradient of the explained score averaged along the straight path from a constant baseline by tf-explain's "
        "IntegratedGradients.get_integrated_gradients, times the difference to the baseline, summed over channels, "
        "signed; corrected: the factor (image - baseline), which tf-explain leaves out, Gauss-Legendre nodes and "
        "weights instead of equal weights with both ends, score before the last activation, each image with its own "
        "target, raw instead of absolute and standardised over the batch"
    )

    def explain(self, batch: Batch) -> Maps:
        """Raw maps of a batch, with measures ``completeness`` and ``steps``."""
        return super().explain(_through(batch))


class TfExplainSmoothGrad(_TfExplain, SmoothGrad):
    """SmoothGrad, ``(N, H, W)``, with gradients averaged by tf-explain.

    Smilkov et al. 2017, equation 2; settings and noise are those of `SmoothGrad`.
    """

    name: ClassVar = "tf_explain_smooth_grad"
    title: ClassVar = "SmoothGrad (tf-explain)"
    definition: ClassVar = (
        "largest absolute value over the channels of the mean gradient of the explained score over noisy copies; "
        "sigma is a share of the image's own range. The mean is by tf-explain's "
        "IntegratedGradients.get_integrated_gradients; corrected: tf-explain's own SmoothGrad averages gradients of "
        "the cross-entropy, not of a score, and is left out; its noise knows neither seed nor scale of the images, "
        "and ours is used; raw instead of standardised over the batch"
    )

    def explain(self, batch: Batch) -> Maps:
        """Raw maps of a batch."""
        return super().explain(_through(batch))


class TfExplainGradCam(_OnePass):
    """Grad-CAM, ``(N, h, w)`` at the layer's resolution, never negative.

    Selvaraju et al. 2017, equations 1 and 2.
    """

    name: ClassVar = "tf_explain_grad_cam"
    title: ClassVar = "Grad-CAM (tf-explain)"
    definition: ClassVar = (
        "ReLU of the layer's channels weighted by the spatial mean of the explained score's gradient, by tf-explain's "
        "GradCAM.get_gradients_and_filters and generate_ponderated_output; corrected: gradients not masked "
        "(use_guided_grads=False), ReLU added, score before the last activation, each image with its own target, "
        "Sequential models rebuilt as functional ones, raw instead of a picture scaled to its own range"
    )
    needs: ClassVar = frozenset({"gradients", "layers"})
    needs_layer: ClassVar = True

    def explain(self, batch: Batch) -> Maps:
        """Raw maps of a batch.

        Raises
        ------
        ModelError
            tf-explain does not reach the layer: it lies inside a nested model, or the model has no graph.
        """
        return Maps(np.maximum(_model(batch).grad_cam(batch.images, batch.targets, batch.layer), 0))


class TfExplainOcclusion(_TfExplain, Occlusion):
    """Mean drop of the target's probability over the windows that hide a pixel, ``(N, H, W)``, signed.

    Zeiler and Fergus 2014, section 4.2; settings are those of `Occlusion`.
    """

    name: ClassVar = "tf_explain_occlusion"
    title: ClassVar = "Occlusion (tf-explain)"
    definition: ClassVar = (
        "drop of the target's probability when a window is hidden, mean over the windows of a pixel; the windows are "
        "gone through by tf-explain's OcclusionSensitivity.get_sensitivity_map, on a square grid with one pixel a "
        "window; corrected: drop instead of 1 - probability, fill on the model's own scale instead of 127.5, images "
        "that are not square, windows that overlap, not enlarged by interpolation, probability also where the model "
        "gives logits"
    )

    def refusal(self, spec: ModelSpec) -> str | None:
        """Why a model cannot be explained this way; None where it can."""
        reason = super().refusal(spec)
        sides = [len(places) for places in self._windows(spec.input_shape[:2])]
        if reason is None and max(sides) > _MOST_WINDOWS:
            return (
                f"{self.title} goes through {sides[0]} x {sides[1]} windows, and tf-explain's loop holds a picture of "
                f"them all for each: at most {_MOST_WINDOWS} a side, so raise `stride`"
            )
        return reason

    def explain(self, batch: Batch) -> Maps:
        """Raw maps of a batch."""
        from audit.explanations.tf_explain_backend import Windows

        batch = _through(batch)
        rows, columns = self._windows(batch.images.shape[1:3])
        fill = np.broadcast_to(fill_image(batch.images, self.fill), (len(batch.images), 1, 1, batch.images.shape[3]))
        covered = np.outer(rows.sum(axis=0), columns.sum(axis=0))
        raw = np.zeros(batch.images.shape[:3])
        for place, image in enumerate(batch.images):
            hidden = _model(batch).occluded(image, int(batch.targets[place]), Windows(rows, columns), fill[place])
            raw[place] = rows.T.astype(float) @ (batch.probability[place] - hidden) @ columns
        return Maps(raw / np.maximum(covered, 1))

    def _windows(self, size: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Whether each row of windows covers each row of pixels, and the same of columns."""
        rows, columns = (self._places(length, min(size)) for length in size)
        return rows, columns


class TfExplainActivations(_TfExplain):
    """Mean absolute activation over the layer's channels, ``(N, h, w)``; it does not depend on the class."""

    name: ClassVar = "tf_explain_activations"
    title: ClassVar = "Activations (tf-explain)"
    definition: ClassVar = (
        "mean over the layer's channels of the absolute activation, by tf-explain's "
        "ExtractActivations.generate_activations_graph. It does not depend on the class: it shows where the layer "
        "answers, not what speaks for the target; corrected: raw values of each image instead of all channels of the "
        "batch scaled together"
    )
    needs: ClassVar = frozenset({"layers"})
    needs_layer: ClassVar = True

    def explain(self, batch: Batch) -> Maps:
        """Raw maps of a batch.

        Raises
        ------
        ModelError
            tf-explain does not reach the layer: it lies inside a nested model, or the model has no graph.
        """
        return Maps(np.abs(_model(batch).activations(batch.images, batch.layer)).mean(axis=3))

    def least(self, spec: ModelSpec) -> float:
        """One forward pass."""
        del spec
        return 1.0


TF_EXPLAIN: tuple[type[Explainer], ...] = (
    TfExplainVanillaGradients,
    TfExplainGradientsInputs,
    TfExplainIntegratedGradients,
    TfExplainSmoothGrad,
    TfExplainGradCam,
    TfExplainOcclusion,
    TfExplainActivations,
)
"""Every method of tf-explain."""
