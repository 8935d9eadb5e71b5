"""A child process that holds one model: orders go in as lines of JSON, answers come out; what ended it is found."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from audit import errors
from audit.engine.guard import Suspect, suspects
from audit.errors import FaircamError

__all__ = ["KEPT_MEMORY", "Child", "Death"]

KEPT_MEMORY = {
    "MALLOC_TRIM_THRESHOLD_": str(2**32),
    "MALLOC_MMAP_THRESHOLD_": str(2**32),
    "ARROW_DEFAULT_MEMORY_POOL": "system",
}
"""Has glibc keep what a pass of PyTorch frees: giving it back and faulting it in takes a tenth of a pass or more. Arrow
frees to the same place, so that a pass uses what reading the manifest took."""

_GLANCE = 1.0  # seconds between two looks at what a silent child is reading
_LAST_LINES = 12


class Death(Exception):
    """A child ended without an answer.

    Attributes
    ----------
    code : int
        Its exit code; negative is the signal that ended it.
    tail : str
        What it printed last.
    suspects : tuple of Suspect
        What it was reading.
    """

    def __init__(self, code: int, tail: str, found: tuple[Suspect, ...]) -> None:
        super().__init__(f"ended with code {code}")
        self.code = code
        self.tail = tail
        self.suspects = found


class Child:
    """One process of `audit.engine.process`.

    Parameters
    ----------
    order : mapping
        The first order, of `audit.engine.station.Station`.
    patience : float
        Seconds that reading one image may take; a child that takes longer is ended.
    """

    def __init__(self, order: Mapping[str, Any], patience: float) -> None:
        self._patience = patience
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        descriptor, name = tempfile.mkstemp(prefix="faircam-", suffix=".trace")
        os.close(descriptor)
        self._trace = Path(name)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "audit.engine.process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={"TF_CPP_MIN_LOG_LEVEL": "2", "PYTHONUNBUFFERED": "1", **KEPT_MEMORY, **os.environ},
            start_new_session=True,  # an interrupt at the terminal is the parent's to handle
        )
        self.tell(**order)

    def tell(self, **order: Any) -> None:
        """Give an order; one that begins a run also says where to name what is being read.

        Raises
        ------
        Death
            Nobody is there to take it.
        """
        if "run" in order:
            order["trace"] = str(self._trace)
        try:
            stream = self._stream(self._process.stdin)
            stream.write(json.dumps(order).encode() + b"\n")
            stream.flush()
        except BrokenPipeError:
            raise self._death() from None

    def answer(self) -> dict[str, Any]:
        """Wait for the answer to an order.

        Raises
        ------
        Death
            The child ended, or hung while it read an image and was ended.
        FaircamError
            The child's own error.
        """
        stream = self._stream(self._process.stdout)
        while not select.select([stream], [], [], _GLANCE)[0]:
            hanging = tuple(suspects(self._trace, self._patience))
            if hanging:
                self._kill()
                raise Death(-signal.SIGKILL, f"it took more than {self._patience:g} s to read", hanging)
        line = stream.readline()
        if not line.endswith(b"\n"):
            raise self._death()
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            told = answer["error"]
            kind: type[FaircamError] = getattr(errors, told["kind"], FaircamError)
            raise kind(told["what"], where=told["where"], fix=told["fix"])
        return answer

    def close(self) -> None:
        """End the child: it leaves when its standard input closes."""
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin:
            with contextlib.suppress(BrokenPipeError):
                stdin.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._kill()
        if stdout:
            stdout.close()
        self._log.close()
        self._trace.unlink(missing_ok=True)

    def _kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def _death(self) -> Death:
        code = self._process.wait()
        self._log.seek(0)
        tail = self._log.read().decode(errors="replace").strip().splitlines()[-_LAST_LINES:]
        return Death(code, "\n".join(tail), tuple(suspects(self._trace)))

    @staticmethod
    def _stream(stream: IO[bytes] | None) -> IO[bytes]:
        if stream is None:
            raise RuntimeError("the worker was started without a pipe")
        return stream
