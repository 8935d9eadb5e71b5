"""From a manifest, a folder or another library's dataset to one checked table of images, labels, groups and clusters.

No pixel is read here; paths are resolved inside the declared root and looked for. How the other libraries are opened
is in `huggingface_store` and `torchvision_store`.
"""

from __future__ import annotations

import hashlib
import tempfile
import warnings
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from audit.config import AttributeConfig, DataConfig, SplitConfig
from audit.data.stores import ImageStore
from audit.errors import DataError, nearest
from audit.run.files import LONGEST_NAME, canonical_json

__all__ = ["MISSING", "Dataset", "fingerprint", "load_dataset", "text_array"]

MISSING = "(missing)"
"""The visible group of images whose attribute is not known."""

_MAPPED_FROM = 50_000

_IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff"})


@dataclass(frozen=True)
class Dataset:
    """Images of an audit or a training, not yet read.

    Attributes
    ----------
    rows : DataFrame
        `image_id`, `path` (relative to `root`), `label`, `split`, `cluster`, `region_path` and a
        column ``attr_NAME`` an attribute; strings, missing where there is nothing. Index 0 to N - 1.
    classes : tuple of str
        Distinct labels, sorted.
    root : Path
        Folder that every path lies in; with a store only the paths of region maps.
    attributes : tuple of AttributeConfig
    fingerprint : str
        SHA-256 over the rows, by `fingerprint`.
    store : ImageStore or None
        What keeps the images where they are not files below `root`; `path` is then its name of each.
    """

    rows: pd.DataFrame
    classes: tuple[str, ...]
    root: Path
    attributes: tuple[AttributeConfig, ...]
    fingerprint: str
    store: ImageStore | None = None

    @property
    def place(self) -> Path | ImageStore:
        """Where the images are: what `audit.data.images.decode` reads from."""
        return self.root if self.store is None else self.store

    def path(self, position: int) -> str:
        """Path of one image."""
        return str(self._paths[position])

    @cached_property
    def _paths(self) -> pa.Array:
        return text_array(self.rows["path"])

    def __len__(self) -> int:
        return len(self.rows)


def load_dataset(config: DataConfig, base: Path) -> Dataset:
    """Read and check the images' table.

    Parameters
    ----------
    config : DataConfig
        The `data` section.
    base : Path
        Folder that the configured paths are relative to.

    Returns
    -------
    Dataset

    Raises
    ------
    DataError
        A file or column is missing, a label is empty, an id stands twice, a path leaves the root,
        an attribute cannot be binned, or no row is left.
    """
    where = config.source
    table, root, store = _opened(config, base)
    if config.split is not None:
        table = _keep(table, config.split, where)
    if table.empty:
        raise DataError("holds no images", where=where, fix="check the file and data.split.keep")
    rows = pd.DataFrame(index=table.index)
    rows["path"] = _paths(table, config.image, where)
    rows["image_id"] = _ids(table, config, rows["path"], where)
    rows["label"] = _labels(table, config.label, where)
    nothing = pd.Series(None, index=table.index, dtype="str")
    rows["split"] = _text(table, config.split.column) if config.split else nothing
    rows["cluster"] = _clusters(table, config.cluster, where) if config.cluster else nothing
    for attribute in config.groups:
        rows[f"attr_{attribute.name}"] = _groups(table, attribute, where)
    rows["region_path"] = _paths(table, config.regions.column, where) if config.regions else nothing
    rows = rows.reset_index(drop=True)
    classes = tuple(sorted(rows["label"].unique()))
    kept = Dataset(_mapped(rows), classes, root, config.groups, fingerprint(rows), store)
    del table, rows
    pa.default_memory_pool().release_unused()  # checking held several times what is kept
    return kept


def _mapped(rows: pd.DataFrame) -> pd.DataFrame:
    """A large table in a mapped file that is gone with the process, so that memory does not grow with the data."""
    if len(rows) < _MAPPED_FROM:
        return rows
    table = pa.table({name: text_array(rows[name]) for name in rows})
    with tempfile.NamedTemporaryFile(prefix="faircam-", suffix=".arrow") as file:
        with pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table, max_chunksize=len(table))
        file.flush()
        found: pd.DataFrame = pa.ipc.open_file(pa.memory_map(file.name)).read_all().to_pandas()
    return found


def fingerprint(rows: pd.DataFrame) -> str:
    """SHA-256 over a table of strings: of each column its name, the lengths (-1 where one is missing) and the text."""
    digest = hashlib.sha256()
    for name in rows.columns:
        column = text_array(rows[name])
        lengths = pc.fill_null(pc.binary_length(column), -1).to_numpy()
        digest.update(canonical_json([str(name), len(column)]))
        digest.update(lengths.astype("<i8").tobytes())
        filled = pc.fill_null(column, "")
        _, places, text = filled.buffers()
        first, last = np.frombuffer(places, "<i8")[[filled.offset, filled.offset + len(filled)]]
        digest.update(memoryview(text)[first:last] if text is not None else b"")
    return digest.hexdigest()


