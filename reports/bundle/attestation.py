"""`attestation.intoto.json`: an in-toto Statement that binds verdicts to the files of a bundle and the models.

Follows Statement v1 and predicate test-result v0.1 of https://github.com/in-toto/attestation.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from audit.errors import RunError
from audit.run.claims import claim_of
from reports.bundle.canonical import MANIFEST, manifest_sha256

__all__ = ["PREDICATE_TYPE", "STATEMENT_TYPE", "attestation", "attestation_problems", "outcome"]

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://in-toto.io/attestation/test-result/v0.1"

RUN_COMPLETE = "run is complete"
_CONFIGURATION = ("policy.yaml", "run.json", "plan.json")
_TESTS = {"passed": "passedTests", "warned": "warnedTests", "failed": "failedTests"}
_SHA256 = re.compile("[0-9a-f]{64}")

Outcome = Literal["passed", "warned", "failed"]


def attestation(
    manifest: Mapping[str, Any], record: Mapping[str, Any], findings: Iterable[Mapping[Any, Any]]
) -> dict[str, Any]:
    """State what was judged, by what, and with which result.

    Parameters
    ----------
    manifest : mapping
        As `canonical.manifest` gives it; must list ``run.json``.
    record : mapping
        Content of ``run.json``.
    findings : iterable of mapping
        Rows of table `findings`, or of ``verdicts.json``: ``model``, ``rule``, ``verdict``, ``tier``.

    Returns
    -------
    dict
        ``subject``: every file of the manifest and the manifest itself by path, and each model whose digest the
        record holds, named ``model:NAME``. ``predicate.configuration``: policy, record and plan. Tests are named
        as claims (``findings:MODEL:RULE``); ``run is complete`` is one of them. ``result``: ``FAILED`` where a
        test failed, else ``WARNED`` where one warned or no rule was judged, else ``PASSED``.

    Raises
    ------
    RunError
        The manifest lists no ``run.json``.
    """
    files: Mapping[str, Any] = manifest["files"]
    if "run.json" not in files:
        raise RunError("the manifest lists no run.json, so nothing says what was judged", fix="make the bundle again")
    rows = list(findings)
    tests: dict[Outcome, list[str]] = {"passed": [], "warned": [], "failed": []}
    for row in rows:
        tests[outcome(str(row["verdict"]), str(row["tier"]))].append(claim_of("findings", row))
    tests["passed" if record.get("complete") is True else "failed"].append(RUN_COMPLETE)
    return {
        "_type": STATEMENT_TYPE,
        "subject": _subjects(manifest, record),
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "result": _result(tests, judged=bool(rows)),
            "configuration": [_file(name, files[name]) for name in _CONFIGURATION if name in files],
            **{_TESTS[name]: sorted(names) for name, names in tests.items()},
        },
    }


def outcome(verdict: str, tier: str) -> Outcome:
    """One of in-toto's three outcomes for a verdict of ours.

    Parameters
    ----------
    verdict : str
        One of `audit.findings.VERDICTS`; anything else counts as ``error``.
    tier : str
        Of the rule.

    Returns
    -------
    str
        ``pass`` is passed; ``warn`` and ``waived`` are warned; ``fail`` is failed. ``inconclusive`` and ``error``
        are failed where the rule is required, for a test that is needed and settles nothing has not passed, else
        warned.
    """
    if verdict == "pass":
        return "passed"
    if verdict == "fail":
        return "failed"
    if verdict in ("warn", "waived"):
        return "warned"
    return "failed" if tier == "required" else "warned"


def attestation_problems(
    statement: object,
    manifest: Mapping[str, Any],
    record: Mapping[str, Any],
    findings: Iterable[Mapping[Any, Any]],
) -> list[str]:
    """What of a statement is not what its bundle says, one sentence each; empty where nothing was found.

    Parameters
    ----------
    statement : object
        Content of ``attestation.intoto.json``, or any JSON value.
    manifest, record, findings
        As for `attestation`, read from the bundle.

    Notes
    -----
    Fields that neither specification names are ignored, as in-toto asks.
    """
    if not isinstance(statement, Mapping) or statement.get("_type") != STATEMENT_TYPE:
        return [f"the attestation is no in-toto statement: its _type is not {STATEMENT_TYPE}"]
    if statement.get("predicateType") != PREDICATE_TYPE:
        return [f"the attestation's predicateType is {statement.get('predicateType')!r}, expected {PREDICATE_TYPE}"]
    expected = attestation(manifest, record, findings)
    predicate = statement.get("predicate")
    if not isinstance(predicate, Mapping):
        return ["the attestation has no predicate"]
    return [
        *_differing("subject", _digests(statement.get("subject")), _digests(expected["subject"])),
        *_differing(
            "configuration",
            _digests(predicate.get("configuration")),
            _digests(expected["predicate"]["configuration"]),
        ),
        *_other_results(predicate, expected["predicate"]),
    ]


def _subjects(manifest: Mapping[str, Any], record: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = [_file(name, entry) for name, entry in manifest["files"].items()]
    found.append(_file(MANIFEST, {"sha256": manifest_sha256(manifest)}))
    for model in record.get("models") or []:
        digest = str(model.get("sha256") or "")
        if _SHA256.fullmatch(digest):
            found.append(_file(f"model:{model['name']}", {"sha256": digest}))
    return sorted(found, key=lambda item: str(item["name"]))


def _file(name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """A ResourceDescriptor."""
    return {"name": name, "digest": {"sha256": str(entry["sha256"])}}


def _result(tests: Mapping[Outcome, Sequence[str]], *, judged: bool) -> str:
    if tests["failed"]:
        return "FAILED"
    return "WARNED" if tests["warned"] or not judged else "PASSED"


def _digests(descriptors: object) -> dict[str, str]:
    """SHA-256 by name; a descriptor that lacks either, or repeats a name, is marked so that it equals nothing."""
    found: dict[str, str] = {}
    for place, item in enumerate(descriptors if isinstance(descriptors, list) else []):
        digest = item.get("digest") if isinstance(item, Mapping) else None
        name = item.get("name") if isinstance(item, Mapping) else None
        value = digest.get("sha256") if isinstance(digest, Mapping) else None
        if not isinstance(name, str) or not isinstance(value, str) or name in found:
            found[f"entry {place + 1}"] = "malformed or repeated"
        else:
            found[name] = value
    return found


def _differing(what: str, found: Mapping[str, str], expected: Mapping[str, str]) -> list[str]:
    problems = []
    for name in sorted({*found, *expected}):
        if name not in found:
            problems.append(f"the attestation's {what} does not name {name}")
        elif name not in expected:
            problems.append(f"the attestation's {what} names {name}, which the bundle does not have")
        elif found[name] != expected[name]:
            problems.append(f"the attestation's {what} gives another SHA-256 for {name} than the bundle")
    return problems


def _other_results(found: Mapping[str, Any], expected: Mapping[str, Any]) -> list[str]:
    problems = []
    if found.get("result") != expected["result"]:
        problems.append(f"the attestation says {found.get('result')!r}, the bundle's verdicts say {expected['result']}")
    for key in _TESTS.values():
        held = found.get(key, [])
        if not isinstance(held, list) or sorted(map(str, held)) != expected[key]:
            problems.append(f"the attestation's {key} are not those of the bundle's verdicts")
    return problems
