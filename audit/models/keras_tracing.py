"""Watching a Keras model run: which layer gave which tensor, and running it without its last softmax.

Layers are patched on the instance, only while a context is open, and always put back. No
framework is imported: a layer is anything that Keras lists as one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from audit.errors import ModelError
from audit.models.layer_choice import LayerRecord

__all__ = [
    "Call",
    "End",
    "call_model",
    "cut",
    "find_end",
    "find_head",
    "has_graph",
    "image_shape",
    "in_double",
    "named_layers",
    "own_weights",
    "recorded",
    "to_record",
]

_ACTIVATIONS = {
    "softmax": "softmax",
    "softmax_v2": "softmax",
    "log_softmax": "softmax",
    "log_softmax_v2": "softmax",
    "sigmoid": "sigmoid",
    "log_sigmoid": "sigmoid",
}
_CLASSES = {"Softmax": "softmax", "LogSoftmax": "softmax", "Sigmoid": "sigmoid", "LogSigmoid": "sigmoid"}


_HEADS = frozenset({"Dense", "BaseConv", "BaseSeparableConv"})  # bases of the layers that may be a head


@dataclass(frozen=True)
class Call:
    """One finished call of a layer: its name, the layer, the tensor it gave, the one it was given."""

    name: str
    layer: Any
    tensor: Any
    source: Any = None


@dataclass(frozen=True)
class End:
    """The last activation of a model.

    Attributes
    ----------
    layer : object
        Layer or operation that applies it.
    head : str
        ``softmax`` or ``sigmoid``.
    own : bool
        Whether the layer only applies the activation; else it is the `activation` of, say, a Dense.
    logarithm : bool
        Whether it gives logarithms of probabilities.
    """

    layer: Any
    head: str
    own: bool
    logarithm: bool = False


def call_model(model: Any, images: Any) -> Any:
    """The model's output in inference mode, with the input packed as a functional model declares it."""
    structure = getattr(getattr(model, "_functional", None) or model, "_inputs_struct", None)
    if isinstance(structure, list | tuple):
        images = type(structure)([images])
    elif isinstance(structure, dict):
        images = dict.fromkeys(structure, images)
    return model(images, training=False)


def image_shape(model: Any, declared: tuple[int, int, int] | None, where: str | None) -> tuple[int, int, int]:
    """The image shape that the model fixes, filled up with the declared one."""
    inputs = getattr(model, "inputs", None) if has_graph(model) else None
    if inputs is not None and len(inputs) != 1:
        raise ModelError(f"has {len(inputs)} inputs, one image is expected", where=where)
    if inputs is None:
        if declared is None:
            raise ModelError("does not fix its image size", where=where, fix="declare it (preprocessing `size:`)")
        return declared
    fixed = tuple(inputs[0].shape[1:])
    if len(fixed) != 3:
        raise ModelError(f"takes inputs of shape {fixed}, not images (H, W, C)", where=where)
    if declared is None and None in fixed:
        raise ModelError("does not fix its image size", where=where, fix="declare it (preprocessing `size:`)")
    shape = fixed if declared is None else declared
    if any(size not in (None, given) for size, given in zip(fixed, shape, strict=True)):
        raise ModelError(
            f"takes images of {_times(fixed)}, preprocessing makes {_times(shape)}",
            where=where,
            fix="correct `size:`, `crop:` or `mode:` of the model's preprocessing",
        )
    return (int(shape[0]), int(shape[1]), int(shape[2]))


def has_graph(model: Any) -> bool:
    """Whether Keras knows the model's inputs and outputs."""
    try:
        return bool(model.inputs)
    except (AttributeError, ValueError):
        return False


def in_double(model: Any, where: str | None) -> Any:
    """A copy of the model that computes in float64."""
    if not has_graph(model):
        raise ModelError("float64 needs a Sequential or functional model that is built", where=where)
    if model.compute_dtype == "float64":
        return model
    known = {type(layer).__name__: type(layer) for layer in named_layers(model).values()}
    copy = type(model).from_config(_doubled(model.get_config()), custom_objects=known)
    copy.set_weights(model.get_weights())
    return copy


def _doubled(config: Any) -> Any:
    """A configuration with every float32 made float64."""
    if isinstance(config, dict):
        return {key: _doubled(value) for key, value in config.items()}
    if isinstance(config, list | tuple):
        return type(config)(_doubled(value) for value in config)
    return "float64" if config == "float32" else config


