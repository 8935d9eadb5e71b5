"""Hostile and damaged model files, each with the one outcome that it must have, made by this script.

What a payload would do is touch the file `canary` beside the folder that it is in.
"""

from __future__ import annotations

import functools
import io
import json
import os
import pickle
import stat
import struct
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from audit.run.files import sha256_file
from audit.trust import NOTHING, Trust

__all__ = ["CLASSES", "SIZE", "Case", "endless", "keras_cases", "numpy_cases", "onnx_cases", "torch_cases"]

CLASSES = ("a", "b", "c")
SIZE = (16, 16)
ARGUMENTS = {"num_classes": 3, "input_shape": [*SIZE, 3]}


@dataclass(frozen=True)
class Case:
    """A model's file and what must become of it.

    Attributes
    ----------
    name : str
    keys : dict
        Keys of the model in a configuration; `path` or `weights` names the file.
    make : callable or bytes
        Writes the file to a path, or its content.
    says : str
        What the error must match; empty where the model is loaded and none of its scores is finite.
    trust : callable
        What is trusted, given the file's path.
    """

    name: str
    keys: dict[str, Any]
    make: Callable[[Path], object] | bytes
    says: str
    trust: Callable[[Path], Trust] = field(default=lambda _: NOTHING)

    def write(self, folder: Path) -> Path:
        """Make the file."""
        path = folder / str(self.keys.get("path") or self.keys.get("weights") or "none")
        if isinstance(self.make, bytes):
            path.write_bytes(self.make)
        else:
            self.make(path)
        return path


class Payload:
    """Touches the canary when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.command = f"touch '{canary_of(path)}'"

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self.command,)


def canary_of(path: Path) -> Path:
    """What the payload in a file would make."""
    return path.parent.parent / "canary"


def itself(path: Path) -> Trust:
    """The very file is trusted."""
    return Trust(models=(sha256_file(path),))


def another(_: Path) -> Trust:
    """Code, and the digest of another file."""
    return Trust(code=True, models=("a" * 64,))


def archive(path: Path, members: dict[str, bytes], *, packed: bool = False) -> None:
    """A zip archive of exactly these members."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as file:
        for name, content in members.items():
            file.writestr(name, content)


def added(source: bytes, path: Path, name: str, content: bytes, *, mode: int = 0o644, packed: bool = False) -> None:
    """An archive with one member more."""
    path.write_bytes(source)
    member = zipfile.ZipInfo(name)
    member.external_attr = mode << 16
    member.compress_type = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "a") as file:
        file.writestr(member, content)


def members(source: bytes) -> dict[str, bytes]:
    """What an archive holds."""
    with zipfile.ZipFile(io.BytesIO(source)) as file:
        return {name: file.read(name) for name in file.namelist()}


def no_files(name: str, key: str, keys: dict[str, Any]) -> Iterator[Case]:
    """Names behind which there is no plain file."""
    kind = name.rpartition(".")[2]
    named = {**keys, key: name}
    yield Case(f"folder-{kind}", named, lambda path: path.mkdir(), "is a folder, allowed: one file")
    yield Case(f"pipe-{kind}", named, os.mkfifo, "pipe, socket or device, allowed: a plain file")
    yield Case(f"device-{kind}", named, lambda path: path.symlink_to("/dev/zero"), "pipe, socket or device")
    yield Case(f"nothing-{kind}", named, lambda path: path.symlink_to("gone"), "no such file.*check the path")
    for scheme in ("hf", "https"):
        remote = {**keys, key: f"{scheme}://someone.example/m.{kind}"}
        yield Case(f"{scheme}-{kind}", remote, lambda _: None, "is a remote address, allowed: files")


