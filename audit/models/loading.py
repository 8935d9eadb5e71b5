"""From a configuration, or from an object in memory, to a model behind the seam.

Frameworks are imported by the modules that own them, when the first model needs one.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from audit.config import ExecutionConfig, ModelConfig, Preprocessing
from audit.errors import ModelError
from audit.models.adapter import ModelAdapter
from audit.models.callable_adapter import CallableAdapter
from audit.models.checks import check_layers
from audit.models.files import ModelFile, copied
from audit.models.limits import bounded_memory, loading_memory
from audit.models.numpy_adapter import NumpyAdapter, load_npz
from audit.models.user_code import import_function
from audit.trust import NOTHING, Trust

__all__ = ["load_model", "wrap_model"]

_PACKAGES = {"torch": ("torch",), "keras": ("tensorflow", "keras"), "onnx": ("onnxruntime",)}
_EXTRAS = {"torch": "torch", "tensorflow": "tensorflow", "keras": "tensorflow", "onnxruntime": "onnx"}


def load_model(
    config: ModelConfig,
    base: Path,
    classes: tuple[str, ...],
    execution: ExecutionConfig,
    trust: Trust = NOTHING,
    sha256: str | None = None,
) -> ModelAdapter:
    """Load the model that a configuration names, from a private copy of its file and with bounded memory.

    Parameters
    ----------
    config : ModelConfig
        The model's section.
    base : Path
        Folder that relative paths start from.
    classes : tuple of str
        The data's classes, used where the section lists none of its own.
    execution : ExecutionConfig
        Device, threads and micro-batch.
    trust : Trust
        What may run that comes with the model.
    sha256 : str, optional
        Digest that the file must have, as `audit.models.files.model_digest` gives it.

    Returns
    -------
    ModelAdapter

    Raises
    ------
    ModelError
        The model cannot be loaded, or is not what the section declares.
    """
    own = config.classes or classes
    if config.framework == "callable":
        return _load_callable(config, base, own, execution, trust)
    _prepare(config)
    with copied(config, base) as file:
        if file is not None and sha256 not in (None, file.sha256):
            raise ModelError(
                f"has the digest sha256:{file.sha256}, and sha256:{sha256} was expected: it changed meanwhile",
                where=str(file.original),
                fix="start again once the file is at rest",
            )
        size = file.size if file is not None else 0
        with bounded_memory(loading_memory(size)):
            return _load_file(config, base, file, own, execution, trust)


def _load_file(
    config: ModelConfig,
    base: Path,
    file: ModelFile | None,
    classes: tuple[str, ...],
    execution: ExecutionConfig,
    trust: Trust,
) -> ModelAdapter:
    if config.framework == "torch":
        from audit.models.torch_loading import load_torch

        shape = _needed_shape(config)
        return load_torch(config, base, file, classes=classes, input_shape=shape, execution=execution, trust=trust)
    if file is None:
        raise ModelError("names no file", where=config.name, fix="give it a `path:`")
    if config.framework == "numpy":
        return _load_numpy(config, file, classes, execution)
    if config.framework == "onnx":
        from audit.models.onnx_loading import load_onnx

        return load_onnx(config, file, classes=classes, execution=execution)
    from audit.models.keras_loading import load_keras

    declared = _declared_shape(config.preprocessing)
    return load_keras(config, file, classes=classes, input_shape=declared, execution=execution, trust=trust)


def wrap_model(
    model: object,
    classes: Sequence[str],
    *,
    input_shape: tuple[int, int, int] | None = None,
    head: Literal["softmax", "sigmoid"] = "softmax",
    score: Literal["auto", "logit", "probability"] = "auto",
    layer: str | None = None,
    dtype: Literal["float32", "float64"] = "float32",
    micro_batch: int = 32,
) -> ModelAdapter:
    """Put a model that is already in memory behind the seam; it is left as it was.

    Parameters
    ----------
    model : torch.nn.Module, keras.Model, ModelAdapter or callable
        An adapter is returned as it is; a function of ``(N, H, W, C)`` images has no gradients.
    classes : sequence of str
        The model's own classes in output order.
    input_shape : tuple of int, optional
        ``(H, W, C)``; needed for PyTorch and functions, and for Keras where the model does not fix it.
    head : str
        ``softmax`` or ``sigmoid``.
    score : str
        What the last layer gives: ``logit``, ``probability``, or ``auto`` to find out.
    layer : str, optional
        Layer of Grad-CAM; found when left out.
    dtype : str
        ``float64`` works on a copy of the model in double precision.
    micro_batch : int
        Images that pass through the model at once.

    Returns
    -------
    ModelAdapter

    Raises
    ------
    ModelError
        The object is no model of a known framework, or is not what is declared.
    """
    if isinstance(model, ModelAdapter):
        return model
    torch = sys.modules.get("torch")  # whoever holds a module has imported its framework
    if torch is not None and isinstance(model, torch.nn.Module):
        if input_shape is None:
            raise ModelError("a PyTorch module does not say its image size", fix="give input_shape=(H, W, C)")
        from audit.models.torch_adapter import TorchAdapter

        return TorchAdapter(
            model,
            classes=classes,
            input_shape=input_shape,
            head=head,
            score=score,
            layer=layer,
            dtype=dtype,
            micro_batch=micro_batch,
        )
    keras = sys.modules.get("keras")
    if keras is not None and isinstance(model, keras.Model):
        from audit.models.keras_adapter import KerasAdapter

        return KerasAdapter(
            model,
            classes=classes,
            input_shape=input_shape,
            head=head,
            score=score,
            layer=layer,
            dtype=dtype,
            micro_batch=micro_batch,
        )
    if callable(model):
        if input_shape is None:
            raise ModelError("a function does not say its image size", fix="give input_shape=(H, W, C)")
        return CallableAdapter(
            model,
            classes=classes,
            input_shape=input_shape,
            head=head,
            score=score,
            micro_batch=micro_batch,
        )
    kind = f"{type(model).__module__}.{type(model).__name__}"
    raise ModelError(
        f"{kind} is no model that can be audited, allowed: torch.nn.Module, keras.Model, a function of images"
    )


def _load_numpy(
    config: ModelConfig, file: ModelFile, classes: tuple[str, ...], execution: ExecutionConfig
) -> NumpyAdapter:
    weights, stored = load_npz(file.path, file.original)
    shape = stored or _declared_shape(config.preprocessing)
    if shape is None:
        raise ModelError(
            "needs one image size",
            where=config.name,
            fix="store input_shape, or give preprocessing a `size:`",
        )
    check_shape(shape, _declared_shape(config.preprocessing), where=config.name)
    adapter = NumpyAdapter(weights, shape, classes, head=config.head, micro_batch=execution.micro_batch)
    if config.layer is not None:
        check_layers([config.layer], adapter.layers(), where=config.name)
    return adapter


def _load_callable(
    config: ModelConfig, base: Path, classes: tuple[str, ...], execution: ExecutionConfig, trust: Trust
) -> ModelAdapter:
    name = config.function or ""
    return CallableAdapter(
        import_function("function", name, base, trust_code=trust.code, where=config.name),
        classes=classes,
        input_shape=_needed_shape(config),
        layout=config.preprocessing.layout,
        head=config.head,
        score=config.score,
        micro_batch=execution.micro_batch,
        where=config.name,
    )


def check_shape(shape: tuple[int, int, int], declared: tuple[int, int, int] | None, *, where: str | None) -> None:
    """The model's image shape is the one that preprocessing makes, or a clear error."""
    if declared is not None and declared != shape:
        raise ModelError(
            f"takes images of {shape[0]} x {shape[1]} x {shape[2]}, preprocessing makes "
            f"{declared[0]} x {declared[1]} x {declared[2]}",
            where=where,
            fix="correct `size:`, `crop:` or `mode:` of the model's preprocessing",
        )


def _declared_shape(preprocessing: Preprocessing) -> tuple[int, int, int] | None:
    size = preprocessing.output_size
    if size is None:
        return None
    return (size[0], size[1], 1 if preprocessing.mode == "L" else 3)


def _needed_shape(config: ModelConfig) -> tuple[int, int, int]:
    shape = _declared_shape(config.preprocessing)
    if shape is None:
        raise ModelError("needs one image size", where=config.name, fix="give preprocessing a `size:` or a `crop:`")
    return shape


def _need(package: str, where: str) -> None:
    from importlib.util import find_spec

    if find_spec(package) is None:
        extra = _EXTRAS[package]
        raise ModelError(f"needs {package}, which is not installed", where=where, fix=f"pip install 'faircam[{extra}]'")


def _prepare(config: ModelConfig) -> None:
    """The framework is there, and imported before the limit on memory counts."""
    for package in _PACKAGES.get(config.framework, ()):
        _need(package, config.name)
    if config.framework == "keras":
        if "keras" not in sys.modules:
            os.environ["KERAS_BACKEND"] = "tensorflow"
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    for package in _PACKAGES.get(config.framework, ()):
        importlib.import_module(package)
