"""What a Keras file holds, found without Keras: members of the archive, classes of the configuration, HDF5 links."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from audit.errors import ModelError
from audit.models.archive import check_archive
from audit.models.conversion import in_child
from audit.models.files import ModelFile

__all__ = ["scan_keras"]

_HDF5 = (".h5", ".hdf5")
_CONFIG, _WEIGHTS = "config.json", "model.weights.h5"
_MOST_CONFIG = 2**26
_WIDTHS = ("units", "filters")
_DEEPEST = 200
_CODE = {"Lambda": "a Lambda layer", "__lambda__": "a Python lambda"}
_OUTSIDE = {
    "TFSMLayer": "runs a SavedModel that lies elsewhere",
    "TorchModuleWrapper": "unpickles a PyTorch module",
    "JaxLayer": "runs code of JAX",
    "FlaxLayer": "runs code of Flax",
}
_PARTS = "activations constraints dtype_policies initializers layers losses metrics models ops optimizers quantizers"
_OURS = frozenset(["", "random", "regularizers", *_PARTS.split()])


def scan_keras(file: ModelFile) -> str | None:
    """What code the file carries, in words, or None.

    Raises
    ------
    ModelError
        It is no whole Keras file, reaches out of itself, or uses classes that are not of Keras.
    """
    where = str(file.original)
    if file.path.suffix in _HDF5:
        seen = _look_over(file.path, file.original)
        if not seen["config"]:
            raise ModelError(
                "holds weights but no model", where=where, fix="save the whole model with model.save(PATH.keras)"
            )
        return _scan(_hdf5_config(file.path), seen["numbers"], where)
    if file.path.suffix != ".keras":
        raise ModelError(
            f"is a '{file.path.suffix}' file, allowed: .keras, {', '.join(_HDF5)}",
            where=where,
            fix="save it with model.save(PATH.keras)",
        )
    names = check_archive(file.path, file.original, "Keras model")
    if _CONFIG not in names or _WEIGHTS not in names:
        raise ModelError(
            f"is no Keras model: it holds no {_CONFIG if _CONFIG not in names else _WEIGHTS}",
            where=where,
            fix="save it with model.save(PATH.keras)",
        )
    weights = file.path.parent / "look" / _WEIGHTS
    weights.parent.mkdir()
    with zipfile.ZipFile(file.path) as archive:
        try:
            archive.extract(_WEIGHTS, weights.parent)
        except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError) as error:
            raise ModelError(f"its {_WEIGHTS} is damaged: {error}", where=where, fix="copy it again") from error
    seen = _look_over(weights, file.original)
    weights.unlink()
    return _scan(_member(file.path, _CONFIG, where), seen["numbers"], where)


def _look_over(path: Path, original: Path) -> dict[str, Any]:
    """What the confined process says of an HDF5 file that is whole and points nowhere else."""
    answer = in_child("hdf5", path, original)
    if answer.get("problem") == "link":
        raise ModelError(
            f"its HDF5 holds '{answer['said']}', a link or data kept elsewhere, allowed: datasets in the file",
            where=str(original),
            fix="save the model again; Keras writes no links",
        )
    if "problem" in answer:
        raise ModelError(
            f"is no HDF5 file, or is cut short: {answer['said']}", where=str(original), fix="copy or save it again"
        )
    return answer


def _member(path: Path, name: str, where: str) -> bytes:
    with zipfile.ZipFile(path) as archive:
        try:
            if archive.getinfo(name).file_size > _MOST_CONFIG:
                raise ModelError(f"its {name} has more than {_MOST_CONFIG:,} bytes, the most allowed", where=where)
            return archive.read(name)
        except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError) as error:
            raise ModelError(f"its {name} is damaged: {error}", where=where, fix="copy it again") from error


def _hdf5_config(path: Path) -> bytes:
    import h5py

    with h5py.File(path, "r") as file:
        found = file.attrs["model_config"]
        return found if isinstance(found, bytes) else str(found).encode()


def _scan(text: bytes, numbers: int, where: str) -> str | None:
    """What code a configuration carries; an error where it uses what is not of Keras, or more than there is."""
    try:
        config = json.loads(text)
        if isinstance(config, dict):
            config.pop("compile_config", None)  # not loaded
        found = list(_objects(config))
    except (ValueError, RecursionError) as error:
        raise ModelError(f"its configuration is no JSON, or too deep: {error}", where=where) from error
    for entry in found:
        _check_class(entry, where)
        _check_width(entry, numbers, where)
    names = [str(entry["class_name"]) for entry in found]
    return next((what for name, what in _CODE.items() if name in names), None)


def _objects(value: Any, depth: int = 0) -> Iterator[dict[str, Any]]:
    """Every object of a configuration that names a class."""
    if depth > _DEEPEST:
        raise RecursionError(f"more than {_DEEPEST} levels")
    if isinstance(value, dict):
        if "class_name" in value:
            yield value
        for inner in value.values():
            yield from _objects(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            yield from _objects(inner, depth + 1)


def _check_class(entry: dict[str, Any], where: str) -> None:
    name, module, registered = str(entry["class_name"]), entry.get("module"), entry.get("registered_name")
    if name in _OUTSIDE:
        raise ModelError(
            f"has a {name}, which {_OUTSIDE[name]}; it is not loaded, trusted or not",
            where=where,
            fix="load the model in Python and call audit.audit(model, ...)",
        )
    place = str(module or "keras")
    inner = place.removeprefix("keras").removeprefix(".src").lstrip(".").partition(".")[0]
    ours = place == "builtins" or (place.partition(".")[0] == "keras" and inner in _OURS)
    theirs = ">" in name or (registered and ">" in str(registered)) or (module is None and registered is not None)
    if not ours or theirs:
        raise ModelError(
            f"uses '{name}' of '{module or registered}', a class that this program does not have; allowed: those of "
            "Keras",
            where=where,
            fix="load the model in Python with its classes and call audit.audit(model, ...)",
        )
    vocabulary = (entry.get("config") or {}).get("vocabulary") if isinstance(entry.get("config"), dict) else None
    if isinstance(vocabulary, str):
        raise ModelError(f"has a {name} that reads the file '{vocabulary[:200]}'; it is not loaded", where=where)


def _check_width(entry: dict[str, Any], numbers: int, where: str) -> None:
    """A layer is no wider than the file has numbers: Keras would make its weights before it looks for them."""
    config = entry.get("config")
    for key in _WIDTHS:
        width = config.get(key) if isinstance(config, dict) else None
        if isinstance(width, int) and width > numbers:
            raise ModelError(
                f"has a {entry['class_name']} of {width:,} {key}, and the file holds {numbers:,} numbers in all",
                where=where,
                fix="save the model again, with its weights",
            )