def text_array(values: pd.Series[Any]) -> pa.Array:
    """A column of strings in one piece, which gives single cells quickly and holds a million in little memory."""
    found = pa.array(values, pa.large_string(), from_pandas=True)
    return found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found


def _opened(config: DataConfig, base: Path) -> tuple[pd.DataFrame, Path, ImageStore | None]:
    """The source's own table, the folder of the paths in it, and what keeps the images."""
    if config.manifest is not None:
        return *_from_manifest(config, base), None
    if config.image_folder is not None:
        table, root = _from_folder(config, base)
        return _joined(table, config, base), root, None
    store: ImageStore
    if config.huggingface is not None:
        from audit.data.huggingface_store import open_huggingface

        table, store = open_huggingface(config, base)
    else:
        from audit.data.torchvision_store import open_torchvision

        table, store = open_torchvision(config, base)
    return _joined(table, config, base), base / (config.root or ""), store


def _from_manifest(config: DataConfig, base: Path) -> tuple[pd.DataFrame, Path]:
    path = base / str(config.manifest)
    root = base / config.root if config.root else path.parent
    return _read_table(path), root


def _from_folder(config: DataConfig, base: Path) -> tuple[pd.DataFrame, Path]:
    """One folder a class."""
    root = base / str(config.image_folder)
    if not root.is_dir():
        raise DataError("is not a folder", where=str(config.image_folder), fix="check data.image_folder")
    files = sorted(file for file in root.glob("*/*") if file.suffix.lower() in _IMAGE_SUFFIXES)
    table = pd.DataFrame(
        {
            config.image: [file.relative_to(root).as_posix() for file in files],
            config.label: [file.parent.name for file in files],
        },
        dtype="str",
    )
    return table, root


def _joined(table: pd.DataFrame, config: DataConfig, base: Path) -> pd.DataFrame:
    """A table with that of the attributes joined on its column `image`."""
    if config.attributes_table is None:
        return table
    attributes = _read_table(base / config.attributes_table)
    where = config.attributes_table
    _need(attributes, config.image, where)
    _unique(attributes[config.image], where, config.image)
    unknown = set(attributes[config.image]) - set(table[config.image])
    if unknown:
        raise DataError(
            f"names {len(unknown)} images that {config.source} does not hold, such as '{min(unknown)}'", where=where
        )
    own = [name for name in table.columns if name != config.image]
    return table.merge(attributes.drop(columns=own, errors="ignore"), on=config.image, how="left")


def _read_table(path: Path) -> pd.DataFrame:
    """A CSV as strings exactly as written, a Parquet file with its own types."""
    if not path.is_file():
        raise DataError("no such file", where=str(path), fix="check the path in the config")
    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            return _read_parquet(path)
        return _read_csv(path)
    except pd.errors.EmptyDataError as error:
        raise DataError("is empty", where=str(path)) from error
    except (ValueError, OSError, pa.ArrowException) as error:
        raise DataError(f"cannot be read as a table: {' '.join(str(error).split())}", where=str(path)) from error


def _read_parquet(path: Path) -> pd.DataFrame:
    """Columns by their own types; what pandas or another program has noted beside them is not followed."""
    table = pq.read_table(path)
    extended = [field.name for field in table.schema if isinstance(field.type, pa.BaseExtensionType)]
    if extended:
        raise DataError(
            f"column '{extended[0]}' is of the extension type {table.schema.field(extended[0]).type}",
            where=str(path),
            fix="store plain strings and numbers",
        )
    frame: pd.DataFrame = table.to_pandas(ignore_metadata=True)
    return frame


def _read_csv(path: Path) -> pd.DataFrame:
    """Strings exactly as written; rows longer than the head are an error, not shifted or cut."""
    options: dict[str, Any] = {"dtype": "str", "keep_default_na": False, "na_values": [""], "encoding": "utf-8-sig"}
    heads = pd.read_csv(path, header=None, nrows=1, **options).iloc[0].dropna()
    twice = heads[heads.duplicated()]
    if len(twice):
        raise DataError(f"has more than one column '{twice.iloc[0]}'", where=str(path), fix="name each column once")
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        try:
            table: pd.DataFrame = pd.read_csv(path, index_col=False, **options)
        except pd.errors.ParserWarning as warning:
            raise ValueError(str(warning)) from warning
    return table


def _need(table: pd.DataFrame, column: str, where: str) -> pd.Series[str]:
    if column not in table.columns:
        allowed = [str(name) for name in table.columns]
        raise DataError(f"no column '{column}'; there are {', '.join(allowed)}.{nearest(column, allowed)}", where=where)
    return table[column]


def _text(table: pd.DataFrame, column: str) -> pd.Series[str]:
    """A column as strings, missing where empty; whole floats as Parquet gives them lose their `.0`."""
    values = table[column]
    if isinstance(values.dtype, pd.StringDtype):
        return values
    if pd.api.types.is_float_dtype(values) and (values.dropna() == np.floor(values.dropna())).all():
        values = values.astype("Int64")
    return values.map(str, na_action="ignore").astype("str")


