"""Trying an image: the audited model and no other, the audit's numbers, hostile files refused, no process left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from audit.errors import DataError, FaircamError, ModelError, RunError
from audit.run.files import sha256_file
from audit.trust import NOTHING, Trust
from audit.try_it import Request, try_image
from dashboard.trying import child
from dashboard.trying.child import Limits, Step
from tests.integration.small import CLASSES, SIZE, write_audit
from tests.integration.test_callable import MODEL
from tests.tried import write_record

PLENTY = Limits(60.0, 2**40, 2**20)
SLOW = "import time\n\ndef score(images):\n    time.sleep(60)\n"
METHODS = ("saliency", "grad_cam")


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A folder with a config, a closed-form model, images, and a run of it under ``runs/run``."""
    folder = tmp_path / "base"
    config = write_audit(folder, images=4)
    write_record(config, folder / "runs" / "run", CLASSES)
    return folder


def request(base: Path, content: bytes | None = None, **changes: Any) -> Request:
    upload = base.parent / "upload"
    upload.mkdir(exist_ok=True)
    path = upload / "image"
    path.write_bytes((base / "images" / "0001.png").read_bytes() if content is None else content)
    asked: dict[str, Any] = {
        "run": base / "runs" / "run",
        "model": "closed-form",
        "methods": METHODS,
        "image": path,
        "places": (base,),
        "trust": NOTHING,
        "most_bytes": 2**20,
    }
    return Request(**{**asked, **changes})


def tried(asked: Request) -> dict[str, Any]:
    return try_image(asked, lambda _step: None)


def order(base: Path, **changes: Any) -> dict[str, Any]:
    asked = {"run": str(base / "runs" / "run"), "model": "closed-form", "methods": [], "places": [str(base)]}
    return {**asked, "trust_code": False, **changes}


def test_prediction_and_map_follow_from_the_weights(base: Path) -> None:
    asked = request(base)
    said = tried(asked)
    pixels = np.asarray(Image.open(asked.image), np.float64) / 255
    with np.load(base / "model.npz") as weights:
        inside = pixels @ weights["W1"] + weights["b1"] > 0
        hidden = (np.maximum(pixels @ weights["W1"] + weights["b1"], 0)).mean((0, 1))
        logits = hidden @ weights["W2"] + weights["b2"]
        target = int(logits.argmax())
        slopes = (inside * weights["W2"][:, target]) @ weights["W1"].T / SIZE**2
    odds = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    assert said["predicted"] == said["target_class"] == CLASSES[target] == "red"
    assert said["probabilities"] == pytest.approx(dict(zip(CLASSES, odds, strict=True)), abs=1e-6)
    assert said["confidence"] == pytest.approx(odds[target], abs=1e-6)
    assert said["score"] == pytest.approx(logits[target], abs=1e-5)
    assert said["sha256"] == sha256_file(base / "images" / "0001.png")
    assert said["own"] is None
    drawn = np.load(asked.image.with_name(said["maps"]["saliency"]["file"]))
    np.testing.assert_allclose(drawn, np.abs(slopes).max(axis=2), atol=1e-7)
    assert said["maps"]["saliency"]["layer"] is None
    assert said["maps"]["grad_cam"]["layer"] == "features"
    with Image.open(asked.image.with_name("picture.png")) as picture:
        assert picture.size == (SIZE, SIZE)


def test_own_classes_are_summed_into_those_of_the_audit(tmp_path: Path) -> None:
    base = tmp_path / "base"
    outputs = {"bright": ["red", "dull"], "dark": "rest"}
    entry = {"name": "closed-form", "framework": "numpy", "weights": "model.npz", "preprocessing": {"size": [SIZE] * 2}}
    config = write_audit(
        base, images=4, models=[{**entry, "classes": list(CLASSES), "outputs": outputs}], positive=None
    )
    write_record(config, base / "runs" / "run", ("bright", "dark"))
    said = tried(request(base, methods=()))
    assert said["predicted"] == "bright"
    assert said["probabilities"] == pytest.approx({"bright": 1.0, "dark": 0.0})
    assert sum(said["own"].values()) == pytest.approx(1.0)
    assert next(iter(said["own"])) == said["target_class"] == "red"


def test_a_model_that_changed_is_refused(base: Path) -> None:
    with (base / "model.npz").open("ab") as stream:
        stream.write(b"\0")
    with pytest.raises(ModelError, match=r"'model\.npz' has changed since the audit") as caught:
        tried(request(base))
    assert str(base) in str(caught.value)


def test_the_audited_file_is_found_behind_one_of_the_same_name(base: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "model.npz").write_bytes(b"something else")
    assert tried(request(base, places=(tmp_path, tmp_path / "other", base)))["predicted"] == "red"


