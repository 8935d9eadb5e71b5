"""Counts and comparisons, kept between reruns of the page. Moving a tolerance draws nothing anew.

A comparison (value, interval as a function of alpha, p-value of "no gap") depends on who takes part in it, not on any
tolerance or level, so it is made once for each question. Verdicts are drawn from it in `verdicts`.
"""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from audit.fairness import Comparison, CountTensor, Permutations, Question, count_predictions, measure
from audit.fairness.metrics import METRICS
from audit.run import Run
from dashboard import data

__all__ = ["compared", "counted"]

DRAWS = 9999
Stamps = tuple[int, int]


def counted(run: Run, model: str) -> CountTensor | None:
    """Counts of one model over every attribute and intersection of the run; None where nothing was predicted."""
    return _counted(str(run.path), _stamps(run), model)


def compared(run: Run, model: str, attribute: str, metric: tuple[str, str | None], min_n: int) -> Comparison | None:
    """Range of one metric over the groups of one attribute; None where nothing was predicted."""
    return _compared(str(run.path), _stamps(run), model, attribute, metric, min_n)


@st.cache_resource(max_entries=32, show_spinner=False)
def _counted(path: str, stamps: Stamps, model: str) -> CountTensor | None:  # noqa: ARG001  part of the cache's key
    run = data.open_cached(Path(path))
    record = run.record.get("data", {})
    names = data.attributes(run)
    crossed = [[str(name) for name in item] for item in record.get("intersections") or []]
    predictions = data.table(run, "predictions", filters=(("model", "=", model),))
    if predictions.empty or not run.has("images"):
        return None
    classes = [str(name) for name in record.get("classes") or []]
    return count_predictions(data.table(run, "images"), predictions, classes, names, crossed).get(model)


@st.cache_resource(max_entries=4096, show_spinner=False)
def _compared(
    path: str, stamps: Stamps, model: str, attribute: str, metric: tuple[str, str | None], min_n: int
) -> Comparison | None:
    tensor = _counted(path, stamps, model)
    if tensor is None or attribute not in tensor.slices:
        return None
    run = data.open_cached(Path(path))
    direction = METRICS[metric[0]].direction if metric[0] in METRICS else "higher"
    seed = int((run.record.get("config") or {}).get("seed") or 0)
    return measure(tensor, attribute, metric, Question("range", direction, min_n), Permutations(DRAWS, seed))


def _stamps(run: Run) -> Stamps:
    return data.changed(run, "images"), data.changed(run, "predictions")
