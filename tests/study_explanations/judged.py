"""Figures of one audited network, from its raw tables by the product's own code: masses, effects, verdicts, stamps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from audit.fairness.interventions import intervention_group_table
from audit.fairness.regions import region_excess, region_rows
from audit.findings import default_policy, judge
from audit.findings.stamps import CHECKS, OVERALL, StampRules, stamp_table
from tests.study_explanations.audited import POSITIVE
from tests.study_explanations.networks import Network

__all__ = ["COLUMNS", "figures_of"]

COLUMNS = ("part", "architecture", "kind", "seed", "quantity", "method", "item", "n", "value", "low", "high", "result")

Row = dict[str, Any]
Tables = dict[str, pd.DataFrame]
MODEL = "model"


def figures_of(
    part: str, network: Network, tables: Tables, facts: dict[str, Any], rules: StampRules | None = None
) -> pd.DataFrame:
    """Everything that the page says of one network.

    Parameters
    ----------
    part : str
        Part of the study.
    network : Network
    tables, facts
        As `audited.read` gives them.
    rules : StampRules, optional
        Other thresholds than the project's.

    Returns
    -------
    DataFrame
        Columns `COLUMNS`. By ``quantity``: ``accuracy`` and ``seconds``; ``region``, attribution over area; ``effect``
        of hiding a region; ``finding``, verdicts of the default policy; ``stamp``, every deciding check that was made.
    """
    methods = facts["recipe"]["settings"]["explanations"]["methods"]
    stamps = stamp_table(tables["quality"], tables["crosschecks"], tables["images"], methods, [MODEL], rules)
    findings = _findings(tables, stamps, methods)
    rows = [*_facts(tables, facts), *_regions(tables), *_effects(tables), *findings, *_stamps(stamps)]
    about = {"part": part, "architecture": network.architecture, "kind": network.kind, "seed": network.seed}
    return pd.DataFrame([about | row for row in rows]).reindex(columns=list(COLUMNS))


def _facts(tables: Tables, facts: dict[str, Any]) -> Iterator[Row]:
    said = tables["predictions"]
    right = (said["label"] == said["predicted"]).mean()
    yield {"quantity": "accuracy", "item": "validation", "value": facts["validation_accuracy"]}
    yield {"quantity": "accuracy", "item": "test", "n": len(said), "value": right}
    for name, seconds in facts["seconds"].items():
        yield {"quantity": "seconds", "item": name, "value": seconds}


def _regions(tables: Tables) -> Iterator[Row]:
    """``points`` where the whole interval lies above what an even map gives."""
    rows = region_rows(tables["region_mass"], tables["images"])
    for (method, region), own in rows.groupby(["method", "region"], sort=False):
        mean = region_excess(own)
        result = "points" if mean.low > 1 else "away" if mean.high < 1 else "open"
        numbers = {"n": mean.n, "value": mean.value, "low": mean.low, "high": mean.high}
        yield {"quantity": "region", "method": method, "item": region, "result": result, **numbers}


def _effects(tables: Tables) -> Iterator[Row]:
    """``points`` where hiding the region surely changes more predictions than hiding as large an area elsewhere."""
    found = intervention_group_table(tables["interventions"], tables["images"], [], draws=99)
    chosen = found[(found["action"] == "effect") & (found["measure"] == "changed") & (found["attribute"] == "overall")]
    for row in chosen.to_dict("records"):
        result = "points" if row["low"] > 0 else "away" if row["high"] < 0 else "open"
        numbers = {name: row[name] for name in ("n", "value", "low", "high")}
        yield {"quantity": "effect", "item": row["region"], "result": result, **numbers}


def _findings(tables: Tables, stamps: pd.DataFrame, methods: Sequence[str]) -> Iterator[Row]:
    """Verdicts about the marker where its owner says that it should not matter, and gives no policy."""
    policy = default_policy([], POSITIVE, ["marker"], methods, interventions=True)
    found = judge(
        policy,
        tables["images"],
        tables["predictions"],
        tables["region_mass"],
        sorted(set(tables["images"]["label"])),
        POSITIVE,
        interventions=tables["interventions"],
        stamps=stamps,
    )
    for row in found.to_dict("records"):
        numbers = {name: row[name] for name in ("value", "low", "high")}
        yield {"quantity": "finding", "item": row["rule"], "result": row["verdict"], **numbers}


def _stamps(stamps: pd.DataFrame) -> Iterator[Row]:
    deciding = stamps["check"].isin([name for name, check in CHECKS.items() if check.deciding])
    chosen = (deciding & (stamps["result"] != "not_measured")) | (stamps["check"] == OVERALL)
    for row in stamps[chosen].to_dict("records"):
        numbers = {name: row[name] for name in ("n", "value", "low", "high", "result")}
        yield {"quantity": "stamp", "method": row["method"], "item": row["check"], **numbers}
