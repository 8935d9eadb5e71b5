"""The seam for PyTorch modules: one forward and one backward pass by `torch.autograd.grad`.

Reading weights and building architectures is in `torch_loading`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from audit.errors import ModelError
from audit.models.adapter import ALL_CAPABILITIES, CamKind, GradientPass, LayerPass, ModelSpec, Weights
from audit.models.cams import TensorOps, combine
from audit.models.checks import check_layers, check_outputs, looks_like_probabilities, noise_images
from audit.models.chunked import ChunkedAdapter
from audit.models.layer_choice import channels_of, choose_layer, layer_infos
from audit.models.rows import CopyRows, MaskRows
from audit.models.torch_tracing import Call, find_head, to_record
from audit.models.torch_weights import read_weights, write_weights

__all__ = ["TorchAdapter"]

_ENDS = {"Softmax": "softmax", "LogSoftmax": "softmax", "Sigmoid": "sigmoid", "LogSigmoid": "sigmoid"}


class TorchAdapter(ChunkedAdapter):
    """A PyTorch module behind the seam.

    Every pass runs with the module in evaluation mode and its parameters frozen; both are put
    back afterwards, so a module in memory leaves the audit as it came.

    Parameters
    ----------
    module : torch.nn.Module
        Takes ``(N, C, H, W)`` and returns ``(N, K)``. One that ends in a softmax or sigmoid module
        is cut before it.
    classes : sequence of str
        In output order.
    input_shape : tuple of int
        ``(H, W, C)``.
    head : str
        ``softmax`` or ``sigmoid``.
    score : str
        What the module's last layer gives: ``auto``, ``logit`` or ``probability``.
    layer : str, optional
        Layer of Grad-CAM; found when left out.
    dtype : str
        ``float32`` or ``float64``; the latter works on a copy of the module.
    micro_batch : int
        Images that pass through the model at once.
    where : str, optional
        Names the model in errors.
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        classes: Sequence[str],
        input_shape: tuple[int, int, int],
        head: Literal["softmax", "sigmoid"] = "softmax",
        score: Literal["auto", "logit", "probability"] = "auto",
        layer: str | None = None,
        dtype: str = "float32",
        micro_batch: int = 32,
        where: str | None = None,
    ) -> None:
        self.module = copy.deepcopy(module).double() if dtype == "float64" else module
        self.micro_batch = micro_batch
        self._dtype = getattr(torch, dtype)
        self._cut: nn.Module | None = None
        self._is_ready = False
        self._device = next((tensor.device for tensor in self.module.parameters()), torch.device("cpu"))
        calls, output = self._trace(input_shape, where)
        records = [to_record(call) for call in calls]
        self._layers = layer_infos(records)
        self._head = find_head(calls)
        kind = self._judge_end(output, calls, head, score, where)
        check_outputs(tuple(classes), head, output.shape[1], where=where)
        if layer is not None:
            check_layers([layer], self._layers, where=where)
        chosen = layer or choose_layer(records)
        self._spec = ModelSpec(
            framework="torch",
            input_shape=input_shape,
            classes=tuple(classes),
            head=head,
            outputs=output.shape[1],
            score=kind,
            layer=chosen,
            device=str(self._device),
            parameters=sum(parameter.numel() for parameter in self.module.parameters()),
            capabilities=self._capabilities(input_shape),
            dtype=dtype,
            embedding_layer=self._head.name if self._head else None,
            embedding_size=self._head.size if self._head else 0,
            layer_channels=channels_of(chosen, self._layers),
        )

    def close(self) -> None:
        """Let go of the module; nothing of it was changed outside a pass."""
        self.module = nn.Identity()
        self._cut = None

    @property
    def end(self) -> nn.Module | None:
        """The softmax or sigmoid that `ready` passes by; None where the module ends in its scores."""
        return self._cut

    @contextmanager
    def ready(self) -> Iterator[nn.Module]:
        """The module in evaluation mode, frozen, cut before its softmax; undone at the end of the outermost."""
        if self._is_ready:
            yield self.module
            return
        training = [module for module in self.module.modules() if module.training]
        learning = [parameter for parameter in self.module.parameters() if parameter.requires_grad]
        with ExitStack() as undo:
            if self._device.type == "cuda":
                undo.enter_context(_full_precision())
            if self._cut is not None:
                handle = self._cut.register_forward_hook(lambda _module, inputs, _output: inputs[0])
                undo.callback(handle.remove)
            for module in training:
                undo.callback(setattr, module, "training", True)
                module.training = False
            for parameter in learning:
                undo.callback(parameter.requires_grad_, True)
                parameter.requires_grad_(False)
            undo.callback(setattr, self, "_is_ready", False)
            self._is_ready = True
            yield self.module

    def _prepared(self) -> AbstractContextManager[object]:
        return self.ready()

    def tensor(self, images: np.ndarray) -> torch.Tensor:
        """Images as ``(N, C, H, W)`` on the model's device, a copy that the model may overwrite."""
        return _channels_first(torch.tensor(images, dtype=self._dtype, device=self._device))

    def select(self, scores: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """``(N,)`` the score explained for each target."""
        if self._spec.outputs > 1:
            return scores.gather(1, targets[:, None])[:, 0]
        other = -scores[:, 0] if self._spec.score == "logit" else 1 - scores[:, 0]
        return torch.where(targets == 1, scores[:, 0], other)

    def _scores(self, images: np.ndarray) -> np.ndarray:
        with self.ready() as module, torch.no_grad():
            return _numpy(module(self.tensor(images)).to(self._dtype))

    def _embeddings(self, images: np.ndarray) -> np.ndarray:
        head = self._head
        if head is None:
            raise ModelError("has no linear layer or convolution that can be seen")
        kept: list[torch.Tensor] = []
        with self.ready() as module, torch.no_grad():
            part = module.get_submodule(head.name)
            handle = part.register_forward_pre_hook(lambda _module, inputs: kept.append(inputs[0].clone()))
            try:
                module(self.tensor(images))
            finally:
                handle.remove()
            return _numpy(head.embeddings(kept[-1].to(self._dtype)))

    def _activations(self, images: np.ndarray, layer: str) -> np.ndarray:
        with self.ready() as module, torch.no_grad(), self._tapped((layer,)) as taps:
            module(self.tensor(images))
            output = taps[layer].to(self._dtype)
        return _numpy(output.permute(0, 2, 3, 1) if output.ndim == 4 else output)

    def _masked_scores(self, part: MaskRows) -> np.ndarray:
        with self.ready() as module, torch.no_grad():
            return _numpy(module(_channels_first(self._masked(part))).to(self._dtype))

    def _masked(self, part: MaskRows) -> torch.Tensor:
        """``(B, H, W, C)``: channels last, as `_copies`; a single image is not copied row by row."""
        shown, fill = self._on_device(part.sources), self._on_device(part.fill)
        masks = self._on_device(part.masks)[..., None]
        other = fill if masks.dtype == torch.bool else fill - shown
        if len(shown) > 1:
            owner = self._on_device(part.owner)
            shown, other = shown.index_select(0, owner), other.index_select(0, owner)
        if masks.dtype == torch.bool:
            return torch.where(masks, shown, other)
        return torch.addcmul(shown, 1 - masks, other)

    def _gradient_sum(self, part: CopyRows) -> tuple[np.ndarray, np.ndarray]:
        with self.ready() as module, torch.enable_grad():
            owner = self._on_device(part.owner)
            inputs = _channels_first(self._copies(part, owner)).requires_grad_()
            explained = self.select(module(inputs.clone()), self._on_device(part.targets)[owner])
            (gradient,) = _gradients(explained.sum(), [inputs], ["the image"])
        gradient = gradient.permute(0, 2, 3, 1) * self._on_device(part.weights)[:, None, None, None]
        sums = gradient.new_zeros((len(part.sources), *gradient.shape[1:])).index_add_(0, owner, gradient)
        return _numpy(sums.to(self._dtype)), _numpy(explained.to(self._dtype))

    def _copies(self, part: CopyRows, owner: torch.Tensor) -> torch.Tensor:
        """``(B, H, W, C)``: channels last throughout, which is several times faster than its transpose."""
        made = self._on_device(part.sources).index_select(0, owner)
        if part.scales is not None:
            scales = self._on_device(part.scales)[:, None, None, None]
            made = made * scales
            if part.baseline is not None:
                made = made + (1 - scales) * self._on_device(part.baseline)
        return made if part.offsets is None else made + self._on_device(part.offsets)

    def _on_device(self, array: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(np.require(array, requirements=["C", "W"])).to(self._device)

    def _weights(self) -> Weights:
        return read_weights(self.module, [layer.name for layer in self._layers], self._head)

    def _write(self, layer: str, arrays: dict[str, np.ndarray]) -> None:
        write_weights(self.module, layer, arrays, self._head)

    def _pass(
        self, images: np.ndarray, targets: np.ndarray | None, layers: tuple[str, ...], cams: tuple[CamKind, ...]
    ) -> GradientPass:
        with self.ready() as module, torch.enable_grad(), self._tapped(layers) as taps:
            inputs = self.tensor(images).requires_grad_()
            scores = module(inputs.clone())
            chosen = self._predicted(scores) if targets is None else torch.from_numpy(targets).to(scores.device)
            explained = self.select(scores, chosen)
            activations = [taps[name] for name in layers]
            gradients = _gradients(explained.sum(), [inputs, *activations], ["the image", *layers])
        maps = {
            name: LayerPass({kind: _numpy(_map(kind, activation, gradient).to(self._dtype)) for kind in cams})
            for name, activation, gradient in zip(layers, activations, gradients[1:], strict=True)
        }
        return GradientPass(
            scores=_numpy(scores.to(self._dtype)),
            targets=_numpy(chosen),
            explained=_numpy(explained.to(self._dtype)),
            input_gradient=_numpy(gradients[0].permute(0, 2, 3, 1)),
            cams=maps,
        )

    def _predicted(self, scores: torch.Tensor) -> torch.Tensor:
        if self._spec.outputs > 1:
            return scores.detach().argmax(dim=1)
        return (scores.detach()[:, 0] > (0.0 if self._spec.score == "logit" else 0.5)).long()

    @contextmanager
    def _tapped(self, layers: Sequence[str]) -> Iterator[dict[str, torch.Tensor]]:
        taps: dict[str, torch.Tensor] = {}

        def tap(name: str) -> Any:
            def keep(_module: nn.Module, _inputs: Any, output: torch.Tensor) -> torch.Tensor:
                taps[name] = output
                return output.clone()  # what follows may change its input in place

            return keep

        with ExitStack() as undo:
            for name in layers:
                handle = self.module.get_submodule(name).register_forward_hook(tap(name))
                undo.callback(handle.remove)
            yield taps

    def _short_of_memory(self, error: Exception) -> bool:
        return isinstance(error, torch.OutOfMemoryError) or (
            isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
        )

    def _trace(self, input_shape: tuple[int, int, int], where: str | None) -> tuple[list[Call], torch.Tensor]:
        """Run noise through the module once and record every module that finishes with a tensor."""
        calls: list[Call] = []

        def note(name: str) -> Any:
            def keep(module: nn.Module, inputs: Any, output: Any) -> None:
                if isinstance(output, torch.Tensor):
                    source = inputs[0] if inputs and isinstance(inputs[0], torch.Tensor) else None
                    calls.append(Call(name, module, source, output))

            return keep

        with self.ready() as module, torch.no_grad(), ExitStack() as undo:
            for name, part in module.named_modules():
                if name and not isinstance(part, torch.jit.ScriptModule):
                    undo.callback(part.register_forward_hook(note(name)).remove)
            output = self._try(module, input_shape, where)
        return calls, output

    def _try(self, module: nn.Module, input_shape: tuple[int, int, int], where: str | None) -> torch.Tensor:
        noise = noise_images(input_shape)
        try:
            output = module(self.tensor(noise))
        except (RuntimeError, TypeError, ValueError, NotImplementedError) as error:
            height, width, channels = input_shape
            raise ModelError(
                f"cannot take images of {height} x {width} x {channels}: {_first_line(error)}",
                where=where,
                fix="check preprocessing (size, mode) and the arguments of the architecture",
            ) from error
        if not isinstance(output, torch.Tensor) or output.ndim != 2 or len(output) != len(noise):
            shape = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
            raise ModelError(f"must give one row of scores an image, gave {shape} for {len(noise)} images", where=where)
        return output

    def _judge_end(
        self,
        output: torch.Tensor,
        calls: list[Call],
        head: str,
        score: str,
        where: str | None,
    ) -> Literal["logit", "probability"]:
        """What kind of score the adapter gives; sets the module to be cut off."""
        ends = (call.module for call in calls if call.tensor is output)
        end = next((part for part in ends if type(part).__name__ in _ENDS), None)
        if end is not None and score != "logit":
            found = _ENDS[type(end).__name__]
            if found != head:
                raise ModelError(f"ends in a {found}", where=where, fix=f"declare `head: {found}`")
            self._cut = end
            return "logit"
        if score != "probability" and looks_like_probabilities(_numpy(output), head):
            raise ModelError(
                "gives numbers between 0 and 1 where scores before the last activation are expected",
                where=where,
                fix="return logits, or declare `score: probability`",
            )
        return "probability" if score == "probability" else "logit"

    def _capabilities(self, input_shape: tuple[int, int, int]) -> frozenset[str]:
        """What the module can do: without a gradient there are scores, and embeddings where a head is seen."""
        noise = np.zeros((1, *input_shape), dtype=np.float32)
        with self.ready() as module, torch.enable_grad():
            differentiable = bool(module(self.tensor(noise).requires_grad_().clone()).requires_grad)
        able = ALL_CAPABILITIES if differentiable else frozenset({"scores", "embeddings"})
        if not self._layers:
            able -= {"weights"}  # a scripted module hides its parts
        return able if self._head else able - {"embeddings"}


_OPS = TensorOps(
    total=lambda tensor, axes: tensor.sum(dim=axes, keepdim=True), positive=torch.relu, space=(2, 3), channel=1
)


def _channels_first(images: torch.Tensor) -> torch.Tensor:
    return images.permute(0, 3, 1, 2)  # convolutions run channels last


def _map(kind: CamKind, activation: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    found: torch.Tensor = combine(kind, activation.detach(), gradient, _OPS)
    return found[:, 0]


def _gradients(total: torch.Tensor, of: list[torch.Tensor], names: list[str]) -> tuple[torch.Tensor, ...]:
    try:
        found = torch.autograd.grad(total, of, allow_unused=True)
    except RuntimeError as error:
        if "does not require grad" not in str(error):
            raise
        raise ModelError("no gradient reaches " + " or ".join(names)) from error
    for name, gradient in zip(names, found, strict=True):
        if gradient is None:
            raise ModelError(f"the scores do not depend on {name}", fix="choose a layer they depend on")
    return found


@contextmanager
def _full_precision() -> Iterator[None]:
    """Switch TF32 off on the GPU, and back to what it was."""
    switches: Any = torch.backends  # the stubs do not know them all
    backends = (switches.cuda.matmul, switches.cudnn.conv)
    before = [backend.fp32_precision for backend in backends]
    for backend in backends:
        backend.fp32_precision = "ieee"
    try:
        yield
    finally:
        for backend, precision in zip(backends, before, strict=True):
            backend.fp32_precision = precision


def _numpy(tensor: torch.Tensor) -> np.ndarray:
    return np.ascontiguousarray(tensor.detach().cpu().numpy())


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
