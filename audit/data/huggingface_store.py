"""A local dataset of the package `datasets` as a table and a store of images. Nothing is asked of any network.

A picture is taken as the encoded bytes that the dataset holds; where it holds a path, the file must lie below the
dataset's folder.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from audit.config import DataConfig
from audit.data.stores import ImageProblem, folder_bytes, numbered
from audit.errors import DataError, nearest

__all__ = ["HuggingFaceStore", "open_huggingface"]

_SPLIT = "split"
_SAVED = ("dataset_info.json", "dataset_dict.json")
_PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")


@dataclass(frozen=True)
class HuggingFaceStore:
    """Images of a dataset of `datasets`, by ``ROW`` or ``SPLIT/ROW``.

    Attributes
    ----------
    parts : mapping of str to datasets.Dataset
        Each with the image column alone, not decoded; a dataset without splits is under the empty name.
    column : str
    folder : Path
        That files named by the dataset must lie in.
    """

    parts: Mapping[str, Any]
    column: str
    folder: Path

    def has(self, path: str) -> bool:
        """Whether there is such a row."""
        split, _, row = path.rpartition("/")
        return split in self.parts and row.isdecimal() and int(row) < len(self.parts[split])

    def read(self, path: str) -> bytes:
        """Encoded bytes of the image of one row, as the dataset holds them."""
        if not self.has(path):
            raise ImageProblem("missing", "no such row")
        split, _, row = path.rpartition("/")
        cell = self.parts[split][int(row)][self.column]
        if cell is None:
            raise ImageProblem("missing", "the cell is empty")
        if cell["bytes"] is not None:
            return bytes(cell["bytes"])
        if not cell["path"]:
            raise ImageProblem("missing", "the cell is empty")
        if "://" in cell["path"]:
            raise ImageProblem("outside_root", "the dataset names an address, and nothing is downloaded")
        return folder_bytes(self.folder, cell["path"])


def open_huggingface(config: DataConfig, base: Path) -> tuple[pd.DataFrame, HuggingFaceStore]:
    """Open the dataset that ``data.huggingface`` names.

    Parameters
    ----------
    config : DataConfig
    base : Path
        Folder that the configured path is relative to.

    Returns
    -------
    table : DataFrame
        Scalar columns, classes by name, with the image column replaced by the store's names; column `split` where
        there are several parts.
    store : HuggingFaceStore

    Raises
    ------
    DataError
        It is not there, no such dataset, or has no image column of that name.
    ModuleNotFoundError
        `datasets` is not installed.
    """
    path = base / str(config.huggingface)
    where = config.source
    parts = _parts(path, where)
    tables = []
    stored = {}
    for split, part in parts.items():
        stored[split] = _images(part, config.image, where)
        table = _scalars(part, config, where)
        names = numbered(len(part))
        table = table.assign(**{config.image: f"{split}/" + names if split else names})
        tables.append(table.assign(**{_SPLIT: split}) if split else table)
    folder = path if path.is_dir() else path.parent
    return pd.concat(tables, ignore_index=True), HuggingFaceStore(stored, config.image, folder)


def _parts(path: Path, where: str) -> dict[str, Any]:
    """Datasets by the name of their split; under the empty name where there are no splits."""
    library = importlib.import_module("datasets")
    failures = (OSError, ValueError, KeyError, TypeError, pa.ArrowException, library.exceptions.DatasetsError)
    if not path.exists():
        raise DataError("no such file or folder", where=where, fix="check data.huggingface; nothing is downloaded")
    try:
        with _quiet_and_offline(library):
            found = _load(library, path, where)
    except failures as error:
        raise DataError(f"`datasets` cannot read it: {' '.join(str(error).split())}", where=where) from error
    if not isinstance(found, dict):
        return {"": found}
    for split, part in found.items():
        if _SPLIT in part.column_names:
            raise DataError(
                f"has parts {', '.join(found)} and a column '{_SPLIT}' of its own",
                where=where,
                fix=f"name one part, as {where}/{split}, or rename the column",
            )
    return dict(found)


def _load(library: Any, path: Path, where: str) -> Any:
    """A saved dataset, a Parquet file, or a folder of Parquet files or of images; loading runs no code of the data."""
    if any((path / name).is_file() for name in _SAVED):
        return library.load_from_disk(str(path))
    if path.is_file():
        if path.suffix.lower() not in (".parquet", ".pq"):
            raise DataError(f"is a '{path.suffix}' file, allowed: .parquet", where=where)
        return library.load_dataset("parquet", data_files=str(path), split="train")
    kinds = {file.suffix.lower() for file in path.rglob("*") if file.is_file()}
    if ".parquet" in kinds:
        return library.load_dataset("parquet", data_dir=str(path))
    if kinds & set(_PICTURES):
        return library.load_dataset("imagefolder", data_dir=str(path))
    raise DataError(
        "holds no saved dataset, no Parquet file and no image",
        where=where,
        fix="name the folder that `Dataset.save_to_disk` wrote",
    )


@contextmanager
def _quiet_and_offline(library: Any) -> Iterator[None]:
    """No progress bar on the terminal and no request to the Hub, whatever the environment says."""
    hub: Any = importlib.import_module("huggingface_hub.constants")
    before = library.config.HF_HUB_OFFLINE, hub.HF_HUB_OFFLINE, library.is_progress_bar_enabled()
    library.config.HF_HUB_OFFLINE = hub.HF_HUB_OFFLINE = True
    library.disable_progress_bars()
    try:
        yield
    finally:
        library.config.HF_HUB_OFFLINE, hub.HF_HUB_OFFLINE = before[:2]
        if before[2]:
            library.enable_progress_bars()


def _images(part: Any, column: str, where: str) -> Any:
    """The image column alone, as bytes and path."""
    library = importlib.import_module("datasets")
    kinds = part.features
    if column not in kinds:
        pictures = [name for name, kind in kinds.items() if isinstance(kind, library.Image)]
        said = f"; of images are {', '.join(pictures)}" if pictures else ""
        raise DataError(
            f"no column '{column}'; there are {', '.join(kinds)}{said}.{nearest(column, kinds)}",
            where=where,
            fix="say with data.image which column holds the images",
        )
    try:
        return part.select_columns([column]).cast_column(column, library.Image(decode=False))
    except (TypeError, ValueError, pa.ArrowException) as error:
        raise DataError(
            f"column '{column}' holds {kinds[column]}, allowed: images, their encoded bytes or their paths", where=where
        ) from error


def _scalars(part: Any, config: DataConfig, where: str) -> pd.DataFrame:
    """Columns of one value a row, and what else the config names; numbers of classes become their names."""
    library = importlib.import_module("datasets")
    named = {config.label, config.id, config.cluster, *(attribute.column for attribute in config.groups)}
    named |= {config.split.column if config.split else None}
    kept = [
        name
        for name, kind in part.features.items()
        if name != config.image and (name in named or isinstance(kind, library.Value | library.ClassLabel))
    ]
    if config.regions is not None and isinstance(part.features.get(config.regions.column), library.Image):
        raise DataError(
            f"column '{config.regions.column}' holds images; region maps are read from PNG files",
            where=where,
            fix="write them below data.root and give a column with their paths, in data.attributes_table say",
        )
    if not kept:
        return pd.DataFrame(index=range(len(part)))
    table: pd.DataFrame = part.select_columns(kept).with_format("arrow")[:].to_pandas(ignore_metadata=True)
    for name in kept:
        kind = part.features[name]
        if isinstance(kind, library.ClassLabel):
            table[name] = [_class(kind, code) for code in table[name]]
    return table


def _class(kind: Any, code: Any) -> str | None:
    """Name of a class; None where the dataset has no label, by its custom -1."""
    return None if pd.isna(code) or code < 0 else str(kind.int2str(int(code)))
