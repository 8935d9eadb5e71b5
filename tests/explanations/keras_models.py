"""Small Keras networks that the tests of tf-explain share, built the ways that it trips over."""

from __future__ import annotations

from typing import Any

import keras

layers = keras.layers
SHAPE = (12, 12, 3)


def body() -> list[Any]:
    return [
        layers.Conv2D(8, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(),
        layers.Conv2D(6, 3, padding="same"),
        layers.ReLU(name="last"),
        layers.Flatten(),
    ]


def sequential(outputs: int = 4, end: str | None = "softmax", shape: tuple[int, int, int] = SHAPE) -> Any:
    """Ends in a dense layer that applies its activation itself."""
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input(shape), *body(), layers.Dense(outputs, activation=end)])


def functional(shape: tuple[int, int, int] = SHAPE) -> Any:
    """Ends in a softmax of its own."""
    keras.utils.set_random_seed(0)
    x = image = keras.Input(shape)
    for layer in [*body(), layers.Dense(4), layers.Activation("softmax")]:
        x = layer(x)
    return keras.Model(image, x)


def logits() -> Any:
    """Functional with batch normalisation and a branch around it; gives logits."""
    keras.utils.set_random_seed(0)
    image = keras.Input(SHAPE)
    x = layers.Conv2D(6, 3, strides=2, padding="same")(image)
    x = layers.BatchNormalization()(x)
    y = layers.Conv2D(6, 3, padding="same", activation="relu")(x)
    x = layers.ReLU(name="last")(layers.Add()([x, y]))
    return keras.Model(image, layers.Dense(4)(layers.GlobalAveragePooling2D()(x)))


def nested() -> Any:
    """The layer of the class activation maps lies inside another model."""
    keras.utils.set_random_seed(0)
    base = keras.Sequential([keras.Input(SHAPE), *body()[:4]], name="base")
    image = keras.Input(SHAPE)
    return keras.Model(image, layers.Dense(4, activation="softmax")(layers.Flatten()(base(image))))


def reused() -> Any:
    """The layer of the class activation maps runs twice."""
    keras.utils.set_random_seed(0)
    image = keras.Input(SHAPE)
    conv = layers.Conv2D(3, 3, padding="same", activation="relu", name="twice")
    return keras.Model(image, layers.Dense(4)(layers.Flatten()(conv(conv(image)))))


class Subclassed(keras.Model):  # type: ignore[misc, name-defined]
    """Has no graph."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.flat, self.dense = layers.Conv2D(4, 3, name="c"), layers.Flatten(), layers.Dense(4)

    def call(self, image: Any) -> Any:
        return self.dense(self.flat(self.conv(image)))
