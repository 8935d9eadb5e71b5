"""What the reading side makes of a run's raw tables: group metrics, gaps, findings and all that lies beyond them.

A list of steps, each from tables to tables; no shard, model or configuration is read here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import pandas as pd
import yaml

from audit.errors import RunError
from audit.fairness import (
    agreement_group_table,
    coverage_table,
    curve_table,
    gap_table,
    group_table,
    intervention_gap_table,
    intervention_group_table,
    paired_table,
    quality_gap_table,
    quality_group_table,
    region_group_table,
    robustness_tables,
    shift_table,
)
from audit.fairness.lattice import lattice_table
from audit.fairness.leakage import leakage_table
from audit.fairness.membership import membership_table
from audit.fairness.slices import slice_tables
from audit.findings import Policy, default_policy, judge, parse_policy, sensitivity_table
from audit.findings.stamps import stamp_table
from audit.run.files import sha256_bytes
from audit.run.tables import empty_table

__all__ = ["DERIVED", "RAW", "RESTS_ON", "Facts", "derive", "recorded_policy"]

Tables = dict[str, pd.DataFrame]


@dataclass(frozen=True)
class Facts:
    """What the derived tables rest on beside the raw ones.

    Attributes
    ----------
    models : tuple of str
        Names, in order.
    classes : tuple of str
        In the order of ``probabilities``.
    positive : str or None
    attributes : tuple of str
    intersections : tuple of tuples of str
    population : mapping of str to mapping of str to float
        Stated mix of the groups of some attributes.
    policy : Policy
        The user's, or the built-in one.
    preregistered : bool
        Whether the run named this policy before it had results.
    policy_sha256 : str or None
    seed : int
    methods : tuple of str
        Explanation methods that were run, in order.
    """

    models: tuple[str, ...]
    classes: tuple[str, ...]
    positive: str | None
    attributes: tuple[str, ...]
    intersections: tuple[tuple[str, ...], ...]
    policy: Policy
    population: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    preregistered: bool = False
    policy_sha256: str | None = None
    seed: int = 0
    methods: tuple[str, ...] = ()

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Facts:
        """What the record of a run says, so that the tables can be made again from the run alone.

        Raises
        ------
        RunError
            As `recorded_policy`.
        """
        data = record["data"]
        named = (record.get("policy") or {}).get("sha256")
        return cls(
            models=tuple(model["name"] for model in record["models"]),
            classes=tuple(data["classes"]),
            positive=data.get("positive"),
            attributes=tuple(attribute["name"] for attribute in data["attributes"]),
            intersections=tuple(tuple(crossing) for crossing in data.get("intersections") or ()),
            policy=recorded_policy(record),
            population=data.get("population") or {},
            preregistered=named is not None,
            policy_sha256=named,
            seed=int(record["config"]["seed"]),
            methods=tuple(_methods(record["config"])),
        )


def recorded_policy(record: Mapping[str, Any]) -> Policy:
    """The policy that a run named, or the built-in one, which its configuration decides.

    Raises
    ------
    RunError
        The record does not hold the policy that it names, as that of a run before version 0.2.
    """
    said = record.get("policy") or {}
    if said.get("sha256") is not None:
        text = str(said.get("text") or "")
        if sha256_bytes(text.encode()) != said["sha256"]:
            raise RunError("the record does not hold the text of the policy that it names by its SHA-256")
        return parse_policy(yaml.safe_load(text), where=f"policy '{said.get('name')}'")
    config, data = record["config"], record["data"]
    regions = (config.get("data") or {}).get("regions") or {}
    return default_policy(
        [attribute["name"] for attribute in data["attributes"]],
        data.get("positive"),
        regions.get("should_not_matter") or [],
        _methods(config),
        interventions=config.get("interventions") is not None,
    )


def _methods(config: Mapping[str, Any]) -> list[str]:
    """Explanation methods that a configuration asks for; none where no image is to be explained."""
    explanations = config.get("explanations") or {}
    if explanations.get("sample") == 0:
        return []
    return [item["name"] if isinstance(item, Mapping) else item for item in explanations.get("methods") or ()]


@dataclass(frozen=True)
class Step:
    """How some tables come from others.

    Attributes
    ----------
    makes : tuple of str
        Tables, in the order in which `make` gives them.
    make : callable
    needs : tuple of str
        Raw tables of which one at least must have rows for there to be anything to measure: else the tables are
        written empty. Without any named, they are always made.
    """

    makes: tuple[str, ...]
    make: Callable[[Tables, Facts], tuple[pd.DataFrame, ...]]
    needs: tuple[str, ...] = ()


def derive(tables: Tables, facts: Facts) -> Tables:
    """Compute every derived table.

    Parameters
    ----------
    tables : dict of str to DataFrame
        The raw tables of a run: `images`, `predictions`, and those of `RAW` that it has.
    facts : Facts

    Returns
    -------
    dict of str to DataFrame
        A table for each name in `DERIVED`.
    """
    known = {name: empty_table(name) for name in RAW if name not in tables} | tables
    for step in _STEPS:
        if step.needs and all(known[name].empty for name in step.needs):
            known |= {name: empty_table(name) for name in step.makes}
        else:
            known |= dict(zip(step.makes, step.make(known, facts), strict=True))
    return {name: known[name] for name in DERIVED}


def _groups(tables: Tables, facts: Facts) -> tuple[pd.DataFrame, ...]:
    common = (tables["images"], tables["predictions"], facts.classes, facts.positive, facts.attributes)
    return (
        coverage_table(tables["images"], facts.attributes, facts.intersections),
        group_table(*common, facts.intersections),
        gap_table(*common, facts.intersections, seed=facts.seed),
        curve_table(*common, facts.intersections),
        lattice_table(*common),
        shift_table(*common, facts.population),
    )


def _regions(tables: Tables, facts: Facts) -> tuple[pd.DataFrame, ...]:
    return (region_group_table(tables["region_mass"], tables["images"], facts.attributes, facts.intersections),)


def _stamps(tables: Tables, facts: Facts) -> tuple[pd.DataFrame, ...]:
    measured = (tables["quality"], tables["crosschecks"], tables["images"])
    return (stamp_table(*measured, facts.methods, facts.models),)


def _judged(tables: Tables, facts: Facts) -> tuple[pd.DataFrame, ...]:
    images, predictions = tables["images"], tables["predictions"]
    findings = judge(
        facts.policy,
        images,
        predictions,
        tables["region_mass"],
        facts.classes,
        facts.positive,
        preregistered=facts.preregistered,
        policy_sha256=facts.policy_sha256,
        models=facts.models,
        seed=facts.seed,
        interventions=tables["interventions"],
        stamps=tables["stamps"],
    )
    sensitivity = sensitivity_table(
        findings, facts.policy, images, predictions, facts.classes, facts.positive, seed=facts.seed
    )
    return findings, sensitivity


def _paired(tables: Tables, facts: Facts) -> tuple[pd.DataFrame, ...]:
    """Every two models of the run on the same images, in the order of the config."""
    predictions = tables["predictions"]
    frames = [
        paired_table(
            tables["images"],
            predictions,
            predictions,
            first,
            second,
            facts.attributes,
            facts.classes,
            facts.positive,
            intersections=facts.intersections,
            seed=facts.seed,
        )
        for first, second in combinations(facts.models, 2)
    ]
    return (pd.concat(frames, ignore_index=True) if frames else empty_table("paired"),)


def _leakage(tables: Tables, facts: Facts) -> tuple[pd.DataFrame, ...]:
    return (leakage_table(tables["embeddings"], tables["images"], facts.attributes, seed=facts.seed),)


def _slices(tables: Tables, facts: Facts) -> tuple[pd.DataFrame, ...]:
    common = (tables["embeddings"], tables["images"], tables["predictions"], facts.attributes)
    return slice_tables(*common, seed=facts.seed)


def _robustness(tables: Tables, facts: Facts) -> tuple[pd.DataFrame, ...]:
    common = (tables["corrupted"], tables["images"], tables["predictions"], facts.attributes)
    return robustness_tables(*common, seed=facts.seed)


def _membership(tables: Tables, facts: Facts) -> tuple[pd.DataFrame, ...]:
    common = (tables["members"], tables["images"], tables["predictions"], facts.classes, facts.attributes)
    return (membership_table(*common),)


def _quality_groups(tables: Tables, facts: Facts) -> tuple[pd.DataFrame, ...]:
    measured = (tables["quality"], tables["region_mass"], tables["images"])
    return (quality_group_table(*measured, facts.attributes, facts.intersections),)


def _quality_gaps(tables: Tables, facts: Facts) -> tuple[pd.DataFrame, ...]:
    """Gaps in measures of quality, in region shares, and in the effects of interventions."""
    common = (tables["images"], tables["predictions"], facts.attributes, facts.intersections)
    found = (
        quality_gap_table(tables["quality"], tables["region_mass"], *common, seed=facts.seed),
        intervention_gap_table(tables["interventions"], *common, seed=facts.seed),
    )
    kept = [part for part in found if len(part)]
    return (pd.concat(kept, ignore_index=True) if kept else empty_table("quality_gaps"),)


def _interventions(tables: Tables, facts: Facts) -> tuple[pd.DataFrame, ...]:
    common = (tables["interventions"], tables["images"], facts.attributes, facts.intersections, facts.positive)
    return (intervention_group_table(*common, seed=facts.seed),)


def _agreement(tables: Tables, facts: Facts) -> tuple[pd.DataFrame, ...]:
    return (agreement_group_table(tables["agreement"], tables["images"], facts.attributes, facts.intersections),)


_STEPS = (
    Step(("coverage", "groups", "gaps", "curves", "lattice", "shift"), _groups),
    Step(("region_groups",), _regions),
    Step(("stamps",), _stamps, needs=("quality",)),
    Step(("findings", "sensitivity"), _judged),
    Step(("paired",), _paired),
    Step(("leakage",), _leakage, needs=("embeddings",)),
    Step(("slices", "slice_images"), _slices, needs=("embeddings",)),
    Step(("robustness", "robustness_gaps"), _robustness, needs=("corrupted",)),
    Step(("membership",), _membership, needs=("members",)),
    Step(("quality_groups",), _quality_groups, needs=("quality", "region_mass")),
    Step(("quality_gaps",), _quality_gaps, needs=("quality", "region_mass", "interventions")),
    Step(("intervention_groups",), _interventions, needs=("interventions",)),
    Step(("agreement_groups",), _agreement, needs=("agreement",)),
)

RAW = (
    "region_mass",
    "embeddings",
    "corrupted",
    "members",
    "quality",
    "crosschecks",
    "interventions",
    "agreement",
)
"""Raw tables beside images and predictions that the derived ones rest on; any may be empty, or not be there."""

RESTS_ON = {name: step.needs for step in _STEPS for name in step.makes}
"""Raw tables of which one at least must have rows for a derived table to have any; none where it is always made."""

DERIVED = tuple(name for step in _STEPS for name in step.makes)
"""Tables that follow from the raw ones alone."""
