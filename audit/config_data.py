"""The parts of a configuration that describe data: groups, splits, populations, preprocessing.

Models, explanations and training are in `config`, which gives these names on.
"""

from __future__ import annotations

import math
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from audit.config_file import Section
from audit.errors import nearest

__all__ = ["AttributeConfig", "DataConfig", "Preprocessing", "RegionsConfig", "SplitConfig", "TorchvisionConfig"]

Provenance = Literal["self-reported", "perceived", "inferred", "measured", "by construction", "not stated"]

_SOURCES = ("manifest", "image_folder", "huggingface", "torchvision")
_ROUNDING = 1e-3  # shares are often given with three decimals


class AttributeConfig(Section):
    """One group attribute of the data.

    A plain string in the config is short for ``{column: NAME}``.
    """

    column: str = Field(description="Column of the manifest that holds the group.")
    name: str = Field(default="", description="Name used in tables and reports; the column by default.")
    provenance: Provenance = Field(default="not stated", description="How the labels were obtained; reports repeat it.")
    bins: tuple[float, ...] | None = Field(
        default=None, description="Edges that cut a numeric column into groups, ascending."
    )

    @model_validator(mode="before")
    @classmethod
    def _from_string(cls, value: Any) -> Any:
        return {"column": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.name:
            object.__setattr__(self, "name", self.column)
        if self.bins is not None and list(self.bins) != sorted(set(self.bins)):
            raise ValueError(f"bins must ascend without repeats, got {list(self.bins)}")
        return self


class RegionsConfig(Section):
    """Label maps that say which pixel belongs to what."""

    column: str = Field(description="Column with the path of a single-channel PNG label map.")
    names: dict[int, str] = Field(description="Name of each pixel value; 0 is outside every region.")
    should_not_matter: tuple[str, ...] = Field(
        default=(), description="Regions on which the decision ought not to rest."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name in self.should_not_matter:
            if name not in self.names.values():
                raise ValueError(f"should_not_matter names '{name}', which is none of {list(self.names.values())}")
        return self


class SplitConfig(Section):
    """Which rows of the manifest to keep."""

    column: str
    keep: tuple[str | int | float | bool, ...] = Field(min_length=1)


class TorchvisionConfig(Section):
    """A dataset of torchvision, from files that are there already: nothing is downloaded.

    An image is named by its place in the dataset, ``000000`` first; its digest is that of the upright picture, written
    as PPM.
    """

    name: str = Field(description="Class of `torchvision.datasets` that gives one image and one label, as `CIFAR10`.")
    root: str | None = Field(default=None, description="Folder that the class reads; FakeData takes none.")
    arguments: dict[str, bool | int | float | str | list[bool | int | float | str]] = Field(
        default_factory=dict, description="Other arguments of the class, as `{train: false}` or `{split: test}`."
    )


class DataConfig(Section):
    """Images, labels and groups.

    Exactly one of `manifest`, `image_folder`, `huggingface` and `torchvision` says where they are.
    """

    manifest: str | None = Field(default=None, description="CSV or Parquet file, one row an image.")
    image_folder: str | None = Field(default=None, description="Folder with one folder of images a class.")
    huggingface: str | None = Field(
        default=None,
        description="Local dataset of the package `datasets`: a folder written by `save_to_disk`, a Parquet file, or a "
        "folder of Parquet files or of images (of these the package keeps a prepared copy in its own cache). Column "
        "`split` names the part of a dataset that has several.",
    )
    torchvision: TorchvisionConfig | None = Field(
        default=None, description="Dataset of torchvision: `{name, root, arguments}`; nothing is downloaded."
    )
    attributes_table: str | None = Field(
        default=None,
        description="CSV or Parquet with a column `image`, joined to an image folder or to the names that images of "
        "`huggingface` and `torchvision` get: their place, `000000` first, after `SPLIT/` where there are several.",
    )
    image: str = Field(
        default="image", description="Column with the image's path, relative to root; of `huggingface` with the image."
    )
    root: str | None = Field(
        default=None,
        description="Folder of the images; the manifest's by default. Of `huggingface` and `torchvision` the folder of "
        "the region maps.",
    )
    label: str = Field(default="label", description="Column with the true class.")
    id: str | None = Field(default=None, description="Column with a unique image id; the path by default.")
    groups: tuple[AttributeConfig, ...] = ()
    intersections: tuple[tuple[str, ...], ...] = ()
    cluster: str | None = Field(
        default=None, description="Column of the person or thing; its images are not independent."
    )
    regions: RegionsConfig | None = None
    split: SplitConfig | None = None
    population: dict[str, dict[str, float]] = Field(
        default_factory=dict,
        description="For an attribute the share of each group in a population of reference; figures are also shown "
        "under that mix.",
    )
    look_alikes: int | None = Field(
        default=12,
        ge=0,
        le=32,
        description="Images that look alike are listed: how many of 255 bits of their perceptual hashes may differ. "
        "`null` leaves the search out; files that are the same byte by byte are always found.",
    )
    max_pixels: int = Field(default=50_000_000, gt=0, description="Largest image accepted, in pixels.")

    @field_validator("label", mode="before")
    @classmethod
    def _one_label(cls, value: Any) -> Any:
        if isinstance(value, list | tuple):
            raise ValueError("names several columns; faircam audits single-label classification, one class an image")
        return value

    @model_validator(mode="after")
    def _check(self) -> Self:
        given = [name for name in _SOURCES if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of {', '.join(map(repr, _SOURCES))}, not {given or 'none'}")
        names = [attribute.name for attribute in self.groups]
        if len(set(names)) != len(names):
            raise ValueError(f"group attributes must have different names, got {names}")
        for crossing in self.intersections:
            if len(crossing) < 2:
                raise ValueError(f"an intersection needs two attributes or more, got {list(crossing)}")
            for name in crossing:
                if name not in names:
                    raise ValueError(f"intersection names '{name}', which is not among the groups {names}.")
        for name, shares in self.population.items():
            _check_shares(name, shares, names)
        return self

    @property
    def source(self) -> str:
        """Where the images are from, for a message: the path, or torchvision's class."""
        if self.torchvision is not None:
            return f"torchvision {self.torchvision.name}"
        return str(self.manifest or self.image_folder or self.huggingface)


def _check_shares(name: str, shares: dict[str, float], names: list[str]) -> None:
    """A stated mix is one of an attribute of the data, and its shares add up to 1."""
    if name not in names:
        raise ValueError(f"population names '{name}', which is not among the groups {names}.{nearest(name, names)}")
    for group, share in shares.items():
        if not 0 <= share <= 1:
            raise ValueError(f"population.{name}: the share of '{group}' is {share}, allowed: 0 to 1")
    total = math.fsum(shares.values())
    if abs(total - 1) > _ROUNDING:
        raise ValueError(f"population.{name}: the shares add up to {total:g}, they must add up to 1")


class Preprocessing(Section):
    """How a decoded image becomes the array the model sees; recorded in the run.

    The order is: colour mode, resize, crop, scale, then ``(x - mean) / std``.
    """

    size: tuple[int, int] | None = Field(default=None, description="Height and width after resizing.")
    shorter_side: int | None = Field(default=None, description="Resize so that the shorter side has this length.")
    crop: tuple[int, int] | None = Field(default=None, description="Centre crop after resizing: height, width.")
    mode: Literal["RGB", "L", "BGR"] = "RGB"
    resize: Literal["nearest", "bilinear", "bicubic", "lanczos", "box"] = "bilinear"
    scale: tuple[float, float] = Field(default=(0.0, 1.0), description="What bytes 0 and 255 become.")
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    layout: Literal["NCHW", "NHWC"] = Field(
        default="NHWC",
        description="onnx and callable: the order of dimensions that the model takes; never guessed.",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.size is not None and self.shorter_side is not None:
            raise ValueError("give one of 'size' and 'shorter_side', not both")
        if self.shorter_side is not None and self.crop is None:
            raise ValueError("'shorter_side' needs a 'crop', so that all images have one size")
        channels = 1 if self.mode == "L" else 3
        for key in ("mean", "std"):
            values = getattr(self, key)
            if values and len(values) != channels:
                raise ValueError(f"'{key}' has {len(values)} values, mode {self.mode} has {channels} channels")
        if any(value == 0 for value in self.std):
            raise ValueError("'std' holds a zero")
        return self

    @property
    def output_size(self) -> tuple[int, int] | None:
        """Height and width that every image ends with, or None where images keep their own."""
        return self.crop or self.size
