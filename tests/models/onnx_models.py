"""The network of `twins` as an ONNX graph, in either layout and with whatever the tests want changed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.models.twins import CLASSES, SHAPE, weights

PARAMETERS = 3 * 8 + 8 + 8 * 4 + 4


def constants(outputs: int = len(CLASSES)) -> dict[str, np.ndarray]:
    arrays = weights(outputs)
    return {"W1": arrays["W1"].T[:, :, None, None].copy(), **{name: arrays[name] for name in ("b1", "W2", "b2")}}


def twin(
    layout: str = "NCHW", *, batch: int | str = "N", outputs: int = len(CLASSES), end: str | None = None, **changes: Any
) -> onnx.ModelProto:
    """The graph; `end` is an operator after the logits; `size` and `shape` change what it says of its input."""
    height, width = changes.get("size", SHAPE[:2])
    shape = {"NCHW": [batch, SHAPE[2], height, width], "NHWC": [batch, height, width, SHAPE[2]]}[layout]
    nodes = [helper.make_node("Transpose", ["x"], ["x0"], perm=[0, 3, 1, 2])] if layout == "NHWC" else []
    nodes += [
        helper.make_node("Conv", ["x0" if nodes else "x", "W1", "b1"], ["x1"]),
        helper.make_node("Relu", ["x1"], ["x2"]),
        helper.make_node("GlobalAveragePool", ["x2"], ["x3"]),
        helper.make_node("Flatten", ["x3"], ["features"]),
        helper.make_node("Gemm", ["features", "W2", "b2"], ["logits"]),
    ]
    nodes += [helper.make_node(end, ["logits"], ["y"])] if end else []
    taken = tensor("x", changes.get("shape", shape))
    given = tensor("y" if end else "logits", [batch, outputs])
    return model(nodes, [taken], [given, *changes.get("also", [])], constants(outputs))


def model(
    nodes: Sequence[Any], inputs: Sequence[Any], outputs: Sequence[Any], arrays: dict[str, np.ndarray] | None = None
) -> onnx.ModelProto:
    initialisers = [numpy_helper.from_array(array, name) for name, array in (arrays or {}).items()]
    graph = helper.make_graph(list(nodes), "graph", list(inputs), list(outputs), initialisers)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("their.own", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def tensor(name: str, shape: Sequence[int | str | None] | None, kind: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def save(folder: Path, content: onnx.ModelProto, name: str = "m.onnx") -> Path:
    (folder / name).write_bytes(content.SerializeToString())
    return folder / name


def save_external(folder: Path, location: str = "m.data") -> Path:
    """The graph with the values of W2 in a file of their own; `location` is what the graph says of it."""
    content = twin()
    for initialiser in content.graph.initializer:
        if initialiser.name == "W2":
            (folder / "m.data").write_bytes(initialiser.raw_data)
            initialiser.ClearField("raw_data")
            initialiser.data_location = TensorProto.EXTERNAL
            entry = initialiser.external_data.add()
            entry.key, entry.value = "location", location
    return save(folder, content)
