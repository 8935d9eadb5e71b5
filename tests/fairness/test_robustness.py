"""Accuracy under corruptions, by group: by hand, against the tables of plain predictions, degenerate input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from audit.errors import InputError
from audit.fairness import gap_table, group_table, newcombe_paired, robustness_tables
from audit.fairness.robustness import ROBUSTNESS_COLUMNS, ROBUSTNESS_GAP_COLUMNS
from audit.run.tables import write_table
from tests.fairness.tables import CLASSES, pick, repeated, tables

DRAWS = 199
COUNTS = {
    ("pos", "pos", "g"): 18,
    ("pos", "neg", "g"): 2,
    ("pos", "pos", "h"): 27,
    ("neg", "pos", "h"): 3,
}


def corrupt(predictions: pd.DataFrame, wrong: range, severity: int, corruption: str = "blur") -> pd.DataFrame:
    """Predictions of which those in a range of rows have become wrong."""
    out = predictions.assign(corruption=corruption, severity=severity)
    places = list(wrong)
    out.loc[places, "predicted"] = [{"pos": "neg", "neg": "pos"}[label] for label in out.loc[places, "label"]]
    return out


def measured(**more: object) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    images, predictions = tables(repeated(COUNTS))
    corrupted = pd.concat(
        [corrupt(predictions, range(6), 1), corrupt(predictions, range(12), 3)], ignore_index=True
    ).assign(**more)
    return (*robustness_tables(corrupted, images, predictions, ["a"], draws=DRAWS), corrupted, images, predictions)


def test_by_hand() -> None:
    values, gaps, *_ = measured()
    assert tuple(values.columns) == ROBUSTNESS_COLUMNS
    assert tuple(gaps.columns) == ROBUSTNESS_GAP_COLUMNS
    assert values["severity"].unique().tolist() == [0, 1, 3]
    row = pick(values, severity=1, attribute="a", group="g")
    assert (row["n"], row["clusters"], row["value"]) == (20, 20, pytest.approx(12 / 20))
    assert row["drop"] == pytest.approx(6 / 20)
    low, high = newcombe_paired(12, 0, 6, 2)
    assert (row["drop_low"], row["drop_high"]) == pytest.approx((float(low[0]), float(high[0])))
    untouched = pick(values, severity=3, attribute="a", group="h")
    assert (untouched["value"], untouched["drop"]) == (pytest.approx(0.9), 0)
    assert untouched["drop_low"] < 0 < untouched["drop_high"]
    gap = pick(gaps, severity=3)
    assert (gap["group"], gap["reference"], gap["value"]) == ("g", "h", pytest.approx(0.9 - 6 / 20))


def test_severity_0_is_the_plain_prediction() -> None:
    values, _, _, images, predictions = measured()
    plain = group_table(images, predictions, CLASSES, None, ["a"])
    for group in ("g", "h"):
        row, expected = pick(values, severity=0, group=group), pick(plain, group=group, metric="accuracy")
        assert row[["n", "value", "low", "high"]].tolist() == expected[["n", "value", "low", "high"]].tolist()
        assert row[["drop", "drop_low", "drop_high"]].tolist() == [0, 0, 0]


@pytest.mark.parametrize("clusters", [None, 2])
def test_gaps_are_those_of_table_gaps(clusters: int | None) -> None:
    _, _, corrupted, images, predictions = measured()
    if clusters:
        images["cluster"] = [f"{group}{place // clusters}" for place, group in enumerate(images["attr_a"])]
    _, gaps = robustness_tables(corrupted, images, predictions, ["a"], draws=DRAWS)
    for severity in (1, 3):
        own = corrupted[corrupted["severity"] == severity].drop(columns=["corruption", "severity"])
        expected = gap_table(images, own, CLASSES, None, ["a"], draws=DRAWS)
        expected = pick(expected, metric="accuracy", compare="range")
        row = pick(gaps, severity=severity)
        for name in ("value", "low", "high", "method", "group", "reference", "status"):
            assert row[name] == expected[name]
        assert row["p"] == pytest.approx(expected["p"], abs=0.1)


def test_only_images_that_were_corrupted_count() -> None:
    images, predictions = tables(repeated(COUNTS))
    sample = predictions.iloc[::2]
    part = corrupt(predictions, range(6), 1).iloc[::2]
    values, _ = robustness_tables(part, images, predictions, ["a"], draws=9)
    assert pick(values, severity=0, attribute="overall")["n"] == len(sample)
    assert pick(values, severity=1, attribute="overall")["n"] == len(sample)


def test_an_image_that_fails_in_one_is_left_out_of_both() -> None:
    images, predictions = tables(repeated(COUNTS))
    corrupted = corrupt(predictions, range(0), 1)
    corrupted.loc[0, ["status", "predicted"]] = ["nonfinite", None]
    values, _ = robustness_tables(corrupted, images, predictions, ["a"], draws=9)
    row = pick(values, severity=1, group="g")
    assert (row["n"], row["drop"]) == (19, 0)
    assert row["value"] == pytest.approx(17 / 19)
    assert pick(values, severity=0, group="g")["n"] == 20


def test_models_and_corruptions_are_kept_apart() -> None:
    images, predictions = tables(repeated(COUNTS))
    twice = pd.concat([predictions, predictions.assign(model="other")], ignore_index=True)
    corrupted = pd.concat(
        [corrupt(predictions, range(6), 1), corrupt(predictions.assign(model="other"), range(3), 1, "noise")]
    )
    values, gaps = robustness_tables(corrupted, images, twice, ["a"], draws=9)
    assert pick(values, model="m", corruption="blur", severity=1, group="g")["value"] == pytest.approx(0.6)
    assert pick(values, model="other", corruption="noise", severity=1, group="g")["value"] == pytest.approx(0.75)
    assert len(gaps) == 4


def test_people_widen_the_intervals() -> None:
    _, _, corrupted, images, predictions = measured()
    images["cluster"] = [f"{group}{place // 2}" for place, group in enumerate(images["attr_a"])]
    values, _ = robustness_tables(corrupted, images, predictions, ["a"], draws=9)
    plain = measured()[0]
    one, other = (pick(table, severity=1, group="g") for table in (plain, values))
    assert other["clusters"] == 10
    assert other["high"] - other["low"] > one["high"] - one["low"]
    assert other["drop_high"] - other["drop_low"] > one["drop_high"] - one["drop_low"]


def test_a_group_without_an_image_in_the_sample() -> None:
    images, predictions = tables(repeated(COUNTS))
    corrupted = corrupt(predictions, range(3), 1).iloc[:20]
    values, gaps = robustness_tables(corrupted, images, predictions, ["a"], draws=9)
    row = pick(values, severity=1, group="h")
    assert (row["n"], row["status"]) == (0, "not_measured")
    assert row[["value", "low", "drop", "drop_low"]].isna().all()
    assert pick(gaps, severity=1)["status"] == "undefined"
    assert np.isnan(pick(gaps, severity=1)["value"])


def test_small_groups_take_no_part_in_gaps() -> None:
    images, predictions = tables(repeated({**COUNTS, ("pos", "neg", "k"): 3}))
    _, gaps = robustness_tables(corrupt(predictions, range(0), 1), images, predictions, ["a"], draws=9)
    assert "k" not in set(gaps["group"])


def test_nothing_was_corrupted() -> None:
    images, predictions = tables(repeated(COUNTS))
    for table, names in zip(
        robustness_tables(corrupt(predictions, range(0), 1).iloc[:0], images, predictions, ["a"]),
        (ROBUSTNESS_COLUMNS, ROBUSTNESS_GAP_COLUMNS),
        strict=True,
    ):
        assert table.empty
        assert tuple(table.columns) == names


def test_bad_input() -> None:
    images, predictions = tables(repeated(COUNTS))
    with pytest.raises(InputError, match="severity 0 is not allowed"):
        robustness_tables(corrupt(predictions, range(1), 0), images, predictions, ["a"])
    with pytest.raises(InputError, match="attribute 'b' is not in the data"):
        robustness_tables(corrupt(predictions, range(1), 1), images, predictions, ["b"])


def test_the_tables_can_be_stored(tmp_path: Path) -> None:
    values, gaps, *_ = measured()
    write_table(tmp_path, "robustness", values)
    write_table(tmp_path, "robustness_gaps", gaps)
