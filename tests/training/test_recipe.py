"""Training from a configuration: what is read, held out, written and said."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from audit.config import ModelConfig, TrainConfig
from audit.data.images import load_arrays
from audit.data.manifest import load_dataset
from audit.data.synthetic import SyntheticSpec, draw, write
from audit.errors import DataError, InputError
from audit.training.notes import training_notes
from audit.training.recipe import predict_classes, train
from audit.training.settings import EpochRecord

# TensorFlow's tensors predate the copy keyword of NumPy 2; Keras converts them inside `get_weights` and `fit`.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
FRAMEWORKS = [pytest.param("torch", marks=pytest.mark.torch), pytest.param("keras", marks=pytest.mark.tensorflow)]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "set"
    write({"train": draw(SyntheticSpec(48, 1)), "test": draw(SyntheticSpec(16, 2))}, folder)
    return folder


def config(framework: str, **changes: Any) -> TrainConfig:
    return TrainConfig.model_validate(
        {
            "name": "tiny",
            "framework": framework,
            "data": {
                "manifest": "manifest.csv",
                "groups": ["tone"],
                "split": {"column": "split", "keep": ["train"]},
            },
            "validation": {"keep": ["test"]},
            "preprocessing": {"size": [24, 24], "scale": [0, 1], "mean": [0.5] * 3, "std": [0.25] * 3},
            "epochs": 2,
            "batch_size": 16,
            "threads": 1,
            "device": "cpu",
            **changes,
        }
    )


def load(framework: str, folder: Path) -> Any:
    """The saved model, by what its own files say."""
    described = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    if framework == "keras":
        import keras

        return keras.models.load_model(folder / described["weights"])
    from safetensors.torch import load_file

    from audit.models import torch_networks

    model = torch_networks.build(described["architecture"], **described["arguments"])
    model.load_state_dict(load_file(folder / described["weights"]))
    return model.eval()


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("head", ["softmax", "sigmoid"])
def test_files_describe_the_model_and_load_back(framework: str, head: str, drawn: Path, tmp_path: Path) -> None:
    seen: list[EpochRecord] = []
    chosen = config(framework, network={"head": head}, balance="tone")
    result = train(chosen, drawn, tmp_path / "out", progress=seen.append)
    folder = tmp_path / "out"
    weights = {"torch": "model.safetensors", "keras": "model.keras"}[framework]
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ["curves.svg", "history.csv", "model.json", "model.yaml", "training.json", weights]
    )
    assert list(tmp_path.iterdir()) == [folder]
    with (folder / "history.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["epoch", "loss", "accuracy", "val_loss", "val_accuracy", "seconds"]
    assert [float(row["val_loss"]) for row in rows] == [record.val_loss for record in seen]
    record = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    assert record["images"] == {"training": 48, "validation": 16}
    assert record["best_epoch"] == 2
    assert record["notes"] == list(result.notes)
    assert TrainConfig.model_validate(record["config"]) == chosen
    (entry,) = yaml.safe_load((folder / "model.yaml").read_text(encoding="utf-8"))
    described = ModelConfig.model_validate(entry)
    assert described.preprocessing == chosen.preprocessing
    assert described.classes == ("cross", "disc")
    assert described.head == head
    images = load_arrays(load_dataset(chosen.data, drawn), chosen.preprocessing, 10**6).images
    again = load(framework, folder)
    assert np.array_equal(predict_classes(framework, again, images), predict_classes(framework, result.model, images))


@pytest.mark.torch
def test_validation_share_holds_whole_clusters(drawn: Path, tmp_path: Path) -> None:
    data = {"manifest": "manifest.csv", "cluster": "tone"}
    result = train(config("torch", data=data, validation={"fraction": 0.34}), drawn, tmp_path / "out")
    assert sum(result.images) == 64
    table = load_dataset(config("torch", data=data, validation={"fraction": 0.34}).data, drawn).rows
    sizes = table["cluster"].value_counts().to_list()
    assert result.images[1] in {one + other for one in sizes for other in sizes}


@pytest.mark.torch
def test_an_image_on_both_sides_is_refused(drawn: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="in training and in validation"):
        train(config("torch", validation={"keep": ["train"]}), drawn, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_holds_files_is_refused(drawn: Path, tmp_path: Path) -> None:
    (tmp_path / "kept.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match="not an empty folder"):
        train(config("torch"), drawn, tmp_path)
    assert (tmp_path / "kept.txt").read_text(encoding="utf-8") == "mine"


@pytest.mark.torch
def test_training_in_pytorch_leaves_tensorflow_alone(drawn: Path, tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from audit.config import TrainConfig; from audit.training.recipe import train; "
        "assert not {'torch', 'tensorflow', 'keras', 'matplotlib'} & set(sys.modules); "
        f"train(TrainConfig.model_validate_json({config('torch', epochs=1).model_dump_json()!r}), "
        f"pathlib.Path({str(drawn)!r}), pathlib.Path({str(tmp_path / 'out')!r})); "
        "assert not {'tensorflow', 'keras'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


def record(epoch: int, accuracy: float, val_accuracy: float, val_loss: float = 1.0) -> EpochRecord:
    return EpochRecord(epoch, 1.0, accuracy, val_loss, val_accuracy, 1.0)


def test_notes_say_what_happened() -> None:
    labels, good = np.array([0, 1, 0, 1]), np.array([0, 1, 0, 1])
    names = ("no", "yes")
    calm = training_notes((record(1, 0.9, 0.89),), 1, labels, good, names)
    assert len(calm) == 1
    assert calm[0] == (
        "Accuracy in epoch 1, the one kept: 0.900 on training images, 0.890 on validation images. "
        "The gap of 0.010 is no sign of over-fitting."
    )
    wide = training_notes((record(1, 0.99, 0.8),), 1, labels, good, names)
    assert "The gap of 0.190 suggests over-fitting" in wide[0]
    collapsed = training_notes((record(1, 0.51, 0.5),), 1, labels, np.ones(4, dtype=np.int64), names)
    assert "Collapse: the model gives 'yes' for every validation image" in collapsed[1]
    assert "0.510 is near what always giving the commonest class would reach (0.500)" in collapsed[2]
    risen = tuple(record(epoch, 0.9, 0.9, loss) for epoch, loss in enumerate((1.0, 0.5, 0.6, 0.7, 0.8, 0.9), start=1))
    assert "lowest in epoch 2 (0.500) and rose to 0.900" in training_notes(risen, 6, labels, good, names)[1]
