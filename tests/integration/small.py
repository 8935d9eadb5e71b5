"""A small audit on files, with the NumPy model: quick enough to be killed and repeated often."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from PIL import Image

SIZE = 12
CLASSES = ("dull", "red")


def write_audit(folder: Path, images: int = 60, **changes: Any) -> Path:
    """Images, manifest, model and config; returns the config's path. Keys with dots go into sections."""
    rng = np.random.Generator(np.random.PCG64(5))
    rows = []
    (folder / "images").mkdir(parents=True)
    (folder / "regions").mkdir()
    for number in range(images):
        red = number % 2 == 1
        pixels = rng.integers(60, 120, (SIZE, SIZE, 3), dtype=np.uint8)
        weak = number % 5 == 0
        if red:
            pixels[3:9, 3:9, 0] = 130 if weak else 250
        regions = np.zeros((SIZE, SIZE), np.uint8)
        regions[3:9, 3:9] = 1
        name = f"{number:04d}.png"
        Image.fromarray(pixels).save(folder / "images" / name)
        Image.fromarray(regions).save(folder / "regions" / name)
        rows.append(
            {
                "image": f"images/{name}",
                "label": CLASSES[red],
                "light": "dim" if weak else "bright",
                "size": str(number % 40) if number % 7 else "",
                "person": f"p{number // 2}",
                "regions": f"regions/{name}",
                "split": "test" if number % 10 else "train",
            }
        )
    pd.DataFrame(rows).to_csv(folder / "images.csv", index=False)
    weights = {
        "W1": np.array([[1.0, 0.5], [0.0, 0.5], [0.0, 0.0]]),
        "b1": np.array([-0.35, 0.0]),
        "W2": np.array([[-4.0, 4.0], [1.0, -1.0]]),
        "b2": np.array([0.1, -0.1]),
    }
    np.savez(folder / "model.npz", **weights, input_shape=np.array([SIZE, SIZE, 3]))
    content: dict[str, Any] = {
        "name": "small audit",
        "data": {
            "manifest": "images.csv",
            "groups": ["light", {"column": "size", "bins": [20], "provenance": "measured"}],
            "intersections": [["light", "size"]],
            "cluster": "person",
            "regions": {"column": "regions", "names": {1: "square"}},
        },
        "positive": "red",
        "models": [
            {
                "name": "closed-form",
                "framework": "numpy",
                "weights": "model.npz",
                "preprocessing": {"size": [SIZE, SIZE]},
                "classes": list(CLASSES),
            }
        ],
        "explanations": {"sample": 24, "cross_check": 2},
        "execution": {"shard_size": 8, "micro_batch": 4, "threads": 1},
    }
    for key, value in changes.items():
        change(content, key, value)
    path = folder / "audit.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path


def change(content: dict[str, Any], key: str, value: Any) -> None:
    """Set ``a__b__c`` in nested sections; list items by their number."""
    *path, last = key.split("__")
    place: Any = content
    for part in path:
        place = place[int(part)] if part.isdigit() else place[part]
    if value is None:
        del place[last]
    else:
        place[int(last) if last.isdigit() else last] = value


def faircam(*arguments: str | Path, cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    command = [sys.executable, "-P", "-m", "audit.cli", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=cwd, env={**os.environ, **env}, timeout=300, check=False
    )
