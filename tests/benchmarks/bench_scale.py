"""Audits of 10,000 to 1,000,000 small images: images a second against a bare loop, and memory.

Generated 32 x 32 PNGs, in one packed file (an Arrow dataset of `datasets`) or each in a file of its own, through the
plain CNN in PyTorch with predictions and one CAM of every image. The audit is `faircam run`, in a process of its own; its
pass is what its receipts say, so that start-up and statistics are given apart. The bare loop decodes with Pillow and makes
the same pass, with the gradients of image and layer, on the first 20,000 of the same images, before and after each audit.
Memory is what the processes hold beside mapped files. Prints what was measured.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml
from PIL import Image
from safetensors.torch import save_file

from audit.engine.child import KEPT_MEMORY
from audit.models.torch_networks import build
from audit.run.shards import held_receipt
from tests.benchmarks.rounds import machine

BATCH, SIDE, BARE = 128, 32, 20_000
ARGUMENTS = {"num_classes": 2, "input_shape": [SIDE, SIDE, 3]}


def main() -> None:
    """Print a line an audit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--sources", nargs="+", choices=["packed", "files"], default=["packed", "files"])
    parser.add_argument("--looks", nargs="+", choices=["on", "off"], default=["on", "off"], help="perceptual hashing")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--resume", action="store_true", help="also end each at 90 %% and time how it goes on")
    parser.add_argument("--folder", type=Path, help="where images are made, or are already")
    options = parser.parse_args()
    if not KEPT_MEMORY.items() <= os.environ.items():  # the bare loop gets what a worker has
        os.execve(sys.executable, sys.orig_argv, os.environ | KEPT_MEMORY)  # noqa: S606 - this script again
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        print(machine())
        for source in options.sources:
            for count in options.images:
                made = folder / f"{source}-{count}"
                if not (made / "made").exists():
                    make(made, count, source)
                for looks in options.looks:
                    print(f"{source:<7}{count:>9} looks {looks:<4}", report(made, source, looks, options), flush=True)


def report(folder: Path, source: str, looks: str, options: argparse.Namespace) -> str:
    """One audit, with the bare loop before and after."""
    config = write_config(folder, source, looks, options.threads)
    before = bare(folder, source)
    run = folder / "run"
    shutil.rmtree(run, ignore_errors=True)
    measured = audited(config, run, options.workers)
    after = bare(folder, source)
    record = json.loads((run / "run.json").read_text())
    count, timings = record["data"]["planned"], record["timings"]
    speed = count / timings["plain:predict"] * options.workers
    text = (
        f"{speed:>7.0f} images/s, bare {before:.0f} and {after:.0f}, ratio {speed / ((before + after) / 2):.2f}; whole command "
        f"{measured['seconds']:.0f} s ({measured['processor']:.0f} s of processor), statistics {timings['statistics']:.0f} s; "
        f"worker {measured['worker']:.2f} GB, parent {measured['parent']:.2f} GB"
    )
    if options.resume:
        started, first = resumed(config, run)
        text += f"; resumed at 90 %: at work after {started:.1f} s, first shard committed after {first:.1f} s"
    return text


