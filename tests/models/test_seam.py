"""What adapters share: halving of micro-batches, black boxes, and the conformance suite catching faults."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audit.config import ExecutionConfig, ModelConfig
from audit.errors import InputError, ModelError
from audit.models.adapter import CamKind, GradientPass
from audit.models.layer_choice import LayerRecord, choose_layer, layer_infos
from audit.models.loading import load_model, wrap_model
from audit.models.numpy_adapter import NumpyAdapter
from audit.models.rows import CopyRows, MaskRows
from audit.testing import AdapterFault, check_adapter
from tests.models.twins import CLASSES, SHAPE, images, numpy_twin, weights


class Small(NumpyAdapter):
    """Has memory for two images."""

    def _scores(self, batch: np.ndarray) -> np.ndarray:
        if len(batch) > 2:
            raise MemoryError
        return super()._scores(batch)


def test_short_memory_halves_the_micro_batch_and_says_so() -> None:
    small = Small(weights(), SHAPE, CLASSES, micro_batch=16)
    np.testing.assert_allclose(small.scores(images()), numpy_twin().scores(images()), rtol=1e-6)
    assert small.micro_batch == 2


class Tiny(NumpyAdapter):
    def _scores(self, _batch: np.ndarray) -> np.ndarray:
        raise MemoryError


def test_no_memory_for_one_image_is_an_error() -> None:
    with pytest.raises(ModelError, match="single image"):
        Tiny(weights(), SHAPE, CLASSES).scores(images())


class Faulty(NumpyAdapter):
    """Does one thing wrong."""

    fault = ""

    def _scores(self, batch: np.ndarray) -> np.ndarray:
        scores = super()._scores(batch)
        return scores - scores.mean() * (len(batch) > 1) if self.fault == "batch" else scores

    def _write(self, layer: str, arrays: dict[str, np.ndarray]) -> None:
        scale = 2 if self.fault == "weights" else 1
        super()._write(layer, {name: scale * array for name, array in arrays.items()})

    def _masked_scores(self, part: MaskRows) -> np.ndarray:
        fault = self.fault == "masks"
        return super()._masked_scores(replace(part, masks=1 - part.masks) if fault else part)

    def _gradient_sum(self, part: CopyRows) -> tuple[np.ndarray, np.ndarray]:
        fault = self.fault == "copies"
        return super()._gradient_sum(replace(part, weights=part.weights**2) if fault else part)

    def _pass(
        self, batch: np.ndarray, targets: np.ndarray | None, layers: tuple[str, ...], cams: tuple[CamKind, ...]
    ) -> GradientPass:
        done = super()._pass(batch, targets, layers, cams)
        if self.fault == "gradient":
            return replace(done, input_gradient=done.input_gradient * 1.2)
        if self.fault == "mates":
            return replace(done, input_gradient=done.input_gradient / np.abs(done.input_gradient).max())
        if self.fault == "target" and targets is None:
            return replace(done, targets=(done.targets + 1) % len(CLASSES))
        return done


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("batch", "scores of one image and of a batch"),
        ("gradient", "finite difference"),
        ("mates", "differ"),
        ("target", "not the predicted class"),
        ("weights", "changed, not shuffled"),
        ("masks", "a masked score"),
        ("copies", "a sum of gradients"),
    ],
)
def test_the_conformance_suite_catches(fault: str, message: str) -> None:
    adapter = Faulty(weights(), SHAPE, CLASSES)
    check_adapter(adapter)
    adapter.fault = fault
    with pytest.raises(AdapterFault, match=message):
        check_adapter(adapter)


def test_a_function_is_a_black_box() -> None:
    model = numpy_twin()
    box = wrap_model(model.scores, CLASSES, input_shape=SHAPE)
    assert box.spec.capabilities == {"scores"}
    assert box.spec.layer is None
    assert "refuses_gradients" in check_adapter(box)
    np.testing.assert_array_equal(box.scores(images()), model.scores(images()))


def test_a_function_must_say_that_it_gives_probabilities() -> None:
    def even(batch: np.ndarray) -> np.ndarray:
        return np.full((len(batch), 4), 0.25)

    with pytest.raises(ModelError, match="score='probability'"):
        wrap_model(even, CLASSES, input_shape=SHAPE)
    assert wrap_model(even, CLASSES, input_shape=SHAPE, score="probability").spec.score == "probability"


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(ModelError, match="allowed: torch.nn.Module, keras.Model, a function"):
        wrap_model(3, CLASSES)
    with pytest.raises(ModelError, match="input_shape"):
        wrap_model(len, CLASSES)


def test_an_adapter_is_taken_as_it_is() -> None:
    adapter = numpy_twin()
    assert wrap_model(adapter, CLASSES) is adapter


def configured(**keys: Any) -> ModelConfig:
    return ModelConfig.model_validate({"name": "m", "framework": "numpy", "weights": "m.npz"} | keys)


def test_load_numpy(tmp_path: Path) -> None:
    np.savez(tmp_path / "m.npz", **weights())
    config = configured(preprocessing={"size": [6, 5]}, layer="features")
    adapter = load_model(config, tmp_path, CLASSES, ExecutionConfig(micro_batch=3))
    assert adapter.spec.input_shape == SHAPE
    assert adapter.micro_batch == 3
    with pytest.raises(ModelError, match="one image size"):
        load_model(configured(), tmp_path, CLASSES, ExecutionConfig())
    with pytest.raises(ModelError, match="has no layer 'feature'"):
        wrong = configured(preprocessing={"size": [6, 5]}, layer="feature")
        load_model(wrong, tmp_path, CLASSES, ExecutionConfig())


def test_stored_shape_must_agree_with_preprocessing(tmp_path: Path) -> None:
    np.savez(tmp_path / "m.npz", input_shape=SHAPE, **weights())
    with pytest.raises(ModelError, match="takes images of 6 x 5 x 3, preprocessing makes 8 x 8 x 3"):
        load_model(configured(preprocessing={"size": [8, 8]}), tmp_path, CLASSES, ExecutionConfig())


def test_the_numpy_model_imports_no_framework() -> None:
    code = (
        "import sys, audit.models.loading, audit.explanations, audit.explanations.crosscheck, audit.testing\n"
        "found = {'torch', 'tensorflow', 'keras', 'captum', 'tf_explain', 'matplotlib'} & set(sys.modules)\n"
        "assert not found, found"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def record(name: str, kind: str, tensor: int, shape: tuple[int, ...] = (4, 4, 8), leaf: bool = True) -> LayerRecord:
    return LayerRecord(name, kind, shape, tensor, leaf)


def test_the_layer_is_the_last_activation_before_pooling() -> None:
    calls = [
        record("conv", "Conv2d", 1),
        record("relu", "ReLU", 2),
        record("pool", "MaxPool2d", 3, (2, 2, 8)),
        record("drop", "Dropout", 3, (2, 2, 8)),
        record("flat", "Flatten", 4, (32,)),
    ]
    assert choose_layer(calls) == "relu"


def test_of_names_for_one_tensor_the_outermost_is_taken() -> None:
    calls = [
        record("layer4.1.bn2", "BatchNorm2d", 1),
        record("layer4.1.relu", "ReLU", 1),
        record("layer4.1", "BasicBlock", 1, leaf=False),
        record("layer4", "Sequential", 1, leaf=False),
        record("same", "Identity", 1),
        record("avgpool", "AdaptiveAvgPool2d", 2, (1, 1, 8)),
    ]
    assert choose_layer(calls) == "layer4"


def test_one_by_one_outputs_and_blocks_ending_in_a_pool_are_passed_over() -> None:
    calls = [
        record("a", "Conv2D", 1),
        record("pool", "AvgPool2D", 2, (2, 2, 8)),
        record("block", "IdentityBlock", 2, (2, 2, 8), leaf=False),
        record("head", "Conv2D", 3, (1, 1, 8)),
    ]
    assert choose_layer(calls) == "a"
    assert choose_layer(calls[3:]) is None


def test_a_block_that_adds_without_a_layer_counts_by_its_own_tensor() -> None:
    calls = [record("conv", "Conv2d", 1), record("block", "IdentityBlock", 2, leaf=False)]
    assert choose_layer(calls) == "block"


def test_a_layer_that_runs_twice_counts_where_it_ran_last() -> None:
    calls = [record("relu", "ReLU", 1), record("conv", "Conv2d", 2), record("relu", "ReLU", 3, (2, 2, 8))]
    assert [(layer.name, layer.shape) for layer in layer_infos(calls)] == [("conv", (4, 4, 8)), ("relu", (2, 2, 8))]


def test_integer_images_are_refused() -> None:
    with pytest.raises(InputError, match="scale the bytes"):
        numpy_twin().scores(np.zeros((1, *SHAPE), np.uint8))
