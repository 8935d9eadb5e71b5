"""How the explained score changes along directions in the output of a layer, by captum's layer gradients."""

from __future__ import annotations

import numpy as np
import torch
from captum.attr import LayerGradientXActivation

from audit.explanations.captum_networks import as_torch, copied
from audit.models.adapter import ModelAdapter

__all__ = ["directional_derivatives"]


def directional_derivatives(
    adapter: ModelAdapter, images: np.ndarray, targets: np.ndarray, layer: str, directions: np.ndarray
) -> np.ndarray:
    """``(N, R)`` derivative of the explained score along each direction; 2 forward-equivalents an image.

    Parameters
    ----------
    adapter : ModelAdapter
        Of a PyTorch model.
    images, targets : ndarray
    layer : str
        One that runs twice counts where it ran last.
    directions : ndarray
        ``(D, R)``; the D numbers are the layer's output flattened channels last.
    """
    own = as_torch(adapter)
    found = np.zeros((len(images), directions.shape[1]))
    with copied(own) as network:

        def forward(inputs: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
            return own.select(network(inputs.clone()), chosen)

        method = LayerGradientXActivation(forward, network.get_submodule(layer), multiply_by_inputs=False)

        def rows(part: slice) -> None:
            inputs = own.tensor(images[part])
            chosen = torch.from_numpy(targets[part]).to(inputs.device)
            gradient = method.attribute(inputs, additional_forward_args=chosen)
            flat = (gradient.permute(0, 2, 3, 1) if gradient.ndim == 4 else gradient).flatten(1)
            found[part] = flat.detach().cpu().double().numpy() @ directions

        own.in_micro_batches(len(images), rows, 2)
    return found
