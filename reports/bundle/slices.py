"""Results by slice: the rows of table `groups` that a model card or an ML-BOM holds, and the names of their slices.

Both formats name a slice by one string, so two slices must never share a name, whatever their groups are called.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from audit.run import Run
from audit.run.claims import claims_of
from reports.format import known
from reports.sections.facts import EVERYBODY, Facts, records

__all__ = ["MOST_RESULTS", "Result", "Selection", "results_by_slice", "slice_name"]

MOST_RESULTS = 3000
"""Above so many, intersections are left out; and where that is not enough, all but the headline metrics."""

_OVERALL = "overall"
_WITHHELD = "suppressed"


@dataclass(frozen=True)
class Result:
    """One value of one model on one slice.

    Attributes
    ----------
    model, attribute, group, metric : str
    class_name : str or None
        Class that the metric is about.
    value : float or None
        None where it is undefined or withheld; `status` says why.
    low, high : float or None
        95 % interval.
    n, clusters : int or None
        Images and independent units behind it.
    method : str or None
        How the interval was computed.
    status : str
    claim : str
        The row, as `audit.run.claims` names it.
    """

    model: str
    attribute: str
    group: str
    metric: str
    class_name: str | None
    value: float | None
    low: float | None
    high: float | None
    n: int | None
    clusters: int | None
    method: str | None
    status: str
    claim: str

    @property
    def slice(self) -> str:
        """Name of the slice within its model; ``overall`` for all images."""
        return slice_name(self.attribute, self.group)


@dataclass(frozen=True)
class Selection:
    """What of a run's group results is shown.

    Attributes
    ----------
    shown : tuple of Result
        Those with a value, in the order of the table.
    silent : tuple of Result
        Those without, in the same order.
    left_out : int
        Rows that were not selected.
    rule : str
        What was selected, in words.
    """

    shown: tuple[Result, ...]
    silent: tuple[Result, ...]
    left_out: int
    rule: str


def slice_name(attribute: str, group: str) -> str:
    """Name of a slice, such as ``tone=dark``; different slices have different names.

    Parameters
    ----------
    attribute : str
        A percent, equals or semicolon sign in it is percent-encoded.
    group : str
        As it is.
    """
    if (attribute, group) == (_OVERALL, EVERYBODY):
        return _OVERALL
    return f"{encoded(attribute)}={group}"


def encoded(name: str) -> str:
    """A name in which ``=`` and ``;`` are free to separate."""
    return name.replace("%", "%25").replace("=", "%3D").replace(";", "%3B")


def results_by_slice(run: Run, *, most: int = MOST_RESULTS) -> Selection:
    """Choose the results that a card shows.

    Parameters
    ----------
    run : Run
    most : int
        Number of results above which fewer kinds of them are taken. Single groups are never dropped: that would
        leave the reader with some groups and no way to know which.

    Returns
    -------
    Selection
        Metrics over all classes, and those about the declared positive class; on all images, every group and
        every intersection.
    """
    facts = Facts(run)
    rows = _rows(facts)
    single = {_OVERALL, *facts.names}
    main = [row for row in rows if row.class_name is None or row.class_name == facts.positive]
    about = "metrics over all classes" if facts.positive is None else "metrics over all classes or the positive class"
    steps: tuple[tuple[Sequence[Result], str], ...] = (
        (main, f"{about}; on all images, every group and every intersection"),
        ([row for row in main if row.attribute in single], f"{about}; on all images and every group"),
        (
            [row for row in main if row.attribute in single and (row.metric, row.class_name) in facts.headline],
            "the headline metrics; on all images and every group",
        ),
    )
    taken, rule = next((step for step in steps if len(step[0]) <= most), steps[-1])
    return Selection(
        shown=tuple(row for row in taken if row.value is not None),
        silent=tuple(row for row in taken if row.value is None),
        left_out=len(rows) - len(taken),
        rule=rule,
    )


def _rows(facts: Facts) -> list[Result]:
    frame = facts.groups
    claims = claims_of("groups", frame)
    return [_result(row, claim) for row, claim in zip(records(frame), claims, strict=True)]


def _result(row: dict[str, Any], claim: str) -> Result:
    status = str(row["status"]) if known(row["status"]) else "not_measured"
    value = None if status == _WITHHELD else _finite(row["value"])
    return Result(
        model=str(row["model"]),
        attribute=str(row["attribute"]),
        group=str(row["group"]),
        metric=str(row["metric"]),
        class_name=str(row["class"]) if known(row["class"]) else None,
        value=value,
        low=None if value is None else _finite(row["low"]),
        high=None if value is None else _finite(row["high"]),
        n=None if status == _WITHHELD else _whole(row["n"]),
        clusters=None if status == _WITHHELD else _whole(row["clusters"]),
        method=str(row["method"]) if known(row["method"]) else None,
        status="undefined" if value is None and status == "ok" else status,
        claim=claim,
    )


def _finite(cell: Any) -> float | None:
    return float(cell) if known(cell) and math.isfinite(float(cell)) else None


def _whole(cell: Any) -> int | None:
    return int(cell) if known(cell) else None
