"""tf-explain's methods: its raw tensors are ours where its mathematics is right, and where it is not, that is shown."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
import pytest

pytest.importorskip("keras")
pytest.importorskip("tensorflow")
pytest.importorskip("tf_explain")

import keras
import tensorflow as tf
from tf_explain.core.activations import ExtractActivations
from tf_explain.core.grad_cam import GradCAM
from tf_explain.core.gradients_inputs import GradientsInputs
from tf_explain.core.integrated_gradients import IntegratedGradients
from tf_explain.core.occlusion_sensitivity import OcclusionSensitivity
from tf_explain.core.smoothgrad import SmoothGrad
from tf_explain.core.vanilla_gradients import VanillaGradients

from audit.errors import ModelError
from audit.explanations.explainer import Batch
from audit.explanations.maps import Maps
from audit.explanations.registry import build, explainers
from audit.explanations.tf_explain_backend import TfExplainModel
from audit.explanations.tf_explain_methods import TF_EXPLAIN
from audit.models.adapter import Copies
from audit.models.loading import wrap_model
from tests.explanations.keras_models import SHAPE, functional, logits, nested, reused, sequential
from tests.models.twins import images, numpy_twin

pytestmark = pytest.mark.tensorflow

OURS = {
    "saliency": "tf_explain_vanilla_gradients",
    "gradient_x_input": "tf_explain_gradients_inputs",
    "grad_cam": "tf_explain_grad_cam",
    "integrated_gradients": "tf_explain_integrated_gradients",
    "smooth_grad": "tf_explain_smooth_grad",
    "occlusion": "tf_explain_occlusion",
}
SETTINGS: dict[str, dict[str, Any]] = {
    "integrated_gradients": {"steps": 6, "max_steps": 42, "tolerance": 0.002},
    "smooth_grad": {"copies": 5},
    "occlusion": {"window": 5, "stride": 3},
}


def adapted(model: Any, classes: str = "abcd", micro_batch: int = 4, **options: Any) -> Any:
    return wrap_model(model, tuple(classes), micro_batch=micro_batch, **options)


@cache
def traced(network: Callable[[], Any]) -> tuple[Any, Any]:
    """A network and its adapter, for the tests that change neither: tracing is what takes the time."""
    model = network()
    return model, adapted(model)


def drawn(name: str, batch: Batch, **settings: Any) -> Maps:
    (method,) = build([{"name": name, **settings}]).values()
    return method.explain_or_refuse(batch)


def close(found: np.ndarray, expected: np.ndarray, share: float = 1e-5) -> None:
    np.testing.assert_allclose(found, expected, rtol=0, atol=share * np.abs(expected).max())


def differ(found: np.ndarray, expected: np.ndarray, share: float = 0.1) -> None:
    assert np.abs(found - expected).max() > share * np.abs(expected).max()


@contextmanager
def quiet() -> Iterator[None]:
    """Keras complains about the lists in which tf-explain packs inputs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


def test_every_method_is_registered_and_says_what_was_corrected() -> None:
    known = explainers()
    assert {kind.name for kind in TF_EXPLAIN} == {*OURS.values(), "tf_explain_activations"}
    for kind in TF_EXPLAIN:
        assert known[kind.name] is kind
        assert (kind.provider, kind.frameworks) == ("tf-explain", frozenset({"keras"}))
        assert "corrected: " in kind.definition
    assert "does not depend on the class" in known["tf_explain_activations"].definition


# --- equal to ours -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("network", [sequential, functional, logits])
def test_maps_are_ours_image_by_image(network: Any) -> None:
    _, adapter = traced(network)
    batch = Batch.of(adapter, images(7, shape=SHAPE), np.arange(7) % 4, seed=5)
    for ours, theirs in OURS.items():
        settings = SETTINGS.get(ours, {})
        expected, found = drawn(ours, batch, **settings), drawn(theirs, batch, **settings)
        close(found.raw, expected.raw)
        assert found.status is None or list(found.status) == list(expected.status)  # type: ignore[arg-type]
        for measure, values in expected.measures.items():
            np.testing.assert_allclose(found.measures[measure], values, atol=1e-5)
    layer = adapter.activations(batch.images, "last")
    close(drawn("tf_explain_activations", batch).raw, np.abs(layer).mean(axis=3))


