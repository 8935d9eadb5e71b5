"""captum as a second opinion on our maps: the deterministic methods that both have, and SmoothGrad on our noise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from captum import attr
from torch import nn

from audit.errors import InputError, ModelError
from audit.explanations.captum_networks import as_torch
from audit.explanations.crosscheck import Explain, Opinion
from audit.explanations.explainer import Explainer
from audit.explanations.path_methods import IntegratedGradients, SmoothGrad
from audit.explanations.perturbation_methods import Occlusion
from audit.models.adapter import ModelAdapter
from audit.models.torch_adapter import TorchAdapter

__all__ = ["opened"]


@contextmanager
def opened(
    adapter: ModelAdapter, method: str, explainer: Explainer | None = None, seed: int | None = None
) -> Iterator[Explain]:
    """Prepare the model for captum and put it back at the end.

    Parameters
    ----------
    adapter : ModelAdapter
        Of a PyTorch model.
    method : str
        ``saliency``, ``gradient_x_input``, ``grad_cam``, ``hires_cam``, ``integrated_gradients``, ``smooth_grad`` or
        ``occlusion``.
    explainer : Explainer, optional
        Our method, whose settings captum gets too; the defaults where it is left out.
    seed : int, optional
        Of our noise.

    Yields
    ------
    callable
        From an image ``(1, H, W, C)`` and its target to the map in our definition.

    Raises
    ------
    InputError
        The method is not among these.
    ModelError
        The model is not one of PyTorch, has no layer, or noise is needed and its seed is not given.
    """
    own = as_torch(adapter)
    if explainer is not None and explainer.provider == "captum":
        raise InputError(f"'{method}' is captum's own and cannot check itself")
    if method not in _METHODS:
        raise InputError(f"captum is not asked for the method '{method}', only for: {', '.join(_METHODS)}")
    if method in ("grad_cam", "hires_cam") and own.spec.layer is None:
        raise ModelError("the model has no layer for Grad-CAM")
    if method == "smooth_grad" and seed is None:
        raise ModelError("the seed of our noise is not given, and with other noise the maps cannot be compared")
    draw, note = _METHODS[method]
    with own.ready() as module, torch.enable_grad():

        def explain(image: np.ndarray, target: int) -> Opinion:
            inputs = own.tensor(image).requires_grad_()
            chosen = torch.tensor([target], device=inputs.device)
            found = draw(_View(own, module, explainer, seed or 0), inputs, chosen)
            return Opinion(found[0].detach().cpu().numpy(), note)

        yield explain


@dataclass(frozen=True)
class _View:
    """The model as captum's methods are given it; both functions take images and targets and give ``(N,)``."""

    adapter: TorchAdapter
    module: nn.Module
    settings: Explainer | None
    seed: int

    def score(self, images: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The explained score."""
        scores: torch.Tensor = self.module(images.clone())
        return self.adapter.select(scores, targets)

    def probability(self, images: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The target's probability, in double precision."""
        spec = self.adapter.spec
        values: torch.Tensor = self.module(images.clone()).double()
        if spec.score == "logit":
            values = values.softmax(dim=1) if spec.head == "softmax" else values.sigmoid()
        if spec.outputs == 1:
            values = torch.cat([1 - values, values], dim=1)
        return values.gather(1, targets[:, None])[:, 0]

    @property
    def layer(self) -> nn.Module:
        """Layer of the class activation maps."""
        return self.module.get_submodule(self.adapter.spec.layer or "")


Draw = Callable[[_View, torch.Tensor, torch.Tensor], torch.Tensor]  # image and target to (1, h, w)


def _saliency(view: _View, inputs: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    found: torch.Tensor = attr.Saliency(view.score).attribute(inputs, abs=True, additional_forward_args=chosen)
    return found.amax(dim=1)


def _gradient_x_input(view: _View, inputs: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    found: torch.Tensor = attr.InputXGradient(view.score).attribute(inputs, additional_forward_args=chosen)
    return found.sum(dim=1)


def _grad_cam(view: _View, inputs: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    method = attr.LayerGradCam(view.score, view.layer)
    found: torch.Tensor = method.attribute(inputs, additional_forward_args=chosen, relu_attributions=True)
    return found[:, 0]


def _hires_cam(view: _View, inputs: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    method = attr.LayerGradientXActivation(view.score, view.layer)
    found: torch.Tensor = method.attribute(inputs, additional_forward_args=chosen)
    return found.sum(dim=1).relu()


def _integrated_gradients(view: _View, inputs: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """Integrate over equal parts of the path, one first and then twice as many, until the sum is exact enough."""
    asked = view.settings if isinstance(view.settings, IntegratedGradients) else IntegratedGradients()
    method = attr.IntegratedGradients(view.score)
    base = torch.full_like(inputs, asked.baseline)
    with torch.no_grad():
        difference = float(view.score(inputs, chosen) - view.score(base, chosen))
    accepted = max(asked.tolerance * abs(difference), asked.floor)
    mean, panels = torch.zeros_like(inputs), 1
    while (2 * panels - 1) * asked.steps <= asked.max_steps:
        rule = torch.zeros_like(inputs)
        for part in range(panels):
            first, last = (base + (inputs - base) * (end / panels) for end in (part, part + 1))
            rule += method.attribute(
                last,
                first,
                additional_forward_args=chosen,
                n_steps=asked.steps,
                method="gausslegendre",
                internal_batch_size=view.adapter.micro_batch,
            ).detach()
        mean = mean + panels / (2 * panels - 1) * (rule - mean)
        if not abs(float(mean.double().sum()) - difference) > accepted:
            break
        panels *= 2
    return mean.sum(dim=1)


def _smooth_grad(view: _View, inputs: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    asked = view.settings if isinstance(view.settings, SmoothGrad) else SmoothGrad()
    shape = view.adapter.spec.input_shape
    noise = np.random.default_rng([view.seed, 1]).normal(size=(asked.copies, *shape))
    spread = asked.level * float(inputs.detach().max() - inputs.detach().min())
    total = torch.zeros_like(inputs)
    for one in noise:
        copy = (inputs + spread * view.adapter.tensor(one[None])).detach().requires_grad_()
        found = attr.Saliency(view.score).attribute(copy, abs=False, additional_forward_args=chosen)
        total += found.detach() / asked.copies
    return total.abs().amax(dim=1)


def _occlusion(view: _View, inputs: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    asked = view.settings if isinstance(view.settings, Occlusion) else Occlusion()
    channels, *size = inputs.shape[1:]
    windows = [min(asked.window or -(-min(size) // 8), side) for side in size]
    strides = [asked.stride or -(-window // 2) for window in windows]
    images = inputs.detach()
    hidden = images.mean(dim=(2, 3), keepdim=True) if asked.fill == "mean" else torch.zeros_like(images[..., :1, :1])
    method = attr.Occlusion(view.probability)
    method.use_weights = False  # captum divides by the number of windows in single precision
    with torch.no_grad():
        found: torch.Tensor = method.attribute(
            images,
            sliding_window_shapes=(channels, *windows),
            strides=(channels, *strides),
            baselines=hidden.expand_as(images),
            additional_forward_args=chosen,
            perturbations_per_eval=view.adapter.micro_batch,
        )
    over = [_covered(*sides) for sides in zip(size, windows, strides, strict=True)]
    return found[:, 0] / torch.from_numpy(np.outer(*over)).to(found)


def _covered(size: int, window: int, stride: int) -> np.ndarray:
    """``(size,)`` number of windows over each row or column of pixels."""
    starts = range(0, size - window + stride, stride)
    covered = np.zeros(size)
    for start in starts:
        covered[start : start + window] += 1
    return covered


_PATH = (
    "captum IntegratedGradients, gausslegendre, on equal parts of the path; further rules asked for and averaged by "
    "faircam, with our settings; its weights are in single precision"
)
_NOISE = (
    "captum Saliency, signed, at our noisy copies, since NoiseTunnel takes no noise; mean, absolute value and largest "
    "over channels taken by faircam"
)
_WINDOWS = (
    "captum Occlusion of the probability, with our windows and fill; divided by the number of windows by faircam, "
    "since captum does so in single precision"
)

_METHODS: dict[str, tuple[Draw, str]] = {
    "saliency": (_saliency, "captum Saliency, absolute; largest over channels taken by faircam"),
    "gradient_x_input": (_gradient_x_input, "captum InputXGradient; channels summed by faircam"),
    "grad_cam": (_grad_cam, "captum LayerGradCam; corrected: relu_attributions=True, map not resized"),
    "hires_cam": (_hires_cam, "captum LayerGradientXActivation; channels summed and ReLU taken by faircam"),
    "integrated_gradients": (_integrated_gradients, _PATH),
    "smooth_grad": (_smooth_grad, _NOISE),
    "occlusion": (_occlusion, _WINDOWS),
}
