"""The seam between faircam and a framework: what an adapter promises, in NumPy terms only.

Shapes, head logic and input checks that every adapter shares live here; no framework does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from audit.models.cams import CamKind

__all__ = [
    "ALL_CAPABILITIES",
    "CamKind",
    "Copies",
    "GradientPass",
    "GradientSum",
    "LayerInfo",
    "LayerPass",
    "ModelAdapter",
    "ModelSpec",
    "Targets",
    "Weights",
    "join_passes",
    "predicted",
    "probabilities",
]

Head = Literal["softmax", "sigmoid"]
ScoreKind = Literal["logit", "probability"]
Targets = np.ndarray | str  # class indices, or the word 'predicted'

Weights = dict[str, dict[str, np.ndarray]]  # by layer and name

ALL_CAPABILITIES = frozenset({"scores", "gradients", "layers", "embeddings", "weights"})


@dataclass(frozen=True)
class ModelSpec:
    """What is declared and known of a model.

    Attributes
    ----------
    framework : str
        ``torch``, ``keras`` or ``numpy``; ``onnx`` or ``callable`` of a black box.
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
        Of ``scores``, ``gradients``, ``layers``, ``embeddings`` and ``weights``.
    dtype : str
        ``float32`` or ``float64``; the type images and results have.
    embedding_layer : str or None
        Layer whose input the embeddings are; None where the model gives none.
    embedding_size : int
        Columns of the embeddings, D; 0 where there are none.
    layer_channels : int
        Channels of `layer`; 0 where there is none.
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
    layer_channels: int = 0


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
    """Class activation maps of one layer, reduced on the device.

    Attributes
    ----------
    maps : mapping of str to ndarray
        For each kind asked for ``(N, h, w)``, before the ReLU; see `audit.models.cams.combine`.
    """

    maps: Mapping[str, np.ndarray]

    @property
    def grad_cam(self) -> np.ndarray:
        """``(N, h, w)`` Grad-CAM before the ReLU."""
        return self.maps["grad_cam"]

    def rows(self, rows: slice) -> LayerPass:
        """The same of some of the images."""
        return LayerPass({kind: values[rows] for kind, values in self.maps.items()})


@dataclass(frozen=True)
class Copies:
    """n perturbed copies of every image: ``scale x + (1 - scale) baseline + strength offset``, with a weight each.

    Attributes
    ----------
    weights : ndarray
        ``(n,)`` with which the gradients at the copies are summed.
    scales : ndarray or None
        ``(n,)``; 1 where None.
    baseline : ndarray or None
        ``(H, W, C)`` in the model's value range; 0 where None.
    offsets : ndarray or None
        ``(n, H, W, C)`` noise, the same for every image; none where None.
    strength : ndarray or None
        ``(N,)`` by which each image's noise is multiplied; 1 where None.
    """

    weights: np.ndarray
    scales: np.ndarray | None = None
    baseline: np.ndarray | None = None
    offsets: np.ndarray | None = None
    strength: np.ndarray | None = None


@dataclass(frozen=True)
class GradientSum:
    """What is left of many backward passes, summed on the device.

    Attributes
    ----------
    total : ndarray
        ``(N, H, W, C)``: over the copies the weighted sum of the gradient of the explained score.
    explained : ndarray
        ``(N, n)`` the explained score at each copy.
    """

    total: np.ndarray
    explained: np.ndarray


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
            cams={name: layer.rows(rows) for name, layer in self.cams.items()},
        )


@runtime_checkable
class ModelAdapter(Protocol):
    """The few primitives on which everything else is built.

    `micro_batch` is the number of images that pass through the model at once. An adapter halves it
    where memory does not suffice, so whoever records a run reads it afterwards. `used` counts forward-equivalents:
    one for every row that went forward, another for every row that went back, blank rows included.
    """

    micro_batch: int
    used: float

    @property
    def spec(self) -> ModelSpec:
        """What is declared and known of the model."""

    def scores(self, images: np.ndarray) -> np.ndarray:
        """``(N, K)`` scores of ``(N, H, W, C)`` images."""

    def gradient_pass(
        self, images: np.ndarray, targets: Targets, layers: Sequence[str] = (), cams: Sequence[CamKind] = ("grad_cam",)
    ) -> GradientPass:
        """One forward and one backward pass.

        Parameters
        ----------
        images : ndarray
            ``(N, H, W, C)``.
        targets : ndarray or 'predicted'
            ``(N,)`` indices into the classes, or resolved inside the pass.
        layers : sequence of str
            Layers whose class activation maps are wanted.
        cams : sequence of str
            Which of them.
        """

    def gradient_sum(self, images: np.ndarray, targets: np.ndarray, copies: Copies) -> GradientSum:
        """Weighted sum of input gradients over perturbed copies of each image.

        Parameters
        ----------
        images : ndarray
            ``(N, H, W, C)``.
        targets : ndarray
            ``(N,)`` indices into the classes.
        copies : Copies
        """

    def masked_scores(self, images: np.ndarray, masks: np.ndarray, fill: np.ndarray) -> np.ndarray:
        """``(N, M, K)`` scores of ``mask x + (1 - mask) fill``.

        Parameters
        ----------
        images : ndarray
            ``(N, H, W, C)``.
        masks : ndarray
            ``(M, H, W)`` for every image, or ``(N, M, H, W)``; 0 to 1, of any numeric type.
        fill : ndarray
            What shows where a mask is 0; broadcast to the images.
        """

    def activations(self, images: np.ndarray, layer: str) -> np.ndarray:
        """``(N, h, w, C)`` output of a layer, channels last; of a layer without positions ``(N, D)``."""

    def weights(self) -> Weights:
        """Copies of the weights by layer, in the order in which the layers finish, in the layout of Keras.

        Kernels are ``(h, w, in, out)`` and ``(in, out)``; the inputs of a dense head are ordered channels last.
        """

    def randomised(self, layers: Sequence[str], seed: int) -> AbstractContextManager[None]:
        """Shuffle every weight array of these layers within itself while the context is open.

        The values keep their distribution; the same seed gives the same shuffle in every framework.
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
    """Predicted class of each image.

    Parameters
    ----------
    spec : ModelSpec
        Declares head and kind of score.
    scores : ndarray
        ``(N, K)``.

    Returns
    -------
    ndarray
        ``(N,)`` int64 index into the classes; for one sigmoid output 1 where p is above 0.5.
    """
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
        cams={
            name: LayerPass(
                {kind: np.concatenate([part.cams[name].maps[kind] for part in parts]) for kind in layer.maps}
            )
            for name, layer in parts[0].cams.items()
        },
    )
