"""The sample run with hostile names wherever a name can stand; its numbers are the sample's, and mean nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from audit.run import Run, open_run
from audit.run.files import is_file_name, write_json
from audit.run.tables import read_table, write_table
from tests.hostile.names import named, texts

__all__ = ["MODELS", "build_named"]

MODELS = {"biased-torch": named("attribute"), "biased-keras": named("osc-title").replace("/", "")}
_OTHERS = {
    "tone": named("template"),
    "cross": named("svg"),
    "disc": named("formula-equals"),
    "object": named("comment"),
    "present": named("autolink"),
}
_NAMES = {**MODELS, **_OTHERS}
_COPIED = "tone-2"
"""The group whose rows are there once for every name of the corpus."""


def build_named(sample: Path, folder: Path) -> Run:
    """Copy the sample run and give groups, attributes, classes, regions, models, images and the audit hostile names.

    The corpus stands whole among the groups and among the images.
    """
    shutil.copytree(sample, folder)
    images = _image_names(read_table(folder, "images")["image_id"])
    for path in sorted((folder / "tables").glob("*.parquet")):
        frame = _with_groups(path.stem, read_table(folder, path.stem))
        for column in frame.select_dtypes(exclude="number"):
            frame[column] = frame[column].map(lambda value: _renamed(value, images))
        frame.columns = [_renamed(name, {"attr_tone": f"attr_{_NAMES['tone']}"}) for name in frame]
        write_table(folder, path.stem, frame)
    for file in sorted((folder / "thumbnails").iterdir()):
        if is_file_name(images[file.stem]):
            file.rename(file.with_name(f"{images[file.stem]}.jpg"))
    for old, new in MODELS.items():
        (folder / "shards" / old).rename(folder / "shards" / new)
    for name in ("run.json", "plan.json"):
        record = _renamed(json.loads((folder / name).read_text(encoding="utf-8")), {})
        write_json(folder / name, record | ({"name": named("script-end")} if name == "run.json" else {}))
    return open_run(folder)


def _image_names(old: pd.Series[str]) -> dict[str, str]:
    """Every image another name; names of the corpus in turn, made usable as ids as a manifest makes them."""
    corpus = texts()
    names = {}
    for place, name in enumerate(old):
        text = corpus[place % len(corpus)].replace("/", "__").replace("\\", "__").replace("\0", "")[:200]
        names[name] = f"{text} {place}"
        names[f"images/{name}.png"] = f"{text} {place}.png"
    return names


def _with_groups(table: str, frame: pd.DataFrame) -> pd.DataFrame:
    if table == "images":
        return frame.assign(attr_tone=[texts()[row % len(texts())] for row in range(len(frame))])
    if table not in ("findings", "groups", "coverage", "paired"):
        return frame
    if table == "findings":
        parts = [
            frame.head(1).assign(finding_id=f"f{place}", rule=f"{text} rule", group=text, text=f"{text} lost")
            for place, text in enumerate(texts())
        ]
    else:
        copied = frame[frame["group"] == _COPIED]
        parts = [copied.assign(group=text) for text in texts()]
    return pd.concat([frame, *parts], ignore_index=True)


def _renamed(value: Any, more: Mapping[str, str]) -> Any:
    """A value with other names: whole, or as part of a sentence, a crossing, a claim or a key."""
    if isinstance(value, dict):
        return {_renamed(key, more): _renamed(inner, more) for key, inner in value.items()}
    if isinstance(value, list):
        return [_renamed(inner, more) for inner in value]
    if isinstance(value, np.ndarray) and value.dtype == object:
        return [_renamed(inner, more) for inner in value]
    if not isinstance(value, str) or value in texts():
        return value
    if value in more or value in _NAMES:
        return more.get(value) or _NAMES[value]
    for old, new in MODELS.items():
        value = value.replace(old, new)
    return value
