"""Reports of large runs: seconds, peak memory of the process, and the size of the file.

Two runs with drawn numbers (`tests.large_run`): one wide (50 groups, 100 classes, 5 models), one long (1,000,000
predictions). Each report is made by `faircam report` in a process of its own, start-up included. Prints what was measured
and asserts nothing; the targets are under 5 MB for the wide one, and 60 s and 2 GB on two cores for the long one.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from audit.run import open_run
from reports import write_report
from tests.benchmarks.rounds import machine
from tests.large_run import Size, build_large

SIZES = {
    "wide": Size(images=20_000, models=5, groups=50, classes=100),
    "long": Size(images=1_000_000, models=1, groups=8, classes=10, explained=500),
}
FORMATS = ("html", "pdf", "md", "json", "csv")


def main() -> None:
    """Print a line for each run and format."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--formats", nargs="+", default=FORMATS)
    parser.add_argument("--folder", type=Path, help="where the runs are made, or are already")
    parser.add_argument("--profile", action="store_true", help="where the time goes, in this process")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        for name in options.runs:
            run = folder / name
            if not (run / "run.json").exists():
                build_large(run, SIZES[name])
            print(f"{name}: {SIZES[name]}; {machine()}")
            for kind in options.formats:
                if options.profile:
                    profiled(run, kind, folder / f"{name}.{kind}")
                    continue
                clock, processor, gigabytes, size = measured(run, kind, folder / f"{name}.{kind}")
                print(
                    f"  {kind:<5}{clock:>8.1f} s ({processor:.1f} s of processor time){gigabytes:>8.2f} GB"
                    f"{size / 1e6:>9.2f} MB",
                    flush=True,
                )


def measured(run: Path, kind: str, out: Path) -> tuple[float, float, float, int]:
    """Seconds by the clock and of processor time, peak memory in GB and size in bytes of one report."""
    command = [sys.executable, "-P", "-m", "audit.cli", "report", str(run), "--format", kind, "--out", str(out)]
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)}: exit status {status}")
    clock, processor = time.perf_counter() - started, usage.ru_utime + usage.ru_stime
    return clock, processor, usage.ru_maxrss * 1024 / 1e9, out.stat().st_size


def profiled(run: Path, kind: str, out: Path) -> None:
    """Print the functions in which a report spends its time."""
    profile = cProfile.Profile()
    profile.runcall(write_report, open_run(run), out, kind)
    pstats.Stats(profile).sort_stats("cumulative").print_stats(60)


if __name__ == "__main__":
    main()