def safetensors(header: dict[str, Any] | bytes, data: bytes = b"", length: int | None = None) -> bytes:
    """A file of that header, well-formed or not."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def torch_cases() -> list[Case]:
    """Of PyTorch."""
    return [*_pickles(), *_torch_code(), *_torch_archives(), *_safetensors(), *no_files("w.pt", "weights", _built())]


def _built(**keys: Any) -> dict[str, Any]:
    return {"framework": "torch", "architecture": "plain_cnn", "arguments": ARGUMENTS, **keys}


def _state() -> dict[str, Any]:
    from audit.models import torch_networks

    return dict(torch_networks.build("plain_cnn", **ARGUMENTS).state_dict())


def _saved(content: object) -> bytes:
    import torch

    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


def _pickles() -> Iterator[Case]:
    """Pickles that would run a command, whatever they are called."""
    refused = "holds more than tensors.*was not loaded.*state_dict"
    for suffix in ("pt", "pth", "bin", "ckpt"):

        def payload(path: Path) -> None:
            path.write_bytes(_saved({"conv1.weight": Payload(path)}))

        yield Case(f"payload-{suffix}", _built(weights=f"w.{suffix}"), payload, refused)

    def raw(path: Path) -> None:
        path.write_bytes(pickle.dumps(Payload(path)))

    yield Case("payload-bare-pt", _built(weights="w.pt"), raw, refused)
    yield Case("payload-safetensors", _built(weights="w.safetensors"), raw, "is no safetensors file")
    yield Case("payload-elsewhere", _built(weights="w.pkl"), raw, r"is a '\.pkl' file, allowed: \.safetensors, \.pt")
    yield Case("cut-pt", _built(weights="w.pt"), lambda path: path.write_bytes(_saved(_state())[:-900]), refused)
    yield Case("empty-pt", _built(weights="w.pt"), b"", refused)

    def stretched(path: Path) -> None:
        import torch

        path.write_bytes(_saved({"conv1.weight": torch.zeros(1).expand(10**6, 10**6)}))

    yield Case("stretched-pt", _built(weights="w.pt"), stretched, "takes more than .* GB of memory.*not loaded")


def _torch_code() -> Iterator[Case]:
    """Whole models and import paths: code that nobody vouched for."""

    def module(path: Path) -> None:
        import torch

        torch.save(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(768, 3)), path)

    def payload(path: Path) -> None:
        path.write_bytes(_saved(Payload(path)))

    whole = {"framework": "torch", "path": "m.pt"}
    refused = "is a pickled object, which runs code.*nothing is trusted.*state_dict.*--trust-model sha256:"
    yield Case("module", whole, module, refused)
    yield Case("module-as-weights", _built(weights="m.pt"), module, "such as a whole pickled model")
    yield Case("payload-whole", whole, payload, refused)
    yield Case(
        "payload-of-another-digest", whole, payload, f"its digest is sha256:.*trusted is sha256:{'a' * 64}", another
    )
    yield Case("no-module", whole, lambda path: path.write_bytes(_saved([1, 2])), "holds a list, not a torch", itself)
    yield Case("damaged-module", whole, b"nothing", "cannot be loaded: ", itself)

    def script(path: Path) -> None:
        names = ("data.pkl", "constants.pkl", "code/__torch__.py")
        archive(path, {f"m/{name}": pickle.dumps(Payload(path)) for name in names})

    def exported(path: Path) -> None:
        archive(path, {"m/archive_format": b"pt2", "m/models/model.json": b"{}"})

    hooks = "has no layers that can be hooked; it is not loaded, trusted or not.*ONNX"
    yield Case("torchscript", whole, script, f"is TorchScript.*{hooks}", itself)
    yield Case("torchscript-as-weights", _built(weights="m.pt"), script, f"is TorchScript.*{hooks}")
    yield Case("exported", {**whole, "path": "m.pt2"}, exported, f"is a program of torch.export.*{hooks}", itself)
    yield Case("exported-as-pt", whole, exported, f"is a program of torch.export.*{hooks}", itself)
    for name in ("os:system", "subprocess:call", "builtins:exec"):
        keys = {"framework": "torch", "architecture": name, "arguments": {"command": "touch canary"}}
        yield Case(
            f"architecture-{name.partition(':')[0]}", keys, lambda _: None, f"'{name}' runs code of its own.*--trust"
        )
    yield Case("function", {"framework": "callable", "function": "os:system"}, lambda _: None, "'os:system' runs code")


def _torch_archives() -> Iterator[Case]:
    """State dicts in archives that are not what they seem."""
    good = functools.cache(lambda: _saved({"conv1.weight": 0}))
    keys = _built(weights="w.pt")
    yield Case("parent-pt", keys, lambda path: added(good(), path, "../x", b"x"), "member '../x' that leads out of it")
    yield Case(
        "root-pt", keys, lambda path: added(good(), path, "/etc/x", b"x"), "member '/etc/x' that leads out of it"
    )
    bomb = bytes(200_000_000)
    yield Case(
        "bomb-pt", keys, lambda path: added(good(), path, "archive/data/9", bomb, packed=True), "expands to 200,000"
    )
    yield Case(
        "words-pt", keys, lambda path: path.write_bytes(good()), "is no state dict: it must map names to tensors"
    )


def _safetensors() -> Iterator[Case]:
    """Headers that lie, and weights that do not fit."""
    keys = _built(weights="w.safetensors")
    one = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    headers = {
        "header-endless": safetensors({"a": one}, bytes(8), 2**63),
        "header-beyond": safetensors({"a": one}, bytes(8), 10**6),
        "header-none": b"",
        "header-no-json": safetensors(b"{" * 40),
        "header-deep": safetensors(b"[" * 100_000),
        "overlapping": safetensors({"a": one, "b": one}, bytes(8)),
        "beyond-the-end": safetensors({"a": {**one, "data_offsets": [0, 8]}}, bytes(4)),
        "shape-negative": safetensors({"a": {**one, "shape": [-2]}}, bytes(8)),
        "shape-huge": safetensors({"a": {**one, "shape": [2**62, 2**62]}}, bytes(8)),
        "shape-other": safetensors({"a": {**one, "shape": [3]}}, bytes(8)),
        "type-unknown": safetensors({"a": {**one, "dtype": "OBJ"}}, bytes(8)),
    }
    for name, content in headers.items():
        yield Case(name, keys, content, "is no safetensors file")

    def changed(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
        def make(path: Path) -> None:
            from safetensors.torch import save

            state = _state()
            change(state)
            path.write_bytes(save(state))

        return make

    def nans(state: dict[str, Any]) -> None:
        for value in state.values():
            value.fill_(float("nan"))

    def cut(path: Path) -> None:
        changed(lambda _: None)(path)
        path.write_bytes(path.read_bytes()[:-4])

    yield Case("nan", keys, changed(nans), "")
    yield Case("cut-safetensors", keys, cut, "is no safetensors file")
    yield Case("missing", keys, changed(lambda state: state.pop("dense.bias")), "do not fit.*missing: dense.bias")
    yield Case("extra", keys, changed(lambda state: state.update({"x": state["dense.bias"] + 1})), "unexpected: x")
    yield Case(
        "wrong-shape",
        keys,
        changed(lambda state: state.update({"dense.bias": state["conv1.bias"] + 0})),
        "of another shape: dense.bias",
    )
    narrow = _built(weights="w.safetensors")
    narrow["arguments"] = {"num_classes": 10**12, "input_shape": [*SIZE, 3]}
    yield Case("arguments-huge", narrow, changed(lambda _: None), "cannot be built with the arguments")


def keras_cases() -> list[Case]:
    """Of Keras."""
    files = no_files("m.keras", "path", {"framework": "keras"})
    return [*_keras_code(), *_keras_archives(), *_hdf5(), *files]


@functools.cache
def _base() -> bytes:
    """A small model, as `.keras`."""
    import keras

    parts = [keras.layers.Conv2D(4, 3, activation="relu"), keras.layers.GlobalAveragePooling2D()]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.keras"
        keras.Sequential([keras.Input((*SIZE, 3)), *parts, keras.layers.Dense(3)]).save(path)
        return path.read_bytes()


def _edited(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """The base model with another configuration."""

    def make(path: Path) -> None:
        held = members(_base())
        config = json.loads(held["config.json"])
        change(config)
        archive(path, {**held, "config.json": json.dumps(config).encode()})

    return make


def _layers(config: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = config["config"]["layers"]
    return found


def _keras_code() -> Iterator[Case]:
    """Configurations that want more than layers of Keras."""
    keys = {"framework": "keras", "path": "m.keras"}

    def with_layer(name: str, module: str | None = "keras.layers", **config: Any) -> Callable[[Path], None]:
        registered = config.pop("registered", None)
        layer = {"class_name": name, "module": module, "registered_name": registered, "config": {"name": "x", **config}}
        return _edited(lambda whole: _layers(whole).append(layer))

    def with_lambda(path: Path) -> None:
        import keras

        command = f"touch '{canary_of(path)}'"
        run = os.system
        inner = keras.layers.Lambda(lambda x: (run(command), x)[1], output_shape=(*SIZE, 3))
        keras.Sequential([keras.Input((*SIZE, 3)), inner, keras.layers.Flatten(), keras.layers.Dense(3)]).save(path)
        canary_of(path).unlink(missing_ok=True)  # building it ran the code

    untrusted = r"carries code of its own \(a Lambda layer\), which runs code.*--trust-model sha256:"
    yield Case("lambda", keys, with_lambda, untrusted)
    yield Case("lambda-h5", {**keys, "path": "m.h5"}, with_lambda, untrusted)
    yield Case("lambda-of-another-digest", keys, with_lambda, f"trusted is sha256:{'a' * 64}", another)
    python = {"class_name": "__lambda__", "config": {"value": "AAAA"}}
    yield Case("lambda-as-activation", keys, with_layer("Activation", activation=python), "a Python lambda")
    outside = "it is not loaded, trusted or not"
    yield Case("saved-model-layer", keys, with_layer("TFSMLayer", filepath="/etc"), f"TFSMLayer.*{outside}", itself)
    yield Case("torch-layer", keys, with_layer("TorchModuleWrapper", module_={}), f"unpickles.*{outside}", itself)
    yield Case("jax-layer", keys, with_layer("JaxLayer"), f"code of JAX.*{outside}", itself)
    theirs = "a class that this program does not have; allowed: those of Keras"
    yield Case("layer-of-os", keys, with_layer("system", "os"), f"uses 'system' of 'os', {theirs}", itself)
    yield Case("layer-of-subprocess", keys, with_layer("Popen", "subprocess", args="id"), f"'Popen'.*{theirs}")
    yield Case("layer-of-a-package", keys, with_layer("Net", None, registered="evil>Net"), f"'evil>Net'.*{theirs}")
    yield Case(
        "layer-of-keras-utils", keys, with_layer("get_file", "keras.utils", origin="http://x"), f"keras.utils.*{theirs}"
    )
    yield Case("layer-like-keras", keys, with_layer("Dense", "keras_evil.layers"), f"keras_evil.layers.*{theirs}")
    unpack = {"class_name": "function", "module": "shutil", "config": "rmtree", "registered_name": "rmtree"}
    yield Case("function-of-shutil", keys, with_layer("Activation", activation=unpack), f"'shutil'.*{theirs}")
    vocabulary = with_layer("StringLookup", vocabulary="/etc/passwd")
    yield Case("vocabulary", keys, vocabulary, "StringLookup that reads the file '/etc/passwd'")

    def wide(units: int) -> Callable[[Path], None]:
        return _edited(lambda config: _layers(config)[-1]["config"].update(units=units))

    yield Case(
        "shape-bomb", keys, wide(10**10), "a Dense of 10,000,000,000 units, and the file holds [0-9]+ numbers in all"
    )
    yield Case("shape-of-no-size", keys, wide(-5), "cannot be loaded as a Keras model")
    yield Case("weights-of-another", keys, wide(5), "cannot be loaded as a Keras model")
    deep = b'{"class_name":"Sequential","config":' + b"[" * 5000 + b"]" * 5000 + b"}"
    for name, text in {
        "config-deep": deep,
        "config-no-json": b"{",
        "config-list": b"[]",
        "config-empty": b"{}",
    }.items():
        said = "no JSON, or too deep" if name in ("config-deep", "config-no-json") else "cannot be loaded"
        yield Case(name, keys, lambda path, text=text: archive(path, members(_base()) | {"config.json": text}), said)  # type: ignore[misc]


def _keras_archives() -> Iterator[Case]:
    """Archives whose members lead out or swell."""
    keys = {"framework": "keras", "path": "m.keras"}
    out = "leads out of it"
    yield Case("parent-keras", keys, lambda path: added(_base(), path, "../canary", b""), f"'../canary' that {out}")
    yield Case("root-keras", keys, lambda path: added(_base(), path, "/etc/canary", b""), f"'/etc/canary' that {out}")
    yield Case("drive-keras", keys, lambda path: added(_base(), path, "c:\\x", b""), out)
    link = stat.S_IFLNK | 0o777
    yield Case(
        "link-keras", keys, lambda path: added(_base(), path, "assets/x", b"/etc/passwd", mode=link), "is a link"
    )
    bomb = bytes(200_000_000)
    yield Case("bomb-keras", keys, lambda path: added(_base(), path, "assets/x", bomb, packed=True), "expands to 200,")
    weights = "model.weights.h5"

    def with_weights(change: Callable[[bytes], bytes], *, packed: bool = False) -> Callable[[Path], None]:
        def make(path: Path) -> None:
            held = members(_base())
            archive(path, {**held, weights: change(held[weights])}, packed=packed)

        return make

    swollen = with_weights(lambda content: content + bomb, packed=True)
    yield Case("bomb-weights", keys, swollen, "expands to 200,")
    bare = {"config.json": b"{}"}
    yield Case("no-weights", keys, lambda path: archive(path, bare), "it holds no model.weights.h5")
    yield Case("no-config", keys, lambda path: archive(path, {"x": b"x"}), "it holds no config.json")
    yield Case("cut-weights", keys, with_weights(lambda content: content[:800]), "is no HDF5 file, or is cut short")
    yield Case("cut-keras", keys, lambda path: path.write_bytes(_base()[:9000]), "is no Keras model, or is cut short")
    yield Case("empty-keras", keys, b"", "is no Keras model, or is cut short")

    def saved_model(path: Path) -> None:
        path.mkdir()
        (path / "saved_model.pb").write_bytes(b"")

    yield Case("saved-model", {**keys, "path": "m"}, saved_model, "is a TensorFlow SavedModel.*ONNX")


def _hdf5() -> Iterator[Case]:
    """Weights that lie elsewhere, or claim to be larger than any memory."""
    import h5py

    keys, legacy = {"framework": "keras", "path": "m.keras"}, {"framework": "keras", "path": "m.h5"}

    def with_weights(change: Callable[[Any], object]) -> Callable[[Path], None]:
        def make(path: Path) -> None:
            held = members(_base())
            stream = io.BytesIO(held["model.weights.h5"])
            with h5py.File(stream, "r+") as file:
                change(file)
            archive(path, {**held, "model.weights.h5": stream.getvalue()})

        return make

    def whole(change: Callable[[Any], object]) -> Callable[[Path], None]:
        def make(path: Path) -> None:
            with h5py.File(path, "w") as file:
                file.attrs["model_config"] = "{}"
                change(file)

        return make

    elsewhere = "a link or data kept elsewhere, allowed: datasets in the file"

    def outside(file: Any) -> None:
        file["x"] = h5py.ExternalLink("/etc/passwd", "/")

    def soft(file: Any) -> None:
        file["x"] = h5py.SoftLink("/y")

    def raw(file: Any) -> None:
        file.create_dataset("x", (4,), "u1", external=[("/etc/passwd", 0, 4)])

    def virtual(file: Any) -> None:
        layout = h5py.VirtualLayout((4,), "f4")
        layout[:] = h5py.VirtualSource("/etc/other.h5", "x", (4,))
        file.create_virtual_dataset("x", layout)

    def huge(file: Any) -> None:
        file.create_dataset("x", (10**6, 10**6), "f4", chunks=(10, 10))

    for name, change in {"outside": outside, "soft": soft, "raw": raw, "virtual": virtual}.items():
        yield Case(f"hdf5-{name}", keys, with_weights(change), elsewhere)
    yield Case("hdf5-outside-h5", legacy, whole(outside), elsewhere)
    yield Case("hdf5-huge", keys, with_weights(huge), "takes more than .* GB of memory")
    yield Case("hdf5-huge-h5", legacy, whole(huge), "takes more than .* GB of memory")
    yield Case("hdf5-no-model", legacy, whole(lambda file: file.attrs.pop("model_config")), "weights but no model")
    for name, content in {"cut-h5": b"\x89HDF\r\n\x1a\n" + bytes(90), "empty-h5": b""}.items():
        yield Case(name, legacy, content, "is no HDF5 file, or is cut short")


def onnx_cases() -> list[Case]:
    """Of ONNX."""
    return [*_external(), *_graphs(), *no_files("m.onnx", "path", {"framework": "onnx"})]


def _network(*extra: Any, **initialisers: np.ndarray) -> Any:
    """Averages the channels of an image, after which come more nodes."""
    from onnx import TensorProto, helper, numpy_helper

    nodes = [helper.make_node("GlobalAveragePool", ["x"], ["p"]), helper.make_node("Flatten", ["p"], ["y"]), *extra]
    taken = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, *SIZE])
    given = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])
    arrays = [numpy_helper.from_array(array, name) for name, array in initialisers.items()]
    graph = helper.make_graph(nodes, "graph", [taken], [given], arrays)
    if extra:
        graph.output.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, None))
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("their.own", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def _external() -> Iterator[Case]:
    """Weights outside the model's folder."""
    from onnx import TensorProto, helper

    keys = {"framework": "onnx", "path": "m.onnx", "preprocessing": {"size": list(SIZE), "layout": "NCHW"}}

    def at(location: str, **entries: str) -> Callable[[Path], None]:
        def make(path: Path) -> None:
            content = _network(helper.make_node("Add", ["y", "w"], ["z"]))
            tensor = content.graph.initializer.add(name="w", data_type=TensorProto.FLOAT, dims=[3])
            tensor.data_location = TensorProto.EXTERNAL
            for key, value in {"location": location, **entries}.items():
                entry = tensor.external_data.add()
                entry.key, entry.value = key, value
            path.write_bytes(content.SerializeToString())

        return make

    def linked(path: Path) -> None:
        at("w.data")(path)
        (path.parent / "w.data").symlink_to("/etc/passwd")

    def pipe(path: Path) -> None:
        at("w.data")(path)
        os.mkfifo(path.parent / "w.data")

    def short(path: Path) -> None:
        at("w.data", offset=str(2**40), length="12")(path)
        (path.parent / "w.data").write_bytes(bytes(12))

    beside = "which is not (there|beside it)"
    places = {"parent": "../secret", "absolute": "/etc/passwd", "winding": "a/../../secret", "gone": "no.data"}
    for name, place in places.items():
        yield Case(f"external-{name}", keys, at(place), f"keeps weights in .*{beside}.*as one file")
    yield Case("external-link", keys, linked, beside)
    yield Case("external-pipe", keys, pipe, beside)
    yield Case("external-beyond", keys, short, "cannot be loaded by ONNX Runtime")


