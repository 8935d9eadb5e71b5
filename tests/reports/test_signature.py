"""DSSE signatures: by hand, against the specification's own example and against OpenSSL; and every wrong key."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from audit.errors import InputError
from audit.run.integrity import IntegrityError
from reports.bundle.signature import PASSWORD, generate_key, key_id, pae, sign, verify_signature

pytest.importorskip("cryptography")

from cryptography.hazmat.primitives import serialization as s
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
PUBLIC = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
"""RFC 8032, 7.1, test 1."""
PAYLOAD = b'{"_type":"https://in-toto.io/Statement/v1"}'
WORD = "open sesame"
TYPE = "application/vnd.in-toto+json"


@pytest.fixture(autouse=True)
def _no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PASSWORD, raising=False)


def write(path: Path, key, *, form: str = "pem", password: bytes | None = None) -> Path:
    """A private key, and its public one beside it."""
    kind = s.PrivateFormat.OpenSSH if form == "openssh" else s.PrivateFormat.PKCS8
    hidden = s.BestAvailableEncryption(password) if password else s.NoEncryption()
    path.write_bytes(key.private_bytes(s.Encoding.PEM, kind, hidden))
    public = (
        (s.Encoding.OpenSSH, s.PublicFormat.OpenSSH)
        if form == "openssh"
        else (s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo)
    )
    comment = b" person@host\n" if form == "openssh" else b""
    path.with_name(f"{path.name}.pub").write_bytes(key.public_key().public_bytes(*public) + comment)
    return path


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return write(tmp_path / "key.pem", Ed25519PrivateKey.from_private_bytes(SEED))


def public(path: Path) -> Path:
    return path.with_name(f"{path.name}.pub")


def test_encoding_of_the_specification() -> None:
    assert pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )
    assert pae("é", "ü".encode()) == b"DSSEv1 2 \xc3\xa9 2 \xc3\xbc"


def test_envelope_by_hand(key: Path) -> None:
    signed = b"DSSEv1 28 application/vnd.in-toto+json 43 " + PAYLOAD
    signature = Ed25519PrivateKey.from_private_bytes(SEED).sign(signed)
    expected = {
        "payload": base64.b64encode(PAYLOAD).decode(),
        "payloadType": TYPE,
        "signatures": [
            {"keyid": hashlib.sha256(bytes.fromhex(PUBLIC)).hexdigest(), "sig": base64.b64encode(signature).decode()}
        ],
    }
    envelope = sign(PAYLOAD, key)
    assert envelope == json.dumps(expected, sort_keys=True, separators=(",", ":")).encode()
    assert envelope == sign(PAYLOAD, key)
    assert verify_signature(envelope, public(key)) == PAYLOAD


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
def test_openssl_accepts_the_signature_and_refuses_another(key: Path, tmp_path: Path) -> None:
    envelope = json.loads(sign(PAYLOAD, key))
    (tmp_path / "sig").write_bytes(base64.b64decode(envelope["signatures"][0]["sig"]))
    command = [
        "openssl",
        "pkeyutl",
        "-verify",
        "-pubin",
        "-inkey",
        str(public(key)),
        "-rawin",
        "-sigfile",
        str(tmp_path / "sig"),
    ]
    for content, code in ((PAYLOAD, 0), (PAYLOAD + b" ", 1)):
        head = f"DSSEv1 {len(TYPE)} {TYPE} {len(content)} ".encode()
        (tmp_path / "message").write_bytes(head + content)
        done = subprocess.run([*command, "-in", str(tmp_path / "message")], capture_output=True, check=False)
        assert done.returncode == code


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
def test_a_key_made_by_openssl(tmp_path: Path) -> None:
    path = tmp_path / "own.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(path)], check=True, capture_output=True)
    subprocess.run(["openssl", "pkey", "-in", str(path), "-pubout", "-out", str(public(path))], check=True)
    assert verify_signature(sign(PAYLOAD, path), public(path)) == PAYLOAD


@pytest.mark.parametrize("form", ["pem", "openssh"])
def test_key_forms_are_interchangeable(tmp_path: Path, key: Path, form: str) -> None:
    other = write(tmp_path / "other", Ed25519PrivateKey.from_private_bytes(SEED), form=form)
    assert sign(PAYLOAD, other) == sign(PAYLOAD, key)
    assert verify_signature(sign(PAYLOAD, key), public(other)) == PAYLOAD


@pytest.mark.parametrize("form", ["pem", "openssh"])
def test_encrypted_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    if form == "openssh":
        pytest.importorskip("bcrypt")
    path = write(tmp_path / "secret", Ed25519PrivateKey.from_private_bytes(SEED), form=form, password=WORD.encode())
    with pytest.raises(InputError, match=rf"secret: is encrypted, and no password.*{PASSWORD}"):
        sign(PAYLOAD, path)
    with pytest.raises(InputError, match="cannot be read with the password given"):
        sign(PAYLOAD, path, password=WORD[:-1])
    assert verify_signature(sign(PAYLOAD, path, password=WORD), public(path)) == PAYLOAD
    monkeypatch.setenv(PASSWORD, WORD)
    assert verify_signature(sign(PAYLOAD, path), public(path)) == PAYLOAD


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs ssh-keygen")
def test_an_encrypted_openssh_key_without_the_package_that_opens_it(tmp_path: Path) -> None:
    path = tmp_path / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", WORD, "-f", str(path)], check=True)
    with pytest.raises(InputError, match=f"is encrypted, and no password.*{PASSWORD}"):
        sign(PAYLOAD, path)
    try:
        import bcrypt  # noqa: F401
    except ModuleNotFoundError:
        with pytest.raises(InputError, match="the package 'bcrypt'.*pip install bcrypt"):
            sign(PAYLOAD, path, password=WORD)
    else:
        assert verify_signature(sign(PAYLOAD, path, password=WORD), public(path)) == PAYLOAD


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs ssh-keygen")
def test_a_key_made_by_ssh_keygen(tmp_path: Path) -> None:
    path = tmp_path / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    assert verify_signature(sign(PAYLOAD, path), public(path)) == PAYLOAD


def test_a_password_that_is_not_needed(key: Path) -> None:
    with pytest.raises(InputError, match=f"is not encrypted, but a password was given. Fix: unset {PASSWORD}"):
        sign(PAYLOAD, key, password=WORD)


def test_another_key_is_refused(key: Path, tmp_path: Path) -> None:
    other = write(tmp_path / "other.pem", Ed25519PrivateKey.from_private_bytes(bytes(32)))
    with pytest.raises(IntegrityError, match=r"not by this key.*it names [0-9a-f]{64}") as caught:
        verify_signature(sign(PAYLOAD, key), public(other))
    assert caught.value.exit_code == 4


def test_every_changed_byte_of_the_payload_is_found(key: Path) -> None:
    envelope = json.loads(sign(PAYLOAD, key))
    for place in range(len(PAYLOAD)):
        changed = bytes([*PAYLOAD[:place], PAYLOAD[place] ^ 1, *PAYLOAD[place + 1 :]])
        forged = {**envelope, "payload": base64.b64encode(changed).decode()}
        with pytest.raises(IntegrityError, match="does not fit"):
            verify_signature(json.dumps(forged).encode(), public(key))


def test_the_key_id_decides_nothing(key: Path, tmp_path: Path) -> None:
    other = write(tmp_path / "other.pem", Ed25519PrivateKey.from_private_bytes(bytes(32)))
    envelope = json.loads(sign(PAYLOAD, key))
    signature = envelope["signatures"][0]
    for name in ("", "anything", None):
        unnamed = {**envelope, "signatures": [{**signature, "keyid": name}]}
        assert verify_signature(json.dumps(unnamed).encode(), public(key)) == PAYLOAD
    own = json.loads(sign(PAYLOAD, other))["signatures"][0]["keyid"]
    posing = {**envelope, "signatures": [{**signature, "keyid": own}]}
    with pytest.raises(IntegrityError, match="does not fit"):
        verify_signature(json.dumps(posing).encode(), public(other))


def test_several_signatures_url_safe_base64_and_unknown_fields(key: Path, tmp_path: Path) -> None:
    other = write(tmp_path / "other.pem", Ed25519PrivateKey.from_private_bytes(bytes(32)))
    payload = b"\xff\xfe\xfd~~~???"
    first, second = (json.loads(sign(payload, path)) for path in (key, other))
    safe = first["payload"].replace("+", "-").replace("/", "_")
    assert safe != first["payload"]
    both = {**first, "payload": safe, "signatures": first["signatures"] + second["signatures"], "more": 1}
    for path in (key, other):
        assert verify_signature(json.dumps(both).encode(), public(path)) == payload


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"payloadType": "application/json"}, "payloadType is 'application/json', allowed: application/vnd.in-toto"),
        ({"payloadType": None}, "payloadType is None"),
        ({"signatures": []}, "holds no signature"),
        ({"signatures": ["x"]}, "no list of objects"),
        ({"signatures": None}, "no list of objects"),
        ({"signatures": [{"keyid": ""}]}, "holds no sig"),
        ({"signatures": [{"sig": "AA=="}]}, "not by this key"),
        ({"signatures": [{"sig": "!"}]}, "no Base64"),
        ({"payload": 1}, "holds no payload"),
        ({"payload": "é"}, "no Base64"),
    ],
)
def test_malformed_envelopes(key: Path, change: dict, words: str) -> None:
    envelope = {**json.loads(sign(PAYLOAD, key)), **change}
    with pytest.raises(IntegrityError, match=words):
        verify_signature(json.dumps(envelope).encode(), public(key))


@pytest.mark.parametrize("held", [b"", b"{", b"[]", b"\xff", b"[" * 100_000])
def test_what_is_no_envelope(key: Path, held: bytes) -> None:
    with pytest.raises(IntegrityError, match="envelope"):
        verify_signature(held, public(key))


def test_wrong_files_in_place_of_a_private_key(key: Path, tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("hello")
    torn = tmp_path / "torn"
    torn.write_bytes(key.read_bytes()[:40] + b"\n-----END PRIVATE KEY-----\n")
    curve = write(tmp_path / "curve", ec.generate_private_key(ec.SECP256R1()))
    for path, words in (
        (tmp_path / "none", "there is no such file"),
        (tmp_path, "cannot be read"),
        (text, "holds no private key"),
        (public(key), "holds a public key; a private one is needed"),
        (torn, "cannot be read as a private key"),
        (curve, "kind EC, allowed: Ed25519"),
    ):
        with pytest.raises(InputError, match=words) as caught:
            sign(PAYLOAD, path)
        assert caught.value.fix


def test_wrong_files_in_place_of_a_public_key(key: Path, tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("hello")
    curve = write(tmp_path / "curve", ec.generate_private_key(ec.SECP256R1()))
    shell = write(tmp_path / "shell", ec.generate_private_key(ec.SECP256R1()), form="openssh")
    for path, words in (
        (tmp_path / "none", "there is no such file"),
        (text, "holds no public key"),
        (key, "holds a private key"),
        (public(curve), "allowed: Ed25519"),
        (public(shell), "allowed: Ed25519"),
    ):
        with pytest.raises(InputError, match=words) as caught:
            verify_signature(sign(PAYLOAD, key), path)
        assert caught.value.fix


def test_generated_keys(tmp_path: Path) -> None:
    path = tmp_path / "mine"
    beside = generate_key(path)
    assert beside == tmp_path / "mine.pub"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    envelope = sign(PAYLOAD, path)
    assert json.loads(envelope)["signatures"][0]["keyid"] == key_id(beside)
    assert verify_signature(envelope, beside) == PAYLOAD
    held = path.read_bytes()
    for again in (path, tmp_path / "other"):
        (tmp_path / "other.pub").write_text("x")
        with pytest.raises(InputError, match="never overwritten"):
            generate_key(again)
    assert path.read_bytes() == held
    assert not (tmp_path / "other").exists()
    with pytest.raises(InputError, match="cannot be written"):
        generate_key(tmp_path / "no folder" / "key")


def test_key_id_is_of_the_raw_key(key: Path) -> None:
    assert key_id(public(key)) == hashlib.sha256(bytes.fromhex(PUBLIC)).hexdigest()
    with pytest.raises(InputError, match="holds a private key"):
        key_id(key)
