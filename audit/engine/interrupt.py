"""Ctrl-C: once ends after the shards at hand, twice at once."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from types import FrameType, TracebackType
from typing import Any, TypeVar

from audit.errors import IncompleteRun

__all__ = ["Interruptible"]

Item = TypeVar("Item")


class Interruptible:
    """While it is entered, the first interrupt only asks to stop."""

    def __init__(self) -> None:
        self._asked = False
        self._before: Any = None

    def until_asked(self, items: Iterable[Item]) -> Iterator[Item]:
        """Items, as long as nobody has asked to stop."""
        for item in items:
            if self._asked:
                return
            yield item

    def check(self) -> None:
        """End what was asked to stop.

        Raises
        ------
        IncompleteRun
        """
        if self._asked:
            raise IncompleteRun("stopped; what was committed is kept", fix="use --resume to go on")

    def _on_interrupt(self, _signal: int, _frame: FrameType | None) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True
        sys.stderr.write("Note: stopping after the shards at hand; Ctrl-C again stops at once\n")

    def __enter__(self) -> Interruptible:
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._before = signal.signal(signal.SIGINT, self._on_interrupt)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
