"""Our maps against tf-explain's on the same Keras models; what it cannot do is said."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from audit.explanations.crosscheck import cross_check
from audit.explanations.methods import METHODS
from audit.models.loading import wrap_model
from tests.models.twins import images

keras = pytest.importorskip("keras")
pytest.importorskip("tensorflow")
pytest.importorskip("tf_explain")
layers = keras.layers
pytestmark = pytest.mark.tensorflow
SHAPE = (16, 16, 3)


def body() -> list[Any]:
    return [
        layers.Conv2D(8, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(),
        layers.Conv2D(6, 3, padding="same"),
        layers.ReLU(name="last"),
        layers.Flatten(),
    ]


def sequential(outputs: int = 4, end: str = "softmax") -> Any:
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input(SHAPE), *body(), layers.Dense(outputs, activation=end)])


def functional() -> Any:
    keras.utils.set_random_seed(0)
    x = image = keras.Input(SHAPE)
    for layer in [*body(), layers.Dense(4), layers.Activation("softmax")]:
        x = layer(x)
    return keras.Model(image, x)


def nested() -> Any:
    keras.utils.set_random_seed(0)
    base = keras.Sequential([keras.Input(SHAPE), *body()[:4]], name="base")
    image = keras.Input(SHAPE)
    return keras.Model(image, layers.Dense(4, activation="softmax")(layers.Flatten()(base(image))))


class Subclassed(keras.Model):  # type: ignore[misc, name-defined]
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.flat, self.dense = layers.Conv2D(4, 3, name="c"), layers.Flatten(), layers.Dense(4)

    def call(self, image: Any) -> Any:
        return self.dense(self.flat(self.conv(image)))


def checks(model: Any, classes: str = "abcd", **options: Any) -> list[Any]:
    adapter = wrap_model(model, tuple(classes), input_shape=SHAPE, micro_batch=4, **options)
    batch = images(4, shape=SHAPE)
    layer = adapter.spec.layer or ""
    done = adapter.gradient_pass(batch, np.arange(4) % len(classes), [layer])
    drawn = {name: list(method.maps(done, batch, layer)) for name, method in METHODS.items()}
    return cross_check(adapter, batch, done.targets, drawn)


@pytest.mark.parametrize("build", [sequential, functional])
def test_equal_up_to_rounding(build: Any) -> None:
    model = build()
    found = checks(model)
    assert len(found) == 12
    for check in found:
        assert (check.status, check.provider) == ("ok", "tf-explain")
        assert check.max_difference < 1e-4
        assert check.spearman > 0.9999
        assert "corrected:" in check.note
    np.testing.assert_allclose(model.predict(images(2, shape=SHAPE), verbose=0).sum(axis=1), 1, atol=1e-5)


def test_one_sigmoid_output_explains_both_classes() -> None:
    for check in checks(sequential(1, "sigmoid"), "ab", head="sigmoid"):
        assert check.status == "ok"
        assert check.max_difference < 1e-4


@pytest.mark.parametrize(
    ("build", "options", "reason"),
    [
        (nested, {}, "layer 'base' is itself a nested model"),
        (nested, {"layer": "last"}, "layer 'last' lies inside a nested model"),
        (Subclassed, {}, "needs a Sequential or functional model"),
    ],
)
def test_what_it_does_not_reach_is_said(build: Any, options: dict[str, str], reason: str) -> None:
    keras.utils.set_random_seed(0)
    for check in checks(build(), **options):
        if check.method == "grad_cam":
            assert check.status == "not_measured"
            assert reason in check.note
        else:
            assert check.status == "ok"
            assert check.max_difference < 1e-4


def test_tf_explain_itself_still_sees_the_whole_model() -> None:
    """The cut must not stay in a trace that tf-explain keeps."""
    from tf_explain.core.vanilla_gradients import VanillaGradients

    model = sequential()
    checks(model)
    batch = images(1, shape=SHAPE)
    whole = VanillaGradients.compute_gradients(keras.ops.convert_to_tensor(batch), model, 0).numpy()
    logits = wrap_model(model, tuple("abcd"), micro_batch=1).gradient_pass(batch, np.array([0])).input_gradient
    assert not np.allclose(whole, logits)
