"""Real photographs: a published Keras network, and our own CNN in both frameworks, through the same command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from audit.fairness import newcombe
from audit.run import Run, open_run
from tests.integration.small import faircam

pytestmark = [pytest.mark.shared, pytest.mark.torch, pytest.mark.tensorflow]

FER = {
    "name": "fer",
    "framework": "keras",
    "preprocessing": {"size": [64, 64], "mode": "L", "resize": "bilinear", "scale": [-1, 1]},
    "classes": ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"],
    "outputs": {"smiling": ["happy"], "neutral": "rest"},
    "layer": "conv2d_7",
}
RGB = {"size": [64, 64], "mode": "RGB", "resize": "bilinear", "scale": [0, 1], "mean": [0.5] * 3, "std": [0.25] * 3}
ARGUMENTS = {"num_classes": 2, "input_shape": [64, 64, 3]}


def data(shared: Path, **more: Any) -> dict[str, Any]:
    return {
        "manifest": str(shared / "data" / "london" / "london.csv"),
        "image": "image",
        "label": "expression",
        "groups": [
            {"column": "gender", "provenance": "self-reported"},
            {"column": "ethnicity", "provenance": "self-reported"},
            "age_band",
        ],
        "intersections": [["gender", "ethnicity"]],
        "cluster": "person",
        "regions": {"column": "regions", "names": {1: "face", 2: "eyes", 3: "mouth"}},
        **more,
    }


def run_audit(folder: Path, name: str, content: dict[str, Any]) -> Run:
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump({"name": name, "positive": "smiling", "seed": 0, **content}))
    done = faircam("run", path, "--out", folder / name)
    assert done.returncode == 0, done.stderr
    return open_run(folder / name)


@pytest.fixture(scope="module")
def fer(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    model = {**FER, "path": str(shared / "models" / "fer_mini_xception.h5")}
    return run_audit(tmp_path_factory.mktemp("fer"), "fer", {"data": data(shared), "models": [model]})


def test_known_answer(fer: Run) -> None:
    groups = fer.table("groups")
    everybody = groups.query("attribute == 'overall' and metric == 'accuracy'").iloc[0]
    assert (round(everybody["value"] * everybody["n"]), everybody["n"]) == (156, 204)
    found = groups.query("attribute == 'gender' and metric == 'true_positive_rate' and `class` == 'smiling'")
    women, men = (found[found["group"] == name].iloc[0] for name in ("female", "male"))
    assert (round(women["value"] * women["n"]), women["n"]) == (36, 49)
    assert (round(men["value"] * men["n"]), men["n"]) == (18, 53)
    assert men["high"] < women["low"]
    gap = fer.table("gaps").query("attribute == 'gender' and metric == 'true_positive_rate'").iloc[0]
    assert gap["low"] == pytest.approx(float(newcombe(36, 49, 18, 53, 0.05)[0]), abs=1e-12)
    assert gap["low"] == pytest.approx(0.203, abs=5e-4)


def test_gap_is_found_and_small_groups_are_named(fer: Run) -> None:
    findings = fer.table("findings").set_index("rule")
    assert findings.loc["true_positive_rate-gender", "verdict"] == "fail"
    assert "east_asian/white (1)" in findings.loc["true_positive_rate-ethnicity", "text"]


def test_ethnicity_is_not_settled_and_says_what_would(fer: Run) -> None:
    found = fer.table("findings").set_index("rule").loc["true_positive_rate-ethnicity"]
    assert found["verdict"] == "inconclusive"
    assert found["low"] <= found["threshold"] <= found["high"]
    assert found["n_to_settle"] > 100
    assert f"about {found['n_to_settle']:,.0f}".replace(",", "") in found["text"].replace(",", "")
    groups = fer.table("groups").query("attribute == 'ethnicity' and metric == 'accuracy'").set_index("group")
    assert groups.loc["east_asian/white", "clusters"] == 1
    assert groups.loc["east_asian", ["n", "clusters"]].tolist() == [18, 9]


def test_wrong_gender_labels_that_would_overturn_the_finding(fer: Run) -> None:
    rows = fer.table("sensitivity").set_index("rule")
    found = rows.loc["true_positive_rate-gender"]
    assert (found["verdict"], found["labels"]) == ("fail", 102)
    assert 1 <= found["flips"] <= 5  # 5 where the rule stands alone; Holm over the other rules leaves fewer
    assert found["share"] == pytest.approx(found["flips"] / 102)
    assert 0 < found["random_share"] < 0.5
    assert f"{int(found['flips'])} of 102" in found["text"]


def test_maps_are_confirmed_by_tf_explain(fer: Run) -> None:
    checks = fer.table("crosschecks")
    assert set(checks["provider"]) == {"tf-explain"}
    assert set(checks["status"]) == {"ok"}
    assert checks["max_difference"].max() < 1e-4


@pytest.fixture(scope="module")
def twins(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run]:
    """Our CNN trained on four folds in PyTorch, audited on the fifth; then its weights in Keras, likewise."""
    folder = tmp_path_factory.mktemp("twins")
    recipe = {
        "name": "plain",
        "framework": "torch",
        "data": data(shared, split={"column": "fold", "keep": [1, 2, 3, 4]}),
        "validation": {"keep": [0]},
        "preprocessing": RGB,
        "optimiser": {"name": "adamw", "learning_rate": 3e-4, "weight_decay": 0.01},
        "augmentation": {"flip": True, "shift": 4},
        "epochs": 4,
        "batch_size": 16,
    }
    (folder / "train.yaml").write_text(yaml.safe_dump(recipe))
    done = faircam("train", folder / "train.yaml", "--out", folder / "plain")
    assert done.returncode == 0, done.stderr
    (entry,) = yaml.safe_load((folder / "plain" / "model.yaml").read_text())
    content = {"data": data(shared, split={"column": "fold", "keep": [0]}), "models": [entry]}
    first = run_audit(folder, "torch", content)
    moved = {key: value for key, value in entry.items() if key not in ("architecture", "arguments", "weights")}
    moved |= {"framework": "keras", "path": str(move_to_keras(Path(entry["weights"]), folder))}
    return first, run_audit(folder, "keras", {**content, "models": [moved]})


def move_to_keras(weights: Path, folder: Path) -> Path:
    from safetensors.torch import load_file

    from audit.models import torch_networks
    from audit.models.networks import NetworkArguments
    from audit.models.transfer import convert

    network = torch_networks.build("plain_cnn", **ARGUMENTS)
    network.load_state_dict(load_file(weights))
    model = convert(network, "keras", "plain_cnn", NetworkArguments.parse("plain_cnn", ARGUMENTS))
    model.save(folder / "moved.keras")
    return folder / "moved.keras"


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_weights_moved_to_the_other_framework_give_the_same_audit(twins: tuple[Run, Run]) -> None:
    first, second = twins
    one, two = (np.stack(run.table("predictions")["probabilities"].to_list()) for run in twins)
    assert np.abs(one - two).max() < 1e-5
    scores = [run.table("explanations").query("method == 'saliency'")["score"].to_numpy(float) for run in twins]
    assert np.abs(scores[0] - scores[1]).max() < 1e-5 * np.abs(scores[0]).max()
    for method, limit in (("grad_cam", 1e-4), ("saliency", 1e-4), ("gradient_x_input", 1e-4)):
        ours, theirs = first.maps("plain", method), second.maps("plain", method)
        assert set(ours) == set(theirs)
        worst = [np.abs(ours[name] - theirs[name]).max() / max(np.abs(ours[name]).max(), 1e-12) for name in ours]
        # A tie in a pooling window or at a ReLU sends a gradient elsewhere; nearly every image has none.
        assert np.quantile(worst, 0.9) < limit, method
    left, right = (run.table("groups").query("metric == 'accuracy'")["value"].to_numpy(float) for run in twins)
    np.testing.assert_array_equal(left, right)


def test_training_is_in_the_run(twins: tuple[Run, Run]) -> None:
    assert len(twins[0].table("training")) == 4
    assert twins[0].record["data"]["training"]["plain"]["notes"]
