"""Two workers against one on an audit that is bound by decoding: 2,000 JPEGs of 1,000 px, with and without reading ahead.

The model is the plain CNN at 64 px in PyTorch, one thread a worker. Seconds run from the first shard handed out to the
last receipt, so that start-up, loading and tables are left out. Rounds alternate. Prints what was measured.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import yaml
from PIL import Image
from safetensors.torch import save_file

from audit.config import AuditConfig, load_config
from audit.engine.placement import Placement
from audit.models.torch_networks import build
from audit.pipeline import run_audit
from audit.preflight import preflight
from tests.benchmarks.rounds import machine

ARGUMENTS = {"num_classes": 2, "input_shape": [64, 64, 3]}
WAYS = {
    "one worker": Placement(workers=1, ahead=False),
    "one, reading ahead": Placement(workers=1, ahead=True),
    "two workers": Placement(workers=2, ahead=False),
    "two, reading ahead": Placement(workers=2, ahead=True),
}


def main() -> None:
    """Print a line for each way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where images are made, or are already")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        config = folder / "audit.yaml"
        if not config.exists():
            make(folder, options.images)
        print(machine())
        seconds: dict[str, list[float]] = {name: [] for name in WAYS}
        for round_ in range(options.repeats):
            for name, placement in WAYS.items():
                seconds[name].append(timed(config, Path(temporary) / f"{round_}-{name}", placement))
        base = statistics.median(seconds["one worker"])
        for name, values in seconds.items():
            middle = statistics.median(values)
            spread = ", ".join(f"{value:.1f}" for value in values)
            print(f"{name:<20}{middle:>7.1f} s, {base / middle:.2f} times as fast as one worker ({spread})")


def make(folder: Path, count: int) -> None:
    """Images, manifest, weights and configuration."""
    rng = np.random.Generator(np.random.PCG64(0))
    (folder / "images").mkdir(parents=True)
    rows = []
    for number in range(count):
        coarse = Image.fromarray(rng.integers(0, 255, (40, 40, 3), dtype=np.uint8))
        coarse.resize((1000, 1000), Image.Resampling.BICUBIC).save(folder / "images" / f"{number:04d}.jpg", quality=90)
        rows.append({"image": f"images/{number:04d}.jpg", "label": "ab"[number % 2], "site": "xyz"[number % 3]})
    pd.DataFrame(rows).to_csv(folder / "images.csv", index=False)
    torch.manual_seed(0)
    save_file(build("plain_cnn", **ARGUMENTS).state_dict(), folder / "plain.safetensors")
    model = {"name": "plain", "framework": "torch", "architecture": "plain_cnn", "weights": "plain.safetensors"}
    content = {
        "name": "pool",
        "data": {"manifest": "images.csv", "groups": ["site"]},
        "models": [{**model, "arguments": ARGUMENTS, "preprocessing": {"size": [64, 64]}, "classes": ["a", "b"]}],
        "explanations": {"sample": 0, "cross_check": 0},
        "execution": {"device": "cpu", "threads": 1, "micro_batch": 32, "shard_size": 64},
    }
    (folder / "audit.yaml").write_text(yaml.safe_dump(content))


def timed(config: Path, out: Path, placement: Placement) -> float:
    """Seconds from the first shard handed out to the last receipt."""
    times = []

    def progress(stage: str, model: str, done: int, total: int) -> None:
        if stage == "predict":
            times.append(time.perf_counter())

    checked = preflight(load_config(AuditConfig, config), config.parent)
    run_audit(checked, out, placement=placement, progress=progress)
    return times[-1] - times[0]


if __name__ == "__main__":
    main()
