"""Functions as models: what is imported and when, how they are called, and what is refused with which words."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audit.config import ExecutionConfig, ModelConfig, TrainConfig
from audit.errors import ModelError
from audit.models.adapter import probabilities
from audit.models.callable_adapter import CallableAdapter
from audit.models.files import model_digest
from audit.models.loading import load_model
from audit.models.user_code import source_file
from audit.run.files import sha256_file
from audit.testing import check_adapter
from audit.trust import NOTHING, Trust
from tests.models.twins import CLASSES, SHAPE, images, numpy_twin

TRUSTED = Trust(code=True)
SOURCE = """
import numpy as np

CALLS = []
not_callable = 3

def mean(images):
    CALLS.append(images.shape)
    return images.mean(axis=(1, 2)) @ np.array([[1.0, 0, 2, 0], [0, 3, 0, 0], [1, 1, 1, -1]])

def mean_first(images):
    return mean(images.transpose(0, 2, 3, 1))
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "their_box.py").write_text(SOURCE)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "their_box", raising=False)
    return tmp_path


def config(function: str = "their_box:mean", **keys: Any) -> ModelConfig:
    preprocessing = {"size": list(SHAPE[:2])} | keys.pop("preprocessing", {})
    settings = {"name": "box", "framework": "callable", "function": function, "preprocessing": preprocessing}
    return ModelConfig.model_validate(settings | keys)


def load(base: Path, function: str = "their_box:mean", *, trust: Trust = TRUSTED, **keys: Any) -> Any:
    return load_model(config(function, **keys), base, CLASSES, ExecutionConfig(micro_batch=3), trust)


def wrap(function: Callable[[np.ndarray], Any], **options: Any) -> CallableAdapter:
    return CallableAdapter(function, **{"classes": CLASSES, "input_shape": SHAPE, "where": "box", **options})


def test_code_runs_only_where_it_is_trusted(folder: Path) -> None:
    with pytest.raises(ModelError, match="box: function 'their_box:mean' runs code of its own.*--trust-code"):
        load(folder, trust=NOTHING)
    assert "their_box" not in sys.modules
    adapter = load(folder)
    expected = images().mean(axis=(1, 2)) @ np.array([[1.0, 0, 2, 0], [0, 3, 0, 0], [1, 1, 1, -1]])
    np.testing.assert_allclose(adapter.scores(images()), expected, rtol=1e-5)
    assert sys.path[-1] == str(folder)
    assert (adapter.spec.framework, adapter.spec.input_shape, adapter.spec.capabilities) == (
        "callable",
        SHAPE,
        {"scores"},
    )
    assert {shape[0] for shape in sys.modules["their_box"].CALLS} == {3, 1}


def test_it_keeps_what_the_seam_promises(folder: Path) -> None:
    done = set(check_adapter(load(folder)))
    assert done >= {"scores", "heads", "refuses_bad_images", "refuses_gradients", "refuses_embeddings"}


