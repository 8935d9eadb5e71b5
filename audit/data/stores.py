"""Where the bytes of a dataset's images are, in files of a folder or elsewhere, and what can keep an image away."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["ImageProblem", "ImageStore", "Status", "folder_bytes", "has_image", "image_bytes", "numbered"]

Status = Literal[
    "ok", "missing", "outside_root", "too_large", "unsupported", "unreadable", "wrong_size", "ended_worker"
]


class ImageProblem(Exception):
    """Why an image has no bytes.

    Parameters
    ----------
    status : str
        As in `audit.data.images.Decoded`.
    detail : str
        The reason, for a person.
    """

    def __init__(self, status: Status, detail: str) -> None:
        super().__init__(detail)
        self.status: Status = status
        self.detail = detail


class ImageStore(Protocol):
    """Images of a dataset that keeps them in its own way."""

    def has(self, path: str) -> bool:
        """Whether the store knows an image of that name; nothing is read."""
        ...

    def read(self, path: str) -> bytes:
        """Encoded bytes of one image, the same whenever they are read.

        Raises
        ------
        ImageProblem
            There are none.
        """
        ...


def numbered(count: int) -> pd.Series[str]:
    """Names of the images of a store that has none of its own: their places, with six digits or more."""
    places = pc.utf8_lpad(pa.array(np.arange(count)).cast(pa.large_string()), 6, "0")
    names: pd.Series[str] = pa.table({"name": places}).to_pandas()["name"]  # without an object a name
    return names


def has_image(place: Path | ImageStore, path: str) -> bool:
    """Whether a folder or a store has an image of that name."""
    return (place / path).is_file() if isinstance(place, Path) else place.has(path)


def image_bytes(place: Path | ImageStore, path: str) -> bytes:
    """Encoded bytes of one image of a folder or a store.

    Raises
    ------
    ImageProblem
        There are none.
    """
    return folder_bytes(place, path) if isinstance(place, Path) else place.read(path)


def folder_bytes(root: Path, relative: str) -> bytes:
    """Bytes of a file that lies below a folder, links resolved.

    Raises
    ------
    ImageProblem
        It lies elsewhere, is not there or cannot be read.
    """
    path = root / relative
    try:
        if not path.resolve().is_relative_to(root.resolve()):
            raise ImageProblem("outside_root", "a link leads out of the images' folder")
        if not path.is_file():
            raise ImageProblem("missing", "no such file")
        return path.read_bytes()
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: a link that leads to itself
        raise ImageProblem("missing", str(error)) from error
