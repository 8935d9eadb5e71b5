"""What loading may take, and what the child that opens untrusted weights cannot do."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from audit.errors import ModelError
from audit.models.conversion import in_child
from audit.models.limits import bounded_memory

GIB = 2**30

CONFINED = """
import json, os, socket, subprocess, sys, threading
from pathlib import Path
from audit.models.limits import confine, leave_network

left = leave_network()
route = Path("/proc/net/dev").read_text().count(":")
folder = Path(sys.argv[1])
confine(folder, 2**28, 2**20)

def tried(what):
    try:
        what()
    except BaseException as error:
        return type(error).__name__
    return "done"

def fill():
    with open(folder / "large", "wb") as file:
        file.write(bytes(2**21))
        file.flush()

import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
print(json.dumps({
    "left": left,
    "interfaces": route,
    "memory": tried(lambda: bytearray(2**29)),
    "small": tried(lambda: bytearray(2**20)),
    "socket": tried(lambda: socket.create_connection(("127.0.0.1", 9))),
    "program": tried(lambda: subprocess.run(["true"])),
    "shell": tried(lambda: os.system("true")),
    "elsewhere": tried(lambda: open(folder.parent / "elsewhere", "w")),
    "elsewhere by number": tried(lambda: os.open(folder.parent / "elsewhere", os.O_CREAT | os.O_WRONLY)),
    "winding": tried(lambda: open(folder / ".." / "elsewhere", "a")),
    "here": tried(lambda: (folder / "here").write_text("x")),
    "read": tried(lambda: open("/etc/hostname").read()),
    "large": tried(fill),
}))
"""


@pytest.fixture(scope="module")
def confined(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    folder = tmp_path_factory.mktemp("confined") / "own"
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-P", "-c", CONFINED, str(folder)], capture_output=True, text=True, timeout=60, check=True
    )
    assert not (folder.parent / "elsewhere").exists()
    found: dict[str, object] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(
    ("what", "outcome"),
    [
        ("memory", "MemoryError"),
        ("small", "done"),
        ("socket", "PermissionError"),
        ("program", "PermissionError"),
        ("shell", "PermissionError"),
        ("elsewhere", "PermissionError"),
        ("elsewhere by number", "PermissionError"),
        ("winding", "PermissionError"),
        ("here", "done"),
        ("read", "done"),
        ("large", "OSError"),
    ],
)
def test_a_confined_process(confined: dict[str, object], what: str, outcome: str) -> None:
    assert confined[what] == outcome


def test_a_network_of_its_own_has_no_way_out(confined: dict[str, object]) -> None:
    """Where the system permits a namespace; else the audit hook alone stands between Python code and the network."""
    if not confined["left"]:
        pytest.skip("no network namespace for this user")
    assert confined["interfaces"] == 1  # the loopback, which is down


def test_memory_is_bounded_while_a_model_is_loaded_and_free_afterwards() -> None:
    with bounded_memory(GIB), pytest.raises(MemoryError):
        np.empty(2 * GIB, np.uint8)
    with bounded_memory(GIB):
        assert np.zeros(GIB // 4, np.uint8).size == GIB // 4
    assert np.empty(2 * GIB, np.uint8).size == 2 * GIB


def test_a_file_that_takes_too_long_to_read_is_given_up(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    path.write_bytes(b"x")
    with pytest.raises(ModelError, match="their.pt: took longer than 0 s to read, and was not loaded.*safetensors"):
        in_child("torch", path, Path("their.pt"), seconds=0.01)


def test_a_crash_of_the_child_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "w.pt"
    path.write_bytes(b"x")
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(ModelError, match="ended the process that read it, with code 1"):
        in_child("torch", path, Path("their.pt"))