def test_the_layout_is_the_one_declared(folder: Path) -> None:
    first = load(folder, "their_box:mean_first", preprocessing={"layout": "NCHW"})
    np.testing.assert_allclose(first.scores(images()), load(folder).scores(images()), atol=1e-6)
    assert {shape[1:] for shape in sys.modules["their_box"].CALLS} == {SHAPE}


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("their_box:maen", r"has no function 'maen'.*Did you mean 'mean'"),
        ("their_box:not_callable", "has no function 'not_callable'"),
        ("no_such_box:mean", "'no_such_box' cannot be imported: ModuleNotFoundError"),
    ],
)
def test_what_is_not_there_is_named(folder: Path, function: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        load(folder, function)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"function": None}, "framework 'callable' needs the key 'function'"),
        ({"function": "their_box"}, "function is 'their_box', expected your.module:name"),
        ({"function": "their box:mean"}, "expected your.module:name"),
        ({"path": "m.onnx"}, "key 'path' has no meaning for framework 'callable'"),
        ({"layer": "conv"}, "key 'layer' has no meaning for framework 'callable'"),
        ({"framework": "numpy", "weights": "w.npz"}, "key 'function' has no meaning for framework 'numpy'"),
    ],
)
def test_keys_that_do_not_belong_are_refused(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        config(**{"function": "their_box:mean", **keys})


def test_a_layout_means_nothing_in_training() -> None:
    content = {
        "name": "t",
        "framework": "torch",
        "data": {"manifest": "m.csv"},
        "preprocessing": {"size": [8, 8], "layout": "NCHW"},
    }
    with pytest.raises(ValueError, match="'preprocessing.layout' has no meaning in training"):
        TrainConfig.model_validate(content)


def test_a_size_is_needed(folder: Path) -> None:
    with pytest.raises(ModelError, match="box: needs one image size"):
        load(folder, preprocessing={"size": None})


def test_a_failing_function_is_named_and_its_memory_errors_halve_the_batch() -> None:
    def refuses(batch: np.ndarray) -> Any:
        raise KeyError("session")

    with pytest.raises(ModelError, match=r"box: the function failed on 4 x 6 x 5 x 3 images: KeyError: 'session'"):
        wrap(refuses)

    def small(batch: np.ndarray) -> Any:
        if len(batch) > 2:
            raise MemoryError
        return numpy_twin().scores(batch)

    adapter = wrap(small, micro_batch=8)
    np.testing.assert_allclose(adapter.scores(images()), numpy_twin().scores(images()), atol=1e-6)
    assert adapter.micro_batch == 2


def test_a_function_may_do_as_it_likes_with_its_images() -> None:
    def greedy(batch: np.ndarray) -> Any:
        scores = numpy_twin().scores(batch)
        batch[:] = 0
        return scores.tolist()

    before = images()
    given = before.copy()
    np.testing.assert_allclose(wrap(greedy).scores(given), numpy_twin().scores(before), atol=1e-6)
    np.testing.assert_array_equal(given, before)


def test_rows_and_columns_must_stay() -> None:
    with pytest.raises(ModelError, match=r"box: must give one row of scores an image, gave \(4,\) for 4 images"):
        wrap(lambda batch: batch.mean(axis=(1, 2, 3)))
    adapter = wrap(lambda batch: numpy_twin().scores(batch)[:, : 4 if len(batch) == 4 else 3])
    with pytest.raises(ModelError, match="box: gave 4 scores an image at first and now 3"):
        adapter.scores(images())


def test_the_kind_of_score_is_declared_and_held_against_the_numbers() -> None:
    def soft(batch: np.ndarray) -> np.ndarray:
        powers = np.exp(numpy_twin().scores(batch).astype(np.float64))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))

    with pytest.raises(ModelError, match="box: gives numbers between 0 and 1 where logits are expected"):
        wrap(soft)
    adapter = wrap(soft, score="probability")
    np.testing.assert_allclose(probabilities(adapter.spec, adapter.scores(images())), soft(images()), atol=1e-6)
    with pytest.raises(ModelError, match="which are no probabilities.*`score: logit`"):
        wrap(numpy_twin().scores, score="probability")
    with pytest.raises(ModelError, match="add up to 0.5 to 0.5, probabilities of a softmax to 1"):
        wrap(lambda batch: soft(batch) / 2, score="probability")
    assert wrap(lambda batch: soft(batch) / 2, score="probability", head="sigmoid").spec.score == "probability"


def test_noise_without_a_finite_answer_says_nothing_of_the_kind() -> None:
    adapter = wrap(lambda batch: np.full((len(batch), 4), np.nan), score="probability")
    assert np.isnan(adapter.scores(images())).all()


def test_the_source_is_found_without_running_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("their_pack/inner", "their_space/deep"):
        (folder / package).mkdir(parents=True)
        (folder / package / "box.py").write_text("raise SystemExit('was run')")
    (folder / "their_pack/__init__.py").write_text("raise SystemExit('was run')")
    (folder / "their_pack/inner/__init__.py").write_text("raise SystemExit('was run')")
    before = set(sys.modules)

    def found(name: str) -> Path | None:
        return source_file(f"{name}:f", folder, where="m")

    assert found("their_box") == folder / "their_box.py"
    assert found("their_pack.inner.box") == folder / "their_pack/inner/box.py"
    assert found("their_space.deep.box") == folder / "their_space/deep/box.py"
    assert found("their_pack") == folder / "their_pack/__init__.py"
    assert found("their_space") is None
    assert found("sys") is None
    assert set(sys.modules) == before
    for name in ("no_such", "their_pack.no_such", "their_box.inner", "sys.inner"):
        with pytest.raises(ModelError, match=f"m: there is no module '{name}'"):
            found(name)


def test_an_installed_module_comes_before_the_folder(folder: Path) -> None:
    (folder / "json.py").write_text("")
    found = source_file("json:loads", folder, where="m")
    assert found is not None
    assert folder not in found.parents


def test_the_digest_is_that_of_the_source(folder: Path) -> None:
    assert model_digest(config(), folder) == sha256_file(folder / "their_box.py")
    assert model_digest(config("sys:exit"), folder) is None
