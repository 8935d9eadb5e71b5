"""Script: what two seeds of the plain CNN and a published network look at on the London faces. `make london-explained`.

Not a test at its full length; `tests/integration/test_london_explained.py` runs it with few epochs.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

sys.path.append(str(Path(__file__).resolve().parents[2]))

from audit.run import Run, open_run

TRAINED, HELD_OUT = [2, 3, 4], [0, 1]
RGB = {"size": [64, 64], "mode": "RGB", "resize": "bilinear", "scale": [0, 1], "mean": [0.5] * 3, "std": [0.25] * 3}
METHODS: list[Any] = ["saliency", "gradient_x_input", "grad_cam", {"name": "integrated_gradients", "max_steps": 112}]
SEEDS = (0, 1)
QUALITY = 32  # images whose maps are measured


def data(shared: Path, **more: Any) -> dict[str, Any]:
    """The London set, with its regions."""
    return {
        "manifest": str(shared / "data" / "london" / "london.csv"),
        "label": "expression",
        "groups": [{"column": name, "provenance": "self-reported"} for name in ("gender", "ethnicity")],
        "cluster": "person",
        "regions": {"column": "regions", "names": {1: "face", 2: "eyes", 3: "mouth"}},
        **more,
    }


def fer(shared: Path) -> dict[str, Any]:
    """The published network as an audit names it."""
    return {
        "name": "fer",
        "framework": "keras",
        "path": str(shared / "models" / "fer_mini_xception.h5"),
        "preprocessing": {"size": [64, 64], "mode": "L", "resize": "bilinear", "scale": [-1, 1]},
        "classes": ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"],
        "outputs": {"smiling": ["happy"], "neutral": "rest"},
        "layer": "conv2d_7",
    }


def train(shared: Path, folder: Path, seed: int, epochs: int) -> dict[str, Any]:
    """Train the plain CNN in PyTorch on three folds of people; the entry for an audit."""
    recipe = {
        "name": f"plain-{seed}",
        "framework": "torch",
        "data": data(shared, split={"column": "fold", "keep": TRAINED}),
        "validation": {"keep": HELD_OUT},
        "preprocessing": RGB,
        "optimiser": {"name": "adamw", "learning_rate": 3e-4, "weight_decay": 0.01},
        "augmentation": {"flip": True, "shift": 4},
        "epochs": epochs,
        "batch_size": 16,
        "seed": seed,
    }
    path = folder / f"train-{seed}.yaml"
    path.write_text(yaml.safe_dump(recipe))
    command("train", path, "--out", folder / f"plain-{seed}")
    (entry,) = yaml.safe_load((folder / f"plain-{seed}" / "model.yaml").read_text())
    return {**entry, "name": f"plain-{seed}"}


def audit(folder: Path, name: str, content: dict[str, Any]) -> Run:
    """Write the configuration and run it through the command."""
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump({"name": name, "positive": "smiling", "seed": 0, **content}))
    command("run", path, "--out", folder / name)
    return open_run(folder / name)


def command(*arguments: str | Path) -> None:
    """Run faircam in a process of its own."""
    line = [sys.executable, "-P", "-m", "audit.cli", *map(str, arguments)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)


def explained(methods: list[Any], quality: int) -> dict[str, Any]:
    """What is asked about the maps."""
    return {
        "explanations": {"methods": methods, "sample": "all", "cross_check": 2},
        "quality": {"sample": quality, "repeat_images": max(2, quality // 2), "fills": ["mean"], "road": False},
        "interventions": {"regions": ["mouth", "eyes"], "controls": 5, "sample": "all"},
    }


def compared(shared: Path, folder: Path, epochs: int, quality: int, methods: list[Any]) -> Run:
    """The published network beside two seeds of ours, on people that ours have not seen."""
    models = [fer(shared), *(train(shared, folder, seed, epochs) for seed in SEEDS)]
    return audit(
        folder,
        "compared",
        {
            "data": data(shared, split={"column": "fold", "keep": HELD_OUT}),
            "models": models,
            **explained(methods, quality),
            "concepts": [{"name": "woman", "attribute": "gender", "group": "female"}],
        },
    )


def main() -> None:
    """Run at full length and print the tables that docs/results.md quotes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="an empty folder")
    parser.add_argument("--epochs", type=int, default=100)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    alone = audit(
        options.out,
        "fer-alone",
        {"data": data(options.shared), "models": [fer(options.shared)], **explained(METHODS, QUALITY)},
    )
    both = compared(options.shared, options.out, options.epochs, QUALITY, METHODS)
    pd.set_option("display.width", 200, "display.max_columns", 30, "display.max_rows", 500)
    for run in (alone, both):
        print(run.name)
        for table, query in (
            ("groups", "metric == 'accuracy' and attribute in ('overall', 'gender')"),
            ("quality_groups", "measure.str.startswith('share:') and attribute in ('overall', 'gender', 'ethnicity')"),
            ("quality_gaps", "measure.str.startswith('share:') or method == 'intervention'"),
            ("intervention_groups", "attribute in ('overall', 'gender', 'ethnicity')"),
            ("agreement_groups", "attribute == 'overall'"),
            ("stamps", "check == 'overall'"),
            ("concepts", "attribute == 'overall'"),
            ("work", "used >= 0"),
        ):
            frame = run.table(table)
            print(table, frame.query(query).round(3).to_string() if len(frame) else "empty", sep="\n", flush=True)


if __name__ == "__main__":
    main()
