"""A small run whose derived tables are those that the pipeline would have written: what verification is tested on.

One model of the sample run (`tests.sample_run`, synthetic), one attribute, nothing that takes long to compute again.
"""

from __future__ import annotations

import json
from pathlib import Path

from audit.derived import RAW, Facts, derive
from audit.run import Run, open_run
from audit.run.files import sha256_file, write_json
from audit.run.integrity import table_digests
from audit.run.tables import read_table, write_table
from tests.sample_run import build

__all__ = ["MODEL", "build_derived"]

MODEL = "biased-torch"
_KEPT = ("images", "predictions", "explanations", "region_mass", "crosschecks", "training", "problems")


def build_derived(folder: Path) -> Run:
    """Write the run into a folder, its model's file beside it as ``model.bin``, and open it."""
    build(folder)
    for path in (folder / "tables").glob("*.parquet"):
        if path.stem not in _KEPT:
            path.unlink()
    for name in ("predictions", "explanations", "region_mass", "crosschecks", "training"):
        frame = read_table(folder, name)
        write_table(folder, name, frame[frame["model"] == MODEL].reset_index(drop=True))
    (folder.parent / "model.bin").write_bytes(b"weights")
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    record["models"] = [model for model in record["models"] if model["name"] == MODEL]
    record["models"][0]["sha256"] = sha256_file(folder.parent / "model.bin")
    record["data"]["attributes"] = record["data"]["attributes"][:1]
    record["data"]["intersections"] = []
    raw = {name: read_table(folder, name) for name in ("images", "predictions", *RAW)}
    for name, frame in derive(raw, Facts.of(record)).items():
        write_table(folder, name, frame)
    write_json(folder / "run.json", {**record, "tables": table_digests(folder)})
    return open_run(folder)
