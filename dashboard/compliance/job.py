"""Making or verifying a bundle in a process of its own, so that the server stays quick and small meanwhile.

Its one argument is a JSON object that says what to do. It writes a JSON object a line: ``step``, what is being done,
and last ``done`` with the result or ``error`` with a sentence. `dashboard.compliance.work` starts it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from datetime import date
from pathlib import Path
from typing import Any, TextIO

from audit.errors import FaircamError

__all__ = ["main"]

_NICE = 5


class _Job:
    """One task, and the stream that its parent reads."""

    def __init__(self, told: TextIO) -> None:
        self._told = told

    def say(self, **content: Any) -> None:
        print(json.dumps(content), file=self._told, flush=True)

    def step(self, text: str) -> None:
        self.say(step=text)

    def bundle(self, asked: dict[str, Any]) -> list[str]:
        """Write a bundle; returns what was withheld."""
        from audit.run import open_run
        from reports.bundle.make import write_bundle
        from reports.bundle.request import Request, check_level

        request = Request(
            check_level(asked["level"]),
            date.fromisoformat(asked["day"]),
            tuple(asked["packs"]),
            int(asked["threshold"]),
            asked["sex"],
            asked["race"],
        )
        made = write_bundle(open_run(asked["run"]), Path(asked["out"]), request, progress=self.step)
        return list(made.withheld)

    def verify(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Check a bundle; returns whether nothing differs, and every check."""
        from reports.verify import INTACT, verify

        found = verify(Path(asked["path"]), progress=self.step)
        checks = [
            {"name": check.name, "said": check.said, "problems": list(check.problems), "unseen": list(check.unseen)}
            for check in found.checks
        ]
        return {"what": found.what, "intact": found.exit_code == INTACT, "checks": checks}


def main(argument: str) -> None:
    """Do what the argument asks for; ends early, and cleans up, when it is told to terminate."""
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(1))
    os.nice(_NICE)  # the pages of others go first
    told, sys.stdout = sys.stdout, sys.stderr  # nothing else writes into what the parent reads
    asked = json.loads(argument)
    job = _Job(told)
    try:
        done = {"bundle": job.bundle, "verify": job.verify}[asked["task"]](asked)
    except FaircamError as error:
        job.say(error=str(error))
    except ModuleNotFoundError as error:
        job.say(error=f"the package '{error.name}' is not installed. Fix: pip install 'faircam[evidence]'")
    except OSError as error:
        job.say(error=str(error))
    else:
        job.say(done=done)


if __name__ == "__main__":
    main(sys.argv[1])
