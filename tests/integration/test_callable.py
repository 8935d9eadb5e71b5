"""A function named in `audit.yaml`, through the command: refused, trusted, audited, and resumed only unchanged."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from audit.run import open_run
from audit.run.files import sha256_file
from tests.integration.small import CLASSES, SIZE, faircam, write_audit

FUNCTION = """
import numpy as np

def score(images):
    stored = np.load(__file__.replace("their_model.py", "model.npz"))
    hidden = np.maximum(images @ stored["W1"] + stored["b1"], 0).mean(axis=(1, 2))
    return hidden @ stored["W2"] + stored["b2"]
"""
MODEL = {
    "name": "function",
    "framework": "callable",
    "function": "their_model:score",
    "preprocessing": {"size": [SIZE, SIZE]},
    "classes": list(CLASSES),
}


def test_a_function_is_audited_where_it_is_trusted(tmp_path: Path) -> None:
    path = write_audit(tmp_path / "first")
    twin = write_audit(tmp_path / "second", models=[MODEL])
    (tmp_path / "second" / "their_model.py").write_text(FUNCTION)

    refused = faircam("run", twin, "--out", tmp_path / "refused")
    assert refused.returncode == 2
    assert "function: function 'their_model:score' runs code of its own" in refused.stderr.replace("\n", " ")
    assert "--trust-code" in refused.stderr

    done = faircam("run", twin, "--out", tmp_path / "run", "--trust-code")
    assert done.returncode == 0, done.stderr
    assert faircam("run", path, "--out", tmp_path / "known").returncode == 0
    run, known = open_run(tmp_path / "run"), open_run(tmp_path / "known")
    found, expected = run.table("predictions"), known.table("predictions")
    assert list(found["predicted"]) == list(expected["predicted"])
    np.testing.assert_allclose(np.stack(found["probabilities"]), np.stack(expected["probabilities"]), atol=1e-5)
    explained = run.table("explanations")
    assert len(explained)
    assert set(explained["status"]) == {"not_measured"}
    record = run.record["models"][0]
    assert (record["framework"], record["capabilities"]) == ("callable", ["scores"])
    assert record["sha256"] == sha256_file(tmp_path / "second" / "their_model.py")
    assert run.record["trust"] == {"trust_code": True, "trust_models": []}

    (tmp_path / "second" / "their_model.py").write_text(FUNCTION + "\nCHANGED = True\n")
    again = faircam("run", twin, "--out", tmp_path / "run", "--trust-code", "--resume")
    assert again.returncode == 2


def test_a_module_that_is_not_there_is_said_before_anything_is_written(tmp_path: Path) -> None:
    path = write_audit(tmp_path / "audit", models=[{**MODEL, "function": "no_such_model:score"}])
    done = faircam("run", path, "--out", tmp_path / "run", "--trust-code")
    assert done.returncode == 2
    assert "models.function: there is no module 'no_such_model'" in done.stderr.replace("\n", " ")
    assert not (tmp_path / "run").exists()