@pytest.mark.parametrize("micro_batch", [1, 64])
def test_maps_do_not_depend_on_the_micro_batch(micro_batch: int) -> None:
    given = images(5, shape=SHAPE)
    model, adapter = traced(functional)
    one, other = (Batch.of(each, given, "predicted") for each in (adapter, adapted(model, micro_batch=micro_batch)))
    for ours, theirs in OURS.items():
        settings = SETTINGS.get(ours, {})
        close(drawn(theirs, other, **settings).raw, drawn(theirs, one, **settings).raw)
    close(drawn("tf_explain_activations", other).raw, drawn("tf_explain_activations", one).raw)


def test_a_sum_over_copies_keeps_every_part_of_a_copy() -> None:
    adapter = adapted(functional(), micro_batch=3)
    rng = np.random.default_rng(1)
    given, targets = images(4, shape=SHAPE), np.array([3, 0, 0, 1])
    copies = Copies(
        weights=np.array([0.5, -1.0, 2.0, 0.25]),
        scales=np.array([1.0, 0.4, 0.7, 0.1]),
        baseline=rng.uniform(-1, 1, SHAPE),
        offsets=rng.normal(0, 0.1, (4, *SHAPE)),
        strength=rng.uniform(0.5, 2, 4),
    )
    expected, found = (each.gradient_sum(given, targets, copies) for each in (adapter, TfExplainModel(adapter)))
    close(found.total, expected.total)
    close(found.explained, expected.explained)


def test_raw_tensors_are_ours_where_the_mathematics_is_right() -> None:
    model, adapter = traced(functional)
    given = images(3, shape=SHAPE)
    done = adapter.gradient_pass(given, np.full(3, 2), ["last"])
    with quiet():
        scored = keras.Model(model.inputs, model.layers[-1].input)
        gradient = VanillaGradients.compute_gradients(tf.constant(given), scored, 2).numpy()
        product = GradientsInputs.compute_gradients(tf.constant(given), scored, 2).numpy()
        cams = their_cams(scored, given, 2, guided=False)
    close(gradient, done.input_gradient)
    close(product, done.input_gradient * given)
    close(cams, done.cams["last"].grad_cam)


def test_shuffled_weights_are_seen_and_come_back() -> None:
    _, adapter = traced(functional)
    batch = Batch.of(adapter, images(2, shape=SHAPE), np.array([0, 1]))
    for name in OURS.values():
        settings = {"window": 8} if name == "tf_explain_occlusion" else {}
        before = drawn(name, batch, **settings).raw
        with adapter.randomised(list(adapter.weights()), seed=0):
            differ(drawn(name, Batch.of(adapter, batch.images, batch.targets), **settings).raw, before)
        np.testing.assert_array_equal(drawn(name, batch, **settings).raw, before)


# --- cost, memory, refusals --------------------------------------------------------------------------------------


def test_cost_is_what_was_announced() -> None:
    _, adapter = traced(functional)
    batch = Batch.of(adapter, images(7, shape=SHAPE), "predicted")
    for kind in TF_EXPLAIN:
        method, before = kind(), adapter.used
        status = method.explain(batch).status
        spent = adapter.used - before
        assert status is None or (status == "ok").all()
        # Integrated gradients forward one baseline, which the adapter's own passes would fill up.
        assert spent == 7 * method.least(adapter.spec) + (1 if kind.name == OURS["integrated_gradients"] else 0)
    assert explainers()[OURS["occlusion"]]().least(adapter.spec) == 11 * 11


def test_short_memory_halves_the_micro_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    given = images(5, shape=SHAPE)
    model = functional()
    expected = Batch.of(adapted(model), given, np.zeros(5, int))
    adapter = adapted(model, micro_batch=16)
    batch = Batch.of(adapter, given, np.zeros(5, int))
    whole, most = TfExplainModel._function, 3

    def short(self: TfExplainModel, name: str, *arguments: str) -> Any:
        function = whole(self, name, *arguments)

        def run(rows: tf.Tensor, *rest: tf.Tensor) -> Any:
            if len(rows) > most:
                raise tf.errors.ResourceExhaustedError(None, None, "out of memory")
            return function(rows, *rest)

        return run

    monkeypatch.setattr(TfExplainModel, "_function", short)
    for name in (OURS["saliency"], OURS["smooth_grad"], OURS["grad_cam"]):
        adapter.micro_batch = 16
        found = drawn(name, batch).raw
        assert adapter.micro_batch == 2
        monkeypatch.setattr(TfExplainModel, "_function", whole)
        close(found, drawn(name, expected).raw)
        monkeypatch.setattr(TfExplainModel, "_function", short)
    most = 0
    with pytest.raises(ModelError, match="memory does not suffice for a single image"):
        drawn(OURS["saliency"], batch)


