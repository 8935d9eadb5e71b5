"""Audits in forked processes, so that hundreds can be killed in a minute: what is imported is imported once.

Started as ``python -P -m tests.engine.forked``; orders and answers are lines of JSON. The worker lives in the process
that is killed, so one kill ends both; the commits are those of every audit.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from audit.config import AuditConfig, load_config
from audit.engine.crew import InlineCrew
from audit.engine.job import FileSource, Job, OutputMap
from audit.engine.station import describe
from audit.engine.worker import Worker
from audit.errors import FaircamError
from audit.models.loading import load_model
from audit.pipeline import check_folder, execute, silent
from audit.preflight import preflight

STEPS = ("open", "write", "sync", "rename", "sync folder")
"""What a commit does, in order; a fault strikes before the step is done, or after the last as ``done``."""


class Forked:
    """The process that forks; use it as a context manager."""

    def __enter__(self) -> Forked:
        home = str(Path(__file__).resolve().parents[2])
        paths = [home, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "tests.engine.forked"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OPENBLAS_NUM_THREADS": "1"},
            text=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()

    def audit(self, config: Path, out: Path, **fault: Any) -> dict[str, Any]:
        """Run or resume an audit; gives how it ended and what it said.

        Faults: ``after`` so many shards and ``delay`` seconds more, a kill; at the `commit`-th commit before its `step`,
        a kill, or the error that `error` names.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"config": str(config), "out": str(out), **fault}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the process that forks has died"
        answer: dict[str, Any] = json.loads(line)
        return answer


def main() -> None:
    """Fork an audit an order."""
    for line in sys.stdin:
        order = json.loads(line)
        told, tell = os.pipe()
        child = os.fork()
        if not child:
            os.close(told)
            _carry_out(order, tell)
        os.close(tell)
        if "after" in order:
            _kill(child, Path(order["out"]), order["after"], order["delay"])
        with os.fdopen(told) as stream:
            said = stream.read()
        _, status = os.waitpid(child, 0)
        answer = {"code": os.waitstatus_to_exitcode(status), "said": said, "commits": said.count("\n")}
        print(json.dumps(answer), flush=True)


def _carry_out(order: dict[str, Any], tell: int) -> None:
    code = 70
    try:
        if "commit" in order:
            _arm(order["commit"], order["step"], order.get("error"))
        _run(Path(order["config"]), Path(order["out"]))
        code = 0
    except FaircamError as error:
        os.write(tell, f"{error}".encode())
        code = error.exit_code
    except OSError as error:
        os.write(tell, f"{error}".encode())
        code = 3
    except BaseException as error:
        os.write(tell, f"{type(error).__name__}: {error}".encode())
    finally:
        os._exit(code)


def _run(path: Path, out: Path) -> None:
    config = load_config(AuditConfig, path)
    checked = preflight(config, path.parent)
    check_folder(out, checked.plan, resume=True)
    crews = {}
    for model in config.models:
        outputs = OutputMap.build(model, checked.classes)
        adapter = load_model(model, path.parent, outputs.own, config.execution)
        source = FileSource(checked.dataset, model.preprocessing, config.data.max_pixels)
        crews[model.name] = InlineCrew(
            Worker(Job.build(config, model.name, source, outputs), adapter), describe(adapter.spec)
        )
    execute(checked, crews, out, {"trust_code": False}, silent)


def _kill(child: int, out: Path, after: int, delay: float) -> None:
    while len(list((out / "shards").rglob("[!.]*.parquet"))) < after:
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return
        time.sleep(0.0005)
    time.sleep(delay)
    os.kill(child, signal.SIGKILL)


def _arm(commit: int, step: str, error: str | None) -> None:
    """Have one step of one commit fail, or end the process."""
    from audit.run import files

    seen = 0
    plain = files.commit

    def strike(at: str) -> None:
        if at == step and seen == commit:
            if error is None:
                os.kill(os.getpid(), signal.SIGKILL)
            code = getattr(errno, error or "")
            raise OSError(code, os.strerror(code))

    def counted(path: Path, write: Callable[[Path], None]) -> None:
        nonlocal seen
        seen += 1

        def writing(partial: Path) -> None:
            strike("open")
            write(partial)
            if step == "write" and seen == commit:
                with partial.open("rb+") as stream:
                    stream.truncate(partial.stat().st_size // 2)
            strike("write")

        plain(path, writing)
        strike("done")

    sync, replace = os.fsync, Path.replace

    def synced(descriptor: int) -> None:
        strike("sync folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "sync")
        sync(descriptor)

    def replaced(self: Path, target: Any) -> Path:
        strike("rename")
        return replace(self, target)

    os.fsync = synced
    Path.replace = replaced  # type: ignore[method-assign]
    for module in list(sys.modules.values()):
        if getattr(module, "commit", None) is plain:
            module.commit = counted  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
