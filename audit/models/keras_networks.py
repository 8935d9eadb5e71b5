"""The built-in networks in Keras; they give probabilities unless `head_activation` is off.

Layer names equal those of `torch_networks`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import keras

from audit.models.networks import BATCH_NORM_EPSILON, NetworkArguments, channels, final_shape

__all__ = ["REGISTRY", "build"]


def _plain_cnn(arguments: NetworkArguments, image: Any) -> Any:
    layers = keras.layers
    for place, after in enumerate(channels("plain_cnn"), start=1):
        image = layers.Conv2D(after, 3, padding="same", name=f"conv{place}")(image)
        image = layers.ReLU(name=f"relu{place}")(image)
        image = layers.MaxPooling2D(2, name=f"pool{place}")(image)
    image = layers.Flatten(name="flatten")(image)
    return layers.Dense(arguments.outputs, name="dense")(image)


def _deep_cnn(arguments: NetworkArguments, image: Any) -> Any:
    layers = keras.layers
    for place, after in enumerate(channels("deep_cnn"), start=1):
        image = layers.Conv2D(after, 3, padding="same", use_bias=False, name=f"conv{place}")(image)
        norm = layers.BatchNormalization(epsilon=BATCH_NORM_EPSILON, momentum=0.9, name=f"bn{place}")
        image = norm(image)
        image = layers.ReLU(name=f"relu{place}")(image)
        image = layers.MaxPooling2D(2, name=f"pool{place}")(image)
    pooled = final_shape("deep_cnn", arguments)[:2]
    image = layers.AdaptiveAveragePooling2D(pooled, name="average")(image)
    image = layers.Flatten(name="flatten")(image)
    image = layers.Dropout(arguments.dropout, name="dropout")(image)
    return layers.Dense(arguments.outputs, name="dense")(image)


REGISTRY: Final[dict[str, Callable[[NetworkArguments, Any], Any]]] = {
    "plain_cnn": _plain_cnn,
    "deep_cnn": _deep_cnn,
}


def build(architecture: str, *, head_activation: bool = True, **arguments: Any) -> Any:
    """Build a network with Keras' own first weights.

    Parameters
    ----------
    architecture : str
        ``plain_cnn`` or ``deep_cnn``.
    head_activation : bool
        Whether the network ends in a layer named ``softmax`` or ``sigmoid`` after the linear layer ``dense``.
    **arguments
        Fields of `NetworkArguments`: num_classes, input_shape [H, W, C], head, dropout. Anything else is refused.

    Returns
    -------
    keras.Model
        Takes (N, H, W, C), gives (N, outputs) probabilities, or logits without the head's activation.

    Raises
    ------
    ModelError
        The architecture or an argument is unknown, missing or out of range.
    """
    parsed = NetworkArguments.parse(architecture, arguments)
    precision = keras.config.dtype_policy().variable_dtype
    image = keras.Input(parsed.input_shape, dtype=precision, name="image")
    output = REGISTRY[architecture](parsed, image)
    if head_activation:
        output = keras.layers.Activation(parsed.head, name=parsed.head)(output)
    return keras.Model(image, output, name=architecture)
