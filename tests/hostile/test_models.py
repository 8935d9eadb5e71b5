"""Every hostile or damaged model has its one outcome: nothing of it runs, the error says what to do, memory is bounded."""

from __future__ import annotations

import contextlib
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from audit.config import ExecutionConfig, ModelConfig
from audit.engine.child import Child, Death
from audit.errors import ModelError
from audit.models.loading import load_model
from tests.hostile import models
from tests.hostile.models import CLASSES, SIZE, Case, canary_of
from tests.integration.small import write_audit

OUTPUTS = {"dull": "rest", "red": ["a"]}
_NEEDED = {"torch": "torch", "keras": "tensorflow", "onnx": "onnx"}
_MOST_SECONDS = 20
_MOST_BYTES = 1.5 * 2**30


def _there(framework: str) -> bool:
    from importlib.util import find_spec

    return all(find_spec(name) is not None for name in filter(None, [_NEEDED.get(framework)]))


def _cases(framework: str, make: Callable[[], list[Case]]) -> list[object]:
    marks = (
        [getattr(pytest.mark, {"keras": "tensorflow"}.get(framework, framework))]
        if framework in ("torch", "keras")
        else []
    )
    if not _there(framework):
        return [pytest.param(None, marks=[*marks, pytest.mark.skip(reason=f"no {framework}")], id=framework)]
    return [pytest.param(case, marks=marks, id=f"{framework}-{case.name}") for case in make()]


CASES = [
    *_cases("numpy", models.numpy_cases),
    *_cases("torch", models.torch_cases),
    *_cases("keras", models.keras_cases),
    *_cases("onnx", models.onnx_cases),
]


def test_there_are_enough_and_each_has_its_own_name() -> None:
    names = [param.id for param in CASES]  # type: ignore[attr-defined]
    assert len(set(names)) == len(names) >= 25


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
@pytest.mark.parametrize("case", CASES)
def test_outcome(case: Case, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(b"secret" * 9)
    path = case.write(folder)
    keys = {"name": "m", "preprocessing": {"size": list(SIZE)}, **case.keys}
    config = ModelConfig.model_validate(keys)
    before, began = _forget_peak(), time.monotonic()
    if case.says:
        with pytest.raises(ModelError) as caught:
            load_model(config, folder, CLASSES, ExecutionConfig(device="cpu"), case.trust(path))
        assert re.search(case.says, str(caught.value), re.DOTALL), str(caught.value)
        assert len(str(caught.value)) < 1500
    else:
        adapter = load_model(config, folder, CLASSES, ExecutionConfig(device="cpu"), case.trust(path))
        assert not np.isfinite(adapter.scores(np.ones((2, *SIZE, 3), np.float32))).any()
    assert time.monotonic() - began < _MOST_SECONDS
    assert _peak() - before < _MOST_BYTES
    assert not canary_of(path).exists()


def test_the_payload_is_real(tmp_path: Path) -> None:
    """What every case above must prevent does happen where the very file is trusted."""
    torch = pytest.importorskip("torch")
    path = tmp_path / "models" / "m.pt"
    path.parent.mkdir()
    torch.save(models.Payload(path), path)
    config = ModelConfig(name="m", framework="torch", path="m.pt", preprocessing={"size": SIZE})
    with pytest.raises(ModelError, match="holds a int, not a torch.nn.Module"):
        load_model(config, path.parent, CLASSES, ExecutionConfig(device="cpu"), models.itself(path))
    assert canary_of(path).exists()


def test_a_model_that_never_answers_is_ended(tmp_path: Path) -> None:
    """A loop of 2^62 rounds passes every check of the file; the worker that tries it out has a time limit."""
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    path = write_audit(tmp_path / "audit", images=4)
    (path.parent / "m.onnx").write_bytes(models.endless())
    model = {"name": "m", "framework": "onnx", "path": "m.onnx", "classes": ["a", "b", "c"], "outputs": OUTPUTS}
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    config["models"] = [{**model, "preprocessing": {"size": list(SIZE), "layout": "NCHW"}}]
    order = {"base": str(path.parent), "config": config, "model": "m", "sha256": None, "seconds": 4.0}
    with contextlib.closing(Child(order, 10.0)) as child, pytest.raises(Death) as caught:
        child.answer()
    assert caught.value.code == -signal.SIGALRM


def _forget_peak() -> int:
    """Start anew to measure the peak of this process's memory; what it is now."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return _peak()


def _peak() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) * 1024
