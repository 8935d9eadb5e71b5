"""captum's Saliency, InputXGradient and LayerGradCam on the model under audit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from captum.attr import InputXGradient, LayerGradCam, Saliency

from audit.errors import InputError, ModelError
from audit.explanations.crosscheck import Explain, Opinion
from audit.models.adapter import ModelAdapter
from audit.models.torch_adapter import TorchAdapter

__all__ = ["opened"]

_NOTES = {
    "saliency": "captum Saliency, absolute; largest over channels taken by faircam",
    "gradient_x_input": "captum InputXGradient; channels summed by faircam",
    "grad_cam": "captum LayerGradCam; corrected: relu_attributions=True, map not resized",
}


@contextmanager
def opened(adapter: ModelAdapter, method: str) -> Iterator[Explain]:
    """Prepare the model for captum and put it back at the end.

    Parameters
    ----------
    adapter : ModelAdapter
        Of a PyTorch model.
    method : str
        ``saliency``, ``gradient_x_input`` or ``grad_cam``.

    Yields
    ------
    callable
        From an image ``(1, H, W, C)`` and its target to the map in our definition.
    """
    if not isinstance(adapter, TorchAdapter):
        raise ModelError(f"captum explains PyTorch models, not {adapter.spec.framework}")
    if method not in _NOTES:
        raise InputError(f"captum is not asked for the method '{method}'")
    if method == "grad_cam" and adapter.spec.layer is None:
        raise ModelError("the model has no layer for Grad-CAM")
    with adapter.ready() as module, torch.enable_grad():

        def explain(image: np.ndarray, target: int) -> Opinion:
            inputs = adapter.tensor(image).requires_grad_()
            chosen = torch.tensor([target], device=inputs.device)

            def forward(batch: torch.Tensor) -> torch.Tensor:
                return adapter.select(module(batch.clone()), chosen)

            found = _attributed(method, forward, inputs, module, adapter.spec.layer or "")
            return Opinion(found[0].detach().cpu().numpy(), _NOTES[method])

        yield explain


def _attributed(
    method: str,
    forward: Callable[[torch.Tensor], torch.Tensor],
    inputs: torch.Tensor,
    module: torch.nn.Module,
    layer: str,
) -> torch.Tensor:
    """``(1, h, w)`` map by captum, reduced over channels as we define it."""
    if method == "saliency":
        absolute: torch.Tensor = Saliency(forward).attribute(inputs, abs=True)
        return absolute.amax(dim=1)
    if method == "gradient_x_input":
        product: torch.Tensor = InputXGradient(forward).attribute(inputs)
        return product.sum(dim=1)
    cam = LayerGradCam(forward, module.get_submodule(layer))
    weighted: torch.Tensor = cam.attribute(inputs, relu_attributions=True)
    return weighted[:, 0]
