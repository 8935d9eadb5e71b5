"""A published ONNX classifier of gender on real photographs, through the command: a known answer of a black box."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from audit.run import Run, open_run
from audit.run.files import sha256_file
from tests.integration.small import faircam

pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.shared

GENDER: dict[str, Any] = {
    "name": "gender",
    "framework": "onnx",
    "preprocessing": {
        "size": [32, 32],
        "mode": "RGB",
        "scale": [0, 255],
        "mean": [122.781998, 117.000999, 104.297997],
        "std": [256, 256, 256],
        "layout": "NCHW",
    },
    "classes": ["female", "male"],
    "score": "probability",
}


def write(folder: Path, shared: Path, **changes: Any) -> Path:
    model = {**GENDER, "path": str(shared / "models" / "gender_v1.onnx"), **changes}
    content = {
        "name": "gender of the London set",
        "data": {
            "manifest": str(shared / "data" / "london" / "london.csv"),
            "image": "image",
            "label": "gender",
            "groups": [{"column": "ethnicity", "provenance": "self-reported"}, "age_band"],
            "cluster": "person",
        },
        "models": [model],
        "explanations": {"methods": ["saliency", "grad_cam"], "sample": 12, "cross_check": 2},
    }
    path = folder / "audit.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture(scope="module")
def run(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("gender")
    done = faircam("run", write(folder, shared), "--out", folder / "run")
    assert done.returncode == 0, done.stderr
    return open_run(folder / "run")


def test_known_answer(run: Run) -> None:
    groups = run.table("groups").query("metric == 'accuracy'")
    everybody = groups.query("attribute == 'overall'").iloc[0]
    assert (round(everybody["value"] * everybody["n"]), everybody["n"], everybody["clusters"]) == (199, 204, 102)
    assert everybody["value"] == pytest.approx(0.975, abs=0.001)


def test_accuracy_by_group(run: Run) -> None:
    groups = run.table("groups").query("metric == 'accuracy' and attribute == 'ethnicity'").set_index("group")
    right = (groups["value"] * groups["n"]).round().astype(int)
    assert dict(right) == {"black": 22, "east_asian": 18, "east_asian/white": 2, "west_asian": 20, "white": 137}
    assert dict(groups["n"]) == {"black": 26, "east_asian": 18, "east_asian/white": 2, "west_asian": 20, "white": 138}
    assert groups["status"]["east_asian/white"] == "too_few_clusters"
    low, high = groups.loc["black", ["low", "high"]]
    assert low < 22 / 26 < high


def test_probabilities_are_those_of_the_graph(run: Run, shared: Path) -> None:
    """The same by hand: Pillow, NumPy and a session of ONNX Runtime, image by image."""
    import onnxruntime
    from PIL import Image

    session = onnxruntime.InferenceSession(shared / "models" / "gender_v1.onnx", providers=["CPUExecutionProvider"])
    table = run.table("predictions").merge(run.table("images")[["image_id", "path"]], on="image_id")
    for row in table.iloc[::25].itertuples():
        with Image.open(shared / "data" / "london" / row.path) as image:
            pixels = np.asarray(image.convert("RGB").resize((32, 32), Image.Resampling.BILINEAR), np.float32)
        batch = ((pixels - GENDER["preprocessing"]["mean"]) / 256).astype(np.float32).transpose(2, 0, 1)[None]
        (expected,) = session.run(None, {"images": batch})
        np.testing.assert_allclose(row.probabilities, expected[0], atol=1e-5)


def test_what_needs_gradients_is_not_measured_and_the_record_says_what_ran(run: Run, shared: Path) -> None:
    explained = run.table("explanations")
    assert set(explained["method"]) == {"saliency", "grad_cam"}
    assert set(explained["status"]) == {"not_measured"}
    assert explained["total"].isna().all()
    record = run.record["models"][0]
    assert record["sha256"] == sha256_file(shared / "models" / "gender_v1.onnx")
    assert (record["framework"], record["score"], record["device"]) == ("onnx", "probability", "cpu")
    assert (record["parameters"], record["input_shape"]) == (131_540, [32, 32, 3])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"preprocessing": {**GENDER["preprocessing"], "layout": "NHWC"}}, "which is NCHW"),
        ({"score": "auto"}, "declare `score: probability`"),
        ({"classes": ["female", "male", "other"], "outputs": {"female": ["female"], "male": "rest"}}, "has 2 outputs"),
    ],
)
def test_a_wrong_declaration_ends_the_run_with_one_line(
    tmp_path: Path, shared: Path, changes: dict[str, Any], message: str
) -> None:
    done = faircam("run", write(tmp_path, shared, **changes), "--out", tmp_path / "run", COLUMNS="400")
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture(scope="module")
def explained(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The same file explained by what a black box can be explained by."""
    folder = tmp_path_factory.mktemp("explained")
    path = write(folder, shared)
    content = yaml.safe_load(path.read_text())
    content["data"]["regions"] = {"column": "regions", "names": {1: "face", 2: "eyes", 3: "mouth"}}
    methods = ["occlusion", {"name": "rise", "masks": 200}]
    content["explanations"] = {"methods": methods, "sample": 16, "cross_check": 0}
    content["quality"] = {"sample": 8, "repeat_images": 2, "road": False, "steps": 8}
    content["interventions"] = {"regions": ["eyes", "mouth"], "controls": 2, "sample": 16}
    path.write_text(yaml.safe_dump(content))
    done = faircam("run", path, "--out", folder / "run")
    assert done.returncode == 0, done.stderr
    return open_run(folder / "run")


def test_occlusion_and_rise_explain_the_black_box(explained: Run) -> None:
    table = explained.table("explanations")
    assert table.groupby("method")["status"].agg(list).to_dict() == {"occlusion": ["ok"] * 16, "rise": ["ok"] * 16}
    stamps = explained.table("stamps").set_index(["method", "check"])["result"]
    assert stamps["occlusion", "beats_random"] == "passed"
    assert {stamps[method, "depends_on_model"] for method in ("occlusion", "rise")} == {"not_measured"}
    assert {stamps[method, "overall"] for method in ("occlusion", "rise")} <= {"inconclusive", "not_evidence"}
    face = explained.table("region_groups").query(
        "method == 'occlusion' and region == 'face' and attribute == 'overall'"
    )
    assert float(face["low"].iloc[0]) > float(face["area"].iloc[0])
    effects = explained.table("intervention_groups").query("attribute == 'overall' and action == 'effect'")
    assert set(effects["region"]) == {"eyes", "mouth"}


def test_the_passes_of_the_black_box_are_the_least(explained: Run) -> None:
    work = explained.table("work").set_index("stage")
    assert work.loc["explain", "least"] == 16 * (225 + 200 + 1)
    assert work.loc["explain", "used"] == work.loc["explain", "least"]
