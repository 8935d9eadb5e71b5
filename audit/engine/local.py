"""The local engine: worker processes on this machine, or a worker inside this one.

Only shard specifications and receipts cross; the files are the truth.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Protocol

from audit import errors
from audit.config import AuditConfig
from audit.engine.cache import ShardCache
from audit.engine.worker import Worker
from audit.errors import FaircamError, IncompleteRun
from audit.run.plan import Shard
from audit.run.shards import Receipt

__all__ = ["KEPT_MEMORY", "Crew", "InlineCrew", "WorkerProcess"]

KEPT_MEMORY = {"MALLOC_TRIM_THRESHOLD_": str(2**32), "MALLOC_MMAP_THRESHOLD_": str(2**32)}
"""Has glibc keep what a pass of PyTorch frees: giving it back and faulting it in takes a tenth of a pass and more."""


class Crew(Protocol):
    """Whatever runs the shards of one model."""

    description: dict[str, Any]
    """What the record says of the model."""

    def begin(self, run: Path, fingerprint: str, cache: ShardCache | None = None) -> None:
        """Say where to commit, and where shards of other runs may lie."""
        ...

    def use_sample(self, sample: Sequence[int]) -> None:
        """Say which images are explained."""
        ...

    def map(self, shards: Iterable[Shard]) -> Iterator[Receipt]:
        """Run shards in order, giving each receipt once its file is committed."""
        ...

    def close(self) -> None:
        """Let go of the model."""
        ...


class WorkerProcess:
    """A child process that holds one model.

    Parameters
    ----------
    config : AuditConfig
    model : str
        Name of the model to load.
    base : Path
        Folder that the config's paths are relative to.
    trust_code : bool
        Whether import paths may be followed.

    Raises
    ------
    FaircamError
        The child's own error, or `IncompleteRun` where it died.
    """

    def __init__(self, config: AuditConfig, model: str, base: Path, trust_code: bool) -> None:
        self.model = model
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "audit.engine.process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=_environment(),
            text=True,
            encoding="utf-8",
            start_new_session=True,  # an interrupt at the terminal is the parent's to handle
        )
        self._order(base=str(base.resolve()), config=config.model_dump(mode="json"), model=model, trust_code=trust_code)

    def wait_until_ready(self) -> None:
        """Wait for the model to be loaded; its description is in `description` then."""
        self.description: dict[str, Any] = self._answer()["ready"]

    def measure(self) -> dict[str, float]:
        """Time a few images, as `audit.engine.measure.measure` does."""
        self._order(measure=True)
        cost: dict[str, float] = self._answer()["cost"]
        return cost

    def begin(self, run: Path, fingerprint: str, cache: ShardCache | None = None) -> None:
        """Say where to commit, and where shards of other runs may lie."""
        kept = None if cache is None else [str(cache.folder.resolve()), cache.identity]
        self._order(run=str(run.resolve()), fingerprint=fingerprint, cache=kept)

    def use_sample(self, sample: Sequence[int]) -> None:
        """Say which images are explained."""
        self._order(sample=[int(position) for position in sample])

    def map(self, shards: Iterable[Shard]) -> Iterator[Receipt]:
        """Run shards in order, giving each receipt once its file is committed."""
        for shard in shards:
            self._order(shard=shard.__dict__)
            yield Receipt.from_json(self._answer()["receipt"])

    def close(self) -> None:
        """End the child: it leaves when its standard input closes."""
        if self._process.stdin:
            self._process.stdin.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()
        self._log.close()

    def _order(self, **content: Any) -> None:
        stream = self._process.stdin
        if stream is None:
            raise RuntimeError("the worker was started without a pipe")
        try:
            stream.write(json.dumps(content) + "\n")
            stream.flush()
        except BrokenPipeError:
            raise self._death() from None

    def _answer(self) -> dict[str, Any]:
        stream = self._process.stdout
        line = stream.readline() if stream else ""
        if not line:
            raise self._death()
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            told = answer["error"]
            kind: type[FaircamError] = getattr(errors, told["kind"], FaircamError)
            raise kind(told["what"], where=told["where"], fix=told["fix"])
        return answer

    def _death(self) -> IncompleteRun:
        code = self._process.wait()
        self._log.seek(0)
        tail = self._log.read().decode(errors="replace").strip().splitlines()[-12:]
        return IncompleteRun(
            f"the worker of model '{self.model}' ended with code {code}:\n  " + "\n  ".join(tail),
            fix="mend the cause, then use --resume; what was committed is kept",
        )


class InlineCrew:
    """A worker in this process, for a model that already lives in memory."""

    def __init__(self, worker: Worker, description: dict[str, Any]) -> None:
        self.worker = worker
        self.description = description

    def begin(self, run: Path, fingerprint: str, cache: ShardCache | None = None) -> None:
        """Say where to commit, and where shards of other runs may lie."""
        from dataclasses import replace

        self.worker.cache = cache
        self.worker.job = replace(self.worker.job, run=run, fingerprint=fingerprint)

    def use_sample(self, sample: Sequence[int]) -> None:
        """Say which images are explained."""
        self.worker.use_sample(tuple(int(position) for position in sample))

    def map(self, shards: Iterable[Shard]) -> Iterator[Receipt]:
        """Run shards in order."""
        for shard in shards:
            yield self.worker.run(shard)

    def close(self) -> None:
        """Undo what the adapter did to the model."""
        self.worker.adapter.close()


def _environment() -> dict[str, str]:
    """The child's environment: frameworks that keep quiet and memory that is kept, unless the user says otherwise."""
    return {"TF_CPP_MIN_LOG_LEVEL": "2", "PYTHONUNBUFFERED": "1", **KEPT_MEMORY, **os.environ}
