"""SIGKILL in mid-run: nothing lost, nothing twice, and the same tables after `--resume`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from audit.run import open_run
from tests.integration.small import faircam, write_audit
from tests.integration.test_passes import trained
from tests.integration.test_run import assert_same_tables

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    config = write_audit(folder, images=400)
    assert faircam("run", config, "--out", folder / "run").returncode == 0
    return folder


@pytest.mark.parametrize("after", [1, 15, 30])
def test_killed_after_so_many_receipts(undisturbed: Path, tmp_path: Path, after: int) -> None:
    killed_and_resumed(undisturbed, tmp_path / "run", after)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("framework", ["torch", pytest.param("keras", marks=pytest.mark.tensorflow)])
def test_killed_in_each_framework(tmp_path: Path, framework: str) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("tensorflow" if framework == "keras" else "torch")
    folder = tmp_path / "undisturbed"
    folder.mkdir()
    config = write_audit(folder, images=400)
    model = {key: value for key, value in trained(folder, framework).items() if key != "training_data"}
    config.write_text(yaml.safe_dump(yaml.safe_load(config.read_text()) | {"models": [model]}))
    assert faircam("run", config, "--out", folder / "run").returncode == 0
    killed_and_resumed(folder, tmp_path / "run", 10)


def killed_and_resumed(undisturbed: Path, out: Path, after: int) -> None:
    """Kill an audit after so many receipts, resume it, and hold its tables against those of an undisturbed one."""
    total = len(list((undisturbed / "run" / "shards").rglob("*.parquet")))
    command = [sys.executable, "-P", "-m", "audit.cli", "run", str(undisturbed / "audit.yaml"), "--out", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while committed(out) < after and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.001)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    time.sleep(0.2)
    assert after <= committed(out) < total, "the kill must strike between the first receipt and the last"
    assert not open_run(out).complete
    done = faircam("run", undisturbed / "audit.yaml", "--out", out, "--resume")
    assert done.returncode == 0, done.stderr
    assert open_run(out).complete
    assert_same_tables(undisturbed / "run", out)


def test_torn_shard_is_redone(undisturbed: Path, tmp_path: Path) -> None:
    import shutil

    out = tmp_path / "run"
    shutil.copytree(undisturbed / "run", out)
    (out / "run.json").unlink()
    shard = sorted((out / "shards").rglob("predict-*.parquet"))[3]
    shard.write_bytes(shard.read_bytes()[:-200])
    assert faircam("run", undisturbed / "audit.yaml", "--out", out, "--resume").returncode == 0
    assert_same_tables(undisturbed / "run", out)


def test_interrupt_keeps_what_was_committed(undisturbed: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    command = [sys.executable, "-P", "-m", "audit.cli", "run", str(undisturbed / "audit.yaml"), "--out", str(out)]
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_interruptible,  # noqa: PLW1509 - no threads here
    )
    deadline = time.monotonic() + 120
    while committed(out) < 5 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "Traceback" not in errors
    assert "--resume" in errors
    assert faircam("run", undisturbed / "audit.yaml", "--out", out, "--resume").returncode == 0
    assert_same_tables(undisturbed / "run", out)


def _interruptible() -> None:
    """Undo what a shell does to commands in the background: it has them ignore an interrupt."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def committed(out: Path) -> int:
    return len([path for path in (out / "shards").rglob("*.parquet") if not path.name.startswith(".")])
