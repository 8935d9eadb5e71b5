"""What seals a bundle: the manifest over its files, the attestation over the manifest, the signature over that."""

from __future__ import annotations

import json
from pathlib import Path

from audit.errors import FaircamError
from audit.run.statements import LOG, chain_problems
from reports.bundle.attestation import attestation_problems
from reports.bundle.canonical import ATTESTATION, ENVELOPE, manifest_problems, read_manifest
from reports.bundle.documents import Contents
from reports.bundle.signature import key_id, verify_signature
from reports.verify.checks import Check

__all__ = ["check_manifest", "check_seal", "check_statements"]

_UNSIGNED = (
    "who made the bundle, and whether every file was changed together with all digests: it carries no signature, or "
    "none that was checked (--key PUBLIC_KEY)"
)


def check_manifest(folder: Path) -> Check:
    """Whether every file is as the manifest lists it."""
    try:
        listed = read_manifest(folder)
    except FaircamError as error:
        return Check("files", "no manifest to hold them against", problems=(str(error),))
    problems = tuple(manifest_problems(folder, listed))
    return Check("files", f"{len(listed['files'])} files against manifest.json", problems)


def check_seal(folder: Path, key: Path | None) -> Check:
    """Whether the attestation is about this bundle, and signed by the key that was named."""
    path, envelope = folder / ATTESTATION, folder / ENVELOPE
    signer = "" if key is None else key_id(key)[:16]
    try:
        statement = json.loads(path.read_text(encoding="utf-8"))
        contents = Contents.of(folder)
        findings = contents.check.findings.to_dict("records")
        problems = attestation_problems(statement, read_manifest(folder), contents.run.record, findings)
    except (OSError, ValueError, RecursionError, FaircamError) as error:
        return Check("signature", f"{ATTESTATION} cannot be read", problems=(str(error),))
    if key is None:
        said = "attestation of every file and model"
        return Check("signature", said, tuple(problems), (_UNSIGNED,))
    if not envelope.exists():
        problems.append(f"{ENVELOPE} is missing: the bundle is not signed")
        return Check("signature", "not signed", tuple(problems))
    try:
        if verify_signature(envelope.read_bytes(), key) != path.read_bytes():
            problems.append(f"the signature is over another attestation than {ATTESTATION}")
    except FaircamError as error:
        problems.append(str(error))
    return Check("signature", f"attestation of every file and model, signed by key {signer}", tuple(problems))


def check_statements(folder: Path) -> Check:
    """Whether the log of statements, notes and waivers is whole."""
    path = folder / LOG
    if not path.exists():
        return Check("statements", "none were made")
    lines = len(path.read_text(encoding="utf-8").splitlines())
    text = "whether statements were cut off at the end of the log"
    return Check("statements", f"{lines} entries, each chained to the one before", tuple(chain_problems(path)), (text,))