@pytest.mark.parametrize("name", [OURS["grad_cam"], "tf_explain_activations"])
@pytest.mark.parametrize(
    ("network", "options", "reason"),
    [
        (nested, {}, "layer 'base' is itself a nested model"),
        (nested, {"layer": "last"}, "layer 'last' lies inside a nested model"),
        (reused, {}, "layer 'twice' runs more than once"),
    ],
)
def test_layers_out_of_reach_are_refused(network: Any, options: dict[str, str], reason: str, name: str) -> None:
    batch = Batch.of(adapted(network(), **options), images(1, shape=SHAPE), "predicted")
    with pytest.raises(ModelError, match=reason):
        drawn(name, batch)


def test_other_models_and_too_many_windows_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    twin = numpy_twin()
    for kind in TF_EXPLAIN:
        assert "for keras only, the model is numpy" in str(kind().refusal(twin.spec))
    with pytest.raises(ModelError, match="explains Keras models, not numpy"):
        TfExplainModel(twin)
    spec = adapted(sequential(shape=(128, 16, 3))).spec
    (method,) = build([{"name": OURS["occlusion"], "window": 2, "stride": 1}]).values()
    assert "goes through 127 x 15 windows" in str(method.refusal(spec))
    (fewer,) = build([{"name": OURS["occlusion"], "window": 2, "stride": 2}]).values()
    assert fewer.refusal(spec) is None
    monkeypatch.setattr("audit.explanations.tf_explain_methods.find_spec", lambda name: None if name == "cv2" else 1)
    assert "needs OpenCV: pip install 'faircam[tensorflow]'" in str(method.refusal(spec))


# --- where tf-explain's own result is wrong ----------------------------------------------------------------------


def test_their_gradients_of_a_dense_softmax_are_of_the_probability() -> None:
    """The slope of p_t is p_t (g_t - sum_k p_k g_k): small where the model is sure, and mixed with the other classes."""
    model, adapter = traced(sequential)
    given = images(3, shape=SHAPE)
    passes = [adapter.gradient_pass(given, np.full(3, k)) for k in range(4)]
    powers = np.exp(passes[0].scores)
    p = (powers / powers.sum(axis=1, keepdims=True))[:, :, None, None, None]
    mixed = sum(p[:, k] * passes[k].input_gradient for k in range(4))
    with pytest.warns(UserWarning, match="Unsupported model architecture"):
        scored = VanillaGradients().get_score_model(model)
    theirs = VanillaGradients.compute_gradients(tf.constant(given), scored, 1).numpy()
    close(theirs, p[:, 1] * (passes[1].input_gradient - mixed))
    differ(theirs, passes[1].input_gradient)
    batch = Batch.of(adapter, given, np.full(3, 1))
    close(drawn(OURS["saliency"], batch).raw, np.abs(passes[1].input_gradient).max(axis=3))


@pytest.mark.parametrize("method", [VanillaGradients, GradientsInputs, IntegratedGradients, SmoothGrad])
def test_their_pictures_depend_on_batch_mates(method: Any) -> None:
    model = functional()
    calm, loud = images(1, shape=SHAPE), 5 * images(1, shape=SHAPE)[:, ::-1]
    grids = []
    with quiet():
        for mates in ([calm] * 4, [calm, loud, loud, loud]):
            np.random.seed(0)  # noqa: NPY002 - tf-explain's noise comes from here
            grids.append(method().explain((np.concatenate(mates), None), model, 0))
    assert grids[0].dtype == np.uint8
    alone, among = (grid[: SHAPE[0], : SHAPE[1]] for grid in grids)
    assert (alone != among)[alone > 0].mean() > 0.9
    own = {
        VanillaGradients: "saliency",
        GradientsInputs: "gradient_x_input",
        IntegratedGradients: "integrated_gradients",
        SmoothGrad: "smooth_grad",
    }
    adapter = adapted(model)
    alone, among = (
        drawn(OURS[own[method]], Batch.of(adapter, np.concatenate(mates), np.zeros(len(mates), int))).raw[0]
        for mates in ([calm], [calm, loud, loud, loud])
    )
    close(among, alone)