def _times(shape: Sequence[int | None]) -> str:
    return " x ".join("any" if size is None else str(size) for size in shape)


def named_layers(model: Any) -> dict[str, Any]:
    """Every layer and operation inside a model by name, through nested models and blocks.

    A name that occurs more than once is replaced by the path through the blocks, ``outer/inner``.
    """
    found: list[tuple[str, Any]] = []
    _walk(model, "", found, set())
    counts = Counter(layer.name for _, layer in found)
    return {layer.name if counts[layer.name] == 1 else path: layer for path, layer in found}


def _walk(block: Any, prefix: str, found: list[tuple[str, Any]], seen: set[int]) -> None:
    for part in _parts(block):
        if id(part) in seen:
            continue
        seen.add(id(part))
        path = f"{prefix}{part.name}"
        found.append((path, part))
        _walk(part, f"{path}/", found, seen)


def _parts(block: Any) -> list[Any]:
    """Layers directly inside a block, then operations of its graph that are no layers."""
    flatten = getattr(block, "_flatten_layers", None)  # the public `layers` is missing on custom layers
    if flatten is None:
        return []
    layers = list(flatten(include_self=False, recursive=False))
    inner = getattr(block, "_functional", None) or block
    operations = getattr(inner, "operations", None) or []
    return layers + [part for part in operations if not hasattr(part, "_flatten_layers")]


def own_weights(layer: Any) -> list[Any]:
    """Weights of a layer that belong to none of the layers inside it, without the state of its random numbers."""
    inner = {id(weight) for part in _parts(layer) for weight in getattr(part, "weights", ())}
    return [weight for weight in getattr(layer, "weights", ()) if id(weight) not in inner]


@contextmanager
def recorded(layers: dict[str, Any]) -> Iterator[list[Call]]:
    """Record the output of every call of these layers while the context is open."""
    calls: list[Call] = []

    def watch(name: str, layer: Any) -> Callable[..., Any]:
        inner = layer.call

        def call(*args: Any, **kwargs: Any) -> Any:
            output = inner(*args, **kwargs)
            if hasattr(output, "shape") and hasattr(output, "dtype"):
                calls.append(Call(name, layer, output, args[0] if args else kwargs.get("inputs")))
            return output

        return call

    with ExitStack() as undo:
        for name, layer in layers.items():
            undo.enter_context(_replaced(layer, "call", watch(name, layer)))
        yield calls


@contextmanager
def cut(end: End | None) -> Iterator[None]:
    """Leave out the last activation while the context is open."""
    if end is None:
        yield
        return
    attribute, value = ("call", _first) if end.own else ("activation", _linear)
    with _replaced(end.layer, attribute, value):
        yield


def find_end(calls: list[Call], output: Any) -> End | None:
    """The softmax or sigmoid whose tensor is the model's output, or None."""
    for call in calls:
        if call.tensor is not output:
            continue
        kind = type(call.layer).__name__
        if kind in _CLASSES:
            return End(call.layer, _CLASSES[kind], own=True, logarithm=kind.startswith("Log"))
        activation = getattr(getattr(call.layer, "activation", None), "__name__", "")
        if activation in _ACTIVATIONS:
            logarithm = activation.startswith("log")
            return End(call.layer, _ACTIVATIONS[activation], own=kind == "Activation", logarithm=logarithm)
    return None


def find_head(calls: list[Call]) -> Call | None:
    """The last call of a dense layer or convolution, or None."""
    for call in reversed(calls):
        bases = {kind.__name__ for kind in type(call.layer).__mro__}
        if bases & _HEADS and len(getattr(call.source, "shape", ())) > 1:
            return call
    return None


def to_record(call: Call) -> LayerRecord:
    """What the choice of a layer needs to know of a call."""
    shape = tuple(int(size) for size in call.tensor.shape[1:])
    return LayerRecord(call.name, type(call.layer).__name__, shape, id(call.tensor), not _parts(call.layer))


@contextmanager
def _replaced(layer: Any, attribute: str, value: Any) -> Iterator[None]:
    """Shadow an attribute on the instance, behind Keras's own attribute tracking."""
    own = vars(layer)
    before = own.get(attribute, _MISSING)
    own[attribute] = value
    try:
        yield
    finally:
        if before is _MISSING:
            del own[attribute]
        else:
            own[attribute] = before


_MISSING = object()


def _first(inputs: Any, *_args: Any, **_kwargs: Any) -> Any:
    return inputs


def _linear(inputs: Any) -> Any:
    return inputs
