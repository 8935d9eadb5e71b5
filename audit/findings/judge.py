"""Verdicts: each rule of a policy held against each model, as rows of table `findings`."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from audit.fairness import OVERALL, Permutations
from audit.fairness.paired import holm
from audit.findings.defaults import DefaultPolicy
from audit.findings.measured import Measured, gather, not_measured
from audit.findings.measuring import measure_rule
from audit.findings.policy import Policy, Rule
from audit.findings.power import images_to_settle
from audit.findings.sound import unsound
from audit.findings.subjects import REGION_METRICS
from audit.findings.wording import compose
from audit.run.schema import columns

__all__ = ["FINDING_COLUMNS", "VERDICTS", "adjust", "finding_id", "judge", "summary", "verdict_of"]

FINDING_COLUMNS = tuple(columns("findings"))
NUMBERS = ("value", "low", "high", "p", "p_adjusted", "threshold", "n_to_settle")

VERDICTS = ("fail", "error", "inconclusive", "warn", "pass", "waived")
"""In the order of precedence."""


def judge(
    policy: Policy,
    images: pd.DataFrame,
    predictions: pd.DataFrame,
    region_mass: pd.DataFrame | None,
    classes: Sequence[str],
    positive: str | None,
    *,
    preregistered: bool = False,
    policy_sha256: str | None = None,
    models: Sequence[str] = (),
    draws: int = 9999,
    seed: int = 0,
    interventions: pd.DataFrame | None = None,
    stamps: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Hold every rule against every model.

    Parameters
    ----------
    policy : Policy
        The user's, or `default_policy`.
    images, predictions, region_mass : DataFrame
        The run's tables; `region_mass` may be None where nothing was explained.
    classes : sequence of str
        Every class.
    positive : str or None
        The declared positive class, which rules about one class take where they name none.
    preregistered : bool
        Whether the run named this policy before it had results.
    policy_sha256 : str, optional
        Digest of the policy file.
    models : sequence of str
        Models that must be judged; one without a prediction has findings with verdict ``error``.
    draws, seed : int
        Of the permutation tests.
    interventions : DataFrame, optional
        The run's table of hidden regions, for rules with metric ``intervention_effect``.
    stamps : DataFrame, optional
        The run's table of stamps. A rule about attribution by a method that is stamped ``not_evidence`` on a model
        is ``inconclusive`` there, whatever its numbers; it counts in no correction.

    Returns
    -------
    DataFrame
        Columns `FINDING_COLUMNS`, one row a rule and model.

        ``fail``: the interval lies beyond the tolerance and ``p_adjusted`` is below the rule's alpha.
        ``pass``: the interval lies within the tolerance. ``warn``: a pass whose interval reaches into the
        warn band. Else ``inconclusive``, with ``n_to_settle``. ``error``: the model's predictions cannot be
        judged, as `sound.unsound` says.
        The interval is two-sided at level 1 - alpha, so either claim alone is wrong in at most alpha / 2.
        A failed rule that is not required is ``warn`` under a user's policy. Under the default policy, which
        nobody has approved and whose rules are all supporting, it stays ``fail``: the reader must see it
        marked.

        ``p`` is that of the claim that the tolerance is exceeded: the larger of the permutation test's (no
        gap at all) and of the alpha at which the interval reaches the tolerance. ``p_adjusted`` is Holm's
        over the rules of the model that are judged by interval, ask for it and were measured; the raw one
        where a rule asks for no correction; null where a rule is judged by the point.

    Raises
    ------
    ConfigError
        A rule names an attribute, class, group or region that the run does not have.
    """
    tables = (images, predictions, region_mass)
    evidence = gather(policy, *tables, classes, positive, interventions=interventions, stamps=stamps)
    broken = unsound(images, predictions, models)
    permutations = Permutations(draws, seed)
    rows = []
    for model in dict.fromkeys([*evidence.tensors, *models]):
        if model in evidence.tensors:
            measured = [measure_rule(rule, model, evidence, permutations) for rule in policy.rules]
        else:
            measured = [not_measured(rule, model) for rule in policy.rules]
        adjusted, family = adjust(measured)
        for item, p_adjusted in zip(measured, adjusted, strict=True):
            verdict = "error" if model in broken else verdict_of(item, p_adjusted)
            needed = images_to_settle(item, family) if verdict == "inconclusive" else None
            rows.append(
                {
                    **_columns(item),
                    "p_adjusted": p_adjusted,
                    "n_to_settle": np.nan if needed is None else needed,
                    "verdict": _with_tier(verdict, item.rule, isinstance(policy, DefaultPolicy)),
                    "text": compose(item, verdict, p_adjusted, needed, broken.get(model)),
                    "preregistered": preregistered,
                    "policy_sha256": policy_sha256,
                }
            )
    table = pd.DataFrame(rows, columns=list(FINDING_COLUMNS))
    kinds = {"preregistered": "bool", "claims": "object"} | dict.fromkeys(NUMBERS, "float64")
    return table.astype({name: kinds.get(name, "str") for name in FINDING_COLUMNS})