def make(folder: Path, count: int, source: str) -> None:
    """Images, manifest and weights."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = pd.DataFrame(
        {"label": np.array(["a", "b"])[np.arange(count) % 2], "site": np.array([*"xyz"])[np.arange(count) % 3]}
    )
    if source == "files":
        rows.insert(0, "image", [f"images/{number // 1000:04d}/{number:07d}.png" for number in range(count)])
        rows.to_csv(folder / "images.csv", index=False)
        for number, content in enumerate(pictures(count)):
            if number % 1000 == 0:
                (folder / "images" / f"{number // 1000:04d}").mkdir(parents=True)
            (folder / rows["image"].iloc[number]).write_bytes(content)
    else:
        import datasets

        features = datasets.Features(
            {"image": datasets.Image(), "label": datasets.Value("string"), "site": datasets.Value("string")}
        )

        def cells() -> Iterator[dict[str, Any]]:
            for content, label, site in zip(pictures(count), rows["label"], rows["site"], strict=True):
                yield {"image": {"bytes": content, "path": None}, "label": label, "site": site}

        cache = folder / "cache"
        datasets.Dataset.from_generator(cells, features=features, cache_dir=str(cache)).save_to_disk(folder / "packed")
        shutil.rmtree(cache)
    torch.manual_seed(0)
    save_file(network().state_dict(), folder / "plain.safetensors")
    (folder / "made").touch()


def pictures(count: int) -> Iterator[bytes]:
    """Encoded pictures, all different: smooth patches with noise."""
    rng = np.random.Generator(np.random.PCG64(0))
    for start in range(0, count, 1000):
        coarse = rng.integers(0, 200, (1000, 4, 4, 3), dtype=np.uint8).repeat(8, 1).repeat(8, 2)
        pixels = coarse + rng.integers(0, 50, coarse.shape, dtype=np.uint8)
        for picture in pixels[: count - start]:
            stream = io.BytesIO()
            Image.fromarray(picture).save(stream, "PNG", compress_level=1)
            yield stream.getvalue()


def network() -> torch.nn.Module:
    """The plain CNN with random weights."""
    return build("plain_cnn", **ARGUMENTS).eval()


def write_config(folder: Path, source: str, looks: str, threads: int) -> Path:
    """The audit of a folder of images."""
    data: dict[str, Any] = {"groups": ["site"], "look_alikes": 12 if looks == "on" else None}
    data |= {"manifest": "images.csv"} if source == "files" else {"huggingface": "packed"}
    model = {"name": "plain", "framework": "torch", "architecture": "plain_cnn", "weights": "plain.safetensors"}
    model |= {"arguments": ARGUMENTS, "preprocessing": {"size": [SIDE, SIDE]}, "classes": ["a", "b"]}
    content = {
        "name": "scale",
        "data": data,
        "models": [model],
        "explanations": {"sample": "all", "methods": ["grad_cam"], "cross_check": 0},
        "execution": {"device": "cpu", "threads": threads, "micro_batch": BATCH, "shard_size": 4096},
    }
    path = folder / "audit.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def bare(folder: Path, source: str) -> float:
    """Images a second of a loop that decodes and makes the same pass, and does nothing else."""
    model, kept = network(), []
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    layer = [part for part in model.modules() if isinstance(part, torch.nn.Conv2d)][-1]
    layer.register_forward_hook(lambda _module, _inputs, output: kept.append(output))
    read = reader(folder, source)
    total = read.total
    started = time.perf_counter()
    for start in range(0, total, BATCH):
        arrays = []
        for number in range(start, min(start + BATCH, total)):
            with Image.open(io.BytesIO(read(number))) as image:
                arrays.append(np.asarray(image.convert("RGB"), np.float32) / 255)
        images = torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).requires_grad_(True)
        scores = model(images)
        _, gradient = torch.autograd.grad(scores.amax(dim=1).sum(), [images, kept[-1]])  # one pass serves every method
        torch.relu((gradient.mean(dim=(2, 3), keepdim=True) * kept.pop().detach()).sum(1)).numpy()
    return total / (time.perf_counter() - started)


class reader:  # noqa: N801 - called like a function
    """Encoded bytes of one image."""

    def __init__(self, folder: Path, source: str) -> None:
        if source == "files":
            paths = pd.read_csv(folder / "images.csv", nrows=BARE)["image"]
            self.total = len(paths)
            self._read: Callable[[int], bytes] = lambda number: (folder / paths.iloc[number]).read_bytes()
        else:
            import datasets

            table = datasets.load_from_disk(str(folder / "packed")).cast_column("image", datasets.Image(decode=False))
            self.total = min(BARE, len(table))
            column = table.data.column("image").slice(0, self.total).combine_chunks().field("bytes")
            self._read = lambda number: column[number].as_py()

    def __call__(self, number: int) -> bytes:
        return self._read(number)


def command(config: Path, run: Path, *more: str) -> list[str]:
    return [sys.executable, "-P", "-m", "audit.cli", "run", str(config), "--out", str(run), *more]


def audited(config: Path, run: Path, workers: int) -> dict[str, float]:
    """Run an audit to its end: seconds, processor seconds, and peak memory of worker and parent in GB."""
    started, spent = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen(
        command(config, run, "--workers", str(workers)),
        env={name: value for name, value in os.environ.items() if name not in KEPT_MEMORY},  # as a user starts it
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    peaks: dict[int, float] = {}
    watcher = threading.Thread(target=_watch, args=(process, peaks))
    watcher.start()
    code = process.wait()
    watcher.join()
    if code:
        raise SystemExit(f"the audit ended with code {code}")
    total = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = total.ru_utime + total.ru_stime - spent.ru_utime - spent.ru_stime
    children = [peak for pid, peak in peaks.items() if pid != process.pid]
    return {
        "seconds": time.perf_counter() - started,
        "processor": processor,
        "parent": peaks[process.pid],
        "worker": max(children, default=0.0),
    }


def _watch(process: subprocess.Popen[bytes], peaks: dict[int, float]) -> None:
    while process.poll() is None:
        children = _text(Path(f"/proc/{process.pid}/task/{process.pid}/children")).split()
        for pid in (process.pid, *map(int, children)):
            for line in _text(Path(f"/proc/{pid}/status")).splitlines():
                if line.startswith("RssAnon"):  # pages of a file that is mapped are the kernel's to take back
                    peaks[pid] = max(peaks.get(pid, 0.0), int(line.split()[1]) / 1e6)
        time.sleep(0.2)


def _text(path: Path) -> str:
    with suppress(OSError):
        return path.read_text()
    return ""


def resumed(config: Path, run: Path) -> tuple[float, float]:
    """Seconds until an audit whose last tenth of shards is gone begins its next one, by its receipt, and commits it."""
    shards = sorted((run / "shards").rglob("predict-*.parquet"))
    for shard in shards[len(shards) * 9 // 10 :]:
        shard.unlink()
    (run / "run.json").unlink()
    held = set((run / "shards").rglob("[!.]*.parquet"))
    started = time.perf_counter()
    process = subprocess.Popen(command(config, run, "--resume"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (new := set((run / "shards").rglob("[!.]*.parquet")) - held) and process.poll() is None:
        time.sleep(0.1)
    seconds = time.perf_counter() - started
    (receipt, *_) = [held_receipt(path) for path in new]
    assert receipt is not None
    process.send_signal(signal.SIGINT)
    process.wait()
    return seconds - receipt.seconds, seconds


if __name__ == "__main__":
    main()
