"""Shard files: one Parquet file holds a shard's rows, maps and receipt, and is committed in one step."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from audit.run.files import commit
from audit.run.mentions import unnamed
from audit.run.plan import Shard, shard_path

__all__ = [
    "MAP_PREFIX",
    "Receipt",
    "copy_shard",
    "drop_images",
    "explained_shards",
    "held_receipt",
    "read_columns",
    "read_maps",
    "read_receipt",
    "read_rows",
    "write_shard",
]

MAP_PREFIX = "map_"
"""Columns with this prefix hold a method's raw maps as fixed-shape tensors."""

_KEY = b"faircam.receipt"
_MAPS_TOGETHER = 32
"""Rows of a row group where maps are stored: who reads those of one image reads no more than so many."""


@dataclass(frozen=True)
class Receipt:
    """What a committed shard says of itself.

    Attributes
    ----------
    fingerprint : str
        Of the plan under which it was computed.
    model : str
    shard : Shard
    statuses : dict of str to int
        Rows by status; they add up to the shard's size.
    micro_batch : int
        Batch that was really used: memory may have forced a smaller one than planned.
    seconds : float
        Wall time spent on it.
    used, least : float
        Forward-equivalents that it took, and the least that its results can be had for.
    """

    fingerprint: str
    model: str
    shard: Shard
    statuses: dict[str, int]
    micro_batch: int
    seconds: float
    used: float = 0.0
    least: float = 0.0

    def to_json(self) -> str:
        """As one line of JSON."""
        return json.dumps(asdict(self), sort_keys=True)

    @staticmethod
    def from_json(text: str | bytes) -> Receipt:
        """Read what `to_json` wrote."""
        content = json.loads(text)
        return Receipt(**{**content, "shard": Shard(**content["shard"])})


def write_shard(run: Path, receipt: Receipt, rows: pd.DataFrame, maps: Mapping[str, Sequence[Any]]) -> None:
    """Commit one shard.

    Parameters
    ----------
    run : Path
        Run folder.
    receipt : Receipt
        Stored in the file's metadata.
    rows : DataFrame
        One row an image; lists are allowed as cells.
    maps : dict of str to sequence of ndarray or None
        Per method one raw map ``(h, w)`` a row, or None; all maps of a method have one shape.
    """
    table = pa.Table.from_pandas(rows, preserve_index=False)
    drawn = {method: values for method, values in maps.items() if any(value is not None for value in values)}
    for method, values in drawn.items():
        table = table.append_column(MAP_PREFIX + method, _tensor_column(values))
    metadata = {**(table.schema.metadata or {}), _KEY: receipt.to_json().encode()}
    metadata.pop(b"pandas", None)
    _commit(shard_path(run, receipt.model, receipt.shard), table.replace_schema_metadata(metadata))


def _commit(path: Path, table: pa.Table) -> None:
    plain = [name for name in table.column_names if not name.startswith(MAP_PREFIX)]
    # Raw maps look like noise to a compressor: trying costs more time than the rest of the shard and saves nothing.
    compression = dict.fromkeys(table.column_names, "none") | dict.fromkeys(plain, "zstd")
    rows = None if len(plain) == len(table.column_names) else _MAPS_TOGETHER
    commit(
        path,
        lambda partial: pq.write_table(
            table,
            partial,
            compression=compression,
            use_dictionary=plain,
            write_statistics=plain,
            row_group_size=rows,
        ),
    )


def _tensor_column(values: Sequence[Any]) -> pa.Array:
    shape = next(value.shape for value in values if value is not None)
    kind = pa.fixed_shape_tensor(pa.float32(), shape)
    size = int(np.prod(shape))
    flat = np.zeros((len(values), size), np.float32)
    missing = np.array([value is None for value in values])
    for row, value in enumerate(values):
        if value is not None:
            flat[row] = np.asarray(value, np.float32).ravel()
    storage = pa.FixedSizeListArray.from_arrays(pa.array(flat.ravel()), size, mask=pa.array(missing))
    return pa.ExtensionArray.from_storage(kind, storage)


def copy_shard(source: Path, target: Path, receipt: Receipt) -> None:
    """Commit a copy of a shard's file with another receipt."""
    table = pq.read_table(source)
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), _KEY: receipt.to_json().encode()})
    _commit(target, table)


