"""From `train.yaml`, or from arrays, to a trained network: data, validation split, the loop of one framework.

The loops are in `torch_loop` and `keras_loop`, imported when one is asked for; files are written by `outputs`.
"""

from __future__ import annotations

import importlib
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from audit.config import DataConfig, Preprocessing, TrainConfig
from audit.data.images import LoadedImages, load_arrays
from audit.data.manifest import Dataset, load_dataset
from audit.errors import DataError, InputError
from audit.training.notes import training_notes
from audit.training.outputs import write_outputs
from audit.training.settings import (
    FitResult,
    Images,
    Integers,
    Progress,
    TrainingData,
    TrainingResult,
    TrainingSettings,
)

__all__ = ["TrainingResult", "check_free", "predict_classes", "save", "train", "train_arrays"]


class _Loop(Protocol):
    def fit(self, settings: TrainingSettings, data: TrainingData, progress: Progress | None = None) -> FitResult: ...

    def save(self, model: Any, folder: Path) -> str: ...

    def logits(self, model: Any, images: Images) -> npt.NDArray[np.float32]: ...


def train(config: TrainConfig, base: Path, out: Path, progress: Progress | None = None) -> TrainingResult:
    """Train the network that a configuration describes and write it into a new folder.

    Parameters
    ----------
    config : TrainConfig
    base : Path
        Folder that the configured paths are relative to.
    out : Path
        Folder to write: the model (``model.safetensors`` or ``model.keras``), ``model.json``, ``model.yaml``
        (the entry for an audit), ``history.csv``, ``curves.svg``, ``training.json``. It appears when all is there.
    progress : callable, optional
        Called with an `EpochRecord` after every epoch.

    Returns
    -------
    TrainingResult

    Raises
    ------
    InputError
        `out` holds files already, the device does not exist or the data cannot be used.
    ModelError
        The loss is no longer finite.
    """
    check_free(out)
    data, problems = _read(config, base)
    result = train_arrays(TrainingSettings.from_config(config), data, progress)
    result = replace(result, notes=(*result.notes, *problems), folder=out)
    save(result, out, name=config.name, preprocessing=config.preprocessing, config=config.model_dump(mode="json"))
    return result


def train_arrays(settings: TrainingSettings, data: TrainingData, progress: Progress | None = None) -> TrainingResult:
    """Train a network on arrays, without files.

    Parameters
    ----------
    settings : TrainingSettings
    data : TrainingData
        Images in the model's value range.
    progress : callable, optional

    Returns
    -------
    TrainingResult
    """
    loop = _loop(settings.framework)
    fitted = loop.fit(settings, data, progress)
    predicted = predict_classes(settings.framework, fitted.model, data.val_images)
    notes = training_notes(fitted.history, fitted.best_epoch, data.val_labels, predicted, data.classes)
    return TrainingResult(
        fit=fitted,
        settings=settings,
        classes=data.classes,
        input_shape=settings.arguments(data).input_shape,
        images=(len(data.images), len(data.val_images)),
        notes=(*notes, *fitted.notes),
    )


def predict_classes(framework: str, model: Any, images: Images) -> Integers:
    """Predicted class of each image by a network of this package: argmax, or the sign of a single output."""
    logits = _loop(framework).logits(model, images)
    if logits.shape[1] == 1:
        return (logits[:, 0] > 0).astype(np.int64)
    predicted: Integers = logits.argmax(axis=1).astype(np.int64)
    return predicted


