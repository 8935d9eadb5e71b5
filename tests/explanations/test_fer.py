"""A trained network that this project did not write: mini-XCEPTION in legacy HDF5, on real faces."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audit.config import ExecutionConfig, ModelConfig
from audit.errors import ModelError
from audit.explanations import Batch, build
from audit.explanations.crosscheck import cross_check
from audit.models.adapter import predicted, probabilities
from audit.models.loading import load_model
from audit.testing import check_adapter

keras = pytest.importorskip("keras")
pytest.importorskip("tensorflow")
pytestmark = [pytest.mark.shared, pytest.mark.tensorflow]

CLASSES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")


def load(shared: Path, **keys: Any) -> Any:
    if not (shared / "models" / "fer_mini_xception.h5").is_file():
        pytest.skip("no fer_mini_xception.h5")
    settings = {
        "name": "fer",
        "framework": "keras",
        "path": "fer_mini_xception.h5",
        "classes": CLASSES,
        "preprocessing": {"size": [64, 64], "mode": "L", "scale": [-1, 1]},
    }
    config = ModelConfig.model_validate(settings | keys)
    return load_model(config, shared / "models", CLASSES, ExecutionConfig(device="cpu", micro_batch=8))


@pytest.fixture(scope="module")
def faces(shared: Path) -> np.ndarray:
    from PIL import Image

    paths = sorted(path for path in (shared / "data" / "london").rglob("*") if path.suffix in {".jpg", ".png"})
    read = [
        np.asarray(Image.open(path).convert("L").resize((64, 64), Image.Resampling.BILINEAR)) for path in paths[:10]
    ]
    return (np.stack(read)[..., None] / 127.5 - 1).astype(np.float32)


def test_grad_cam_is_the_class_channel(shared: Path, faces: np.ndarray) -> None:
    """conv2d_7 has a channel a class and is averaged: the map is ReLU(channel) / (h w)."""
    adapter = load(shared)
    assert adapter.spec.layer == "conv2d_7"
    assert adapter.spec.score == "logit"
    batch = Batch.of(adapter, faces, "predicted")
    done = batch.gradients
    model = adapter.model
    activation = keras.Model(model.inputs[0], model.get_layer("conv2d_7").output)(faces).numpy()
    channel = activation[np.arange(len(faces)), :, :, done.targets]
    expected = np.maximum(channel, 0) / (channel.shape[1] * channel.shape[2])
    found = build(["grad_cam"])["grad_cam"].explain(batch).raw
    np.testing.assert_allclose(found, expected, atol=1e-5 * expected.max())
    np.testing.assert_allclose(done.scores, activation.mean(axis=(1, 2)), atol=1e-5)


def test_probabilities_are_the_files_own(shared: Path, faces: np.ndarray) -> None:
    adapter = load(shared)
    own = adapter.model.predict(faces, verbose=0)
    scores = adapter.scores(faces)
    np.testing.assert_allclose(probabilities(adapter.spec, scores), own, atol=1e-6)
    np.testing.assert_array_equal(predicted(adapter.spec, scores), own.argmax(axis=1))


def test_keeps_the_seam(shared: Path, faces: np.ndarray) -> None:
    noise = np.random.default_rng(0).normal(scale=0.01, size=faces[:3].shape)
    check_adapter(load(shared), (faces[:3] + noise).astype(np.float32))


def test_tf_explain_agrees(shared: Path, faces: np.ndarray) -> None:
    adapter = load(shared)
    batch = Batch.of(adapter, faces[:2], "predicted")
    methods = build(["saliency", "gradient_x_input", "grad_cam"])
    drawn = {name: list(method.explain(batch).raw) for name, method in methods.items()}
    for check in cross_check(adapter, faces[:2], batch.targets, drawn, methods):
        assert check.status == "ok"
        assert check.max_difference < 1e-4


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"layer": "conv2d_77"}, "Did you mean 'conv2d_7'"),
        ({"classes": ["happy", "sad"]}, "has 7 outputs, but 2 classes are declared: happy, sad"),
        ({"preprocessing": {"size": [48, 48], "mode": "L"}}, "takes images of 64 x 64 x 1, preprocessing makes 48"),
        ({"preprocessing": {"size": [64, 64]}}, "preprocessing makes 64 x 64 x 3"),
        ({"head": "sigmoid"}, "declare `head: softmax`"),
    ],
)
def test_what_does_not_fit_is_named(shared: Path, keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        load(shared, **keys)
