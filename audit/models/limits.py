"""What loading a model may take: memory and time for whoever loads, much less of everything for a child that converts.

Memory is limited by RLIMIT_DATA, which Linux holds allocations to; other systems do not, and there is no limit there.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from audit.errors import IncompleteRun

__all__ = [
    "LOADING_SECONDS",
    "bounded_memory",
    "bounded_time",
    "confine",
    "leave_network",
    "loading_memory",
    "never_loaded",
]

LOADING_SECONDS = 1800.0
"""Longest that loading a model and listing its images may take: one that never answers is ended."""

_GIB = 2**30
_FOLD = 8  # copies of the weights while a framework builds, reads and places them
_NEWNET, _NEWUSER = 0x40000000, 0x10000000
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_REFUSED = ("socket.", "subprocess.", "os.system", "os.exec", "os.spawn", "os.posix_spawn", "os.fork", "pty.spawn")


def loading_memory(size: int) -> int:
    """Bytes that loading a model whose files have `size` bytes may take on top of what the process holds."""
    return 4 * _GIB + _FOLD * size


@contextlib.contextmanager
def bounded_memory(extra: int) -> Iterator[None]:
    """Let this process take at most `extra` bytes more; whatever asks for them meanwhile gets an error.

    A driver of a GPU reserves memory as it likes: where there is one, nothing is limited.
    """
    held = _data()
    if held is None or Path("/dev/nvidiactl").exists():
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    most = held + extra if soft == resource.RLIM_INFINITY else min(soft, held + extra)
    resource.setrlimit(resource.RLIMIT_DATA, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


@contextlib.contextmanager
def bounded_time(seconds: float) -> Iterator[None]:
    """Have the system end this process, with the signal SIGALRM, where what is within takes longer than `seconds`."""
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def never_loaded(model: str, seconds: float) -> IncompleteRun:
    """What to say of a process that `bounded_time` ended while it loaded `model`."""
    return IncompleteRun(
        f"model '{model}' was not loaded within {seconds:g} s, and its process was ended",
        fix="look at what the model computes; one that never answers cannot be audited",
    )


def confine(folder: Path, memory: int, written: int) -> None:
    """Limit this process for good, as far as the system lets it.

    Parameters
    ----------
    folder : Path
        The only folder that Python code may write to.
    memory : int
        Bytes on top of what it holds.
    written : int
        Bytes of the largest file that it may write.

    Notes
    -----
    The network is taken away by a namespace of its own where the system permits one, which must be asked for before a
    second thread starts: see `leave_network`. An audit hook refuses sockets, other programs and writing elsewhere to
    Python code in any case; native code it cannot see.
    """
    held = _data()
    if held is not None:
        resource.setrlimit(resource.RLIMIT_DATA, (held + memory, held + memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (written, written))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    home = os.path.realpath(folder) + os.sep

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event.startswith(_REFUSED):
            raise PermissionError(f"{event} is refused while weights are read")
        if event == "open" and len(arguments) > 2 and int(arguments[2] or 0) & _WRITING:
            path = arguments[0]
            if isinstance(path, int):
                return  # already open
            if path != os.devnull and not os.path.realpath(os.fsdecode(path)).startswith(home):
                raise PermissionError(f"writing {path!r} is refused while weights are read")

    sys.addaudithook(hook)


def leave_network() -> bool:
    """Move this process, which must have one thread, to a network of its own without any way out; whether it did."""
    unshare = getattr(ctypes.CDLL(None, use_errno=True), "unshare", None)
    return unshare is not None and any(unshare(flags) == 0 for flags in (_NEWNET, _NEWUSER | _NEWNET))


def _data() -> int | None:
    """Bytes that RLIMIT_DATA counts of this process; None where the system does not say."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmData:")), None)
