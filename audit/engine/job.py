"""What a worker is told: the model, the images, the classes and the methods. Small and picklable."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import pandas as pd

from audit.config import (
    AuditConfig,
    ConceptConfig,
    EmbeddingsConfig,
    ExplanationsConfig,
    InterventionsConfig,
    ModelConfig,
    Preprocessing,
    QualityConfig,
    RobustnessConfig,
)
from audit.data.images import Decoded, decode, decode_pixels, decode_regions, scaled
from audit.data.manifest import Dataset
from audit.engine.guard import Guard, Kind, Suspect
from audit.errors import ConfigError, nearest

__all__ = ["FileSource", "ImageSource", "Job", "OutputMap"]

Read = TypeVar("Read")


class ImageSource(Protocol):
    """Where a worker gets images from."""

    @property
    def rows(self) -> pd.DataFrame:
        """Rows of the dataset, as in `audit.data.manifest.Dataset.rows`."""
        ...

    def read(self, position: int) -> Decoded:
        """Read the image of one row."""
        ...

    def pixels(self, position: int) -> np.ndarray | Decoded:
        """Bytes of one image before scaling, ``(H, W, C)`` uint8, or the reason why there are none."""
        ...

    def array(self, pixels: np.ndarray) -> np.ndarray:
        """``(H, W, C)`` float32 in the model's value range from such bytes."""
        ...

    def regions(self, position: int) -> np.ndarray | Decoded | None:
        """Region map of one row ``(H, W)`` uint8, the reason why there is none, or None without maps."""
        ...


@dataclass(frozen=True)
class FileSource:
    """Images in files or in a store, decoded and preprocessed one by one.

    Attributes
    ----------
    dataset : Dataset
    preprocessing : Preprocessing
    max_pixels : int
    guard : Guard or None
        Told of every image while it is read.
    kind : str
        What the guard calls these images.
    """

    dataset: Dataset
    preprocessing: Preprocessing
    max_pixels: int
    guard: Guard | None = None
    kind: Kind = "images"

    @property
    def rows(self) -> pd.DataFrame:
        """Rows of the dataset."""
        return self.dataset.rows

    def read(self, position: int) -> Decoded:
        """Decode one image."""
        path = self.dataset.path(position)
        return self._guarded(
            Suspect(self.kind, position),
            lambda: decode(self.dataset.place, path, self.preprocessing, self.max_pixels),
        )

    def pixels(self, position: int) -> np.ndarray | Decoded:
        """Decode one image as far as to bytes."""
        path = self.dataset.path(position)
        return self._guarded(
            Suspect(self.kind, position),
            lambda: decode_pixels(self.dataset.place, path, self.preprocessing, self.max_pixels),
        )

    def array(self, pixels: np.ndarray) -> np.ndarray:
        """Scale bytes."""
        return scaled(pixels, self.preprocessing)

    def regions(self, position: int) -> np.ndarray | Decoded | None:
        """Decode one region map."""
        path = self.dataset.rows["region_path"].iloc[position]
        if pd.isna(path):
            return None
        return self._guarded(
            Suspect("regions", position),
            lambda: decode_regions(self.dataset.root, str(path), self.preprocessing, self.max_pixels),
        )

    def _guarded(self, what: Suspect, read: Callable[[], Read]) -> Read | Decoded:
        if self.guard is None:
            return read()
        why = self.guard.refused.get(what)
        if why is not None:
            return Decoded("ended_worker", detail=why)
        with self.guard.reading(what):
            return read()