def test_their_integrated_gradients_are_not_complete() -> None:
    model, adapter = traced(functional)
    given = images(4, shape=SHAPE) + 1
    difference = adapter.scores(given)[:, 0] - adapter.scores(np.zeros_like(given))[:, 0]
    with quiet():
        scored = keras.Model(model.inputs, model.layers[-1].input)
        paths = tf.constant(IntegratedGradients.generate_interpolations(given, 64), tf.float32)
        theirs = IntegratedGradients.get_integrated_gradients(paths, scored, 0, 64).numpy()
    without, mended = theirs.sum(axis=(1, 2, 3)), (theirs * given).sum(axis=(1, 2, 3))
    assert np.abs(without / difference - 1).min() > 0.1
    assert np.abs(mended / difference - 1).max() < 0.05  # the factor is what was missing
    found = drawn(OURS["integrated_gradients"], Batch.of(adapter, given, np.zeros(4, int)))
    assert np.abs(found.raw.sum(axis=(1, 2)) / difference - 1).max() < 0.01
    assert (found.measures["completeness"] <= 0.01).all()


def test_their_path_counts_both_ends_whole() -> None:
    """Of a cubic score the gradient along the path is 3 a^2 x^2: its mean is 1 x^2, with ten equal nodes 1.0556 x^2."""
    image = keras.Input((4, 4, 1))
    cubed = keras.layers.Multiply()([image, image, image])
    dense = keras.layers.Dense(2, kernel_initializer="ones")
    model = keras.Model(image, dense(keras.layers.Flatten()(cubed)))
    given = images(2, shape=(4, 4, 1))
    with quiet():
        paths = tf.constant(IntegratedGradients.generate_interpolations(given, 10), tf.float32)
        theirs = IntegratedGradients.get_integrated_gradients(paths, model, 0, 10).numpy() * given
    close(theirs, given**3 * 3 * 285 / 810)
    found = drawn(OURS["integrated_gradients"], Batch.of(adapted(model, "ab"), given, np.zeros(2, int)), steps=2)
    close(found.raw, given[..., 0] ** 3)


def test_their_smooth_grad_is_of_the_cross_entropy() -> None:
    """Its gradient is sum_k p_k g_k - g_t, which goes down where the score goes up and holds every other class."""
    model, adapter = traced(functional)
    given = images(1, shape=SHAPE)
    noise = np.random.default_rng([0, 1]).normal(size=(6, *SHAPE))
    copies = (given + 0.1 * np.ptp(given) * noise).astype(np.float32)
    passes = [adapter.gradient_pass(copies, np.full(6, k)) for k in range(4)]
    powers = np.exp(passes[0].scores)
    p = (powers / powers.sum(axis=1, keepdims=True))[:, :, None, None, None]
    mixed = sum(p[:, k] * passes[k].input_gradient for k in range(4))
    score = passes[2].input_gradient.mean(axis=0)
    with quiet():
        theirs = SmoothGrad.get_averaged_gradients(tf.constant(copies), model, 2, 6).numpy()[0]
    close(theirs, (mixed - passes[2].input_gradient).mean(axis=0), 1e-4)
    differ(np.abs(theirs).max(axis=2), np.abs(score).max(axis=2))
    found = drawn(OURS["smooth_grad"], Batch.of(adapter, given, np.array([2])), copies=6).raw[0]
    close(found, np.abs(score).max(axis=2))


def test_their_grad_cam_masks_gradients_and_has_no_relu() -> None:
    model, adapter = traced(functional)
    given = images(4, shape=SHAPE)
    with quiet():
        scored = keras.Model(model.inputs, model.layers[-1].input)
        plain, guided = (their_cams(scored, given, 1, guided=guided) for guided in (False, True))
    assert plain.min() < -0.1 * plain.max()
    differ(np.maximum(guided, 0), np.maximum(plain, 0))
    found = drawn(OURS["grad_cam"], Batch.of(adapter, given, np.full(4, 1))).raw
    assert found.min() == 0
    close(found, np.maximum(plain, 0))


