"""What deletion and insertion cost, as ratios against the passes that they need at least and against Quantus.

``PYTHONPATH=. python -P -m tests.benchmarks.bench_faithfulness --quantus PYTHON``. The rival is Quantus' `PixelFlipping`
on the same network, images, maps and number of steps, with all images at once and in batches of 32. Quantus needs an environment of its own (see
`docs/results.md`): `PYTHON` is its interpreter, which must also find the packages that faircam needs; ours runs in that
same process, taking turns. Without it the rival is not measured. Asserts nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from audit.explanations.explainer import Batch
from audit.explanations.gradient_methods import largest_channel
from audit.explanations.quality import Explained, Stepping, deletion_and_insertion, faithfulness_cost
from audit.models.adapter import ModelAdapter
from tests.benchmarks.rounds import Contestant, in_process, machine, median, peak_gigabytes, rounds
from tests.benchmarks.settings import NETWORKS, noise

MODULE = "tests.benchmarks.bench_faithfulness"
CURVES = ("deletion", "insertion")
RIVAL = "Quantus PixelFlipping"
QUANTUS_BATCH = 32
STEPS = 24  # Quantus counts the three channels one by one and wants its step to divide the pixels


def main() -> None:
    """Measure every network, or the one named, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3, help="rounds; medians are taken over them")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quantus", metavar="PYTHON", help="interpreter that has Quantus")
    parser.add_argument("--network", choices=NETWORKS, help="one network")
    parser.add_argument("--inside", choices=["time", *CURVES, "quantus"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        print(json.dumps(_inside(options)))
        return
    print(machine())
    for network in [options.network] if options.network else NETWORKS:
        arguments = [f"--network={network}", f"--threads={options.threads}", f"--repeats={options.repeats}"]
        given = [f"--quantus={options.quantus}"] if options.quantus else []
        python = options.quantus or sys.executable
        for line in _table(network, in_process(MODULE, [*arguments, *given, "--inside=time"], python)):
            print(line, flush=True)
        peaks = {
            name: in_process(MODULE, [*arguments, *given, f"--inside={name}"], python)["peak"]
            for name in (*CURVES, *(["quantus"] if options.quantus else []))
        }
        print("    peak memory: " + ", ".join(f"{name} {peak:.2f} GB" for name, peak in peaks.items()), flush=True)
    print(machine())


def _inside(options: argparse.Namespace) -> dict[str, Any]:
    found = _contestants(options)
    if options.inside == "time":
        return rounds(list(found.values()), options.repeats)
    found[options.inside].run()
    return {"peak": peak_gigabytes()}


def _contestants(options: argparse.Namespace) -> dict[str, Contestant]:
    if NETWORKS[options.network].framework == "torch":
        from tests.benchmarks.torch_contests import bounds, network  # one framework a process
    else:
        from tests.benchmarks.keras_contests import bounds, network
    model, adapter = network(options.network, options.threads)
    batch = NETWORKS[options.network].batch
    images = noise(batch, NETWORKS[options.network].size)
    explained, probability = _explained(adapter, images)
    cost = batch * faithfulness_cost(1, STEPS, 1)
    fill = np.zeros((1, 1, 1, 3), np.float32)
    found = {
        curve: Contestant(
            f"ours, {curve}",
            lambda curve=curve: deletion_and_insertion(adapter, explained, fill, Stepping(STEPS), (curve,)),
            cost,
        )
        for curve in CURVES
    }
    for each in bounds(model, options.network, cost, back=False):
        found[each.name] = each
    if options.quantus:
        mine = found["deletion"].run()["deletion"]["map"].values
        whole = np.concatenate([probability[:, None], mine[:, 1:]], axis=1)
        for size in dict.fromkeys((len(images), QUANTUS_BATCH)):
            name = "quantus" if size == len(images) else "quantus in batches"
            found[name] = _quantus(model, explained, whole, size)
    return found


def _explained(adapter: ModelAdapter, images: np.ndarray) -> tuple[Explained, np.ndarray]:
    batch = Batch.of(adapter, images, "predicted", cams=())
    return Explained(images, batch.targets, {"map": largest_channel(batch.gradients.input_gradient)}), batch.probability


def _quantus(model: Any, explained: Explained, mine: np.ndarray, size: int) -> Contestant:
    """Quantus' fastest way: an even baseline, nothing normalised, one value of the map for all channels."""
    import quantus

    pixels = explained.images.shape[1] * explained.images.shape[2]
    first = type(model).__module__.split(".")[0] != "keras"
    metric = quantus.PixelFlipping(
        features_in_step=3 * pixels // STEPS,
        perturb_baseline=0.0,
        abs=False,
        normalise=False,
        disable_warnings=True,
        display_progressbar=False,
    )
    images = np.ascontiguousarray(explained.images.transpose(0, 3, 1, 2)) if first else explained.images
    maps = explained.maps["map"]

    def run() -> np.ndarray:
        return np.asarray(
            metric(
                model=model,
                x_batch=images,
                y_batch=explained.targets,
                a_batch=maps[:, None],
                channel_first=first,
                softmax=True,
                batch_size=size,
            )
        )

    apart = np.abs(run() - mine[:, 1:]).max()
    print(f"largest difference of the curves: {apart:.2e}", file=sys.stderr)
    if apart > 0.02 * mine.max():
        raise SystemExit(f"Quantus' curves differ from ours by {apart}")
    return Contestant(f"{RIVAL}, batch {size}", run, len(images) * STEPS)


def _table(network: str, found: dict[str, Any]) -> Iterator[str]:
    least = min(median(values) for name, values in found.items() if name.startswith("bound"))
    rivals = {name.rpartition(" ")[2]: values for name, values in found.items() if name.startswith(RIVAL)}
    for name, values in found.items():
        seconds = median(values)
        yield f"{network:<13}{name:<34}{seconds:>8.3f} s, {1000 * seconds / values['cost']:.2f} ms a forward pass"
        if name.startswith("ours"):
            ratios = [f"{median(times) / seconds:.2f} at batch {size}" for size, times in rivals.items()]
            rival = f"{', '.join(ratios)} (at least 2.5)" if ratios else "not measured (--quantus)"
            yield f"    over the bound {seconds / least:.2f} (at most 1.2), Quantus over it {rival}"


if __name__ == "__main__":
    main()
