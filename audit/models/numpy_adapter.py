"""A small model in pure NumPy whose gradients are known in closed form.

It stands in for a framework in tests, examples and oracles: ``A = relu(x @ W1 + b1)`` per pixel
(the layer ``features``), global average pooling, ``logits = pooled @ W2 + b2`` (the layer ``dense``).
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from audit.errors import ModelError
from audit.models.adapter import CamKind, GradientPass, LayerInfo, LayerPass, ModelSpec, Weights, predicted
from audit.models.archive import check_archive
from audit.models.cams import TensorOps, combine
from audit.models.checks import check_outputs
from audit.models.chunked import ChunkedAdapter

__all__ = ["NumpyAdapter", "load_npz"]

LAYER = "features"
HEAD = "dense"


class NumpyAdapter(ChunkedAdapter):
    """Two-layer network with closed-form gradients.

    Parameters
    ----------
    weights : dict of str to ndarray
        ``W1`` (C, D), ``b1`` (D,), ``W2`` (D, K), ``b2`` (K,).
    input_shape : tuple of int
        ``(H, W, C)``.
    classes : sequence of str
        In output order.
    head : str
        ``softmax``, or ``sigmoid`` with one output for two classes, or with K.
    dtype : str
        ``float32`` or ``float64``.
    micro_batch : int
        Images that are computed at once.

    Examples
    --------
    >>> import numpy as np
    >>> weights = {"W1": np.eye(3), "b1": np.zeros(3), "W2": np.ones((3, 2)), "b2": np.zeros(2)}
    >>> model = NumpyAdapter(weights, (4, 4, 3), ("no", "yes"))
    >>> model.scores(np.ones((1, 4, 4, 3), np.float32))
    array([[3., 3.]], dtype=float32)
    """

    def __init__(
        self,
        weights: dict[str, np.ndarray],
        input_shape: tuple[int, int, int],
        classes: Sequence[str],
        *,
        head: Literal["softmax", "sigmoid"] = "softmax",
        dtype: str = "float32",
        micro_batch: int = 32,
    ) -> None:
        _check_weights(weights, input_shape)
        self._w1, self._b1, self._w2, self._b2 = (
            np.asarray(weights[key], dtype=dtype) for key in ("W1", "b1", "W2", "b2")
        )
        self.micro_batch = micro_batch
        self._layers = [LayerInfo(LAYER, "ReLU", (*input_shape[:2], self._b1.size))]
        check_outputs(tuple(classes), head, self._b2.size)
        self._spec = ModelSpec(
            framework="numpy",
            input_shape=input_shape,
            classes=tuple(classes),
            head=head,
            outputs=self._b2.size,
            score="logit",
            layer=LAYER,
            device="cpu",
            parameters=sum(array.size for array in (self._w1, self._b1, self._w2, self._b2)),
            dtype=dtype,
            embedding_layer=HEAD,
            embedding_size=self._b1.size,
            layer_channels=self._b1.size,
        )

    def _scores(self, images: np.ndarray) -> np.ndarray:
        return self._forward(images)[1]

    def _embeddings(self, images: np.ndarray) -> np.ndarray:
        return np.asarray(self._forward(images)[0].mean(axis=(1, 2)))

    def _activations(self, images: np.ndarray, layer: str) -> np.ndarray:
        return self._forward(images)[0 if layer == LAYER else 1]

    def _weights(self) -> Weights:
        return {
            LAYER: {"kernel": self._w1[None, None].copy(), "bias": self._b1.copy()},
            HEAD: {"kernel": self._w2.copy(), "bias": self._b2.copy()},
        }

    def _write(self, layer: str, arrays: dict[str, np.ndarray]) -> None:
        if layer == LAYER:
            self._w1, self._b1 = arrays["kernel"][0, 0], arrays["bias"]
        else:
            self._w2, self._b2 = arrays["kernel"], arrays["bias"]

    def close(self) -> None:
        """Nothing to undo."""

    def _forward(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        activation = np.maximum(images @ self._w1 + self._b1, 0)
        return activation, activation.mean(axis=(1, 2)) @ self._w2 + self._b2

    def _pass(
        self, images: np.ndarray, targets: np.ndarray | None, layers: tuple[str, ...], cams: tuple[CamKind, ...]
    ) -> GradientPass:
        activation, scores = self._forward(images)
        resolved = predicted(self._spec, scores) if targets is None else targets
        if self._spec.outputs == 1:
            sign = np.where(resolved == 1, 1, -1).astype(scores.dtype)
            explained, head = sign * scores[:, 0], sign[:, None] * self._w2[:, 0]
        else:
            explained, head = scores[np.arange(len(scores)), resolved], self._w2.T[resolved]
        # d explained / d activation is the same at every pixel: the head's weights over the pixels.
        per_pixel = head / (images.shape[1] * images.shape[2])
        gradient = ((activation > 0) * per_pixel[:, None, None, :]) @ self._w1.T
        slope = np.broadcast_to(per_pixel[:, None, None, :], activation.shape)
        maps: dict[str, np.ndarray] = {
            kind: combine(kind, activation, slope, _OPS)[..., 0].astype(self._spec.dtype) for kind in cams
        }
        return GradientPass(
            scores=scores,
            targets=resolved,
            explained=explained,
            input_gradient=gradient.astype(self._spec.dtype),
            cams={name: LayerPass(maps) for name in layers},
        )


_OPS = TensorOps(
    total=lambda array, axes: array.sum(axis=axes, keepdims=True),
    positive=lambda array: np.maximum(array, 0),
    space=(1, 2),
    channel=3,
)


def load_npz(path: Path, original: Path | None = None) -> tuple[dict[str, np.ndarray], tuple[int, int, int] | None]:
    """Weights and, where the file holds it, the input shape.

    Parameters
    ----------
    path : Path
    original : Path, optional
        For errors.

    Raises
    ------
    ModelError
        The file is no ``.npz``, lacks an array or does not fit into memory.
    """
    named = original or path
    if not path.is_file():
        raise ModelError("no such file", where=str(named), fix="check `weights:`")
    check_archive(path, named, "NumPy archive (.npz)")
    try:
        with np.load(path, allow_pickle=False) as content:
            arrays = {name: content[name] for name in content.files}
    except MemoryError as error:
        raise ModelError("takes more memory than its size accounts for", where=str(named)) from error
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile, SyntaxError, TypeError) as error:
        raise ModelError(
            "is no NumPy archive (.npz) of numbers", where=str(named), fix="save it again with numpy.savez"
        ) from error
    missing = [name for name in ("W1", "b1", "W2", "b2") if name not in arrays]
    if missing:
        raise ModelError(f"lacks the arrays {missing}; it holds {sorted(arrays)}", where=str(named))
    shape = arrays.pop("input_shape", None)
    if shape is None:
        return arrays, None
    height, width, channels = (int(size) for size in shape)
    return arrays, (height, width, channels)


def _check_weights(weights: dict[str, np.ndarray], input_shape: tuple[int, int, int]) -> None:
    shapes = {name: np.shape(weights.get(name, ())) for name in ("W1", "b1", "W2", "b2")}
    inner, outer = shapes["b1"], shapes["b2"]
    expected = {"W1": (input_shape[2], *inner), "W2": (*inner, *outer)}
    fits = len(inner) == len(outer) == 1 and all(shapes[name] == shape for name, shape in expected.items())
    if not fits:
        raise ModelError(
            f"weights have shapes {shapes}; expected W1 (C, D), b1 (D,), W2 (D, K), b2 (K,) with "
            f"C = {input_shape[2]} channels of the image"
        )
