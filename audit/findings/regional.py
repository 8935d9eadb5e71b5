"""Rules about a region of the image, measured on one model: attribution on it, and what hiding it changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from audit.fairness import (
    EVERYBODY,
    OVERALL,
    Comparison,
    Mean,
    Permutations,
    exceedance_level,
    region_excess,
    region_means,
)
from audit.fairness.explained.gaps import mean_gaps
from audit.fairness.explained.strata import confidence_strata
from audit.fairness.explained.values import Design, bounds_of, share_of
from audit.fairness.interventions_effect import ChangeEffect, largest_effect
from audit.fairness.rows import Ints
from audit.findings.applicable import parts_of
from audit.findings.measured import Evidence, Measured, measured_as, not_measured
from audit.findings.policy import Rule
from audit.findings.subjects import INTERVENTION_EFFECT
from audit.run.claims import claim_of

__all__ = ["matching_of", "measure_region"]

LEAST = 2


def measure_region(rule: Rule, model: str, evidence: Evidence, permutations: Permutations) -> Measured:
    """Measure a rule with metric ``region_share`` or ``intervention_effect`` on one model.

    Parameters
    ----------
    rule : Rule
    model : str
    evidence : Evidence
    permutations : Permutations
        Draws and seed.

    Returns
    -------
    Measured
        ``region_share``: by ``excess`` as `region_excess`, over everybody; by ``range`` the largest difference
        between the groups' mean shares. ``intervention_effect``: by ``floor`` the largest effect of any group, or
        that of everybody (`largest_effect`); by ``range`` the largest difference between the groups' effects.
        Differences and their tests are those of `mean_gaps`, within label and fifths of confidence where the rule
        says ``matched``. With ``doubt`` where the method is stamped as no evidence on this model.
    """
    if rule.metric == INTERVENTION_EFFECT:
        return _effect(rule, model, evidence, permutations)
    rows = evidence.regions
    rows = rows[(rows["model"] == model) & (rows["method"] == rule.method) & (rows["region"] == rule.region)]
    if rows.empty:
        return not_measured(rule, model)
    measured = (
        _excess(rule, model, rows) if rule.compare == "excess" else _share_gap(rule, model, evidence, permutations)
    )
    return replace(measured, doubt=evidence.doubts.get((model, str(rule.method)), ""))


def matching_of(rule: Rule) -> str:
    """How a rule that compares groups matches their images, as column ``matching`` of `quality_gaps` says it."""
    return "label_confidence" if rule.matched else "none"


def _excess(rule: Rule, model: str, rows: pd.DataFrame) -> Measured:
    mean = region_excess(rows, rule.alpha)
    if mean.n == 0:
        nothing = (float("nan"),) * 4
        return Measured(rule, model, None, rule.region, None, *nothing, "undefined")

    def interval(alpha: float) -> tuple[float, float]:
        found = region_excess(rows, alpha)
        return found.low, found.high

    share, area = region_means(rows)
    return Measured(
        rule,
        model,
        None,
        rule.region,
        None,
        mean.value,
        mean.low,
        mean.high,
        exceedance_level(interval, rule.tolerance, "above"),
        _region_status(mean, rule),
        1,
        mean.variance,
        mean.clusters,
        mean.clusters < mean.n,
        share=share.value,
        area=area.value,
        claims=(_share_claim(rule, model, EVERYBODY),),
    )


def _region_status(mean: Mean, rule: Rule) -> str:
    return "too_few_clusters" if mean.status == "ok" and mean.clusters < rule.min_n else mean.status


def _share_gap(rule: Rule, model: str, evidence: Evidence, permutations: Permutations) -> Measured:
    """Groups' shares of attribution on the region, over the images that have it."""
    rows = evidence.regions[(evidence.regions["model"] == model).to_numpy(bool)]
    place = _place(rows, evidence)
    strata = confidence_strata(evidence.images, evidence.predictions, np.unique(place), model)[matching_of(rule)]
    wanted = (rows["method"] == rule.method) & (rows["region"] == rule.region) & (rows["area"] > 0)
    chosen = (wanted & rows["share"].notna()).to_numpy(bool)
    stratum = strata[np.searchsorted(np.unique(place), place[chosen])]
    found = _gap(
        (rule, model, share_of(str(rule.region))),
        rows["share"].to_numpy(np.float64)[chosen],
        Design.along(evidence.images, place[chosen], _parts(rule, evidence), stratum),
        permutations,
    )
    claims = [_share_claim(rule, model, group) for group in _named(found)]
    claims.append(_gap_claim(rule, model, str(rule.method), share_of(str(rule.region))))
    return measured_as(rule, model, None, found, tuple(claims))


