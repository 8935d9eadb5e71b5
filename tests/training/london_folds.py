"""Script: the plain CNN on the London faces, five folds by person; balanced accuracy a fold. `make london` runs it.

Not a test: five trainings of 100 epochs take minutes. The held-out fold is only watched, nothing is chosen by it.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Literal

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[2]))

from audit.config import SplitConfig, TrainConfig
from audit.data.images import load_arrays
from audit.data.manifest import load_dataset
from audit.training.recipe import predict_classes, train

Framework = Literal["torch", "keras"]
FOLDS = ("0", "1", "2", "3", "4")
REQUIRED = 0.80


def fold_config(framework: Framework, fold: str, options: argparse.Namespace) -> TrainConfig:
    """Recipe for one fold: the other four are trained on."""
    return TrainConfig.model_validate(
        {
            "name": f"london-{framework}-{fold}",
            "framework": framework,
            "data": {
                "manifest": "london.csv",
                "label": "expression",
                "groups": ["gender", "ethnicity", "age_band"],
                "cluster": "person",
                "split": {"column": "fold", "keep": [other for other in FOLDS if other != fold]},
            },
            "validation": {"keep": [fold]},
            "preprocessing": {"size": [64, 64], "scale": [0, 1], "mean": [0.5] * 3, "std": [0.25] * 3},
            "optimiser": {"name": "adamw", "learning_rate": options.learning_rate, "weight_decay": 1e-2},
            "epochs": options.epochs,
            "batch_size": options.batch_size,
            "augmentation": {"flip": True, "shift": 4},
            "device": options.device,
            "threads": options.threads,
            "seed": options.seed,
        }
    )


def balanced_accuracy(labels: np.ndarray, predicted: np.ndarray) -> float:
    """Mean over classes of the share of a class that is found."""
    return float(np.mean([(predicted[labels == label] == label).mean() for label in np.unique(labels)]))


def run_fold(framework: Framework, fold: str, data: Path, out: Path, options: argparse.Namespace) -> float:
    """Train one fold, print its figures, return its balanced accuracy."""
    config = fold_config(framework, fold, options)
    start = time.perf_counter()
    result = train(config, data, out / f"{framework}-{fold}")
    seconds = time.perf_counter() - start
    held_out = config.data.model_copy(update={"split": SplitConfig(column="fold", keep=(fold,))})
    test = load_arrays(load_dataset(held_out, data), config.preprocessing, held_out.max_pixels)
    score = balanced_accuracy(test.labels, predict_classes(framework, result.model, test.images))
    print(
        f"{framework} fold {fold}: balanced accuracy {score:.3f} on {len(test.labels)} images, {seconds:.1f} s",
        flush=True,
    )
    for note in result.notes:
        print(f"    {note}", flush=True)
    return score


def main() -> int:
    """Exit 0 where the mean over folds reaches what is required, else 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--framework", choices=("torch", "keras"), required=True)
    parser.add_argument("--data", type=Path, required=True, help="folder with london.csv")
    parser.add_argument("--out", type=Path, help="keep the five models here (default: nowhere)")
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--learning-rate", type=float, default=3e-4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--folds", nargs="+", choices=FOLDS, default=list(FOLDS))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        out = options.out or Path(scratch)
        scores = [run_fold(options.framework, fold, options.data, out, options) for fold in options.folds]
    mean = statistics.mean(scores)
    print(f"{options.framework}: mean balanced accuracy {mean:.3f} over {len(scores)} folds, required {REQUIRED:.2f}")
    return 0 if mean >= REQUIRED else 1


if __name__ == "__main__":
    sys.exit(main())
