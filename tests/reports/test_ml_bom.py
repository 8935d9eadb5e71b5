"""The ML-BOM: the strict validator of cyclonedx-python-lib, and its numbers against table `groups`."""

from __future__ import annotations

import copy
import json
import uuid
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from audit.errors import InputError
from audit.run import Run
from reports.bundle.ml_bom import SPECS, ml_bom
from tests.reports.conftest import Change
from tests.reports.hostile import HOSTILE, named_run

validation = pytest.importorskip("cyclonedx.validation.json")
schema = pytest.importorskip("cyclonedx.schema")


def refused(bom: dict[str, Any], spec: str) -> Any:
    """What the strict validator says; None where the document is valid."""
    version = {"1.6": schema.SchemaVersion.V1_6, "1.7": schema.SchemaVersion.V1_7}[spec]
    return validation.JsonStrictValidator(version).validate_str(json.dumps(bom))


def model(bom: dict[str, Any], name: str) -> dict[str, Any]:
    [found] = [item for item in bom["components"] if item["name"] == name]
    return found


def metrics(bom: dict[str, Any], name: str) -> dict[tuple[str, str | None], dict[str, Any]]:
    """Metrics by type and slice; fails where two share them."""
    found: dict[tuple[str, str | None], dict[str, Any]] = {}
    for metric in model(bom, name)["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]:
        key = (metric["type"], metric.get("slice"))
        assert key not in found
        found[key] = metric
    return found


def properties(bom: dict[str, Any], name: str) -> dict[str, str]:
    listed = model(bom, name)["modelCard"]["properties"]
    found = {item["name"]: item["value"] for item in listed}
    assert len(found) == len(listed)
    return found


@pytest.mark.parametrize("spec", SPECS)
def test_strictly_valid(sample: Run, spec: str) -> None:
    bom = ml_bom(sample, spec=spec)
    assert refused(bom, spec) is None
    assert bom["specVersion"] == spec


@pytest.mark.parametrize("spec", SPECS)
def test_the_validator_can_refuse(sample: Run, spec: str) -> None:
    bom = ml_bom(sample, spec=spec)
    with_n = copy.deepcopy(bom)
    with_n["components"][0]["modelCard"]["quantitativeAnalysis"]["performanceMetrics"][0]["n"] = 5
    as_number = copy.deepcopy(bom)
    as_number["components"][0]["modelCard"]["quantitativeAnalysis"]["performanceMetrics"][0]["value"] = 0.5
    for broken in (with_n, as_number, {**bom, "bomFormat": "other"}, {**bom, "serialNumber": "1"}):
        assert refused(broken, spec) is not None


@pytest.mark.parametrize("name", ["biased-torch", "biased-keras"])
def test_values_intervals_and_n_are_those_of_the_table(sample: Run, name: str) -> None:
    bom = ml_bom(sample)
    found, said = metrics(bom, name), properties(bom, name)
    frame = sample.table("groups")
    frame = frame[(frame["model"] == name) & (frame["class"].isna() | (frame["class"] == "cross"))]
    assert len(frame) > 300
    valued = 0
    for row in frame.to_dict("records"):
        about = "" if pd.isna(row["class"]) else ": cross"
        key = (row["metric"] + about, None if row["attribute"] == "overall" else f"{row['attribute']}={row['group']}")
        claim = ":".join([name, row["attribute"], row["group"], row["metric"], "cross" if about else ""])
        if pd.isna(row["value"]):
            assert key not in found
            assert f"faircam:no_value:groups:{claim}" in said
            continue
        valued += 1
        assert float(found[key]["value"]) == row["value"]
        if pd.isna(row["low"]) or pd.isna(row["high"]):
            assert "confidenceInterval" not in found[key]
        else:
            bounds = found[key]["confidenceInterval"]
            assert (float(bounds["lowerBound"]), float(bounds["upperBound"])) == (row["low"], row["high"])
        assert said[f"faircam:n:groups:{claim}"] == str(row["n"])
    assert len(found) == valued


def test_suppressed_cells_have_no_number(sample: Run, changed: Change) -> None:
    groups = sample.table("groups")
    cell = (groups["model"] == "biased-keras") & (groups["group"] == "tone-5") & (groups["metric"] == "accuracy")
    groups.loc[cell, "status"] = "suppressed"
    bom = ml_bom(changed({"groups": groups}))
    said = properties(bom, "biased-keras")
    claim = "groups:biased-keras:tone:tone-5:accuracy:"
    assert ("accuracy", "tone=tone-5") not in metrics(bom, "biased-keras")
    assert said[f"faircam:no_value:{claim}"] == "suppressed: the cell is small"
    assert f"faircam:n:{claim}" not in said
    assert f"faircam:clusters:{claim}" not in said


@pytest.mark.parametrize("spec", SPECS)
def test_hostile_names(tmp_path: Path, spec: str) -> None:
    bom = ml_bom(named_run(tmp_path, HOSTILE, models=("m;=", "<b>")), spec=spec)
    assert refused(bom, spec) is None
    back = json.loads(json.dumps(bom))
    for step, name in enumerate(("m;=", "<b>")):
        values = {key: float(metric["value"]) for key, metric in metrics(back, name).items()}
        assert values == {
            ("accuracy", f"tone={group}"): (place + 1 + 1000 * step) / 10_000 for place, group in enumerate(HOSTILE)
        }


def test_model_files_data_and_software_are_components(sample: Run) -> None:
    bom = ml_bom(sample)
    record = sample.record
    for item in record["models"]:
        assert model(bom, item["name"])["hashes"] == [{"alg": "SHA-256", "content": item["sha256"]}]
        assert model(bom, item["name"])["type"] == "machine-learning-model"
    packages = {item["name"]: item for item in bom["components"] if item["type"] == "library"}
    assert {name: item["version"] for name, item in packages.items()} == record["environment"]["versions"]
    assert packages["torch"]["purl"] == "pkg:pypi/torch@2.14.1"
    [data] = [item for item in bom["components"] if item["type"] == "data"]
    said = {item["name"]: item["value"] for item in data["data"][0]["contents"]["properties"]}
    assert said["faircam:planned"] == "240"
    assert said["faircam:group_labels:tone"] == "by construction"
    refs = {item["bom-ref"] for item in bom["components"]}
    assert {*bom["dependencies"][0]["dependsOn"]} == refs


def test_failed_findings_and_limits_are_considerations(sample: Run) -> None:
    findings = sample.table("findings")
    failed = findings[(findings["model"] == "biased-torch") & (findings["verdict"] == "fail")]
    found = model(ml_bom(sample), "biased-torch")["modelCard"]["considerations"]
    texts = [item["harms"] for item in found["fairnessAssessments"]]
    texts += [item["name"] for item in found.get("ethicalConsiderations", [])]
    assert sorted(texts) == sorted(failed["text"])
    assert found["fairnessAssessments"][0]["groupAtRisk"].startswith("tone=tone-")
    assert any("not shown to be absent" in text for text in found["technicalLimitations"])


def test_serial_number_and_time_come_from_the_run(sample: Run, changed: Change) -> None:
    bom = ml_bom(sample)
    assert bom == ml_bom(Run(sample.path, sample.record))
    assert uuid.UUID(bom["serialNumber"]).version == 5
    assert bom["metadata"]["timestamp"] == sample.record["created"]
    serials = {bom["serialNumber"], ml_bom(sample, spec="1.7")["serialNumber"]}
    serials.add(ml_bom(changed(fingerprint="0" * 64))["serialNumber"])
    assert len(serials) == 3
    assert str(sample.path) not in json.dumps(bom)


def test_another_version_is_refused(sample: Run) -> None:
    with pytest.raises(InputError, match=r"'1\.5', allowed: 1\.6, 1\.7"):
        ml_bom(sample, spec="1.5")  # type: ignore[arg-type]


@pytest.mark.parametrize("spec", SPECS)
def test_a_bare_record_is_still_valid(tmp_path: Path, spec: str) -> None:
    run = Run(tmp_path, {"name": "bare", "models": [{"name": "m", "sha256": None}]})
    bom = ml_bom(run, spec=spec)
    assert refused(bom, spec) is None
    assert "hashes" not in model(bom, "m")
    assert "timestamp" not in bom["metadata"]
