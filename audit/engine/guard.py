"""What a worker leaves behind when reading an image ends it: the image's row, in a file that outlives the process.

A decoder that crashes, fills the memory or never returns takes its worker with it. Whoever started the worker reads
the trace, ends it where it hangs, starts another and, where the same image does it again, has it refused from then on.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple, get_args

__all__ = ["Guard", "Kind", "Suspect", "suspects"]

Kind = Literal["images", "regions", "members"]
"""Of which table a row is read: the images, their region maps, or the model's training images."""

_WIDTH = 64


class Suspect(NamedTuple):
    """Something that is or was being read."""

    kind: Kind
    position: int


@dataclass
class Guard:
    """Names each image while it is read, and knows those that must not be.

    Parameters
    ----------
    refused : dict of Suspect to str
        What must not be read, and why.
    """

    refused: dict[Suspect, str] = field(default_factory=dict)
    _trace: int | None = None

    def trace_to(self, path: Path) -> None:
        """Leave the trace in this file from now on."""
        self._trace = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)

    @contextlib.contextmanager
    def reading(self, what: Suspect) -> Iterator[None]:
        """Leave a trace while something is read; two threads may read at once, the main one and one that runs ahead."""
        if self._trace is None:
            yield
            return
        place = _WIDTH * (threading.current_thread() is not threading.main_thread())
        os.pwrite(self._trace, f"{what.kind} {what.position} {time.time():.3f}".encode().ljust(_WIDTH), place)
        try:
            yield
        finally:
            os.pwrite(self._trace, b" " * _WIDTH, place)


def suspects(path: Path, seconds: float = 0.0) -> list[Suspect]:
    """What a process is reading, or was when it ended.

    Parameters
    ----------
    path : Path
        File of the trace.
    seconds : float
        Only what it has been reading for at least so long.
    """
    try:
        content = path.read_bytes().decode("ascii", "replace")
    except OSError:
        return []
    found = []
    for start in range(0, len(content), _WIDTH):
        match content[start : start + _WIDTH].split():
            case [kind, position, since] if kind in get_args(Kind) and time.time() - float(since) >= seconds:
                found.append(Suspect(kind, int(position)))  # type: ignore[arg-type]  # one of them, as just looked up
    return found
