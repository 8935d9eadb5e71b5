"""Keras models behind the seam: every way to build one, cut before its softmax, left as it came."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from audit.errors import ModelError
from audit.models.loading import wrap_model
from audit.testing import check_adapter
from tests.models.twins import CLASSES, SHAPE, images, numpy_twin, set_keras_weights

tf = pytest.importorskip("tensorflow")
keras = pytest.importorskip("keras")
layers = keras.layers
pytestmark = pytest.mark.tensorflow


def functional(end: str | None = "softmax", outputs: int = 4) -> Any:
    image = keras.Input(SHAPE)
    hidden = layers.Conv2D(8, 1, activation="relu", name="features")(image)
    pooled = layers.GlobalAveragePooling2D()(hidden)
    return keras.Model(image, layers.Dense(outputs, activation=end, name="dense")(pooled))


def separate_activation() -> Any:
    image = keras.Input(SHAPE)
    hidden = layers.ReLU(name="features")(layers.Conv2D(8, 1)(image))
    scores = layers.Dense(4)(layers.GlobalAveragePooling2D()(hidden))
    return keras.Model(image, layers.Activation("softmax")(scores))


def softmax_layer() -> Any:
    parts = [layers.Conv2D(8, 1, activation="relu", name="features"), layers.GlobalAveragePooling2D()]
    return keras.Sequential([keras.Input(SHAPE), *parts, layers.Dense(4), layers.Softmax()])


def softmax_operation() -> Any:
    plain = functional(None)
    return keras.Model(plain.inputs, keras.ops.softmax(plain.outputs[0]))


def sequential() -> Any:
    parts = [layers.Conv2D(8, 1, activation="relu", name="features"), layers.GlobalAveragePooling2D()]
    return keras.Sequential([keras.Input(SHAPE), *parts, layers.Dropout(0.5), layers.Dense(4, activation="softmax")])


def unbuilt() -> Any:
    parts = [layers.Conv2D(8, 1, activation="relu", name="features"), layers.GlobalAveragePooling2D()]
    model = keras.Sequential([*parts, layers.Dense(4, activation="softmax")])
    model.build((None, *SHAPE))
    return model


def nested() -> Any:
    base = keras.Sequential([keras.Input(SHAPE), layers.Conv2D(8, 1, activation="relu", name="features")], name="base")
    image = keras.Input(SHAPE)
    return keras.Model(image, nested_head()(base(image)))


def nested_head() -> Any:
    pooled = keras.Input((SHAPE[0], SHAPE[1], 8))
    scores = layers.Dense(4)(layers.GlobalAveragePooling2D()(pooled))
    return keras.Model(pooled, layers.Activation("softmax")(scores), name="head")


class Subclassed(keras.Model):  # type: ignore[misc, name-defined]
    def __init__(self) -> None:
        super().__init__()
        self.conv = layers.Conv2D(8, 1, activation="relu", name="features")
        self.pool = layers.GlobalAveragePooling2D()
        self.dense = layers.Dense(4, activation="softmax")

    def call(self, image: Any) -> Any:
        return self.dense(self.pool(self.conv(image)))


def subclassed() -> Any:
    model = Subclassed()
    model(np.zeros((1, *SHAPE), np.float32))
    return model


BUILDERS = [
    functional,
    lambda: functional(None),
    separate_activation,
    softmax_layer,
    softmax_operation,
    sequential,
    unbuilt,
    nested,
    subclassed,
]
NAMES = ["functional", "logits", "activation", "softmax_layer", "operation", "sequential", "unbuilt", "nested", "own"]


@pytest.mark.parametrize("build", BUILDERS, ids=NAMES)
def test_every_way_to_build_one_equals_the_numpy_twin(build: Callable[[], Any]) -> None:
    """The softmax cut off is exact: scores and gradients are those of the closed form."""
    model = set_keras_weights(build())
    before = [weight.copy() for weight in model.get_weights()]
    own = model.predict(images(), verbose=0)
    adapter = wrap_model(model, CLASSES, input_shape=SHAPE, micro_batch=3)
    assert adapter.spec.score == "logit"
    for target in ("predicted", np.arange(7) % 4):
        mine = adapter.gradient_pass(images(), target, ["features"])
        exact = numpy_twin().gradient_pass(images(), target, ["features"])
        np.testing.assert_array_equal(mine.targets, exact.targets)
        for found, expected in (
            (mine.scores, exact.scores),
            (adapter.scores(images()), exact.scores),
            (mine.explained, exact.explained),
            (mine.input_gradient, exact.input_gradient),
            (mine.cams["features"].grad_cam, exact.cams["features"].grad_cam),
        ):
            assert found.dtype == np.float32
            np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())
    adapter.close()
    np.testing.assert_allclose(model.predict(images(), verbose=0), own, atol=1e-7)
    assert all(np.array_equal(*pair) for pair in zip(before, model.get_weights(), strict=True))
    assert not any("call" in vars(layer) for layer in model._flatten_layers())


@pytest.mark.parametrize("build", [functional, nested, sequential])
def test_float64_works_on_a_copy(build: Callable[[], Any]) -> None:
    model = set_keras_weights(build())
    adapter = wrap_model(model, CLASSES, dtype="float64", micro_batch=4)
    mine = adapter.gradient_pass(images(dtype="float64"), "predicted", ["features"])
    exact = numpy_twin(dtype="float64").gradient_pass(images(dtype="float64"), "predicted", ["features"])
    for found, expected in (
        (mine.scores, exact.scores),
        (mine.input_gradient, exact.input_gradient),
        (mine.cams["features"].grad_cam, exact.cams["features"].grad_cam),
    ):
        assert found.dtype == np.float64
        np.testing.assert_allclose(found, expected, atol=1e-12 * np.abs(expected).max())
    assert model.compute_dtype == "float32"


def test_one_sigmoid_output() -> None:
    model = set_keras_weights(functional("sigmoid", 1), 1)
    adapter = wrap_model(model, ("no", "yes"), head="sigmoid", micro_batch=4)
    exact = numpy_twin(1, head="sigmoid")
    for target in (0, 1):
        mine = adapter.gradient_pass(images(), np.full(7, target), ["features"])
        closed = exact.gradient_pass(images(), np.full(7, target), ["features"])
        np.testing.assert_allclose(mine.explained, closed.explained, atol=1e-5)
        np.testing.assert_allclose(mine.input_gradient, closed.input_gradient, atol=1e-6)
    check_adapter(adapter)


def deep() -> Any:
    keras.utils.set_random_seed(0)
    image = keras.Input((16, 16, 3))
    x = layers.Conv2D(6, 3, padding="same", use_bias=False)(image)
    x = layers.ReLU(name="relu1")(layers.BatchNormalization()(x))
    x = layers.SeparableConv2D(8, 3, padding="same", activation="relu", name="last")(layers.MaxPooling2D()(x))
    x = layers.Dropout(0.5)(layers.AveragePooling2D(2)(x))
    return keras.Model(image, layers.Dense(4, activation="softmax")(layers.Flatten()(x)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_keeps_the_seam(dtype: str) -> None:
    adapter = wrap_model(deep(), CLASSES, dtype=dtype, micro_batch=2)
    assert adapter.spec.layer == "last"
    assert "cams" in check_adapter(adapter)


def test_layer_choice_goes_through_nested_models() -> None:
    assert wrap_model(nested(), CLASSES).spec.layer == "base"
    names = [layer.name for layer in wrap_model(nested(), CLASSES).layers()]
    assert names[:2] == ["features", "base"]


def test_a_name_that_occurs_twice_is_told_apart_by_its_block() -> None:
    inner = keras.Sequential([keras.Input(SHAPE), layers.Conv2D(8, 1, name="same")], name="inner")
    image = keras.Input(SHAPE)
    hidden = layers.ReLU()(layers.Conv2D(8, 1, name="same")(inner(image)))
    scores = layers.Dense(4)(layers.GlobalAveragePooling2D()(hidden))
    names = [layer.name for layer in wrap_model(keras.Model(image, scores), CLASSES).layers()]
    assert "inner/same" in names
    assert "same" in names


@pytest.mark.parametrize(("name", "layer"), [("plain_cnn", "relu2"), ("deep_cnn", "relu3")])
def test_layer_choice_on_our_networks(name: str, layer: str) -> None:
    from audit.models import keras_networks

    model = keras_networks.build(name, num_classes=4, input_shape=[32, 32, 3])
    assert wrap_model(model, CLASSES).spec.layer == layer


class Unknown(keras.Model):  # type: ignore[misc, name-defined]
    """Ends in a softmax that is no layer."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = functional(None)

    def call(self, image: Any) -> Any:
        return tf.nn.softmax(self.inner(image))


