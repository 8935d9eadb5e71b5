"""Projection, fixed samples, corrupted copies and training images, on values derived by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from audit import audit
from audit.config import AuditConfig, parse_config
from audit.data.corruptions import corrupt
from audit.engine.projection import projection
from audit.engine.sampling import fixed_sample
from audit.errors import ConfigError
from audit.models.numpy_adapter import NumpyAdapter
from audit.preflight import make_plan
from audit.run.plan import Plan, Shard, read_plan, write_plan

SIDE = 8


def test_projection_is_signs_that_keep_lengths() -> None:
    signs = projection(3000, 256, seed=4)
    assert signs is not None
    assert (signs.shape, signs.dtype) == ((3000, 256), np.float32)
    assert set(np.unique(np.sign(signs))) == {-1.0, 1.0}
    np.testing.assert_array_equal(np.abs(signs), np.float32(1 / 16))
    assert abs(np.sign(signs).mean()) < 4 / np.sqrt(signs.size)
    vectors = np.random.default_rng(1).random((40, 3000)).astype(np.float32)
    distances = np.linalg.norm(vectors[:20] - vectors[20:], axis=1)
    projected = np.linalg.norm((vectors[:20] - vectors[20:]) @ signs, axis=1)
    ratio = (projected / distances) ** 2
    assert ratio.mean() == pytest.approx(1, abs=0.06)  # twenty ratios, each with spread .09
    assert ratio.std() < 0.2


def test_projection_is_the_same_everywhere() -> None:
    """Signs written down once: a change of generator or layout would change every run's embeddings."""
    signs = projection(6, 4, seed=0)
    assert signs is not None
    words = np.random.PCG64(np.random.SeedSequence([0, 6, 4])).random_raw(1)
    bits = [(int(words[0]) >> (8 * (place // 8) + 7 - place % 8)) & 1 for place in range(24)]
    np.testing.assert_array_equal(signs, (np.reshape(bits, (6, 4)) * 2 - 1) / 2)
    other = projection(6, 4, seed=1)
    assert other is not None
    assert (signs != other).any()


def test_short_embeddings_are_not_projected() -> None:
    assert projection(256, 256, seed=0) is None


def rows(counts: dict[tuple[str, str], int]) -> pd.DataFrame:
    cells = [cell for cell, count in counts.items() for _ in range(count)]
    return pd.DataFrame({"attr_tone": [tone for tone, _ in cells], "attr_sex": [sex for _, sex in cells]})


def test_fixed_sample_serves_every_combination_of_groups_alike() -> None:
    table = rows({("light", "f"): 50, ("light", "m"): 40, ("dark", "f"): 3, ("dark", "m"): 7})
    chosen = table.loc[list(fixed_sample(table, 16, seed=2))]
    counts = chosen.value_counts()
    assert counts["dark", "f"] == 3  # all there are; the others share what is left
    assert sorted(counts) == [3, 4, 4, 5]
    assert set(fixed_sample(table, 8, seed=2)) < set(fixed_sample(table, 16, seed=2))
    assert fixed_sample(table, "all", seed=2) == tuple(range(100))
    assert len(fixed_sample(pd.DataFrame(index=range(9)), 4, seed=0)) == 4


def config(**keys: Any) -> AuditConfig:
    entry = {"name": "m", "framework": "numpy", "weights": "w.npz"}
    content = {"name": "t", "data": {"manifest": "m.csv", "groups": ["sex"]}, "models": [entry], **keys}
    return parse_config(AuditConfig, content, where="test")


def test_every_pass_is_in_the_plan(tmp_path: Path) -> None:
    wanted = config(
        embeddings={"sample": 30},
        robustness={"corruptions": ["noise", "blur"], "severities": [1, 5], "sample": 10},
        execution={"shard_size": 16, "micro_batch": 4},
    )
    plan = make_plan(wanted, 40, {}, {"m": 20})
    assert plan.stage("embed") == (Shard("embed", 0, 0, 16), Shard("embed", 1, 16, 30))
    assert [shard.stop - shard.start for shard in plan.stage("corrupt")] == [4, 4, 2]  # 4 images x 4 copies a shard
    assert plan.stage("members") == ()
    assert plan.stage("members", "m") == (Shard("members", 0, 0, 16), Shard("members", 1, 16, 20))
    assert plan.for_model("other") == plan.shards
    write_plan(tmp_path, plan)
    assert read_plan(tmp_path) == plan
    assert Plan(plan.content, plan.models, plan.shards).fingerprint != plan.fingerprint


def test_nothing_is_planned_that_was_not_asked_for() -> None:
    assert {shard.stage for shard in make_plan(config(), 40, {}).shards} == {"predict", "explain", "crosscheck"}


def test_training_data_has_the_groups_of_the_data_unless_it_names_its_own() -> None:
    entry = {"name": "m", "framework": "numpy", "weights": "w.npz"}
    for given, expected in (({}, ["sex"]), ({"groups": []}, []), ({"groups": ["tone"]}, ["tone"])):
        found = config(models=[{**entry, "training_data": {"manifest": "t.csv", **given}}])
        again = AuditConfig.model_validate(found.model_dump(mode="json"))  # as it reaches a worker
        for parsed in (found, again):
            training = parsed.models[0].training_data
            assert training is not None
            assert [attribute.name for attribute in training.groups] == expected


def tiny(count: int = 40) -> tuple[NumpyAdapter, np.ndarray, list[str]]:
    rng = np.random.default_rng(3)
    weights = {"W1": np.eye(3), "b1": np.zeros(3), "W2": rng.normal(size=(3, 2)), "b2": np.zeros(2)}
    # Whole bytes from 0 to 255, so that the notebook call's picture of them is exact.
    images = rng.integers(0, 256, (count, SIDE, SIDE, 3)).astype(np.float32)
    images[0, 0, 0], images[1, 0, 0] = 0, 255
    return NumpyAdapter(weights, (SIDE, SIDE, 3), ("no", "yes")), images, ["no", "yes"] * (count // 2)


def test_corrupted_copies_are_predicted_as_by_hand(tmp_path: Path) -> None:
    adapter, images, labels = tiny()
    settings = {"robustness": {"corruptions": ["noise", "jpeg"], "severities": [2, 4], "sample": "all"}}
    run = audit(adapter, images, labels, out=tmp_path / "run", settings=settings, progress=False)
    table = run.table("corrupted")
    assert len(table) == 40 * 4
    for row in table.sample(30, random_state=1).itertuples():
        picture = images[int(row.image_id)].astype(np.uint8)
        copy = corrupt(picture, row.corruption, row.severity, row.image_id).astype(np.float32)
        assert row.predicted == ("no", "yes")[adapter.scores(copy[None]).argmax()]
        assert row.label == labels[int(row.image_id)]
    assert run.record["robustness"] == {"noise": {"2": 0.08, "4": 0.18}, "jpeg": {"2": 40, "4": 15}}


def test_embeddings_are_projected_and_recorded(tmp_path: Path) -> None:
    adapter, images, labels = tiny()
    run = audit(
        adapter,
        images,
        labels,
        out=tmp_path / "run",
        settings={"embeddings": {"dimensions": 2}, "seed": 5},
        progress=False,
    )
    found = np.stack(run.table("embeddings")["embedding"].to_list())
    np.testing.assert_allclose(found, adapter.embeddings(images) @ projection(3, 2, seed=5), rtol=1e-5)
    described = {"layer": "dense", "size": 3, "kept": 2, "projection": "random signs, seed 5"}
    assert run.model("model")["embeddings"] == described


def test_a_black_box_has_no_embeddings_and_the_run_says_so(tmp_path: Path) -> None:
    adapter, images, labels = tiny()
    run = audit(adapter.scores, images, labels, out=tmp_path / "run", settings={"embeddings": {}}, progress=False)
    assert run.complete
    assert set(run.table("embeddings")["status"]) == {"not_measured"}
    told = run.table("problems").query("stage == 'embed'")
    assert told["detail"].to_list() == ["the model gives no embeddings"]
    assert run.model("model")["embeddings"] is None
    assert not run.table("leakage")["status"].eq("ok").any()


def test_images_that_cannot_be_measured_are_named_by_pass(tmp_path: Path) -> None:
    adapter, images, labels = tiny()
    images[7] = np.nan
    settings = {"embeddings": {}, "robustness": {"corruptions": ["blur"], "severities": [1], "sample": "all"}}
    run = audit(adapter, images, labels, out=tmp_path / "run", settings=settings, progress=False)
    assert run.table("embeddings").set_index("image_id")["status"]["000007"] == "nonfinite"
    assert run.table("corrupted").set_index("image_id")["status"]["000007"] == "unsupported"
    assert run.table("embeddings")["status"].value_counts().to_dict() == {"ok": 39, "nonfinite": 1}
    assert run.table("problems")["image_id"].to_list().count("000007") == 1


def test_one_group_is_allowed_and_noted(tmp_path: Path) -> None:
    adapter, images, labels = tiny()
    run = audit(adapter, images, labels, groups={"site": ["here"] * 40}, out=tmp_path / "run", progress=False)
    (note,) = run.record["data"]["notes"]
    assert "'site' has one group only, 'here'" in note
    assert run.table("problems")["detail"].to_list() == [note]


@pytest.mark.parametrize(
    ("population", "words"),
    [
        ({"side": {"l": 0.5, "rr": 0.5}}, "'rr' is none of the groups"),
        ({"side": {"l": 1.0}}, "leaves out 'r'"),
        ({"side": {"l": 0.5, "r": 0.4}}, "add up to 0.9"),
        ({"sdie": {"l": 0.5, "r": 0.5}}, "Did you mean 'side'?"),
        ({"side": {"l": 1.5, "r": -0.5}}, "the share of 'l' is 1.5"),
    ],
)
def test_population_that_is_no_mix_of_the_data(population: dict[str, Any], words: str) -> None:
    adapter, images, labels = tiny()
    with pytest.raises(ConfigError) as caught:
        audit(adapter, images, labels, {"side": ["l", "r"] * 20}, settings={"population": population}, progress=False)
    assert words in str(caught.value)
