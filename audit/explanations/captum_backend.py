"""captum's gradient rules on the model under audit: DeepLift, guided backpropagation, LRP, GradientSHAP.

They run on a copy of the module, in micro-batches, each image with its own target; what the rules do not fit is
refused first, see `captum_rules`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from captum.attr import LRP, DeepLift, GradientShap, GuidedBackprop
from captum.attr._utils.lrp_rules import EpsilonRule, GammaRule, PropagationRule
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from audit.explanations.captum_networks import Trace, as_torch, copied, trace
from audit.explanations.captum_rules import leaves, refuse
from audit.models.adapter import ModelAdapter
from audit.models.torch_adapter import TorchAdapter

__all__ = ["deep_lift", "gradient_shap", "guided_backpropagation", "lrp", "seeded"]

Run = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

_AT_ONCE = 16  # noisy copies of an image; fixed, so that the draws do not depend on the micro-batch


def deep_lift(adapter: ModelAdapter, images: np.ndarray, targets: np.ndarray, baseline: float) -> np.ndarray:
    """``(N, H, W, C)`` contributions of the difference to a constant baseline, by the rescale rule.

    A forward and a backward pass of image and baseline: 4 forward-equivalents an image.
    """
    own = as_torch(adapter)
    refuse(own, "deep_lift", "DeepLift")
    with copied(own) as network, _quiet():
        method = DeepLift(_Explained(network, own))

        def run(inputs: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
            return _tensor(method.attribute(inputs, baseline, additional_forward_args=(chosen,)))

        return _collected(own, (images, targets), run, 4)


def guided_backpropagation(adapter: ModelAdapter, images: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """``(N, H, W, C)`` input gradient without what is negative behind any ReLU; 2 forward-equivalents an image."""
    own = as_torch(adapter)
    refuse(own, "guided_backpropagation", "Guided backpropagation")
    with copied(own) as network, _quiet():
        method = GuidedBackprop(_Explained(network, own))

        def run(inputs: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
            return _tensor(method.attribute(inputs, additional_forward_args=(chosen,)))

        return _collected(own, (images, targets), run, 2)


def lrp(adapter: ModelAdapter, images: np.ndarray, targets: np.ndarray, epsilon: float, gamma: float) -> np.ndarray:
    """``(N, H, W, C)`` relevance of the explained score; 3 forward-equivalents an image.

    Batch normalisation is folded into the convolution before it. Convolutions whose input is never negative have the
    gamma rule, other layers the epsilon rule. captum asks a rule of `nn.Flatten`: one that leaves the gradient of a
    change of shape alone, which is the relevance in its new shape.
    """
    own = as_torch(adapter)
    refuse(own, "lrp", "LRP")
    with copied(own, own_weights=True) as network:
        folded = _folded(network, trace(own, network, leaves))
        positive = {call.name for call in trace(own, folded, leaves).calls if call.positive}
        outputs = own.spec.outputs
        method = LRP(folded)

        def run(inputs: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
            for name, part in folded.named_modules():
                _set_rule(part, epsilon, gamma if name in positive else 0.0)
            if outputs > 1:
                return _tensor(method.attribute(inputs, target=chosen))
            relevance = _tensor(method.attribute(inputs, target=torch.zeros_like(chosen)))
            return torch.where(chosen == 1, 1.0, -1.0)[:, None, None, None].to(relevance) * relevance

        return _collected(own, (images, targets), run, 3)


def gradient_shap(
    adapter: ModelAdapter, images: np.ndarray, targets: np.ndarray, draws: tuple[int, float, float], seed: int
) -> np.ndarray:
    """``(N, H, W, C)`` mean of gradient times difference at random places between a baseline and noisy copies.

    Parameters
    ----------
    adapter : ModelAdapter
    images, targets : ndarray
    draws : tuple
        Samples, constant baseline, and the noise's standard deviation as a share of the image's range.
    seed : int
        Of the places and the noise, which are the same for every image. On a GPU the noise is another one.
    """
    own = as_torch(adapter)
    samples, baseline, level = draws
    with own.ready() as module, torch.enable_grad():

        def forward(inputs: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
            return own.select(module(inputs.clone()), chosen)

        method = GradientShap(forward)

        def run(inputs: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
            total = torch.zeros_like(inputs)
            base = torch.full_like(inputs[:1], baseline)
            for index in range(len(inputs)):
                image = slice(index, index + 1)
                spread = level * float(inputs.detach()[image].max() - inputs.detach()[image].min())
                with seeded(seed, inputs.device):
                    for start in range(0, samples, _AT_ONCE):
                        count = min(_AT_ONCE, samples - start)
                        options = {"n_samples": count, "stdevs": spread, "additional_forward_args": (chosen[image],)}
                        found = _tensor(method.attribute(inputs[image], base, **options))
                        total[image] += count / samples * found.detach()
            return total

        return _collected(own, (images, targets), run, 2 * samples)


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed the global generators that captum draws from, and put them back as they were."""
    devices = [device] if device.type == "cuda" else []
    before = np.random.get_state()  # noqa: NPY002 - captum draws from NumPy's global generator
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        try:
            yield
        finally:
            np.random.set_state(before)  # noqa: NPY002


