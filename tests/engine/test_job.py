"""Mapping of outputs, sampling, and the notebook call, on values derived by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit import audit
from audit.config import ModelConfig
from audit.engine.job import OutputMap
from audit.engine.sampling import choose_sample, from_runs, runs
from audit.errors import ConfigError, InputError
from audit.models.numpy_adapter import NumpyAdapter

FACES = ("angry", "happy", "sad", "neutral")


def model(**keys: object) -> ModelConfig:
    return ModelConfig.model_validate({"name": "m", "framework": "numpy", "weights": "w.npz", **keys})


def test_outputs_sum_to_the_classes_of_the_data() -> None:
    mapping = OutputMap.build(
        model(classes=FACES, outputs={"smiling": ["happy"], "neutral": "rest"}), ("neutral", "smiling")
    )
    assert mapping.code == (0, 1, 0, 0)
    own = np.array([[0.3, 0.4, 0.2, 0.1]])
    np.testing.assert_allclose(mapping.probabilities(own), [[0.6, 0.4]])
    with pytest.raises(ConfigError, match="needs one model class for 'neutral'"):
        mapping.own_target(["neutral"])


@pytest.mark.parametrize(
    ("outputs", "words"),
    [
        ({"smiling": ["hapy"], "neutral": "rest"}, "Did you mean 'happy'?"),
        ({"smiling": ["happy"], "neutral": ["neutral"]}, "leaves out the model's class 'angry'"),
        ({"smiling": ["happy", "happy"], "neutral": "rest"}, "more than once"),
        ({"smiling": "rest", "neutral": "rest"}, "one class may have the rest"),
    ],
)
def test_outputs_that_cannot_be(outputs: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        OutputMap.build(model(classes=FACES, outputs=outputs), ("neutral", "smiling"))
    assert words in str(caught.value)


def test_own_class_order_is_kept() -> None:
    mapping = OutputMap.build(model(classes=("b", "a")), ("a", "b"))
    np.testing.assert_allclose(mapping.probabilities(np.array([[0.9, 0.1]])), [[0.1, 0.9]])


def test_sample_serves_every_stratum_before_any_twice() -> None:
    strata = pd.Series(["common"] * 90 + ["rare"] * 2 + ["seldom"] * 8)
    chosen = choose_sample(strata, 9, seed=1)
    assert strata.loc[list(chosen)].value_counts().to_dict() == {"seldom": 4, "common": 3, "rare": 2} or (
        strata.loc[list(chosen)].value_counts().to_dict() == {"common": 4, "seldom": 3, "rare": 2}
    )
    assert chosen == choose_sample(strata, 9, seed=1)
    assert choose_sample(strata, 1000, seed=1) == tuple(range(100))


@pytest.fixture
def tiny() -> tuple[NumpyAdapter, np.ndarray, list[str]]:
    rng = np.random.default_rng(3)
    weights = {"W1": np.eye(3), "b1": np.zeros(3), "W2": rng.normal(size=(3, 2)), "b2": np.zeros(2)}
    images = rng.random((40, 8, 8, 3), np.float32)
    return NumpyAdapter(weights, (8, 8, 3), ("no", "yes")), images, ["no", "yes"] * 20


def test_notebook_call(tiny: tuple[NumpyAdapter, np.ndarray, list[str]], tmp_path: Path) -> None:
    adapter, images, labels = tiny
    run = audit(
        adapter,
        images,
        labels,
        groups={"side": ["l", "r"] * 20, "odd": [None, "x", "y", "x"] * 10},
        regions=np.ones((40, 8, 8), np.uint8),
        out=tmp_path / "run",
        settings={"positive": "yes", "regions": {"names": {1: "all"}}, "explanations": {"sample": 10}},
    )
    assert run.complete
    expected = np.array(["no", "yes"])[adapter.scores(images).argmax(axis=1)]
    assert list(run.table("predictions")["predicted"]) == list(expected)
    assert set(run.table("groups").query("attribute == 'odd'")["group"]) == {"(missing)", "x", "y"}
    shares = run.table("region_mass").query("status == 'ok'")
    assert len(shares)
    np.testing.assert_allclose(shares["share"].astype(float), 1.0)
    assert "<table" in run._repr_html_()


def test_nonfinite_scores_are_a_status_not_a_class(
    tiny: tuple[NumpyAdapter, np.ndarray, list[str]], tmp_path: Path
) -> None:
    adapter, images, labels = tiny
    images[5] = np.nan
    run = audit(adapter, images, labels, out=tmp_path / "run", settings={"explanations": {"sample": "all"}})
    row = run.table("predictions").iloc[5]
    assert row["status"] == "nonfinite"
    assert pd.isna(row["predicted"])
    accuracy = run.table("groups").query("attribute == 'overall' and metric == 'accuracy'")
    assert accuracy["n"].item() == 39
    assert "000005" in set(run.table("problems")["image_id"])


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (np.zeros((4, 8, 8), np.float32), "(N, H, W, C)"),
        (np.zeros((4, 8, 8, 3), np.uint8), "floating-point"),
        (np.zeros((3, 8, 8, 3), np.float32), "labels has 4 entries for 3 images"),
    ],
)
def test_notebook_call_refuses(
    images: np.ndarray, words: str, tiny: tuple[NumpyAdapter, np.ndarray, list[str]]
) -> None:
    with pytest.raises(InputError) as caught:
        audit(tiny[0], images, ["no", "yes", "no", "yes"])
    assert words in str(caught.value)


def test_notebook_call_names_a_misspelt_setting(tiny: tuple[NumpyAdapter, np.ndarray, list[str]]) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'positive'"):
        audit(*tiny, settings={"positve": "yes"})


def test_positions_are_told_in_runs() -> None:
    assert runs([3, 4, 5, 9]) == [[3, 6], [9, 10]]
    assert runs(range(1_000_000)) == [[0, 1_000_000]]
    assert runs([]) == []


@given(st.sets(st.integers(0, 200)))
def test_no_position_is_lost_in_runs(chosen: set[int]) -> None:
    assert list(from_runs(runs(sorted(chosen)))) == sorted(chosen)
