"""The built-in synthetic set: drawn images with a planted bias, or none, and the truth about every pixel.

Drawing, its parameters and writing it to disk live here; pixels are in `synthetic_drawing`, training is not here.
The same seed gives the same bytes on every machine.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from audit.data.synthetic_drawing import WORDS, Scene, below, cover, expose, marker_mask, paint
from audit.data.synthetic_shapes import SHAPES
from audit.errors import InputError

__all__ = [
    "DEMO_EPOCHS",
    "DEMO_SEED",
    "REGION_NAMES",
    "TONES",
    "DemoSpecs",
    "SyntheticImages",
    "SyntheticSpec",
    "demo_specs",
    "draw",
    "write",
]

TONES: Final = ("tone-1", "tone-2", "tone-3", "tone-4", "tone-5", "tone-6")
REGION_NAMES: Final = {1: "object", 2: "marker"}
DEMO_SEED: Final = 2026
DEMO_EPOCHS: Final = 5  # enough for the control; the biased model still leans on the marker (Adam, 1e-3)

_CHUNK: Final = 64

Bytes = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class SyntheticSpec:
    """What to draw and which bias to plant; the defaults plant none.

    Parameters
    ----------
    images : int
        Number of images.
    seed : int
        Two draws with one seed are byte for byte the same.
    size : int
        Height and width in pixels, at least 32.
    classes : int
        2 (disc, cross) to 10 shapes.
    tone_weights : tuple of float
        Relative frequency of the six background tones, light to dark (under-representation).
    marker_rates : tuple of float
        Share of each class that carries the marker; one value stands for all classes (shortcut).
    label_noise : tuple of float
        Share of wrong labels on each tone, 0 to 1.
    blur : tuple of int
        Passes of a 3 x 3 binomial blur on each tone, before the noise (image quality).
    noise : tuple of float
        Standard deviation of the noise on each tone, as a share of the pixel range (image quality).
        Up to 0.04 no pixel is clipped; above, clipping lowers the contrast of the outermost tones.
    """

    images: int
    seed: int
    size: int = 48
    classes: int = 2
    tone_weights: tuple[float, ...] = (1.0,) * 6
    marker_rates: tuple[float, ...] = (0.5,)
    label_noise: tuple[float, ...] = (0.0,) * 6
    blur: tuple[int, ...] = (0,) * 6
    noise: tuple[float, ...] = (0.04,) * 6

    def __post_init__(self) -> None:
        for name, least, most in (("images", 1, 10**7), ("size", 32, 1024), ("classes", 2, len(SHAPES))):
            _within(name, getattr(self, name), least, most)
        if self.seed < 0:
            raise InputError(f"seed is {self.seed}, allowed: 0 and above")
        for name in ("tone_weights", "label_noise", "blur", "noise"):
            if len(getattr(self, name)) != len(TONES):
                raise InputError(f"{name} has {len(getattr(self, name))} values, there are {len(TONES)} tones")
        if len(self.marker_rates) not in (1, self.classes):
            raise InputError(f"marker_rates has {len(self.marker_rates)} values, allowed: 1 or {self.classes}")
        for name, high in (("marker_rates", 1.0), ("label_noise", 1.0), ("noise", 0.5), ("blur", 64.0)):
            for value in getattr(self, name):
                _within(name, value, 0, high)
        if min(self.tone_weights) < 0 or not sum(self.tone_weights) > 0:
            raise InputError(f"tone_weights is {self.tone_weights}, allowed: none negative, one above 0")

    @property
    def class_names(self) -> tuple[str, ...]:
        """Name of each class, in order of the label."""
        return tuple(SHAPES)[: self.classes]


@dataclass(frozen=True)
class SyntheticImages:
    """Drawn images and the truth about them.

    Parameters
    ----------
    images : ndarray of uint8, (N, H, W, 3)
    labels : ndarray of int64, (N,)
        As a data set would give them, wrong ones from label noise included.
    shapes : ndarray of int64, (N,)
        The class that was drawn.
    tones : ndarray of int64, (N,)
        Position in `TONES`.
    markers : ndarray of bool, (N,)
        Whether the marker was drawn.
    object_masks, marker_masks : ndarray of bool, (N, H, W)
        Which pixels belong to the object and to the marker; they never overlap.
    class_names : tuple of str
    """

    images: Bytes
    labels: Integers
    shapes: Integers
    tones: Integers
    markers: Mask
    object_masks: Mask
    marker_masks: Mask
    class_names: tuple[str, ...]

    def region_maps(self) -> Bytes:
        """Label maps (N, H, W): 0 outside, 1 object, 2 marker."""
        return np.asarray(self.object_masks + np.uint8(2) * self.marker_masks, dtype=np.uint8)


@dataclass(frozen=True)
class DemoSpecs:
    """The four draws of the demo."""

    biased_train: SyntheticSpec
    control_train: SyntheticSpec
    validation: SyntheticSpec
    test: SyntheticSpec


def demo_specs(seed: int = DEMO_SEED) -> DemoSpecs:
    """Return what the demo draws.

    The biased training set shows the dark tones rarely and puts the marker on 95 % of class 'cross' and 5 % of
    class 'disc'. The control shows every tone alike and the marker on half of either class, as do the
    2,400 test images, which both models are audited on.

    Parameters
    ----------
    seed : int
        First of three seeds in a row: training, validation, test.
    """
    few_dark = SyntheticSpec(4000, seed, tone_weights=(0.33, 0.33, 0.31, 0.02, 0.005, 0.005), marker_rates=(0.05, 0.95))
    return DemoSpecs(
        biased_train=few_dark,
        control_train=SyntheticSpec(4000, seed),
        validation=SyntheticSpec(600, seed + 1),
        test=SyntheticSpec(2400, seed + 2),
    )


def draw(spec: SyntheticSpec) -> SyntheticImages:
    """Draw a synthetic set.

    Tones, classes and markers follow their shares exactly (rounded to whole images) and independently of place,
    size, rotation, shading and noise; the order of the images is random.

    Parameters
    ----------
    spec : SyntheticSpec
        What to draw.

    Returns
    -------
    SyntheticImages
    """
    scene, labels = _plan(spec)
    shape = (spec.images, spec.size, spec.size)
    images = np.empty((*shape, 3), dtype=np.uint8)
    objects = np.empty(shape, dtype=np.bool_)
    marked = np.empty(shape, dtype=np.bool_)
    stream = np.random.PCG64(np.random.SeedSequence([spec.seed, 1]))
    for rows in _chunks(spec.images):
        part = scene.rows(rows)
        covered = cover(part)
        objects[rows] = covered >= np.float32(0.5)
        marked[rows] = marker_mask(part)
        clean = paint(part, covered, marked[rows], spec.blur)
        images[rows] = expose(clean, part.tones, spec.noise, stream)
    return SyntheticImages(images, labels, scene.shapes, scene.tones, scene.markers, objects, marked, spec.class_names)


def _plan(spec: SyntheticSpec) -> tuple[Scene, Integers]:
    """Decide what each image shows, and the label it is given."""
    raw = np.random.PCG64(np.random.SeedSequence([spec.seed, 0])).random_raw(spec.images * WORDS)
    words = np.asarray(raw, dtype=np.uint64).reshape(spec.images, WORDS)
    tones = np.repeat(np.arange(len(TONES)), _quotas(spec.tone_weights, spec.images))
    shapes = np.arange(spec.images) % spec.classes
    markers = np.zeros(spec.images, dtype=np.bool_)
    for shape in range(spec.classes):
        members = np.flatnonzero(shapes == shape)
        rate = spec.marker_rates[shape % len(spec.marker_rates)]
        markers[members] = np.diff(np.floor(np.arange(len(members) + 1) * rate + 0.5)) > 0
    labels = shapes.copy()
    for tone, share in enumerate(spec.label_noise):
        members = np.flatnonzero(tones == tone)
        wrong = members[np.argsort(words[members, 12], kind="stable")][: round(share * len(members))]
        labels[wrong] = (labels[wrong] + 1 + below(words[wrong, 13], spec.classes - 1)) % spec.classes
    order = np.argsort(words[:, 0], kind="stable")
    return Scene(spec.size, shapes[order], tones[order], markers[order], words), labels[order]


def _within(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise InputError(f"{name} is {value}, allowed: {low} to {high}")


def _chunks(count: int) -> Iterator[slice]:
    return (slice(start, min(start + _CHUNK, count)) for start in range(0, count, _CHUNK))


def _quotas(weights: tuple[float, ...], count: int) -> Integers:
    """Whole numbers that add up to `count`, as near to the weights as can be (largest remainder)."""
    exact = [weight * count / math.fsum(weights) for weight in weights]
    quotas = np.array([math.floor(value) for value in exact])
    remainders = sorted(range(len(exact)), key=lambda place: (quotas[place] - exact[place], place))
    quotas[remainders[: count - int(quotas.sum())]] += 1
    return quotas


def write(sets: Mapping[str, SyntheticImages], folder: Path) -> Path:
    """Write drawn sets as PNG files with one manifest.

    Parameters
    ----------
    sets : mapping of str to SyntheticImages
        The name of each split and its images.
    folder : Path
        Folder to write into; must not exist or be empty. Gets ``images/``, ``regions/`` (label maps: 0 outside,
        1 object, 2 marker) and ``manifest.csv`` with the columns image, label, tone, marker, split, regions,
        and shape, the class that was drawn where label noise gave another label.

    Returns
    -------
    Path
        The manifest.

    Raises
    ------
    InputError
        The folder holds files already.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"'{folder}' exists and is not an empty folder", fix="name a new folder")
    for name in ("images", "regions"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    manifest = folder / "manifest.csv"
    with manifest.open("w", encoding="utf-8", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["image", "label", "tone", "marker", "split", "regions", "shape"])
        for split, content in sets.items():
            for place, regions in enumerate(content.region_maps()):
                name = f"{split}-{place:05d}.png"
                Image.fromarray(content.images[place]).save(folder / "images" / name, compress_level=1)
                Image.fromarray(regions).save(folder / "regions" / name, compress_level=1)
                table.writerow(_manifest_row(content, place, split, name))
    return manifest


def _manifest_row(content: SyntheticImages, place: int, split: str, name: str) -> list[str]:
    return [
        f"images/{name}",
        content.class_names[content.labels[place]],
        TONES[content.tones[place]],
        "present" if content.markers[place] else "absent",
        split,
        f"regions/{name}",
        content.class_names[content.shapes[place]],
    ]
