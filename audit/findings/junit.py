"""Verdicts as JUnit XML, for continuous integration: one test case a finding, and one for the run itself.

A failed rule is a failure, an inconclusive or broken one an error, a waived one skipped with its reason, and a
warning goes to the case's output. The red and the green agree with the exit code: what is open about a rule
that is not required is skipped, with what it is.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pandas as pd

from audit.errors import InputError
from audit.findings.check import Check
from audit.run.files import write_text

__all__ = ["junit_xml", "write_junit"]

# What XML cannot hold, other controls, and marks that turn a line around.
_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|[\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_NUMBERS = ("value", "low", "high", "p", "p_adjusted", "threshold", "n_to_settle")
_WORDS = ("finding_id", "attribute", "group", "reference", "metric", "class", "tier")


def junit_xml(check: Check) -> str:
    """Write a check as JUnit XML; the same check gives the same text.

    Parameters
    ----------
    check : Check

    Returns
    -------
    str
        One ``testsuite``; numbers of each finding are ``properties`` of its case. Signs that XML cannot hold, and
        those that would steer who shows it, are replaced by ``?``.
    """
    cases = [_case(row) for row in check.findings.to_dict("records")]
    cases.append(_complete(check))
    suite = ET.Element(
        "testsuite",
        {
            "name": _clean(f"{check.run.name}: {check.policy.name}"),
            "tests": str(len(cases)),
            "failures": str(_having(cases, "failure")),
            "errors": str(_having(cases, "error")),
            "skipped": str(_having(cases, "skipped")),
            "time": "0",
            "timestamp": f"{check.day.isoformat()}T00:00:00",
        },
    )
    head = {
        "policy_sha256": check.policy_sha256,
        "preregistered": "true" if check.preregistered else "false",
        "evaluated": check.day.isoformat(),
        "run_fingerprint": str(check.run.record.get("fingerprint")),
    }
    _properties(suite, head)
    suite.extend(cases)
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def write_junit(check: Check, path: Path) -> None:
    """Write a check to a file, as JUnit XML.

    Parameters
    ----------
    check : Check
    path : Path
        Is replaced where it is there.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    try:
        write_text(path, junit_xml(check))
    except OSError as error:
        raise InputError(f"cannot be written: {error}", where=str(path), fix="name another file") from error


def _case(row: Mapping[Hashable, Any]) -> ET.Element:
    case = ET.Element("testcase", {"classname": _clean(row["model"]), "name": _clean(row["rule"]), "time": "0"})
    numbers = {key: repr(float(row[key])) for key in _NUMBERS if pd.notna(row[key])}
    _properties(case, {**{key: str(row[key]) for key in _WORDS if pd.notna(row[key])}, **numbers})
    verdict, text = str(row["verdict"]), _clean(row["text"])
    if verdict == "fail":
        _say(case, "failure", "fail", text)
    elif verdict in ("inconclusive", "error"):
        if row["tier"] == "required":
            _say(case, "error", verdict, text)
        else:
            ET.SubElement(case, "skipped", {"message": f"{verdict}, and the rule is {row['tier']}: {text}"})
    elif verdict == "waived":
        ET.SubElement(case, "skipped", {"message": text})
    else:
        ET.SubElement(case, "system-out").text = f"{verdict}: {text}"
    return case


def _complete(check: Check) -> ET.Element:
    case = ET.Element("testcase", {"classname": "faircam", "name": "run is complete", "time": "0"})
    if not check.run.complete:
        _say(case, "error", "incomplete", "not every planned image was accounted for")
    return case


def _say(case: ET.Element, tag: str, kind: str, text: str) -> None:
    ET.SubElement(case, tag, {"type": kind, "message": text}).text = text


def _properties(parent: ET.Element, values: Mapping[str, str]) -> None:
    holder = ET.SubElement(parent, "properties")
    for name, value in values.items():
        ET.SubElement(holder, "property", {"name": name, "value": _clean(value)})


def _having(cases: list[ET.Element], tag: str) -> int:
    return sum(case.find(tag) is not None for case in cases)


def _clean(text: object) -> str:
    return _ILLEGAL.sub("?", str(text))
