"""From an image file to the array a model sees, with a named status for every way that can fail."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from audit.config import Preprocessing
from audit.data.manifest import Dataset
from audit.data.stores import ImageProblem, ImageStore, Status, folder_bytes, image_bytes
from audit.run.files import sha256_bytes

__all__ = [
    "Decoded",
    "LoadedImages",
    "decode",
    "decode_pixels",
    "decode_regions",
    "load_arrays",
    "scaled",
    "thumbnail",
    "to_array",
    "to_pixels",
    "upright",
]

_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
_FILLED = frozenset({"PNG", "BMP", "TIFF", "PPM"})  # the others are decoded into pixels of their decoders' own
_FILLINGS = (171, 84)
_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
}


@dataclass(frozen=True)
class Decoded:
    """One image, or the reason why there is none.

    Attributes
    ----------
    status : str
        ``ok``, ``missing`` (no such file), ``outside_root``, ``too_large``, ``unsupported``
        (format), ``unreadable`` (damaged), ``wrong_size`` (not the size the model takes) or
        ``ended_worker`` (reading it ended the process every time, or took too long).
    array : ndarray or None
        ``(H, W, C)`` float32 in the model's value range.
    sha256 : str or None
        Of the file's bytes.
    detail : str
        The reason, for a person.
    picture : PIL.Image.Image or None
        The upright picture in RGB, for a thumbnail.
    """

    status: Status
    array: np.ndarray | None = None
    sha256: str | None = None
    detail: str = ""
    picture: Image.Image | None = None


def decode(place: Path | ImageStore, relative: str, preprocessing: Preprocessing, max_pixels: int) -> Decoded:
    """Read one image and preprocess it.

    Parameters
    ----------
    place : Path or ImageStore
        Folder that the file must lie in, links resolved; or what keeps the images, `Dataset.place`.
    relative : str
        Path below the folder, or the store's name of the image.
    preprocessing : Preprocessing
        What turns the picture into the array.
    max_pixels : int
        Larger pictures are refused before their pixels are read.

    Returns
    -------
    Decoded
        Never raises for a bad file.
    """
    picture = _open(place, relative, max_pixels)
    if isinstance(picture, Decoded):
        return picture
    image, digest = picture
    return Decoded("ok", to_array(image, preprocessing), digest, picture=image)


def decode_pixels(
    place: Path | ImageStore, relative: str, preprocessing: Preprocessing, max_pixels: int
) -> np.ndarray | Decoded:
    """Read one image as the bytes that the model's scaling starts from.

    Returns
    -------
    ndarray or Decoded
        ``(H, W, 3)`` RGB or ``(H, W, 1)`` uint8 after colour mode, resize and crop, or the reason why there are none.
    """
    picture = _open(place, relative, max_pixels)
    return picture if isinstance(picture, Decoded) else to_pixels(picture[0], preprocessing)


def _open(place: Path | ImageStore, relative: str, max_pixels: int) -> tuple[Image.Image, str] | Decoded:
    try:
        content = image_bytes(place, relative)
    except ImageProblem as problem:
        return Decoded(problem.status, detail=problem.detail)
    digest = sha256_bytes(content)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
                if image.width * image.height > max_pixels:
                    size = f"{image.width} x {image.height} pixels, the limit is {max_pixels}"
                    return Decoded("too_large", sha256=digest, detail=size)
                _fill(image, _FILLINGS[0])
                image.load()
                if _ends_early(image, content):
                    return Decoded("unreadable", sha256=digest, detail="the data end before the last row")
                return upright(image), digest
    except _UnsupportedMode as error:
        return Decoded("unsupported", sha256=digest, detail=str(error))
    except Image.DecompressionBombError as error:
        return Decoded("too_large", sha256=digest, detail=str(error))
    except UnidentifiedImageError:
        return Decoded("unsupported", sha256=digest, detail=f"not one of {', '.join(_FORMATS)}")
    except (OSError, ValueError, SyntaxError, IndexError, EOFError) as error:
        return Decoded("unreadable", sha256=digest, detail=str(error))


class _UnsupportedMode(Exception):
    """Pixels whose range is not known."""


def _ends_early(image: ImageFile.ImageFile, content: bytes) -> bool:
    """Whether the data of a decoded picture end, with a proper end, before its last row.

    Pillow takes such a file for a picture whose rest is black. Rows that are not written keep what they were filled
    with before, so a last row in the colour of the filling is decoded once more over another.
    """
    if image.format not in _FILLED or not _is_filled(image, _FILLINGS[0]):
        return False
    with Image.open(io.BytesIO(content), formats=_FORMATS) as again:
        _fill(again, _FILLINGS[1])
        again.load()
        return _is_filled(again, _FILLINGS[1])


def _fill(image: ImageFile.ImageFile, value: int) -> None:
    if image.format in _FILLED:
        image.im = Image.new(image.mode, image.size, _colour(image.mode, value)).im


def _is_filled(image: Image.Image, value: int) -> bool:
    """Whether one of the last two rows is unwritten: in an interlaced picture the last pass may end in either."""
    rows = image.crop((0, max(0, image.height - 2), image.width, image.height)).tobytes()
    blank = _blank(image.mode, image.width, value)
    return rows.startswith(blank) or rows.endswith(blank)


@lru_cache(maxsize=64)
def _blank(mode: str, width: int, value: int) -> bytes:
    """Bytes of one row of the filling."""
    return Image.new(mode, (width, 1), _colour(mode, value)).tobytes()


def _colour(mode: str, value: int) -> int | tuple[int, ...]:
    bands = Image.getmodebands(mode)
    return value if bands == 1 else (value,) * bands


def upright(image: Image.Image) -> Image.Image:
    """Turn a picture into what everything else starts from.

    EXIF orientation applied, transparency on white, 16-bit scaled to 8, then RGB (first frame).
    """
    image = ImageOps.exif_transpose(image)
    if image.mode == "F":
        raise _UnsupportedMode("pixels are floating-point numbers, of which black and white are not known")
    if image.mode.startswith("I;16") or image.mode == "I":
        values = np.asarray(image).astype(np.float64) / 257.0
        if values.size and (values.min() < 0 or values.max() > 255):
            raise _UnsupportedMode("pixels are 32-bit numbers beyond 65535, of which black and white are not known")
        return Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")


def to_array(image: Image.Image, preprocessing: Preprocessing) -> np.ndarray:
    """Apply declared preprocessing to an RGB picture.

    Returns
    -------
    ndarray
        ``(H, W, C)`` float32.
    """
    return scaled(to_pixels(image, preprocessing), preprocessing)


def to_pixels(image: Image.Image, preprocessing: Preprocessing) -> np.ndarray:
    """First half of the preprocessing: colour mode, resize, crop.

    Returns
    -------
    ndarray
        ``(H, W, 3)`` RGB (also where the model takes BGR), or ``(H, W, 1)``, uint8.
    """
    if preprocessing.mode == "L":
        image = image.convert("L")
    pixels: np.ndarray = np.asarray(_resize(image, preprocessing, _FILTERS[preprocessing.resize]), np.uint8)
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def scaled(pixels: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    """Second half of the preprocessing: channel order, scale, mean and standard deviation.

    Parameters
    ----------
    pixels : ndarray
        ``(H, W, C)`` uint8, as `to_pixels` gives them.
    preprocessing : Preprocessing

    Returns
    -------
    ndarray
        ``(H, W, C)`` float32.
    """
    array: np.ndarray = pixels.astype(np.float32)
    if preprocessing.mode == "BGR":
        array = array[:, :, ::-1]
    low, high = preprocessing.scale
    array = array * np.float32((high - low) / 255.0) + np.float32(low)
    if preprocessing.mean:
        array = array - np.asarray(preprocessing.mean, np.float32)
    if preprocessing.std:
        array = array / np.asarray(preprocessing.std, np.float32)
    return np.ascontiguousarray(array, np.float32)


def _resize(image: Image.Image, preprocessing: Preprocessing, resample: Image.Resampling) -> Image.Image:
    """Resize and crop; region maps go through the same geometry with the nearest filter."""
    if preprocessing.size is not None:
        height, width = preprocessing.size
        image = image.resize((width, height), resample)
    if preprocessing.shorter_side is not None:
        factor = preprocessing.shorter_side / min(image.size)
        image = image.resize((round(image.width * factor), round(image.height * factor)), resample)
    if preprocessing.crop is not None:
        height, width = preprocessing.crop
        left, top = (image.width - width) // 2, (image.height - height) // 2
        image = image.crop((left, top, left + width, top + height))
    return image


def thumbnail(picture: Image.Image, preprocessing: Preprocessing, longest: int = 160) -> Image.Image:
    """Draw a small picture for a person: what the model sees of it, at up to `longest` pixels a side."""
    size = preprocessing.output_size or (picture.height, picture.width)
    factor = min(longest / max(size), max(1.0, max(picture.size) / max(size)))

    def scaled(lengths: tuple[int, int] | None) -> tuple[int, int] | None:
        return None if lengths is None else (round(lengths[0] * factor), round(lengths[1] * factor))

    shorter = preprocessing.shorter_side
    geometry = Preprocessing(
        size=scaled(preprocessing.size) if preprocessing.output_size else scaled(size),
        shorter_side=None if shorter is None else round(shorter * factor),
        crop=scaled(preprocessing.crop),
    )
    return _resize(picture, geometry, Image.Resampling.BILINEAR)


def decode_regions(root: Path, relative: str, preprocessing: Preprocessing, max_pixels: int) -> np.ndarray | Decoded:
    """Read a region map through the geometry of its image, by nearest neighbour.

    Returns
    -------
    ndarray or Decoded
        ``(H, W)`` uint8 labels, or the reason why there are none.
    """
    try:
        content = folder_bytes(root, relative)
    except ImageProblem:
        return Decoded("missing", detail=f"no region map '{relative}'")
    try:
        with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
            if image.width * image.height > max_pixels:
                return Decoded("too_large", detail=f"region map '{relative}' is too large")
            if image.mode not in ("L", "P", "1"):
                return Decoded("unsupported", detail=f"region map '{relative}' has mode {image.mode}, not one channel")
            _fill(image, _FILLINGS[0])
            image.load()
            if _ends_early(image, content):
                return Decoded("unreadable", detail=f"region map '{relative}': the data end before the last row")
            labels = Image.fromarray(np.asarray(image, np.uint8))
    except (OSError, ValueError, SyntaxError) as error:
        return Decoded("unreadable", detail=f"region map '{relative}': {error}")
    return np.asarray(_resize(labels, preprocessing, Image.Resampling.NEAREST), np.uint8)


@dataclass(frozen=True)
class LoadedImages:
    """Images of a dataset in memory.

    Attributes
    ----------
    images : ndarray
        ``(N, H, W, C)`` float32.
    labels : ndarray
        ``(N,)`` int64, index into the dataset's classes.
    positions : ndarray
        ``(N,)`` int64, row of each image in the dataset.
    problems : tuple of (str, Decoded)
        Path and reason of every image that is not among them.
    """

    images: np.ndarray
    labels: np.ndarray
    positions: np.ndarray
    problems: tuple[tuple[str, Decoded], ...]


def load_arrays(dataset: Dataset, preprocessing: Preprocessing, max_pixels: int) -> LoadedImages:
    """Read every image of a dataset into one array, listing those that cannot be read."""
    decoded = [decode(dataset.place, path, preprocessing, max_pixels) for path in dataset.rows["path"]]
    arrays = {row: item.array for row, item in enumerate(decoded) if item.array is not None}
    good = list(arrays)
    problems = tuple(_failures(dataset.rows["path"], decoded))
    images = np.stack(list(arrays.values())) if good else np.empty((0, 0, 0, 0))
    codes = {name: code for code, name in enumerate(dataset.classes)}
    labels = np.array([codes[dataset.rows["label"].iloc[row]] for row in good], np.int64)
    return LoadedImages(images, labels, np.array(good, np.int64), problems)


def _failures(paths: Iterable[str], decoded: list[Decoded]) -> Iterable[tuple[str, Decoded]]:
    return ((path, item) for path, item in zip(paths, decoded, strict=True) if item.array is None)