def drop_images(path: Path, image_ids: Collection[str]) -> None:
    """Commit a shard's file without the rows of some images, and their names elsewhere in it; its receipt stays."""
    table = pq.read_table(path)
    if "image_id" not in table.column_names:
        return
    kept = table.filter(pc.invert(pc.is_in(table.column("image_id"), pa.array(sorted(image_ids), pa.string()))))
    if "detail" in kept.column_names:
        place, field = kept.column_names.index("detail"), kept.schema.field("detail")
        texts = [unnamed(text, image_ids) for text in kept.column("detail").to_pylist()]
        kept = kept.set_column(place, field, pa.array(texts, field.type))
    if not kept.equals(table):
        _commit(path, kept)


def read_receipt(run: Path, model: str, shard: Shard) -> Receipt | None:
    """Receipt of a committed shard, or None where the file is absent or torn."""
    return held_receipt(shard_path(run, model, shard))


def held_receipt(path: Path) -> Receipt | None:
    """Receipt in a shard's file, or None where the file is absent or torn."""
    try:
        metadata = pq.read_schema(path).metadata or {}
        return Receipt.from_json(metadata[_KEY])
    except (OSError, KeyError, ValueError, TypeError, pa.ArrowException):
        return None


def read_rows(
    run: Path,
    model: str,
    shards: Iterable[Shard],
    columns: Collection[str] | None = None,
    *,
    without: Collection[str] = (),
    compact: bool = False,
) -> pd.DataFrame:
    """Rows of some shards, one after another, without the maps.

    Parameters
    ----------
    run, model, shards
    columns : collection of str, optional
        Only these, where they are named.
    without : collection of str
        Columns that are left out.
    compact : bool
        Lists and bytes stay in Arrow, where a million take tens of megabytes and not hundreds.
    """
    tables = []
    for shard in shards:
        with pq.ParquetFile(shard_path(run, model, shard)) as file:
            held = [name for name in file.schema_arrow.names if not name.startswith(MAP_PREFIX)]
            names = [name for name in held if name not in without and (columns is None or name in columns)]
            tables.append(file.read(columns=names))
    if not tables:
        return pd.DataFrame()
    whole = pa.concat_tables(tables, promote_options="permissive")
    frame: pd.DataFrame = whole.to_pandas(types_mapper=_in_arrow if compact else None, self_destruct=True)
    return frame


def _in_arrow(kind: pa.DataType) -> pd.ArrowDtype | None:
    return pd.ArrowDtype(kind) if pa.types.is_list(kind) or pa.types.is_binary(kind) else None


def explained_shards(run: Path, model: str) -> list[Path]:
    """Shard files of a model that hold maps: those of the explain stage, or of the one pass over every image."""
    folder = run / "shards" / model
    return sorted(folder.glob("explain-*.parquet")) or sorted(folder.glob("predict-*.parquet"))


def read_columns(path: Path, names: Sequence[str]) -> pd.DataFrame:
    """Some columns of one shard file; those it lacks are left out."""
    held = pq.read_schema(path).names
    frame: pd.DataFrame = pq.read_table(path, columns=[name for name in names if name in held]).to_pandas()
    return frame


def read_maps(path: Path, method: str, image_ids: frozenset[str] | None = None) -> dict[str, np.ndarray]:
    """Raw maps of one method in one shard file, by image.

    Parameters
    ----------
    path : Path
        A shard file.
    method : str
        Method name.
    image_ids : frozenset of str, optional
        Only these images.

    Returns
    -------
    dict of str to ndarray
        ``(h, w)`` float32; images without a map are left out.
    """
    column = MAP_PREFIX + method
    if column not in pq.read_schema(path).names:
        return {}
    filters = None if image_ids is None else [("image_id", "in", list(image_ids))]
    table = pq.read_table(path, columns=["image_id", column], filters=filters).combine_chunks()
    if not table.num_rows:
        return {}
    tensor = table.column(column).chunk(0)
    shape = tensor.type.shape
    values = tensor.storage.flatten() if tensor.null_count == 0 else None
    if values is not None:
        maps = values.to_numpy(zero_copy_only=False).reshape(-1, *shape)
        return dict(zip(table.column("image_id").to_pylist(), maps, strict=True))
    present = tensor.is_valid()
    maps = tensor.filter(present).storage.flatten().to_numpy(zero_copy_only=False).reshape(-1, *shape)
    names = table.column("image_id").filter(present).to_pylist()
    return dict(zip(names, maps, strict=True))