def finding_id(rule: str, model: str) -> str:
    """Name of a finding that stays the same from run to run."""
    return hashlib.sha256(f"{rule}\x1f{model}".encode()).hexdigest()[:12]


def _columns(item: Measured) -> dict[str, Any]:
    rule = item.rule
    return {
        "finding_id": finding_id(rule.id, item.model),
        "rule": rule.id,
        "model": item.model,
        "attribute": "region" if rule.metric in REGION_METRICS and rule.attribute == OVERALL else rule.attribute,
        "group": item.group,
        "reference": item.reference,
        "metric": rule.metric,
        "class": item.class_name,
        "value": item.value,
        "low": item.low,
        "high": item.high,
        "p": item.p,
        "threshold": rule.tolerance,
        "tier": rule.tier,
        "claims": list(item.claims),
    }


def adjust(measured: Sequence[Measured]) -> tuple[list[float], int]:
    """Corrected p-values of the rules of one model, and the number of rules in the family (Holm)."""
    out = [float("nan") if item.rule.judge == "point" or item.doubt else item.p for item in measured]
    family = [
        place for place, item in enumerate(measured) if item.rule.correction == "holm" and not np.isnan(out[place])
    ]
    if family:
        corrected = holm(np.array([out[place] for place in family]))
        for place, p in zip(family, corrected, strict=True):
            out[place] = float(p)
    return out, len(family)


def verdict_of(item: Measured, p_adjusted: float) -> str:
    """Verdict before the tier is regarded: ``fail``, ``pass``, ``warn`` or ``inconclusive``."""
    rule = item.rule
    if item.status != "ok" or item.doubt:
        return "inconclusive"
    # Mirrored where small values are the trouble, so that beyond the tolerance is always above it.
    sign = 1.0 if rule.bad == "above" else -1.0
    low, high = (item.low, item.high) if sign > 0 else (-item.high, -item.low)
    limit = sign * rule.tolerance
    warn = limit if rule.warn is None else sign * rule.warn
    if rule.judge == "point":
        low = high = sign * item.value
        p_adjusted = 0.0
    if low > limit and p_adjusted < rule.alpha:
        return "fail"
    if high <= limit:
        return "warn" if high > warn else "pass"
    return "inconclusive"


def _with_tier(verdict: str, rule: Rule, default: bool) -> str:
    """A failed rule that is not required warns, except under the default policy."""
    return "warn" if verdict == "fail" and rule.tier != "required" and not default else verdict


def summary(findings: pd.DataFrame) -> dict[str, Any]:
    """Count verdicts and draw the overall one.

    Returns
    -------
    dict
        ``counts`` of every verdict; ``overall``, the first in the order of `VERDICTS` that occurs, over rules
        that are not informational; ``required``, the same over required rules, None where there are none.
        Without any finding ``overall`` is ``inconclusive``: nothing was judged.
    """
    counts = Counter(findings["verdict"])
    deciding = findings.loc[findings["tier"] != "informational", "verdict"]
    required = findings.loc[findings["tier"] == "required", "verdict"]
    return {
        "counts": {name: int(counts.get(name, 0)) for name in VERDICTS},
        "overall": _first(deciding) or "inconclusive",
        "required": _first(required),
    }


def _first(verdicts: pd.Series[str]) -> str | None:
    present = set(verdicts)
    return next((name for name in VERDICTS if name in present), None)
