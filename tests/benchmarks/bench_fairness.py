"""Group intervals and tests against fairlearn's bootstrap, and the largest table in memory and time.

The rival: ``MetricFrame(..., n_boot=1000, ci_quantiles=[0.025, 0.975])`` of fairlearn on the same four metrics and eight
groups. A few of its replicates are timed in the same run, between ours, and scaled up. Ours: tables `groups` and `gaps` as
a run reports them (more metrics than four), and the four metrics alone. Prints ratios; asserts nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

from audit.fairness import (
    METRICS,
    Permutations,
    Question,
    count_predictions,
    gap_table,
    group_table,
    measure,
    rate_units,
)

ROOT = Path(__file__).resolve().parents[2]
FOUR = ("accuracy", "true_positive_rate", "false_positive_rate", "selection_rate")
REPLICATES = 1_000

Frames = tuple[pd.DataFrame, pd.DataFrame]
Times = tuple[float, float]


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=5, help="rounds; medians are taken over them")
    parser.add_argument("--replicates", type=int, default=3, help="bootstrap replicates of fairlearn timed a round")
    parser.add_argument("--draws", type=int, default=9_999, help="permutations of each test")
    parser.add_argument("--large", choices=["plain", "clusters"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.large:
        print(json.dumps(large(clustered=options.large == "clusters", draws=options.draws)))
        return
    rival(options)
    print(
        "\n1,000,000 rows, 40 groups, 100 classes, tables groups and gaps, a fresh process each (targets: 60 s, 2 GB):"
    )
    for kind in ("plain", "clusters"):
        found = in_process(kind, options.draws)
        print(
            f"  {kind:<9}{found['groups']:>6.1f} s groups and {found['gaps']:.1f} s gaps ({found['processor']:.1f} s of "
            f"processor time), {found['rows']} rows; peak memory {found['peak']:.2f} GB, of which {found['data']:.2f} GB "
            "stood before (data and imports)"
        )


def rival(options: argparse.Namespace) -> None:
    """Ours and fairlearn's in turns."""
    plain, clusters = (tables(options.rows, 8, 2, clustered=clustered) for clustered in (False, True))
    fair = fairlearn_frame(*plain)
    contestants: dict[str, Callable[[], object]] = {
        "four metrics, images independent": lambda: four_metrics(plain, options.draws),
        "four metrics, clusters": lambda: four_metrics(clusters, options.draws),
        "whole tables, images independent": lambda: whole(plain, options.draws),
        "whole tables, clusters": lambda: whole(clusters, options.draws),
        "fairlearn without": lambda: fair(0),
        "fairlearn with": lambda: fair(options.replicates),
    }
    times: dict[str, list[Times]] = {name: [] for name in contestants}
    for round_ in range(options.repeats + 1):
        for name, function in contestants.items():
            found = timed(function)
            if round_:  # the first round warms up
                times[name].append(found)
    without, with_ = times.pop("fairlearn without"), times.pop("fairlearn with")
    one = [
        tuple((b - a) / options.replicates for a, b in zip(*pair, strict=True))
        for pair in zip(without, with_, strict=True)
    ]
    print(f"{options.rows} rows, 8 groups, {options.draws} permutations; {options.repeats} rounds, medians")
    clock, processor = (statistics.median(values) for values in zip(*one, strict=True))
    print(
        f"fairlearn {version('fairlearn')}: a bootstrap replicate takes {clock:.2f} s, {processor:.2f} s of processor time (from "
        f"{options.replicates} a round); scaled to {REPLICATES} replicates: {REPLICATES * clock:.0f} s and "
        f"{REPLICATES * processor:.0f} s"
    )
    print(f"{'':<36}{'seconds':>9}{'processor':>11}{'times as fast':>15}{'by processor time':>19}   target 1000")
    for name, own in times.items():
        clock, processor = (statistics.median(values) for values in zip(*own, strict=True))
        ratios = [
            statistics.median(REPLICATES * theirs[which] / ours[which] for theirs, ours in zip(one, own, strict=True))
            for which in (0, 1)
        ]
        print(f"  {name:<34}{clock:>9.2f}{processor:>11.2f}{ratios[0]:>15.0f}{ratios[1]:>19.0f}")


def timed(function: Callable[[], object]) -> Times:
    """Seconds by the clock and of processor time; only the second means much on a busy machine."""
    started = time.perf_counter(), time.process_time()
    function()
    return time.perf_counter() - started[0], time.process_time() - started[1]


