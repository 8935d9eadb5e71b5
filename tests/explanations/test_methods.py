"""The maps against values derived by hand; resizing against the frameworks' own."""

from __future__ import annotations

import numpy as np
import pytest

from audit.errors import InputError
from audit.explanations.methods import METHODS, get_method, resize_map
from audit.models.numpy_adapter import NumpyAdapter
from tests.models.twins import images, numpy_twin

HAND = {"W1": np.eye(2), "b1": np.zeros(2), "W2": np.array([[2.0, 0.0], [-1.0, 3.0]]), "b2": np.zeros(2)}
IMAGE = np.array([[[[1.0, -1.0], [3.0, 5.0]]]])


def maps(method: str) -> np.ndarray:
    adapter = NumpyAdapter(HAND, (1, 2, 2), ("no", "yes"), dtype="float64")
    done = adapter.gradient_pass(IMAGE, np.array([0]), ["features"])
    found = METHODS[method].maps(done, IMAGE, "features")
    assert found is not None
    return found


def test_maps_by_hand() -> None:
    # The input gradient of class 0 is [[1, 0], [1, -.5]]: W2's column over two pixels, where x > 0.
    np.testing.assert_allclose(maps("saliency"), [[[1.0, 1.0]]])
    np.testing.assert_allclose(maps("gradient_x_input"), [[[1.0, 0.5]]])
    # weights [1, -.5]: 1*1 = 1, and 3*1 - 5*.5 = .5
    np.testing.assert_allclose(maps("grad_cam"), [[[1.0, 0.5]]])


def test_grad_cam_is_cut_at_zero_and_saliency_is_absolute() -> None:
    adapter = numpy_twin()
    done = adapter.gradient_pass(images(), "predicted", ["features"])
    raw = done.cams["features"].grad_cam
    assert (raw < 0).any()
    np.testing.assert_array_equal(METHODS["grad_cam"].maps(done, images(), "features"), np.maximum(raw, 0))
    saliency = METHODS["saliency"].maps(done, images(), None)
    np.testing.assert_array_equal(saliency, np.abs(done.input_gradient).max(axis=3))


def test_gradient_x_input_of_a_piecewise_linear_model_is_complete() -> None:
    """Without biases a ReLU network is homogeneous: the map sums to the score (Euler)."""
    weights = HAND | {"W2": np.array([[2.0, 0.5], [-1.0, 3.0]])}
    adapter = NumpyAdapter(weights, (6, 5, 2), ("no", "yes"), dtype="float64")
    batch = images(shape=(6, 5, 2), dtype="float64")
    done = adapter.gradient_pass(batch, "predicted")
    found = METHODS["gradient_x_input"].maps(done, batch, None)
    assert found is not None
    np.testing.assert_allclose(found.sum(axis=(1, 2)), done.explained, atol=1e-12)


def test_without_a_layer_grad_cam_is_none() -> None:
    done = numpy_twin().gradient_pass(images(), "predicted")
    assert METHODS["grad_cam"].maps(done, images(), None) is None
    with pytest.raises(InputError, match="holds nothing of layer 'features'"):
        METHODS["grad_cam"].maps(done, images(), "features")


def test_an_unknown_method_is_named() -> None:
    with pytest.raises(InputError, match="Did you mean 'grad_cam'"):
        get_method("gradcam")


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