def _keep(table: pd.DataFrame, split: SplitConfig, where: str) -> pd.DataFrame:
    _need(table, split.column, where)
    values = _text(table, split.column)
    wanted = [str(value) for value in split.keep]
    present = sorted(values.dropna().unique())
    for value in wanted:
        if value not in present:
            raise DataError(
                f"column '{split.column}' has no value '{value}'; there are {', '.join(present)}."
                f"{nearest(value, present)}",
                where=where,
            )
    return table[values.isin(wanted)]


def _paths(table: pd.DataFrame, column: str, where: str) -> pd.Series[str]:
    """Paths that stay inside the root, by their text; what they point to is checked when opened."""
    _need(table, column, where)
    values = _text(table, column)
    empty = values.index[values.isna()]
    if len(empty):
        raise DataError(f"row {empty[0] + 2}: column '{column}' is empty", where=where)
    there = values.str.replace("\\", "/", regex=False)
    leaves = there.str.startswith("/") | there.str.contains(r"(?:^|/)\.\.(?:/|$)", regex=True)
    leaves |= there.str.contains("\0", regex=False) | there.str.contains("://", regex=False)
    if leaves.any():
        row = values.index[leaves][0]
        raise DataError(
            f"row {row + 2}: path '{values[row]}' leaves the folder of the images",
            where=where,
            fix="use paths relative to data.root",
        )
    return values


def _ids(table: pd.DataFrame, config: DataConfig, paths: pd.Series[str], where: str) -> pd.Series[str]:
    """Ids that are unique and usable as a file name."""
    if config.id is not None:
        _need(table, config.id, where)
        ids = _text(table, config.id)
        if ids.isna().any():
            raise DataError(f"column '{config.id}' has empty cells", where=where)
    else:
        ids = paths
    column = config.id or config.image
    ids = ids.str.replace("/", "__", regex=False).str.replace("\\", "__", regex=False)
    _unique(ids, where, column)
    size = pc.binary_length(text_array(ids)).to_numpy()
    bad = (size == 0) | (size > LONGEST_NAME) | ids.str.contains("\0", regex=False).to_numpy()
    if bad.any():
        place = int(bad.argmax())
        raise DataError(
            f"row {ids.index[place] + 2}: column '{column}' holds an id of {size[place]} bytes, or with a NUL, which "
            "cannot be the name of a file",
            where=where,
            fix=f"name a column of short ids in data.id; at most {LONGEST_NAME} bytes",
        )
    return ids


def _unique(values: pd.Series[str], where: str, column: str) -> None:
    if values.nunique(dropna=False) < len(values):
        twice = values[values.duplicated()]
        raise DataError(f"column '{column}' names '{twice.iloc[0]}' more than once", where=where)


def _labels(table: pd.DataFrame, column: str, where: str) -> pd.Series[str]:
    _need(table, column, where)
    several = table.index[:0]
    if table[column].dtype == object:
        several = table.index[[isinstance(v, list | tuple | set | dict | np.ndarray) for v in table[column]]]
    if len(several):
        raise DataError(
            f"row {several[0] + 2}: the label is a list ({len(several)} such rows); faircam audits single-label "
            "classification, one class an image",
            where=where,
            fix="audit one question at a time: a column that holds one class of each image",
        )
    labels = _text(table, column)
    empty = labels.index[labels.isna()]
    if len(empty):
        raise DataError(f"row {empty[0] + 2}: the label is empty ({len(empty)} such rows)", where=where)
    return labels


def _clusters(table: pd.DataFrame, column: str, where: str) -> pd.Series[str]:
    _need(table, column, where)
    clusters = _text(table, column)
    empty = clusters.index[clusters.isna()]
    if len(empty):
        rows = ", ".join(str(row + 2) for row in empty[:5]) + (", ..." if len(empty) > 5 else "")
        raise DataError(
            f"row {empty[0] + 2}: cluster column '{column}' is empty ({len(empty)} such rows: {rows})",
            where=where,
            fix="give every image the person or thing it shows; one that stands alone gets a name of its own",
        )
    return clusters


def _groups(table: pd.DataFrame, attribute: AttributeConfig, where: str) -> pd.Series[str]:
    _need(table, attribute.column, where)
    if attribute.bins is None:
        return _text(table, attribute.column).fillna(MISSING)
    values = pd.to_numeric(table[attribute.column], errors="coerce")
    bad = table.loc[values.isna() & table[attribute.column].notna(), attribute.column]
    if len(bad):
        raise DataError(f"column '{attribute.column}' is binned but holds '{bad.iloc[0]}'", where=where)
    edges = [-np.inf, *attribute.bins, np.inf]
    names = [f"< {edges[1]:g}", *(f"{a:g} to < {b:g}" for a, b in pairwise(edges[1:-1]))]
    names.append(f">= {edges[-2]:g}")
    binned = pd.cut(values, edges, right=False, labels=names)
    return binned.astype("str").fillna(MISSING)
