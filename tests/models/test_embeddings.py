"""What enters the head: by hand, the same in every framework, and averaged where the head works at every position."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from audit.errors import ModelError
from audit.models.loading import wrap_model
from audit.models.numpy_adapter import NumpyAdapter
from audit.testing import AdapterFault, check_adapter
from tests.models.twins import CLASSES, SHAPE, images, numpy_twin, set_keras_weights, torch_twin, weights


def by_hand(batch: np.ndarray) -> np.ndarray:
    """The twins' pooled activations."""
    arrays = weights()
    return np.asarray(np.maximum(batch @ arrays["W1"] + arrays["b1"], 0).mean(axis=(1, 2)))


def test_numpy_model_by_hand() -> None:
    weights = {"W1": np.eye(2), "b1": np.array([0.0, -1.0]), "W2": np.ones((2, 2)), "b2": np.zeros(2)}
    adapter = NumpyAdapter(weights, (1, 2, 2), ("no", "yes"))
    image = np.array([[[[3.0, 5.0], [-1.0, 2.0]]]], np.float32)
    # Channel 0: relu(3), relu(-1); channel 1: relu(5 - 1), relu(2 - 1); averaged over two pixels.
    np.testing.assert_array_equal(adapter.embeddings(image), [[1.5, 2.5]])
    assert (adapter.spec.embedding_layer, adapter.spec.embedding_size) == ("dense", 2)


def test_the_head_applied_to_the_embeddings_gives_the_scores() -> None:
    adapter, arrays = numpy_twin(), weights()
    again = adapter.embeddings(images()) @ arrays["W2"] + arrays["b2"]
    np.testing.assert_allclose(again, adapter.scores(images()), rtol=1e-5)


def test_a_black_box_says_that_it_has_none() -> None:
    box = wrap_model(numpy_twin().scores, CLASSES, input_shape=SHAPE)
    assert box.spec.embedding_size == 0
    assert "refuses_embeddings" in check_adapter(box)
    with pytest.raises(ModelError, match="no embeddings"):
        box.embeddings(images())


class Mates(NumpyAdapter):
    """Embeddings that depend on the batch."""

    def _embeddings(self, batch: np.ndarray) -> np.ndarray:
        found = super()._embeddings(batch)
        return found - found.mean(axis=0)


class Constant(NumpyAdapter):
    def _embeddings(self, batch: np.ndarray) -> np.ndarray:
        return np.ones_like(super()._embeddings(batch))


@pytest.mark.parametrize(("kind", "words"), [(Mates, "one image and of a batch"), (Constant, "all alike")])
def test_the_conformance_suite_catches(kind: type[NumpyAdapter], words: str) -> None:
    assert "embeds" in check_adapter(numpy_twin())
    with pytest.raises(AdapterFault, match=words):
        check_adapter(kind(weights(), SHAPE, CLASSES))


@pytest.mark.torch
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_torch_equals_the_closed_form(dtype: str) -> None:
    pytest.importorskip("torch")
    adapter = wrap_model(torch_twin(), CLASSES, input_shape=SHAPE, dtype=dtype, micro_batch=3)  # type: ignore[arg-type]
    assert {"embeds", "slopes"} <= set(check_adapter(adapter))
    found = adapter.embeddings(images(dtype=dtype))
    assert found.dtype == dtype
    assert adapter.spec.embedding_layer == "4"
    np.testing.assert_allclose(found, by_hand(images(dtype=dtype)), atol=1e-6)


@pytest.mark.torch
def test_torch_flattens_channels_last_and_leaves_the_module_as_it_came() -> None:
    torch = pytest.importorskip("torch")
    nn = torch.nn
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Flatten(), nn.Dropout(0.5), nn.Linear(4 * 30, 4))
    module.train()
    adapter = wrap_model(module, CLASSES, input_shape=SHAPE)
    kernel, bias = (part.detach().numpy() for part in (module[0].weight, module[0].bias))
    expected = np.maximum(images() @ kernel[:, :, 0, 0].T + bias, 0).reshape(7, -1)  # rows, columns, channels
    np.testing.assert_allclose(adapter.embeddings(images()), expected, atol=1e-6)
    assert module.training
    assert not any(part._forward_pre_hooks or part._forward_hooks for part in module.modules())


