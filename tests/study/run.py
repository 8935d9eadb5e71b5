"""The study's command: which cells are computed at which size, on how many processes, and what is written."""

from __future__ import annotations

import argparse
import multiprocessing
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd

from tests.study import alarms, coverage, power, ranges, slices
from tests.study.document import write
from tests.study.draws import DRAWINGS
from tests.study.figures import COLUMNS, TEXT, Row, collect

__all__ = ["DEFAULT", "PARTS", "Size", "Task", "kept", "main", "study"]

DOCS = Path(__file__).resolve().parents[2] / "docs"
SEED = 20260401


@dataclass(frozen=True)
class Size:
    """Replicates of each part, and the grids that a quick run cuts."""

    clustered: int = 20_000
    bootstraps: int = 500
    cluster_counts: tuple[int, ...] = (10, 20, 30, 50, 100)
    ranges: int = 2_000
    audits: int = 2_000
    draws: int = 1_999
    power: dict[int, int] = field(default_factory=lambda: {2: 2_000, 8: 500})
    group_sizes: tuple[int, ...] = (50, 100, 200, 500, 1000)
    sample_size: dict[int, int] = field(default_factory=lambda: {2: 2_000, 8: 500})
    seeds: int = 100
    chunk: int = 50

    def times(self, factor: float) -> Size:
        """So many times the replicates."""

        def more(count: int) -> int:
            return max(1, round(factor * count))

        single = {name: more(getattr(self, name)) for name in ("clustered", "bootstraps", "ranges", "audits", "seeds")}
        tabled = {name: {g: more(n) for g, n in getattr(self, name).items()} for name in ("power", "sample_size")}
        return replace(self, **single, **tabled)


DEFAULT = Size()


@dataclass(frozen=True)
class Task:
    """One call of a function of the study."""

    function: Callable[..., list[Row]]
    keywords: dict[str, Any]


def rate_tasks(_: Size) -> Iterator[Task]:
    """Coverage of one rate without clusters."""
    for n, rate in product((20, 50, 100, 1000), (0.5, 0.9, 0.95, 0.99)):
        yield Task(coverage.exact_coverage, {"n": n, "rate": rate})
    for n in ((20, 20), (50, 50), (100, 100), (1000, 1000), (20, 500)):
        for rate in ((0.5, 0.5), (0.9, 0.9), (0.99, 0.99), (0.9, 0.8), (0.99, 0.9)):
            yield Task(ranges.newcombe_coverage, {"n": n, "rate": rate})


def cluster_tasks(size: Size) -> Iterator[Task]:
    """Coverage of one rate with clusters."""
    small = product([(2, 5)], size.cluster_counts, (0.5, 0.9, 0.95, 0.99), (0.0, 0.3, 0.6, 1.0))
    large = product([(5, 20)], size.cluster_counts, (0.5, 0.9, 0.95, 0.99), (0.3, 0.6))
    for sizes, clusters, rate, icc in (*small, *large):
        for drawing in DRAWINGS if icc in (0.3, 0.6) else DRAWINGS[:1]:
            keywords = {"clusters": clusters, "rate": rate, "icc": icc, "drawing": drawing, "sizes": sizes}
            bootstraps = size.bootstraps if clusters == 30 and sizes == (2, 5) else 0
            counts = {"replicates": size.clustered, "bootstraps": bootstraps, "seed": SEED}
            yield Task(coverage.clustered_coverage, keywords | counts)


def range_tasks(size: Size) -> Iterator[Task]:
    """Coverage of a range."""
    for truth in ranges.RANGES:
        for start in range(0, size.ranges, size.chunk * 10):
            count = min(size.chunk * 10, size.ranges - start)
            keywords = {"truth": truth, "start": start, "replicates": count, "seed": SEED}
            yield Task(ranges.range_coverage, keywords)
        if not truth.clusters:
            yield Task(ranges.bootstrap_ranges, {"truth": truth, "replicates": size.ranges, "seed": SEED})


def alarm_tasks(size: Size) -> Iterator[Task]:
    """False alarms."""
    for name, scenario in alarms.SCENARIOS.items():
        audits = max(1, round(scenario.part * size.audits))
        for start in range(0, audits, size.chunk):
            count = min(size.chunk, audits - start)
            keywords = {"name": name, "start": start, "audits": count, "draws": size.draws, "seed": SEED}
            yield Task(alarms.false_alarms, keywords)
    keywords = {"groups": 6, "n": 200, "rate": 0.1, "audits": 10 * size.audits, "seed": SEED}
    yield Task(alarms.four_fifths, keywords)


