"""The process that predicts and explains: started for one image, followed, ended with its whole group. No Streamlit."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO, Any

import numpy as np

from audit.errors import RunError
from dashboard.overlays import Bytes, picture

__all__ = ["SECONDS", "Limits", "Step", "Tried", "try_image"]

SECONDS = 120.0
"""Longest that one image may take."""

_SHARE = 0.5  # of this machine's memory
_GLANCE = 0.25
_ONE_AT_A_TIME = threading.Lock()
_ENDS = {
    -signal.SIGALRM: "it took longer than {seconds:g} s, the limit; choose fewer or cheaper methods",
    -signal.SIGKILL: "the system ended it, most likely because memory ran out",
    -signal.SIGSEGV: "a library crashed while it read the image or worked on it",
}


@dataclass(frozen=True)
class Limits:
    """What one image may take.

    Attributes
    ----------
    seconds : float
    memory : int
        Bytes.
    file : int
        Bytes of the image's file.
    """

    seconds: float
    memory: int
    file: int

    @staticmethod
    def of_this_machine(file: int) -> Limits:
        """Two minutes, and half of the memory."""
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return Limits(SECONDS, int(memory * _SHARE), file)


@dataclass(frozen=True)
class Step:
    """What is being done: in words, after how many of how many steps."""

    words: str
    done: int
    of: int


@dataclass(frozen=True)
class Tried:
    """What came back.

    Attributes
    ----------
    said : dict
        As `audit.try_it.try_image` gives it.
    picture : ndarray or None
        The image as the model's preprocessing frames it.
    maps : dict of str to ndarray
        ``(h, w)`` by method.
    """

    said: dict[str, Any]
    picture: Bytes | None
    maps: dict[str, np.ndarray]


def try_image(asked: Mapping[str, Any], content: bytes, limits: Limits, told: Callable[[Step], None]) -> Tried:
    """Predict and explain one image in a process of its own.

    Parameters
    ----------
    asked : mapping
        Fields of `audit.try_it.Request` but ``image`` and ``most_bytes``, as JSON has them.
    content : bytes
        The image's file. It lies in a temporary folder meanwhile.
    limits : Limits
    told : callable
        Told the step several times a second. What it raises ends the process at once: nobody waits any more.

    Raises
    ------
    RunError
        The image or the model was refused, a limit was met, or another image is being tried.
    """
    if not _ONE_AT_A_TIME.acquire(blocking=False):
        raise RunError("another image is being worked on", fix="wait for it, or cancel it, then press again")
    try:
        with TemporaryDirectory(prefix="faircam-try-") as name, TemporaryFile() as log:
            folder = Path(name)
            (folder / "image").write_bytes(content)
            order = {**asked, "image": str(folder / "image"), "most_bytes": limits.file}
            with _started({**order, "seconds": limits.seconds, "memory": limits.memory}, log) as process:
                said = _followed(process, limits, log, told)
            return Tried(said, picture(folder / "picture.png"), _maps(folder, said))
    finally:
        _ONE_AT_A_TIME.release()


@contextlib.contextmanager
def _started(order: Mapping[str, Any], log: IO[bytes]) -> Iterator[subprocess.Popen[str]]:
    home = str(Path(__file__).resolve().parents[2])
    paths = os.pathsep.join([home, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))])
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "audit.try_it"],
        env={"TF_CPP_MIN_LOG_LEVEL": "2", **os.environ, "PYTHONPATH": paths},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        start_new_session=True,
    )
    try:
        if process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):  # it ended already: why is found when its answer is missed
                process.stdin.write(json.dumps(order) + "\n")
                process.stdin.flush()  # and stays open: when it closes, the process ends
        yield process
    finally:
        _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(BrokenPipeError):
                stream.close()


def _followed(
    process: subprocess.Popen[str], limits: Limits, log: IO[bytes], told: Callable[[Step], None]
) -> dict[str, Any]:
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    reader = threading.Thread(target=_read, args=(process, lines), daemon=True)
    reader.start()
    step = Step("starting", 0, 1)
    while True:
        told(step)
        try:
            line = lines.get(timeout=_GLANCE)
        except queue.Empty:
            continue
        if line is None:
            raise RunError(f"nothing came of it: {_why(process.wait(), limits, log)}")
        said = json.loads(line)
        if "error" in said:
            raise RunError(str(said["error"]))
        if "result" in said:
            return dict(said["result"])
        step = Step(str(said["step"]), int(said["done"]), int(said["of"]))


def _read(process: subprocess.Popen[str], lines: queue.SimpleQueue[str | None]) -> None:
    with contextlib.suppress(ValueError):  # the stream was closed: nobody reads on
        for line in process.stdout or ():
            lines.put(line)
    lines.put(None)


def _why(code: int, limits: Limits, log: IO[bytes]) -> str:
    if code in _ENDS:
        return _ENDS[code].format(seconds=limits.seconds)
    log.seek(0)
    words = log.read().decode("utf-8", "replace").strip().splitlines()
    return words[-1] if words else f"the process ended with code {code}"


def _maps(folder: Path, said: Mapping[str, Any]) -> dict[str, np.ndarray]:
    files = {method: row["file"] for method, row in said["maps"].items() if row["file"]}
    return {method: np.load(folder / Path(file).name, allow_pickle=False) for method, file in files.items()}
