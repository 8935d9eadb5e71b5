"""captum's Saliency, InputXGradient and LayerGradCam on the model under audit."""

from __future__ import annotations

import numpy as np
import torch
from captum.attr import InputXGradient, LayerGradCam, Saliency

from audit.errors import InputError, ModelError
from audit.explanations.crosscheck import Opinion
from audit.models.adapter import ModelAdapter
from audit.models.torch_adapter import TorchAdapter

__all__ = ["explain"]


def explain(adapter: ModelAdapter, method: str, image: np.ndarray, target: int) -> Opinion:
    """One map by captum.

    Parameters
    ----------
    adapter : ModelAdapter
        Of a PyTorch model.
    method : str
        ``saliency``, ``gradient_x_input`` or ``grad_cam``.
    image : ndarray
        ``(1, H, W, C)``.
    target : int
        Class explained.

    Returns
    -------
    Opinion
        The map in our definition, and what was called and corrected.
    """
    if not isinstance(adapter, TorchAdapter):
        raise ModelError(f"captum explains PyTorch models, not {adapter.spec.framework}")
    chosen = torch.tensor([target])

    with adapter.ready() as module, torch.enable_grad():

        def forward(inputs: torch.Tensor) -> torch.Tensor:
            return adapter.select(module(inputs), chosen.to(inputs.device))

        inputs = adapter.tensor(image).requires_grad_()
        if method == "saliency":
            found = Saliency(forward).attribute(inputs, abs=True).amax(dim=1)
            note = "captum Saliency, absolute; largest over channels taken by faircam"
        elif method == "gradient_x_input":
            found = InputXGradient(forward).attribute(inputs).sum(dim=1)
            note = "captum InputXGradient; channels summed by faircam"
        elif method == "grad_cam":
            layer = module.get_submodule(_layer(adapter))
            found = LayerGradCam(forward, layer).attribute(inputs, relu_attributions=True)[:, 0]
            note = "captum LayerGradCam with relu_attributions=True, not resized"
        else:
            raise InputError(f"captum is not asked for the method '{method}'")
    return Opinion(found[0].detach().cpu().numpy(), note)


def _layer(adapter: TorchAdapter) -> str:
    if adapter.spec.layer is None:
        raise ModelError("the model has no layer for Grad-CAM")
    return adapter.spec.layer
