"""The call for notebooks: audit a model and images that are already in memory."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from audit.config import AuditConfig, parse_config
from audit.console import Bars
from audit.data.images import Decoded
from audit.data.manifest import MISSING, Dataset, fingerprint
from audit.engine.crew import InlineCrew
from audit.engine.job import Job, OutputMap
from audit.engine.labels import audit_classes, check_labels
from audit.engine.station import describe
from audit.engine.worker import Worker
from audit.errors import InputError
from audit.models.loading import wrap_model
from audit.pipeline import check_folder, execute, silent
from audit.preflight import Preflight, check_population, data_notes, make_plan, versions
from audit.recorded import recorded
from audit.run import Run
from audit.run.files import sha256_bytes

__all__ = ["audit"]

_MEMORY = "(in memory)"


@dataclass(frozen=True)
class ArraySource:
    """Images in an array, in the model's own value range."""

    table: pd.DataFrame
    images: np.ndarray
    region_maps: np.ndarray | None
    low: float
    high: float

    @property
    def rows(self) -> pd.DataFrame:
        """Rows of the dataset."""
        return self.table

    def read(self, position: int) -> Decoded:
        """One image, with a picture scaled from the value range of the whole set."""
        array = np.asarray(self.images[position], np.float32)
        share = np.nan_to_num((array - self.low) / max(self.high - self.low, 1e-12))
        scaled = (np.clip(share, 0, 1) * 255).astype(np.uint8)
        picture = Image.fromarray(scaled[:, :, 0] if scaled.shape[2] == 1 else scaled[:, :, :3]).convert("RGB")
        return Decoded("ok", array, str(self.table["sha256"].iloc[position]), picture=picture)

    def pixels(self, position: int) -> np.ndarray | Decoded:
        """One image as bytes, scaled from the value range of the whole set."""
        array = np.asarray(self.images[position], np.float64)
        if not np.isfinite(array).all():
            return Decoded("unsupported", detail="holds values that are not finite, so it was not corrupted")
        if array.shape[2] not in (1, 3):
            return Decoded("unsupported", detail=f"has {array.shape[2]} channels; corruptions are for 1 or 3")
        return np.rint((array - self.low) / max(self.high - self.low, 1e-12) * 255).astype(np.uint8)

    def array(self, pixels: np.ndarray) -> np.ndarray:
        """Bytes in the value range of the whole set."""
        return (self.low + pixels.astype(np.float64) / 255 * (self.high - self.low)).astype(np.float32)

    def regions(self, position: int) -> np.ndarray | None:
        """Region map of one image."""
        return None if self.region_maps is None else np.asarray(self.region_maps[position], np.uint8)


