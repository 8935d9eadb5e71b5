"""tf-explain as a second opinion on the same Keras models; what it cannot do is said."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

pytest.importorskip("keras")
pytest.importorskip("tensorflow")
pytest.importorskip("tf_explain")

import keras

from audit.errors import InputError, ModelError
from audit.explanations.crosscheck import cross_check
from audit.explanations.explainer import Batch
from audit.explanations.path_methods import IntegratedGradients, SmoothGrad
from audit.explanations.perturbation_methods import Occlusion
from audit.explanations.registry import build
from audit.explanations.tf_explain_provider import opened
from audit.models.loading import wrap_model
from tests.explanations.keras_models import SHAPE, Subclassed, functional, logits, nested, reused, sequential
from tests.models.twins import images

pytestmark = pytest.mark.tensorflow

METHODS = ("saliency", "gradient_x_input", "grad_cam", "integrated_gradients", "occlusion")


def batch_of(model: Any, classes: str = "abcd", **options: Any) -> Batch:
    adapter = wrap_model(model, tuple(classes), input_shape=SHAPE, micro_batch=4, **options)
    given = images(4, options.get("dtype", "float32"), SHAPE)
    return Batch.of(adapter, given, np.arange(4) % len(classes))


@cache
def functional_batch() -> Batch:
    return batch_of(functional())


def checks(model: Any, classes: str = "abcd", methods: tuple[str, ...] = METHODS, **options: Any) -> list[Any]:
    batch = batch_of(model, classes, **options)
    drawn = {name: list(method.explain(batch).raw) for name, method in build(methods).items()}
    return cross_check(batch.adapter, batch.images, batch.targets, drawn)


@pytest.mark.parametrize("network", [sequential, functional, logits])
def test_equal_up_to_rounding(network: Any) -> None:
    model = network()
    before = model.predict(images(2, shape=SHAPE), verbose=0)
    found = checks(model)
    assert len(found) == 4 * len(METHODS)
    for check in found:
        assert (check.status, check.provider) == ("ok", "tf-explain"), check.note
        assert check.max_difference < 1e-5
        assert check.spearman is None or check.spearman > 0.9999  # none where a map is zero everywhere
        assert "corrected:" in check.note
    assert sum(check.spearman is None for check in found) < 3
    np.testing.assert_array_equal(model.predict(images(2, shape=SHAPE), verbose=0), before)


@pytest.mark.parametrize(("end", "score"), [("sigmoid", "auto"), ("sigmoid", "probability"), (None, "logit")])
def test_one_sigmoid_output_explains_both_classes(end: str | None, score: str) -> None:
    for check in checks(sequential(1, end), "ab", head="sigmoid", score=score):
        assert check.status == "ok", check.note
        assert check.max_difference < 1e-5


def test_a_model_in_double_precision_is_checked_in_single() -> None:
    for check in checks(functional(), dtype="float64"):
        assert check.status == "ok", check.note
        assert check.max_difference < 1e-6


@pytest.mark.parametrize(
    ("network", "options", "reason"),
    [
        (nested, {}, "layer 'base' is itself a nested model"),
        (nested, {"layer": "last"}, "layer 'last' lies inside a nested model"),
        (reused, {}, "layer 'twice' runs more than once"),
        (Subclassed, {}, "need a Sequential or functional model"),
    ],
)
def test_what_it_does_not_reach_is_said(network: Any, options: dict[str, str], reason: str) -> None:
    keras.utils.set_random_seed(0)
    for check in checks(network(), methods=("saliency", "grad_cam"), **options):
        if check.method == "grad_cam":
            assert check.status == "not_measured"
            assert reason in check.note
        else:
            assert check.status == "ok"
            assert check.max_difference < 1e-5


@pytest.mark.parametrize(
    ("ours", "seed"),
    [
        (IntegratedGradients(steps=5, baseline=-0.5, max_steps=5), None),
        (Occlusion(window=6, stride=5, fill="zero"), None),
        (SmoothGrad(copies=6, level=0.3), 11),
    ],
)
def test_it_gets_the_settings_of_ours(ours: Any, seed: int | None) -> None:
    adapter = functional_batch().adapter
    batch = Batch.of(adapter, images(2, shape=SHAPE), np.array([2, 0]), seed or 0)
    expected = ours.explain(batch).raw
    for check in cross_check(
        adapter, batch.images, batch.targets, {ours.name: list(expected)}, {ours.name: ours}, seed
    ):
        assert check.status == "ok", check.note
        assert check.max_difference < 1e-5
    other = type(ours)().explain(Batch.of(adapter, batch.images, batch.targets, (seed or 0) + 1)).raw
    assert np.abs(other - expected).max() > 1e-2 * np.abs(expected).max()


def test_what_it_is_not_asked_for_is_said() -> None:
    adapter = functional_batch().adapter
    with pytest.raises(ModelError, match="the seed of our noise is not given"), opened(adapter, "smooth_grad"):
        pass
    with (
        pytest.raises(InputError, match="not asked for the method 'rise', only for: saliency"),
        opened(adapter, "rise"),
    ):
        pass
    with pytest.raises(InputError, match="cannot check itself"), opened(adapter, "tf_explain_grad_cam"):
        pass


def test_a_wrong_map_is_noticed() -> None:
    batch = functional_batch()
    wrong = build(["occlusion"])["occlusion"].explain(batch).raw[:, ::-1]
    for check in cross_check(batch.adapter, batch.images, batch.targets, {"occlusion": list(wrong)}):
        assert check.max_difference > 0.1


def test_tf_explain_itself_still_sees_the_whole_model() -> None:
    """The cut must not stay in a trace that tf-explain keeps."""
    from tf_explain.core.vanilla_gradients import VanillaGradients

    model = sequential()
    checks(model, methods=("saliency", "gradient_x_input"))
    batch = images(1, shape=SHAPE)
    whole = VanillaGradients.compute_gradients(keras.ops.convert_to_tensor(batch), model, 0).numpy()
    cut = wrap_model(model, tuple("abcd"), micro_batch=1).gradient_pass(batch, np.array([0])).input_gradient
    assert np.abs(whole - cut).max() > 0.1 * np.abs(cut).max()
