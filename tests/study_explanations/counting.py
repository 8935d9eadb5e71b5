"""Counting over networks: how often all the evidence points to the marker, how often a stamp is kept or lost."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import pandas as pd

from audit.fairness.intervals import clopper_pearson
from audit.findings.defaults import JUDGED_METHODS

__all__ = ["EVIDENCE", "MARKER", "OBJECT", "Share", "kept_stamps", "pointing", "shares", "uses_object"]

MARKER, OBJECT = "marker", "object"

EVIDENCE = {
    **{f"region mass, {method}": ("region", method, MARKER, "points") for method in JUDGED_METHODS},
    "intervention": ("effect", None, MARKER, "points"),
    **{
        f"finding on {method}": ("finding", None, f"region_share-{MARKER}-{method}", "fail")
        for method in JUDGED_METHODS
    },
    "finding on the intervention": ("finding", None, f"intervention_effect-{MARKER}", "fail"),
}
"""What may point to the marker: quantity, method, item, and the result that points."""


class Share(NamedTuple):
    """So many of so many, with the exact 95 % interval (Clopper & Pearson 1934)."""

    hits: int
    total: int

    def __str__(self) -> str:
        if not self.total:
            return "none measured"
        low, high = (float(bound) for bound in clopper_pearson(self.hits, self.total))
        return f"{self.hits} of {self.total} ({low:.3f} to {high:.3f})"


def pointing(figures: pd.DataFrame) -> pd.DataFrame:
    """Whether each piece of evidence points to the marker.

    Parameters
    ----------
    figures : DataFrame
        Of any networks.

    Returns
    -------
    DataFrame
        One row a network (``architecture, kind, seed``), one bool column for each of `EVIDENCE`. Evidence that was not
        measured does not point.
    """
    keys = ["architecture", "kind", "seed"]
    networks = pd.MultiIndex.from_frame(figures[keys].drop_duplicates())
    found = {}
    for name, (quantity, method, item, result) in EVIDENCE.items():
        rows = figures[(figures["quantity"] == quantity) & (figures["item"] == item)]
        rows = rows if method is None else rows[rows["method"] == method]
        own = rows.set_index(keys)["result"].eq(result)
        found[name] = own.reindex(networks, fill_value=False).to_numpy(bool)
    return pd.DataFrame(found, index=networks)


def shares(points: pd.DataFrame) -> dict[str, Share]:
    """How many networks each piece of evidence points in, then ``all`` and ``any`` of it."""
    columns = {**{str(name): points[name] for name in points}, "all": points.all(axis=1), "any": points.any(axis=1)}
    return {name: Share(int(column.sum()), len(column)) for name, column in columns.items()}


def kept_stamps(figures: pd.DataFrame, method: str) -> Counter[str]:
    """How many networks a method has each stamp on: ``evidence``, ``inconclusive``, ``not_evidence``, ``not_measured``."""
    rows = figures[(figures["quantity"] == "stamp") & (figures["item"] == "overall") & (figures["method"] == method)]
    return Counter(str(result) for result in rows["result"])


def uses_object(figures: pd.DataFrame) -> Share:
    """Networks of which hiding the object surely changes predictions."""
    rows = figures[(figures["quantity"] == "effect") & (figures["item"] == OBJECT)]
    return Share(int((rows["result"] == "points").sum()), len(rows))
