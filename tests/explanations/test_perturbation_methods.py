"""Occlusion, RISE and Score-CAM against direct summation on models that are written out here."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from audit.errors import InputError
from audit.explanations import Batch, build, explainers, resize_map
from audit.explanations.perturbation_methods import Rise
from audit.models.callable_adapter import CallableAdapter
from audit.models.numpy_adapter import NumpyAdapter
from tests.models.twins import CLASSES, images, numpy_twin, weights

SHAPE = (5, 8, 3)


def sigmoid() -> NumpyAdapter:
    """One output, linear in the pixels."""
    rng = np.random.default_rng(8)
    arrays = {"W1": rng.normal(size=(3, 6)), "b1": np.full(6, 50.0), "W2": rng.normal(size=(6, 1)), "b2": np.zeros(1)}
    arrays["b2"] = -arrays["b1"] @ arrays["W2"]
    return NumpyAdapter(arrays, SHAPE, ("no", "yes"), dtype="float64", head="sigmoid")


def yes(image: np.ndarray) -> float:
    """Its probability of class 1: a sigmoid of a weighted mean of the pixels."""
    adapter = sigmoid()
    slope = adapter._w1 @ adapter._w2[:, 0]
    return float(1 / (1 + np.exp(-(image.mean(axis=(0, 1)) @ slope))))


def windows(size: int, window: int, stride: int) -> list[slice]:
    """Every window from the first pixel on, the last one cut off at the edge."""
    found, start = [], 0
    while True:
        found.append(slice(start, min(start + window, size)))
        if start + window >= size:
            return found
        start += stride


@pytest.mark.parametrize(("window", "stride"), [(3, 2), (2, 1), (3, 3), (4, 3), (9, 1)])
@pytest.mark.parametrize("fill", ["mean", "zero"])
def test_occlusion_by_hand(window: int, stride: int, fill: str) -> None:
    """Window by window on an image that is not square; in most cases the last windows are cut off."""
    batch = Batch.of(sigmoid(), images(2, "float64", SHAPE), np.array([0, 1]))
    settings = {"name": "occlusion", "window": window, "stride": stride, "fill": fill}
    found = build([settings])["occlusion"].explain(batch).raw
    for index, (image, target) in enumerate(zip(batch.images, batch.targets, strict=True)):
        total, count = np.zeros(SHAPE[:2]), np.zeros(SHAPE[:2])
        colour = image.mean(axis=(0, 1)) if fill == "mean" else np.zeros(3)
        sign = 1 if target == 1 else -1  # p of class 0 is 1 - p
        for rows in windows(SHAPE[0], min(window, SHAPE[0]), stride):
            for columns in windows(SHAPE[1], min(window, SHAPE[1]), stride):
                hidden = image.copy()
                hidden[rows, columns] = colour
                total[rows, columns] += sign * (yes(image) - yes(hidden))
                count[rows, columns] += 1
        assert count.min() >= 1
        np.testing.assert_allclose(found[index], total / count, atol=1e-13)


def test_occlusion_chooses_its_window_and_counts_its_passes() -> None:
    adapter = CallableAdapter(
        lambda batch: batch.mean(axis=(1, 2)), classes=("a", "b", "c"), input_shape=(24, 40, 3)
    )  # window 24 / 8 = 3, stride 2: 12 x 20 windows
    batch = Batch.of(adapter, images(2, shape=(24, 40, 3)), np.array([0, 1]))
    occlusion = explainers()["occlusion"]()
    used = adapter.used
    found = occlusion.explain(batch)
    assert occlusion.least(adapter.spec) == 12 * 20
    assert adapter.used - used == 2 * 12 * 20
    assert found.raw.shape == (2, 24, 40)


def test_a_stride_that_leaves_pixels_out_is_refused() -> None:
    batch = Batch.of(sigmoid(), images(1, "float64", SHAPE), np.array([0]))
    occlusion = build([{"name": "occlusion", "window": 2, "stride": 3}])["occlusion"]
    with pytest.raises(InputError, match="a stride of 3 and a window of 2 pixels leaves pixels that nothing hides"):
        occlusion.explain(batch)


@pytest.mark.parametrize("fill", ["zero", "mean"])
def test_rise_is_the_sum_over_its_masks(fill: str) -> None:
    batch = Batch.of(sigmoid(), images(2, "float64", SHAPE), np.array([0, 1]), seed=4)
    rise = Rise(masks=30, cells=3, share=0.4, fill=fill)  # type: ignore[arg-type]
    found = rise.explain(batch).raw
    masks = np.concatenate(list(rise._masks(SHAPE[:2], 4))).astype(float)
    for index, (image, target) in enumerate(zip(batch.images, batch.targets, strict=True)):
        colour = image.mean(axis=(0, 1)) if fill == "mean" else np.zeros(3)
        total = np.zeros(SHAPE[:2])
        for mask in masks:
            shown = yes(mask[..., None] * image + (1 - mask[..., None]) * colour)
            total += (shown if target == 1 else 1 - shown) * mask
        np.testing.assert_allclose(found[index], total / (30 * 0.4), rtol=1e-6)


def test_rise_masks_are_a_shifted_grid() -> None:
    masks = np.concatenate(list(Rise(masks=4000, cells=4, share=0.3)._masks((16, 20), 1)))
    assert masks.shape == (4000, 16, 20)
    assert (masks.min(), masks.max()) == (0.0, 1.0)
    np.testing.assert_allclose(masks.mean(axis=0), 0.3, atol=0.04)  # everywhere, the edges too
    near, far = (np.corrcoef(masks[:, 8, 8], masks[:, 8, 8 + step])[0, 1] for step in (1, 10))
    assert near > 0.8
    assert abs(far) < 0.06  # further apart than two cells of 5 pixels
    again = np.concatenate(list(Rise(masks=4000, cells=4, share=0.3)._masks((16, 20), 1)))
    np.testing.assert_array_equal(masks, again)
    other = np.concatenate(list(Rise(masks=4, cells=4, share=0.3)._masks((16, 20), 2)))
    assert not np.array_equal(other, masks[:4])


def test_rise_finds_what_a_mask_linear_model_looks_at() -> None:
    """Probability = mean of a patch: pixels of the patch stand out, those far from it are alike."""

    def patch(batch: np.ndarray) -> np.ndarray:
        value = np.clip(batch[:, 2:6, 2:6].mean(axis=(1, 2, 3)), 0, 1)  # noise is out of range, images are not
        return np.stack([value, 1 - value], axis=1)

    adapter = CallableAdapter(patch, classes=("a", "b"), input_shape=(24, 24, 1), score="probability")
    batch = Batch.of(adapter, np.ones((1, 24, 24, 1), np.float32), np.array([0]))
    found = build([{"name": "rise", "masks": 3000, "cells": 6}])["rise"].explain(batch).raw[0]
    outside = found[12:, 12:]
    assert found[2:6, 2:6].min() > outside.max()
    assert abs(outside.mean() - 0.5) < 0.02  # the mean probability: masks there and at the patch are independent


def test_score_cam_by_hand() -> None:
    adapter = numpy_twin(dtype="float64")
    batch = Batch.of(adapter, images(3, "float64"), np.array([0, 1, 3]))
    found = explainers()["score_cam"]().explain_or_refuse(batch).raw
    arrays = {name: array.astype(float) for name, array in weights().items()}

    def probability(image: np.ndarray, target: int) -> float:
        features = np.maximum(image @ arrays["W1"] + arrays["b1"], 0)
        scores = features.mean(axis=(0, 1)) @ arrays["W2"] + arrays["b2"]
        return float(np.exp(scores[target]) / np.exp(scores).sum())

    for index, (image, target) in enumerate(zip(batch.images, batch.targets, strict=True)):
        features = np.maximum(image @ arrays["W1"] + arrays["b1"], 0)
        total = np.zeros(features.shape[:2])
        for channel in np.moveaxis(features, -1, 0):
            if np.ptp(channel) == 0:
                continue
            mask = (channel - channel.min()) / np.ptp(channel)
            empty = probability(np.zeros_like(image), target)
            total += (probability(mask[..., None] * image, target) - empty) * channel
        np.testing.assert_allclose(found[index], np.maximum(total, 0), atol=1e-12)


def test_score_cam_leaves_a_constant_channel_out() -> None:
    """A dead channel, and one that is the same everywhere, tell nothing of where."""
    arrays = weights()
    arrays["W1"][:, 0], arrays["b1"][0] = 0, -1  # dead
    arrays["W1"][:, 1], arrays["b1"][1] = 0, 5  # constant
    batch = images(2, "float64")
    adapters = [NumpyAdapter(arrays, batch.shape[1:], CLASSES, dtype="float64")]
    fewer = {name: np.delete(arrays[name], [0, 1], axis=axis) for name, axis in (("W1", 1), ("b1", 0), ("W2", 0))}
    fewer["b2"] = arrays["b2"] + 5 * arrays["W2"][1]
    adapters.append(NumpyAdapter(fewer, batch.shape[1:], CLASSES, dtype="float64"))
    maps = [explainers()["score_cam"]().explain(Batch.of(each, batch, np.array([0, 2]))).raw for each in adapters]
    np.testing.assert_allclose(maps[0], maps[1], atol=1e-6)  # the constant bias is single precision


@pytest.mark.torch
def test_score_cam_enlarges_a_small_layer() -> None:
    torch = pytest.importorskip("torch")
    from audit.models.loading import wrap_model

    torch.manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.ReLU(), torch.nn.MaxPool2d(2), torch.nn.Flatten(),
        torch.nn.Linear(64, 3),
    ).double()  # fmt: skip
    adapter = wrap_model(module, ("a", "b", "c"), input_shape=(8, 8, 3), dtype="float64", layer="2")
    batch = Batch.of(adapter, images(2, "float64", (8, 8, 3)), np.array([0, 2]))
    found = explainers()["score_cam"]().explain(batch).raw
    assert found.shape == (2, 4, 4)
    for index in range(2):
        inputs = torch.from_numpy(batch.images[index : index + 1]).permute(0, 3, 1, 2)
        with torch.no_grad():
            channels = module[:3](inputs)[0]
            masks = torch.nn.functional.interpolate(channels[None], (8, 8), mode="bilinear", align_corners=False)[0]
            low, high = masks.amin(dim=(1, 2), keepdim=True), masks.amax(dim=(1, 2), keepdim=True)
            scaled = ((masks - low) / (high - low))[:, None]
            target = int(batch.targets[index])
            values = module(scaled * inputs).softmax(dim=1)[:, target]
            empty = module(torch.zeros_like(inputs)).softmax(dim=1)[0, target]
            expected = ((values - empty)[:, None, None] * channels).sum(dim=0).relu()
        np.testing.assert_allclose(found[index], expected.numpy(), atol=1e-12)
    assert resize_map(found, (8, 8)).shape == (2, 8, 8)


def test_black_boxes_are_explained() -> None:
    """The same maps as of the same function with gradients."""
    known = sigmoid()
    box = CallableAdapter(
        lambda batch: known.scores(batch.astype(float)), classes=("no", "yes"), input_shape=SHAPE, head="sigmoid"
    )
    for entry in ({"name": "occlusion", "window": 3}, {"name": "rise", "masks": 20}):
        maps = []
        for adapter in (known, box):
            batch: Any = Batch.of(adapter, images(2, adapter.spec.dtype, SHAPE), "predicted", seed=1)
            (explainer,) = build([entry]).values()
            maps.append(explainer.explain_or_refuse(batch).raw)
        np.testing.assert_allclose(maps[1], maps[0], atol=1e-6)
