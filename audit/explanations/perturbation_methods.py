"""Methods that need scores alone: occlusion, RISE and Score-CAM. They read probabilities, not logits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from audit.errors import InputError
from audit.explanations.explainer import Batch, Explainer
from audit.explanations.maps import Maps, resize_map
from audit.explanations.targets import target_probabilities
from audit.models.adapter import ModelSpec, probabilities

__all__ = ["Occlusion", "Rise", "ScoreCam", "fill_image"]

Fill = Literal["mean", "zero"]

_MASK_BYTES = 32e6  # masks that are made at once
_ROUND = 32  # RISE makes them in multiples of so many, which fill micro-batches; the draws depend on it


def fill_image(images: np.ndarray, fill: Fill) -> np.ndarray:
    """What shows where an image is hidden: its mean colour, or zero after preprocessing; broadcasts to the images."""
    if fill == "zero":
        return np.zeros((1, 1, 1, images.shape[3]), images.dtype)
    return np.asarray(images.mean(axis=(1, 2), keepdims=True))


class Occlusion(Explainer):
    """Mean drop of the target's probability over the windows that hide a pixel, ``(N, H, W)``, signed.

    Zeiler and Fergus 2014, section 4.2. Windows at the edge are clipped.
    """

    name: ClassVar = "occlusion"
    title: ClassVar = "Occlusion"
    definition: ClassVar = "drop of the target's probability when a window is hidden, mean over the windows of a pixel"
    signed: ClassVar = True
    needs: ClassVar = frozenset({"scores"})

    window: int | None = Field(default=None, ge=1, description="Side in pixels; an eighth of the shorter side.")
    stride: int | None = Field(default=None, ge=1, description="Step in pixels; half the window.")
    fill: Fill = Field(default="mean", description="mean: the image's mean colour; zero: 0 after preprocessing.")

    def explain(self, batch: Batch) -> Maps:
        """Raw maps of a batch."""
        rows, columns = (self._places(size, min(batch.images.shape[1:3])) for size in batch.images.shape[1:3])
        fill = fill_image(batch.images, self.fill)
        drops = []
        at_once = max(1, int(_MASK_BYTES / (len(columns) * rows.shape[1] * columns.shape[1])))
        for start in range(0, len(rows), at_once):
            hidden = rows[start : start + at_once, None, :, None] & columns[None, :, None, :]
            scores = batch.adapter.masked_scores(batch.images, ~hidden.reshape(-1, *hidden.shape[2:]), fill)
            drops.append(batch.probability[:, None] - target_probabilities(batch.spec, scores, batch.targets))
        drop = np.concatenate(drops, axis=1).reshape(-1, len(rows), len(columns))
        # The mean over windows is separable: a sum over rows and columns of windows, over their number at a pixel.
        summed = np.einsum("nab,ah,bw->nhw", drop, rows.astype(float), columns.astype(float), optimize=True)
        return Maps(summed / np.maximum(np.outer(rows.sum(axis=0), columns.sum(axis=0)), 1))

    def least(self, spec: ModelSpec) -> float:
        """One forward pass a window."""
        height, width, _ = spec.input_shape
        side = min(height, width)
        return float(len(self._places(height, side)) * len(self._places(width, side)))

    def _places(self, size: int, side: int) -> np.ndarray:
        """``(windows, size)`` whether a window covers a row or column of pixels."""
        window = min(self.window or -(-side // 8), size)
        stride = self.stride or -(-window // 2)
        if stride > window and size > window:
            raise InputError(
                f"occlusion with a stride of {stride} and a window of {window} pixels leaves pixels that nothing hides",
                fix="choose a stride up to the window",
            )
        starts = np.arange(-(-(size - window) // stride) + 1) * stride
        pixels = np.arange(size)
        return np.asarray((pixels >= starts[:, None]) & (pixels < starts[:, None] + window))


class Rise(Explainer):
    """Probability of the target under random masks, summed over the masks that show a pixel, ``(N, H, W)``.

    Petsiuk, Das and Saenko 2018, equation 6: divided by the number of masks and their mean. Each mask has a shift
    of its own. The same masks serve every image, class and model.
    """

    name: ClassVar = "rise"
    title: ClassVar = "RISE"
    definition: ClassVar = "mean over random smooth masks of the target's probability times the mask, over its mean"
    needs: ClassVar = frozenset({"scores"})
    noisy: ClassVar = True

    masks: int = Field(default=500, ge=1, description="Random masks.")
    cells: int = Field(default=7, ge=2, description="Cells of the coarse mask along each side.")
    share: float = Field(default=0.5, gt=0, lt=1, description="Share of the cells that show the image.")
    fill: Fill = Field(default="zero", description="zero: 0 after preprocessing; mean: the image's mean colour.")

    def explain(self, batch: Batch) -> Maps:
        """Raw maps of a batch."""
        images, size = batch.images, batch.images.shape[1:3]
        total = np.zeros((len(images), size[0] * size[1]))
        for masks in self._masks(size, batch.seed):
            scores = batch.adapter.masked_scores(images, masks, fill_image(images, self.fill))
            values = target_probabilities(batch.spec, scores, batch.targets)
            total += values @ masks.reshape(len(masks), -1)
        return Maps((total / (self.masks * self.share)).reshape(-1, *size))

    def least(self, spec: ModelSpec) -> float:
        """One forward pass a mask."""
        del spec
        return float(self.masks)

    def _masks(self, size: tuple[int, ...], seed: int) -> Iterator[np.ndarray]:
        """``(m, H, W)`` float32 masks, a few at a time: a coarse grid enlarged bilinearly and shifted."""
        rng = np.random.default_rng([seed, 2])
        cell = [-(-length // self.cells) for length in size]
        at_once = int(_MASK_BYTES / (4 * np.prod([(self.cells + 1) * length for length in cell])))
        at_once = max(_ROUND, at_once - at_once % _ROUND)
        for start in range(0, self.masks, at_once):
            count = min(at_once, self.masks - start)
            grid = (rng.random((count, self.cells + 1, self.cells + 1)) < self.share).astype(np.float32)
            large = resize_map(grid, ((self.cells + 1) * cell[0], (self.cells + 1) * cell[1]))
            down, right = (rng.integers(0, length, count).tolist() for length in cell)
            shifted = zip(large, down, right, strict=True)
            masks = np.stack([mask[y : y + size[0], x : x + size[1]] for mask, y, x in shifted])
            yield np.clip(masks, 0, 1, out=masks)


class ScoreCam(Explainer):
    """ReLU of the layer's channels, each weighted by what it leaves of the target's probability, ``(N, h, w)``.

    Wang et al. 2020, equations 4 to 6: a channel, enlarged and scaled to 0 to 1, is the mask; its weight is the
    probability behind it minus that of the empty image. A channel that is constant has weight 0.
    """

    name: ClassVar = "score_cam"
    title: ClassVar = "Score-CAM"
    definition: ClassVar = (
        "ReLU of the layer's channels summed with weights that are the target's probability on the image masked by "
        "the channel, minus that on the empty image"
    )
    needs: ClassVar = frozenset({"scores", "layers"})
    needs_layer: ClassVar = True

    def explain(self, batch: Batch) -> Maps:
        """Raw maps of a batch."""
        activation = batch.adapter.activations(batch.images, batch.layer)
        channels = np.moveaxis(activation, -1, 1)
        empty = np.zeros((1, *batch.spec.input_shape), batch.images.dtype)
        before = probabilities(batch.spec, batch.adapter.scores(empty))[0, batch.targets]
        weights = np.zeros(channels.shape[:2])
        size = batch.images.shape[1:3]
        at_once = max(1, int(_MASK_BYTES / (channels.itemsize * len(channels) * size[0] * size[1])))
        for start in range(0, channels.shape[1], at_once):
            part = slice(start, start + at_once)
            masks, told = _scaled(resize_map(channels[:, part], (size[0], size[1])))
            scores = batch.adapter.masked_scores(batch.images, masks, empty)
            values = target_probabilities(batch.spec, scores, batch.targets)
            weights[:, part] = np.where(told, values - before[:, None], 0)
        return Maps(np.maximum(np.einsum("nd,ndhw->nhw", weights, channels), 0))

    def least(self, spec: ModelSpec) -> float:
        """One forward pass a channel, and one for the activations."""
        return 1.0 + spec.layer_channels


def _scaled(channels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each channel scaled to 0 to 1, and whether it was not constant."""
    low = channels.min(axis=(2, 3), keepdims=True)
    spread = channels.max(axis=(2, 3), keepdims=True) - low
    told = spread > 0
    scaled = np.clip((channels - low) / np.where(told, spread, 1), 0, 1)
    return np.where(told, scaled, 0), told[:, :, 0, 0]
