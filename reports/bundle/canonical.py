"""Canonical JSON (RFC 8785) and the manifest of a bundle: which files it has, how large, with which SHA-256.

Whoever changes a file and the manifest alike is found by a signature only; what the files say is checked elsewhere.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from audit.errors import InputError, RunError
from audit.run.files import sha256_bytes, sha256_file
from audit.run.integrity import IntegrityError

__all__ = [
    "ATTESTATION",
    "ENVELOPE",
    "MANIFEST",
    "OUTSIDE",
    "canonical",
    "manifest",
    "manifest_problems",
    "manifest_sha256",
    "read_manifest",
]

MANIFEST = "manifest.json"
ATTESTATION = "attestation.intoto.json"
ENVELOPE = "attestation.dsse.json"
OUTSIDE = (MANIFEST, ATTESTATION, ENVELOPE, "attestation.sigstore.json")
"""Files of a bundle's top folder that a manifest cannot hold: itself, and what is made from it."""

_LOCK = ".lock"
_SHA256 = re.compile("[0-9a-f]{64}")
_NEVER = "a bundle holds regular files only"


def canonical(value: Any) -> bytes:
    """A JSON value as RFC 8785 writes it: one way for each value, so that equal values have equal digests.

    Parameters
    ----------
    value : dict, list, tuple, str, int, float, bool or None
        And whatever of these is inside.

    Returns
    -------
    bytes
        UTF-8, keys in the order of their UTF-16 units, no spaces, numbers as ECMAScript writes them.

    Raises
    ------
    InputError
        The value holds NaN, an infinite number, an integer beyond 2**53 - 1, a key that is no string, a lone
        surrogate, or something that is no JSON.
    """
    import rfc8785

    try:
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, UnicodeEncodeError) as error:
        raise InputError(f"the value has no canonical JSON: {error}", fix="write it as a string, or as null") from error


def manifest(folder: Path) -> dict[str, Any]:
    """List every file of a bundle but those in `OUTSIDE`.

    Parameters
    ----------
    folder : Path
        The bundle.

    Returns
    -------
    dict
        ``schema_version``, and ``files``: by path (relative, with slashes, sorted) ``sha256`` and ``bytes``.
        Write it as `canonical` gives it.

    Raises
    ------
    RunError
        There is no such folder; or it holds a link, a device or the like, or a name that is not UTF-8.
    """
    files, odd = _files(folder)
    if odd:
        raise RunError("; ".join(odd), where=str(folder), fix="remove or replace it")
    return {"schema_version": 1, "files": {name: _entry(files[name]) for name in sorted(files)}}


def manifest_sha256(content: Mapping[str, Any]) -> str:
    """SHA-256 of ``manifest.json`` with this content."""
    return sha256_bytes(canonical(dict(content)))


def read_manifest(folder: Path) -> dict[str, Any]:
    """Content of a bundle's ``manifest.json``.

    Raises
    ------
    RunError
        There is none.
    IntegrityError
        It is no manifest, or not in canonical form.
    """
    path = folder / MANIFEST
    try:
        held = path.read_bytes()
    except FileNotFoundError:
        raise RunError(f"holds no {MANIFEST}", where=str(folder), fix="name the folder of a bundle") from None
    try:
        content = json.loads(held)
        same = canonical(content) == held
    except (ValueError, RecursionError, InputError) as error:
        raise IntegrityError(f"is no JSON: {error}", where=str(path)) from error
    if not same:
        raise IntegrityError("is not in canonical form (RFC 8785), as it was written", where=str(path))
    if malformed := _malformed(content):
        raise IntegrityError("; ".join(malformed), where=str(path))
    return dict(content)


def manifest_problems(folder: Path, content: object) -> list[str]:
    """What of a bundle is not as its manifest says, one sentence a file; empty where nothing was found.

    Parameters
    ----------
    folder : Path
        The bundle.
    content : object
        What `read_manifest` gave, or any JSON value.
    """
    problems = _malformed(content)
    if problems or not isinstance(content, Mapping):
        return problems
    files, odd = _files(folder)
    listed = content["files"]
    problems += odd
    for name in sorted({*listed, *files}):
        if name not in files:
            problems.append(f"{name} is missing")
        elif name not in listed:
            problems.append(f"{name} is not listed in {MANIFEST}: it was added later")
        else:
            problems += _changed(name, files[name], listed[name])
    return problems


def _changed(name: str, path: Path, entry: Mapping[str, Any]) -> list[str]:
    found = _entry(path)
    if found["sha256"] == entry["sha256"] and found["bytes"] == entry["bytes"]:
        return []
    if found["bytes"] != entry["bytes"]:
        return [f"{name} was changed: it has {found['bytes']} bytes, {MANIFEST} says {entry['bytes']}"]
    return [f"{name} was changed: its SHA-256 is not the one in {MANIFEST}"]


def _entry(path: Path) -> dict[str, Any]:
    return {"sha256": sha256_file(path), "bytes": path.stat().st_size}


def _files(folder: Path) -> tuple[dict[str, Path], list[str]]:
    """Regular files by relative path, and what else there is, in words."""
    if not folder.is_dir():
        raise RunError("is no folder", where=str(folder), fix="name the folder of a bundle")
    files: dict[str, Path] = {}
    odd: list[str] = []
    for entry in _walk(folder):
        path = Path(entry.path)
        name = path.relative_to(folder).as_posix()
        mode = entry.stat(follow_symlinks=False).st_mode
        if not _is_utf8(name):
            odd.append(f"{os.fsencode(name)!r} is a name that is not UTF-8")
        elif stat.S_ISLNK(mode):
            odd.append(f"{name} is a symbolic link, and {_NEVER}")
        elif not stat.S_ISREG(mode):
            odd.append(f"{name} is no regular file, and {_NEVER}")
        elif name not in OUTSIDE and not (name == _LOCK and path.stat().st_size == 0):
            files[name] = path
    return files, sorted(odd)


def _walk(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Every entry below a folder that is no folder itself; links are not followed."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(Path(entry.path))
            else:
                yield entry


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _malformed(content: object) -> list[str]:
    """What keeps a value from being a manifest."""
    if not isinstance(content, Mapping) or not isinstance(content.get("files"), Mapping):
        return [f"{MANIFEST} lists no files"]
    if content.get("schema_version") != 1:
        return [f"{MANIFEST} has schema_version {content.get('schema_version')!r}, this version of faircam reads 1"]
    return [problem for name, entry in content["files"].items() for problem in _malformed_entry(str(name), entry)]


def _malformed_entry(name: str, entry: object) -> list[str]:
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts or str(path) != name or name in OUTSIDE:
        return [f"{MANIFEST} lists '{name}', which cannot be a file of a bundle"]
    fine = (
        isinstance(entry, Mapping)
        and isinstance(entry.get("sha256"), str)
        and _SHA256.fullmatch(entry["sha256"]) is not None
        and type(entry.get("bytes")) is int
        and entry["bytes"] >= 0
    )
    return [] if fine else [f"{MANIFEST} gives no SHA-256 and size of {name}"]
