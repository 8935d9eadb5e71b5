"""The Ray engine: actors in the place of child processes, on whatever nodes the cluster has. Ray schedules, no more.

An actor is a `Station`, as a child process is: it takes shard specifications and gives receipts. Run folder, images
and models lie on storage that every node sees under the same path; Ray reads none of them. Actors are never restarted
by Ray: one that died, or whose node did, is replaced as a child process is.
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
import subprocess
import sys
import time
import uuid
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from audit.config import ExecutionConfig
from audit.engine.child import KEPT_MEMORY, Death
from audit.engine.guard import suspects
from audit.engine.process import loading_seconds
from audit.errors import FaircamError, InputError
from audit.models.limits import bounded_time

__all__ = ["ActorLink", "connect", "disconnect"]

_GLANCE = 1.0
_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "TF_CPP_MIN_LOG_LEVEL": "2", **KEPT_MEMORY}
_PROBE = """
import sys
from ray._raylet import GcsClient
from ray.exceptions import AuthenticationError
try:
    GcsClient(address=sys.argv[1]).internal_kv_keys(b"", None, timeout=10)
except AuthenticationError:
    sys.exit(0)
sys.exit(1)
"""
"""Ends with 0 where a cluster refuses whoever brings no token."""


def connect(address: str | None, workers: int, execution: ExecutionConfig) -> None:
    """Join a cluster, or start one on this machine alone; either only with token authentication in force.

    Parameters
    ----------
    address : str or None
        Of a running cluster, ``HOST:PORT`` or ``auto``; None starts one that listens on the loopback address.
    workers : int
        Actors of all models together, all of which live from the beginning.
    execution : ExecutionConfig
        Says what one actor asks for.

    Raises
    ------
    InputError
        The cluster asks for no token, cannot be reached, or has no room for so many actors.
    """
    mode = os.environ.setdefault("RAY_AUTH_MODE", "token")
    if mode != "token":
        raise InputError(
            f"RAY_AUTH_MODE is '{mode}', and Ray would let anybody on the network run code on the cluster",
            fix="unset it or set it to 'token', on every node and before the cluster is started",
        )
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0"}
    os.environ.setdefault("RAY_raylet_start_wait_time_s", "120")  # its 30 s are short where other work runs
    if address is None:
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    import ray

    own: dict[str, Any] = {
        "num_cpus": workers * execution.threads,
        "include_dashboard": False,
        "_node_ip_address": "127.0.0.1",
    }
    try:
        ray.init(
            address="local" if address is None else address,
            log_to_driver=False,
            logging_level=logging.ERROR,
            **(own if address is None else {}),
        )
    except (ConnectionError, ValueError, RuntimeError, ray.exceptions.AuthenticationError) as error:
        raise InputError(
            f"no Ray cluster can be joined at '{address}': {' '.join(str(error).split())[:300]}",
            fix="check the address and the token (RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH)",
        ) from error
    _require_token(ray.get_runtime_context().gcs_address)
    held: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    _require_room(held, workers, execution)


def disconnect() -> None:
    """Leave the cluster; one that was started here ends."""
    import ray

    ray.shutdown()


def _require_token(address: str) -> None:
    """Try to enter without a token, as a stranger would.

    Raises
    ------
    InputError
        That worked, or could not be tried.
    """
    stranger = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
    probe = subprocess.run(  # noqa: S603 - our own interpreter and text
        [sys.executable, "-P", "-c", _PROBE, address],
        env={**stranger, "RAY_AUTH_MODE": "disabled"},
        capture_output=True,
        timeout=120,
        check=False,
    )
    if probe.returncode:
        disconnect()
        raise InputError(
            f"the Ray cluster at {address} serves whoever comes without a token",
            fix="start it with RAY_AUTH_MODE=token on every node (Ray 2.60 or newer), then try again",
        )


def _needs(execution: ExecutionConfig) -> dict[str, int]:
    """What one actor asks for, by Ray's names."""
    return {"CPU": execution.threads, "GPU": 1 if execution.device.startswith("cuda") else 0}


