"""The whole job on the built-in synthetic data, through the same commands and files that a user has."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from audit.config import AuditConfig, load_config
from audit.data.synthetic import DEMO_EPOCHS, DEMO_SEED, REGION_NAMES, TONES, demo_specs, draw, write
from audit.errors import InputError, ModelError
from audit.pipeline import Progress, run_audit, silent
from audit.preflight import preflight
from audit.run import Run

__all__ = ["DemoResult", "run_demo"]

_FRAMEWORKS = {"torch": "torch", "keras": "tensorflow"}
_PREPROCESSING = {"size": [48, 48], "mode": "RGB", "scale": [0, 1], "mean": [0.5] * 3, "std": [0.25] * 3}
_BEYOND = {"embeddings": {"sample": "all"}, "robustness": {"sample": 400, "severities": [1, 3, 5]}}
_MEASURED = 32
"""Images whose maps are measured, the dearest part of the demo."""

_METHODS = ["saliency", "gradient_x_input", "grad_cam", "hires_cam", "layer_cam"]
_WHAT = {
    "biased": "Synthetic shapes, planted bias",
    "control": "Synthetic shapes, control without a planted bias",
}


@dataclass(frozen=True)
class DemoResult:
    """What the demo made.

    Attributes
    ----------
    runs : tuple of Run
        The audit of the biased models and that of the control.
    reports : tuple of Path
        Their reports.
    """

    runs: tuple[Run, ...]
    reports: tuple[Path, ...]


def run_demo(
    out: Path, *, seed: int | None = None, progress: Progress = silent, say: Callable[[str], None] = print
) -> DemoResult:
    """Draw, train, audit and report; a step that is already done is not done again.

    Parameters
    ----------
    out : Path
        Folder for data, models, configs and runs.
    seed : int, optional
        Of drawing and training; the documented demo uses its own.
    progress : Progress
        Told of every committed shard.
    say : callable
        Told of every step.

    Returns
    -------
    DemoResult

    Raises
    ------
    ModelError
        Neither PyTorch nor TensorFlow is installed.
    """
    frameworks = [name for name, package in _FRAMEWORKS.items() if importlib.util.find_spec(package)]
    if not frameworks:
        raise ModelError(
            "the demo trains networks, and neither PyTorch nor TensorFlow is installed",
            fix="pip install 'faircam[torch]' or 'faircam[tensorflow]'",
        )
    seed = DEMO_SEED if seed is None else seed
    _claim(out, seed)
    _draw(out / "data", seed, say)
    for kind in _WHAT:
        for framework in frameworks:
            _train(out, kind, framework, seed, say)
    runs, reports = [], []
    for kind in _WHAT:
        runs.append(_audit(out, kind, frameworks, seed, progress, say))
        reports.append(_report(runs[-1]))
    return DemoResult(tuple(runs), tuple(reports))


def _claim(out: Path, seed: int) -> None:
    """Refuse a folder with other things in it, or a demo of another seed."""
    marker = out / "demo.yaml"
    content = yaml.safe_dump({"demo": "faircam", "seed": seed})
    if marker.exists():
        if marker.read_text(encoding="utf-8") != content:
            raise InputError(f"'{out}' holds a demo with another seed", fix="name another folder with --out")
        return
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"'{out}' exists and holds other things", fix="name a new folder with --out")
    out.mkdir(parents=True, exist_ok=True)
    marker.write_text(content, encoding="utf-8")


def _draw(folder: Path, seed: int, say: Callable[[str], None]) -> None:
    if folder.exists():
        return
    say("Drawing the synthetic images ...")
    specs = demo_specs(seed)
    sets = {
        "train-biased": specs.biased_train,
        "train-control": specs.control_train,
        "validation": specs.validation,
        "test": specs.test,
    }
    partial = folder.with_name(f".{folder.name}.partial")
    if partial.exists():
        import shutil

        shutil.rmtree(partial)
    write({name: draw(spec) for name, spec in sets.items()}, partial)
    partial.rename(folder)


def _train(out: Path, kind: str, framework: str, seed: int, say: Callable[[str], None]) -> None:
    """Train in a process of its own: PyTorch and TensorFlow never share one."""
    name = f"{kind}-{framework}"
    if (out / "models" / name).exists():
        return
    say(f"Training {name} ...")
    config = out / f"train-{name}.yaml"
    _write_yaml(config, _train_config(kind, framework, seed), f"How the demo trained {name}.")
    command = [sys.executable, "-P", "-m", "audit.cli", "train", str(config), "--out", str(out / "models" / name)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603 - our own command
    if done.returncode:
        raise ModelError(f"training {name} ended with code {done.returncode}", where=str(config))


def _train_config(kind: str, framework: str, seed: int) -> dict[str, Any]:
    return {
        "name": f"{kind}-{framework}",
        "framework": framework,
        "data": {
            "manifest": "data/manifest.csv",
            "groups": ["tone", "marker"],
            "split": {"column": "split", "keep": [f"train-{kind}"]},
        },
        "validation": {"keep": ["validation"]},
        "preprocessing": _PREPROCESSING,
        "epochs": DEMO_EPOCHS,
        "seed": seed,
    }


def _audit(
    out: Path, kind: str, frameworks: list[str], seed: int, progress: Progress, say: Callable[[str], None]
) -> Run:
    say(f"Auditing the {kind} models ...")
    config = out / f"audit-{kind}.yaml"
    _write_yaml(config, _audit_config(out, kind, frameworks, seed), f"{_WHAT[kind]}.")
    return run_audit(preflight(load_config(AuditConfig, config), out), out / kind, resume=True, progress=progress)


def _audit_config(out: Path, kind: str, frameworks: list[str], seed: int) -> dict[str, Any]:
    models = []
    for framework in frameworks:
        folder = f"models/{kind}-{framework}"
        (entry,) = yaml.safe_load((out / folder / "model.yaml").read_text(encoding="utf-8"))
        key = "path" if framework == "keras" else "weights"
        entry |= {key: f"{folder}/{Path(entry[key]).name}", "training": folder}
        models.append({**entry, "training_data": _trained_on(kind)} if kind == "biased" else entry)
    content: dict[str, Any] = {
        "name": _WHAT[kind],
        "data": {
            "manifest": "data/manifest.csv",
            "groups": [
                {"column": "tone", "provenance": "by construction"},
                {"column": "marker", "provenance": "by construction"},
            ],
            "intersections": [["tone", "marker"]],
            "regions": {"column": "regions", "names": REGION_NAMES, "should_not_matter": ["marker"]},
            "split": {"column": "split", "keep": ["test"]},
        },
        "positive": "cross",
        "models": models,
        "explanations": {"methods": _METHODS, "sample": 600},
        "quality": {"sample": _MEASURED},
        "interventions": {"sample": 600},
        "seed": seed,
    }
    if kind == "biased":
        content["data"]["population"] = {"tone": _training_mix(seed)}
        content |= _BEYOND
    return content


def _training_mix(seed: int) -> dict[str, float]:
    """Share of each tone among the biased training images: the audit also asks how the models do on that mix."""
    weights = demo_specs(seed).biased_train.tone_weights
    return {tone: round(weight / sum(weights), 5) for tone, weight in zip(TONES, weights, strict=True)}


def _trained_on(kind: str) -> dict[str, Any]:
    """The images of a training, as an audit's model names them."""
    return {"manifest": "data/manifest.csv", "split": {"column": "split", "keep": [f"train-{kind}"]}}


def _report(run: Run) -> Path:
    from reports import write_report

    return write_report(run)


def _write_yaml(path: Path, content: dict[str, Any], title: str) -> None:
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110)
    path.write_text(f"# {title} Paths are relative to this file.\n{text}", encoding="utf-8")
