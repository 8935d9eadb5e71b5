"""Bad input ends with one clear error, exit code 2, no traceback, and nothing half-written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from audit.run import open_run
from tests.integration.small import faircam, write_audit

pytestmark = pytest.mark.slow

CASES: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "missing column": ({"data__label": "lable"}, ("images.csv", "no column 'lable'", "Did you mean 'label'?")),
    "misspelt key": ({"data__lable": "label"}, ("audit.yaml", "'data.lable'", "Did you mean 'label'?")),
    "misspelt method": ({"explanations__methods": ["grad_cm"]}, ("'grad_cm'", "Did you mean 'grad_cam'?")),
    "unknown positive": ({"positive": "rad"}, ("positive", "'rad'", "Did you mean 'red'?")),
    "no such model file": ({"models__0__weights": "modle.npz"}, ("modle.npz", "models.closed-form")),
    "layer that does not exist": ({"models__0__layer": "featurs"}, ("'featurs'", "features")),
    "class count mismatch": (
        {"models__0__classes": ["dull", "red", "blue"], "models__0__outputs": {"dull": "rest", "red": ["red"]}},
        ("2 outputs", "3 classes"),
    ),
    "missing manifest": ({"data__manifest": "image.csv"}, ("image.csv", "no such file")),
    "wrong root": ({"data__root": "regions"}, ("none of the 60 images is there",)),
    "import path without trust": (
        {
            "models__0": {
                "name": "t",
                "framework": "torch",
                "architecture": "os:system",
                "preprocessing": {"size": [12, 12]},
                "classes": ["dull", "red"],
            }
        },
        ("os:system", "--trust-code"),
    ),
    "unknown split value": ({"data__split": {"column": "split", "keep": ["tset"]}}, ("'tset'", "Did you mean 'test'?")),
    "intersection of nothing": ({"data__intersections": [["light", "sise"]]}, ("'sise'",)),
    "crossed wires": ({"models__0__path": "x.keras"}, ("'path'", "numpy")),
}


@pytest.mark.parametrize("case", CASES)
def test_config_errors(case: str, tmp_path: Path) -> None:
    changes, words = CASES[case]
    config = write_audit(tmp_path / "audit", **changes)
    if "architecture" in str(changes):
        pytest.importorskip("torch")
    refused(tmp_path, config, words)


def refused(tmp_path: Path, config: Path, words: tuple[str, ...]) -> None:
    done = faircam("run", config, "--out", tmp_path / "run")
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1, done.stderr
    for word in words:
        assert word in done.stderr
    assert not (tmp_path / "run").exists()


def test_unknown_label_names_row_and_nearest_class(tmp_path: Path) -> None:
    config = write_audit(tmp_path / "audit")
    edit(tmp_path / "audit", lambda table: table.assign(label=table["label"].where(table.index != 7, "rde")))
    refused(tmp_path, config, ("label 'rde' of 'images/0007.png'", "Did you mean 'red'?"))


def test_empty_label_names_row(tmp_path: Path) -> None:
    config = write_audit(tmp_path / "audit")
    edit(tmp_path / "audit", lambda table: table.assign(label=table["label"].where(table.index != 7, "")))
    refused(tmp_path, config, ("row 9", "label is empty"))


@pytest.mark.parametrize("content", ["", "image,label,light,size,person,regions,split\n"])
def test_empty_manifest(content: str, tmp_path: Path) -> None:
    config = write_audit(tmp_path / "audit")
    (tmp_path / "audit" / "images.csv").write_text(content)
    refused(tmp_path, config, ("images.csv", "empty" if not content else "holds no images"))


def test_escaping_path(tmp_path: Path) -> None:
    config = write_audit(tmp_path / "audit")
    edit(tmp_path / "audit", lambda table: table.assign(image=table["image"].where(table.index != 3, "../secret.png")))
    refused(tmp_path, config, ("row 5", "'../secret.png'", "leaves the folder"))


RULE = {"metric": "accuracy", "attribute": "light", "compare": "range", "tolerance": 0.1, "tier": "required"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"metric": "acuracy"}, ("'acuracy'", "Did you mean 'accuracy'?")),
        ({"attribute": "lihgt"}, ("'lihgt'", "Did you mean 'light'?")),
        ({"compare": "reference", "reference": "brihgt"}, ("'brihgt'", "Did you mean 'bright'?")),
        ({"metric": "true_positive_rate", "class": "rde"}, ("'rde'", "Did you mean 'red'?")),
        ({"tolerance": 1.5}, ("tolerance", "1.5")),
        ({"toleranse": 0.1}, ("'rules.0.toleranse'", "Did you mean 'tolerance'?")),
    ],
)
def test_policy_errors_come_before_anything_is_computed(
    change: dict[str, Any], words: tuple[str, ...], tmp_path: Path
) -> None:
    config = write_audit(tmp_path / "audit", policy="policy.yaml")
    content = {"name": "test", "rules": [{**RULE, **change}]}
    (tmp_path / "audit" / "policy.yaml").write_text(yaml.safe_dump(content))
    refused(tmp_path, config, words)


def test_damaged_weights(tmp_path: Path) -> None:
    config = write_audit(tmp_path / "audit")
    (tmp_path / "audit" / "model.npz").write_bytes(b"not a model")
    refused(tmp_path, config, ("model.npz",))


def test_bad_images_are_listed_and_counted(tmp_path: Path) -> None:
    config = write_audit(tmp_path / "audit")
    images = tmp_path / "audit" / "images"
    (images / "0002.png").unlink()
    whole = (images / "0004.png").read_bytes()
    (images / "0004.png").write_bytes(whole[: len(whole) // 2])
    (images / "0006.png").write_text("no picture")
    done = faircam("run", config, "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert "images/0002.png: missing" in done.stderr
    run = open_run(tmp_path / "run")
    status = run.table("images").set_index("path")["status"]
    assert status["images/0002.png"] == "missing"
    assert status["images/0004.png"] == "unreadable"
    assert status["images/0006.png"] == "unsupported"
    assert run.record["data"]["counts"] == {"ok": 57, "missing": 1, "unreadable": 1, "unsupported": 1}
    everybody = run.table("groups").query("attribute == 'overall' and metric == 'accuracy'")
    assert everybody["n"].item() == 57
    problems = run.table("problems").query("stage == 'predict'")
    assert set(problems["path"]) == {"images/0002.png", "images/0004.png", "images/0006.png"}
    assert problems["detail"].str.len().gt(0).all()


def test_folder_that_holds_another_run(tmp_path: Path) -> None:
    config = write_audit(tmp_path / "audit")
    out = tmp_path / "run"
    assert faircam("run", config, "--out", out).returncode == 0
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    other = write_audit(tmp_path / "other", name="another")
    for arguments, word in (((), "--resume"), (("--resume",), "config.name")):
        done = faircam("run", other, "--out", out, *arguments)
        assert done.returncode == 2
        assert word in done.stderr
        assert "Traceback" not in done.stderr
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_folder_that_holds_other_things(tmp_path: Path) -> None:
    config = write_audit(tmp_path / "audit")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "letter.txt").write_text("dear")
    done = faircam("run", config, "--out", tmp_path / "run")
    assert done.returncode == 2
    assert "holds no run" in done.stderr
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["letter.txt"]


def test_report_of_no_run(tmp_path: Path) -> None:
    done = faircam("report", tmp_path)
    assert done.returncode == 2
    assert "no run.json" in done.stderr


def test_unknown_command_and_option() -> None:
    for arguments in (("rnu",), ("run", "x.yaml"), ("demo", "--sed", "1")):
        done = faircam(*arguments)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr


def edit(folder: Path, how: Any) -> None:
    path = folder / "images.csv"
    table = pd.read_csv(path, dtype="str", keep_default_na=False)
    how(table).to_csv(path, index=False)
