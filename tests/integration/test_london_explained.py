"""Real photographs: where three networks look, what hiding the mouth does, and how alike their maps are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from audit.run import Run
from tests.training.london_explained import compared

pytestmark = [pytest.mark.slow, pytest.mark.shared, pytest.mark.torch, pytest.mark.tensorflow]

METHODS = ["saliency", "grad_cam", "integrated_gradients"]
QUICK = [*METHODS[:2], {"name": "integrated_gradients", "max_steps": 16}]


@pytest.fixture(scope="module")
def run(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return compared(shared, tmp_path_factory.mktemp("london"), epochs=4, quality=4, methods=QUICK)


def test_shares_on_mouth_eyes_and_face_by_gender_and_ethnicity(run: Run) -> None:
    rows = run.table("quality_groups").query("measure.str.startswith('share:')")
    for attribute, groups in (("gender", {"female", "male"}), ("ethnicity", {"white", "black", "east_asian"})):
        part = rows[(rows["attribute"] == attribute) & (rows["status"] == "ok")]
        assert groups <= set(part["group"])
        assert set(part["measure"]) == {"share:face", "share:eyes", "share:mouth"}
        assert set(part["method"]) == set(METHODS)
        assert set(part["model"]) == {"fer", "plain-0", "plain-1"}
        assert ((part["low"] <= part["value"]) & (part["value"] <= part["high"])).all()
    gaps = run.table("quality_gaps").query("measure == 'share:mouth' and attribute == 'gender'")
    assert {"none", "label_confidence"} <= set(gaps["matching"])


def test_hiding_the_mouth_and_an_equal_area_elsewhere(run: Run) -> None:
    raw = run.table("interventions").query("status == 'ok'")
    mouth = raw[(raw["model"] == "fer") & (raw["region"] == "mouth")]
    hidden, moved = mouth[mouth["action"] == "hide"], mouth[mouth["action"] == "control"]
    assert len(moved) == 5 * len(hidden) == 5 * len(run.table("images"))
    areas = moved.groupby("image_id")["area"].agg(["min", "max"])
    np.testing.assert_allclose(areas["min"], areas["max"])
    np.testing.assert_allclose(areas["min"], hidden.set_index("image_id")["area"].reindex(areas.index))
    groups = run.table("intervention_groups")
    effect = groups.query("model == 'fer' and region == 'mouth' and action == 'effect' and measure == 'drop'")
    everybody = effect[effect["attribute"] == "overall"].iloc[0]
    drops = mouth.assign(drop=mouth["probability"].astype(float) - mouth["probability_after"].astype(float))
    means = drops.groupby(["image_id", "action"])["drop"].mean().unstack()
    assert everybody["value"] == pytest.approx((means["hide"] - means["control"]).mean(), abs=1e-9)
    assert set(effect[effect["attribute"] == "gender"]["group"]) == {"female", "male"}


def test_agreement_stands_beside_that_of_two_seeds(run: Run) -> None:
    rows = run.table("agreement_groups").query("attribute == 'overall' and when == 'all' and measure == 'spearman'")
    pairs = set(zip(rows["first"], rows["second"], strict=True))
    assert pairs == {("fer", "plain-0"), ("fer", "plain-1"), ("plain-0", "plain-1")}
    saliency = rows[rows["method"] == "saliency"].set_index(["first", "second"])["value"]
    assert saliency[("plain-0", "plain-1")] > saliency[("fer", "plain-0")]


def test_a_concept_of_the_set_is_tested_where_captum_can(run: Run) -> None:
    rows = run.table("concepts")
    measured = rows[rows["status"] != "not_measured"]
    assert set(measured["model"]) == {"plain-0", "plain-1"}
    problems = run.table("problems").query("stage == 'concepts'")
    assert list(problems["model"]) == ["fer"]


def test_every_method_has_a_stamp_and_the_work_is_said(run: Run) -> None:
    stamps = run.table("stamps").query("check == 'overall'")
    assert len(stamps) == 3 * len(METHODS)
    assert set(stamps["result"]) <= {"evidence", "not_evidence", "inconclusive"}
    work = run.table("work")
    assert (work["used"] >= work["least"] * 0.999).all()
    assert {"predict", "crosscheck", "quality", "intervene"} <= set(work["stage"])