class _Explained(nn.Module):
    """A network that gives the explained score of each image, ``(N,)``."""

    def __init__(self, network: nn.Module, adapter: TorchAdapter) -> None:
        super().__init__()
        self.network = network
        self._select = adapter.select

    def forward(self, images: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return self._select(self.network(images.clone()), targets)


class _PassOn(PropagationRule):  # type: ignore[misc]
    """No rule: the gradient of a change of shape is the relevance in its old shape."""

    def forward_hook(self, module: Any, inputs: Any, outputs: Any) -> None:
        pass

    def forward_hook_weights(self, module: Any, inputs: Any, outputs: Any) -> None:
        pass

    def forward_pre_hook_activations(self, module: Any, inputs: Any) -> None:
        pass

    def _manipulate_weights(self, module: Any, inputs: Any, outputs: Any) -> None:
        pass


def _set_rule(part: nn.Module, epsilon: float, gamma: float) -> None:
    """Give a module its rule; captum takes all rules away after each run, but for the activations it kept."""
    vars(part).pop("activations", None)
    if isinstance(part, nn.Flatten | nn.Identity | nn.Dropout2d):
        part.rule = _PassOn()
    elif isinstance(part, nn.Conv2d) and gamma > 0:
        rule = GammaRule(gamma)
        rule.STABILITY_FACTOR = epsilon
        part.rule = rule
    elif leaves(part) and not isinstance(part, nn.ReLU | nn.Dropout | nn.Tanh):
        part.rule = EpsilonRule(epsilon)


def _folded(network: nn.Module, found: Trace) -> nn.Module:
    """The network, a chain, with batch normalisation folded into the convolution right before it."""
    for before, after in zip(found.calls, found.calls[1:], strict=False):
        convolution, norm = before.module, after.module
        if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d) and after.follows(before):
            network.set_submodule(before.name, fuse_conv_bn_eval(convolution, norm))
            network.set_submodule(after.name, nn.Identity())
    return network


def _collected(adapter: TorchAdapter, data: tuple[np.ndarray, np.ndarray], run: Run, cost: float) -> np.ndarray:
    """``(N, H, W, C)`` what `run` gives for each micro-batch."""
    images, targets = data
    found = np.zeros_like(images)

    def rows(part: slice) -> None:
        inputs = adapter.tensor(images[part]).requires_grad_()
        chosen = torch.from_numpy(targets[part]).to(inputs.device)
        found[part] = run(inputs, chosen).detach().permute(0, 2, 3, 1).cpu().numpy()

    adapter.in_micro_batches(len(images), rows, cost)
    return found


def _tensor(found: Any) -> torch.Tensor:
    if not isinstance(found, torch.Tensor):
        raise TypeError(f"captum gave {type(found).__name__}, expected a tensor")
    return found


@contextmanager
def _quiet() -> Iterator[None]:
    """Without captum's remark that it sets hooks."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Setting (forward, )?backward hooks", category=UserWarning)
        yield
