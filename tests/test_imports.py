"""What is imported when: the command line starts light, and a framework is loaded only for its own models."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.small import faircam, write_audit

HEAVY = ("pandas", "torch", "tensorflow", "keras", "streamlit", "matplotlib", "pyarrow", "scipy", "numpy")


def loaded_by(code: str) -> set[str]:
    """Top-level modules in a fresh process after some code."""
    program = f"import json, sys\n{code}\nprint(json.dumps(sorted({{name.split('.')[0] for name in sys.modules}})))"
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_help_imports_nothing_heavy() -> None:
    code = "sys.argv = ['faircam', '--help']\nfrom audit.cli import app\napp(standalone_mode=False)"
    assert not loaded_by(code) & set(HEAVY)


@pytest.mark.parametrize("command", ["demo", "init", "train", "run", "report", "check", "compare", "dashboard"])
def test_every_command_has_help_with_an_example(command: str) -> None:
    done = faircam(command, "--help", NO_COLOR="1", COLUMNS="160")
    assert done.returncode == 0
    assert "Example:" in done.stdout
    assert f"faircam {command}" in done.stdout


@pytest.mark.parametrize("module", ["audit", "reports", "dashboard"])
def test_packages_import_without_frameworks(module: str) -> None:
    assert not loaded_by(f"import {module}") & {"torch", "tensorflow", "keras", "streamlit", "matplotlib"}


def test_a_worker_starts_without_scipy() -> None:
    """Importing it takes longer than all of faircam; a pass that needs it does."""
    assert not loaded_by("import audit.engine.station") & {"scipy", "statsmodels", "torch", "tensorflow", "keras"}


def test_reading_a_run_needs_no_framework(tmp_path: Path) -> None:
    config = write_audit(tmp_path / "audit")
    assert faircam("run", config, "--out", tmp_path / "run").returncode == 0
    code = (
        "from reports import write_report\nfrom audit import open_run\nfrom pathlib import Path\n"
        f"run = open_run({str(tmp_path / 'run')!r})\nrun.table('groups')\nwrite_report(run)"
    )
    loaded = loaded_by(code)
    assert not loaded & {"torch", "tensorflow", "keras", "captum", "tf_explain", "streamlit", "plotly"}


def test_a_users_own_module_of_the_same_name_does_no_harm(tmp_path: Path) -> None:
    for name in ("audit", "reports", "dashboard"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong one')")
    config = write_audit(tmp_path / "audit-files")
    command = str(Path(sys.executable).with_name("faircam"))
    done = subprocess.run(
        [command, "run", str(config), "--out", str(tmp_path / "run")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
