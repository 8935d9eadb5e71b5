"""PyTorch models from a configuration: known architectures, weights that cannot run code.

A user's own code is imported only where it was trusted, with its folder at the end of the path.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import torch
from torch import nn

from audit.config import ExecutionConfig, ModelConfig
from audit.errors import ModelError, nearest
from audit.models.files import ModelFile
from audit.models.torch_adapter import TorchAdapter
from audit.models.torch_files import read_module, read_weights
from audit.models.user_code import import_function
from audit.trust import Trust

__all__ = ["choose_device", "load_torch"]


def load_torch(
    config: ModelConfig,
    base: Path,
    file: ModelFile | None,
    *,
    classes: tuple[str, ...],
    input_shape: tuple[int, int, int],
    execution: ExecutionConfig,
    trust: Trust,
) -> TorchAdapter:
    """Build the architecture and load its weights, or load a trusted module whole; put it behind the seam.

    Raises
    ------
    ModelError
        The architecture is unknown or not trusted, weights are missing, unsafe or do not fit, the
        layer does not exist, the device is not there.
    """
    torch.set_num_threads(execution.threads)
    device = choose_device(execution.device)
    if file is not None and config.path is not None:
        module = read_module(file, base, trust)
    else:
        module = build_module(config, base, trust_code=trust.code)
        if file is not None:
            fit(module, read_weights(file), where=str(config.weights))
    return TorchAdapter(
        module.to(device),
        classes=classes,
        input_shape=input_shape,
        head=config.head,
        score=config.score,
        layer=config.layer,
        micro_batch=execution.micro_batch,
        where=config.name,
    )


def choose_device(wanted: str) -> torch.device:
    """The device asked for; ``auto`` is CUDA where there is one.

    Raises
    ------
    ModelError
        No such device.
    """
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise ModelError(f"device '{wanted}' is unknown, allowed: auto, cpu, cuda, cuda:N") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise ModelError(f"device '{wanted}' is not there: PyTorch sees {count} CUDA devices", fix="use cpu")
    return device


def build_module(config: ModelConfig, base: Path, *, trust_code: bool) -> nn.Module:
    """The architecture that the configuration names, with the weights it starts with."""
    name = config.architecture or ""
    if ":" in name and not name.startswith("torchvision:"):
        return _from_factory(config, base, trust_code=trust_code)
    if config.weights is None:
        raise ModelError(
            f"has the architecture '{name}' but no weights; an untrained network would be audited",
            where=config.name,
            fix="name a .safetensors file or a state dict under `weights:`",
        )
    if name.startswith("torchvision:"):
        return _from_torchvision(config, name.removeprefix("torchvision:"))
    networks = importlib.import_module("audit.models.torch_networks")
    if name not in networks.REGISTRY:
        known = [*networks.REGISTRY, "torchvision:resnet18"]
        raise ModelError(
            f"architecture '{name}' is unknown, allowed: {', '.join(networks.REGISTRY)}, torchvision:NAME, "
            f"your.module:factory with --trust-code.{nearest(name, known)}",
            where=config.name,
        )
    return _call(networks.build, config, name)


def _from_torchvision(config: ModelConfig, name: str) -> nn.Module:
    try:
        from torchvision import models
    except ImportError as error:
        raise ModelError(
            "needs torchvision, which is not installed", where=config.name, fix="pip install 'faircam[torch]'"
        ) from error
    known = models.list_models(module=models)
    if name not in known:
        raise ModelError(f"torchvision has no classification model '{name}'.{nearest(name, known)}", where=config.name)
    return _call(models.get_model, config, name, weights=None)


def _from_factory(config: ModelConfig, base: Path, *, trust_code: bool) -> nn.Module:
    factory = import_function("architecture", config.architecture or "", base, trust_code=trust_code, where=config.name)
    return _call(factory, config)


def _call(factory: Any, config: ModelConfig, *args: Any, **fixed: Any) -> nn.Module:
    try:
        module = factory(*args, **fixed, **config.arguments)
    except Exception as error:
        raise ModelError(
            f"'{config.architecture}' cannot be built with the arguments {config.arguments}: {error}",
            where=config.name,
            fix="correct `arguments:`",
        ) from error
    if not isinstance(module, nn.Module):
        raise ModelError(
            f"'{config.architecture}' gave a {type(module).__name__}, not a torch.nn.Module",
            where=config.name,
        )
    return module


def fit(module: nn.Module, weights: dict[str, torch.Tensor], *, where: str) -> None:
    """Load the weights, or say in one error everything that does not fit."""
    expected = module.state_dict()
    missing = [key for key in expected if key not in weights]
    unexpected = [key for key in weights if key not in expected]
    shaped = [
        f"{key} is {tuple(weights[key].shape)}, expected {tuple(value.shape)}"
        for key, value in expected.items()
        if key in weights and weights[key].shape != value.shape
    ]
    problems = [
        f"{label}: {_listed(keys)}"
        for label, keys in (("missing", missing), ("unexpected", unexpected), ("of another shape", shaped))
        if keys
    ]
    if problems:
        raise ModelError(
            "weights do not fit the architecture; " + "; ".join(problems),
            where=where,
            fix="correct `architecture:` or its `arguments:` (such as num_classes, input_shape)",
        )
    module.load_state_dict(weights)


def _listed(keys: list[str], most: int = 6) -> str:
    rest = f" and {len(keys) - most} more" if len(keys) > most else ""
    return ", ".join(keys[:most]) + rest