def test_an_end_that_cannot_be_cut_must_be_declared() -> None:
    with pytest.raises(ModelError, match="declare `score: probability`"):
        wrap_model(Unknown(), CLASSES, input_shape=SHAPE)
    adapter = wrap_model(Unknown(), CLASSES, input_shape=SHAPE, score="probability", micro_batch=2)
    assert adapter.spec.score == "probability"
    check_adapter(adapter)


def test_logits_declared_where_there_is_a_softmax_are_refused() -> None:
    with pytest.raises(ModelError, match="a layer ends in a softmax or sigmoid"):
        wrap_model(functional(), CLASSES, score="logit")


def two_inputs() -> Any:
    first, second = keras.Input(SHAPE), keras.Input(SHAPE)
    return keras.Model([first, second], layers.Dense(4)(layers.Flatten()(layers.Add()([first, second]))))


@pytest.mark.parametrize(
    ("build", "options", "message"),
    [
        (functional, {"layer": "feature"}, "has no layer 'feature'.*Did you mean 'features'"),
        (functional, {"layer": "dense"}, "Grad-CAM needs"),
        (functional, {"head": "sigmoid"}, "declare `head: softmax`"),
        (functional, {"input_shape": (9, 5, 3)}, "takes images of 6 x 5 x 3, preprocessing makes 9 x 5 x 3"),
        (lambda: functional("softmax", 3), {}, "has 3 outputs, but 4 classes are declared"),
        (lambda: functional(None, 1), {}, "one output, for which a softmax is always 1"),
        (two_inputs, {}, "has 2 inputs"),
        (Unknown, {}, "does not fix its image size"),
        (lambda: keras.Sequential([keras.Input((5,)), layers.Dense(4)]), {}, "not images"),
        (lambda: keras.Sequential([keras.Input(SHAPE), layers.Conv2D(2, 1)]), {}, "one row of scores an image"),
    ],
)
def test_errors_say_what_is_wrong(build: Callable[[], Any], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        wrap_model(build(), CLASSES, **options)


def test_channels_first_is_refused_with_the_reason() -> None:
    image = keras.Input((3, 6, 5))
    pooled = layers.GlobalAveragePooling2D(data_format="channels_first")(image)
    with pytest.raises(ModelError, match="channels first"):
        wrap_model(keras.Model(image, layers.Dense(4)(pooled)), CLASSES)


def test_a_random_model_cannot_be_cut() -> None:
    image = keras.Input(SHAPE)
    noisy = keras.layers.Lambda(lambda x: x + tf.random.normal(tf.shape(x)))(image)
    scores = layers.Dense(4, activation="softmax")(layers.Flatten()(noisy))
    with pytest.raises(ModelError, match="or it is random"):
        wrap_model(keras.Model(image, scores), CLASSES)


def test_a_pass_that_fails_leaves_the_model_as_it_came() -> None:
    model = functional()
    adapter = wrap_model(model, CLASSES)
    with pytest.raises(ModelError, match="has no layer"):
        adapter.gradient_pass(images(), "predicted", ["nowhere"])
    with pytest.raises(RuntimeError, match="on purpose"), adapter.cut():
        raise RuntimeError("on purpose")
    np.testing.assert_allclose(model.predict(images(), verbose=0).sum(axis=1), 1, atol=1e-5)
