"""Which networks captum's DeepLift, guided backpropagation and LRP follow exactly, and why not the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from torch import nn

from audit.errors import ModelError
from audit.explanations.captum_networks import Operation, Trace, as_torch, copied, reused, trace
from audit.models.adapter import ModelAdapter
from audit.models.torch_adapter import TorchAdapter

__all__ = ["RECTIFIERS", "leaves", "refuse", "unsupported"]

Reason = str | None

RECTIFIERS = (nn.ReLU, nn.ELU, nn.LeakyReLU, nn.Sigmoid, nn.Tanh, nn.Softplus)  # that DeepLift has a rule for

# Operations of the autograd graph, by the name of their node.
# fmt: off
_VIEWS = frozenset({
    "Alias", "AsStrided", "Clone", "ReshapeAlias", "Squeeze", "UnsafeView", "Unsqueeze", "View",
})
_LINEAR = _VIEWS | {
    "AdaptiveAvgPool2D", "Addmm", "AvgPool2D", "ConstantPadNd", "Convolution", "CudnnBatchNorm", "Div", "Expand",
    "Flip", "Index", "IndexSelect", "Mean", "Mm", "Mul", "NativeBatchNorm", "Neg", "Permute", "PixelShuffle",
    "ReflectionPad2D", "ReplicationPad2D", "Rsub", "Select", "Slice", "Split", "SplitWithSizes", "Sum", "T", "ToCopy",
    "Transpose", "UpsampleBilinear2D", "UpsampleNearest2D",
}
_JOINS = frozenset({"Add", "Cat", "Stack", "Sub"})
_GATES = frozenset({
    "Celu", "Clamp", "ClampMin", "Elu", "Gelu", "Hardsigmoid", "Hardswish", "Hardtanh", "LeakyRelu", "Maximum",
    "Mish", "PreluKernel", "Relu", "Selu", "Silu", "Softplus", "Threshold",
})
# fmt: on

_LRP = (nn.Conv2d, nn.Linear, nn.BatchNorm2d, nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d)
_LRP_PASSED = (nn.ReLU, nn.Dropout, nn.Tanh, nn.Flatten, nn.Identity, nn.Dropout2d)


def unsupported(adapter: ModelAdapter, method: str) -> Reason:
    """Why captum would not compute this method on this network as it is defined; None where it does.

    Parameters
    ----------
    adapter : ModelAdapter
        Of a PyTorch module.
    method : str
        ``deep_lift``, ``guided_backpropagation`` or ``lrp``.

    Raises
    ------
    ModelError
        The model is none of PyTorch, or cannot be copied.
    """
    watched, judge = _JUDGES[method]
    own = as_torch(adapter)
    with copied(own) as network:
        reason = judge(trace(own, network, watched))
        return reason or (_stray_leaves(network) if method == "lrp" else None)


def refuse(adapter: TorchAdapter, method: str, title: str) -> None:
    """Raise a ModelError where captum would not compute this method as it is defined."""
    reason = unsupported(adapter, method)
    if reason is not None:
        raise ModelError(f"{title} by captum is not possible on this network: {reason}")


def leaves(module: nn.Module) -> bool:
    """Whether a module has no parts."""
    return next(module.children(), None) is None


def _deep_lift(found: Trace) -> Reason:
    again = reused(found.calls)
    if again:
        return f"it runs {_some(again)} more than once; DeepLift compares one input and output of a module"
    for call in found.calls:
        pool = call.module
        if isinstance(pool, nn.MaxPool2d) and _overlaps(pool):
            return (
                f"the windows of '{call.name}' overlap, and captum's rule for max-pooling loses what a pixel gives to "
                "more than one window"
            )
    strays = [operation for operation in found.outside if not _linear(operation)]
    if not strays:
        return None
    return f"{_named(strays)} outside of the modules that captum has a rule for ({_kinds((*RECTIFIERS, nn.MaxPool2d))})"


def _guided_backpropagation(found: Trace) -> Reason:
    strays = [operation for operation in found.outside if operation.name in _GATES]
    if strays:
        return (
            f"{_named(strays)} outside of nn.ReLU modules, where captum changes no gradient: the map would be a plain "
            "gradient there"
        )
    return None if found.calls else "it has no nn.ReLU module, so the map would be the plain gradient"


def _lrp(found: Trace) -> Reason:
    for call in found.calls:
        if type(call.module) not in (*_LRP, *_LRP_PASSED):
            return (
                f"'{call.name}' is of type {type(call.module).__name__}, and there are rules for "
                f"{_kinds((*_LRP, *_LRP_PASSED))} only"
            )
    again = reused(call for call in found.calls if isinstance(call.module, _LRP))
    if again:
        return f"it runs {_some(again)} more than once; LRP keeps one activation of a module"
    strays = [
        operation for operation in found.outside if operation.live != 1 or operation.name not in {*_VIEWS, "Relu"}
    ]
    if not strays:
        return None
    return f"{_named(strays)} outside of modules, where captum passes gradients on for relevance"


def _stray_leaves(network: nn.Module) -> Reason:
    """Also modules that never run: captum asks a rule them, too."""
    known = (*_LRP, *_LRP_PASSED)
    for name, part in network.named_modules():
        if leaves(part) and type(part) not in known:
            return f"'{name}' is of type {type(part).__name__}, for which captum has no rule"
    return None


_JUDGES: dict[str, tuple[Callable[[nn.Module], bool], Callable[[Trace], Reason]]] = {
    "deep_lift": (lambda part: type(part) in (*RECTIFIERS, nn.MaxPool2d), _deep_lift),
    "guided_backpropagation": (lambda part: isinstance(part, nn.ReLU), _guided_backpropagation),
    "lrp": (leaves, _lrp),
}


def _linear(operation: Operation) -> bool:
    """Whether an operation is linear, up to a constant, in what depends on the image."""
    return operation.name in _JOINS or (operation.name in _LINEAR and operation.live == 1)


def _overlaps(pool: nn.MaxPool2d) -> bool:
    def both(value: int | tuple[int, ...]) -> tuple[int, ...]:
        return value if isinstance(value, tuple) else (value, value)

    dilated = any(step != 1 for step in both(pool.dilation))
    return dilated or any(step < size for size, step in zip(both(pool.kernel_size), both(pool.stride), strict=True))


def _named(operations: Iterable[Operation]) -> str:
    """The operations in words: how often each, and whether it joins several activations."""
    counts: dict[str, int] = {}
    for operation in operations:
        name = operation.name if operation.live < 2 else f"{operation.name} of {operation.live} activations"
        counts[name] = counts.get(name, 0) + 1
    return "it computes " + ", ".join(
        f"{name}" if number == 1 else f"{name} ({number} times)" for name, number in counts.items()
    )


def _some(names: list[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:6])
    return shown if len(names) <= 6 else f"{shown} and {len(names) - 6} others"


def _kinds(kinds: Iterable[type[nn.Module]]) -> str:
    return ", ".join(kind.__name__ for kind in kinds)
