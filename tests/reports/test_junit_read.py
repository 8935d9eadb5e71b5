"""JUnit output read by junitparser: counts, types and reasons are those of the verdicts."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
import yaml

from audit.findings import Check, check_run, write_junit
from tests.findings.runs import FEW, NARROW, WIDE, build, policy_file

junitparser = pytest.importorskip("junitparser")

DAY = date(2027, 1, 1)
RULES = (
    {"id": "required"},
    {"id": "supporting", "tier": "supporting"},
    {"id": "let stand"},
    {"id": "<floor> & \"quotes\" é", "compare": "floor", "tolerance": 0.3},
)  # fmt: skip


def judged(folder: Path, counts: dict, *, complete: bool = True) -> Check:
    folder.mkdir()
    policy = policy_file(folder / "policy.yaml", *RULES)
    waivers = folder / "waivers.yaml"
    signed = {"rule": "let stand", "signed_by": "A. Person, owner", "reason": "known", "expires": "2027-12-31"}
    waivers.write_text(yaml.safe_dump([signed]), encoding="utf-8")
    run = build(folder / "run", counts, policy=policy, complete=complete, models=("m", "n"))
    return check_run(run, policy, waivers=waivers, day=DAY, draws=199)


def read(check: Check, path: Path):
    write_junit(check, path)
    [suite] = junitparser.JUnitXml.fromfile(str(path))
    return suite


def kind(case) -> str | None:
    """What a case says beside having run."""
    assert len(case.result) <= 1
    return type(case.result[0]).__name__ if case.result else None


@pytest.mark.parametrize(("counts", "complete"), [(WIDE, True), (NARROW, True), (FEW, True), (FEW, False)])
def test_counts_agree(tmp_path: Path, counts: dict, complete: bool) -> None:
    check = judged(tmp_path / "a", counts, complete=complete)
    suite = read(check, tmp_path / "junit.xml")
    found = {(case.classname, case.name): case for case in suite}
    assert len(found) == len(check.findings) + 1 == suite.tests
    kinds = {key: kind(case) for key, case in found.items()}
    for row in check.findings.to_dict("records"):
        required = row["tier"] == "required"
        expected = {
            "fail": "Failure",
            "inconclusive": "Error" if required else "Skipped",
            "error": "Error" if required else "Skipped",
            "waived": "Skipped",
        }.get(row["verdict"])
        assert kinds[row["model"], row["rule"]] == expected
    assert kinds["faircam", "run is complete"] == (None if complete else "Error")
    said = list(kinds.values())
    assert (suite.failures, suite.errors, suite.skipped) == (
        said.count("Failure"), said.count("Error"), said.count("Skipped")
    )  # fmt: skip
    stored = (suite.failures, suite.errors, suite.skipped, suite.tests)
    suite.update_statistics()
    assert (suite.failures, suite.errors, suite.skipped, suite.tests) == stored


def test_each_kind_occurs(tmp_path: Path) -> None:
    """A gap that is wide: required fails, supporting warns, the waived one is skipped with its reason."""
    suite = read(judged(tmp_path / "a", WIDE), tmp_path / "junit.xml")
    cases = {case.name: case for case in suite if case.classname == "m"}
    assert kind(cases["required"]) == "Failure"
    assert cases["required"].result[0].type == "fail"
    assert kind(cases["supporting"]) is None
    assert cases["supporting"].system_out.startswith("warn: ")
    assert kind(cases["let stand"]) == "Skipped"
    assert "A. Person, owner" in cases["let stand"].result[0].message
    few = read(judged(tmp_path / "b", FEW), tmp_path / "few.xml")
    assert {kind(case) for case in few if case.name == "required"} == {"Error"}
    assert {kind(case) for case in few if case.name == "supporting"} == {"Skipped"}


def test_numbers_come_back_exactly(tmp_path: Path) -> None:
    check = judged(tmp_path / "a", WIDE)
    suite = read(check, tmp_path / "junit.xml")
    head = {item.name: item.value for item in suite.properties()}
    assert head["policy_sha256"] == check.policy_sha256
    rows = check.findings.set_index(["model", "rule"])
    for case in suite:
        if case.classname == "faircam":
            continue
        [held] = case.iterchildren(junitparser.Properties)
        said = {item.name: item.value for item in held}
        for key in ("value", "low", "high", "threshold"):
            assert float(said[key]) == rows.loc[(case.classname, case.name), key]
