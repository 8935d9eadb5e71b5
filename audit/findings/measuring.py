"""Measuring what a rule asks for on one model."""

from __future__ import annotations

from audit.errors import ConfigError, InputError
from audit.fairness import EVERYBODY, OVERALL, Permutations, gap_metrics, measure
from audit.findings.applicable import class_of
from audit.findings.measured import Evidence, Measured, measured_as, question_of
from audit.findings.policy import Rule
from audit.findings.regional import measure_region
from audit.findings.subjects import REGION_METRICS
from audit.run.claims import claim_of

__all__ = ["measure_rule"]


def measure_rule(rule: Rule, model: str, evidence: Evidence, permutations: Permutations) -> Measured:
    """Measure one rule on one model.

    Raises
    ------
    ConfigError
        The rule's reference is no group.
    """
    if rule.metric in REGION_METRICS:
        return measure_region(rule, model, evidence, permutations)
    name = class_of(rule, evidence.positive)
    try:
        found = measure(evidence.tensors[model], rule.attribute, (rule.metric, name), question_of(rule), permutations)
    except InputError as error:
        raise ConfigError(error.what, where=f"rule '{rule.id}'") from error
    claims = _claims(rule, model, name, (found.group, found.reference), evidence)
    return measured_as(rule, model, name, found, claims)


def _claims(
    rule: Rule, model: str, name: str | None, groups: tuple[str | None, str | None], evidence: Evidence
) -> tuple[str, ...]:
    known = evidence.tensors[model].groups[rule.attribute]
    about = {"model": model, "attribute": rule.attribute, "metric": rule.metric, "class": name}
    rows = [claim_of("groups", {**about, "group": group}) for group in groups if group in known]
    kind = question_of(rule).kind
    if kind == "overall" and rows:
        rows.append(claim_of("groups", {**about, "attribute": OVERALL, "group": EVERYBODY}))
    for metric, class_name, shown, asked in gap_metrics(evidence.classes, evidence.positive):
        if (metric, class_name, asked) == (rule.metric, name, kind):
            rows.append(claim_of("gaps", {**about, "compare": shown}))
    return tuple(rows)
