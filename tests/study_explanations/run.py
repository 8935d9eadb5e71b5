"""The study's command: audit the networks that are not audited yet, then write the figures and the page."""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import pandas as pd

from tests.study_explanations.audited import audit_network, done, read
from tests.study_explanations.document import write
from tests.study_explanations.judged import COLUMNS, figures_of
from tests.study_explanations.networks import Network
from tests.study_explanations.plan import every_network

__all__ = ["audited", "figures", "main"]

DOCS = Path(__file__).resolve().parents[2] / "docs"


def audited(networks: Sequence[Network], work: Path, processes: int) -> list[str]:
    """Audit what is not audited yet; what failed, with the reason."""
    waiting = [network for network in networks if not done(network, work)]
    failed = []
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        tasks = {pool.submit(audit_network, network, work): network for network in waiting}
        for count, task in enumerate(as_completed(tasks), start=1):
            error = task.exception()
            said = "done" if error is None else f"{type(error).__name__}: {error}"
            print(f"{time.strftime('%H:%M:%S')} {count:>3} of {len(waiting)} {tasks[task].name}: {said}", flush=True)
            if error is not None:
                failed.append(tasks[task].name)
    return failed


def figures(work: Path, most: int | None = None, finished: bool = False) -> pd.DataFrame:
    """Figures of every network, or of those that are audited, from its tables."""
    wanted = [(part, network) for part, network in every_network(most) if not finished or done(network, work)]
    frames = [figures_of(part.name, network, *read(network, work)) for part, network in wanted]
    return pd.concat(frames, ignore_index=True)[list(COLUMNS)]


def main() -> None:
    """Run the study and write its page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, help="folder of the audits; one that holds some goes on from there")
    parser.add_argument("--out", type=Path, default=DOCS, help="folder of the two files")
    parser.add_argument("--most", type=int, help="only so many seeds of each part")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--finished", action="store_true", help="audit nothing, write the page of what is in --work")
    options = parser.parse_args()
    work = options.work or Path(tempfile.mkdtemp(prefix="study-explanations-"))
    work.mkdir(parents=True, exist_ok=True)
    print(f"Audits go to {work}; --work {work} goes on from them", flush=True)
    networks = [network for _, network in every_network(options.most)]
    failed = [] if options.finished else audited(networks, work, options.processes)
    if failed:
        sys.exit(f"{len(failed)} networks failed, so no page was written: {', '.join(failed)}")
    found = figures(work, options.most, options.finished)
    found.to_csv(options.out / "study-explanations.csv", index=False, float_format="%.3g")
    print(write(found, options.out / "study-explanations.md"))
