"""A whole pickled module through the command: refused, trusted by its digest alone, recorded and printed."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit.run import open_run
from audit.run.files import sha256_file
from reports import write_report
from tests.integration.small import CLASSES, SIZE, faircam, write_audit

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch


def test_a_whole_module_is_audited_where_its_digest_is_trusted(tmp_path: Path) -> None:
    torch.manual_seed(0)
    layers = torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
    model = {"name": "whole", "framework": "torch", "path": "m.pt", "preprocessing": {"size": [SIZE, SIZE]}}
    config = write_audit(tmp_path / "audit", images=12, models=[{**model, "classes": list(CLASSES)}])
    path = config.parent / "m.pt"
    torch.save(torch.nn.Sequential(*layers, torch.nn.Linear(4, 2)), path)
    digest = sha256_file(path)

    out = tmp_path / "run"
    refused = faircam("run", config, "--out", out, "--trust-code", "--trust-model", f"sha256:{'a' * 64}")
    assert refused.returncode == 2
    assert f"its digest is sha256:{digest}" in refused.stderr
    assert f"--trust-model sha256:{digest}" in refused.stderr
    assert not out.exists()

    done = faircam("run", config, "--out", out, "--trust-model", f"sha256:{digest}")
    assert done.returncode == 0, done.stderr
    run = open_run(out)
    assert run.record["trust"] == {"trust_code": False, "trust_models": [digest]}
    assert run.record["models"][0]["sha256"] == digest
    assert (run.record["models"][0]["layer"], run.record["models"][0]["score"]) == ("1", "logit")
    write_report(run, tmp_path / "r.md", "md")
    assert f"it was trusted by its digest, sha256:{digest}" in (tmp_path / "r.md").read_text().replace("\\", "")
