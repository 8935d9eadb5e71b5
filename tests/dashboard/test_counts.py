"""Counts from columns equal those of the whole tables, comparisons equal those of the run, and what is kept is bounded."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from audit.fairness import Permutations, Question, count_predictions, measure
from audit.run import Run, open_run
from audit.run.tables import write_table
from dashboard import data
from dashboard.fairness import counted as counting
from dashboard.fairness.counted import compared, counted
from dashboard.kept import Kept

MODEL = "biased-torch"
SLICES = ("tone", "marker", "tone x marker")


@pytest.fixture(scope="module", params=["clusters", "no clusters", "gaps in the data"])
def run(request: pytest.FixtureRequest, runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The sample run; the same without clusters; and with missing groups, clusters and predictions, in another order."""
    if request.param == "clusters":
        return open_run(runs / "sample")
    folder = tmp_path_factory.mktemp("counted") / "sample"
    shutil.copytree(runs / "sample", folder)
    given = open_run(folder)
    images, predictions = given.table("images"), given.table("predictions")
    if request.param == "no clusters":
        write_table(folder, "images", images.assign(cluster=None))
        return open_run(folder)
    images.loc[images.index % 11 == 0, "cluster"] = None
    images.loc[images.index % 7 == 0, "attr_tone"] = None
    images.loc[images.index % 13 == 0, "status"] = "unreadable"
    predictions.loc[predictions.index % 17 == 0, "status"] = "nonfinite"
    shuffled = predictions.sample(frac=0.9, random_state=3)
    write_table(folder, "images", images)
    write_table(folder, "predictions", shuffled)
    return open_run(folder)


@pytest.fixture(scope="module")
def whole(run: Run) -> object:
    record = run.record["data"]
    tables = run.table("images"), run.table("predictions")
    return count_predictions(*tables, record["classes"], ["tone", "marker"], [["tone", "marker"]])[MODEL]


@pytest.mark.parametrize("attribute", SLICES)
def test_counts_are_those_of_the_whole_tables(run: Run, whole: object, attribute: str) -> None:
    found = counted(run, MODEL, attribute)
    assert found is not None
    mine, theirs = found.along(attribute), whole.along(attribute)  # type: ignore[attr-defined]
    assert mine.groups == theirs.groups
    assert mine.clustered == theirs.clustered
    assert (mine.confusion() == theirs.confusion()).all()
    units = [np.bincount(cells.unit_group, minlength=len(cells.groups)) for cells in (mine, theirs)]
    assert (units[0] == units[1]).all()


@pytest.mark.parametrize("attribute", SLICES)
@pytest.mark.parametrize(
    "metric",
    [("accuracy", None), ("true_positive_rate", "cross"), ("balanced_accuracy", None), ("equalised_odds", "cross")],
)
def test_comparison_is_that_of_the_whole_tables(
    run: Run, whole: object, attribute: str, metric: tuple[str, str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "DRAWS", 199)
    monkeypatch.setattr(counting, "_stored", lambda _: {})
    monkeypatch.setattr(counting, "_COMPARED", Kept(10**9, lambda _: 1))
    direction = "lower" if metric[0] == "equalised_odds" else "higher"
    found = compared(run, MODEL, attribute, metric, 8)
    wanted = measure(whole, attribute, metric, Question("range", direction, 8), Permutations(199, 0))  # type: ignore[arg-type]
    assert found is not None
    assert (found.value, found.p) == pytest.approx((wanted.value, wanted.p), nan_ok=True)
    assert {found.group, found.reference} == {wanted.group, wanted.reference}
    assert found.excluded == wanted.excluded
    # Where clusters tie groups together the joint level is drawn along axes that rounding can turn.
    near = 0.005 if metric[0] in ("equalised_odds", "balanced_accuracy") else 1e-9
    assert found.interval(0.05) == pytest.approx(wanted.interval(0.05), abs=near, nan_ok=True)


def test_stored_p_saves_the_draws_and_is_the_drawn_one(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = open_run(runs / "sample")
    gaps = run.table("gaps")
    row = gaps[(gaps["model"] == MODEL) & (gaps["attribute"] == "marker") & (gaps["metric"] == "accuracy")].iloc[0]
    monkeypatch.setattr(counting, "_COMPARED", Kept(10**9, lambda _: 1))
    monkeypatch.setattr(counting, "Permutations", None)
    stored = compared(run, MODEL, "marker", ("accuracy", None), 10)
    assert stored is not None
    assert stored.p == row["p"]
    same_groups = compared(run, MODEL, "marker", ("accuracy", None), 12)
    assert same_groups is stored
    with pytest.raises(TypeError):  # tone has a group of 18, which is then left out
        compared(run, MODEL, "tone", ("accuracy", None), 19)


def test_ranks_are_counted_where_they_are_asked_for(runs: Path) -> None:
    run = open_run(runs / "sample")
    found = counted(run, MODEL, "marker", "top_3_accuracy")
    assert found is not None
    assert (found.along("marker").everything()["ranked"] > 0).all()
    assert not counted(run, MODEL, "marker").along("marker").everything()["ranked"].any()  # type: ignore[union-attr]


def test_images_by_group_and_label_are_the_same_with_and_without_the_small_table(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "sample", tmp_path / "sample")
    (tmp_path / "sample" / "tables" / "coverage.parquet").unlink()
    keys = ["group", "label"]
    with_it, without = (data.counts(open_run(folder / "sample"), "tone") for folder in (runs, tmp_path))
    images = open_run(runs / "sample").table("images")
    usable = images[images["status"] == "ok"]
    assert with_it["images"].sum() == len(usable)
    left, right = (
        frame.sort_values(keys).reset_index(drop=True).astype({"images": int}) for frame in (with_it, without)
    )
    pd.testing.assert_frame_equal(left, right)


def test_kept_values_stay_under_the_budget_and_the_unused_go_first() -> None:
    made: list[str] = []

    def make(name: str) -> str:
        made.append(name)
        return name

    kept = Kept[str](6, len)
    for name in ("aa", "bb", "aa", "cc", "dd"):  # the fourth pair is too many, and b was not asked for since
        kept.get(name, partial(make, name))
    assert made == ["aa", "bb", "cc", "dd"]
    assert kept.total == 6
    kept.get("aa", lambda: make("aa"))
    kept.get("bb", lambda: make("bb"))
    assert made == ["aa", "bb", "cc", "dd", "bb"]
    kept.get("large", lambda: make("nine signs"))
    assert (len(kept), kept.total) == (1, 10)
