"""tf-explain as a second opinion on our maps: its methods, mended, with the settings of ours.

The methods are in `tf_explain_methods`, what of tf-explain they call in `tf_explain_backend`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import numpy as np

from audit.errors import InputError, ModelError
from audit.explanations.crosscheck import Explain, Opinion
from audit.explanations.explainer import Batch, Explainer
from audit.explanations.tf_explain_backend import TfExplainModel
from audit.explanations.tf_explain_methods import (
    TfExplainGradCam,
    TfExplainGradientsInputs,
    TfExplainIntegratedGradients,
    TfExplainOcclusion,
    TfExplainSmoothGrad,
    TfExplainVanillaGradients,
)
from audit.models.adapter import ModelAdapter

__all__ = ["opened"]

_CALLED = "tf-explain {}, on the model without its last activation; corrected: {}"

_METHODS: dict[str, tuple[type[Explainer], str]] = {
    "saliency": (
        TfExplainVanillaGradients,
        _CALLED.format(
            "VanillaGradients.compute_gradients",
            "absolute value and largest over channels instead of scaling over the batch",
        ),
    ),
    "gradient_x_input": (
        TfExplainGradientsInputs,
        _CALLED.format(
            "GradientsInputs.compute_gradients",
            "channels summed with their sign instead of scaling over the batch",
        ),
    ),
    "grad_cam": (
        TfExplainGradCam,
        _CALLED.format(
            "GradCAM.get_gradients_and_filters and generate_ponderated_output",
            "gradients not masked, ReLU added, map not resized",
        ),
    ),
    "integrated_gradients": (
        TfExplainIntegratedGradients,
        _CALLED.format(
            "IntegratedGradients.get_integrated_gradients",
            "factor (image - baseline) added, our nodes and weights on the path, channels summed with their sign",
        ),
    ),
    "smooth_grad": (
        TfExplainSmoothGrad,
        _CALLED.format(
            "IntegratedGradients.get_integrated_gradients on our noisy copies",
            "gradients of the score, for those of its SmoothGrad are of the cross-entropy; absolute value and largest "
            "over channels",
        ),
    ),
    "occlusion": (
        TfExplainOcclusion,
        _CALLED.format(
            "OcclusionSensitivity.get_sensitivity_map",
            "drop of the probability instead of 1 - probability, our windows and fill instead of 127.5, one grid "
            "pixel a window so that nothing is enlarged or has to be square",
        ),
    ),
}


@contextmanager
def opened(
    adapter: ModelAdapter, method: str, explainer: Explainer | None = None, seed: int | None = None
) -> Iterator[Explain]:
    """Prepare the model for tf-explain.

    Parameters
    ----------
    adapter : ModelAdapter
        Of a Keras model.
    method : str
        ``saliency``, ``gradient_x_input``, ``grad_cam``, ``integrated_gradients``, ``smooth_grad`` or ``occlusion``.
    explainer : Explainer, optional
        Our method, whose settings tf-explain gets too; the defaults where it is left out.
    seed : int, optional
        Of our noise.

    Yields
    ------
    callable
        From an image ``(1, H, W, C)`` and its target to the map in our definition.

    Raises
    ------
    InputError
        The method is not among these.
    ModelError
        tf-explain cannot explain the model this way, or noise is needed and its seed is not given.
    """
    model = cast("ModelAdapter", TfExplainModel(adapter))
    if method.startswith("tf_explain_"):
        raise InputError(f"'{method}' is tf-explain's own and cannot check itself")
    if method not in _METHODS:
        raise InputError(f"tf-explain is not asked for the method '{method}', only for: {', '.join(_METHODS)}")
    kind, note = _METHODS[method]
    if kind.noisy and seed is None:
        raise ModelError("the seed of our noise is not given, and with other noise the maps cannot be compared")
    theirs = kind() if explainer is None else kind.model_validate(explainer.model_dump())
    reason = theirs.refusal(adapter.spec)
    if reason is not None:
        raise ModelError(reason)

    def explain(image: np.ndarray, target: int) -> Opinion:
        batch = Batch.of(model, image, np.array([target]), seed or 0, cams=())
        return Opinion(theirs.explain(batch).raw[0], note)

    yield explain
