"""Keras models from files: `.keras` and legacy HDF5, without running code that comes with them."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import keras
import tensorflow as tf

from audit.config import ExecutionConfig, ModelConfig
from audit.errors import ModelError
from audit.models.keras_adapter import KerasAdapter

__all__ = ["load_keras", "read_model"]

_SUFFIXES = (".keras", ".h5", ".hdf5")


def load_keras(
    config: ModelConfig,
    base: Path,
    *,
    classes: tuple[str, ...],
    input_shape: tuple[int, int, int] | None,
    execution: ExecutionConfig,
    trust_code: bool,
) -> KerasAdapter:
    """Read the file and put the model behind the seam.

    Raises
    ------
    ModelError
        The file is missing, is no model or wants to run code, or the model is not what is declared.
    """
    _place(execution)
    return KerasAdapter(
        read_model(base / (config.path or ""), trust_code=trust_code),
        classes=classes,
        input_shape=input_shape,
        head=config.head,
        score=config.score,
        layer=config.layer,
        micro_batch=execution.micro_batch,
        where=config.name,
    )


def read_model(path: Path, *, trust_code: bool = False) -> keras.Model:
    """A model from ``.keras`` or HDF5, without its optimiser.

    Parameters
    ----------
    path : Path
        The file.
    trust_code : bool
        Whether a Lambda layer that the file carries may run.
    """
    if not path.exists():
        raise ModelError("there is no such file", where=str(path), fix="check `path:`")
    if path.is_dir() or path.suffix not in _SUFFIXES:
        kind = "folder" if path.is_dir() else f"'{path.suffix}' file"
        raise ModelError(
            f"is a {kind}, allowed: {', '.join(_SUFFIXES)}",
            where=str(path),
            fix="save it with model.save(PATH.keras)",
        )
    _check_container(path)
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=not trust_code)
    except Exception as error:
        raise _explained(error, path) from error
    if not isinstance(model, keras.Model):
        raise ModelError(f"holds a {type(model).__name__}, not a keras.Model", where=str(path))
    return model


def _check_container(path: Path) -> None:
    """The file is a whole model in the format that its name says."""
    if path.suffix == ".keras":
        if not zipfile.is_zipfile(path):
            raise ModelError("is no Keras model, or is cut short", where=str(path))
        return
    import h5py

    try:
        with h5py.File(path, "r") as file:
            whole = "model_config" in file.attrs
    except OSError as error:
        raise ModelError(f"is no HDF5 file, or is cut short: {error}", where=str(path)) from error
    if not whole:
        raise ModelError(
            "holds weights but no model",
            where=str(path),
            fix="save the whole model with model.save(PATH.keras)",
        )


def _explained(error: Exception, path: Path) -> ModelError:
    text = " ".join(str(error).split())
    lowered = text.lower()
    if "safe_mode" in lowered or "unsafe" in lowered or "lambda" in lowered:
        return ModelError(
            "carries code of its own (a Lambda layer)",
            where=str(path),
            fix="read that code, then allow it with --trust-code",
        )
    if "could not locate" in lowered or "unknown layer" in lowered or "register_keras_serializable" in lowered:
        return ModelError(
            f"uses a class that this program does not have: {text[:300]}",
            where=str(path),
            fix="load it in Python with its classes and call audit.audit(model, ...)",
        )
    return ModelError(f"cannot be loaded as a Keras model: {text[:300]}", where=str(path))


def _place(execution: ExecutionConfig) -> None:
    """Set device, threads and precision, as far as TensorFlow has not started yet."""
    wanted = execution.device
    gpus = tf.config.list_physical_devices("GPU")
    index = _gpu_index(wanted, len(gpus))
    try:
        if index is None:
            tf.config.set_visible_devices([], "GPU")
        else:
            tf.config.set_visible_devices([gpus[index]], "GPU")
            tf.config.experimental.set_memory_growth(gpus[index], True)
        tf.config.threading.set_intra_op_parallelism_threads(execution.threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:  # TensorFlow has started: a model in memory came first, its settings hold
        os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    tf.config.experimental.enable_tensor_float_32_execution(False)


def _gpu_index(wanted: str, count: int) -> int | None:
    """Which GPU to use, or None for the CPU."""
    if wanted == "cpu" or (wanted == "auto" and count == 0):
        return None
    name, _, number = wanted.partition(":")
    index = int(number) if number.isdigit() else 0
    if name not in {"auto", "cuda"} or (number and not number.isdigit()):
        raise ModelError(f"device '{wanted}' is unknown, allowed: auto, cpu, cuda, cuda:N")
    if index >= count:
        raise ModelError(f"device '{wanted}' is not there: TensorFlow sees {count} GPUs", fix="use cpu")
    return index
