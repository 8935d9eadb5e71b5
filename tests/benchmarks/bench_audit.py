"""A whole audit against a bare loop that decodes the same images and runs the same pass.

ResNet-18 with random weights on generated JPEGs of 256 px, cropped to 224; imports and loading the model are left
out of both. Prints ratios; asserts nothing. Rounds alternate, so that a drifting machine hurts both sides.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import torchvision
from PIL import Image

from audit.config import AuditConfig, parse_config
from audit.data.images import decode
from audit.engine.crew import InlineCrew
from audit.engine.job import FileSource, Job, OutputMap
from audit.engine.station import describe
from audit.engine.worker import Worker
from audit.models.loading import wrap_model
from audit.pipeline import execute, silent
from audit.preflight import Preflight, preflight

BATCH = 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    model = torchvision.models.resnet18(num_classes=2).eval()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_images(folder, options.images)
        bare: list[float] = []
        whole: dict[str, list[float]] = {"all": [], "200": []}
        for round_ in range(options.repeats):
            bare.append(timed(bare_loop, prepare(folder, "all"), model))
            for key, seconds in whole.items():
                seconds.append(timed(audit_all, prepare(folder, key), model, folder / f"run-{key}-{round_}"))
            print(
                f"round {round_ + 1}: bare loop {bare[-1]:.1f} s, "
                + ", ".join(f"{k} {v[-1]:.1f} s" for k, v in whole.items())
            )
        print(f"{options.images} images, {options.repeats} rounds, {options.threads} threads; medians of ratios:")
        for key, seconds in whole.items():
            ratio = statistics.median(one / two for one, two in zip(seconds, bare, strict=True))
            print(f"  audit explaining {key:>3} images / bare loop of decode and pass: {ratio:.3f}")


def make_images(folder: Path, count: int) -> None:
    rng = np.random.default_rng(0)
    (folder / "images").mkdir()
    rows: list[dict[str, Any]] = []
    for number in range(count):
        coarse = Image.fromarray(rng.integers(0, 255, (24, 24, 3), dtype=np.uint8))
        coarse.resize((256, 256), Image.Resampling.BICUBIC).save(folder / "images" / f"{number}.jpg", quality=90)
        rows.append({"image": f"images/{number}.jpg", "label": "ab"[number % 2], "group": "xyz"[number % 3]})
    pd.DataFrame(rows).to_csv(folder / "images.csv", index=False)
    (folder / "none.safetensors").write_bytes(b"")


def prepare(folder: Path, sample: str) -> Preflight:
    content = {
        "name": "benchmark",
        "data": {"manifest": "images.csv", "groups": ["group"]},
        "models": [
            {
                "name": "resnet18",
                "framework": "torch",
                "architecture": "torchvision:resnet18",
                "weights": "none.safetensors",
                "preprocessing": {"size": [256, 256], "crop": [224, 224], "mean": [0.485] * 3, "std": [0.229] * 3},
            }
        ],
        "explanations": {"sample": "all" if sample == "all" else int(sample), "cross_check": 0},
        "execution": {"micro_batch": BATCH},
    }
    return preflight(parse_config(AuditConfig, content, where="benchmark"), folder)


def audit_all(checked: Preflight, model: torch.nn.Module, out: Path) -> None:
    (entry,) = checked.config.models
    outputs = OutputMap.build(entry, checked.classes)
    adapter = wrap_model(model, outputs.own, input_shape=(224, 224, 3), micro_batch=BATCH)
    source = FileSource(checked.dataset, entry.preprocessing, checked.config.data.max_pixels)
    job = Job(out, "", entry.name, source, outputs, checked.config.explanations, {}, BATCH)
    crew = InlineCrew(Worker(job, adapter), describe(adapter.spec))
    execute(checked, {entry.name: crew}, out, {}, silent)
    crew.close()


def bare_loop(checked: Preflight, model: torch.nn.Module) -> None:
    """Decode, forward, backward to the input and the layer; nothing else."""
    (entry,) = checked.config.models
    kept: list[torch.Tensor] = []
    hook = model.layer4.register_forward_hook(lambda _module, _inputs, output: kept.append(output))
    paths = list(checked.dataset.rows["path"])
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    for start in range(0, len(paths), BATCH):
        arrays = [
            decode(checked.dataset.root, path, entry.preprocessing, 10**8).array
            for path in paths[start : start + BATCH]
        ]
        images = torch.from_numpy(np.stack([array for array in arrays if array is not None])).permute(0, 3, 1, 2)
        images.requires_grad_(True)
        scores = model(images)
        torch.autograd.grad(scores.amax(dim=1).sum(), [images, kept.pop()])
    hook.remove()


def timed(call: Any, *arguments: Any) -> float:
    started = time.perf_counter()
    call(*arguments)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
