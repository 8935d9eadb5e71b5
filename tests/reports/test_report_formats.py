"""Documents of a run beside its report: claims as CSV, verdicts as JUnit, model card, ML-BOM."""

from __future__ import annotations

import csv
import io
import json
from datetime import date
from pathlib import Path
from xml.etree import ElementTree as ET

import pandas as pd
import pytest

from audit.errors import RunError
from audit.findings import junit_xml
from audit.run import Run
from audit.run.claims import CLAIM_KEYS, find_claim
from reports import write_report
from reports.bundle.ml_bom import ml_bom
from reports.bundle.model_card import model_card
from reports.bundle.results import CLAIMED
from reports.bundle.verdicts import check_of
from reports.claims_csv import CSV_COLUMNS, claims_csv

Rows = dict[str, dict[str, str]]


@pytest.fixture(scope="module")
def rows(sample: Run) -> Rows:
    """Lines of the CSV, by claim."""
    lines = list(csv.DictReader(io.StringIO(claims_csv(sample))))
    assert tuple(lines[0]) == CSV_COLUMNS
    found = {line["claim"]: line for line in lines}
    assert len(found) == len(lines)
    return found


def test_every_row_of_every_claimed_table_is_a_line(sample: Run, rows: Rows) -> None:
    assert len(rows) == sum(len(sample.table(name)) for name in CLAIMED)
    assert {line["table"] for line in rows.values()} == {name for name in CLAIMED if len(sample.table(name))}


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("groups:biased-torch:tone:tone-4:true_positive_rate:cross", "value"),
        ("gaps:biased-keras:tone:accuracy:", "value"),
        ("lattice:biased-torch:tone=tone-4:accuracy:", "difference"),
        ("paired:biased-torch:biased-keras:tone:tone-4:accuracy:", "difference"),
        ("leakage:biased-torch:marker", "value"),
    ],
)
def test_a_line_holds_the_number_that_its_interval_is_of(sample: Run, rows: Rows, claim: str, value: str) -> None:
    line = rows[claim]
    held = find_claim(sample.table(line["table"]), claim).iloc[0]
    assert float(line["value"]) == held[value]  # to the last bit
    for name in ("low", "high", "n"):
        if name in held:
            assert float(line[name]) == held[name]
    for name in set(CLAIM_KEYS[line["table"]]) & set(CSV_COLUMNS):
        assert line[name] == (held[name] if pd.notna(held[name]) else "")
    assert line["interval_method"] == held.get("method", "")


def test_methods_of_explanation_and_of_intervals_are_told_apart(sample: Run, rows: Rows) -> None:
    line = rows["region_groups:biased-torch:saliency:object:overall:all"]
    held = find_claim(sample.table("region_groups"), line["claim"]).iloc[0]
    assert (line["method"], line["interval_method"]) == ("saliency", held["method_interval"])
    quality = next(line for line in rows.values() if line["table"] == "quality_groups")
    assert quality["metric"] in set(sample.table("quality_groups")["measure"])
    assert quality["interval_method"] == ""


def test_what_is_undefined_is_empty_and_says_why(sample: Run, rows: Rows) -> None:
    groups = sample.table("groups")
    undefined = [line for line in rows.values() if line["table"] == "groups" and line["value"] == ""]
    assert len(undefined) == int(groups["value"].isna().sum())
    assert {line["status"] for line in undefined} <= set(groups["status"]) - {"ok"}


def test_the_other_documents_are_those_of_a_bundle(sample: Run, tmp_path: Path) -> None:
    read = {
        name: write_report(sample, tmp_path / name, name).read_text("utf-8") for name in ("junit", "modelcard", "mlbom")
    }
    assert read["junit"] == junit_xml(check_of(sample, date(2026, 1, 15)))  # the day when the run was computed
    assert read["modelcard"] == model_card(sample)
    assert json.loads(read["mlbom"]) == ml_bom(sample)
    findings = sample.table("findings")
    suite = ET.fromstring(read["junit"])[0]  # noqa: S314 - written here
    assert int(suite.attrib["tests"]) == len(findings) + 1
    assert int(suite.attrib["failures"]) == int((findings["verdict"] == "fail").sum())


@pytest.mark.parametrize(
    ("name", "file"),
    [("csv", "results.csv"), ("junit", "junit.xml"), ("modelcard", "modelcard.md"), ("mlbom", "mlbom.cdx.json")],
)
def test_each_has_its_name_and_the_same_bytes_twice(sample: Run, tmp_path: Path, name: str, file: str) -> None:
    path = write_report(sample, format=name)
    assert path == sample.path / file
    assert path.read_bytes() == write_report(sample, tmp_path / file, name).read_bytes()
    path.unlink()


def test_verdicts_need_a_day(sample: Run, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="created is None, but JUnit needs a date"):
        write_report(Run(sample.path, {**sample.record, "created": None}), tmp_path / "junit.xml", "junit")


def test_the_command_writes_them(sample: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from audit.cli import report

    report(sample.path, "csv", tmp_path / "claims.csv")
    assert (tmp_path / "claims.csv").read_text("utf-8").startswith("claim,table,model,")
    assert "claims.csv" in capsys.readouterr().out.replace("\n", "")
