"""What an ONNX file says of itself before anything loads it: its weights, and the files beside it that hold them.

The few fields needed are read straight from the protobuf wire format, so that no file can make a loader open another
one first. Tensor values are skipped.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path

from audit.errors import ModelError

__all__ = ["OnnxFile", "read_onnx"]

# Which fields of which message lead to tensors, by their numbers in onnx.proto; `tensor` is where the way ends.
_CHILDREN: dict[str, dict[int, str]] = {
    "ModelProto": {7: "GraphProto", 20: "TrainingInfoProto", 25: "FunctionProto"},
    "TrainingInfoProto": {1: "GraphProto", 2: "GraphProto"},
    "GraphProto": {1: "NodeProto", 5: "TensorProto", 15: "SparseTensorProto"},
    "SparseTensorProto": {1: "TensorProto", 2: "TensorProto"},
    "NodeProto": {5: "AttributeProto"},
    "AttributeProto": {
        5: "TensorProto",
        6: "GraphProto",
        10: "TensorProto",
        11: "GraphProto",
        22: "SparseTensorProto",
        23: "SparseTensorProto",
    },
    "FunctionProto": {7: "NodeProto", 11: "AttributeProto"},
}
_GRAPH = 7
_DIMS, _TYPE, _EXTERNAL = 1, 2, 13
_KEY, _VALUE = 1, 2
_FLOATS = frozenset({1, 10, 11, 16})  # float, float16, double, bfloat16
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class _Cut(ValueError):
    """The bytes are no protobuf message, or end in the middle of one."""


@dataclass(frozen=True)
class OnnxFile:
    """What was read of an ONNX file.

    Attributes
    ----------
    path : Path
    external : tuple of Path
        Files beside it that hold weights, each once, in order of name.
    parameters : int
        Numbers in the floating-point initialisers of the graph, statistics of batch normalisation included.
    """

    path: Path
    external: tuple[Path, ...]
    parameters: int


def read_onnx(path: Path, *, where: str | None = None, folder: Path | None = None) -> OnnxFile:
    """Read what an ONNX file says of itself.

    Parameters
    ----------
    path : Path
        An ``.onnx`` file.
    where : str, optional
        Name of the model, for errors.
    folder : Path, optional
        Where the files beside it lie, for a copy of the model's file; its own folder by default.

    Returns
    -------
    OnnxFile

    Raises
    ------
    ModelError
        The file is missing, of another kind or cut short; or it keeps weights in files that are not beside it.
    """
    if not path.is_file():
        raise ModelError(f"no such file '{path}'", where=where, fix="check `path:`")
    if path.suffix != ".onnx":
        raise ModelError(f"'{path.name}' is a '{path.suffix}' file, allowed: .onnx", where=where)
    if path.stat().st_size == 0:
        raise ModelError(f"'{path.name}' is no ONNX file: it is empty", where=where)
    with path.open("rb") as file:
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)  # left to go with the last view of it
    try:
        locations, parameters = _scan(memoryview(content))
    except _Cut as error:
        raise ModelError(
            f"'{path.name}' is no ONNX file, or is cut short: {error}", where=where, fix="export or copy it again"
        ) from error
    found = [_beside(folder or path.parent, path.name, location, where) for location in sorted(locations)]
    external = tuple(dict.fromkeys(found))
    return OnnxFile(path, external, parameters)


def _beside(folder: Path, name: str, location: str, where: str | None) -> Path:
    """The file of external data, which must lie in the folder of the model, links resolved."""
    found = folder / location
    try:
        inside = found.resolve().is_relative_to(folder.resolve())
        inside &= not Path(location).is_absolute() and ".." not in Path(location).parts
        there = found.is_file()
    except (OSError, ValueError):  # no path at all: too long, or with a zero byte
        inside, there = False, False
    if not inside or not there:
        why = "which is not there" if inside else "which is not beside it"
        raise ModelError(
            f"'{name}' keeps weights in {location!r}, {why}",
            where=where,
            fix="copy the data file into the model's folder, or export the model as one file",
        )
    return found


def _scan(content: memoryview) -> tuple[set[str], int]:
    """Locations of external data anywhere in the model, and parameters of its graph."""
    locations: set[str] = set()
    parameters = 0
    has_graph = False
    stack: list[tuple[str, memoryview, str]] = [("ModelProto", content, "")]
    while stack:
        kind, message, holder = stack.pop()
        if kind == "TensorProto":
            found, size = _tensor(message)
            locations |= found
            parameters += size if holder == "GraphProto" else 0
            continue
        for number, value in _fields(message):
            child = _CHILDREN[kind].get(number)
            has_graph |= kind == "ModelProto" and number == _GRAPH
            if child is not None:
                stack.append((child, _message(value), kind))
    if not has_graph:
        raise _Cut("it holds no graph")
    return locations, parameters


def _tensor(message: memoryview) -> tuple[set[str], int]:
    """Files that a tensor's values lie in, none where it holds them; how many floating-point numbers it has."""
    shape: list[int] = []
    locations: set[str] = set()
    kind = 0
    for number, value in _fields(message):
        if number == _DIMS:
            shape += [value] if isinstance(value, int) else _packed(value)
        elif number == _TYPE and isinstance(value, int):
            kind = value
        elif number == _EXTERNAL:
            entry = dict(_fields(_message(value)))
            if _text(entry.get(_KEY)) == "location":
                locations.add(_text(entry.get(_VALUE)))
    return locations, prod(shape) if kind in _FLOATS else 0


def _text(value: int | memoryview | None) -> str:
    return "" if value is None or isinstance(value, int) else bytes(value).decode("utf-8", "replace")


def _message(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise _Cut("a number stands where a message is expected")
    return value


def _packed(values: memoryview) -> list[int]:
    numbers = []
    place = 0
    while place < len(values):
        number, place = _varint(values, place)
        numbers.append(number)
    return numbers


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Number and value of each field: a varint as int, everything else as the bytes it takes."""
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, place = _varint(message, place)
            yield number, value
            continue
        if wire == _BYTES:
            length, place = _varint(message, place)
        elif wire in (_FIXED64, _FIXED32):
            length = 8 if wire == _FIXED64 else 4
        else:
            raise _Cut(f"field {number} has a wire type that ONNX does not use")
        if number == 0 or place + length > len(message):
            raise _Cut(f"field {number} goes on past the end of what holds it")
        yield number, message[place : place + length]
        place += length


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    """A number of seven bits a byte, and the place after it."""
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(message):
            raise _Cut("it ends within a number")
        byte = message[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
    raise _Cut("a number has more than ten bytes")
