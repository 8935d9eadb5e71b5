"""The training loop in PyTorch: plain, short, on batches from `batches`."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from audit.config import OptimiserConfig
from audit.errors import InputError, ModelError
from audit.models import torch_networks
from audit.models.transfer import from_arrays
from audit.training.batches import Batches
from audit.training.settings import EpochRecord, FitResult, Images, Progress, TrainingData, TrainingSettings, targets

__all__ = ["fit", "logits", "objective", "save"]

_EVALUATION_BATCH = 256


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
        The model on the CPU, in evaluation mode.

    Raises
    ------
    InputError
        The device does not exist.
    ModelError
        The loss is no longer finite.
    """
    torch.set_num_threads(settings.threads)
    device = _device(settings.device)
    arguments = settings.arguments(data)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        model = torch_networks.build(settings.network.architecture, **arguments.as_dict())
        from_arrays(model, settings.first_weights(data), settings.network.architecture, arguments)
        trainer = _Trainer(settings, model.to(device).to(memory_format=torch.channels_last), device)
        history, best_epoch = trainer.run(data, arguments.outputs, progress)
    trained = model.to("cpu").to(memory_format=torch.contiguous_format).eval()
    return FitResult(trained, history, best_epoch, str(device))


class _Trainer:
    """One network with its optimiser."""

    def __init__(self, settings: TrainingSettings, model: nn.Module, device: torch.device) -> None:
        self._settings = settings
        self._model = model
        self._device = device
        self._optimiser = _optimiser(settings.optimiser, model)
        self._kernels = [value for name, value in model.named_parameters() if value.ndim > 1]

    def run(self, data: TrainingData, outputs: int, progress: Progress | None) -> tuple[tuple[EpochRecord, ...], int]:
        """All epochs: the history, and the epoch (from 1) whose weights are left in the model."""
        settings = self._settings
        batches = Batches(
            data.images,
            targets(data.labels, outputs),
            batch_size=settings.batch_size,
            seed=settings.seed,
            augmentation=settings.augmentation,
            balance=data.balance,
        )
        val_targets = targets(data.val_labels, outputs)
        history: list[EpochRecord] = []
        best, weights = 0, {}
        for epoch in range(settings.epochs):
            start = time.perf_counter()
            loss, accuracy = self._epoch(batches, epoch)
            val_loss, val_accuracy = self._evaluate(data.val_images, val_targets)
            seconds = time.perf_counter() - start
            history.append(EpochRecord(epoch + 1, loss, accuracy, val_loss, val_accuracy, seconds))
            if progress is not None:
                progress(history[-1])
            if not np.isfinite(loss + val_loss):
                raise ModelError(f"the loss is not finite after epoch {epoch + 1}", fix="lower the learning rate")
            if settings.early_stopping is None:
                best = epoch
            elif epoch == 0 or val_loss < history[best].val_loss:
                best = epoch
                weights = {name: value.clone() for name, value in self._model.state_dict().items()}
            elif epoch - best >= settings.early_stopping:
                break
        if weights:
            self._model.load_state_dict(weights)
        return tuple(history), best + 1

    def _epoch(self, batches: Batches, epoch: int) -> tuple[float, float]:
        """Train on every batch once: mean loss and accuracy while training."""
        self._model.train()
        total = torch.zeros(2, dtype=torch.float64, device=self._device)
        count = 0
        for place in range(len(batches)):
            images, wanted = (self._tensor(array) for array in batches.batch(epoch, place))
            self._optimiser.zero_grad(set_to_none=True)
            logits = self._model(images)
            loss = self._loss(logits, wanted)
            loss.backward()  # type: ignore[no-untyped-call]
            self._optimiser.step()
            total += torch.stack([loss.detach(), _hits(logits.detach(), wanted).mean()]).double() * len(images)
            count += len(images)
        return float(total[0] / count), float(total[1] / count)

    @torch.no_grad()
    def _evaluate(self, images: Images, wanted: Images) -> tuple[float, float]:
        """Loss and accuracy with the network in evaluation mode."""
        self._model.eval()
        logits = torch.cat(
            [
                self._model(self._tensor(images[start : start + _EVALUATION_BATCH]))
                for start in range(0, len(images), _EVALUATION_BATCH)
            ]
        )
        goal = torch.from_numpy(wanted).to(self._device)
        return float(self._loss(logits, goal)), float(_hits(logits, goal).mean())

    def _loss(self, logits: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        network, optimiser = self._settings.network, self._settings.optimiser
        loss = objective(logits, wanted, network.head, network.loss)
        if optimiser.l1:
            loss = loss + optimiser.l1 * sum(kernel.abs().sum() for kernel in self._kernels)
        if optimiser.l2:
            loss = loss + optimiser.l2 * sum(kernel.square().sum() for kernel in self._kernels)
        return loss

    def _tensor(self, array: Images) -> torch.Tensor:
        tensor = torch.from_numpy(array).to(self._device)
        return tensor.permute(0, 3, 1, 2) if tensor.ndim == 4 else tensor


def objective(logits: torch.Tensor, wanted: torch.Tensor, head: str, loss: str) -> torch.Tensor:
    """Mean loss over a batch: cross-entropy, or mean squared error of the probabilities.

    Parameters
    ----------
    logits, wanted : Tensor, (N, outputs)
    head : str
        ``softmax`` or ``sigmoid``; under sigmoid, and for the squared error, also the mean over outputs.
    loss : str
        ``cross_entropy`` or ``mean_squared_error``.
    """
    if loss == "cross_entropy":
        if head == "softmax":
            return nn.functional.cross_entropy(logits, wanted)
        return nn.functional.binary_cross_entropy_with_logits(logits, wanted)
    probabilities = logits.softmax(dim=1) if head == "softmax" else logits.sigmoid()
    return nn.functional.mse_loss(probabilities, wanted)


def _hits(logits: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """1 for each image whose predicted class is the true one."""
    if logits.shape[1] == 1:
        return ((logits > 0) == (wanted > 0.5))[:, 0].float()
    return (logits.argmax(dim=1) == wanted.argmax(dim=1)).float()


def _optimiser(config: OptimiserConfig, model: nn.Module) -> torch.optim.Optimizer:
    """Adam or AdamW; epsilon as in the Keras loop. Weight decay is decoupled and on every weight."""
    if config.name == "adamw":
        return torch.optim.AdamW(
            model.parameters(), lr=config.learning_rate, eps=1e-7, weight_decay=config.weight_decay
        )
    return torch.optim.Adam(model.parameters(), lr=config.learning_rate, eps=1e-7)


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    number = name.removeprefix("cuda").removeprefix(":") or "0"
    if name != "cpu" and not (name.startswith("cuda") and number.isdigit()):
        raise InputError(f"device is '{name}', allowed: auto, cpu, cuda, cuda:N")
    if name != "cpu" and int(number) >= torch.cuda.device_count():
        raise InputError(f"device is '{name}', PyTorch sees {torch.cuda.device_count()} GPUs", fix="use auto or cpu")
    return torch.device(name)


def logits(model: nn.Module, images: Images) -> Images:
    """Logits of a network on the CPU in evaluation mode: float32, (N, outputs)."""
    parts = range(0, len(images), _EVALUATION_BATCH)
    with torch.no_grad():
        found = [model(torch.from_numpy(images[at : at + _EVALUATION_BATCH]).permute(0, 3, 1, 2)) for at in parts]
    scores: Images = torch.cat(found).numpy()
    return scores


def save(model: nn.Module, folder: Path) -> str:
    """Write ``model.safetensors`` into a folder; returns the file's name."""
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, folder / "model.safetensors")
    return "model.safetensors"