def power_tasks(size: Size) -> Iterator[Task]:
    """Power to fail, to pass, and the sample size."""
    for groups, n in product(size.power, size.group_sizes):
        counts = {"replicates": size.power[groups], "seed": SEED}
        for gap in (0.05, 0.1, 0.2):
            for tolerance in (0.0, 0.05):
                if gap > tolerance:
                    keywords = {"truth": power.truth_of(groups, gap, n=n), "tolerance": tolerance, "draws": size.draws}
                    yield Task(power.gap_power, keywords | counts)
        keywords = {"truth": power.truth_of(groups, 0.0, n=n), "tolerances": (0.05, 0.1)}
        yield Task(power.pass_power, keywords | counts)
    for (groups, replicates), gap in product(size.sample_size.items(), (0.05, 0.1, 0.2)):
        keywords = {"groups": groups, "gap": gap, "replicates": replicates, "draws": size.draws, "seed": SEED}
        yield Task(power.sample_size, keywords)


def slice_tasks(size: Size) -> Iterator[Task]:
    """Planted and absent slices."""
    settings = [(0.2, apart, persons) for apart, persons in product((3.0, 4.0, 6.0), (1, 3))]
    settings += [(0.0, 4.0, persons) for persons in (1, 3)]
    for excess, apart, persons in settings:
        for start in range(0, size.seeds, 10):
            keywords = {"excess": excess, "apart": apart, "cluster_size": persons, "start": start}
            yield Task(slices.found_slices, keywords | {"seeds": min(10, size.seeds - start)})


PARTS: dict[str, Callable[[Size], Iterator[Task]]] = {
    "rate": rate_tasks,
    "clusters": cluster_tasks,
    "range": range_tasks,
    "alarms": alarm_tasks,
    "power": power_tasks,
    "slices": slice_tasks,
}


def study(size: Size, parts: Sequence[str] = tuple(PARTS), processes: int = 2) -> pd.DataFrame:
    """Compute the figures.

    Returns
    -------
    DataFrame
        Columns of `figures.COLUMNS`; ``run``, the part of the command that made the row; ``seconds`` of
        processor time that the part took, over all processes.
    """
    if processes == 1:
        return pd.concat([_part(part, size, map) for part in parts], ignore_index=True)
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        return pd.concat([_part(part, size, pool.map) for part in parts], ignore_index=True)


def _part(part: str, size: Size, spread: Callable[..., Iterable[tuple[list[Row], float]]]) -> pd.DataFrame:
    started = time.perf_counter()
    done = list(spread(_timed, PARTS[part](size)))
    seconds, waited = sum(own for _, own in done), time.perf_counter() - started
    print(f"{part:<10}{len(done):>6} tasks {seconds:>8.1f} s of processor time {waited:>8.1f} s waited", flush=True)
    return collect(row for rows, _ in done for row in rows).assign(run=part, seconds=seconds)


def _timed(task: Task) -> tuple[list[Row], float]:
    started = time.process_time()
    return task.function(**task.keywords), time.process_time() - started


def main() -> None:
    """Run the study and write its tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    known = list(PARTS)
    parser.add_argument("--parts", nargs="*", choices=known, default=known, help="only these; others stay as stored")
    parser.add_argument("--times", type=float, default=1.0, help="so many times the replicates")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path, default=DOCS, help="folder of the two files")
    options = parser.parse_args()
    path = options.out / "operating-characteristics.csv"
    figures = kept(path, options.parts)
    if options.parts:
        found = study(DEFAULT.times(options.times), options.parts, options.processes)
        figures = pd.concat([part for part in (figures, found) if len(part)], ignore_index=True)
    figures = figures.sort_values("run", key=lambda runs: runs.map(known.index), kind="stable")
    figures[["run", *COLUMNS, "seconds"]].to_csv(path, index=False, float_format="%.6g")
    print(write(figures, options.out / "operating-characteristics.md"))


def kept(path: Path, parts: Sequence[str]) -> pd.DataFrame:
    """Stored figures of the other parts."""
    if not path.exists():
        return pd.DataFrame(columns=["run"])
    stored = pd.read_csv(path)
    text = {name: stored[name].fillna("").astype("object") for name in TEXT}
    return stored.assign(**text)[~stored["run"].isin(parts)]
