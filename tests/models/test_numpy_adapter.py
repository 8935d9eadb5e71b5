"""The NumPy adapter against values derived by hand, and against what the seam promises."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from audit.errors import InputError, ModelError
from audit.models.adapter import predicted, probabilities
from audit.models.numpy_adapter import NumpyAdapter, load_npz
from audit.testing import check_adapter
from tests.models.twins import SHAPE, images, numpy_twin, weights

# One row of two pixels with two channels; W1 passes the channels on, so A = relu(x).
HAND = {"W1": np.eye(2), "b1": np.zeros(2), "W2": np.array([[2.0, 0.0], [1.0, 3.0]]), "b2": np.array([0.0, 1.0])}
IMAGE = np.array([[[[1.0, -1.0], [3.0, 5.0]]]])


def hand() -> NumpyAdapter:
    return NumpyAdapter(HAND, (1, 2, 2), ("no", "yes"), dtype="float64")


def test_scores_by_hand() -> None:
    # A = [[1, 0], [3, 5]], pooled = [2, 2.5], logits = [2*2 + 2.5*1, 2.5*3 + 1]
    np.testing.assert_allclose(hand().scores(IMAGE), [[6.5, 8.5]])


def test_gradient_and_cam_by_hand() -> None:
    done = hand().gradient_pass(IMAGE, np.array([0]), ["features"])
    # d z0 / dA = [2, 1] / 2 pixels; the negative second channel of the first pixel passes nothing.
    np.testing.assert_allclose(done.input_gradient, [[[[1.0, 0.0], [1.0, 0.5]]]])
    # weights [1, .5]: pixel 1 has 1*1 + .5*0, pixel 2 has 1*3 + .5*5
    np.testing.assert_allclose(done.cams["features"].grad_cam, [[[1.0, 5.5]]])
    np.testing.assert_allclose(done.explained, [6.5])


def test_predicted_is_resolved_inside_the_pass() -> None:
    assert hand().gradient_pass(IMAGE, "predicted").targets.tolist() == [1]


def test_one_sigmoid_output_explains_both_classes() -> None:
    adapter = numpy_twin(1, head="sigmoid")
    yes, no = (adapter.gradient_pass(images(), np.full(7, target), ["features"]) for target in (1, 0))
    np.testing.assert_array_equal(yes.explained, adapter.scores(images())[:, 0])
    np.testing.assert_array_equal(no.explained, -yes.explained)
    np.testing.assert_array_equal(no.input_gradient, -yes.input_gradient)
    np.testing.assert_array_equal(no.cams["features"].grad_cam, -yes.cams["features"].grad_cam)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("outputs", "head"), [(4, "softmax"), (1, "sigmoid"), (4, "sigmoid")])
def test_keeps_the_seam(outputs: int, head: str, dtype: str) -> None:
    done = check_adapter(numpy_twin(outputs, head=head, dtype=dtype, micro_batch=2))
    assert {"slopes", "batches", "cams", "predicts"} <= set(done)


def test_any_micro_batch_gives_the_whole() -> None:
    whole = numpy_twin(dtype="float64", micro_batch=100).gradient_pass(images(), "predicted", ["features"])
    for size in (1, 2, 3):
        part = numpy_twin(dtype="float64", micro_batch=size).gradient_pass(images(), "predicted", ["features"])
        np.testing.assert_allclose(part.input_gradient, whole.input_gradient, atol=1e-12)
        np.testing.assert_allclose(part.cams["features"].grad_cam, whole.cams["features"].grad_cam, atol=1e-12)


def test_probabilities_of_each_head() -> None:
    soft = numpy_twin()
    scores = np.array([[0.0, np.log(3.0), 0.0, 0.0]])
    np.testing.assert_allclose(probabilities(soft.spec, scores), [[1 / 6, 1 / 2, 1 / 6, 1 / 6]])
    single = numpy_twin(1, head="sigmoid")
    np.testing.assert_allclose(probabilities(single.spec, np.array([[np.log(4.0)]])), [[0.2, 0.8]])
    assert predicted(single.spec, np.array([[-0.1], [0.0], [0.1]])).tolist() == [0, 0, 1]
    several = numpy_twin(head="sigmoid")
    np.testing.assert_allclose(probabilities(several.spec, np.zeros((1, 4))), [[0.5, 0.5, 0.5, 0.5]])
    extreme = probabilities(several.spec, np.array([[-1000.0, 1000.0, 0.0, 0.0]]))
    np.testing.assert_allclose(extreme, [[0.0, 1.0, 0.5, 0.5]])


def test_weights_from_a_file(tmp_path: Path) -> None:
    np.savez(tmp_path / "model.npz", input_shape=SHAPE, **weights())
    arrays, shape = load_npz(tmp_path / "model.npz")
    assert shape == SHAPE
    adapter = NumpyAdapter(arrays, shape, ("a", "b", "c", "d"))
    np.testing.assert_array_equal(adapter.scores(images()), numpy_twin().scores(images()))


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "is no NumPy archive"), (b"no archive", "is no NumPy archive"), (None, "no such file")],
)
def test_a_broken_file_is_named(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "model.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match=message):
        load_npz(path)


def test_missing_arrays_are_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "model.npz", W1=np.eye(2))
    with pytest.raises(ModelError, match=r"lacks the arrays \['b1', 'W2', 'b2'\]"):
        load_npz(tmp_path / "model.npz")


def test_weights_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ModelError, match="expected W1"):
        NumpyAdapter(weights(), (6, 5, 1), ("a", "b", "c", "d"))
    with pytest.raises(ModelError, match="has 4 outputs, but 2 classes are declared: a, b"):
        NumpyAdapter(weights(), SHAPE, ("a", "b"))


def test_errors_say_what_is_allowed() -> None:
    adapter = numpy_twin()
    with pytest.raises(InputError, match=r"takes \(N, 6, 5, 3\)"):
        adapter.scores(images()[:, :, :, :1])
    with pytest.raises(InputError, match="allowed: 0 to 3"):
        adapter.gradient_pass(images(), np.full(7, 9))
    with pytest.raises(ModelError, match="Did you mean 'features'"):
        adapter.gradient_pass(images(), "predicted", ["feature"])
