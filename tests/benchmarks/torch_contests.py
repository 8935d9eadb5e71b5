"""Contestants in PyTorch: the bare passes, and captum in the settings that may be its fastest."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torchvision
from captum.attr import IntegratedGradients, NoiseTunnel, Occlusion, Saliency

from audit.models import torch_networks
from audit.models.adapter import ModelAdapter
from audit.models.loading import wrap_model
from tests.benchmarks.rounds import Contestant
from tests.benchmarks.settings import COPIES, NETWORKS, SIGMA, in_batches, noise, window

__all__ = ["bounds", "network", "rivals"]

_BATCHES = (32, 256)
_LAYOUTS = {"contiguous": torch.contiguous_format, "channels last": torch.channels_last}


def network(name: str, threads: int) -> tuple[torch.nn.Module, ModelAdapter]:
    """A network of `NETWORKS` and its adapter."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    _, size, classes, batch, *_ = NETWORKS[name]
    if name == "resnet18":
        model = torchvision.models.resnet18(weights=None)
        for part in model.modules():
            if isinstance(part, torch.nn.BatchNorm2d):
                part.momentum = 1.0
        with torch.no_grad():
            model(
                _layouts(noise(batch, size))["contiguous"]
            )  # without statistics of its own it computes next to nothing
    else:
        model = torch_networks.build("plain_cnn", num_classes=classes, input_shape=(size, size, 3))
    model = model.eval().requires_grad_(False)
    labels = [str(index) for index in range(classes)]
    return model, wrap_model(model, labels, input_shape=(size, size, 3), micro_batch=batch)


def bounds(model: torch.nn.Module, name: str, rows: int, back: bool) -> list[Contestant]:
    """The bare passes over that many rows, in either layout."""
    found = []
    size, batch = NETWORKS[name].size, NETWORKS[name].batch
    for layout, images in _layouts(noise(batch, size)).items():

        def forward(count: int, images: torch.Tensor = images) -> None:
            with torch.no_grad():
                model(images[:count])

        def both(count: int, images: torch.Tensor = images) -> None:
            inputs = images[:count].detach().requires_grad_()
            torch.autograd.grad(model(inputs)[:, 0].sum(), inputs)

        run: Callable[[int], None] = both if back else forward
        cost = rows * (2 if back else 1)
        found.append(Contestant(f"bound, {layout}", lambda run=run: in_batches(rows, batch, run), cost))
    return found


def rivals(method: str, model: torch.nn.Module, images: np.ndarray, targets: np.ndarray) -> dict[str, Contestant]:
    """The method of captum by setting; none for RISE, which it has not."""
    make = {"integrated_gradients": _integrated, "smooth_grad": _smooth, "occlusion": _occlusion}.get(method)
    if make is None:
        return {}
    found: dict[str, Contestant] = {}
    for layout, tensor in _layouts(images).items():
        for setting, each in make(model, tensor, torch.from_numpy(targets)).items():
            found[f"{setting}, {layout}"] = each
    return found


def _integrated(model: torch.nn.Module, images: torch.Tensor, targets: torch.Tensor) -> dict[str, Contestant]:
    def run(at_once: int) -> np.ndarray:
        found = IntegratedGradients(model).attribute(
            images, target=targets, n_steps=COPIES, method="gausslegendre", internal_batch_size=at_once
        )
        return found.sum(dim=1).detach().numpy()

    cost = 2 * COPIES * len(images)
    return {
        f"internal batch {at_once}": Contestant(
            "captum IntegratedGradients", lambda at_once=at_once: run(at_once), cost
        )
        for at_once in _BATCHES
    }


def _smooth(model: torch.nn.Module, images: torch.Tensor, targets: torch.Tensor) -> dict[str, Contestant]:
    def run(at_once: int) -> np.ndarray:
        found = NoiseTunnel(Saliency(model)).attribute(
            images.clone().requires_grad_(),
            nt_type="smoothgrad",
            nt_samples=COPIES,
            nt_samples_batch_size=at_once,
            stdevs=SIGMA,
            target=targets,
            abs=False,
        )
        return found.sum(dim=1).detach().numpy()

    cost = 2 * COPIES * len(images)
    return {
        f"{at_once} samples at once": Contestant(
            "captum NoiseTunnel(Saliency)", lambda at_once=at_once: run(at_once), cost
        )
        for at_once in (1, 2, 4, COPIES)
    }


def _occlusion(model: torch.nn.Module, images: torch.Tensor, targets: torch.Tensor) -> dict[str, Contestant]:
    side, step, windows = window(images.shape[2])

    def probabilities(inputs: torch.Tensor) -> torch.Tensor:
        return torch.softmax(model(inputs), dim=1)

    def run(at_once: int) -> np.ndarray:
        with torch.no_grad():
            found = Occlusion(probabilities).attribute(
                images,
                sliding_window_shapes=(3, side, side),
                strides=(3, step, step),
                target=targets,
                perturbations_per_eval=at_once,
            )
        return found[:, 0].numpy()

    cost = len(images) * (windows + 1)  # it takes the whole image too
    return {
        f"{at_once} windows at once": Contestant("captum Occlusion", lambda at_once=at_once: run(at_once), cost)
        for at_once in sorted({max(1, batch // len(images)) for batch in _BATCHES} | {min(_BATCHES)})
    }


def _layouts(images: np.ndarray) -> dict[str, torch.Tensor]:
    first = torch.from_numpy(images).permute(0, 3, 1, 2)
    return {layout: first.clone(memory_format=memory) for layout, memory in _LAYOUTS.items()}
