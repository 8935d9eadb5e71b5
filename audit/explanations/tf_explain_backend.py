"""A Keras model as tf-explain runs it, mended: raw tensors in micro-batches, every image with its own target."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from tf_explain.core.grad_cam import GradCAM
from tf_explain.core.occlusion_sensitivity import OcclusionSensitivity

from audit.errors import ModelError
from audit.explanations.targets import target_probabilities
from audit.explanations.tf_explain_graphs import TfExplainGraphs
from audit.models.adapter import Copies, GradientPass, GradientSum, ModelAdapter, ModelSpec
from audit.models.checks import check_copies
from audit.models.chunked import no_memory
from audit.models.keras_adapter import KerasAdapter
from audit.models.rows import CopyRows

__all__ = ["TfExplainModel", "Windows"]

_FORWARD, _BOTH = 1, 2  # forward-equivalents of a row


class Windows(NamedTuple):
    """A grid of rectangles that are hidden one at a time.

    Attributes
    ----------
    rows : ndarray
        ``(R, H)`` whether a row of windows covers a row of pixels.
    columns : ndarray
        ``(C, W)`` the same of columns.
    """

    rows: np.ndarray
    columns: np.ndarray


class TfExplainModel:
    """What tf-explain makes of a Keras model; of the seam it has `spec`, `scores`, `gradient_pass`, `gradient_sum`.

    Micro-batch and forward-equivalents are the adapter's own. No row is blank: the graphs take any number of images.

    Parameters
    ----------
    adapter : ModelAdapter
        Of a Keras model.

    Raises
    ------
    ModelError
        The model is not a Keras model.
    """

    def __init__(self, adapter: ModelAdapter) -> None:
        if not isinstance(adapter, KerasAdapter):
            raise ModelError(f"tf-explain explains Keras models, not {adapter.spec.framework}")
        self._adapter = adapter

    @property
    def micro_batch(self) -> int:
        """Images that pass through the model at once."""
        return self._adapter.micro_batch

    @property
    def spec(self) -> ModelSpec:
        """What is declared and known of the model."""
        return self._adapter.spec

    def scores(self, images: np.ndarray) -> np.ndarray:
        """``(N, K)`` scores, before the last activation where it can be cut off."""
        found = np.zeros((len(images), self.spec.outputs), self.spec.dtype)
        function = self._function("scores")

        def run(rows: slice, _copies: slice) -> None:
            found[rows] = function(tf.constant(images[rows])).numpy()

        self._in_tiles(len(images), 1, _FORWARD, run)
        return found

    def gradient_pass(
        self, images: np.ndarray, targets: np.ndarray, layers: tuple[str, ...] = (), cams: tuple[str, ...] = ()
    ) -> GradientPass:
        """Scores, explained scores and input gradients by `VanillaGradients`; no class activation maps."""
        if layers:
            raise ModelError(f"tf-explain's gradients give no maps of the layers {list(layers)}; ask `grad_cam`")
        del cams
        found = np.zeros_like(images)
        scores = np.zeros((len(images), self.spec.outputs), self.spec.dtype)
        explained = np.zeros(len(images), self.spec.dtype)
        function = self._function("gradients")

        def run(rows: slice, _copies: slice) -> None:
            parts = function(tf.constant(images[rows]), _targets(targets[rows]))
            scores[rows], explained[rows], found[rows] = (part.numpy() for part in parts)

        self._in_tiles(len(images), 1, _BOTH, run)
        return GradientPass(scores, targets, explained, found)

    def gradient_sum(self, images: np.ndarray, targets: np.ndarray, copies: Copies) -> GradientSum:
        """Weighted sum of input gradients over copies by `IntegratedGradients.get_integrated_gradients`."""
        copies = check_copies(self.spec, copies, len(images))
        number = len(copies.weights)
        total = np.zeros_like(images)
        explained = np.zeros((len(images), number), self.spec.dtype)
        function = self._function("summed")

        def run(rows: slice, part: slice) -> None:
            per = part.stop - part.start
            made = CopyRows.of(images[rows], targets[rows], _some(copies, rows, part), slice(0, per * _length(rows)))
            wanted = _targets(made.targets[made.owner])
            sums, scores = function(tf.constant(made.build()), wanted, tf.constant(made.weights), tf.constant(per))
            total[rows] += sums.numpy()
            explained[rows, part] = scores.numpy().reshape(-1, per)

        self._in_tiles(len(images), number, _BOTH, run)
        return GradientSum(total, explained)

    def products(self, images: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """``(N, H, W, C)`` input times gradient of the explained score by `GradientsInputs`."""
        found = np.zeros_like(images)
        function = self._function("products")

        def run(rows: slice, _copies: slice) -> None:
            found[rows] = function(tf.constant(images[rows]), _targets(targets[rows])).numpy()

        self._in_tiles(len(images), 1, _BOTH, run)
        return found

    def grad_cam(self, images: np.ndarray, targets: np.ndarray, layer: str) -> np.ndarray:
        """``(N, h, w)`` Grad-CAM before the ReLU by `GradCAM`, one call for the images of each target."""
        if len(images) == 0:
            return self.grad_cam(self._blank(), np.zeros(1, np.int64), layer)[:0]
        found: dict[int, np.ndarray] = {}
        for target in np.unique(targets):
            places = np.flatnonzero(targets == target)
            found |= zip(places.tolist(), self._grad_cam(images[places], int(target), layer), strict=True)
        return np.stack([found[place] for place in range(len(images))])

    def _grad_cam(self, images: np.ndarray, target: int, layer: str) -> list[np.ndarray]:
        column, sign = (target, 1) if self.spec.outputs > 1 else (0, 1 if target == 1 else -1)
        function = self._function("grad_cam", layer)
        found: dict[int, list[np.ndarray]] = {}

        def run(rows: slice, _copies: slice) -> None:
            outputs, gradients = function(tf.constant(images[rows]), tf.constant(column))
            found[rows.start] = [sign * map_.numpy() for map_ in GradCAM.generate_ponderated_output(outputs, gradients)]

        self._in_tiles(len(images), 1, _BOTH, run)
        return [drawn for start in sorted(found) for drawn in found[start]]

    def activations(self, images: np.ndarray, layer: str) -> np.ndarray:
        """``(N, h, w, C)`` output of a layer by `ExtractActivations`."""
        if len(images) == 0:
            return self.activations(self._blank(), layer)[:0]
        function = self._function("activations", layer)
        found: dict[int, np.ndarray] = {}

        def run(rows: slice, _copies: slice) -> None:
            found[rows.start] = function(tf.constant(images[rows])).numpy()

        self._in_tiles(len(images), 1, _FORWARD, run)
        return np.concatenate([found[start] for start in sorted(found)])

    def occluded(self, image: np.ndarray, target: int, windows: Windows, fill: np.ndarray) -> np.ndarray:
        """``(R, C)`` probability of the target with each window hidden, by `OcclusionSensitivity`.

        Its loop runs over a square picture that has one pixel a window, so that it hides every window once and
        gives its own grid back, not enlarged; `_Occluded` fills the windows of the image.

        Parameters
        ----------
        image : ndarray
            ``(H, W, C)``.
        target : int
            Class.
        windows : Windows
        fill : ndarray
            What shows in a window; broadcasts to the image.
        """
        side = max(len(windows.rows), len(windows.columns))
        model = _Occluded(self, image, target, windows, fill)
        drawn = OcclusionSensitivity().get_sensitivity_map(model, np.zeros((side, side, 1), np.uint8), 0, 1)
        return np.asarray(1 - drawn[: len(windows.rows), : len(windows.columns)])

    def _blank(self) -> np.ndarray:
        return np.zeros((1, *self.spec.input_shape), self.spec.dtype)

    def _function(self, name: str, *arguments: str) -> Callable[..., tf.Tensor]:
        return self._adapter.traced(
            ("tf_explain", name, *arguments),
            lambda model: getattr(TfExplainGraphs(model, self.spec), name)(*arguments),
        )

    def _in_tiles(self, images: int, copies: int, cost: int, run: Callable[[slice, slice], None]) -> None:
        """Run over all copies of all images, a micro-batch at once, halved where memory is short."""
        waiting = [(slice(0, images), slice(0, copies))] if images else []
        while waiting:
            every, each = waiting.pop()
            per = min(_length(each), self._adapter.micro_batch)
            count = min(_length(every), self._adapter.micro_batch // per)
            rows, part = slice(every.start, every.start + count), slice(each.start, each.start + per)
            self._adapter.used += cost * per * count
            try:
                run(rows, part)
            except tf.errors.ResourceExhaustedError as error:
                if self._adapter.micro_batch == 1:
                    raise no_memory() from error
                self._adapter.micro_batch //= 2
                waiting.append((every, each))
                continue
            left = [(slice(rows.stop, every.stop), each), (rows, slice(part.stop, each.stop))]
            waiting += [(rest, piece) for rest, piece in left if _length(rest) and _length(piece)]


class _Occluded:
    """What tf-explain's loop over patches takes for a model: it hides the window that a patched pixel stands for."""

    def __init__(
        self, model: TfExplainModel, image: np.ndarray, target: int, windows: Windows, fill: np.ndarray
    ) -> None:
        self._model = model
        self._image = image
        self._target = target
        self._windows = windows
        self._fill = fill

    def predict(self, patches: np.ndarray, batch_size: int | None = None) -> np.ndarray:
        """``(P, 1)`` probability of the target; 1 for patches beyond the grid, which are left out."""
        del batch_size
        row, column = np.divmod(patches.reshape(len(patches), -1).argmax(axis=1), patches.shape[2])
        inside = np.flatnonzero((row < len(self._windows.rows)) & (column < len(self._windows.columns)))
        found = np.ones((len(patches), 1))
        at_once = self._model.micro_batch
        for start in range(0, len(inside), at_once):
            some = inside[start : start + at_once]
            hidden = self._windows.rows[row[some], :, None] & self._windows.columns[column[some], None, :]
            scores = self._model.scores(np.where(hidden[..., None], self._fill, self._image))
            found[some, 0] = target_probabilities(self._model.spec, scores[None], np.array([self._target]))[0]
        return found


def _targets(targets: np.ndarray) -> tf.Tensor:
    return tf.constant(targets, tf.int64)


def _length(part: slice) -> int:
    return int(part.stop - part.start)


def _some(copies: Copies, images: slice, part: slice) -> Copies:
    """Some copies of some images."""
    return replace(
        copies,
        weights=copies.weights[part],
        scales=None if copies.scales is None else copies.scales[part],
        offsets=None if copies.offsets is None else copies.offsets[part],
        strength=None if copies.strength is None else copies.strength[images],
    )