def audit(
    model: Any,
    images: np.ndarray,
    labels: Sequence[str],
    groups: pd.DataFrame | Mapping[str, Sequence[Any]] | None = None,
    *,
    clusters: Sequence[Any] | None = None,
    regions: np.ndarray | None = None,
    out: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    progress: bool = True,
) -> Run:
    """Audit a model that is in memory on images that are in memory.

    Parameters
    ----------
    model : torch.nn.Module, keras.Model or callable
        A callable takes ``(N, H, W, C)`` float32 and gives ``(N, K)`` scores; it gets no gradient maps.
    images : ndarray
        ``(N, H, W, C)``, floating point, exactly as the model expects them but channels last.
    labels : sequence of str
        True class of each image.
    groups : DataFrame or mapping, optional
        One column an attribute, one row an image.
    clusters : sequence, optional
        Person or thing that each image shows.
    regions : ndarray, optional
        ``(N, H, W)`` label maps; name their values under ``regions`` in `settings`.
    out : path, optional
        Run folder; a temporary one by default.
    settings : mapping, optional
        Keys as in `audit.yaml`: `name`, `positive`, `explanations`, `embeddings`, `robustness`, `execution`, `seed`;
        `intersections`, `population` and `regions` (``{names, should_not_matter}``); of the model `classes`,
        `outputs`, `head`, `score` and `layer`.
    progress : bool
        Whether to show bars.

    Returns
    -------
    Run

    Raises
    ------
    InputError
        Lengths differ, images are not ``(N, H, W, C)`` floats, or a setting is not allowed.

    Examples
    --------
    >>> import numpy as np
    >>> from audit import audit
    >>> from audit.models.numpy_adapter import NumpyAdapter
    >>> rng = np.random.default_rng(0)
    >>> weights = {"W1": np.eye(3), "b1": np.zeros(3), "W2": rng.normal(size=(3, 2)), "b2": np.zeros(2)}
    >>> images = rng.random((40, 8, 8, 3), np.float32)
    >>> model = NumpyAdapter(weights, (8, 8, 3), ("no", "yes"))
    >>> run = audit(model, images, ["no", "yes"] * 20, progress=False)
    >>> run.complete
    True
    """
    _check_images(images, labels)
    config = _config(dict(settings or {}), groups, clusters, regions)
    dataset = _dataset(config, images, labels, groups, clusters, regions)
    classes = audit_classes(config, dataset)
    check_labels(dataset, classes, "labels")
    check_population(config, dataset)
    (entry,) = config.models
    outputs = OutputMap.build(entry, classes)
    adapter = wrap_model(
        model,
        outputs.own,
        input_shape=tuple(images.shape[1:]),
        head=entry.head,
        score=entry.score,
        layer=entry.layer,
        micro_batch=config.execution.micro_batch,
    )
    content = {
        "config": recorded(config, Path.cwd()),
        "data": dataset.fingerprint,
        "models": {entry.name: None},
        "policy": None,
        "versions": versions(config),
    }
    plan = make_plan(config, len(dataset), content)
    checked = Preflight(config, Path(), dataset, classes, plan, None, notes=data_notes(dataset))
    folder = Path(out) if out is not None else Path(tempfile.mkdtemp(prefix="faircam-")) / "run"
    check_folder(folder, checked.plan, resume=False)
    finite = images[np.isfinite(images)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    source = ArraySource(dataset.rows, images, regions, low, high)
    job = Job.build(config, entry.name, source, outputs)
    crew = InlineCrew(Worker(job, adapter), describe(adapter.spec))
    try:
        with Bars() if progress else nullcontext() as bars:
            tell = bars.update if bars else silent
            return execute(checked, {entry.name: crew}, folder, {"in_memory": True}, tell)
    finally:
        crew.close()


def _check_images(images: np.ndarray, labels: Sequence[str]) -> None:
    if not isinstance(images, np.ndarray) or images.ndim != 4 or not np.issubdtype(images.dtype, np.floating):
        kind = f"{images.dtype} {images.shape}" if isinstance(images, np.ndarray) else type(images).__name__
        raise InputError(
            f"images are {kind}, allowed: a floating-point array (N, H, W, C) in the model's value range",
            fix="scale them as in training, and move the channels last",
        )
    _same_length("labels", labels, images)


def _same_length(name: str, values: Any, images: np.ndarray) -> None:
    if len(values) != len(images):
        raise InputError(f"{name} has {len(values)} entries for {len(images)} images")


def _config(settings: dict[str, Any], groups: Any, clusters: Any, regions: Any) -> AuditConfig:
    """Settings as an `AuditConfig`, so that they are checked and recorded as those of a file are."""
    own = ("classes", "outputs", "head", "score", "layer")
    data: dict[str, Any] = {
        "manifest": _MEMORY,
        "groups": [str(name) for name in groups] if groups is not None else [],
    }
    data["intersections"] = settings.pop("intersections", [])
    data["population"] = settings.pop("population", {})
    if clusters is not None:
        data["cluster"] = "cluster"
    if regions is not None:
        data["regions"] = {"column": "regions", **settings.pop("regions", {})}
    entry = {"name": "model", "framework": "memory"}
    entry |= {key: settings.pop(key) for key in own if key in settings}
    return parse_config(AuditConfig, {"name": "audit", **settings, "data": data, "models": [entry]}, where="settings")


def _dataset(
    config: AuditConfig, images: np.ndarray, labels: Sequence[str], groups: Any, clusters: Any, regions: Any
) -> Dataset:
    names = [f"{position:06d}" for position in range(len(images))]
    rows = pd.DataFrame({"image_id": names, "path": [f"{_MEMORY}/{name}" for name in names]})
    rows["label"] = [str(label) for label in labels]
    rows["split"] = None
    rows["cluster"] = None if clusters is None else [str(cluster) for cluster in clusters]
    for attribute in config.data.groups:
        values = groups[attribute.column]
        _same_length(f"groups['{attribute.column}']", values, images)
        rows[f"attr_{attribute.name}"] = [MISSING if pd.isna(value) else str(value) for value in values]
    if regions is not None:
        _same_length("regions", regions, images)
    rows["region_path"] = None
    rows["sha256"] = [sha256_bytes(np.ascontiguousarray(image).tobytes()) for image in images]
    return Dataset(rows, tuple(sorted(set(rows["label"]))), Path(), config.data.groups, fingerprint(rows))
