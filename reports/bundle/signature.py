"""A detached Ed25519 signature over the attestation, as a DSSE envelope (`attestation.dsse.json`), with the user's key.

DSSE 1.0.2, https://github.com/secure-systems-lab/dsse. A signature shows that the holder of a key signed; whose key
it is, the reader must know from elsewhere.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit.errors import InputError
from audit.run.files import sha256_bytes
from audit.run.integrity import IntegrityError
from reports.bundle.canonical import canonical

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

__all__ = ["PASSWORD", "PAYLOAD_TYPE", "generate_key", "key_id", "pae", "sign", "verify_signature"]

PAYLOAD_TYPE = "application/vnd.in-toto+json"
PASSWORD = "FAIRCAM_KEY_PASSWORD"  # noqa: S105 - the name of a variable
"""Environment variable with the password of an encrypted private key."""

_MAKE = "openssl genpkey -algorithm ed25519 -out key.pem; openssl pkey -in key.pem -pubout -out key.pem.pub"


def sign(payload: bytes, key_path: Path, *, password: str | None = None) -> bytes:
    """Sign the bytes of an attestation.

    Parameters
    ----------
    payload : bytes
        Content of ``attestation.intoto.json``, exactly as it stands in the file.
    key_path : Path
        Ed25519 private key, PEM (PKCS#8) or OpenSSH.
    password : str, optional
        Of an encrypted key; by default that in environment variable `PASSWORD`.

    Returns
    -------
    bytes
        The envelope in canonical JSON; the same for the same key and payload. ``keyid`` is `key_id`.

    Raises
    ------
    InputError
        There is no such file, it is no private key, not Ed25519, or encrypted with another password.
    """
    key = _private_key(key_path, password if password is not None else os.environ.get(PASSWORD))
    signature = key.sign(pae(PAYLOAD_TYPE, payload))
    return canonical(
        {
            "payload": base64.b64encode(payload).decode("ascii"),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [
                {"keyid": _fingerprint(key.public_key()), "sig": base64.b64encode(signature).decode("ascii")},
            ],
        }
    )


def verify_signature(envelope: bytes, public_key_path: Path) -> bytes:
    """The payload of an envelope, if the key signed it.

    Parameters
    ----------
    envelope : bytes
        Content of ``attestation.dsse.json``.
    public_key_path : Path
        Ed25519 public key, PEM (SubjectPublicKeyInfo) or OpenSSH (``ssh-ed25519 ...``).

    Returns
    -------
    bytes
        The payload that was verified. Compare it with ``attestation.intoto.json`` and go on from these bytes.

    Raises
    ------
    InputError
        The key cannot be used.
    IntegrityError
        The envelope is malformed, or holds no signature by this key over this payload and type.

    Notes
    -----
    ``keyid`` is not authenticated, so it decides nothing here; it only words the error.
    """
    from cryptography.exceptions import InvalidSignature

    key = _public_key(public_key_path)
    payload, signatures = _opened(envelope)
    signed = pae(PAYLOAD_TYPE, payload)
    for signature, _ in signatures:
        try:
            key.verify(signature, signed)
        except InvalidSignature:
            continue
        return payload
    named = [name for _, name in signatures]
    raise IntegrityError(_refused(_fingerprint(key), named), where=str(public_key_path))


def pae(payload_type: str, payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding: what is signed in place of the payload.

    Parameters
    ----------
    payload_type : str
    payload : bytes

    Returns
    -------
    bytes
        ``DSSEv1 LEN(type) type LEN(payload) payload``; lengths in bytes.
    """
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def key_id(public_key_path: Path) -> str:
    """SHA-256 of the 32 bytes of a public key, in hexadecimal: its fingerprint, to be compared by telephone.

    Raises
    ------
    InputError
        The key cannot be used.
    """
    return _fingerprint(_public_key(public_key_path))


def _fingerprint(key: Ed25519PublicKey) -> str:
    return sha256_bytes(key.public_bytes_raw())


def generate_key(path: Path) -> Path:
    """Make a pair of keys: the private one at `path`, for the owner's eyes only, the public one at ``path.pub``.

    Parameters
    ----------
    path : Path
        Neither file may be there yet.

    Returns
    -------
    Path
        Of the public key.

    Raises
    ------
    InputError
        A file is there already, or cannot be written.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    beside = path.with_name(f"{path.name}.pub")
    for file in (path, beside):
        if file.exists() or file.is_symlink():
            raise InputError("is there already; a key is never overwritten", where=str(file), fix="name another file")
    _create(path, private, 0o600)
    _create(beside, public, 0o644)
    return beside


def _create(path: Path, content: bytes, mode: int) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            os.fsync(stream.fileno())
    except OSError as error:
        raise InputError(f"cannot be written: {error}", where=str(path), fix="name another file") from error


def _private_key(path: Path, password: str | None) -> Ed25519PrivateKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_ssh_private_key

    held = _read(path)
    if b"PRIVATE KEY-----" not in held:
        what = "holds a public key; a private one is needed to sign" if _is_public(held) else "holds no private key"
        raise InputError(what, where=str(path), fix=f"name an Ed25519 key in PEM or OpenSSH form; make one: {_MAKE}")
    load = load_ssh_private_key if b"BEGIN OPENSSH PRIVATE KEY" in held else load_pem_private_key
    secret = password.encode() if password else None
    try:
        key = load(held, secret)
    except (TypeError, ValueError, UnsupportedAlgorithm) as error:
        raise _unreadable(path, held, error, given=secret is not None, load=load) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise InputError(_kind(key), where=str(path), fix=f"sign with an Ed25519 key; make one: {_MAKE}")
    return key


def _unreadable(path: Path, held: bytes, error: Exception, *, given: bool, load: Any) -> InputError:
    """Why a private key could not be loaded: encrypted, another password, one that is not needed, or broken."""
    if "bcrypt" in str(error):
        what = "is an encrypted OpenSSH key, which needs the package 'bcrypt'"
        return InputError(what, where=str(path), fix="pip install bcrypt, or use an encrypted PEM key")
    if given:
        try:
            load(held, None)
        except (TypeError, ValueError):
            what = f"cannot be read with the password given: {error}"
            return InputError(what, where=str(path), fix=f"correct the password in {PASSWORD}")
        return InputError("is not encrypted, but a password was given", where=str(path), fix=f"unset {PASSWORD}")
    if isinstance(error, TypeError) or "password" in str(error).lower():
        fix = f"give its password in the environment variable {PASSWORD}"
        return InputError("is encrypted, and no password was given", where=str(path), fix=fix)
    return InputError(f"cannot be read as a private key: {error}", where=str(path), fix=f"make one: {_MAKE}")


def _public_key(path: Path) -> Ed25519PublicKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key, load_ssh_public_key

    held = _read(path)
    if b"PRIVATE KEY-----" in held:
        raise InputError(
            "holds a private key; to verify, the public one is needed, and the private one is for nobody's eyes",
            where=str(path),
            fix="name the public key, such as KEY.pub",
        )
    load = load_pem_public_key if held.lstrip().startswith(b"-----BEGIN") else load_ssh_public_key
    try:
        key = load(held.strip() + b"\n")
    except (ValueError, UnsupportedAlgorithm) as error:
        fix = "name an Ed25519 public key in PEM or OpenSSH form"
        raise InputError(f"holds no public key that can be read: {error}", where=str(path), fix=fix) from error
    if not isinstance(key, Ed25519PublicKey):
        raise InputError(_kind(key), where=str(path), fix="name the Ed25519 public key of whoever signed")
    return key


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        why = "there is no such file" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror}"
        raise InputError(f"the key {why}", where=str(path), fix="name the file of the key") from error


def _is_public(held: bytes) -> bool:
    return b"PUBLIC KEY-----" in held or held.lstrip().startswith((b"ssh-", b"ecdsa-"))


def _kind(key: object) -> str:
    words = type(key).__name__.removeprefix("_").removesuffix("PrivateKey").removesuffix("PublicKey")
    return f"is a key of kind {words}, allowed: Ed25519"


def _opened(envelope: bytes) -> tuple[bytes, list[tuple[bytes, str]]]:
    """Payload, and each signature with the key id beside it."""
    try:
        content = json.loads(envelope)
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"the envelope is no JSON: {error}") from error
    kind = content.get("payloadType") if isinstance(content, Mapping) else None
    if kind != PAYLOAD_TYPE:
        raise IntegrityError(f"the envelope's payloadType is {kind!r}, allowed: {PAYLOAD_TYPE}")
    signatures = content.get("signatures")
    if not isinstance(signatures, list) or not all(isinstance(item, Mapping) for item in signatures):
        raise IntegrityError("the envelope's signatures are no list of objects")
    if not signatures:
        raise IntegrityError("the envelope holds no signature")
    held = [(_decoded(item.get("sig"), "sig"), str(item.get("keyid") or "")) for item in signatures]
    return _decoded(content.get("payload"), "payload"), held


def _decoded(text: object, what: str) -> bytes:
    """Base64, standard or safe for URLs: DSSE says that readers must take either."""
    if not isinstance(text, str):
        raise IntegrityError(f"the envelope holds no {what}")
    try:
        return base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError) as error:
        raise IntegrityError(f"the envelope's {what} is no Base64: {error}") from error


def _refused(own: str, named: list[str]) -> str:
    if own in named:
        return "the signature does not fit: payload or signature were changed after this key signed"
    others = sorted({name for name in named if name})
    said = f"; it names {', '.join(others)}" if others else ""
    return f"the signature is not by this key, whose id is {own}{said}"
