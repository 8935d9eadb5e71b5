"""A model's files: which they are, their digest, and private copies of them.

A model is loaded from a copy in a folder that nobody else writes, and the digest is that of the copy: what was judged
is what is loaded, whatever happens to the original meanwhile.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from audit.config import ModelConfig
from audit.errors import ModelError
from audit.models.onnx_file import read_onnx
from audit.models.user_code import source_file
from audit.run.files import sha256_bytes, sha256_file
from audit.trust import Trust

__all__ = ["ModelFile", "copied", "model_digest"]

_PIECE = 2**20
_SAVED_MODEL = "saved_model.pb"


@dataclass(frozen=True)
class ModelFile:
    """The private copy of a model's file.

    Attributes
    ----------
    path : Path
        The copy, under the name of the original; files that belong to it lie beside it as they did there.
    original : Path
        For errors.
    sha256 : str
        As `model_digest` gives it, of the copy.
    size : int
        Bytes of the copy and what lies beside it.
    """

    path: Path
    original: Path
    sha256: str
    size: int

    def admit(self, trust: Trust, what: str, instead: str) -> None:
        """Let it run code only where its very digest is trusted.

        Parameters
        ----------
        trust : Trust
        what : str
            What the file is, for the error.
        instead : str
            What to do where nobody vouches for it.

        Raises
        ------
        ModelError
            It is not trusted.
        """
        if self.sha256 in trust.models:
            return
        named = ", ".join(f"sha256:{digest}" for digest in trust.models)
        trusted = f"trusted is {named}" if named else "nothing is trusted"
        raise ModelError(
            f"{what}, which runs code when it is loaded; its digest is sha256:{self.sha256}, {trusted}",
            where=str(self.original),
            fix=f"{instead}; or, if you know that digest from whoever made the file and trust them, add "
            f"--trust-model sha256:{self.sha256}",
        )


def model_digest(model: ModelConfig, base: Path) -> str | None:
    """SHA-256 of the model's file, or None where it has none.

    Of a function it is that of its module's source. Where an ONNX file keeps weights beside it, it is that of one line
    a file, ``SHA256  NAME``, the model's file first.

    Parameters
    ----------
    model : ModelConfig
    base : Path
        Folder that relative paths start from.

    Raises
    ------
    ModelError
        There is no such file, or it is not one that can be read.
    """
    if model.framework == "callable":
        source = source_file(model.function or "", base, where=f"models.{model.name}")
        return None if source is None else sha256_file(source)
    path = _named(model, base)
    if path is None:
        return None
    beside = read_onnx(path, where=f"models.{model.name}").external if model.framework == "onnx" else ()
    return _joined([(file.relative_to(path.parent).as_posix(), sha256_file(file)) for file in (path, *beside)])


@contextmanager
def copied(model: ModelConfig, base: Path) -> Iterator[ModelFile | None]:
    """A private copy of the model's file, and of those beside it that an ONNX file names; gone afterwards.

    Parameters
    ----------
    model : ModelConfig
    base : Path
        Folder that relative paths start from.

    Yields
    ------
    ModelFile or None
        None where the configuration names no file.

    Raises
    ------
    ModelError
        There is no such file, or it is not one that can be read.
    """
    original = None if model.framework == "callable" else _named(model, base)
    if original is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="faircam-model-") as name:
        folder = Path(name)
        path = folder / original.name
        digests = [(path.name, _copy(original, path))]
        if model.framework == "onnx":
            for file in read_onnx(path, where=f"models.{model.name}", folder=original.parent).external:
                inner = file.relative_to(original.parent)
                copy = folder / inner
                copy.parent.mkdir(parents=True, exist_ok=True)
                digests.append((inner.as_posix(), sha256_file(copy) if copy.exists() else _copy(file, copy)))
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        yield ModelFile(path, original, _joined(digests), size)


def _named(model: ModelConfig, base: Path) -> Path | None:
    """The plain file that a configuration names, or a clear error."""
    name, where = model.path or model.weights, f"models.{model.name}"
    if name is None:
        return None
    if "://" in name:
        raise ModelError(
            f"'{name}' is a remote address, allowed: files", where=where, fix="download it, and name the file"
        )
    path = base / name
    try:
        kind = path.stat().st_mode
    except (OSError, ValueError) as error:
        raise ModelError(f"no such file '{name}'", where=where, fix="check the path in the config") from error
    if stat.S_ISDIR(kind):
        saved = (path / _SAVED_MODEL).exists()
        raise ModelError(
            f"'{name}' is a {'TensorFlow SavedModel, a folder of code without layers' if saved else 'folder'}, "
            "allowed: one file",
            where=where,
            fix="save the model with model.save(PATH.keras), or export it to ONNX, which is audited as a black box",
        )
    if not stat.S_ISREG(kind):
        raise ModelError(f"'{name}' is a pipe, socket or device, allowed: a plain file", where=where)
    return path


def _joined(digests: list[tuple[str, str]]) -> str:
    """The digest of one file, or of the list of several."""
    if len(digests) == 1:
        return digests[0][1]
    return sha256_bytes("".join(f"{digest}  {name}\n" for name, digest in digests).encode())


def _copy(source: Path, target: Path) -> str:
    """Copy a file and give the digest of what was written; one that became a pipe meanwhile is not waited for."""
    digest = hashlib.sha256()
    with os.fdopen(os.open(source, os.O_RDONLY | os.O_NONBLOCK), "rb") as stream, target.open("xb") as written:
        for piece in _pieces(stream):
            digest.update(piece)
            written.write(piece)
    return digest.hexdigest()


def _pieces(stream: BinaryIO) -> Iterator[bytes]:
    left = os.fstat(stream.fileno()).st_size  # one that grows without end is not followed
    while left > 0 and (piece := stream.read(min(left, _PIECE))):
        left -= len(piece)
        yield piece
