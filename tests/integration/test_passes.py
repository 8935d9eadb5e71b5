"""Embeddings, corrupted copies and training images, from the command to the tables: each framework, kill and resume."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from audit.run import open_run
from audit.run.schema import TABLES
from tests.integration.small import CLASSES, SIZE, faircam, write_audit
from tests.integration.test_run import assert_same_tables

PASSES: dict[str, Any] = {
    "embeddings": {"dimensions": 16},
    "robustness": {"corruptions": ["noise", "contrast"], "severities": [1, 5], "sample": 20},
    "data__population": {"light": {"dim": 0.5, "bright": 0.5}},
}
TRAINED = {"manifest": "train.csv", "cluster": "person"}


def write_passes(folder: Path, images: int = 60, **changes: Any) -> Path:
    """The small audit with every pass; the training images are copies of the first twenty, and ten of them are lost."""
    config = write_audit(folder, images, **{**PASSES, "models__0__training_data": TRAINED, **changes})
    lines = (folder / "images.csv").read_text().splitlines()
    (folder / "train").mkdir()
    kept = [line.replace("images/", "train/") for line in lines[1:31]]
    (folder / "train.csv").write_text("\n".join([lines[0], *kept]) + "\n")
    for number in range(20):
        shutil.copy(folder / "images" / f"{number:04d}.png", folder / "train" / f"{number:04d}.png")
    return config


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("passes")
    config = write_passes(folder)
    done = faircam("run", config, "--out", folder / "run")
    assert done.returncode == 0, done.stderr
    for stage in ("embed", "corrupt", "members"):
        assert f"{stage:<10} closed-form" in done.stderr
    return folder


def test_raw_tables_hold_every_row_that_was_planned(finished: Path) -> None:
    run = open_run(finished / "run")
    assert run.complete
    assert len(run.table("embeddings")) == 60
    corrupted = run.table("corrupted")
    assert len(corrupted) == 20 * 4
    assert corrupted.groupby(["corruption", "severity"])["image_id"].nunique().eq(20).all()
    members = run.table("members")
    assert members["status"].value_counts().to_dict() == {"ok": 20, "missing": 10}
    assert members["cluster"].notna().all()
    assert set(members["attr_light"]) == {"dim", "bright"}  # the groups of the audit's data, named by nobody


def test_loss_is_that_of_the_same_image_in_the_audit(finished: Path) -> None:
    run = open_run(finished / "run")
    members = run.table("members").query("status == 'ok'")
    classes = run.record["data"]["classes"]
    audited = run.table("predictions").set_index("image_id")["probabilities"]
    for row in members.itertuples():
        given = audited[row.image_id.replace("train__", "images__")][classes.index(row.label)]
        assert row.loss == pytest.approx(-np.log(given), rel=1e-6)


def test_everything_derived_is_written_and_digested(finished: Path) -> None:
    run = open_run(finished / "run")
    assert set(run.record["tables"]) == set(TABLES)
    for name in ("coverage", "curves", "lattice", "shift", "sensitivity", "leakage", "robustness", "membership"):
        assert len(run.table(name)), name
    assert "stated population" in set(run.table("shift")["scenario"])
    uncorrupted = run.table("robustness").query("severity == 0 and attribute == 'overall'")
    assert set(uncorrupted["n"]) == {20}


def test_problems_name_lost_and_leaked_training_images(finished: Path) -> None:
    problems = open_run(finished / "run").table("problems").query("stage == 'members'")
    assert problems["status"].value_counts().to_dict() == {"trained_on": 20, "missing": 10}
    assert problems.query("status == 'missing'")["path"].str.startswith("train/").all()
    assert problems.query("status == 'trained_on'")["path"].str.startswith("images/").all()


def test_dry_run_counts_every_pass(finished: Path, tmp_path: Path) -> None:
    done = faircam("run", finished / "audit.yaml", "--out", tmp_path / "dry", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert (
        "closed-form: 60 images predicted, 24 explained, 60 embedded, 80 corrupted copies, 30 training images."
        in done.stdout
    )


def test_not_asked_for_is_written_empty(tmp_path: Path) -> None:
    config = write_audit(tmp_path / "plain")
    assert faircam("run", config, "--out", tmp_path / "run").returncode == 0
    run = open_run(tmp_path / "run")
    for name in ("embeddings", "corrupted", "members", "leakage", "slices", "robustness", "membership", "paired"):
        assert run.has(name)
        assert run.table(name).empty, name
    assert set(run.record["tables"]) == set(TABLES)


@pytest.mark.parametrize("stage", ["embed", "corrupt", "members"])
def test_killed_in_a_stage(finished: Path, tmp_path: Path, stage: str) -> None:
    out = tmp_path / "run"
    command = [sys.executable, "-P", "-m", "audit.cli", "run", str(finished / "audit.yaml"), "--out", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    try:
        while not list(out.rglob(f"{stage}-*.parquet")) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.001)
    finally:
        process.kill()
        process.wait()
    assert not open_run(out).complete, "the kill must strike before the run ends"
    assert faircam("run", finished / "audit.yaml", "--out", out, "--resume").returncode == 0
    assert_same_tables(finished / "run", out)


@pytest.mark.parametrize("stage", ["embed", "corrupt", "members"])
def test_torn_shard_is_redone(finished: Path, tmp_path: Path, stage: str) -> None:
    out = tmp_path / "run"
    shutil.copytree(finished / "run", out)
    (out / "run.json").unlink()
    shard = sorted((out / "shards").rglob(f"{stage}-*.parquet"))[1]
    shard.write_bytes(shard.read_bytes()[:-200])
    assert faircam("run", finished / "audit.yaml", "--out", out, "--resume").returncode == 0
    assert_same_tables(finished / "run", out)


def trained(folder: Path, framework: str) -> dict[str, Any]:
    """A plain CNN with first weights, the same in both frameworks, as an entry of `models`."""
    import torch

    from audit.models import torch_networks, transfer
    from audit.models.networks import NetworkArguments
    from audit.training import keras_loop, torch_loop

    torch.manual_seed(1)
    arguments = NetworkArguments(num_classes=2, input_shape=(SIZE, SIZE, 3))
    network = torch_networks.build("plain_cnn", **arguments.as_dict())
    entry: dict[str, Any] = {
        "name": framework,
        "framework": framework,
        "preprocessing": {"size": [SIZE, SIZE]},
        "classes": list(CLASSES),
        "training_data": TRAINED,
    }
    if framework == "torch":
        shape = [SIZE, SIZE, 3]
        described = {"architecture": "plain_cnn", "arguments": {"num_classes": 2, "input_shape": shape}}
        return entry | described | {"weights": torch_loop.save(network, folder)}
    return entry | {"path": keras_loop.save(transfer.convert(network, "keras", "plain_cnn", arguments), folder)}


@pytest.mark.torch
@pytest.mark.tensorflow
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_both_frameworks_give_the_same_rows(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("tensorflow")
    config = write_passes(tmp_path / "audit", 40)
    content = yaml.safe_load(config.read_text())
    content["models"] = [trained(tmp_path / "audit", framework) for framework in ("torch", "keras")]
    content["explanations"] = {"sample": 0}
    config.write_text(yaml.safe_dump(content))
    done = faircam("run", config, "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    run = open_run(tmp_path / "run")
    mine, other = (run.model(name)["embeddings"] for name in ("torch", "keras"))
    assert mine == other
    assert mine == {"layer": "dense", "size": 576, "kept": 16, "projection": "random signs, seed 0"}
    vectors = [np.stack(part["embedding"].to_list()) for _, part in run.table("embeddings").groupby("model")]
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-4 * np.abs(vectors[0]).max())
    losses = [part["loss"].to_numpy(float) for _, part in run.table("members").groupby("model")]
    np.testing.assert_allclose(losses[0], losses[1], atol=1e-4)
    copies = [part["predicted"].to_list() for _, part in run.table("corrupted").groupby("model")]
    agree = np.mean([one == two for one, two in zip(*copies, strict=True)])
    assert agree >= 0.98  # a copy on the very border may fall on either side
    assert set(run.table("paired")["first"]) == {"torch"}
    assert set(run.table("paired")["second"]) == {"keras"}
