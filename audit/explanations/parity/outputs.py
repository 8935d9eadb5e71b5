"""What every layer of a model gives in one forward pass, as far as a comparison of two models needs it.

No framework is imported: the adapters lend their hooks. Of large outputs some positions are kept, the same for every
model.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from audit.models.adapter import ModelAdapter
from audit.models.keras_tracing import Call, call_model, named_layers, recorded

__all__ = ["Outputs", "keras_outputs", "layer_outputs", "sampled"]

Outputs = dict[str, np.ndarray]

_VALUES = 65_536
_POSITIONS = 16


def layer_outputs(adapter: ModelAdapter, images: np.ndarray) -> Outputs:
    """Outputs of all layers, in the order in which they finish; one that runs twice counts where it ran last.

    Parameters
    ----------
    adapter : ModelAdapter
    images : ndarray
        ``(N, H, W, C)``, few: they go through the model at once.

    Returns
    -------
    dict of str to ndarray
        ``(N, p, C)`` for each layer, see `sampled`; nothing where the adapter shows no layers.
    """
    native: Any = adapter
    images = images.astype(adapter.spec.dtype, copy=False)
    if "layers" not in adapter.spec.capabilities:
        return {}
    if adapter.spec.framework == "torch":
        return _torch_outputs(native, images)
    if adapter.spec.framework == "keras":
        with native.cut() as model, recorded(named_layers(model)) as calls:
            call_model(model, images)
        return keras_outputs(calls, len(images))
    return {layer.name: sampled(adapter.activations(images, layer.name)) for layer in adapter.layers()}


def keras_outputs(calls: list[Call], n: int) -> Outputs:
    """The same of recorded calls of Keras layers, on any backend.

    Parameters
    ----------
    calls : list of Call
        As `audit.models.keras_tracing.recorded` gives them, run eagerly.
    n : int
        Number of images.
    """
    found: Outputs = {}
    for call in calls:
        tensor = call.tensor.detach().cpu() if hasattr(call.tensor, "detach") else call.tensor
        _keep(found, call.name, np.asarray(tensor), n)
    return found


def sampled(output: np.ndarray) -> np.ndarray:
    """An output at up to 65 536 values an image, but at no fewer than 16 positions with all their channels.

    Parameters
    ----------
    output : ndarray
        ``(N, ..., C)``, channels last.

    Returns
    -------
    ndarray
        ``(N, p, C)``, a copy; the positions are drawn from a fixed seed.
    """
    flat = output.reshape(len(output), -1, output.shape[-1])
    most = max(_POSITIONS, _VALUES // max(1, output.shape[-1]))
    if flat.shape[1] <= most:
        return flat.copy()
    chosen = np.random.default_rng(0).choice(flat.shape[1], most, replace=False)
    return flat[:, np.sort(chosen)]


def _torch_outputs(adapter: Any, images: np.ndarray) -> Outputs:
    found: Outputs = {}
    with adapter.ready() as module, _hooked(module, [layer.name for layer in adapter.layers()], found):
        module(adapter.tensor(images))
    return found


@contextmanager
def _hooked(module: Any, names: list[str], found: Outputs) -> Iterator[None]:
    def note(name: str) -> Any:
        def keep(_module: Any, inputs: Any, output: Any) -> None:
            if hasattr(output, "detach"):
                array = output.detach().cpu().numpy()
                _keep(found, name, np.moveaxis(array, 1, -1) if array.ndim == 4 else array, len(inputs[0]))

        return keep

    with ExitStack() as undo:
        for name in names:
            undo.callback(module.get_submodule(name).register_forward_hook(note(name)).remove)
        yield


def _keep(found: Outputs, name: str, output: np.ndarray, n: int) -> None:
    if output.ndim < 2 or len(output) != n or output.dtype.kind != "f":
        return
    found.pop(name, None)
    found[name] = sampled(output)
