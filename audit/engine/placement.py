"""Where the work of an audit is placed. No number depends on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from audit.config import AuditConfig, ExecutionConfig
from audit.engine.child import Child
from audit.engine.crew import LastingWorker, Link, Pool, Refusals
from audit.errors import InputError, nearest
from audit.trust import Trust

__all__ = ["ENGINES", "Placement"]

Engine = Literal["local", "ray"]
ENGINES: tuple[str, ...] = get_args(Engine)


@dataclass(frozen=True)
class Placement:
    """How many workers hold each model, where, and how they read.

    Attributes
    ----------
    engine : str
        ``local``: processes on this machine; ``ray``: actors on a cluster, or on one of this machine alone.
    workers : int
        Of each model.
    address : str or None
        Of the Ray cluster; None starts one on this machine.
    ahead : bool
        Whether a worker's thread reads images while the model is at work.
    image_seconds : float
        Longest that reading one image may take before its worker is ended.
    """

    engine: Engine = "local"
    workers: int = 1
    address: str | None = None
    ahead: bool = True
    image_seconds: float = 10.0

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            raise InputError(
                f"engine '{self.engine}' is unknown, allowed: {', '.join(ENGINES)}.{nearest(self.engine, ENGINES)}"
            )
        if self.address is not None and self.engine != "ray":
            raise InputError("an address is given but no cluster is asked for", fix="add --engine ray")

    @contextmanager
    def ready(self, models: int, execution: ExecutionConfig) -> Iterator[None]:
        """Whatever the engine needs while workers live: for Ray, the connection to its cluster."""
        if self.engine == "local":
            yield
            return
        from audit.engine.ray_engine import connect, disconnect

        connect(self.address, self.workers * models, execution)
        try:
            yield
        finally:
            disconnect()

    def crew(self, config: AuditConfig, model: str, base: Path, sha256: str | None, trust: Trust) -> Pool:
        """Start the workers of one model, whose file has this digest."""
        order = {
            "base": str(base.resolve()),
            "config": config.model_dump(mode="json"),
            "model": model,
            "sha256": sha256,
            **trust.as_json(),
        }

        def spawn() -> Link:
            if self.engine == "local":
                return Child(order, self.image_seconds)
            from audit.engine.ray_engine import ActorLink

            return ActorLink(order, self.image_seconds)

        met = Refusals()
        return Pool([LastingWorker(spawn, model, self.ahead, met) for _ in range(self.workers)])
