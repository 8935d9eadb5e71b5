"""What is read of an ONNX file before it is loaded: parameters, weights outside it, and damage."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit.config import ModelConfig
from audit.errors import ModelError
from audit.models import onnx_file
from audit.models.files import model_digest
from audit.models.onnx_file import read_onnx
from audit.run.files import sha256_bytes, sha256_file
from tests.models.twins import images, numpy_twin

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from tests.models import onnx_models as graphs  # noqa: E402 - after the check that onnx is there
from tests.models.test_onnx_adapter import load  # noqa: E402


def test_field_numbers_are_those_of_the_format() -> None:
    """Every field that leads to a tensor, as the official package knows it, is followed."""
    ends = {"TensorProto"}
    while True:  # messages from which a tensor can be reached
        more = {name for name, kind in messages().items() if set(kind.values()) & ends}
        if more <= ends:
            break
        ends |= more
    for name, fields in messages().items():
        leading = {number: child for number, child in fields.items() if child in ends}
        if name != "TensorProto" and leading:
            assert onnx_file._CHILDREN[name] == leading
    assert set(onnx_file._CHILDREN) == ends - {"TensorProto"}
    numbers = onnx.TensorProto.DESCRIPTOR.fields_by_name
    read = {"dims": onnx_file._DIMS, "data_type": onnx_file._TYPE, "external_data": onnx_file._EXTERNAL}
    assert {name: numbers[name].number for name in read} == read


def messages() -> dict[str, dict[int, str]]:
    """Number and message of each field that holds a message, for every message of the format."""
    file = onnx.ModelProto.DESCRIPTOR.file
    return {
        name: {field.number: field.message_type.name for field in kind.fields if field.message_type is not None}
        for name, kind in file.message_types_by_name.items()
    }


def test_parameters_are_the_floating_point_initialisers(tmp_path: Path) -> None:
    content = graphs.twin()
    content.graph.initializer.append(onnx.numpy_helper.from_array(np.array([1, 2, 3]), "shape"))
    content.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(2.0), "scalar"))
    inner = onnx.helper.make_node("Constant", [], ["c"], value=onnx.numpy_helper.from_array(np.ones(7, np.float32)))
    content.graph.node.append(inner)
    found = read_onnx(graphs.save(tmp_path, content))
    assert found.parameters == graphs.PARAMETERS + 1
    assert found.external == ()


def test_dimensions_are_read_packed_too(tmp_path: Path) -> None:
    """The old encoding of `dims` has a tag a number, the packed one a length; both are allowed."""
    one = bytes([0x08, 2, 0x08, 5, 0x10, 1])  # dims 2, dims 5, float
    packed = bytes([0x0A, 2, 2, 5, 0x10, 1])
    for body in (one, packed):
        graph = bytes([0x2A, len(body)]) + body  # GraphProto.initializer
        (tmp_path / "m.onnx").write_bytes(bytes([0x3A, len(graph)]) + graph)  # ModelProto.graph
        assert read_onnx(tmp_path / "m.onnx").parameters == 10


def test_weights_beside_the_file_are_read(tmp_path: Path) -> None:
    path = graphs.save_external(tmp_path)
    assert read_onnx(path).external == (tmp_path / "m.data",)
    assert read_onnx(path).parameters == graphs.PARAMETERS
    np.testing.assert_allclose(load(tmp_path).scores(images()), numpy_twin().scores(images()), atol=1e-5)


def test_the_digest_covers_weights_beside_the_file(tmp_path: Path) -> None:
    def digest() -> str | None:
        return model_digest(ModelConfig(name="m", framework="onnx", path="m.onnx"), tmp_path)

    path = graphs.save(tmp_path, graphs.twin())
    assert digest() == sha256_file(path)
    graphs.save_external(tmp_path)
    lines = f"{sha256_file(path)}  m.onnx\n{sha256_file(tmp_path / 'm.data')}  m.data\n"
    assert digest() == sha256_bytes(lines.encode())
    before = digest()
    content = bytearray((tmp_path / "m.data").read_bytes())
    content[0] ^= 1
    (tmp_path / "m.data").write_bytes(content)
    assert digest() != before


@pytest.mark.parametrize(
    "location", ["gone.data", "../m.data", "/etc/hostname", "*/_ORT_MEM_ADDR_/*", "a\0b", "", "x" * 5000]
)
def test_weights_elsewhere_are_refused(tmp_path: Path, location: str) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "m.data").write_bytes(bytes(128))
    graphs.save_external(tmp_path / "inner", location)
    with pytest.raises(ModelError, match="m: 'm.onnx' keeps weights in .*which is not (there|beside it).*as one file"):
        read_onnx(tmp_path / "inner" / "m.onnx", where="m")


def test_a_link_does_not_lead_out(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "secret").write_bytes(bytes(128))
    path = graphs.save_external(tmp_path / "inner")
    (tmp_path / "inner" / "m.data").unlink()
    (tmp_path / "inner" / "m.data").symlink_to(tmp_path / "secret")
    with pytest.raises(ModelError, match="which is not beside it"):
        read_onnx(path)


@pytest.mark.parametrize("place", ["branch", "function", "sparse", "constant"])
def test_weights_outside_are_found_wherever_they_hide(tmp_path: Path, place: str) -> None:
    hidden = onnx.TensorProto(dims=[1], data_type=1, data_location=1)
    entry = hidden.external_data.add()
    entry.key, entry.value = "location", "/etc/hostname"
    content = graphs.twin()
    constant = onnx.NodeProto(op_type="Constant", output=["c"])
    constant.attribute.add(name="value", type=4).t.CopyFrom(hidden)
    if place == "constant":
        content.graph.node.append(constant)
    elif place == "branch":
        branch = content.graph.node.add(op_type="If").attribute.add(name="then_branch", type=5)
        branch.g.node.append(constant)
    elif place == "function":
        content.functions.add(name="f").node.append(constant)
    else:
        content.graph.sparse_initializer.add().values.CopyFrom(hidden)
    with pytest.raises(ModelError, match="keeps weights in '/etc/hostname', which is not beside it"):
        read_onnx(graphs.save(tmp_path, content))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("gone.onnx", None, "no such file"),
        ("m.onnx", b"", "is no ONNX file: it is empty"),
        ("m.onnx", b"nothing", "is no ONNX file, or is cut short"),
        ("m.onnx", b"\x08\x0a", "it holds no graph"),
        ("m.onnx", b"\xff" * 64, "more than ten bytes"),
        ("m.ort", b"ORTM", r"is a '\.ort' file, allowed: \.onnx"),
    ],
)
def test_broken_files_are_named(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError, match=message):
        load(tmp_path, name)


def test_a_cut_file_is_refused_wherever_it_is_cut(tmp_path: Path) -> None:
    whole = graphs.twin().SerializeToString()
    for length in range(1, len(whole), 7):
        (tmp_path / "m.onnx").write_bytes(whole[:length])
        with pytest.raises(ModelError, match=r"cut short|cannot be loaded by ONNX Runtime"):
            load(tmp_path)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_never_ends_in_another_error(tmp_path: Path, data: Any) -> None:
    content = bytearray(graphs.twin().SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "m.onnx").write_bytes(content)
    with contextlib.suppress(ModelError):
        read_onnx(tmp_path / "m.onnx")
