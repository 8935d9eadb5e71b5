"""The training in Keras: `fit` over batches from `batches`, with Keras' own early stopping.

The network is trained on its logits, as in the PyTorch loop; what is saved ends in its head's activation.
"""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from audit.config import OptimiserConfig
from audit.errors import InputError, ModelError
from audit.models import keras_networks
from audit.models.transfer import from_arrays
from audit.training.batches import Batches
from audit.training.settings import EpochRecord, FitResult, Images, Progress, TrainingData, TrainingSettings, targets

__all__ = ["fit", "logits", "objective", "save"]


def fit(settings: TrainingSettings, data: TrainingData, progress: Progress | None = None) -> FitResult:
    """Train a network.

    Parameters
    ----------
    settings : TrainingSettings
    data : TrainingData
    progress : callable, optional
        Called with an `EpochRecord` after every epoch.

    Returns
    -------
    FitResult
        The model ends in its head's activation.

    Raises
    ------
    InputError
        The device does not exist.
    ModelError
        The loss is no longer finite.
    """
    notes = _prepare(settings.threads)
    device = _device(settings.device)
    arguments = settings.arguments(data)
    with tf.device(device):
        model = keras_networks.build(settings.network.architecture, **arguments.as_dict())
        from_arrays(model, settings.first_weights(data), settings.network.architecture, arguments)
        history, best_epoch = _run(settings, data, model, progress)
    return FitResult(model, history, best_epoch, _plain_name(device), notes)


def _run(
    settings: TrainingSettings, data: TrainingData, model: Any, progress: Progress | None
) -> tuple[tuple[EpochRecord, ...], int]:
    """All epochs: the history, and the epoch (from 1) whose weights are left in the model."""
    logits = keras.Model(model.input, model.get_layer("dense").output)
    _penalise(logits, settings.optimiser)
    for layer in logits.layers:
        if isinstance(layer, keras.layers.Dropout):
            layer.seed_generator.state.assign([settings.seed % 2**32, 0])
    head, loss = settings.network.head, settings.network.loss

    def mean_loss(wanted: Any, found: Any) -> Any:
        return objective(found, wanted, head, loss)

    logits.compile(optimizer=_optimiser(settings.optimiser), loss=mean_loss, metrics=[_accuracy], jit_compile=False)
    outputs = int(model.output_shape[-1])
    dataset = _Dataset(
        Batches(
            data.images,
            targets(data.labels, outputs),
            batch_size=settings.batch_size,
            seed=settings.seed,
            augmentation=settings.augmentation,
            balance=data.balance,
        )
    )
    recorder = _Recorder(dataset, progress)
    callbacks: list[Any] = [recorder]
    stopping = None
    if settings.early_stopping is not None:
        stopping = keras.callbacks.EarlyStopping(
            monitor="val_loss", mode="min", patience=settings.early_stopping, restore_best_weights=True
        )
        callbacks.append(stopping)
    logits.fit(
        dataset,
        epochs=settings.epochs,
        shuffle=False,
        verbose=0,
        callbacks=callbacks,
        validation_data=(data.val_images, targets(data.val_labels, outputs)),
        validation_batch_size=256,
    )
    best_epoch = len(recorder.history) if stopping is None else int(stopping.best_epoch) + 1
    return tuple(recorder.history), best_epoch


class _Dataset(keras.utils.PyDataset):  # type: ignore[misc]  # keras ships no types
    """The shared batches, as Keras takes them."""

    def __init__(self, batches: Batches) -> None:
        super().__init__(workers=1)
        self.batches = batches
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, place: int) -> tuple[Images, Images]:
        return self.batches.batch(self.epoch, place)


class _Recorder(keras.callbacks.Callback):  # type: ignore[misc]  # keras ships no types
    """Moves the data set to each epoch, keeps the history and stops at a loss that is not finite."""

    def __init__(self, dataset: _Dataset, progress: Progress | None) -> None:
        super().__init__()
        self.history: list[EpochRecord] = []
        self._dataset = dataset
        self._progress = progress
        self._start = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002
        self._dataset.epoch = epoch
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        values = {name: float(value) for name, value in (logs or {}).items()}
        record = EpochRecord(
            epoch + 1,
            values["loss"],
            values["accuracy"],
            values["val_loss"],
            values["val_accuracy"],
            time.perf_counter() - self._start,
        )
        self.history.append(record)
        if self._progress is not None:
            self._progress(record)
        if not math.isfinite(record.loss + record.val_loss):
            raise ModelError(f"the loss is not finite after epoch {epoch + 1}", fix="lower the learning rate")


