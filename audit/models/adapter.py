"""The seam between faircam and a framework: what an adapter promises, in NumPy terms only.

Shapes, head logic and input checks that every adapter shares live here; no framework does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

import numpy as np

__all__ = [
    "ALL_CAPABILITIES",
    "GradientPass",
    "LayerInfo",
    "LayerPass",
    "ModelAdapter",
    "ModelSpec",
    "Targets",
    "join_passes",
    "predicted",
    "probabilities",
]

Head = Literal["softmax", "sigmoid"]
ScoreKind = Literal["logit", "probability"]
Targets = np.ndarray | str  # class indices, or the word 'predicted'

ALL_CAPABILITIES = frozenset({"scores", "gradients", "layers", "embeddings"})


@dataclass(frozen=True)
class ModelSpec:
    """What is declared and known of a model.

    Attributes
    ----------
    framework : str
        ``torch``, ``keras`` or ``numpy``.
    input_shape : tuple of int
        ``(H, W, C)`` of one image, channels last, as it crosses the seam.
    classes : tuple of str
        The model's own classes in output order.
    head : str
        ``softmax`` or ``sigmoid``; decides how probabilities and predictions come from scores.
    outputs : int
        Columns of the scores, K: one per class, or 1 for a sigmoid over two classes.
    score : str
        ``logit`` where scores are taken before the last softmax or sigmoid, else ``probability``.
    layer : str or None
        Layer of Grad-CAM: declared, or found; None where the model has no spatial activation.
    device : str
        Where the model runs, as its framework names it.
    parameters : int
        Number of parameters.
    capabilities : frozenset of str
        Of ``scores``, ``gradients``, ``layers`` and ``embeddings``.
    dtype : str
        ``float32`` or ``float64``; the type images and results have.
    embedding_layer : str or None
        Layer whose input the embeddings are; None where the model gives none.
    embedding_size : int
        Columns of the embeddings, D; 0 where there are none.
    """

    framework: str
    input_shape: tuple[int, int, int]
    classes: tuple[str, ...]
    head: Head
    outputs: int
    score: ScoreKind
    layer: str | None
    device: str
    parameters: int
    capabilities: frozenset[str] = field(default=ALL_CAPABILITIES)
    dtype: str = "float32"
    embedding_layer: str | None = None
    embedding_size: int = 0


@dataclass(frozen=True)
class LayerInfo:
    """A layer whose output is a tensor.

    Attributes
    ----------
    name : str
        Name by which the layer is asked for.
    kind : str
        Its class in the framework.
    shape : tuple of int
        Shape of its output without the batch, channels last.
    """

    name: str
    kind: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class LayerPass:
    """What class activation maps need of one layer, reduced on the device.

    Attributes
    ----------
    grad_cam : ndarray
        ``(N, h, w)``: channels of the activation summed with weights that are the spatial mean of
        d explained / d activation; before the ReLU.
    """

    grad_cam: np.ndarray


@dataclass(frozen=True)
class GradientPass:
    """Result of one forward and one backward pass.

    Attributes
    ----------
    scores : ndarray
        ``(N, K)``.
    targets : ndarray
        ``(N,)`` int64, index into the classes of the score that was explained.
    explained : ndarray
        ``(N,)`` the score explained: the target's logit; of a single sigmoid output z for class 1
        and -z for class 0 (p and 1 - p where scores are probabilities).
    input_gradient : ndarray
        ``(N, H, W, C)`` gradient of `explained` with respect to the image.
    cams : dict of str to LayerPass
        One entry for each layer asked for.
    """

    scores: np.ndarray
    targets: np.ndarray
    explained: np.ndarray
    input_gradient: np.ndarray
    cams: dict[str, LayerPass] = field(default_factory=dict)

    def rows(self, rows: slice) -> GradientPass:
        """The same of some of the images."""
        return GradientPass(
            scores=self.scores[rows],
            targets=self.targets[rows],
            explained=self.explained[rows],
            input_gradient=self.input_gradient[rows],
            cams={name: LayerPass(layer.grad_cam[rows]) for name, layer in self.cams.items()},
        )


@runtime_checkable
class ModelAdapter(Protocol):
    """The few primitives on which everything else is built.

    `micro_batch` is the number of images that pass through the model at once. An adapter halves it
    where memory does not suffice, so whoever records a run reads it afterwards.
    """

    micro_batch: int

    @property
    def spec(self) -> ModelSpec:
        """What is declared and known of the model."""

    def scores(self, images: np.ndarray) -> np.ndarray:
        """``(N, K)`` scores of ``(N, H, W, C)`` images."""

    def gradient_pass(self, images: np.ndarray, targets: Targets, layers: Sequence[str] = ()) -> GradientPass:
        """One forward and one backward pass.

        Parameters
        ----------
        images : ndarray
            ``(N, H, W, C)``.
        targets : ndarray or 'predicted'
            ``(N,)`` indices into the classes, or resolved inside the pass.
        layers : sequence of str
            Layers whose Grad-CAM is wanted.
        """

    def embeddings(self, images: np.ndarray) -> np.ndarray:
        """``(N, D)`` activations that enter the model's head.

        The head is the last dense layer or convolution that runs. What enters a dense layer after a flattening is
        given channels last; where the head works at every position, its input is averaged over the positions.
        """

    def layers(self) -> list[LayerInfo]:
        """Layers in the order in which they finish; one that runs twice counts where it ran last."""

    def close(self) -> None:
        """Let go of the model and undo every change made to it."""


def probabilities(spec: ModelSpec, scores: np.ndarray) -> np.ndarray:
    """Probabilities of the model's classes.

    Parameters
    ----------
    spec : ModelSpec
        Declares head and kind of score.
    scores : ndarray
        ``(N, K)``.

    Returns
    -------
    ndarray
        ``(N, len(classes))`` float64. Softmax rows sum to 1; one sigmoid output gives
        ``[1 - p, p]``; K sigmoids stay as they are and need not sum to 1.
    """
    values = np.asarray(scores, dtype=np.float64)
    if spec.score == "logit":
        values = _softmax(values) if spec.head == "softmax" else _sigmoid(values)
    if spec.outputs == 1:
        return np.concatenate([1 - values, values], axis=1)
    return values


def predicted(spec: ModelSpec, scores: np.ndarray) -> np.ndarray:
    """``(N,)`` int64 index of the predicted class; for one sigmoid output 1 where p is above 0.5."""
    if spec.outputs == 1:
        threshold = 0.0 if spec.score == "logit" else 0.5
        return (np.asarray(scores)[:, 0] > threshold).astype(np.int64)
    return np.asarray(np.argmax(scores, axis=1), dtype=np.int64)


def _softmax(values: np.ndarray) -> np.ndarray:
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.exp(-np.logaddexp(0.0, -values)))


def join_passes(parts: Sequence[GradientPass]) -> GradientPass:
    """One result from the results of successive chunks."""
    if len(parts) == 1:
        return parts[0]
    return GradientPass(
        scores=np.concatenate([part.scores for part in parts]),
        targets=np.concatenate([part.targets for part in parts]),
        explained=np.concatenate([part.explained for part in parts]),
        input_gradient=np.concatenate([part.input_gradient for part in parts]),
        cams={name: LayerPass(np.concatenate([part.cams[name].grad_cam for part in parts])) for name in parts[0].cams},
    )
