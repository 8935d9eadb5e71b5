"""What PyTorch reads from files: tensors by name, without running code, or a whole module whose digest is trusted."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import torch
from torch import nn

from audit.errors import ModelError
from audit.models.archive import check_archive
from audit.models.conversion import CONVERTED, in_child
from audit.models.files import ModelFile
from audit.trust import Trust

__all__ = ["read_module", "read_weights"]

_PICKLES = (".pt", ".pth", ".bin", ".ckpt")
_STATE_DICT = "save only the weights: torch.save(model.state_dict(), PATH), or use safetensors"


def read_weights(file: ModelFile) -> dict[str, torch.Tensor]:
    """Tensors by name from safetensors, or from a state dict that a confined process makes into safetensors.

    Raises
    ------
    ModelError
        The file is broken, of another kind, or holds pickled objects.
    """
    path, where = file.path, str(file.original)
    if path.suffix == ".safetensors":
        return _read_safetensors(path, where)
    _refuse_others(file, (".safetensors", *_PICKLES))
    answer = in_child("torch", path, file.original)
    match answer:
        case {"tensors": _}:
            return _unwrapped(_read_safetensors(path.parent / CONVERTED, where))
        case {"problem": "no state dict"}:
            raise ModelError(
                "is no state dict: it must map names to tensors",
                where=where,
                fix="torch.save(model.state_dict(), PATH)",
            )
        case _:
            raise ModelError(
                "holds more than tensors (such as a whole pickled model, which runs code when loaded) or is broken, "
                f"and was not loaded: {answer.get('said')}",
                where=where,
                fix=f"{_STATE_DICT}; a whole model goes under `path:`, with --trust-model",
            )


def read_module(file: ModelFile, base: Path, trust: Trust) -> nn.Module:
    """A whole pickled module, whose digest must be trusted.

    Parameters
    ----------
    file : ModelFile
    base : Path
        Folder that the module's classes may lie in, where the configuration's code is trusted as well.
    trust : Trust

    Raises
    ------
    ModelError
        It is not trusted, broken, or of another kind.
    """
    where = str(file.original)
    _refuse_others(file, _PICKLES)
    file.admit(trust, "is a pickled object", f"{_STATE_DICT}, and name its `architecture:`")
    if trust.code and str(base) not in sys.path:
        sys.path.append(str(base))  # at the end: it must not shadow installed packages
    try:
        module = torch.load(file.path, map_location="cpu", weights_only=False)
    except ModuleNotFoundError as error:
        raise ModelError(
            f"needs the module '{error.name}', which is not installed",
            where=where,
            fix=f"with --trust-code it is looked for in {base} as well",
        ) from error
    except Exception as error:  # whatever unpickling ends in
        raise ModelError(f"cannot be loaded: {type(error).__name__}: {str(error)[:300]}", where=where) from error
    if not isinstance(module, nn.Module):
        raise ModelError(
            f"holds a {type(module).__name__}, not a torch.nn.Module",
            where=where,
            fix="name a state dict under `weights:`, with its `architecture:`",
        )
    return module


def _refuse_others(file: ModelFile, allowed: tuple[str, ...]) -> None:
    """Formats that nothing here can load and hook, and archives that are not what they seem."""
    path, where = file.path, str(file.original)
    if path.suffix not in (*allowed, ".pt2"):
        raise ModelError(f"is a '{path.suffix}' file, allowed: {', '.join(allowed)}", where=where)
    names = check_archive(path, file.original, "PyTorch archive") if zipfile.is_zipfile(path) else []
    inner = {name.partition("/")[2] for name in names}
    kind = None
    if path.suffix == ".pt2" or "archive_format" in inner:
        kind = "a program of torch.export"
    elif "constants.pkl" in inner or any(name.startswith("code/") for name in inner):
        kind = "TorchScript"
    if kind is not None:
        raise ModelError(
            f"is {kind}, which is code and has no layers that can be hooked; it is not loaded, trusted or not",
            where=where,
            fix=f"{_STATE_DICT}; or export the model to ONNX, which is audited as a black box",
        )


def _read_safetensors(path: Path, where: str) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(path))
    except (SafetensorError, OSError, ValueError, KeyError, RuntimeError) as error:
        raise ModelError(
            f"is no safetensors file: {str(error)[:300]}", where=where, fix="save it again with safetensors.torch"
        ) from error


def _unwrapped(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Without the prefix that DataParallel puts before every name."""
    if tensors and all(key.startswith("module.") for key in tensors):
        return {key.removeprefix("module."): value for key, value in tensors.items()}
    return tensors
