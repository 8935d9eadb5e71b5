"""Taking turns: contestants in interleaved rounds, each framework in a process of its own, peak memory of a process."""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audit.engine.child import KEPT_MEMORY

ROOT = Path(__file__).resolve().parents[2]

__all__ = ["Contestant", "fastest", "in_process", "machine", "median", "peak_gigabytes", "rounds"]


@dataclass(frozen=True)
class Contestant:
    """One way to do the work.

    Attributes
    ----------
    name : str
        ``ours``, or begins with ``bound``, or names a rival.
    run : callable
        Does the work once.
    cost : float
        Forward-equivalents of the work: a forward pass of one image is one, a backward pass another.
    """

    name: str
    run: Callable[[], object]
    cost: float


def rounds(contestants: Sequence[Contestant], repeats: int) -> dict[str, Any]:
    """Seconds on the wall and on all cores, and cost of each contestant; one round before is not counted."""
    seconds: dict[str, list[float]] = {each.name: [] for each in contestants}
    cores: dict[str, list[float]] = {each.name: [] for each in contestants}
    for round_ in range(repeats + 1):
        start = round_ % len(contestants)
        for each in [*contestants[start:], *contestants[:start]]:
            started, worked = time.perf_counter(), time.process_time()
            each.run()
            if round_:
                seconds[each.name].append(time.perf_counter() - started)
                cores[each.name].append(time.process_time() - worked)
    return {
        each.name: {"seconds": seconds[each.name], "cores": cores[each.name], "cost": each.cost} for each in contestants
    }


def median(values: Mapping[str, Any], clock: str = "seconds") -> float:
    """Median of what `rounds` gives for one contestant: of the ``seconds`` on the wall, or on all ``cores``."""
    return statistics.median(values[clock])


def fastest(choices: Mapping[str, Contestant]) -> str:
    """The setting in which a rival is fastest by the pass: each runs twice, the second time counts."""
    taken = {}
    for setting, each in choices.items():
        each.run()
        started = time.perf_counter()
        each.run()
        taken[setting] = (time.perf_counter() - started) / each.cost
    return min(taken, key=lambda setting: taken[setting])


def in_process(module: str, arguments: Sequence[str], python: str = sys.executable) -> Any:
    """What a module of this package, run on the CPU as the engine's workers run, prints as JSON on its last line."""
    environment = (
        os.environ
        | KEPT_MEMORY
        | {
            "PYTHONPATH": str(ROOT),
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "KERAS_BACKEND": "tensorflow",
            "CUDA_VISIBLE_DEVICES": "",
        }
    )
    command = [python, "-P", "-m", module, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def peak_gigabytes() -> float:
    """Largest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def machine() -> str:
    """Cores, and how busy they are."""
    return f"{os.cpu_count()} cores, load {', '.join(f'{load:.2f}' for load in os.getloadavg())}"
