"""A second route through a Keras model: the same file on the PyTorch backend of Keras 3, recorded without an adapter.

It shares the model's layers with the TensorFlow backend, and none of the arithmetic. Keras must have been told to run
on PyTorch (``KERAS_BACKEND=torch``) before it is imported, so this runs in a process of its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from audit.config import ModelConfig
from audit.errors import ModelError
from audit.explanations.parity.outputs import keras_outputs
from audit.explanations.parity.recording import OUTPUT_IMAGES, Recorded, Subject, gradient_maps
from audit.models.adapter import LayerInfo, Weights
from audit.models.cams import CAM_KINDS, TensorOps, combine
from audit.models.files import copied
from audit.models.keras_tracing import (
    Call,
    End,
    call_model,
    cut,
    find_end,
    in_double,
    named_layers,
    own_weights,
    recorded,
    to_record,
)
from audit.models.layer_choice import choose_layer, layer_infos
from audit.models.limits import bounded_time
from audit.trust import Trust

__all__ = ["record_on_torch"]


def record_on_torch(
    config: ModelConfig, base: Path, images: np.ndarray, targets: np.ndarray, *, trust: Trust, seconds: float
) -> Recorded:
    """Record a Keras file on the PyTorch backend.

    Parameters
    ----------
    config : ModelConfig
        A Keras model that TensorFlow has already loaded, so that its faults were told.
    base : Path
        Folder that the model's path is relative to.
    images : ndarray
        ``(N, H, W, C)``; float64 doubles the model's precision. Keras does not keep it on this backend: dense and
        normalisation layers still compute in single precision, so the recording says float32.
    targets : ndarray
        ``(N,)`` classes to explain.
    trust : Trust
        Whether Lambda layers that the file carries may run.
    seconds : float
        Longest that loading may take; the system ends the process that takes longer.

    Returns
    -------
    Recorded

    Raises
    ------
    ModelError
        Keras runs on another backend, or the model cannot run on this one.
    """
    import keras

    if keras.config.backend() != "torch":
        raise ModelError(f"Keras runs on the backend '{keras.config.backend()}', needed here: torch")
    from audit.models.keras_files import read_model

    try:
        with copied(config, base) as file:
            if file is None:
                raise ModelError("names no file", where=config.name, fix="give it a `path:`")
            with bounded_time(seconds):
                model = read_model(file, trust)
                if images.dtype == np.float64:
                    model = in_double(model, config.name)
        return _recorded(model, config, images, targets)
    except (RuntimeError, ValueError, TypeError, NotImplementedError, AttributeError) as error:
        what = " ".join(str(error).split())[:300]
        raise ModelError(f"cannot run on the PyTorch backend of Keras: {what}", where=config.name) from error


def _recorded(model: Any, config: ModelConfig, images: np.ndarray, targets: np.ndarray) -> Recorded:
    end, calls = _end(model, config, images[:1])
    records = [to_record(call) for call in calls]
    layer = config.layer or choose_layer(records)
    layers = tuple(layer_infos(records))
    probability = config.score == "probability" and end is None
    with cut(end):
        with recorded(named_layers(model)) as few:
            call_model(model, _tensor(images[:OUTPUT_IMAGES]))
        outputs = keras_outputs(few, len(images[:OUTPUT_IMAGES]))
        parts = [_gradients(model, images[[i]], targets[[i]], layer, probability) for i in range(len(images))]
    scores, gradient, cams = (list(found) for found in zip(*parts, strict=True))
    joined = np.concatenate(gradient)
    maps: dict[str, np.ndarray] = {
        kind: np.concatenate([found[kind] for found in cams]) for kind in (CAM_KINDS if layer else ())
    }
    score = "probability" if probability else "logit"
    device = str(_tensor(images[:1]).device)
    return Recorded(
        subject=Subject(f"{config.name} on PyTorch", "keras on torch", _precision(images), device, score, layer),
        layers=layers,
        images=images,
        targets=targets,
        scores=np.concatenate(scores),
        gradient=joined,
        weights=_weights(model, layers),
        outputs=outputs,
        maps={**gradient_maps(joined, images), **maps},
    )


def _precision(images: np.ndarray) -> str:
    """The precision that the arithmetic keeps throughout."""
    import keras

    widest = str(keras.backend.result_type("float64", "float32"))  # what Keras brings operands to
    return "float32" if widest == "float32" else str(images.dtype)


def _end(model: Any, config: ModelConfig, image: np.ndarray) -> tuple[End | None, list[Call]]:
    """The last activation to leave out, unless scores are declared to be logits, and the calls of one image."""
    call_model(model, _tensor(image))  # builds what is not built yet
    with recorded(named_layers(model)) as calls:
        output = call_model(model, _tensor(image))
    return (None if config.score == "logit" else find_end(calls, output)), calls


def _gradients(
    model: Any, image: np.ndarray, target: np.ndarray, layer: str | None, probability: bool
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Scores, input gradient and class activation maps of one image."""
    import torch

    inputs = _tensor(image).requires_grad_()
    tapped = {layer: named_layers(model)[layer]} if layer is not None else {}
    with torch.enable_grad(), recorded(tapped) as calls:
        scores = call_model(model, inputs)
        explained = _select(scores, int(target[0]), probability)
        of = [inputs, *([calls[-1].tensor] if tapped else [])]
        found = torch.autograd.grad(explained.sum(), of)
    cams: dict[str, np.ndarray] = {
        kind: _numpy(combine(kind, calls[-1].tensor.detach(), found[1], _OPS))[..., 0] for kind in CAM_KINDS if tapped
    }
    return _numpy(scores), _numpy(found[0]), cams


def _select(scores: Any, target: int, probability: bool) -> Any:
    if scores.shape[1] > 1:
        return scores[:, target]
    if target == 1:
        return scores[:, 0]
    return 1 - scores[:, 0] if probability else -scores[:, 0]


def _weights(model: Any, layers: tuple[LayerInfo, ...]) -> Weights:
    known = named_layers(model)
    found = {
        layer.name: {weight.name: _numpy(weight.value) for weight in own_weights(known[layer.name])} for layer in layers
    }
    return {name: arrays for name, arrays in found.items() if arrays}


def _tensor(images: np.ndarray) -> Any:
    from keras import ops

    return ops.convert_to_tensor(images, dtype=str(images.dtype))


def _numpy(tensor: Any) -> np.ndarray:
    return np.array(tensor.detach().cpu().numpy())


_OPS = TensorOps(
    total=lambda tensor, axes: tensor.sum(dim=axes, keepdim=True),
    positive=lambda tensor: tensor.clamp(min=0),
    space=(1, 2),
    channel=3,
)
