"""The command that holds two forms of one network against each other, each in a process of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from audit import parity_command
from audit.config import AuditConfig
from audit.config_file import load_config
from audit.errors import IncompleteRun
from audit.parity_command import ParityRequest, run_parity
from audit.trust import Trust
from tests.integration.small import CLASSES, SIZE, faircam, write_audit

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # keras, saving

MODEL = {"preprocessing": {"size": [SIZE, SIZE], "mean": [0.5] * 3, "std": [0.25] * 3}, "classes": list(CLASSES)}


def numpy_models(folder: Path) -> Path:
    """The closed-form model, and the same with one weight changed."""
    path = write_audit(folder, images=12)
    arrays = dict(np.load(folder / "model.npz"))
    arrays["W1"][0, 1] += 0.25
    np.savez(folder / "changed.npz", **arrays)
    content = yaml.safe_load(path.read_text())
    content["models"].append({**content["models"][0], "name": "changed", "weights": "changed.npz"})
    content["models"].append({**content["models"][0], "name": "copy"})
    path.write_text(yaml.safe_dump(content))
    return path


def test_one_weight_is_found_and_a_copy_agrees(tmp_path: Path) -> None:
    path = numpy_models(tmp_path / "audit")
    same = faircam("parity", path, "--first", "closed-form", "--second", "copy", "--dtype", "float64")
    assert same.returncode == 0, same.stderr
    assert same.stdout.splitlines()[-1] == (
        "closed-form and copy agree on 12 images in images, weights, layer outputs, scores, input gradients, maps."
    )
    done = faircam("parity", path, "--first", "closed-form", "--second", "changed", "--images", "5")
    assert done.returncode == 1, done.stderr
    assert done.stdout.splitlines()[-1] == (
        "Weights of layer features differ by up to 2.5e-01 of the largest value (allowed: 1e-06): "
        "kernel[0, 0, 0, 1] is 0.5 and 0.75, 1 of 6 values differ."
    )
    later = faircam("parity", path, "--first", "closed-form", "--second", "changed", "--start", "scores", "--steps")
    assert later.returncode == 1
    assert later.stdout.splitlines()[-1].startswith("The scores of closed-form and changed differ by up to ")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--first", "closed-form"], "two models or one are needed"),
        (["--first", "copy", "--second", "copy"], "--first and --second are both 'copy'"),
        (["--first", "copy", "--second", "chnged"], "there is no model 'chnged', .* Did you mean 'changed'?"),
        (["--first", "copy", "--second", "changed", "--dtype", "float46"], "Did you mean 'float64'?"),
        (["--first", "copy", "--second", "changed", "--images", "0"], "--images is 0"),
        (["--backend-check", "copy"], "the backends of Keras need a Keras model"),
    ],
)
def test_usage(tmp_path: Path, options: list[str], said: str) -> None:
    done = faircam("parity", numpy_models(tmp_path / "audit"), *options)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    for part in said.split(" .* "):
        assert part in done.stderr


def test_a_model_that_never_loads_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = numpy_models(tmp_path / "audit")
    content = yaml.safe_load(path.read_text())
    asleep = {"name": "asleep", "framework": "callable", "function": "asleep:score", **MODEL}
    path.write_text(yaml.safe_dump({**content, "models": [content["models"][0], asleep]}))
    (path.parent / "asleep.py").write_text("import time\ntime.sleep(600)\n")
    monkeypatch.setattr(parity_command, "LOADING_SECONDS", 3.0)
    request = ParityRequest("closed-form", "asleep", trust=Trust(code=True))
    with pytest.raises(IncompleteRun, match="'asleep' was not loaded within 3 s, and its process was ended"):
        run_parity(load_config(AuditConfig, path), path.parent, request)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The deeper CNN in both frameworks, and in Keras with one weight changed."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("tensorflow")
    from safetensors.torch import save_file

    from audit.models import torch_networks, transfer
    from audit.models.networks import NetworkArguments

    folder = tmp_path_factory.mktemp("parity") / "audit"
    path = write_audit(folder, images=12)
    torch.manual_seed(0)
    shape = (40, 32, 3)
    arguments = NetworkArguments(num_classes=2, input_shape=shape)
    ours = torch_networks.build("deep_cnn", **arguments.as_dict())
    save_file(ours.state_dict(), folder / "deep.safetensors")
    theirs = transfer.convert(ours, "keras", "deep_cnn", arguments)
    theirs.save(folder / "deep.keras")
    kernel = theirs.get_layer("conv2").kernel
    array = kernel.numpy()
    array[1, 0, 3, 7] += 0.5
    kernel.assign(array)
    theirs.save(folder / "changed.keras")
    common = {**MODEL, "preprocessing": {**MODEL["preprocessing"], "size": list(shape[:2])}}  # type: ignore[dict-item]
    content: dict[str, Any] = yaml.safe_load(path.read_text())
    content["models"] = [
        {
            "name": "ours",
            "framework": "torch",
            "architecture": "deep_cnn",
            "arguments": arguments.as_dict(),
            "weights": "deep.safetensors",
            **common,
        },
        {"name": "theirs", "framework": "keras", "path": "deep.keras", **common},
        {"name": "changed", "framework": "keras", "path": "changed.keras", **common},
    ]
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.mark.slow
@pytest.mark.torch
@pytest.mark.tensorflow
def test_two_frameworks(both: Path) -> None:
    proof = faircam("parity", both, "--first", "ours", "--second", "theirs", "--dtype", "float64", "--images", "4")
    assert proof.returncode == 0, proof.stdout + proof.stderr
    assert "First:  ours (torch, float64, cpu, maps at relu3)" in proof.stdout
    assert proof.stdout.splitlines()[-1].startswith("ours and theirs agree on 4 images in images, weights, layer ")
    done = faircam("parity", both, "--first", "ours", "--second", "changed", "--images", "4")
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("Weights of layer conv2 differ by up to ")
    assert "weight[1, 0, 3, 7] is " in done.stdout


@pytest.mark.slow
@pytest.mark.torch
@pytest.mark.tensorflow
def test_one_file_on_two_backends(both: Path) -> None:
    done = faircam("parity", both, "--backend-check", "theirs", "--dtype", "float64", "--images", "4")
    assert done.returncode == 0, done.stdout + done.stderr
    # Keras does not keep double precision on this backend, and is held to single.
    assert "Second: theirs on PyTorch (keras on torch, float32, cpu, maps at relu3)" in done.stdout
    assert done.stdout.splitlines()[-1] == (
        "theirs and theirs on PyTorch agree on 4 images in images, weights, layer outputs, scores, input gradients, maps."
    )


@pytest.mark.slow
@pytest.mark.torch
@pytest.mark.tensorflow
def test_the_second_backend_has_the_limit_too(both: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = parity_command._record

    def hurried(name: str, request: dict[str, Any]) -> None:
        record(name, {**request, "seconds": 0.001} if request["backend"] == "torch" else request)

    monkeypatch.setattr(parity_command, "_record", hurried)
    with pytest.raises(IncompleteRun, match="'theirs' was not loaded within 0.001 s"):
        run_parity(load_config(AuditConfig, both), both.parent, ParityRequest("theirs", None))
