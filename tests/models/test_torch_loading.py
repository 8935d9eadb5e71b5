"""PyTorch models from a configuration: what is loaded, and what is refused with which words."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audit.config import ExecutionConfig, ModelConfig
from audit.errors import ModelError
from audit.models.loading import load_model
from audit.trust import NOTHING, Trust
from tests.models.twins import images

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

CLASSES = ("a", "b", "c")
ARGUMENTS = {"num_classes": 3, "input_shape": [16, 16, 3]}


def built(**arguments: Any) -> Any:
    from audit.models import torch_networks

    torch.manual_seed(0)
    return torch_networks.build("plain_cnn", **(ARGUMENTS | arguments))


def load(folder: Path, *, trust: Trust = NOTHING, device: str = "cpu", **keys: Any) -> Any:
    settings = {
        "name": "plain",
        "framework": "torch",
        "architecture": "plain_cnn",
        "arguments": ARGUMENTS,
        "weights": "w.safetensors",
        "preprocessing": {"size": [16, 16]},
    }
    config = ModelConfig.model_validate(settings | keys)
    return load_model(config, folder, CLASSES, ExecutionConfig(device=device, micro_batch=4), trust)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    from safetensors.torch import save_file

    state = built().state_dict()
    save_file(state, tmp_path / "w.safetensors")
    torch.save(state, tmp_path / "w.pt")
    torch.save({"state_dict": {f"module.{key}": value for key, value in state.items()}}, tmp_path / "wrapped.pth")
    torch.save(built(), tmp_path / "whole.pt")
    return tmp_path


@pytest.mark.parametrize("weights", ["w.safetensors", "w.pt", "wrapped.pth"])
def test_weights_in_every_form(saved: Path, weights: str) -> None:
    adapter = load(saved, weights=weights)
    batch = images(shape=(16, 16, 3))
    with torch.no_grad():
        expected = built().eval()(torch.from_numpy(batch).permute(0, 3, 1, 2))
    np.testing.assert_allclose(adapter.scores(batch), expected.numpy(), atol=1e-5)
    assert adapter.spec.layer == "relu2"
    assert adapter.spec.device == "cpu"
    assert adapter.micro_batch == 4


def test_a_pickled_module_is_refused(saved: Path) -> None:
    with pytest.raises(ModelError, match="pickled model, which runs code.*state_dict"):
        load(saved, weights="whole.pt")


def test_weights_that_do_not_fit_are_listed_at_once(saved: Path) -> None:
    state = built().state_dict()
    state["extra"] = state.pop("conv1.weight")
    state["dense.bias"] = torch.zeros(9)
    torch.save(state, saved / "odd.pt")
    with pytest.raises(ModelError) as caught:
        load(saved, weights="odd.pt")
    for said in ("missing: conv1.weight", "unexpected: extra", r"dense.bias is (9,), expected (3,)"):
        assert said in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("gone.pt", None, "no such file"),
        ("bad.safetensors", b"nothing", "is no safetensors file"),
        ("bad.pt", b"nothing", "or is broken"),
        ("bad.tar", b"nothing", r"allowed: \.safetensors, \.pt, \.pth, \.bin, \.ckpt"),
    ],
)
def test_broken_weights_are_named(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError, match=message):
        load(tmp_path, weights=name)


def test_what_is_no_state_dict_is_refused(tmp_path: Path) -> None:
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(ModelError, match="is no state dict"):
        load(tmp_path, weights="list.pt")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"architecture": "plain_cn"}, "unknown.*Did you mean 'plain_cnn'"),
        ({"architecture": "torchvision:resnet81"}, "Did you mean 'resnet18'"),
        ({"weights": None}, "untrained network"),
        ({"arguments": {"num_clases": 3}}, "cannot be built with the arguments"),
        ({"classes": ["a", "b"]}, "has 3 outputs, but 2 classes are declared"),
        ({"layer": "relu3"}, "has no layer 'relu3'.*Did you mean 'relu2'"),
        ({"preprocessing": {"size": [20, 20]}}, "cannot take images of 20 x 20 x 3"),
        ({"preprocessing": {}}, "needs one image size"),
        ({"device": "cuda:7"}, "PyTorch sees 0 CUDA devices"),
        ({"device": "tpu"}, "allowed: auto, cpu, cuda"),
    ],
)
def test_what_does_not_fit_is_named(saved: Path, keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        load(saved, **keys)


def test_torchvision_by_name(tmp_path: Path) -> None:
    import torchvision

    torch.save(torchvision.models.resnet18(weights=None, num_classes=3).state_dict(), tmp_path / "r.pt")
    adapter = load(
        tmp_path,
        architecture="torchvision:resnet18",
        arguments={"num_classes": 3},
        weights="r.pt",
        preprocessing={"size": [64, 64]},
    )
    assert adapter.spec.layer == "layer4"
    assert adapter.spec.parameters == 11_178_051


def test_code_runs_only_where_it_is_trusted(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (saved / "their_net.py").write_text(
        "from audit.models import torch_networks\n"
        "def make(**arguments):\n    return torch_networks.build('plain_cnn', **arguments)\n"
    )
    (saved / "audit.py").write_text("raise RuntimeError('shadowed')\n")
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "their_net", raising=False)
    with pytest.raises(ModelError, match="--trust-code"):
        load(saved, architecture="their_net:make")
    assert "their_net" not in sys.modules
    adapter = load(saved, architecture="their_net:make", trust=Trust(code=True))
    assert adapter.spec.layer == "relu2"
    assert sys.path[-1] == str(saved)
    with pytest.raises(ModelError, match="has no function 'mke'.*Did you mean 'make'"):
        load(saved, architecture="their_net:mke", trust=Trust(code=True))
    with pytest.raises(ModelError, match="cannot be imported"):
        load(saved, architecture="no_such_net:make", trust=Trust(code=True))