def _require_room(held: Mapping[str, float], workers: int, execution: ExecutionConfig) -> None:
    """Refuse what would wait for ever: Ray places an actor when there is room, and says nothing until then.

    Raises
    ------
    InputError
        With what is asked for and what there is.
    """
    for name, each in _needs(execution).items():
        if workers * each > held.get(name, 0):
            disconnect()
            raise InputError(
                f"{workers} workers in all, each with {each} {name}, do not fit: the cluster has "
                f"{held.get(name, 0):g} {name}",
                fix="lower --workers or execution.threads, or add nodes; every model is held by --workers workers",
            )


class ActorLink:
    """One actor, behind what `audit.engine.child.Child` offers.

    Parameters
    ----------
    order : mapping
        The first order, of `audit.engine.station.Station`.
    patience : float
        Seconds that reading one image may take.
    """

    def __init__(self, order: Mapping[str, Any], patience: float) -> None:
        import ray

        self._patience = patience
        self._trace: Path | None = None
        self._loading_until: float | None = time.monotonic() + loading_seconds(order)
        needs = _needs(ExecutionConfig(**order["config"]["execution"]))
        actor: Any = (
            ray.remote(_Actor)
            .options(
                num_cpus=needs["CPU"],
                num_gpus=needs["GPU"],
                max_restarts=0,
                max_task_retries=0,
                max_concurrency=1,
                runtime_env={"env_vars": _QUIET},
            )
            .remote(dict(order))
        )
        self._actor = actor
        self._answers: deque[Any] = deque([actor.ready.remote()])

    def tell(self, **order: Any) -> None:
        """Give an order."""
        if "run" in order:
            folder = Path(order["run"]) / ".reading"
            folder.mkdir(exist_ok=True)
            self._trace = folder / uuid.uuid4().hex
            order["trace"] = str(self._trace)
        self._answers.append(self._actor.obey.remote(order))

    def answer(self) -> dict[str, Any]:
        """Wait for the answer to an order.

        Raises
        ------
        Death
            The actor or its node died, or it hung while it read an image and was ended.
        FaircamError
            The actor's own error.
        """
        import ray

        while True:
            try:
                told = ray.get(self._answers[0], timeout=_GLANCE)
            except ray.exceptions.GetTimeoutError:
                self._look()
                continue
            except ray.exceptions.RayActorError as error:
                late = self._loading_until is not None and time.monotonic() >= self._loading_until
                code = -signal.SIGALRM if late else -1
                raise Death(code, " ".join(str(error).split())[:400], self._suspects()) from None
            self._loading_until = None
            self._answers.popleft()
            if isinstance(told, FaircamError):
                raise told
            if told is not None:
                answer: dict[str, Any] = told
                return answer

    def close(self) -> None:
        """End the actor."""
        import ray

        ray.kill(self._actor, no_restart=True)
        if self._trace is not None:
            self._trace.unlink(missing_ok=True)
            with suppress(OSError):  # others still read
                self._trace.parent.rmdir()

    def _look(self) -> None:
        hanging = self._suspects(self._patience)
        if hanging:
            raise Death(-1, f"it took more than {self._patience:g} s to read", hanging)

    def _suspects(self, seconds: float = 0.0) -> tuple[Any, ...]:
        return () if self._trace is None else tuple(suspects(self._trace, seconds))


class _Actor:
    """What lives in an actor: a station, whose own errors travel as values."""

    def __init__(self, order: Mapping[str, Any]) -> None:
        self._failed: FaircamError | None = None
        try:
            with bounded_time(loading_seconds(order)):
                from audit.engine.station import Station

                self._station = Station(order)
        except FaircamError as error:
            self._failed = error

    def ready(self) -> dict[str, Any] | FaircamError:
        """Description of the loaded model."""
        return self._failed or {"ready": self._station.description}

    def obey(self, order: Mapping[str, Any]) -> dict[str, Any] | FaircamError | None:
        """Carry out one order."""
        if self._failed:
            return self._failed
        try:
            return self._station.obey(order)
        except FaircamError as error:
            return error
        except OSError as error:
            from audit.errors import IncompleteRun

            return IncompleteRun(str(error), fix="mend the cause, then use --resume; what was committed is kept")
