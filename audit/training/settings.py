"""What a training takes and gives back: frozen records, no framework and no files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from audit.config import Augmentation, NetworkConfig, OptimiserConfig, TrainConfig
from audit.errors import InputError
from audit.models.networks import Arrays, NetworkArguments, initial_arrays

__all__ = ["EpochRecord", "FitResult", "Progress", "TrainingData", "TrainingResult", "TrainingSettings", "targets"]

Images = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class TrainingSettings:
    """The recipe, apart from the data; the fields are those of `TrainConfig`."""

    framework: Literal["torch", "keras"]
    network: NetworkConfig = field(default_factory=NetworkConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    augmentation: Augmentation = field(default_factory=Augmentation)
    epochs: int = 20
    batch_size: int = 32
    early_stopping: int | None = None
    device: str = "auto"
    threads: int = 2
    seed: int = 0

    @classmethod
    def from_config(cls, config: TrainConfig) -> TrainingSettings:
        """Take the recipe out of a configuration."""
        return cls(
            framework=config.framework,
            network=config.network,
            optimiser=config.optimiser,
            augmentation=config.augmentation,
            epochs=config.epochs,
            batch_size=config.batch_size,
            early_stopping=config.early_stopping,
            device=config.device,
            threads=config.threads,
            seed=config.seed,
        )

    def arguments(self, data: TrainingData) -> NetworkArguments:
        """Arguments of the network that suits the data."""
        height, width, channels = data.images.shape[1:]
        return NetworkArguments(
            num_classes=len(data.classes),
            input_shape=(height, width, channels),
            head=self.network.head,
            dropout=self.network.dropout,
        )

    def first_weights(self, data: TrainingData) -> Arrays:
        """First weights, the same for either framework."""
        return initial_arrays(self.network.architecture, self.arguments(data), self.seed)


@dataclass(frozen=True)
class TrainingData:
    """Images in the model's value range, with labels.

    Parameters
    ----------
    images, val_images : ndarray of float32, (N, H, W, C)
    labels, val_labels : ndarray of int64, (N,)
        Position in `classes`.
    classes : tuple of str
    balance : ndarray of int64, (N,), optional
        Key of each training image; every epoch draws evenly from the keys.

    Raises
    ------
    InputError
        Shapes do not fit, a set is empty, a label is out of range or a pixel is not finite.
    """

    images: Images
    labels: Integers
    val_images: Images
    val_labels: Integers
    classes: tuple[str, ...]
    balance: Integers | None = None

    def __post_init__(self) -> None:
        for name, images, labels in (
            ("training", self.images, self.labels),
            ("validation", self.val_images, self.val_labels),
        ):
            if images.ndim != 4 or images.dtype != np.float32:
                raise InputError(f"{name} images are {images.dtype} {images.shape}, needed: float32 (N, H, W, C)")
            if len(images) == 0 or labels.shape != (len(images),):
                raise InputError(f"{len(images)} {name} images and labels {labels.shape}: need one label an image")
            if labels.min() < 0 or labels.max() >= len(self.classes):
                raise InputError(f"{name} labels run to {labels.max()}, there are {len(self.classes)} classes")
            if not np.isfinite(images).all():
                raise InputError(f"{name} images hold values that are not finite")
        if self.images.shape[1:] != self.val_images.shape[1:]:
            raise InputError(
                f"training images are {self.images.shape[1:]}, validation images {self.val_images.shape[1:]}"
            )
        if len(self.classes) < 2:
            raise InputError(f"there is one class, {list(self.classes)}: nothing to tell apart")
        if self.balance is not None and self.balance.shape != self.labels.shape:
            raise InputError(f"balance has {len(self.balance)} keys for {len(self.labels)} images")


@dataclass(frozen=True)
class EpochRecord:
    """One epoch. Losses include the penalties; training figures are means over the epoch's own batches."""

    epoch: int
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float
    seconds: float


@dataclass(frozen=True)
class FitResult:
    """A trained network.

    Parameters
    ----------
    model : torch.nn.Module or keras.Model
    history : tuple of EpochRecord
    best_epoch : int
        Epoch whose weights the model holds, from 1.
    device : str
        Where it was trained.
    notes : tuple of str
        What could not be done as asked.
    """

    model: Any
    history: tuple[EpochRecord, ...]
    best_epoch: int
    device: str
    notes: tuple[str, ...] = ()


Progress = Callable[[EpochRecord], None]


@dataclass(frozen=True)
class TrainingResult:
    """A finished training.

    Parameters
    ----------
    fit : FitResult
        Model, history, best epoch, device.
    settings : TrainingSettings
    classes : tuple of str
    input_shape : tuple of int
        Height, width, channels.
    images : tuple of int
        Number of training and of validation images.
    notes : tuple of str
        In plain words: over-fitting, collapse, images left out.
    folder : Path or None
        Where the files are.
    """

    fit: FitResult
    settings: TrainingSettings
    classes: tuple[str, ...]
    input_shape: tuple[int, int, int]
    images: tuple[int, int]
    notes: tuple[str, ...]
    folder: Path | None = None

    @property
    def model(self) -> Any:
        """The trained network."""
        return self.fit.model


def targets(labels: Integers, outputs: int) -> Images:
    """What the output units should say.

    Parameters
    ----------
    labels : ndarray of int64, (N,)
    outputs : int
        1 (the second of two classes) or the number of classes.

    Returns
    -------
    ndarray of float32, (N, outputs)
        0 and 1.
    """
    if outputs == 1:
        return labels.astype(np.float32)[:, None]
    return np.eye(outputs, dtype=np.float32)[labels]
