"""Maps of the shared pass against values derived by hand; resizing against the frameworks' own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from audit.errors import InputError, ModelError
from audit.explanations import Batch, explainers, resize_map
from audit.explanations.maps import Maps
from audit.models.numpy_adapter import NumpyAdapter
from tests.models.twins import images, numpy_twin

HAND = {"W1": np.eye(2), "b1": np.zeros(2), "W2": np.array([[2.0, 0.0], [-1.0, 3.0]]), "b2": np.zeros(2)}
IMAGE = np.array([[[[1.0, -1.0], [3.0, 5.0]]]])
CAMS = ("grad_cam", "grad_cam_pp", "hires_cam", "layer_cam")


def maps(method: str, target: int = 0) -> np.ndarray:
    adapter = NumpyAdapter(HAND, (1, 2, 2), ("no", "yes"), dtype="float64")
    batch = Batch.of(adapter, IMAGE, np.array([target]), cams=CAMS)
    return explainers()[method]().explain_or_refuse(batch).raw


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        # The input gradient of class 0 is [[1, 0], [1, -.5]]: W2's column over two pixels, where x > 0.
        ("saliency", [1.0, 1.0]),
        ("gradient_x_input", [1.0, 0.5]),
        # Activations [[1, 0], [3, 5]], gradient [1, -.5] at both pixels: 1*1 = 1, and 3*1 - 5*.5 = .5.
        ("grad_cam", [1.0, 0.5]),
        ("hires_cam", [1.0, 0.5]),  # the same, since the gradient is the same everywhere
        ("layer_cam", [1.0, 3.0]),  # only the positive gradient counts
        # The first channel sums to 4: weight 2 * 1 / (2 + 1 * 4) = 1/3; the second has no positive gradient.
        ("grad_cam_pp", [1 / 3, 1.0]),
    ],
)
def test_maps_by_hand(method: str, expected: list[float]) -> None:
    np.testing.assert_allclose(maps(method), [[expected]], rtol=1e-14)


def test_grad_cam_pp_of_two_channels_by_hand() -> None:
    # Class 1: gradient [0, 1.5]; the second channel sums to 5: weight 2 * 1.5 / (2 + 1.5 * 5) = 6/19.
    np.testing.assert_allclose(maps("grad_cam_pp", 1), [[[0.0, 5 * 6 / 19]]], rtol=1e-14)
    np.testing.assert_allclose(maps("saliency", 1), [[[0.0, 1.5]]], rtol=1e-14)


def test_cams_are_cut_at_zero_and_saliency_is_absolute() -> None:
    batch = Batch.of(numpy_twin(), images(), "predicted", cams=CAMS)
    for kind in CAMS:
        raw = batch.gradients.cams["features"].maps[kind]
        np.testing.assert_array_equal(explainers()[kind]().explain(batch).raw, np.maximum(raw, 0))
    assert (batch.gradients.cams["features"].grad_cam < 0).any()
    saliency = explainers()["saliency"]().explain(batch).raw
    np.testing.assert_array_equal(saliency, np.abs(batch.gradients.input_gradient).max(axis=3))


def test_gradient_x_input_of_a_piecewise_linear_model_is_complete() -> None:
    """Without biases a ReLU network is homogeneous: the map sums to the score (Euler)."""
    weights = HAND | {"W2": np.array([[2.0, 0.5], [-1.0, 3.0]])}
    adapter = NumpyAdapter(weights, (6, 5, 2), ("no", "yes"), dtype="float64")
    batch = Batch.of(adapter, images(shape=(6, 5, 2), dtype="float64"), "predicted")
    found = explainers()["gradient_x_input"]().explain(batch).raw
    np.testing.assert_allclose(found.sum(axis=(1, 2)), batch.gradients.explained, atol=1e-12)


def test_a_map_that_the_shared_pass_does_not_hold_is_named() -> None:
    batch = Batch.of(numpy_twin(), images(), "predicted", cams=("grad_cam",))
    with pytest.raises(InputError, match="holds no hires_cam of layer 'features', only {'features': \\['grad_cam'\\]}"):
        explainers()["hires_cam"]().explain(batch)


def test_status_of_each_image() -> None:
    raw = np.zeros((3, 2, 2))
    raw[1, 0, 0] = np.nan
    found = Maps(raw, status=np.array(["ok", "ok", "not_converged"]))
    assert [found.status_of(index) for index in range(3)] == ["ok", "nonfinite", "not_converged"]
    assert Maps(raw).status_of(0) == "ok"
    raw[0, 0, 0] = np.inf
    assert Maps(raw).status_of(0) == "nonfinite"


def test_a_target_out_of_range_is_refused() -> None:
    with pytest.raises(InputError, match="targets reach from 0 to 4, allowed: 0 to 3"):
        Batch.of(numpy_twin(), images(2), np.array([0, 4]))


def test_a_batch_without_gradients_says_so() -> None:
    batch = replace(Batch.of(numpy_twin(), images(1), np.array([0])), shared=None)
    with pytest.raises(ModelError, match="gives scores but no gradients"):
        explainers()["saliency"]().explain(batch)


def test_resize_by_hand() -> None:
    # Two pixels to four: centres at -.25, .25, .75, 1.25 of the old ones, edges held.
    np.testing.assert_allclose(resize_map(np.array([[0.0, 4.0]]), (1, 4)), [[0.0, 1.0, 3.0, 4.0]])
    np.testing.assert_allclose(resize_map(np.array([[0.0, 4.0]]), (1, 1)), [[2.0]])


def test_resize_keeps_constants_and_size() -> None:
    raw = np.full((2, 3, 4), 1.5, np.float32)
    np.testing.assert_allclose(resize_map(raw, (11, 7)), np.full((2, 11, 7), 1.5), rtol=1e-6)
    assert resize_map(raw, (3, 4)) is raw
    assert resize_map(raw, (5, 5)).dtype == np.float32


@pytest.mark.torch
@pytest.mark.parametrize("size", [(7, 9), (224, 224), (14, 3), (5, 5)])
def test_resize_equals_pytorch(size: tuple[int, int]) -> None:
    torch = pytest.importorskip("torch")
    raw = np.random.default_rng(0).normal(size=(2, 7, 5))
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(raw)[:, None], size, mode="bilinear", align_corners=False
    )
    np.testing.assert_allclose(resize_map(raw, size), expected[:, 0].numpy(), atol=1e-12)
