"""A dataset of torchvision as a table and a store of images. It reads what is there and downloads nothing."""

from __future__ import annotations

import difflib
import importlib
import inspect
import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from audit.config import DataConfig
from audit.config_data import TorchvisionConfig
from audit.data.images import upright
from audit.data.stores import ImageProblem, numbered
from audit.errors import ConfigError, DataError, nearest

__all__ = ["TorchvisionStore", "open_torchvision"]

_WHERE = "data.torchvision"
_NOT_TO_SAY = ("root", "download", "transform", "target_transform", "transforms", "loader", "is_valid_file")
_FAILURES = (OSError, ValueError, SyntaxError, RuntimeError, LookupError, EOFError, TypeError)


@dataclass(frozen=True)
class TorchvisionStore:
    """Images of a dataset of torchvision, by their place in it.

    Attributes
    ----------
    dataset : torchvision.datasets.VisionDataset
        Gives pairs of a picture and a target.
    """

    dataset: Any

    def has(self, path: str) -> bool:
        """Whether there is such a place."""
        return path.isdecimal() and int(path) < len(self.dataset)

    def read(self, path: str) -> bytes:
        """One picture, upright and in RGB, as PPM: lossless, and the same bytes whatever library compresses."""
        if not self.has(path):
            raise ImageProblem("missing", "no such place in the dataset")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                picture = self.dataset[int(path)][0]
        except Image.DecompressionBombError as error:
            raise ImageProblem("too_large", str(error)) from error
        except _FAILURES as error:
            raise ImageProblem("unreadable", f"torchvision says: {error}") from error
        if not isinstance(picture, Image.Image):
            raise ImageProblem("unsupported", f"the dataset gives {type(picture).__name__}, not a picture")
        written = io.BytesIO()
        upright(picture).save(written, format="PPM")
        return written.getvalue()


def open_torchvision(config: DataConfig, base: Path) -> tuple[pd.DataFrame, TorchvisionStore]:
    """Open the dataset that ``data.torchvision`` names.

    Parameters
    ----------
    config : DataConfig
    base : Path
        Folder that its root is relative to.

    Returns
    -------
    table : DataFrame
        The image column with the store's names; the label column, and where the dataset has them a column an attribute
        (CelebA's ``attr_names``).
    store : TorchvisionStore

    Raises
    ------
    ConfigError
        No such class, or an argument that it does not take or that is not for a config.
    DataError
        The files are not there, or the targets are not one class an image.
    ModuleNotFoundError
        torchvision is not installed.
    """
    assert config.torchvision is not None  # noqa: S101 - by the validator of DataConfig
    dataset = _made(config.torchvision, base, config.source)
    table = pd.DataFrame({config.image: numbered(len(dataset))})
    attributes = _attributes(dataset)
    table = table.assign(**{name: values for name, values in attributes.items() if name != config.image})
    if config.label not in table:
        table[config.label] = pd.Series(_labels(dataset, config.source), dtype=object)
    return table, TorchvisionStore(dataset)


def _made(config: TorchvisionConfig, base: Path, where: str) -> Any:
    """The dataset, made without a download."""
    kind = _kind(config.name)
    taken = inspect.signature(kind).parameters
    allowed = [name for name, what in taken.items() if name not in _NOT_TO_SAY and what.kind is not what.VAR_KEYWORD]
    for name in config.arguments:
        if name not in allowed:
            reason = "cannot be said in a config" if name in _NOT_TO_SAY else f"is none of {config.name}'s"
            raise ConfigError(
                f"argument '{name}' {reason}; allowed: {', '.join(allowed)}.{nearest(name, allowed)}",
                where=f"{_WHERE}.arguments",
            )
    if ("root" in taken) != (config.root is not None):
        said = "needs a root" if config.root is None else "takes no root"
        raise ConfigError(f"'{config.name}' {said}", where=_WHERE)
    fixed: dict[str, Any] = {} if config.root is None else {"root": str(base / config.root)}
    fixed |= {"download": False} if "download" in taken else {}
    try:
        return kind(**fixed, **config.arguments)
    except _FAILURES as error:
        text = " ".join(str(error).replace(" You can use download=True to download it", "").split())
        raise DataError(
            f"torchvision cannot open it: {text}",
            where=where,
            fix="check data.torchvision.root and arguments; nothing is downloaded",
        ) from error


def _kind(name: str) -> Any:
    """Class of torchvision by its name."""
    library = importlib.import_module("torchvision.datasets")
    base = library.VisionDataset
    kinds = [
        key
        for key in library.__all__
        if inspect.isclass(getattr(library, key)) and issubclass(getattr(library, key), base) and key != "VisionDataset"
    ]
    if name not in kinds:
        close = difflib.get_close_matches(name.upper(), [key.upper() for key in kinds], n=1)
        meant = [key for key in kinds if key.upper() in close]
        said = f" Did you mean '{meant[0]}'?" if meant else ""
        raise ConfigError(f"torchvision.datasets has no dataset '{name}'.{said}", where=f"{_WHERE}.name")
    return getattr(library, name)


def _attributes(dataset: Any) -> dict[str, list[str]]:
    """Columns of a dataset that has a table of attributes, as CelebA."""
    names, values = getattr(dataset, "attr_names", None), getattr(dataset, "attr", None)
    if names is None or values is None or len(values) != len(dataset):
        return {}
    return {name: [str(int(value)) for value in values[:, place]] for place, name in enumerate(names) if name}


def _labels(dataset: Any, where: str) -> list[str | None]:
    """Label of every image, by name where the dataset names its classes; None where it has none."""
    targets = _targets(dataset, where)
    names = getattr(dataset, "classes", None)
    labels: list[str | None] = []
    for place, target in enumerate(targets):
        code = _whole(target)
        if code is None:
            raise DataError(
                f"image {place:06d}: its target is {type(target).__name__}, allowed: the number of one class",
                where=where,
                fix="choose a dataset, or arguments such as target_type, that give one class an image",
            )
        named = isinstance(names, Sequence) and 0 <= code < len(names) and isinstance(names[code], str)
        labels.append(None if code < 0 else str(names[code]) if named and names is not None else str(code))
    return labels


def _targets(dataset: Any, where: str) -> Sequence[Any]:
    """Targets without reading a picture, where the dataset lists them; else one by one."""
    for name in ("targets", "labels", "_labels"):
        listed = getattr(dataset, name, None)
        if listed is not None and getattr(listed, "ndim", 1) == 1 and len(listed) == len(dataset):
            return list(listed)
    targets = []
    for place in range(len(dataset)):
        try:
            targets.append(dataset[place][1])
        except _FAILURES as error:
            raise DataError(f"image {place:06d} cannot be read, nor its target: {error}", where=where) from error
    return targets


def _whole(target: Any) -> int | None:
    """A target as a whole number: an int, or an array or tensor of one; None for anything else."""
    if hasattr(target, "item") and getattr(target, "ndim", 0) == 0:
        target = target.item()
    return target if isinstance(target, int) and not isinstance(target, bool) else None
