"""Escaping, file names, CSV and overlays, without an app."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from audit.run import Run, open_run
from dashboard.forests import group_forest, in_order
from dashboard.parts import csv_bytes
from dashboard.plots import forest, label_bars
from dashboard.text import csv_name, escape, image_tail, mark_up
from reports.palette import LIGHT
from tests.dashboard.runs import HOSTILE


def test_escape_leaves_no_sign_that_acts() -> None:
    text = escape(HOSTILE)
    for place, sign in enumerate(text):
        if sign in "*<>[]`$#:&_~|!":
            assert text[place - 1] == "\\"
    assert "\u202e" not in text


def test_mark_up_leaves_no_tag() -> None:
    assert "<" not in mark_up("<a href=x>y</a>", 60)


@pytest.mark.parametrize(
    ("image_id", "label"),
    [("images__test-00010.png", "…s__test-00010"), ("synthetic-0000", "synthetic-0000"), ("a.b", "a.b")],
)
def test_image_label_keeps_the_end(image_id: str, label: str) -> None:
    assert image_tail(image_id) == label


def test_file_name_carries_run_model_and_date(runs: Path) -> None:
    name = csv_name(open_run(runs / "sample"), "biased-torch", "gaps-tone")
    assert name == "faircam_sample-run-synthetic_biased-torch_gaps-tone_2026-01-15.csv"


def test_file_name_holds_no_path(tmp_path: Path) -> None:
    name = csv_name(Run(tmp_path, {"name": "../../etc"}), "a/b\\c", "x\ny")
    assert name == "faircam_etc_a-b-c_x-y_undated.csv"


def test_csv_disarms_formulas_and_keeps_numbers() -> None:
    frame = pd.DataFrame({"group": ["=cmd()", "-5", "+a", "plain", None], "value": [-0.5, 1.0, 2.0, 3.0, None]})
    read = pd.read_csv(io.BytesIO(csv_bytes(frame)), dtype={"group": str})
    assert read["group"].tolist()[:4] == ["'=cmd()", "-5", "'+a", "plain"]
    assert read["value"].tolist()[:4] == [-0.5, 1.0, 2.0, 3.0]
    assert read.isna().sum().tolist() == [1, 1]


def test_csv_holds_long_lists_whole() -> None:
    cells = np.arange(5000) / 8
    read = pd.read_csv(io.BytesIO(csv_bytes(pd.DataFrame({"map": [cells, None]}))))
    assert json.loads(read["map"][0]) == cells.tolist()
    assert read["map"].isna().tolist() == [False, True]


def test_csv_leaves_the_frame_alone() -> None:
    frame = pd.DataFrame({"group": ["=a"]})
    csv_bytes(frame)
    assert frame["group"].tolist() == ["=a"]


def _rows(values: dict[str, float | None]) -> pd.DataFrame:
    names = list(values)
    known = [value is not None for value in values.values()]
    return pd.DataFrame(
        {
            "group": names,
            "metric": "accuracy",
            "class": None,
            "n": [10 if ok else 0 for ok in known],
            "clusters": 10,
            "value": list(values.values()),
            "low": [0.1 if ok else None for ok in known],
            "high": [0.9 if ok else None for ok in known],
            "status": ["ok" if ok else "undefined" for ok in known],
        }
    )


def test_forest_names_undefined_rows_and_the_worst() -> None:
    rows = _rows({"a": 0.9, "b": 0.4, "<c>": None})
    data = group_forest(rows, rows.iloc[:1], "b", "title")
    drawn = forest(data, LIGHT)
    assert [row.emphasis for row in data.rows] == ["none", "worst", "none", "whole"]
    assert any("undefined" in note.text for note in drawn.layout.annotations)
    worst = next(trace for trace in drawn.data if trace.name == "worst group")
    assert list(worst.x) == [0.4]
    assert list(worst.error_x.array) == pytest.approx([0.5])
    assert list(worst.error_x.arrayminus) == pytest.approx([0.3])
    assert "&lt;c&gt;" in drawn.layout.yaxis.ticktext[2]


def test_groups_are_ordered_as_people_count() -> None:
    ordered = in_order(_rows({"(missing)": 0.1, "g10": 0.2, "g2": 0.3, "a": 0.4}))
    assert ordered["group"].tolist() == ["a", "g2", "g10", "(missing)"]


def test_bars_hold_every_group_and_label() -> None:
    frame = pd.DataFrame({"group": ["a", "a", "b"], "label": ["x", "y", "x"], "images": [1, 2, 3]})
    drawn = label_bars(frame, LIGHT)
    assert {trace.name: list(trace.x) for trace in drawn.data} == {"x": [1, 3], "y": [2, 0]}
