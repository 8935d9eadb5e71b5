"""Waivers: who may let what stand, from when to when; and what they look like in JUnit XML."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pandas as pd
import pytest

from audit.errors import ConfigError
from audit.findings import Check, apply_waivers, check_run, finding_id, junit_xml, load_waivers
from audit.findings.check import saved_checks
from audit.findings.waivers import parse_waivers
from tests.findings.runs import FEW, NARROW, WIDE, build, policy_file

DAY = date(2027, 1, 15)
SIGNED: dict[str, Any] = {"rule": "gap", "signed_by": "A. Person", "reason": "known", "expires": "2027-01-31"}


def judged(tmp_path: Path, *rules: dict[str, Any], counts: Any = WIDE, **options: Any) -> Check:
    run = build(tmp_path / "run", counts, **options)
    return check_run(run, policy_file(tmp_path / "policy.yaml", *rules), day=DAY, draws=999)


def waived(check: Check, *waivers: dict[str, Any], day: date = DAY) -> tuple[pd.DataFrame, list[str]]:
    rules = [rule.id for rule in check.policy.rules]
    content = [{**SIGNED, **changes} for changes in waivers]
    kept = [{key: value for key, value in item.items() if value is not None} for item in content]
    table, applied = apply_waivers(check.findings, parse_waivers(kept), day, rules, check.run.models)
    return table, [item.state for item in applied]


def test_fail_inconclusive_and_error_are_waived_and_nothing_else(tmp_path: Path) -> None:
    rules = [{}, {"id": "open", "tolerance": 0.225}, {"id": "kept", "tolerance": 0.5}]
    check = judged(tmp_path, *rules)
    assert check.findings["verdict"].tolist() == ["fail", "inconclusive", "pass"]
    table, states = waived(check, {}, {"rule": "open"}, {"rule": "kept"})
    assert table["verdict"].tolist() == ["waived", "waived", "pass"]
    assert states == ["in force", "in force", "not needed"]
    assert table["text"][1].endswith(
        "Waived by A. Person until 2027-01-31: known. Without the waiver it is inconclusive."
    )
    assert check.findings["verdict"].tolist() == ["fail", "inconclusive", "pass"]
    broken = judged(tmp_path / "broken", constant=True)
    assert waived(broken, {})[0]["verdict"].tolist() == ["waived"]


@pytest.mark.parametrize(
    ("day", "state"),
    [("2027-01-09", "not yet in force"), ("2027-01-10", "in force"), ("2027-01-31", "in force"),
     ("2027-02-01", "expired")],
)  # fmt: skip
def test_first_and_last_day(day: str, state: str, tmp_path: Path) -> None:
    table, states = waived(judged(tmp_path), {"created": "2027-01-10"}, day=date.fromisoformat(day))
    assert states == [state]
    assert table["verdict"].tolist() == ["waived" if state == "in force" else "fail"]
    assert ("expired on 2027-01-31; the rule counts again" in table["text"][0]) == (state == "expired")


def test_one_model_or_one_finding(tmp_path: Path) -> None:
    check = judged(tmp_path, models=("m", "other"))
    assert waived(check, {"model": "other"})[0]["verdict"].tolist() == ["fail", "waived"]
    assert waived(check, {"rule": None, "finding": finding_id("gap", "m")})[0]["verdict"].tolist() == ["waived", "fail"]


def test_an_expired_one_does_not_hide_one_in_force(tmp_path: Path) -> None:
    table, states = waived(judged(tmp_path), {"expires": "2027-01-01"}, {"signed_by": "B. Other"})
    assert states == ["expired", "in force"]
    assert table["verdict"].tolist() == ["waived"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("rule: gap", "must hold a list of waivers, and holds dict"),
        ("", "must hold a list of waivers"),
        ("- gap", "waiver 1: "),
        ("- {rule: gap, signed_by: A, reason: r, expires: 2027-01-31}\n- {rule: gap}", "waiver 2: key 'signed_by' is"),
        ("- {rule: gap, signed_by: A, reason: r, expires: 2027-01-31 10:00:00}", "a day is needed"),
        ("- {signed_by: A, reason: r, expires: 2027-01-31}", "give 'rule' or 'finding', one of the two"),
    ],
)
def test_malformed_files(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "waivers.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        load_waivers(path)


def test_a_waiver_with_all_keys_is_read(tmp_path: Path) -> None:
    path = tmp_path / "waivers.yaml"
    path.write_text("- {rule: gap, model: m, signed_by: ' A ', reason: r, created: 2027-01-01, expires: 2027-01-31}\n")
    (found,) = load_waivers(path)
    assert (found.rule, found.model, found.signed_by, found.expires) == ("gap", "m", "A", date(2027, 1, 31))


def cases(check: Check) -> dict[str, ET.Element]:
    root = ET.fromstring(junit_xml(check))  # noqa: S314
    return {str(case.get("name")): case for case in root.iter("testcase")}


def test_junit_of_each_verdict(tmp_path: Path) -> None:
    rules = [
        {"id": "fails"}, {"id": "open", "tolerance": 0.225}, {"id": "kept", "tolerance": 0.5},
        {"id": "near", "tolerance": 0.5, "warn": 0.1}, {"id": "aside", "tolerance": 0.225, "tier": "informational"},
    ]  # fmt: skip
    check = judged(tmp_path, *rules)
    found = cases(check)
    kinds = {name: [child.tag for child in case if child.tag != "properties"] for name, case in found.items()}
    assert kinds == {
        "fails": ["failure"], "open": ["error"], "kept": ["system-out"], "near": ["system-out"],
        "aside": ["skipped"], "run is complete": [],
    }  # fmt: skip
    assert found["open"].find("error").get("type") == "inconclusive"  # type: ignore[union-attr]
    assert str(found["near"].findtext("system-out")).startswith("warn: ")
    path = tmp_path / "waivers.yaml"
    path.write_text("- {rule: fails, signed_by: A, reason: the reason, expires: 2027-01-31}\n", encoding="utf-8")
    signed = check_run(check.run, tmp_path / "policy.yaml", waivers=path, day=DAY, draws=999)
    assert "the reason" in cases(signed)["fails"].find("skipped").get("message", "")  # type: ignore[union-attr]


def test_junit_is_the_same_twice_and_survives_any_name(tmp_path: Path) -> None:
    check = judged(tmp_path, {"id": "a<b>&\x07\"'"}, counts=FEW)
    assert junit_xml(check) == junit_xml(check)
    assert "a<b>&?\"'" in cases(check)


def test_junit_of_an_incomplete_run_has_an_error(tmp_path: Path) -> None:
    check = judged(tmp_path, counts=NARROW, complete=False)
    assert check.exit_code == 3
    assert cases(check)["run is complete"].find("error") is not None


def test_check_repeats_the_run_and_nothing_is_saved(tmp_path: Path) -> None:
    check = judged(tmp_path)
    assert saved_checks(check.run) == []
    assert (check.certified, check.exit_code, check.preregistered) == (False, 1, False)
    again = check_run(check.run, tmp_path / "policy.yaml", day=DAY, draws=999)
    pd.testing.assert_frame_equal(check.findings, again.findings)
