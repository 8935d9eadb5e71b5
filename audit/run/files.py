"""Writing files so that a crash leaves either the old content or the new, and hashing them."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from audit.errors import RunError

__all__ = [
    "LONGEST_NAME",
    "canonical_json",
    "commit",
    "is_file_name",
    "is_leftover",
    "lock",
    "sha256_bytes",
    "sha256_file",
    "write_bytes",
    "write_json",
    "write_text",
]

LONGEST_NAME = 240
"""Bytes of a name that a file gets; most file systems end at 255."""

_LOCK_PATIENCE = 10.0


def commit(path: Path, write: Callable[[Path], None]) -> None:
    """Create or replace a file in one step: temporary file, fsync, rename, directory fsync.

    Parameters
    ----------
    path : Path
        Where the file ends up; its folder is made if it is missing.
    write : callable
        Writes the whole content to the path it is given, in the same folder.

    Notes
    -----
    After a crash `path` holds its old content or the new, never a part. A left-over temporary
    file starts with a dot and ends in ``.partial``; readers ignore it and the next writer of
    the same name replaces it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        write(partial)
        with partial.open("rb+") as stream:
            os.fsync(stream.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def is_file_name(text: str) -> bool:
    """Whether a name can be that of a file, with an ending and what `commit` adds while it writes."""
    try:
        return 0 < len(text.encode()) <= LONGEST_NAME and "\0" not in text
    except UnicodeEncodeError:
        return False


def is_leftover(path: Path) -> bool:
    """Whether a file is the temporary one of a commit that was cut short."""
    return path.name.startswith(".") and path.name.endswith(".partial")


def write_text(path: Path, text: str) -> None:
    """Commit a text file in UTF-8."""
    commit(path, lambda partial: _write_all(partial, text))


def _write_all(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def write_bytes(path: Path, content: bytes) -> None:
    """Commit a file of bytes."""
    commit(path, lambda partial: _write_bytes(partial, content))


def _write_bytes(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def write_json(path: Path, content: Any) -> None:
    """Commit a JSON file, keys sorted and indented for a human reader."""
    write_text(path, json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")


def canonical_json(content: Any) -> bytes:
    """Bytes of a JSON value with sorted keys and no spaces, for hashing."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def sha256_bytes(content: bytes) -> str:
    """SHA-256 of some bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal, read in pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextlib.contextmanager
def lock(folder: Path) -> Iterator[int]:
    """Hold the one writer's place of a run folder; yields the descriptor so that workers can share it.

    A dead process keeps no lock: the operating system releases it with the last descriptor.

    Raises
    ------
    RunError
        Another live process is writing to the folder.
    """
    descriptor = os.open(folder / ".lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
    try:
        _wait_for(descriptor, folder)
        yield descriptor
    finally:
        os.close(descriptor)


def _wait_for(descriptor: int, folder: Path) -> None:
    deadline = time.monotonic() + _LOCK_PATIENCE
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise RunError(
                    "another process is writing this run",
                    where=str(folder),
                    fix="wait until it ends, or end it, then use --resume",
                ) from None
            time.sleep(0.1)
        else:
            return
