"""The images that a model was trained on: the data of its `members` pass."""

from __future__ import annotations

from pathlib import Path

from audit.config import ModelConfig
from audit.data.manifest import Dataset, load_dataset
from audit.engine.guard import Guard
from audit.engine.job import FileSource

__all__ = ["load_members", "member_source"]


def load_members(model: ModelConfig, base: Path) -> Dataset | None:
    """Read and check the table of a model's training images; None where the config names none."""
    return None if model.training_data is None else load_dataset(model.training_data, base)


def member_source(model: ModelConfig, base: Path, guard: Guard | None = None) -> FileSource | None:
    """The training images as a worker reads them."""
    dataset = load_members(model, base)
    if dataset is None or model.training_data is None:
        return None
    return FileSource(dataset, model.preprocessing, model.training_data.max_pixels, guard, "members")
