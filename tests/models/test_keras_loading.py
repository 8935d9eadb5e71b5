"""Keras models from files: what is loaded, and what is refused with which words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audit.config import ExecutionConfig, ModelConfig
from audit.errors import ModelError
from audit.models.loading import load_model
from audit.run.files import sha256_file
from audit.trust import NOTHING, Trust
from tests.models.twins import CLASSES, SHAPE, images, numpy_twin, set_keras_weights

keras = pytest.importorskip("keras")
pytest.importorskip("tensorflow")
pytestmark = [
    pytest.mark.tensorflow,
    # Keras writes variables to HDF5 through a NumPy call of old.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
]
layers = keras.layers


def twin(extra: Any = None) -> Any:
    parts = [layers.Conv2D(8, 1, activation="relu", name="features"), layers.GlobalAveragePooling2D()]
    model = keras.Sequential([keras.Input(SHAPE), *parts, layers.Dense(4), *([extra] if extra else [])])
    return set_keras_weights(model)


def load(folder: Path, path: str, *, trust: Trust = NOTHING, device: str = "cpu", **keys: Any) -> Any:
    settings = {"name": "m", "framework": "keras", "path": path, "preprocessing": {"size": [6, 5]}}
    config = ModelConfig.model_validate(settings | keys)
    return load_model(config, folder, CLASSES, ExecutionConfig(device=device, micro_batch=4), trust)


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize("name", ["m.keras", "m.h5"])
def test_both_formats(tmp_path: Path, name: str) -> None:
    twin(layers.Softmax()).save(tmp_path / name)
    adapter = load(tmp_path, name)
    np.testing.assert_allclose(adapter.scores(images()), numpy_twin().scores(images()), atol=1e-5)
    assert adapter.spec.layer == "features"
    assert adapter.spec.score == "logit"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("gone.keras", None, "no such file"),
        ("bad.keras", b"nothing", "is no Keras model, or is cut short"),
        ("bad.h5", b"nothing", "is no HDF5 file, or is cut short"),
        ("m.pb", b"nothing", r"allowed: \.keras, \.h5"),
    ],
)
def test_broken_files_are_named(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError, match=message):
        load(tmp_path, name)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    twin().save(tmp_path / "m.keras")
    whole = (tmp_path / "m.keras").read_bytes()
    (tmp_path / "m.keras").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match="cut short"):
        load(tmp_path, "m.keras")


def test_weights_alone_and_folders_are_refused(tmp_path: Path) -> None:
    twin().save_weights(tmp_path / "m.weights.h5")
    with pytest.raises(ModelError, match="holds weights but no model"):
        load(tmp_path, "m.weights.h5")
    with pytest.raises(ModelError, match="is a folder"):
        load(tmp_path, ".")


def test_a_lambda_runs_only_where_it_is_trusted(tmp_path: Path) -> None:
    twin(layers.Lambda(lambda x: x * 2)).save(tmp_path / "m.keras")
    for trust in (NOTHING, Trust(code=True), Trust(models=("0" * 64,))):
        with pytest.raises(ModelError, match="Lambda.*--trust-model sha256:"):
            load(tmp_path, "m.keras", trust=trust)
    adapter = load(tmp_path, "m.keras", trust=Trust(models=(sha256_file(tmp_path / "m.keras"),)))
    np.testing.assert_allclose(adapter.scores(images()), 2 * numpy_twin().scores(images()), atol=1e-5)


def test_a_class_that_is_not_here_is_named(tmp_path: Path) -> None:
    class Strange(layers.Layer):  # type: ignore[misc, name-defined]
        def call(self, x: Any) -> Any:
            return x

    twin(Strange()).save(tmp_path / "m.keras")
    with pytest.raises(ModelError, match="class that this program does not have"):
        load(tmp_path, "m.keras")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"layer": "featurs"}, "Did you mean 'features'"),
        ({"classes": ["a", "b"]}, "has 4 outputs, but 2 classes are declared"),
        ({"preprocessing": {"size": [9, 9]}}, "takes images of 6 x 5 x 3, preprocessing makes 9 x 9 x 3"),
        ({"device": "cuda:3"}, "TensorFlow sees 0 GPUs"),
        ({"device": "tpu"}, "allowed: auto, cpu, cuda"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, keys: dict[str, Any], message: str) -> None:
    twin().save(tmp_path / "m.keras")
    with pytest.raises(ModelError, match=message):
        load(tmp_path, "m.keras", **keys)
