"""Reading and writing the Parquet tables of a run, always with the columns of the schema."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from audit.errors import RunError, nearest
from audit.run.files import commit
from audit.run.schema import TABLES

__all__ = ["ROW_GROUP", "empty_table", "json_value", "read_table", "table_path", "write_table"]


ROW_GROUP = 65_536
"""Rows that are stored together: a reader that filters by model skips the others' without looking into them."""


def table_path(run: Path, name: str) -> Path:
    """Path of a table's file inside a run folder."""
    return run / "tables" / f"{name}.parquet"


def empty_table(name: str) -> pd.DataFrame:
    """Frame with a table's columns and no rows."""
    return pd.DataFrame({column: pd.Series(dtype=object) for column in _fields(name)})


def write_table(run: Path, name: str, frame: pd.DataFrame) -> None:
    """Commit a frame as a table of the run, columns ordered and typed by the schema.

    Parameters
    ----------
    run : Path
        Run folder.
    name : str
        Table name, a key of `audit.run.schema.TABLES`.
    frame : DataFrame
        Must hold every fixed column; `images` and `members` may also hold ``attr_*`` columns.

    Raises
    ------
    RunError
        A column is missing, or one stands there that the schema does not know.
    """
    fields = dict(_fields(name))
    extra = [column for column in frame.columns if column not in fields]
    if name in ("images", "members"):
        fields |= {column: pa.string() for column in extra if column.startswith("attr_")}
    wrong = [column for column in frame.columns if column not in fields]
    missing = [column for column in fields if column not in frame.columns]
    if wrong or missing:
        raise RunError(f"table '{name}': missing columns {missing}, unknown columns {wrong}", where=str(run))
    arrays = [_array(frame[column], kind) for column, kind in fields.items()]
    table = pa.table(arrays, schema=pa.schema(list(fields.items())))
    commit(
        table_path(run, name),
        lambda partial: pq.write_table(table, partial, compression="zstd", row_group_size=ROW_GROUP),
    )


def _array(column: pd.Series[Any], kind: pa.DataType) -> pa.Array:
    return pa.Array.from_pandas(column, type=kind, safe=True)


def read_table(run: Path, name: str, **options: Any) -> pd.DataFrame:
    """Read a table as a pandas frame; an absent one is an empty frame with the right columns.

    Parameters
    ----------
    run : Path
        Run folder.
    name : str
        Table name.
    **options
        `columns` and `filters` of `pyarrow.parquet.read_table`.

    Raises
    ------
    RunError
        There is no table of that name, or its file cannot be read.
    """
    path = table_path(run, name)
    if not path.exists():
        return empty_table(name)
    try:
        table = pq.read_table(path, **options)
    except (pa.ArrowInvalid, OSError) as error:
        raise RunError(
            f"table '{name}' cannot be read: {error}",
            where=str(path),
            fix="`faircam run --resume` makes it again",
        ) from error
    frame: pd.DataFrame = table.to_pandas(types_mapper=_pandas_type)
    if options.get("columns") is None:
        for column in _fields(name):  # an older run may lack columns that came later
            if column not in frame:
                frame[column] = None
    return frame


def _pandas_type(kind: pa.DataType) -> Any:
    """Nullable integers and booleans where pandas would turn a null into a float."""
    if pa.types.is_int64(kind):
        return pd.Int64Dtype()
    if pa.types.is_boolean(kind):
        return pd.BooleanDtype()
    return None


def _fields(name: str) -> dict[str, pa.DataType]:
    if name not in TABLES:
        raise RunError(f"no table '{name}'; there are {', '.join(TABLES)}.{nearest(name, TABLES)}")
    return TABLES[name]


def json_value(cell: Any) -> Any:
    """A table's cell as a JSON value; null for what is undefined."""
    if isinstance(cell, list | tuple | np.ndarray):
        return [json_value(item) for item in cell]
    if cell is None or cell is pd.NA or (isinstance(cell, float) and not np.isfinite(cell)):
        return None
    return cell.item() if isinstance(cell, np.generic) else cell