def test_their_grad_cam_and_smooth_grad_do_not_run_a_sequential() -> None:
    model = sequential()
    given = images(1, shape=SHAPE)
    with pytest.raises(AttributeError, match="never been called"):
        GradCAM.get_gradients_and_filters(model, tf.constant(given), "last", 0, False)
    with pytest.raises(AttributeError, match="never been called"):
        SmoothGrad.get_averaged_gradients(tf.constant(given), model, 0, 1)
    with pytest.raises(AttributeError, match="output_shape"):
        GradCAM().explain((given, None), functional(), 0)
    batch = Batch.of(adapted(model), given, "predicted")
    for ours in ("grad_cam", "smooth_grad"):
        close(drawn(OURS[ours], batch).raw, drawn(ours, batch).raw)


def test_their_occlusion_is_not_a_drop() -> None:
    """A model that gives everybody one quarter: hiding changes nothing, and 1 - p is three quarters."""
    model = functional()
    model.layers[-2].kernel.assign(np.zeros(model.layers[-2].kernel.shape))
    given = images(1, shape=SHAPE)
    np.testing.assert_allclose(their_occlusion(model, given[0], 4), 0.75, atol=1e-6)
    found = drawn(OURS["occlusion"], Batch.of(adapted(model), given, np.array([0])), window=4).raw
    np.testing.assert_allclose(found, 0, atol=1e-7)


def test_their_occlusion_fills_with_a_byte_whatever_the_scale() -> None:
    """In a grey image a grey window hides nothing."""
    model = functional()
    grey = np.full((1, *SHAPE), 0.3, np.float32)
    theirs = their_occlusion(model, grey[0], 4)
    assert np.ptp(theirs) > 0.5
    batch = Batch.of(adapted(model), grey, np.array([0]))
    np.testing.assert_allclose(drawn(OURS["occlusion"], batch, window=4).raw, 0, atol=1e-6)
    assert np.abs(drawn(OURS["occlusion"], batch, window=4, fill="zero").raw).max() > 1e-4


def test_their_occlusion_is_wrong_where_an_image_is_not_square() -> None:
    """A model that reads columns 8 to 11 of 12: a loop over the 8 rows never hides them."""
    image = keras.Input((8, 12, 1))
    right = keras.layers.Cropping2D(((0, 0), (8, 0)))(image)
    dense = keras.layers.Dense(1, kernel_initializer="ones", activation="sigmoid")
    model = keras.Model(image, dense(keras.layers.Flatten()(right)))
    given = np.full((1, 8, 12, 1), 0.02, np.float32)
    theirs = their_occlusion(model, given[0], 4)
    assert theirs.shape == (12, 8)
    assert np.ptp(theirs) == 0
    batch = Batch.of(adapted(model, "ab", head="sigmoid"), given, np.array([1]))
    found = drawn(OURS["occlusion"], batch, window=4, stride=4, fill="zero").raw[0]
    assert found.shape == (8, 12)
    np.testing.assert_array_equal(found[:, :8], 0)
    full, half = (1 / (1 + np.exp(-0.02 * count)) for count in (32, 16))
    np.testing.assert_allclose(found[:, 8:], full - half, atol=1e-6)


def test_their_activations_are_scaled_over_the_batch() -> None:
    model = functional()
    calm, loud = images(1, shape=SHAPE), 5 * images(1, shape=SHAPE)[:, ::-1]
    with quiet():
        alone, among = (
            ExtractActivations().explain((np.concatenate(mates), None), model, ["last"])[:6, :6]
            for mates in ([calm], [calm, loud])
        )
    assert alone.dtype == np.uint8
    assert (alone != among).any()
    adapter = adapted(model)
    one = drawn("tf_explain_activations", Batch.of(adapter, calm, np.array([0]))).raw
    two = drawn("tf_explain_activations", Batch.of(adapter, np.concatenate([calm, loud]), np.array([3, 0]))).raw
    close(two[:1], one)  # neither batch mates nor the target matter


def their_cams(model: Any, given: np.ndarray, target: int, guided: bool) -> np.ndarray:
    """tf-explain's Grad-CAM, run as a graph: run eagerly it can crash in oneDNN."""

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def run(rows: tf.Tensor) -> Any:
        return GradCAM.get_gradients_and_filters(model, rows, "last", target, guided)

    outputs, gradients = run(tf.constant(given))
    return np.stack([cam.numpy() for cam in GradCAM.generate_ponderated_output(outputs, gradients)])


def their_occlusion(model: Any, image: np.ndarray, patch: int) -> np.ndarray:
    return np.asarray(OcclusionSensitivity().get_sensitivity_map(model, image, 0, patch))
