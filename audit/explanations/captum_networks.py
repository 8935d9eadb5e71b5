"""Networks as captum's rules need them: a copy that its hooks can be set on, and the reasons why some cannot be used.

captum changes gradients by hooks on modules, and silently passes by what no module of its list computes. What a
network really computes is read from its autograd graph.
"""

from __future__ import annotations

import copy
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from torch import nn

from audit.errors import ModelError
from audit.models.adapter import ModelAdapter
from audit.models.checks import noise_images
from audit.models.torch_adapter import TorchAdapter

__all__ = ["Called", "Operation", "Trace", "as_torch", "copied", "reused", "trace"]


@dataclass(frozen=True)
class Called:
    """One call of a watched module.

    Attributes
    ----------
    name : str
    module : torch.nn.Module
    given, gave : Tensor or None
        Its first input and its output for the one image of noise, where they are tensors.
    """

    name: str
    module: nn.Module
    given: torch.Tensor | None
    gave: torch.Tensor | None

    @property
    def positive(self) -> bool:
        """Whether no value that it was given was negative."""
        return self.given is not None and bool((self.given >= 0).all())

    def follows(self, before: Called) -> bool:
        """Whether it was given what another module gave."""
        return self.given is not None and before.gave is not None and torch.equal(self.given, before.gave)


@dataclass(frozen=True)
class Operation:
    """A node of the autograd graph: an operation, and how many of its inputs depend on the image."""

    name: str
    live: int


@dataclass(frozen=True)
class Trace:
    """What a network computed.

    Attributes
    ----------
    calls : tuple of Called
        Calls of the watched modules, in order.
    outside : tuple of Operation
        Operations that none of them computed.
    """

    calls: tuple[Called, ...]
    outside: tuple[Operation, ...]


def as_torch(adapter: ModelAdapter) -> TorchAdapter:
    """The adapter, where it is one of a PyTorch module; else a ModelError."""
    if not isinstance(adapter, TorchAdapter):
        raise ModelError(f"captum explains PyTorch models, not {adapter.spec.framework}")
    return adapter


@contextmanager
def copied(adapter: TorchAdapter, *, own_weights: bool = False) -> Iterator[nn.Module]:
    """A copy of the module without its last activation, for captum to change as it likes.

    Nothing in it works in place, and what a ReLU or another leaf is given is a tensor of its own: a hook on the input
    of a module would otherwise also change the gradient of whatever else uses that tensor.

    Parameters
    ----------
    adapter : TorchAdapter
    own_weights : bool
        Whether weights are copied too, rather than shared with the module.

    Raises
    ------
    ModelError
        The module cannot be copied, or hides its parts because it is compiled.
    """
    with adapter.ready() as module, torch.enable_grad():
        if any(isinstance(part, torch.jit.ScriptModule) for part in module.modules()):
            raise ModelError("is compiled (TorchScript), so captum cannot set hooks on its parts")
        kept: Iterable[torch.Tensor] = () if own_weights else chain(module.parameters(), module.buffers())
        try:
            network = copy.deepcopy(module, {id(tensor): tensor for tensor in kept})
        except (TypeError, RuntimeError) as error:
            raise ModelError(f"cannot be copied, which captum's rules need: {error}") from error
        for name, part in module.named_modules(remove_duplicate=False):
            if part is adapter.end:
                network.set_submodule(name, nn.Identity())
        for part in network.modules():
            if "inplace" in vars(part):
                vars(part)["inplace"] = False
            if next(part.children(), None) is None:
                part.register_forward_pre_hook(_own_input)
        yield network


def trace(adapter: TorchAdapter, network: nn.Module, watched: Callable[[nn.Module], bool]) -> Trace:
    """Run one image of noise through a network and read from the graph what computed its scores.

    Parameters
    ----------
    adapter : TorchAdapter
    network : torch.nn.Module
        See `copied`.
    watched : callable
        Whether a module's operations are its own affair.
    """
    calls: list[Called] = []
    gates: set[Any] = set()  # nodes at which the operations of a module begin
    inside: set[Any] = set()

    def enter(_module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        fresh = tuple(value.clone() if isinstance(value, torch.Tensor) else value for value in inputs)
        gates.update(value.grad_fn for value in fresh if isinstance(value, torch.Tensor))
        return fresh

    def leave(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def note(module: nn.Module, inputs: Any, output: Any) -> None:
            calls.append(Called(name, module, *(_value(held) for held in (inputs[0] if inputs else None, output))))
            if isinstance(output, torch.Tensor):
                inside.update(_nodes(output.grad_fn, gates))

        return note

    handles = []
    for name, part in network.named_modules():
        if watched(part):
            handles += [part.register_forward_pre_hook(enter), part.register_forward_hook(leave(name))]
    try:
        adapter.used += 1
        output = network(adapter.tensor(noise_images(adapter.spec.input_shape)[:1]).requires_grad_().clone())
    finally:
        for handle in handles:
            handle.remove()
    found = [node for node in _nodes(output.grad_fn, set()) if node not in inside and node not in gates]
    return Trace(tuple(calls), tuple(_operation(node) for node in found))


def reused(calls: Iterable[Called]) -> list[str]:
    """Names of the modules that were called more than once."""
    counts = Counter(id(call.module) for call in calls)
    return list(dict.fromkeys(call.name for call in calls if counts[id(call.module)] > 1))


def _own_input(_module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(value.clone() if isinstance(value, torch.Tensor) else value for value in inputs)


def _value(held: Any) -> torch.Tensor | None:
    return held.detach() if isinstance(held, torch.Tensor) else None


def _nodes(start: Any, stop: set[Any]) -> list[Any]:
    """Nodes from which a node comes, itself included, as far as those to stop at; leaves are no nodes."""
    found: dict[Any, None] = {}
    waiting = [start]
    while waiting:
        node = waiting.pop()
        if node is None or node in found or node in stop or node.name().endswith("AccumulateGrad"):
            continue
        found[node] = None
        waiting += [before for before, _ in node.next_functions]
    return list(found)


def _operation(node: Any) -> Operation:
    live = [before is not None for before, _ in node.next_functions]
    name = re.sub(r"Backward\d*$", "", node.name())
    return Operation("Div by an activation" if name == "Div" and any(live[1:]) else name, sum(live))