def save(
    result: TrainingResult,
    out: Path,
    *,
    name: str,
    preprocessing: Preprocessing,
    config: dict[str, Any] | None = None,
) -> Path:
    """Write a training into a folder, which appears only when complete.

    Parameters
    ----------
    result : TrainingResult
    out : Path
        Must not exist or be empty.
    name : str
        Name of the model.
    preprocessing : Preprocessing
        How images became the arrays that it was trained on.
    config : dict, optional
        Kept in ``training.json``.

    Returns
    -------
    Path
        `out`.
    """
    check_free(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        weights = _loop(result.settings.framework).save(result.model, partial)
        write_outputs(result, partial, out, weights=weights, name=name, preprocessing=preprocessing, config=config)
        partial.chmod(0o755)
        if out.exists():
            out.rmdir()
        partial.rename(out)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return out


def check_free(out: Path) -> None:
    """Refuse a folder that holds files.

    Raises
    ------
    InputError
        `out` is a file or holds files.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"'{out}' exists and is not an empty folder", fix="name a new folder")


def _loop(framework: str) -> _Loop:
    module: Any = importlib.import_module(f"audit.training.{framework}_loop")
    loop: _Loop = module
    return loop


def _read(config: TrainConfig, base: Path) -> tuple[TrainingData, tuple[str, ...]]:
    """Load training and validation images; sentences about those left out."""
    dataset = load_dataset(config.data, base)
    max_pixels = config.data.max_pixels
    loaded = load_arrays(dataset, config.preprocessing, max_pixels)
    problems = _problems(loaded)
    keys = _balance_keys(dataset, config.balance)[loaded.positions]
    if config.validation.fraction is not None:
        held = _held_out(dataset, config.validation.fraction, config.seed)[loaded.positions]
        kept, val_images, val_labels = ~held, loaded.images[held], loaded.labels[held]
    else:
        validation = load_dataset(_validation_data(config), base)
        unknown = set(validation.classes) - set(dataset.classes)
        if unknown:
            raise DataError(f"validation holds classes that training lacks: {', '.join(sorted(unknown))}")
        _refuse_overlap(dataset, validation)
        val_loaded = load_arrays(validation, config.preprocessing, max_pixels)
        problems += _problems(val_loaded)
        names = np.array([dataset.classes.index(name) for name in validation.classes])
        kept, val_images = np.ones(len(loaded.images), dtype=np.bool_), val_loaded.images
        val_labels = names[val_loaded.labels]
    data = TrainingData(
        images=loaded.images[kept],
        labels=loaded.labels[kept],
        val_images=val_images,
        val_labels=val_labels,
        classes=dataset.classes,
        balance=keys[kept] if config.balance else None,
    )
    return data, problems


def _validation_data(config: TrainConfig) -> DataConfig:
    """Describe the validation rows: the same data, other values of the split column."""
    split, keep = config.data.split, config.validation.keep
    if split is None or keep is None:
        raise InputError("validation.keep needs data.split")
    return config.data.model_copy(update={"split": split.model_copy(update={"keep": keep})})


def _refuse_overlap(training: Dataset, validation: Dataset) -> None:
    """Raise where an image, or a cluster, is in both sets."""
    for column, noun in (("path", "image"), ("cluster", "cluster")):
        both = set(training.rows[column].dropna()) & set(validation.rows[column].dropna())
        if both:
            raise DataError(
                f"{len(both)} {noun}(s) are in training and in validation, such as '{min(both)}'",
                fix="change data.split.keep or validation.keep",
            )


def _held_out(dataset: Dataset, fraction: float, seed: int) -> npt.NDArray[np.bool_]:
    """Choose validation rows: whole clusters where there are any, else the same share of every class."""
    generator = np.random.default_rng([seed, 3])
    held = np.zeros(len(dataset), dtype=np.bool_)
    clusters = dataset.rows["cluster"]
    if clusters.notna().any():
        names = generator.permutation(sorted(set(clusters.dropna())))
        chosen = names[: min(max(1, round(fraction * len(names))), len(names) - 1)]
        held[:] = clusters.isin(chosen)
    else:
        labels = dataset.rows["label"].to_numpy()
        for name in dataset.classes:
            places = generator.permutation(np.flatnonzero(labels == name))
            held[places[: round(fraction * len(places))]] = True
    if not held.any() or held.all():
        raise DataError(
            f"a validation share of {fraction} of {len(dataset)} images leaves one side empty",
            fix="change validation.fraction",
        )
    return held


def _balance_keys(dataset: Dataset, balance: str | None) -> Integers:
    """Key of each row that an epoch draws evenly from."""
    if balance is None:
        return np.zeros(len(dataset), dtype=np.int64)
    values = dataset.rows["label" if balance == "label" else f"attr_{balance}"].astype(str).to_numpy()
    return np.unique(values, return_inverse=True)[1].astype(np.int64)


def _problems(loaded: LoadedImages) -> tuple[str, ...]:
    if not loaded.problems:
        return ()
    path, reason = loaded.problems[0]
    return (f"{len(loaded.problems)} images could not be read and were left out, such as '{path}' ({reason.status}).",)