def _effect(rule: Rule, model: str, evidence: Evidence, permutations: Permutations) -> Measured:
    rows = evidence.effects
    own = rows[((rows["model"] == model) & (rows["region"] == rule.region)).to_numpy(bool)]
    if own.empty:
        return not_measured(rule, model)
    everything = np.unique(_place(rows[(rows["model"] == model).to_numpy(bool)], evidence))
    own = own[own["changed"].notna().to_numpy(bool)]
    place, parts = _place(own, evidence), _parts(rule, evidence)
    if rule.compare == "floor":
        effect = ChangeEffect.of(own, Design.along(evidence.images, place, parts))
        stream = (model, str(rule.region), rule.attribute, "changed")
        found = largest_effect(effect, rule.min_n, permutations, stream)
        claims = [_effect_claim(rule, model, group) for group in _named(found)]
        measured = measured_as(rule, model, None, found, tuple(claims))
        return replace(measured, group=rule.region) if rule.attribute == OVERALL else measured
    strata = confidence_strata(evidence.images, evidence.predictions, everything, model)[matching_of(rule)]
    measure = f"effect_changed:{rule.region}"
    found = _gap(
        (rule, model, measure),
        own["changed"].to_numpy(np.float64),
        Design.along(evidence.images, place, parts, strata[np.searchsorted(everything, place)]),
        permutations,
    )
    claims = [_effect_claim(rule, model, group) for group in _named(found)]
    claims.append(_gap_claim(rule, model, "intervention", measure))
    return measured_as(rule, model, None, found, tuple(claims))


def _gap(about: tuple[Rule, str, str], values: np.ndarray, design: Design, permutations: Permutations) -> Comparison:
    """Largest difference between groups of one measure, tested as in table `quality_gaps`."""
    rule, model, measure = about
    gaps = mean_gaps(values[:, None], design, bounds_of([measure]), rule.min_n)
    return gaps.comparison(permutations, (model, rule.attribute, matching_of(rule)))


def _gap_claim(rule: Rule, model: str, method: str, measure: str) -> str:
    about = {"model": model, "method": method, "measure": measure, "attribute": rule.attribute}
    return claim_of("quality_gaps", {**about, "matching": matching_of(rule)})


def _share_claim(rule: Rule, model: str, group: str) -> str:
    about = {"model": model, "method": rule.method, "region": rule.region, "attribute": rule.attribute}
    return claim_of("region_groups", {**about, "group": group})


def _effect_claim(rule: Rule, model: str, group: str) -> str:
    about = {"model": model, "region": rule.region, "action": "effect", "measure": "changed"}
    return claim_of("intervention_groups", {**about, "attribute": rule.attribute, "group": group})


def _named(found: Comparison) -> list[str]:
    return [name for name in (found.group, found.reference) if name is not None]


def _place(rows: pd.DataFrame, evidence: Evidence) -> Ints:
    """Positions of the rows' images."""
    found = pd.Index(evidence.images["image_id"]).get_indexer(pd.Index(rows["image_id"]))
    return np.asarray(found, dtype=np.int64)


def _parts(rule: Rule, evidence: Evidence) -> Sequence[str]:
    """Attributes that the rule's is made of; none for everybody."""
    if rule.attribute == OVERALL:
        return ()
    known = [str(name).removeprefix("attr_") for name in evidence.images if str(name).startswith("attr_")]
    return parts_of(rule, known)
