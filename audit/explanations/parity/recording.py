"""What one model gives on some images, step by step, as plain arrays that another process can compare.

So two frameworks are compared without sharing a process.
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from audit.errors import InputError
from audit.explanations.parity.outputs import Outputs, layer_outputs
from audit.models.adapter import LayerInfo, ModelAdapter, Targets, Weights, predicted
from audit.models.cams import CAM_KINDS

__all__ = ["OUTPUT_IMAGES", "Recorded", "Subject", "gradient_maps", "record"]

OUTPUT_IMAGES = 4
"""Images whose layer outputs are recorded."""

_PARTS = ("images", "targets", "scores", "gradient", "weights", "outputs", "maps")


@dataclass(frozen=True)
class Subject:
    """The model of a recording.

    Attributes
    ----------
    name : str
        How reports call it.
    framework : str
    dtype : str
        ``float32`` or ``float64``.
    device : str
        As its framework names it.
    score : str
        ``logit`` or ``probability``.
    layer : str or None
        Layer of the class activation maps.
    """

    name: str
    framework: str
    dtype: str
    device: str
    score: str
    layer: str | None


@dataclass(frozen=True)
class Recorded:
    """A recording of one model.

    Attributes
    ----------
    subject : Subject
    layers : tuple of LayerInfo
        In the order in which they finish.
    images : ndarray
        ``(N, H, W, C)``, as the model saw them.
    targets : ndarray
        ``(N,)`` classes whose score was explained.
    scores : ndarray
        ``(N, K)``.
    gradient : ndarray or None
        ``(N, H, W, C)`` input gradient of the explained score; None of a black box.
    weights : dict of str to dict of str to ndarray
        By layer and name, in the layout of Keras.
    outputs : dict of str to ndarray
        ``(n, p, C)`` by layer, of the first images; see `audit.explanations.parity.outputs.sampled`.
    maps : dict of str to ndarray
        ``(N, h, w)`` by method, before resizing; class activation maps before their ReLU.
    """

    subject: Subject
    layers: tuple[LayerInfo, ...]
    images: np.ndarray
    targets: np.ndarray
    scores: np.ndarray
    gradient: np.ndarray | None = None
    weights: Weights = field(default_factory=dict)
    outputs: Outputs = field(default_factory=dict)
    maps: dict[str, np.ndarray] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write a NumPy archive without pickled objects."""
        arrays: dict[str, Any] = {}

        def place(value: Any) -> Any:
            if isinstance(value, dict):
                return {key: place(part) for key, part in value.items()}
            if value is None:
                return None
            name = f"a{len(arrays)}"
            arrays[name] = np.asarray(value)
            return name

        head = {
            "subject": asdict(self.subject),
            "layers": [asdict(layer) for layer in self.layers],
            "parts": {name: place(getattr(self, name)) for name in _PARTS},
        }
        with path.open("wb") as file:
            np.savez(file, head=np.array(json.dumps(head)), **arrays)

    @staticmethod
    def load(path: Path) -> Recorded:
        """Read what `save` wrote.

        Raises
        ------
        InputError
            The file is no recording.
        """
        try:
            with np.load(path, allow_pickle=False) as content:
                head = json.loads(str(content["head"]))

                def fetch(value: Any) -> Any:
                    if isinstance(value, dict):
                        return {key: fetch(part) for key, part in value.items()}
                    return None if value is None else content[value]

                parts = {name: fetch(value) for name, value in head["parts"].items()}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, AttributeError, TypeError) as error:
            raise InputError("is no recording of a model", where=str(path)) from error
        layers = tuple(LayerInfo(item["name"], item["kind"], tuple(item["shape"])) for item in head["layers"])
        return Recorded(subject=Subject(**head["subject"]), layers=layers, **parts)


def record(adapter: ModelAdapter, images: np.ndarray, targets: Targets = "predicted", name: str = "") -> Recorded:
    """Record one model on some images.

    Parameters
    ----------
    adapter : ModelAdapter
    images : ndarray
        ``(N, H, W, C)``, at least one.
    targets : ndarray or 'predicted'
        ``(N,)`` classes to explain; for the second of two models those of the first.
    name : str
        How reports call the model; its framework where left empty.

    Returns
    -------
    Recorded
        Of a black box scores alone.

    Raises
    ------
    InputError
        There are no images, or the model cannot take them or the targets.
    """
    if len(images) == 0:
        raise InputError("a comparison needs at least one image")
    spec = adapter.spec
    kept = images.astype(spec.dtype)
    subject = Subject(name or spec.framework, spec.framework, spec.dtype, spec.device, spec.score, spec.layer)
    if "gradients" not in spec.capabilities:
        scores = adapter.scores(images)
        chosen = predicted(spec, scores) if isinstance(targets, str) else np.asarray(targets)
        return Recorded(subject, (), kept, chosen, scores)
    layers = [spec.layer] if spec.layer is not None else []
    done = adapter.gradient_pass(images, targets, layers, CAM_KINDS)
    cams = done.cams[spec.layer].maps if spec.layer is not None else {}
    return Recorded(
        subject=subject,
        layers=tuple(adapter.layers()) if "layers" in spec.capabilities else (),
        images=kept,
        targets=done.targets,
        scores=done.scores,
        gradient=done.input_gradient,
        weights=adapter.weights() if "weights" in spec.capabilities else {},
        outputs=layer_outputs(adapter, images[:OUTPUT_IMAGES]),
        maps={**gradient_maps(done.input_gradient, kept), **cams},
    )


def gradient_maps(gradient: np.ndarray, images: np.ndarray) -> dict[str, np.ndarray]:
    """Saliency and gradient x input, ``(N, H, W)`` each, from the input gradient ``(N, H, W, C)``."""
    return {"saliency": np.abs(gradient).max(axis=-1), "gradient_x_input": (gradient * images).sum(axis=-1)}