def test_a_model_that_is_not_there_is_named_with_where_it_was_looked_for(base: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"there is no 'model\.npz'") as caught:
        tried(request(base, places=(tmp_path / "a", tmp_path / "b")))
    assert f"{tmp_path / 'a'}, {tmp_path / 'b'}" in str(caught.value)


def test_a_model_without_a_digest_is_refused(base: Path) -> None:
    path = base / "runs" / "run" / "run.json"
    record = json.loads(path.read_text())
    record["models"][0]["sha256"] = None
    path.write_text(json.dumps(record))
    with pytest.raises(ModelError, match="holds no digest"):
        tried(request(base))


@pytest.mark.parametrize(
    ("changes", "words"), [({"model": "other"}, "no model 'other'"), ({"methods": ("rise",)}, "no method 'rise'")]
)
def test_what_the_run_does_not_have_is_refused(base: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(RunError, match=words):
        tried(request(base, **changes))


def hostile(name: str, image: bytes) -> bytes:
    """A file that must not be taken for an image."""
    if name == "page":
        return b"<html><script>alert(1)</script></html>"
    if name == "drawing":
        return b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'
    if name == "postscript":
        return b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) run\n"
    if name == "cut":
        return image[: len(image) // 2]
    if name == "vast":  # a header that promises 60000 x 60000 pixels
        header = image[12:16] + (60000).to_bytes(4, "big") * 2 + image[24:29]
        return image[:12] + header + zlib.crc32(header).to_bytes(4, "big") + image[33:]
    return b"\0" * (2**20 + 1)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("page", "unsupported"),
        ("drawing", "unsupported"),
        ("postscript", "unsupported"),
        ("cut", "unreadable"),
        ("vast", "too large: "),
        ("heavy", "the limit is 1048576"),
    ],
)
def test_hostile_files_are_refused_before_a_model_is_loaded(base: Path, name: str, words: str) -> None:
    steps: list[str] = []
    content = hostile(name, (base / "images" / "0001.png").read_bytes())
    with pytest.raises(DataError, match=words):
        try_image(request(base, content), steps.append)
    assert steps[-1] == "reading the image"


def test_code_of_ones_own_runs_only_where_it_is_trusted(tmp_path: Path) -> None:
    base = tmp_path / "base"
    source = "import numpy as np\n\ndef score(images):\n    return np.tile([[1.0, 3.0]], (len(images), 1))\n"
    with_code(base, "tried_once", source)
    with pytest.raises(ModelError, match="runs code of its own"):
        tried(request(base, model="function"))
    said = tried(request(base, model="function", trust=Trust(code=True)))
    assert said["predicted"] == "red"
    assert said["confidence"] == pytest.approx(1 / (1 + np.exp(-2)))
    assert {row["status"] for row in said["maps"].values()} == {"not_measured"}
    assert "gradients" in said["maps"]["saliency"]["reason"]
    (base / "tried_once.py").write_text(source.replace("3.0", "-3.0"))
    with pytest.raises(ModelError, match="has changed since the audit"):
        tried(request(base, model="function", trust=Trust(code=True)))


def with_code(base: Path, module: str, source: str) -> None:
    model = {**MODEL, "function": f"{module}:score"}
    config = write_audit(base, images=4, models=[model])
    (base / f"{module}.py").write_text(source)
    write_record(config, base / "runs" / "run", CLASSES)


