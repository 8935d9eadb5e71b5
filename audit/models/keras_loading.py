"""Keras models from files, on TensorFlow and the device asked for; reading the files is in `keras_files`."""

from __future__ import annotations

import os

import tensorflow as tf

from audit.config import ExecutionConfig, ModelConfig
from audit.errors import ModelError
from audit.models.files import ModelFile
from audit.models.keras_adapter import KerasAdapter
from audit.models.keras_files import read_model
from audit.trust import Trust

__all__ = ["load_keras"]


def load_keras(
    config: ModelConfig,
    file: ModelFile,
    *,
    classes: tuple[str, ...],
    input_shape: tuple[int, int, int] | None,
    execution: ExecutionConfig,
    trust: Trust,
) -> KerasAdapter:
    """Read the file and put the model behind the seam.

    Raises
    ------
    ModelError
        The file is no model or wants to run code, or the model is not what is declared.
    """
    _place(execution)
    return KerasAdapter(
        read_model(file, trust),
        classes=classes,
        input_shape=input_shape,
        head=config.head,
        score=config.score,
        layer=config.layer,
        micro_batch=execution.micro_batch,
        where=config.name,
    )


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