@dataclass(frozen=True)
class OutputMap:
    """From the model's own classes to the classes of the data.

    Attributes
    ----------
    own : tuple of str
        The model's classes in output order.
    classes : tuple of str
        The classes of the audit.
    code : tuple of int
        For each of the model's classes the index of its class in `classes`.
    """

    own: tuple[str, ...]
    classes: tuple[str, ...]
    code: tuple[int, ...]

    @staticmethod
    def build(model: ModelConfig, classes: tuple[str, ...]) -> OutputMap:
        """Check a model's `classes` and `outputs` against the classes of the audit.

        Raises
        ------
        ConfigError
            An output names an unknown class, a class is mapped twice or not at all.
        """
        own = model.classes or classes
        where = f"models.{model.name}"
        if model.outputs is None:
            if set(own) != set(classes):
                raise ConfigError(
                    f"its classes are {list(own)}, the audit's are {list(classes)}",
                    where=where,
                    fix="say with 'outputs' which of the model's classes make up each class of the data",
                )
            return OutputMap(own, classes, tuple(classes.index(name) for name in own))
        return OutputMap(own, classes, _mapped(model.outputs, own, classes, where))

    def probabilities(self, own: np.ndarray) -> np.ndarray:
        """Sum the model's probabilities ``(N, K)`` over the mapped classes."""
        summed = np.zeros((len(own), len(self.classes)))
        np.add.at(summed.T, list(self.code), np.asarray(own, np.float64).T)
        return summed

    def own_target(self, labels: Sequence[str]) -> np.ndarray:
        """Index of the model's own class for each label, for ``target: label``.

        Raises
        ------
        ConfigError
            A label is made of several of the model's classes.
        """
        places = {name: [k for k, code in enumerate(self.code) if self.classes[code] == name] for name in self.classes}
        for name in set(labels):
            if len(places[name]) != 1:
                raise ConfigError(
                    f"target 'label' needs one model class for '{name}', it has {len(places[name])}",
                    where="explanations.target",
                    fix="use 'predicted'",
                )
        return np.array([places[label][0] for label in labels], np.int64)


def _mapped(
    outputs: Mapping[str, tuple[str, ...] | str], own: tuple[str, ...], classes: tuple[str, ...], where: str
) -> tuple[int, ...]:
    code: dict[str, int] = {}
    rest = [name for name, parts in outputs.items() if parts == "rest"]
    if len(rest) > 1:
        raise ConfigError(f"'outputs' says 'rest' for {rest}; one class may have the rest", where=where)
    for name, parts in outputs.items():
        for part in () if isinstance(parts, str) else parts:
            if part not in own:
                raise ConfigError(
                    f"'outputs.{name}' names '{part}', which the model does not have.{nearest(part, own)}",
                    where=where,
                )
            if part in code:
                raise ConfigError(f"'outputs' maps '{part}' more than once", where=where)
            code[part] = classes.index(name)
    for part in own:
        if part not in code and not rest:
            raise ConfigError(
                f"'outputs' leaves out the model's class '{part}'",
                where=where,
                fix="map it, or give one class 'rest'",
            )
    return tuple(code.get(part, classes.index(rest[0]) if rest else -1) for part in own)


@dataclass(frozen=True)
class Job:
    """Everything but the adapter that a worker needs for one model.

    Attributes
    ----------
    run : Path
        Run folder.
    fingerprint : str
        Of the plan.
    model : str
        Name of the model.
    source : ImageSource
    outputs : OutputMap
    explanations : ExplanationsConfig
    regions : dict of int to str
        Name of each value of the region maps.
    micro_batch : int
    sample : sequence of int
        Positions of the explained images; empty until every model has predicted.
    embeddings, robustness : EmbeddingsConfig, RobustnessConfig or None
    seed : int
        Of the fixed samples and the projection.
    members : ImageSource or None
        The model's training images.
    quality : QualityConfig or None
    interventions : InterventionsConfig or None
    concepts : tuple of ConceptConfig
    positive : str or None
        Class of the binary criteria.
    looks : bool
        Whether it is noted what each image looks like, `audit.data.looks`.
    ahead : bool
        Whether a thread reads the next micro-batch while one is worked on; changes no number.
    """

    run: Path
    fingerprint: str
    model: str
    source: ImageSource
    outputs: OutputMap
    explanations: ExplanationsConfig
    regions: dict[int, str]
    micro_batch: int
    sample: Sequence[int] = ()
    embeddings: EmbeddingsConfig | None = None
    robustness: RobustnessConfig | None = None
    seed: int = 0
    members: ImageSource | None = None
    quality: QualityConfig | None = None
    interventions: InterventionsConfig | None = None
    concepts: tuple[ConceptConfig, ...] = ()
    positive: str | None = None
    looks: bool = False
    ahead: bool = True

    @staticmethod
    def build(
        config: AuditConfig, model: str, source: ImageSource, outputs: OutputMap, members: ImageSource | None = None
    ) -> Job:
        """What the configuration asks of one model; where to commit is said later."""
        return Job(
            run=Path(),
            fingerprint="",
            model=model,
            source=source,
            outputs=outputs,
            explanations=config.explanations,
            regions=config.data.regions.names if config.data.regions else {},
            micro_batch=config.execution.micro_batch,
            embeddings=config.embeddings,
            robustness=config.robustness,
            seed=config.seed,
            members=members,
            quality=config.quality,
            interventions=config.interventions,
            concepts=config.concepts,
            positive=config.positive,
            looks=config.data.look_alikes is not None,
        )
