"""The example for GitHub Actions: its steps, run one by one in bash as a runner would."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from junitparser import JUnitXml

from tests.findings.runs import FEW, NARROW, WIDE, Counts, build, policy_file
from tests.integration.small import write_audit

EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "examples" / "github-actions.yml"
NOT_RUN = "Install"


def workflow() -> dict[Any, Any]:
    content: dict[Any, Any] = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
    return content


def steps() -> list[dict[str, Any]]:
    (job,) = workflow()["jobs"].values()
    found: list[dict[str, Any]] = job["steps"]
    return found


@dataclass
class Outcome:
    """What became of a job: exit codes by step, and the summary page."""

    codes: dict[str, int] = field(default_factory=dict)
    summary: str = ""
    said: str = ""

    @property
    def failed(self) -> bool:
        return any(self.codes.values())


@pytest.fixture
def job(tmp_path: Path) -> Callable[..., Outcome]:
    """Run the job in a folder of its own; steps in `instead` are replaced by a command."""
    tools = tmp_path / "tools"
    tools.mkdir()
    command = f'exec {shlex.quote(sys.executable)} -P -m audit.cli "$@"'
    (tools / "faircam").write_text(f"#!/bin/sh\n{command}\n", encoding="utf-8")
    (tools / "faircam").chmod(0o755)

    def run(**instead: str) -> Outcome:
        outcome = Outcome()
        page = tmp_path / "summary-of-the-step"
        page.write_text("before\n", encoding="utf-8")
        paths = [str(tools), os.environ["PATH"]]
        search = [str(EXAMPLE.parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
        known = {
            "PATH": os.pathsep.join(paths),
            "PYTHONPATH": os.pathsep.join(search),
            "GITHUB_STEP_SUMMARY": str(page),
        }
        for step in steps():
            if "run" not in step or step["name"] == NOT_RUN:
                continue
            if outcome.failed and "cancelled()" not in step.get("if", ""):
                continue
            script = tmp_path / "step.sh"
            script.write_text(instead.get(step["name"], step["run"]), encoding="utf-8")
            done = subprocess.run(
                ["bash", "-e", str(script)],
                cwd=tmp_path, env={**os.environ, **known}, capture_output=True, text=True, timeout=300, check=False,
            )  # fmt: skip
            outcome.codes[step["name"]] = done.returncode
            outcome.said += done.stdout + done.stderr
        outcome.summary = page.read_text(encoding="utf-8")
        return outcome

    return run


def test_it_is_a_workflow_for_pull_requests() -> None:
    """``on`` is read as true by YAML 1.1."""
    content = workflow()
    assert "pull_request" in content[True]
    assert content["permissions"] == {"contents": "read"}
    names = [step.get("name", step.get("uses")) for step in steps()]
    assert names[2:] == ["Install", "Audit", "Judge", "Report", "Keep the report"]
    assert all("@v" in step["uses"] for step in steps() if "uses" in step)
    assert "faircam[torch]" in next(step["run"] for step in steps() if step.get("name") == "Install")


@pytest.mark.parametrize(("counts", "code", "outcome"), [
    (NARROW, 0, "## Every required rule passed"), (WIDE, 1, "## A required rule FAILED."), (FEW, 3, "## NOT CERTIFIED"),
])  # fmt: skip
def test_gate_on_a_prepared_run(
    counts: Counts, code: int, outcome: str, job: Callable[..., Outcome], tmp_path: Path
) -> None:
    policy_file(tmp_path / "policy.yaml")
    build(tmp_path / "prepared", counts)
    done = job(Audit="mkdir runs && cp -r prepared runs/audit")
    assert done.codes == {"Audit": 0, "Judge": code, "Report": 0}, done.said
    assert done.summary.startswith("before\n" + outcome)
    assert "| policy SHA-256 |" in done.summary
    (suite,) = JUnitXml.fromfile(str(tmp_path / "verdicts.xml"))
    assert (suite.failures, suite.errors) == ((code == 1), (code == 3))
    kept = next(step for step in steps() if step.get("name") == "Keep the report")["with"]["path"].split()
    assert all((tmp_path / name).exists() for name in kept)
    assert (tmp_path / "report" / "report.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_a_policy_that_cannot_be_read_fails_the_job(job: Callable[..., Outcome], tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text("rules: [", encoding="utf-8")
    build(tmp_path / "prepared", NARROW)
    done = job(Audit="mkdir runs && cp -r prepared runs/audit")
    assert done.codes["Judge"] == 2
    assert done.summary == "before\n"


@pytest.mark.slow
def test_every_step_with_an_audit_of_its_own(job: Callable[..., Outcome], tmp_path: Path) -> None:
    """The audit is run too, on the model in closed form; dim red squares are missed more often."""
    write_audit(tmp_path / "source", policy="policy.yaml")
    for path in (tmp_path / "source").iterdir():
        shutil.move(path, tmp_path / path.name)
    rule = {"attribute": "light", "tolerance": 0.05, "min_n": 5}
    policy_file(tmp_path / "policy.yaml", rule)
    done = job()
    assert done.codes["Audit"] == 0, done.said
    assert done.codes["Judge"] in (1, 3), done.said
    assert "Verdicts are preregistered" in done.summary


def test_an_audit_that_stops_fails_the_job(job: Callable[..., Outcome]) -> None:
    done = job()
    assert done.codes["Audit"] == 2
    assert "Judge" not in done.codes
    assert done.failed
