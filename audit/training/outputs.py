"""The files that describe a training: history, curves, record, and the entry for an audit. No training here."""

from __future__ import annotations

import csv
import json
import statistics
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import yaml

from audit.config import ModelConfig, Preprocessing
from audit.models.networks import ARCHITECTURES, NetworkArguments
from audit.training.settings import EpochRecord, TrainingResult

__all__ = ["model_entry", "write_outputs"]

_LAST_RELU = dict(zip(ARCHITECTURES, ("relu2", "relu3"), strict=True))


def write_outputs(
    result: TrainingResult,
    folder: Path,
    final: Path,
    *,
    weights: str,
    name: str,
    preprocessing: Preprocessing,
    config: dict[str, Any] | None,
) -> None:
    """Write everything but the weights.

    Parameters
    ----------
    result : TrainingResult
    folder : Path
        Where to write now.
    final : Path
        Where the folder will be; ``model.yaml`` names it.
    weights : str
        Name of the weights' file in the folder.
    name : str
        Name of the model.
    preprocessing : Preprocessing
    config : dict or None
        Kept in ``training.json``.
    """
    entry = model_entry(result, final.resolve(), weights=weights, name=name, preprocessing=preprocessing)
    head = "# Paste under `models:` of an audit.yaml.\n"
    (folder / "model.yaml").write_text(head + yaml.safe_dump([entry], sort_keys=False), encoding="utf-8")
    described = {
        "name": name,
        "framework": result.settings.framework,
        "architecture": result.settings.network.architecture,
        "arguments": _arguments(result).as_dict(),
        "classes": list(result.classes),
        "weights": weights,
        "preprocessing": preprocessing.model_dump(mode="json"),
    }
    _json(folder / "model.json", described)
    _json(folder / "training.json", _record(result, name, config))
    _history(folder / "history.csv", result.fit.history)
    _curves(folder / "curves.svg", result)


def model_entry(
    result: TrainingResult, folder: Path, *, weights: str, name: str, preprocessing: Preprocessing
) -> dict[str, Any]:
    """Describe a trained model as an audit's configuration takes it.

    Parameters
    ----------
    result : TrainingResult
    folder : Path
        Folder of the training.
    weights : str
        Name of the weights' file in it.
    name : str
    preprocessing : Preprocessing

    Returns
    -------
    dict
        An entry of ``models:``; `ModelConfig` accepts it.
    """
    network = result.settings.network
    entry: dict[str, Any] = {"name": name, "framework": result.settings.framework}
    if result.settings.framework == "torch":
        entry |= {
            "architecture": network.architecture,
            "arguments": _arguments(result).as_dict(),
            "weights": str(folder / weights),
        }
    else:
        entry["path"] = str(folder / weights)
    entry |= {
        "preprocessing": preprocessing.model_dump(mode="json", exclude_defaults=True),
        "classes": list(result.classes),
        "head": network.head,
        "layer": _LAST_RELU[network.architecture],
        "training": str(folder),
    }
    ModelConfig.model_validate(entry)
    return entry


def _arguments(result: TrainingResult) -> NetworkArguments:
    shape = result.input_shape
    network = result.settings.network
    return NetworkArguments(len(result.classes), shape, network.head, network.dropout)


def _record(result: TrainingResult, name: str, config: dict[str, Any] | None) -> dict[str, Any]:
    kept = result.fit.history[result.fit.best_epoch - 1]
    settings = result.settings
    recipe = {field.name: getattr(settings, field.name) for field in fields(settings)}
    for section in ("network", "optimiser", "augmentation"):
        recipe[section] = recipe[section].model_dump(mode="json")
    return {
        "schema_version": 1,
        "name": name,
        "settings": recipe,
        "config": config,
        "epochs": len(result.fit.history),
        "best_epoch": result.fit.best_epoch,
        "stopped_early": len(result.fit.history) < settings.epochs,
        "accuracy": kept.accuracy,
        "val_accuracy": kept.val_accuracy,
        "gap": kept.accuracy - kept.val_accuracy,
        "seconds_per_epoch": statistics.median(record.seconds for record in result.fit.history),
        "device": result.fit.device,
        "images": {"training": result.images[0], "validation": result.images[1]},
        "notes": list(result.notes),
    }


def _json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def _history(path: Path, history: tuple[EpochRecord, ...]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        table = csv.DictWriter(stream, [field.name for field in fields(EpochRecord)], lineterminator="\n")
        table.writeheader()
        table.writerows(asdict(record) for record in history)


def _curves(path: Path, result: TrainingResult) -> None:
    """Draw loss and accuracy over the epochs, training and validation."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    history = result.fit.history
    epochs = [record.epoch for record in history]
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    FigureCanvasSVG(figure)
    for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        axes.plot(epochs, [getattr(record, name) for record in history], "o-", color="#0b6e99", label="training")
        validation = [getattr(record, f"val_{name}") for record in history]
        axes.plot(epochs, validation, "s--", color="#b3541e", label="validation")
        axes.axvline(result.fit.best_epoch, color="#777777", linewidth=1, linestyle=":", label="epoch kept")
        axes.set_xlabel("epoch")
        axes.set_ylabel(name)
        axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(frameon=False)
    with mpl.rc_context({"svg.hashsalt": "faircam", "svg.fonttype": "path"}):
        figure.savefig(path, metadata={"Date": None, "Title": "Training and validation curves"})