def _graphs() -> Iterator[Case]:
    """Graphs that ask for too much, or for code."""
    from onnx import TensorProto, helper

    keys = {"framework": "onnx", "path": "m.onnx", "preprocessing": {"size": list(SIZE), "layout": "NCHW"}}

    def of(content: Any) -> bytes:
        made: bytes = content.SerializeToString()
        return made

    shape = np.array([10**5, 10**5, 10**3], np.int64)
    filled = [helper.make_node("ConstantOfShape", ["s"], ["big"]), helper.make_node("ReduceSum", ["big"], ["z"])]
    huge = _network(*filled, s=shape)
    yield Case("shape-bomb-onnx", keys, of(huge), "memory does not suffice for a single image")
    claimed = _network(helper.make_node("ReduceSum", ["w"], ["z"]))
    claimed.graph.initializer.add(name="w", data_type=TensorProto.FLOAT, dims=[2**40, 2**20])
    yield Case("tensor-without-data", keys, of(claimed), "cannot be loaded by ONNX Runtime")
    own = _network(helper.make_node("Run", ["y"], ["z"], domain="their.own"))
    yield Case("operator-of-their-own", keys, of(own), "libraries of custom operators run code and are not loaded")
    good = of(_network())
    yield Case("cut-onnx", keys, good[: len(good) // 2], "is no ONNX file, or is cut short")
    yield Case("empty-onnx", keys, b"", "is no ONNX file: it is empty")
    yield Case("pickle-onnx", keys, pickle.dumps({"a": 1}), "is no ONNX file, or is cut short")


def endless() -> bytes:
    """A network that counts to 2^62 before it answers."""
    from onnx import TensorProto, helper

    flags = [helper.make_tensor_value_info(name, TensorProto.BOOL, []) for name in ("go", "on")]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 3]) for name in ("v", "w")]
    turn = helper.make_tensor_value_info("i", TensorProto.INT64, [])
    steps = [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Neg", ["v"], ["w"])]
    body = helper.make_graph(steps, "body", [turn, flags[0], values[0]], [flags[1], values[1]])
    loop = helper.make_node("Loop", ["times", "yes", "y"], ["z"], body=body)
    content = _network(loop, times=np.array(2**62), yes=np.array(True))
    content.graph.output.pop(0)
    made: bytes = content.SerializeToString()
    return made


def numpy_cases() -> list[Case]:
    """Of the NumPy adapter's archives."""
    keys = {"framework": "numpy", "weights": "m.npz"}

    def payload(path: Path) -> None:
        np.savez(path, allow_pickle=True, W1=np.array([Payload(path)], object))

    claim = b"\x93NUMPY\x01\x00"
    text = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000, 1000000), }"
    head = text + b" " * (117 - len(text)) + b"\n"
    lying = claim + struct.pack("<H", len(head)) + head
    bomb = bytes(200_000_000)
    return [
        Case("payload-npz", keys, payload, r"is no NumPy archive \(.npz\) of numbers"),
        Case("shape-bomb-npz", keys, lambda path: archive(path, {"W1.npy": lying}), "more memory than its size"),
        Case("bomb-npz", keys, lambda path: archive(path, {"W1.npy": bomb}, packed=True), "expands to 200,000,000"),
        Case("parent-npz", keys, lambda path: archive(path, {"../W1.npy": b""}), "leads out of it"),
        Case("cut-npz", keys, lambda path: archive(path, {"W1.npy": claim}), "of numbers"),
        *no_files("m.npz", "weights", {"framework": "numpy"}),
    ]