def tables(rows: int, groups: int, classes: int, *, clustered: bool, attributes: int = 1) -> Frames:
    """Images and predictions as a run stores them: nine in ten right, groups of unequal size, clusters of 2 to 5."""
    rng = np.random.default_rng(0)
    names = np.array([f"class{place:03d}" for place in range(classes)])
    truth = rng.integers(classes, size=rows)
    right = rng.random(rows) < 0.9
    predicted = np.where(right, truth, (truth + rng.integers(1, max(classes, 2), size=rows)) % classes)
    shares = np.arange(1, groups + 1) / (groups * (groups + 1) / 2)
    sizes = rng.integers(2, 6, size=rows // 2)
    cluster = np.repeat(np.arange(len(sizes)), sizes)[:rows] if clustered else np.arange(rows)
    group = rng.choice(groups, size=cluster.max() + 1, p=shares)[cluster]
    ids = pd.Series(np.char.add("image", np.arange(rows).astype(str)), dtype="str")
    images = pd.DataFrame({"image_id": ids, "label": pd.Series(names[truth], dtype="str"), "status": "ok"})
    people = pd.Series(np.char.add("person", cluster.astype(str)), dtype="str") if clustered else None
    images["cluster"] = people
    labels = np.array([f"group{place:02d}" for place in range(groups)])
    for place in range(attributes):
        images[f"attr_a{place}"] = pd.Series(labels[group], dtype="str")
    predictions = pd.DataFrame({"model": "m", "image_id": ids, "label": images["label"]})
    predictions["predicted"] = pd.Series(names[predicted], dtype="str")
    predictions["status"] = "ok"
    return images, predictions


def whole(frames: Frames, draws: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tables `groups` and `gaps`, from the frames."""
    classes = sorted(frames[0]["label"].unique())
    positive = classes[1] if len(classes) == 2 else None
    groups = group_table(*frames, classes, positive, ["a0"])
    return groups, gap_table(*frames, classes, positive, ["a0"], draws=draws)


def four_metrics(frames: Frames, draws: int) -> list[object]:
    """From the frames: intervals of four rates in every group, of their ranges, and the tests of no gap."""
    classes = sorted(frames[0]["label"].unique())
    tensor = count_predictions(*frames, classes, ["a0"])["m"]
    cells = tensor.along("a0")
    found: list[object] = []
    for name in FOUR:
        metric = METRICS[name]
        class_name = classes[1] if metric.per_class else None
        found.append(rate_units(cells, metric, class_name).intervals())
        question = Question("range", metric.direction)
        gap = measure(tensor, "a0", (name, class_name), question, Permutations(draws, 0))
        found.append((gap.value, gap.interval(0.05), gap.p))
    return found


def fairlearn_frame(images: pd.DataFrame, predictions: pd.DataFrame) -> Callable[[int], object]:
    """Fairlearn's frame of the same metrics, with so many bootstrap replicates (0: none)."""
    from fairlearn.metrics import MetricFrame, false_positive_rate, selection_rate, true_positive_rate
    from sklearn.metrics import accuracy_score

    positive = sorted(images["label"].unique())[1]
    truth = (images["label"] == positive).to_numpy(int)
    given = (predictions["predicted"] == positive).to_numpy(int)
    metrics = dict(zip(FOUR, (accuracy_score, true_positive_rate, false_positive_rate, selection_rate), strict=True))
    group = images["attr_a0"].astype(object)

    def frame(replicates: int) -> object:
        more = {"n_boot": replicates, "ci_quantiles": [0.025, 0.975], "random_state": 0} if replicates else {}
        made = MetricFrame(metrics=metrics, y_true=truth, y_pred=given, sensitive_features=group, **more)
        return made.by_group_ci if replicates else made.by_group

    return frame


def in_process(kind: str, draws: int) -> dict[str, float]:
    """Run the large case in a fresh process, whose peak memory is its own."""
    command = [sys.executable, __file__, "--large", kind, "--draws", str(draws)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def large(*, clustered: bool, draws: int) -> dict[str, float]:
    """1,000,000 rows, 40 groups, 100 classes; memory in GB (10^9 bytes)."""
    frames = tables(1_000_000, 40, 100, clustered=clustered)
    classes = sorted(frames[0]["label"].unique())
    before, sizes = peak(), []

    def groups() -> None:
        sizes.append(len(group_table(*frames, classes, None, ["a0"])))

    def gaps() -> None:
        sizes.append(len(gap_table(*frames, classes, None, ["a0"], draws=draws)))

    first, second = timed(groups), timed(gaps)
    seconds = {"groups": first[0], "gaps": second[0], "processor": first[1] + second[1]}
    return seconds | {"rows": sum(sizes), "peak": peak(), "data": before}


def peak() -> float:
    """Largest resident size of this process so far, in GB."""
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size * (1 if sys.platform == "darwin" else 1024) / 1e9


if __name__ == "__main__":
    main()
