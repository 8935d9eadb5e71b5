"""Tables as CSV: what a spreadsheet would run is text, numbers are numbers, and every row keeps its cells."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.spreadsheet import csv_text


def read(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("=1+1", "'=1+1"),
        ("+a", "'+a"),
        ("-5", "-5"),
        ("-5 %", "'-5 %"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\tx", "'\tx"),
        ("\rx", "'\rx"),
        ("plain = 3", "plain = 3"),
        ("'=x", "'=x"),
        ("", ""),
    ],
)
@pytest.mark.parametrize("dtype", ["str", "object"])
def test_formulas_become_text(name: str, written: str, dtype: str) -> None:
    frame = pd.DataFrame({"group": pd.Series([name, "b", None], dtype=dtype), "value": [-0.5, 1.0, None]})
    assert read(csv_text(frame)) == [["group", "value"], [written, "-0.5"], ["b", "1.0"], ["", ""]]
    assert frame["group"][0] == name


def test_lists_are_whole() -> None:
    values = np.arange(3000) / 7
    [_, [cell]] = read(csv_text(pd.DataFrame({"probabilities": [values]})))
    assert json.loads(cell) == values.tolist()


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\x00")), min_size=1, max_size=5))
def test_any_names_keep_their_rows(names: list[str]) -> None:
    rows = read(csv_text(pd.DataFrame({"group": names, "n": range(len(names))})))
    assert [row[1] for row in rows[1:]] == [str(place) for place in range(len(names))]
    assert [row[0].removeprefix("'") for row in rows[1:]] == [name.removeprefix("'") for name in names]
    assert not [row[0] for row in rows[1:] if row[0].startswith(("=", "@", "\t", "\r"))]
