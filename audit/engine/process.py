"""The other end of the pipe: one worker process a model, driven by lines of JSON on standard input.

Started as ``python -P -m audit.engine.process``. It ends as soon as its standard input does, so it
never outlives the audit that started it.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TextIO

from audit.errors import FaircamError

__all__ = ["LOADING_SECONDS", "loading_limit", "loading_seconds", "main"]

LOADING_SECONDS = 1800.0
"""Longest that loading a model and listing its images may take: one that never answers is ended."""


@contextmanager
def loading_limit(order: Mapping[str, Any]) -> Iterator[None]:
    """While a model is loaded: the system ends the process that takes longer than `loading_seconds`."""
    signal.setitimer(signal.ITIMER_REAL, loading_seconds(order))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def loading_seconds(order: Mapping[str, Any]) -> float:
    """Seconds that loading may take: as the order says, or `LOADING_SECONDS`."""
    return float(order.get("seconds", LOADING_SECONDS))


def main() -> None:
    """Load the model that the first line names, then carry out the orders of the next lines."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)  # whatever a framework prints must not mix with the answers
    orders: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin, orders), daemon=True).start()
    try:
        _serve(orders, answers)
    except OSError as error:  # a full disk, say: the parent tells it in one line
        fix = "mend the cause, then use --resume; what was committed is kept"
        _answer(answers, error={"kind": "IncompleteRun", "what": str(error), "where": None, "fix": fix})
    except FaircamError as error:
        _answer(
            answers, error={"kind": type(error).__name__, "what": error.what, "where": error.where, "fix": error.fix}
        )


def _listen(stream: TextIO, orders: queue.SimpleQueue[str]) -> None:
    """Pass orders on; leave at once when whoever gives them is gone, so that a run has one writer."""
    for line in stream:
        orders.put(line)
    os._exit(0)


def _serve(orders: queue.SimpleQueue[str], answers: TextIO) -> None:
    from audit.engine.station import Station

    order = json.loads(orders.get())
    with loading_limit(order):
        station = Station(order)
    _answer(answers, ready=station.description)
    while True:
        answer = station.obey(json.loads(orders.get()))
        if answer is not None:
            _answer(answers, **answer)


def _answer(answers: TextIO, **content: Any) -> None:
    answers.write(json.dumps(content) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
