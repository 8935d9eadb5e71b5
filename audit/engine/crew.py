"""Who runs the shards of a model: workers elsewhere, replaced when they die, or a worker inside this process.

Only shard specifications and receipts cross; the files are the truth.
"""

from __future__ import annotations

import queue
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Protocol

from audit.engine.cache import ShardCache
from audit.engine.child import Death
from audit.engine.guard import Suspect
from audit.engine.sampling import runs
from audit.engine.worker import Worker
from audit.errors import IncompleteRun
from audit.models.limits import LOADING_SECONDS, never_loaded
from audit.run.plan import Shard
from audit.run.shards import Receipt

__all__ = ["Crew", "InlineCrew", "LastingWorker", "Link", "Pool", "Refusals"]

_STRIKES = 2
"""How often an image may end its worker before it is refused."""

_TRIES = 4
"""How often a shard is begun before a worker that dies on it, whatever it reads, ends the run."""


class Crew(Protocol):
    """Whatever runs the shards of one model."""

    description: dict[str, Any]
    """What the record says of the model."""

    def wait_until_ready(self) -> None:
        """Wait for the model to be loaded."""
        ...

    def begin(self, run: Path, fingerprint: str, cache: ShardCache | None = None) -> None:
        """Say where to commit, and where shards of other runs may lie."""
        ...

    def use_sample(self, sample: Sequence[int]) -> None:
        """Say which images are explained."""
        ...

    def map(self, shards: Iterable[Shard]) -> Iterator[Receipt]:
        """Run shards, giving each receipt once its file is committed, in whatever order they end."""
        ...

    def close(self) -> None:
        """Let go of the model."""
        ...


class Refusals:
    """Images that ended their workers, and how often; shared by all workers of a model."""

    def __init__(self) -> None:
        self._strikes: Counter[Suspect] = Counter()
        self._reasons: dict[Suspect, str] = {}
        self._lock = threading.Lock()

    def strike(self, death: Death) -> None:
        """Count what was being read when a worker ended."""
        how = f"by signal {-death.code}" if death.code < 0 else f"with code {death.code}"
        how = death.tail if death.tail.startswith("it took") else how
        with self._lock:
            for suspect in death.suspects:
                self._strikes[suspect] += 1
                if self._strikes[suspect] >= _STRIKES:
                    self._reasons[suspect] = f"reading it ended the worker {self._strikes[suspect]} times, last {how}"

    def listed(self) -> list[tuple[str, int, str]]:
        """What must not be read, and why."""
        with self._lock:
            return [(suspect.kind, suspect.position, why) for suspect, why in self._reasons.items()]


class Link(Protocol):
    """Whatever orders go through: a child process or an actor."""

    def tell(self, **order: Any) -> None:
        """Give an order."""
        ...

    def answer(self) -> dict[str, Any]:
        """Wait for the answer to an order."""
        ...

    def close(self) -> None:
        """End whoever is there."""
        ...


class LastingWorker:
    """A worker that holds one model, and another in its place when it dies.

    Parameters
    ----------
    spawn : callable
        Starts one; its first answer is ``ready``, with the description of the model.
    model : str
        Name of the model.
    ahead : bool
        Whether a thread reads images ahead of the model.
    refusals : Refusals
        What the workers of the model have met.

    Raises
    ------
    FaircamError
        The worker's own error, or `IncompleteRun` where it keeps dying.
    """

    def __init__(self, spawn: Callable[[], Link], model: str, ahead: bool, refusals: Refusals) -> None:
        self.model = model
        self._spawn = spawn
        self._ahead = ahead
        self._refusals = refusals
        self._told: dict[str, dict[str, Any]] = {}
        self._closed = False
        self._link = spawn()

    def wait_until_ready(self) -> None:
        """Wait for the model to be loaded; its description is in `description` then."""
        try:
            self.description: dict[str, Any] = self._link.answer()["ready"]
        except Death as death:
            raise self._given_up(death) from None

    def measure(self) -> dict[str, float]:
        """Time a few images, as `audit.engine.measure.measure` does."""
        try:
            self._link.tell(measure=True)
            cost: dict[str, float] = self._link.answer()["cost"]
        except Death as death:
            raise self._given_up(death) from None
        return cost

    def begin(self, run: Path, fingerprint: str, cache: ShardCache | None = None) -> None:
        """Say where to commit, and where shards of other runs may lie."""
        kept = None if cache is None else [str(cache.folder.resolve()), cache.identity]
        self._tell("begin", run=str(run.resolve()), fingerprint=fingerprint, cache=kept)

    def use_sample(self, sample: Sequence[int]) -> None:
        """Say which images are explained."""
        self._tell("sample", sample=runs(sample))

    def map(self, shards: Iterable[Shard]) -> Iterator[Receipt]:
        """Run shards in order, giving each receipt once its file is committed."""
        for shard in shards:
            yield self.run(shard)

    def run(self, shard: Shard) -> Receipt:
        """Run one shard, by another worker where the first dies; an image that ends every worker is refused.

        Raises
        ------
        IncompleteRun
            Workers keep dying, and no image is to blame.
        """
        blameless, dead = 0, False
        while True:
            try:
                if dead:
                    self._replace()
                return self._once(shard, careful=dead)
            except Death as death:
                self._refusals.strike(death)
                blameless, dead = blameless + (not death.suspects), True
                if blameless >= _TRIES or self._closed:
                    raise self._given_up(death) from None

    def _once(self, shard: Shard, *, careful: bool) -> Receipt:
        """After a death nothing is read ahead, so that what is being read is what is to blame."""
        self._link.tell(ahead=self._ahead and not careful, refuse=self._refusals.listed())
        self._link.tell(shard=asdict(shard))
        return Receipt.from_json(self._link.answer()["receipt"])

    def _tell(self, key: str, **order: Any) -> None:
        """Give an order that whoever comes after must know as well; the dead are replaced with the next shard."""
        self._told[key] = order
        with suppress(Death):
            self._link.tell(**order)

    def _replace(self) -> None:
        self._link.close()
        self._link = self._spawn()
        self._link.answer()
        for order in self._told.values():
            self._link.tell(**order)

    def close(self) -> None:
        """End it for good."""
        self._closed = True
        self._link.close()

    def _given_up(self, death: Death) -> IncompleteRun:
        if death.code == -signal.SIGALRM:
            return never_loaded(self.model, LOADING_SECONDS)
        tail = "".join(f"\n  {line}" for line in death.tail.splitlines())
        return IncompleteRun(
            f"the worker of model '{self.model}' ended with code {death.code}:{tail}",
            fix="mend the cause, then use --resume; what was committed is kept",
        )


