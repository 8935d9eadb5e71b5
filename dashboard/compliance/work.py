"""Starting a job beside the server, following it, and ending it when nobody waits for it any more. No Streamlit."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from audit.errors import RunError

__all__ = ["work"]

_ONE_AT_A_TIME = threading.Lock()
_GRACE = 5.0


def work(asked: dict[str, Any], progress: Callable[[str], None]) -> Any:
    """Do a job of `dashboard.compliance.job`, and return its result.

    Parameters
    ----------
    asked : dict
        JSON values: ``task``, and what the task needs.
    progress : callable
        Told each step. What it raises ends the job: the page that waited for it is gone.

    Raises
    ------
    RunError
        The job failed, or another one is running on this server.
    """
    if not _ONE_AT_A_TIME.acquire(blocking=False):
        raise RunError("another bundle is being made or verified on this server", fix="wait for it, then press again")
    try:
        with _started(asked) as process:
            return _followed(process, progress)
    finally:
        _ONE_AT_A_TIME.release()


@contextlib.contextmanager
def _started(asked: dict[str, Any]) -> Iterator[subprocess.Popen[str]]:
    home = str(Path(__file__).resolve().parents[2])
    paths = os.pathsep.join([home, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))])
    process = subprocess.Popen(  # noqa: S603  our own interpreter and module
        [sys.executable, "-P", "-m", "dashboard.compliance.job", json.dumps(asked)],
        env={**os.environ, "PYTHONPATH": paths},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        _end(process)
        if process.stdout is not None:
            process.stdout.close()


def _end(process: subprocess.Popen[str]) -> None:
    """Ask it to end, so that it cleans up; then insist."""
    process.terminate()
    try:
        process.wait(_GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _followed(process: subprocess.Popen[str], progress: Callable[[str], None]) -> Any:
    for line in process.stdout or ():
        said = json.loads(line)
        if "step" in said:
            progress(str(said["step"]))
        elif "error" in said:
            raise RunError(str(said["error"]))
        else:
            return said["done"]
    raise RunError(f"the job ended with code {process.wait()} and without a result", fix="try `faircam bundle`")