@pytest.mark.torch
def test_a_torch_model_gives_what_torch_gives(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    from audit.models.torch_networks import build

    torch.manual_seed(5)
    shape = {"num_classes": 2, "input_shape": [SIZE, SIZE, 3]}
    network = build("plain_cnn", **shape).eval()
    base = tmp_path / "base"
    entry = {"name": "network", "framework": "torch", "architecture": "plain_cnn", "weights": "network.safetensors"}
    config = write_audit(base, images=4, models=[{**entry, "arguments": shape, **SHAPED}])
    save_file(network.state_dict(), base / "network.safetensors")
    write_record(config, base / "runs" / "run", CLASSES)
    asked = request(base, model="network")
    said = tried(asked)
    pixels = np.asarray(Image.open(asked.image), np.float32) / 255
    seen = torch.from_numpy(pixels.transpose(2, 0, 1)[None].copy()).requires_grad_()
    scores = network(seen)
    scores.max().backward()
    assert list(said["probabilities"].values()) == pytest.approx(torch.softmax(scores[0], 0).tolist(), abs=1e-5)
    drawn = np.load(asked.image.with_name(said["maps"]["saliency"]["file"]))
    assert seen.grad is not None
    np.testing.assert_allclose(drawn, seen.grad[0].abs().amax(0).numpy(), atol=1e-6)


@pytest.mark.tensorflow
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
def test_a_keras_model_gives_what_keras_gives(tmp_path: Path) -> None:
    keras = pytest.importorskip("keras")
    layers = keras.layers
    keras.utils.set_random_seed(5)
    network = keras.Sequential(
        [layers.Input((SIZE, SIZE, 3)), layers.Conv2D(4, 3, activation="relu"), layers.Flatten(), layers.Dense(2)]
    )
    base = tmp_path / "base"
    config = write_audit(
        base, images=4, models=[{"name": "network", "framework": "keras", "path": "n.keras", **SHAPED}]
    )
    network.save(base / "n.keras")
    write_record(config, base / "runs" / "run", CLASSES)
    asked = request(base, model="network")
    said = tried(asked)
    pixels = np.asarray(Image.open(asked.image), np.float32)[None] / 255
    odds = keras.ops.softmax(network(pixels)).numpy()
    assert list(said["probabilities"].values()) == pytest.approx(odds[0].tolist(), abs=1e-5)
    assert {row["status"] for row in said["maps"].values()} == {"ok"}


SHAPED = {"preprocessing": {"size": [SIZE, SIZE]}, "classes": list(CLASSES)}


def workers() -> list[str]:
    """Processes that try an image, as the kernel lists them."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if b"audit.try_it" in path.read_bytes() and f"PPid:\t{os.getpid()}" in (path.parent / "status").read_text():
                found.append(path.parent.name)
        except OSError:  # it ended meanwhile
            continue
    return found


def test_the_process_gives_what_the_call_gives_and_leaves_nothing(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    steps: list[Step] = []
    content = (base / "images" / "0001.png").read_bytes()
    before = sorted(base.rglob("*"))
    found = child.try_image(order(base, methods=list(METHODS)), content, PLENTY, steps.append)
    assert found.said == tried(request(base))
    assert set(found.maps) == set(METHODS)
    assert found.picture is not None
    assert {(step.done, step.of) for step in steps[1:]} <= {(0, 1), *((done, 6) for done in range(6))}
    assert workers() == []
    assert list((tmp_path / "temporary").iterdir()) == []
    assert sorted(base.rglob("*")) == before


class Cancelled(Exception):
    pass


def test_who_cancels_leaves_no_process_and_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = tmp_path / "base"
    with_code(base, "tried_slowly", SLOW)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    seen: list[str] = []

    def told(step: Step) -> None:
        if step.words == "loading the model":  # which asks the function what it gives
            seen.extend(workers())
            raise Cancelled

    content = (base / "images" / "0001.png").read_bytes()
    started = time.monotonic()
    with pytest.raises(Cancelled):
        child.try_image(order(base, model="function", trust_code=True), content, PLENTY, told)
    assert time.monotonic() - started < 30
    assert len(seen) == 1
    assert workers() == []
    assert list((tmp_path / "temporary").iterdir()) == []
    with pytest.raises(RunError, match="runs code of its own"):  # the next one is not kept waiting
        child.try_image(order(base, model="function"), content, PLENTY, lambda _step: None)


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (Limits(0.001, 2**40, 2**20), r"longer than 0\.001 s"),
        (Limits(60.0, 1, 2**20), "GiB of memory, and the limit is"),
        (Limits(60.0, 2**40, 9), "the limit is 9"),
    ],
)
def test_limits_are_kept_and_said(base: Path, limits: Limits, words: str) -> None:
    content = (base / "images" / "0001.png").read_bytes()
    with pytest.raises(FaircamError, match=words):
        child.try_image(order(base), content, limits, lambda _step: None)
    assert workers() == []


def test_a_second_image_waits_its_turn(base: Path) -> None:
    def told(_step: Step) -> None:
        with pytest.raises(RunError, match="another image is being worked on"):
            child.try_image(order(base), b"", PLENTY, lambda _step: None)
        raise Cancelled

    with pytest.raises(Cancelled):
        child.try_image(order(base), b"", PLENTY, told)


def test_the_process_ends_with_who_asked(tmp_path: Path) -> None:
    base = tmp_path / "base"
    with_code(base, "tried_alone", SLOW)
    asked = request(base, model="function")
    said = order(base, model="function", trust_code=True, image=str(asked.image), most_bytes=2**20)
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "audit.try_it"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps({**said, "seconds": 60, "memory": 2**40}) + "\n")
        process.stdin.flush()
        while json.loads(process.stdout.readline())["step"] != "loading the model":
            pass
        process.stdin.close()
        assert process.wait(timeout=10) == 0
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()


def test_a_config_of_another_version_is_refused_in_words(base: Path) -> None:
    path = base / "runs" / "run" / "run.json"
    record = json.loads(path.read_text())
    record["config"]["colour"] = "mauve"
    path.write_text(json.dumps(record))
    with pytest.raises(FaircamError, match="the run's configuration: unknown key 'colour'"):
        tried(request(base))