class Pool:
    """Workers that hold the same model and share its shards.

    Parameters
    ----------
    workers : sequence of LastingWorker
        At least one; they take the next shard as they get free.
    """

    def __init__(self, workers: Sequence[LastingWorker]) -> None:
        self.workers = workers

    def wait_until_ready(self) -> None:
        """Wait for every worker's model to be loaded."""
        for worker in self.workers:
            worker.wait_until_ready()
        self.description = self.workers[0].description

    def measure(self) -> dict[str, float]:
        """Time a few images, as `audit.engine.measure.measure` does."""
        return self.workers[0].measure()

    def begin(self, run: Path, fingerprint: str, cache: ShardCache | None = None) -> None:
        """Say where to commit, and where shards of other runs may lie."""
        for worker in self.workers:
            worker.begin(run, fingerprint, cache)

    def use_sample(self, sample: Sequence[int]) -> None:
        """Say which images are explained."""
        for worker in self.workers:
            worker.use_sample(sample)

    def map(self, shards: Iterable[Shard]) -> Iterator[Receipt]:
        """Run shards on whichever worker is free; an error ends the others after the shards that they are at."""
        waiting, lock, done = iter(shards), threading.Lock(), queue.SimpleQueue[Receipt | BaseException | None]()
        failed = threading.Event()

        def serve(worker: LastingWorker) -> None:
            try:
                while not failed.is_set():
                    with lock:
                        shard = next(waiting, None)
                    if shard is None:
                        break
                    done.put(worker.run(shard))
            except BaseException as error:  # told by the thread that asked
                failed.set()
                done.put(error)
            finally:
                done.put(None)

        threads = [threading.Thread(target=serve, args=(worker,), daemon=True) for worker in self.workers]
        for thread in threads:
            thread.start()
        errors: list[BaseException] = []
        for _ in threads:
            while (told := done.get()) is not None:
                if isinstance(told, BaseException):
                    errors.append(told)
                else:
                    yield told
        if errors:
            raise errors[0]

    def close(self) -> None:
        """End every worker."""
        for worker in self.workers:
            with suppress(OSError):
                worker.close()


class InlineCrew:
    """A worker in this process, for a model that already lives in memory."""

    def __init__(self, worker: Worker, description: dict[str, Any]) -> None:
        self.worker = worker
        self.description = description

    def wait_until_ready(self) -> None:
        """The model is loaded."""

    def begin(self, run: Path, fingerprint: str, cache: ShardCache | None = None) -> None:
        """Say where to commit, and where shards of other runs may lie."""
        self.worker.cache = cache
        self.worker.job = replace(self.worker.job, run=run, fingerprint=fingerprint)

    def use_sample(self, sample: Sequence[int]) -> None:
        """Say which images are explained."""
        self.worker.use_sample(sample)

    def map(self, shards: Iterable[Shard]) -> Iterator[Receipt]:
        """Run shards in order."""
        for shard in shards:
            yield self.worker.run(shard)

    def close(self) -> None:
        """Undo what the adapter did to the model."""
        self.worker.adapter.close()