@pytest.mark.torch
def test_torch_averages_where_the_head_is_a_convolution() -> None:
    torch = pytest.importorskip("torch")
    nn = torch.nn
    module = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.Conv2d(5, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    adapter = wrap_model(module, CLASSES, input_shape=SHAPE)
    batch = torch.from_numpy(images()).permute(0, 3, 1, 2)
    expected = module[1](module[0](batch)).mean(dim=(2, 3)).detach().numpy()
    assert adapter.spec.embedding_layer == "2"
    np.testing.assert_allclose(adapter.embeddings(images()), expected, atol=1e-6)


@pytest.mark.torch
def test_torch_without_a_head_has_none() -> None:
    torch = pytest.importorskip("torch")

    class Plain(torch.nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, image: Any) -> Any:
            return image.mean(dim=(2, 3))[:, :2]

    adapter = wrap_model(Plain(), ("a", "b"), input_shape=SHAPE)
    assert "embeddings" not in adapter.spec.capabilities
    with pytest.raises(ModelError, match="no embeddings"):
        adapter.embeddings(images())


@pytest.mark.tensorflow
@pytest.mark.parametrize("end", ["softmax", None])
def test_keras_equals_the_closed_form(end: str | None) -> None:
    pytest.importorskip("tensorflow")
    keras = pytest.importorskip("keras")
    image = keras.Input(SHAPE)
    hidden = keras.layers.Conv2D(8, 1, activation="relu")(image)
    pooled = keras.layers.GlobalAveragePooling2D()(hidden)
    model = set_keras_weights(keras.Model(image, keras.layers.Dense(4, activation=end, name="head")(pooled)))
    adapter = wrap_model(model, CLASSES, micro_batch=3)
    assert (adapter.spec.embedding_layer, adapter.spec.embedding_size) == ("head", 8)
    np.testing.assert_allclose(adapter.embeddings(images()), by_hand(images()), atol=1e-6)


@pytest.mark.tensorflow
def test_keras_averages_where_the_head_is_a_convolution() -> None:
    pytest.importorskip("tensorflow")
    keras = pytest.importorskip("keras")
    image = keras.Input(SHAPE)
    hidden = keras.layers.Conv2D(5, 3, activation="relu", name="hidden")(image)
    scores = keras.layers.GlobalAveragePooling2D()(keras.layers.SeparableConv2D(4, 1, name="head")(hidden))
    model = keras.Model(image, keras.layers.Activation("softmax")(scores))
    adapter = wrap_model(model, CLASSES)
    expected = keras.Model(image, hidden)(images()).numpy().mean(axis=(1, 2))
    assert adapter.spec.embedding_layer == "head"
    np.testing.assert_allclose(adapter.embeddings(images()), expected, atol=1e-6)


@pytest.mark.torch
@pytest.mark.tensorflow
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-5)])
@pytest.mark.parametrize("architecture", ["plain_cnn", "deep_cnn"])
def test_both_frameworks_agree(architecture: str, dtype: str, tolerance: float) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("tensorflow")
    from audit.models import torch_networks, transfer
    from audit.models.networks import NetworkArguments

    torch.manual_seed(0)
    shape = (32, 36, 3)
    arguments = NetworkArguments(num_classes=2, input_shape=shape)
    ours = torch_networks.build(architecture, **arguments.as_dict())
    theirs = transfer.convert(ours, "keras", architecture, arguments)
    options: dict[str, Any] = {"dtype": dtype, "micro_batch": 4, "input_shape": shape}
    mine, other = (wrap_model(model, ("no", "yes"), **options) for model in (ours, theirs))
    batch = images(6, dtype, shape)
    expected = other.embeddings(batch)
    assert mine.spec.embedding_layer == other.spec.embedding_layer == "dense"
    assert mine.spec.embedding_size == expected.shape[1] > 100
    np.testing.assert_allclose(mine.embeddings(batch), expected, rtol=0, atol=tolerance * np.abs(expected).max())
