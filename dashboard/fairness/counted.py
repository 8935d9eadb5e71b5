"""Counts and comparisons, kept between reruns of the page. Moving a tolerance draws nothing anew.

A comparison (value, interval as a function of alpha, p-value of "no gap") depends on who takes part in it, not on any
tolerance or level, so it is made once for each question. Verdicts are drawn from it in `verdicts`.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import streamlit as st

from audit.fairness import METRICS, Comparison, CountTensor, Permutations, Question, measure, rate_units
from audit.fairness.rows import JOIN
from audit.run import Run
from dashboard import columns, data
from dashboard.fairness.tensors import ranked_tensor, tensor_along
from dashboard.kept import Kept
from reports.format import known

__all__ = ["compared", "counted"]

DRAWS = 9999
_STORED_MIN_N = 10
"""Smallest group that takes part in the run's own table `gaps`."""

_MOST_ALPHAS = 256
_DRAWN = 200_000
_UNIT = 64
"""Bytes that a comparison takes: what its interval was drawn from, and for each unit that is counted."""

_MB = 2**20


def _tensor_size(tensor: CountTensor) -> int:
    return int(tensor.cells.memory_usage(index=False).sum()) * 2


_TENSORS = Kept[CountTensor](96 * _MB, _tensor_size)
_SIZES = Kept[list[int]](16 * _MB, lambda sizes: 200 + 40 * len(sizes))
_COMPARED = Kept[tuple[Comparison | None, int]](192 * _MB, lambda kept: _DRAWN + _UNIT * kept[1])


def counted(run: Run, model: str, attribute: str, metric: str = "accuracy") -> CountTensor | None:
    """Counts of one model along one attribute or intersection; None where there is nothing to count.

    Ranks of the true class, which take the probabilities of every image, are only counted for a metric about them.
    """
    parts = _attributes(run).get(attribute)
    if parts is None or not (run.has("images") and run.has("predictions")):
        return None
    if not columns.outcomes(run, model).usable.any():
        return None
    make = ranked_tensor if metric.startswith("top_") else tensor_along
    key = (*_key(run), model, attribute, make is ranked_tensor)
    return _TENSORS.get(key, lambda: make(run, model, _classes(run), parts))


def compared(run: Run, model: str, attribute: str, metric: tuple[str, str | None], min_n: int) -> Comparison | None:
    """Range of one metric over the groups of one attribute; None where nothing was predicted."""
    least = _same_groups(run, model, attribute, metric, min_n)

    def make() -> tuple[Comparison | None, int]:
        tensor = counted(run, model, attribute, metric[0])
        if tensor is None:
            return None, 0
        return _compare(run, tensor, attribute, metric, least), len(tensor.cells)

    key = (*_key(run), data.changed(run, "gaps"), model, attribute, metric, least)
    return _COMPARED.get(key, make)[0]


def _same_groups(run: Run, model: str, attribute: str, metric: tuple[str, str | None], min_n: int) -> int:
    """The run's own smallest size where the same groups take part at it, so that nothing is compared anew."""
    if min_n == _STORED_MIN_N or not _is_rate(metric[0]):
        return min_n

    def make() -> list[int]:
        tensor = counted(run, model, attribute, metric[0])
        if tensor is None:
            return []
        rates = rate_units(tensor.along(attribute), METRICS[metric[0]], metric[1])
        return [size for size, total in zip(rates.clusters.tolist(), rates.total.tolist(), strict=True) if total]

    sizes = _SIZES.get((*_key(run), model, attribute, metric), make)
    low, high = sorted((min_n, _STORED_MIN_N))
    return min_n if any(low <= size < high for size in sizes) else _STORED_MIN_N


def _compare(run: Run, tensor: CountTensor, attribute: str, metric: tuple[str, str | None], min_n: int) -> Comparison:
    direction = METRICS[metric[0]].direction if metric[0] in METRICS else "higher"
    question = Question("range", direction, min_n)
    p = _stored(run).get((tensor.model, attribute, *metric)) if min_n == _STORED_MIN_N else None
    if p is None or not _is_rate(metric[0]):
        seed = int((run.record.get("config") or {}).get("seed") or 0)
        found = measure(tensor, attribute, metric, question, Permutations(DRAWS, seed))
    else:
        found = replace(measure(tensor, attribute, metric, question), p=p)
    return replace(found, interval=lru_cache(_MOST_ALPHAS)(found.interval))


def _stored(run: Run) -> dict[tuple[str, str, str, str | None], float]:
    """P-values of "no gap" by model, attribute, metric and class, as table `gaps` has them: they take long to draw."""
    return _stored_p(str(run.path), data.changed(run, "gaps"))


@st.cache_resource(max_entries=16, show_spinner=False)
def _stored_p(path: str, stamp: int) -> dict[tuple[str, str, str, str | None], float]:
    if not stamp:
        return {}
    names = ["model", "attribute", "metric", "class", "compare", "p"]
    rows = data.open_cached(Path(path)).table("gaps", columns=names)
    rows = rows[(rows["compare"].fillna("range") == "range") & rows["p"].notna()]
    return {
        (model, attribute, metric, name if known(name) else None): float(p)
        for model, attribute, metric, name, _, p in rows.itertuples(index=False)
    }


def _is_rate(metric: str) -> bool:
    return metric in METRICS and METRICS[metric].is_rate


def _attributes(run: Run) -> dict[str, tuple[str, ...]]:
    """What each attribute or intersection is made of."""
    crossed = run.record.get("data", {}).get("intersections") or []
    single = {name: (name,) for name in data.attributes(run)}
    return single | {JOIN.join(map(str, parts)): tuple(str(name) for name in parts) for parts in crossed}


def _classes(run: Run) -> list[str]:
    return [str(name) for name in run.record.get("data", {}).get("classes") or []]


def _key(run: Run) -> tuple[str, int, int]:
    return str(run.path), data.changed(run, "images"), data.changed(run, "predictions")
