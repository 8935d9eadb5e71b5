"""Beyond the metadata, on the planted set: leakage of the tone, memorised training images, corruption by group."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from audit.data.synthetic import SyntheticSpec, draw, write
from audit.run import Run, open_run
from tests.integration.small import faircam

pytestmark = pytest.mark.slow

NOISY = (0.3,) * 6
PREPROCESSING = {"size": [48, 48], "mode": "RGB", "scale": [0, 1], "mean": [0.5] * 3, "std": [0.25] * 3}
GROUPS = [{"column": name, "provenance": "by construction"} for name in ("tone", "marker")]


def drawn(folder: Path) -> None:
    sets = {
        "few": SyntheticSpec(120, 11, label_noise=NOISY),
        "many": SyntheticSpec(1800, 12),
        "validation": SyntheticSpec(120, 13),
        "test": SyntheticSpec(480, 14),
    }
    write({name: draw(spec) for name, spec in sets.items()}, folder / "data")


def data(split: str) -> dict[str, Any]:
    return {"manifest": "data/manifest.csv", "groups": GROUPS, "split": {"column": "split", "keep": [split]}}


def train(folder: Path, framework: str, name: str, split: str, epochs: int) -> dict[str, Any]:
    recipe = {
        "name": name,
        "framework": framework,
        "data": data(split),
        "validation": {"keep": ["validation"]},
        "preprocessing": PREPROCESSING,
        "epochs": epochs,
        "seed": 3,
    }
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(recipe))
    done = faircam("train", folder / f"{name}.yaml", "--out", folder / name)
    assert done.returncode == 0, done.stderr
    (entry,) = yaml.safe_load((folder / name / "model.yaml").read_text())
    return {**entry, "training_data": data(split)}


@pytest.fixture(
    scope="module",
    params=[
        pytest.param("torch", marks=pytest.mark.torch),
        pytest.param("keras", marks=pytest.mark.tensorflow),
    ],
)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One network that learnt wrong labels by heart, one that had no need to."""
    folder = tmp_path_factory.mktemp(request.param)
    drawn(folder)
    models = [
        train(folder, request.param, "memorised", "few", 40),
        train(folder, request.param, "learnt", "many", 3),
    ]
    content = {
        "name": "beyond",
        "data": data("test"),
        "positive": "cross",
        "models": models,
        "explanations": {"sample": 0},
        "embeddings": {"sample": "all", "dimensions": 64},
        "robustness": {"corruptions": ["noise", "contrast"], "severities": [1, 3, 5], "sample": 240},
    }
    (folder / "audit.yaml").write_text(yaml.safe_dump(content))
    done = faircam("run", folder / "audit.yaml", "--out", folder / "run")
    assert done.returncode == 0, done.stderr
    return open_run(folder / "run")


def test_membership_gap_where_labels_were_learnt_by_heart(run: Run) -> None:
    rows = run.table("membership").query("attribute == 'overall'").set_index("model")
    assert rows.loc["memorised", "low"] > 0.6
    assert rows.loc["memorised", "member_accuracy"] > rows.loc["memorised", "other_accuracy"] + 0.1
    assert rows.loc["learnt", "low"] < 0.5 + 0.02
    assert rows.loc["learnt", "value"] < 0.55
    assert (run.table("membership").query("attribute == 'tone'")["members"] > 0).all()


def test_tone_is_read_from_the_embeddings(run: Run) -> None:
    rows = run.table("leakage").query("attribute == 'tone'")
    assert set(rows["model"]) == {"memorised", "learnt"}
    assert (rows["value"] > rows["baseline_high"]).all()
    assert (rows["p"] <= 0.05).all()


def test_accuracy_falls_with_severity_in_every_group(run: Run) -> None:
    rows = run.table("robustness").query("model == 'learnt' and corruption == 'contrast' and attribute == 'tone'")
    assert set(rows["severity"]) == {0, 1, 3, 5}
    by_group = rows.pivot_table(index="group", columns="severity", values="value")
    assert len(by_group) == 6
    assert by_group[5].mean() < by_group[0].mean() - 0.1
    whole = run.table("predictions").query("model == 'learnt' and status == 'ok'")
    assert rows[rows["severity"] == 0]["n"].sum() <= len(whole)
    gaps = run.table("robustness_gaps").query("model == 'learnt' and attribute == 'tone'")
    assert set(gaps["severity"]) == {0, 1, 3, 5}


def test_nothing_is_confirmed_that_is_not_measured(run: Run) -> None:
    slices = run.table("slices")
    confirmed = slices[slices["confirmed"].fillna(False).astype(bool)]
    assert (confirmed["p_adjusted"] < 0.05).all()
    assert (confirmed["difference"] > 0).all()
    assert set(run.table("coverage").query("attribute == 'tone' and label.isna()")["images"]) == {80}