def objective(logits: Any, wanted: Any, head: str, loss: str) -> Any:
    """Loss of each image: cross-entropy, or mean squared error of the probabilities.

    Parameters
    ----------
    logits, wanted : tensor, (N, outputs)
    head : str
        ``softmax`` or ``sigmoid``; under sigmoid, and for the squared error, the mean over outputs.
    loss : str
        ``cross_entropy`` or ``mean_squared_error``.

    Returns
    -------
    tensor, (N,)
    """
    if loss == "cross_entropy":
        if head == "softmax":
            return keras.losses.categorical_crossentropy(wanted, logits, from_logits=True)
        return keras.losses.binary_crossentropy(wanted, logits, from_logits=True)
    probabilities = keras.ops.softmax(logits) if head == "softmax" else keras.ops.sigmoid(logits)
    return keras.ops.mean(keras.ops.square(probabilities - wanted), axis=-1)


def _accuracy(wanted: Any, logits: Any) -> Any:
    """1 for each image whose predicted class is the true one."""
    ops = keras.ops
    if logits.shape[-1] == 1:
        hits = ops.equal(logits > 0, wanted > 0.5)[:, 0]
    else:
        hits = ops.equal(ops.argmax(logits, axis=-1), ops.argmax(wanted, axis=-1))
    return ops.cast(hits, "float32")


_accuracy.__name__ = "accuracy"  # under which Keras reports it


def _penalise(model: Any, config: OptimiserConfig) -> None:
    """Put L1 and L2 on the kernels for the time of training; the saved configuration stays free of them."""
    if not (config.l1 or config.l2):
        return
    for variable in model.trainable_variables:
        if variable.name == "kernel":
            variable.regularizer = keras.regularizers.L1L2(config.l1, config.l2)


def _optimiser(config: OptimiserConfig) -> Any:
    """Adam or AdamW; epsilon as in the PyTorch loop. Weight decay is decoupled and on every weight."""
    if config.name == "adamw":
        return keras.optimizers.AdamW(config.learning_rate, epsilon=1e-7, weight_decay=config.weight_decay)
    return keras.optimizers.Adam(config.learning_rate, epsilon=1e-7)


def _prepare(threads: int) -> tuple[str, ...]:
    """Set threads and GPU memory growth; a note where TensorFlow has started and refuses."""
    notes = []
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
        for gpu in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(gpu, True)
    except RuntimeError:
        found = tf.config.threading.get_intra_op_parallelism_threads()
        if found != threads:
            notes.append(f"TensorFlow was running already with {found or 'all'} threads; {threads} were asked for.")
    return tuple(notes)


def _device(name: str) -> str:
    gpus = len(tf.config.list_physical_devices("GPU"))
    if name == "auto":
        return "/GPU:0" if gpus else "/CPU:0"
    number = name.removeprefix("cuda").removeprefix(":") or "0"
    if name != "cpu" and not (name.startswith("cuda") and number.isdigit()):
        raise InputError(f"device is '{name}', allowed: auto, cpu, cuda, cuda:N")
    if name != "cpu" and int(number) >= gpus:
        raise InputError(f"device is '{name}', TensorFlow sees {gpus} GPUs", fix="use auto or cpu")
    return "/CPU:0" if name == "cpu" else f"/GPU:{number}"


def _plain_name(device: str) -> str:
    return "cpu" if device == "/CPU:0" else device.replace("/GPU", "cuda")


def logits(model: Any, images: Images) -> Images:
    """Logits of a network: float32, (N, outputs)."""
    network = keras.Model(model.input, model.get_layer("dense").output)
    parts = [network(images[at : at + 256], training=False).numpy() for at in range(0, len(images), 256)]
    return np.concatenate(parts)


def save(model: Any, folder: Path) -> str:
    """Write ``model.keras`` into a folder; returns the file's name."""
    model.save(folder / "model.keras")
    return "model.keras"
