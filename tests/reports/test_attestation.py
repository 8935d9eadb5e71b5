"""The in-toto statement: by hand, against a JSON Schema of its published text, and after every kind of change."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from audit.errors import RunError
from audit.run import Run
from reports.bundle.attestation import attestation, attestation_problems, outcome
from reports.bundle.canonical import canonical, manifest, manifest_sha256

jsonschema = pytest.importorskip("jsonschema")

SCHEMA = json.loads(
    (Path(__file__).parents[2] / "reports" / "schema" / "in-toto-statement.schema.json").read_text(encoding="utf-8")
)
A, B, C = "a" * 64, "b" * 64, "c" * 64
FILES = {"run.json": {"sha256": A, "bytes": 1}, "policy.yaml": {"sha256": B, "bytes": 2}}
MANIFEST = {"schema_version": 1, "files": FILES}
RECORD: dict[str, Any] = {
    "complete": True,
    "models": [{"name": "plain", "sha256": C}, {"name": "function", "sha256": None}],
}


def finding(rule: str, verdict: str, tier: str = "required") -> dict[str, Any]:
    return {"model": "plain", "rule": rule, "verdict": verdict, "tier": tier}


def errors(statement: object) -> list[str]:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    return [error.message for error in jsonschema.Draft202012Validator(SCHEMA).iter_errors(statement)]


def test_statement_by_hand() -> None:
    rows = [finding("gap", "pass"), finding("floor: dark", "warn"), finding("ratio", "inconclusive", "supporting")]
    assert attestation(MANIFEST, RECORD, rows) == {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [
            {"name": "manifest.json", "digest": {"sha256": manifest_sha256(MANIFEST)}},
            {"name": "model:plain", "digest": {"sha256": C}},
            {"name": "policy.yaml", "digest": {"sha256": B}},
            {"name": "run.json", "digest": {"sha256": A}},
        ],
        "predicateType": "https://in-toto.io/attestation/test-result/v0.1",
        "predicate": {
            "result": "WARNED",
            "configuration": [
                {"name": "policy.yaml", "digest": {"sha256": B}},
                {"name": "run.json", "digest": {"sha256": A}},
            ],
            "passedTests": ["findings:plain:gap", "run is complete"],
            "warnedTests": ["findings:plain:floor%3A dark", "findings:plain:ratio"],
            "failedTests": [],
        },
    }


@pytest.mark.parametrize(
    ("verdict", "tier", "expected"),
    [
        ("pass", "required", "passed"),
        ("warn", "required", "warned"),
        ("waived", "required", "warned"),
        ("fail", "required", "failed"),
        ("fail", "supporting", "failed"),
        ("inconclusive", "required", "failed"),
        ("inconclusive", "supporting", "warned"),
        ("error", "required", "failed"),
        ("error", "informational", "warned"),
        ("a word of a later version", "required", "failed"),
        ("a word of a later version", "supporting", "warned"),
    ],
)
def test_outcomes(verdict: str, tier: str, expected: str) -> None:
    assert outcome(verdict, tier) == expected


@pytest.mark.parametrize(
    ("rows", "complete", "expected"),
    [
        ([finding("a", "pass")], True, "PASSED"),
        ([finding("a", "pass"), finding("b", "waived")], True, "WARNED"),
        ([finding("a", "pass"), finding("b", "waived"), finding("c", "fail")], True, "FAILED"),
        ([finding("a", "pass")], False, "FAILED"),
        ([], True, "WARNED"),
    ],
)
def test_results(rows: list[dict[str, Any]], complete: bool, expected: str) -> None:
    assert attestation(MANIFEST, {**RECORD, "complete": complete}, rows)["predicate"]["result"] == expected


def test_a_real_folder_is_valid_and_has_no_problem(sample: Run) -> None:
    content, rows = manifest(sample.path), sample.table("findings").to_dict("records")
    statement = attestation(content, sample.record, rows)
    assert errors(statement) == []
    assert attestation_problems(json.loads(canonical(statement)), content, sample.record, rows) == []
    names = [item["name"] for item in statement["subject"]]
    assert len(names) == len(set(names)) == len(content["files"]) + 3
    tests = statement["predicate"]
    assert len(tests["passedTests"] + tests["warnedTests"] + tests["failedTests"]) == len(rows) + 1
    assert tests["result"] == "FAILED"


def test_example_of_the_specification_is_valid() -> None:
    """spec/predicates/test-result.md, shortened."""
    example = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"digest": {"gitCommit": "d20ace7968ba43c0219f62d71334c1095bab1602"}}],
        "predicateType": "https://in-toto.io/attestation/test-result/v0.1",
        "predicate": {
            "result": "PASSED",
            "configuration": [
                {
                    "name": ".github/workflows/ci.yml",
                    "downloadLocation": "https://github.com/in-toto/in-toto/blob/d20ace7968ba43c0219f62d71334c1095bab1602/.github/workflows/ci.yml",
                    "digest": {"gitBlob": "ebe4add40f63c3c98bc9b32ff1e736f04120b023"},
                }
            ],
            "url": "https://github.com/in-toto/in-toto/actions/runs/4425592351",
            "passedTests": ["build (3.7, ubuntu-latest, py)"],
            "warnedTests": [],
            "failedTests": [],
        },
        "unknown field": 1,
    }
    assert errors(example) == []


BREAKS: dict[str, tuple[tuple[Any, ...], Any]] = {
    "type": (("_type",), "https://in-toto.io/Statement/v0.1"),
    "no subject": (("subject",), []),
    "subject without digest": (("subject", 0), {"name": "x"}),
    "empty digest": (("subject", 0, "digest"), {}),
    "digest in capitals": (("subject", 0, "digest", "sha256"), "A" * 64),
    "short digest": (("subject", 0, "digest", "sha256"), "a" * 63),
    "predicate type no URI": (("predicateType",), "test-result"),
    "host in capitals": (("predicateType",), "https://In-toto.io/x"),
    "result": (("predicate", "result"), "passed"),
    "configuration": (("predicate", "configuration"), {}),
    "descriptor of nothing": (("predicate", "configuration", 0), {"name": "policy.yaml"}),
    "test without name": (("predicate", "passedTests"), [1]),
    "predicate": (("predicate",), []),
}


def broken(path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    statement = copy.deepcopy(attestation(MANIFEST, RECORD, [finding("a", "pass")]))
    place: Any = statement
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return statement


@pytest.mark.parametrize("name", BREAKS)
def test_schema_refutes(name: str) -> None:
    assert errors(broken(*BREAKS[name]))


@pytest.mark.parametrize("key", ["_type", "subject", "predicateType", "predicate"])
def test_schema_needs(key: str) -> None:
    statement = attestation(MANIFEST, RECORD, [])
    del statement[key]
    assert errors(statement)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("_type",), "x", "no in-toto statement"),
        (("predicateType",), "x", "predicateType is 'x'"),
        (("predicate",), None, "no predicate"),
        (("subject", 3, "digest", "sha256"), B, "another SHA-256 for run.json"),
        (("subject", 3, "name"), "other.json", "does not name run.json"),
        (("subject", 1), {"name": "model:other", "digest": {"sha256": C}}, "names model:other"),
        (("subject", 3), {"name": "manifest.json", "digest": {"sha256": A}}, "names entry 4"),
        (("subject",), None, "does not name manifest.json"),
        (("predicate", "configuration"), [], "configuration does not name policy.yaml"),
        (("predicate", "result"), "FAILED", "says 'FAILED', the bundle's verdicts say PASSED"),
        (("predicate", "passedTests"), [], "passedTests are not those"),
        (("predicate", "failedTests"), ["x"], "failedTests are not those"),
        (("predicate", "warnedTests"), 1, "warnedTests are not those"),
    ],
)
def test_changes_are_named(path: tuple[Any, ...], value: Any, words: str) -> None:
    problems = attestation_problems(broken(path, value), MANIFEST, RECORD, [finding("a", "pass")])
    assert any(words in problem for problem in problems)


def test_a_swapped_file_a_swapped_model_and_a_changed_verdict_are_named() -> None:
    rows = [finding("a", "fail")]
    statement = attestation(MANIFEST, RECORD, rows)
    other = {"schema_version": 1, "files": {**FILES, "policy.yaml": {"sha256": C, "bytes": 2}}}
    assert attestation_problems(statement, other, RECORD, rows) == [
        "the attestation's subject gives another SHA-256 for manifest.json than the bundle",
        "the attestation's subject gives another SHA-256 for policy.yaml than the bundle",
        "the attestation's configuration gives another SHA-256 for policy.yaml than the bundle",
    ]
    swapped = {**RECORD, "models": [{"name": "plain", "sha256": A}]}
    assert attestation_problems(statement, MANIFEST, swapped, rows) == [
        "the attestation's subject gives another SHA-256 for model:plain than the bundle"
    ]
    assert attestation_problems(statement, MANIFEST, RECORD, [finding("a", "pass")]) == [
        "the attestation says 'FAILED', the bundle's verdicts say PASSED",
        "the attestation's passedTests are not those of the bundle's verdicts",
        "the attestation's failedTests are not those of the bundle's verdicts",
    ]


@pytest.mark.parametrize("statement", [None, [], "x", {}])
def test_anything_else_is_a_problem(statement: object) -> None:
    assert len(attestation_problems(statement, MANIFEST, RECORD, [])) == 1


def test_unknown_fields_are_ignored() -> None:
    statement = {**attestation(MANIFEST, RECORD, []), "extension": {"a": 1}}
    assert attestation_problems(statement, MANIFEST, RECORD, []) == []


def test_a_manifest_without_a_run_is_refused() -> None:
    with pytest.raises(RunError, match=r"lists no run\.json"):
        attestation({"schema_version": 1, "files": {}}, RECORD, [])
