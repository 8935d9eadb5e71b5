"""ONNX models from a configuration: a session of ONNX Runtime on the device asked for, with no code but its own.

No library of custom operators is ever registered, and weights outside the file are read only from beside it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import onnxruntime

from audit.config import ExecutionConfig, ModelConfig
from audit.errors import ModelError
from audit.models.files import ModelFile
from audit.models.onnx_adapter import OnnxAdapter, reason
from audit.models.onnx_file import read_onnx

__all__ = ["choose_providers", "load_onnx", "open_session"]

_CPU, _CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
_FATAL = 4  # ONNX Runtime prints what it also raises


def load_onnx(
    config: ModelConfig,
    file: ModelFile,
    *,
    classes: tuple[str, ...],
    execution: ExecutionConfig,
) -> OnnxAdapter:
    """Read the file, open it, put it behind the seam.

    Raises
    ------
    ModelError
        The file is missing, broken, needs operators that are not there or weights that are not beside it; the device
        is not there; or the graph is not what the section declares.
    """
    found = read_onnx(file.path, where=config.name)
    session = open_session(file.path, execution.device, execution.threads, where=config.name)
    height, width = config.preprocessing.output_size or (None, None)
    return OnnxAdapter(
        session,
        classes=classes,
        input_shape=(height, width, 1 if config.preprocessing.mode == "L" else 3),
        layout=config.preprocessing.layout,
        head=config.head,
        score=config.score,
        micro_batch=execution.micro_batch,
        parameters=found.parameters,
        where=config.name,
    )


def open_session(path: Path, device: str, threads: int, *, where: str | None = None) -> onnxruntime.InferenceSession:
    """A session over a file that `read_onnx` has accepted.

    Parameters
    ----------
    path : Path
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
    threads : int
        Threads within an operator; operators run one after another.
    where : str, optional
        Name of the model, for errors.

    Raises
    ------
    ModelError
        ONNX Runtime cannot load the file, or the device is not there.
    """
    providers = choose_providers(device, onnxruntime.get_available_providers())
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.use_deterministic_compute = True
    options.log_severity_level = _FATAL
    try:
        session = onnxruntime.InferenceSession(path, options, providers=providers)
    except Exception as error:
        raise _refused(path, error, where) from error
    if device.startswith("cuda") and session.get_providers()[0] != _CUDA:
        raise ModelError(
            f"device '{device}' is not there: ONNX Runtime could not start on it, and fell back to the CPU",
            where=where,
            fix="use cpu, or mend the CUDA and cuDNN libraries that onnxruntime-gpu needs",
        )
    return session


def choose_providers(device: str, available: list[str]) -> list[Any]:
    """Execution providers for the device asked for; ``auto`` is CUDA where this build has it.

    Raises
    ------
    ModelError
        The device is unknown, or this build of ONNX Runtime has no CUDA.
    """
    if device == "cpu" or (device == "auto" and _CUDA not in available):
        return [_CPU]
    named = re.fullmatch(r"(?:auto|cuda(?::(\d+))?)", device)
    if named is None:
        raise ModelError(f"device '{device}' is unknown, allowed: auto, cpu, cuda, cuda:N")
    if _CUDA not in available:
        raise ModelError(
            f"device '{device}' is not there: this ONNX Runtime has {', '.join(available)}",
            fix="use cpu, or install onnxruntime-gpu in place of onnxruntime",
        )
    index = named.group(1) or "0"
    return [(_CUDA, {"device_id": index, "use_tf32": "0", "cudnn_conv_algo_search": "DEFAULT"}), _CPU]


def _refused(path: Path, error: Exception, where: str | None) -> ModelError:
    said = reason(error)
    if "is not a registered function/op" in said:
        return ModelError(
            f"'{path.name}' needs an operator that ONNX Runtime does not have: {said}",
            where=where,
            fix="export with standard operators; libraries of custom operators run code and are not loaded",
        )
    return ModelError(
        f"'{path.name}' cannot be loaded by ONNX Runtime {onnxruntime.__version__}: {said}",
        where=where,
        fix="export it again, for an opset that this version knows",
    )
