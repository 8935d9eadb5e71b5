"""The other end of the pipe: one worker process a model, driven by lines of JSON on standard input.

Started as ``python -P -m audit.engine.process``. It ends as soon as its standard input does, so it
never outlives the audit that started it.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from collections.abc import Mapping
from typing import Any, TextIO

from audit.errors import FaircamError
from audit.models.limits import LOADING_SECONDS, bounded_time

__all__ = ["loading_seconds", "main"]


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
    with bounded_time(loading_seconds(order)):
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
