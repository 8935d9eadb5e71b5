"""A small run whose derived tables are those that the pipeline would have written: what verification is tested on.

One model of the sample run (`tests.sample_run`, synthetic), one attribute, nothing that takes long to compute again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pandas.api.types import is_numeric_dtype

from audit.derived import RAW, Facts, derive
from audit.run import Run, open_run
from audit.run.files import sha256_file, write_json
from audit.run.integrity import table_digests
from audit.run.tables import read_table, write_table
from tests.sample_run import build

__all__ = ["MODEL", "build_derived"]

MODEL = "biased-torch"
_KEPT = ("images", "predictions", "explanations", "region_mass", "crosschecks", "training", "problems")


def build_derived(folder: Path, names: Mapping[str, str] | None = None, **data: Any) -> Run:
    """Write the run into a folder, its model's file beside it as ``model.bin``, and open it.

    Groups, classes and models that `names` renames have their new names throughout; `data` goes into the record's part
    on data. Without a positive class the run is made, and verified, in half the time.
    """
    build(folder)
    for path in (folder / "tables").glob("*.parquet"):
        if path.stem not in _KEPT:
            path.unlink()
    for name in ("predictions", "explanations", "region_mass", "crosschecks", "training"):
        frame = read_table(folder, name)
        write_table(folder, name, frame[frame["model"] == MODEL].reset_index(drop=True))
    _rename(folder, names or {})
    (folder.parent / "model.bin").write_bytes(b"weights")
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    record["models"] = record["models"][:1]
    record["models"][0]["sha256"] = sha256_file(folder.parent / "model.bin")
    record["data"]["attributes"] = record["data"]["attributes"][:1]
    record["data"] |= {"intersections": [], **data}
    raw = {name: read_table(folder, name) for name in ("images", "predictions", *RAW)}
    for name, frame in derive(raw, Facts.of(record)).items():
        write_table(folder, name, frame)
    write_json(folder / "run.json", {**record, "tables": table_digests(folder)})
    return open_run(folder)


def _rename(folder: Path, names: Mapping[str, str]) -> None:
    """Give groups, classes and models other names in the tables and in the record."""
    for path in sorted((folder / "tables").glob("*.parquet")):
        frame = read_table(folder, path.stem)
        for column in [name for name in frame if not is_numeric_dtype(frame[name])]:
            frame[column] = frame[column].map(lambda value: _renamed(value, names))
        write_table(folder, path.stem, frame)
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    write_json(folder / "run.json", _renamed(record, names))


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {names.get(key, key): _renamed(inner, names) for key, inner in value.items()}
    if isinstance(value, list):
        return [_renamed(inner, names) for inner in value]
    return names.get(value, value) if isinstance(value, str) else value
