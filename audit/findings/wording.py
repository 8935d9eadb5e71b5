"""The sentences of findings: what was measured, on whom, how sure, and what it does not show.

Those about regions of the image are in `wording_regions`.
"""

from __future__ import annotations

import math

from audit.findings.measured import Measured, question_of
from audit.findings.phrases import number, sides, span, unit
from audit.findings.subjects import REGION_METRICS, describe
from audit.findings.wording_regions import doubted, region_facts, region_limits, unsettled_region

__all__ = ["compose"]

UNSETTLED = {
    "undefined": "this is undefined, as fewer than two groups have {counted}",
    "too_few_clusters": "this is not judged, as too few groups have at least {min_n} {unit}",
    "not_measured": "this was not measured",
}


def compose(
    measured: Measured, verdict: str, p_adjusted: float, n_to_settle: int | None, broken: str | None = None
) -> str:
    """Write the text of a finding.

    Parameters
    ----------
    measured : Measured
        The rule on one model.
    verdict : str
        What it came to, before the tier is regarded: ``pass``, ``warn``, ``fail``, ``inconclusive``, ``error``.
    p_adjusted : float
        P-value after correction.
    n_to_settle : int or None
        Images (clusters) a group that would settle an inconclusive rule.
    broken : str, optional
        Why the model's predictions cannot be judged, where the verdict is ``error``.
    """
    if verdict == "error":
        why = broken or "no prediction of this model counts"
        return f"{measured.model}: rule '{measured.rule.id}' could not be judged: {why}."
    regional = measured.rule.metric in REGION_METRICS
    if measured.status != "ok":
        return f"{unsettled_region(measured) if regional else _unsettled(measured)}{_left_out(measured)}"
    facts = region_facts(measured) if regional else _rate_facts(measured)
    outcome = doubted(measured) if measured.doubt else _outcome(measured, verdict, p_adjusted, n_to_settle)
    return f"{facts}, {outcome}. {_limits(measured, verdict)}{_left_out(measured)}"


def _subject(measured: Measured) -> str:
    return describe(measured.rule.metric).say(measured.class_name)


def _unsettled(measured: Measured) -> str:
    rule = measured.rule
    if rule.small_groups == "block" and measured.excluded and measured.status == "too_few_clusters":
        why = f"the rule is blocked by groups with fewer than {rule.min_n} {unit(measured)}"
    else:
        why = UNSETTLED[measured.status].format(
            counted=describe(rule.metric).say_counted(measured.class_name),
            min_n=rule.min_n,
            unit=unit(measured),
        )
    place = "" if rule.attribute == "overall" else f" by {rule.attribute}"
    return f"{measured.model}: {_subject(measured)}{place}: {why}. It counts neither as kept nor as exceeded."


def _rate_facts(measured: Measured) -> str:
    rule = measured.rule
    said = sides(measured)
    start = f"{measured.model}: {_subject(measured)} is {said[0]}"
    bounds = span(measured.low, measured.high)
    joint = " over all groups together" if measured.taken_together > 1 else ""
    if rule.compare == "floor":
        return f"{start}, the {'largest' if rule.bad == 'above' else 'smallest'} value (interval {bounds}{joint})"
    what = {"ratio": "a ratio of smallest to largest of", "mean": "a mean gap in both rates of"}.get(
        question_of(rule).kind, "a gap of"
    )
    return f"{start} and {said[1]}: {what} {number(measured.value)} (interval {bounds}{joint})"


def _limit(measured: Measured) -> str:
    rule = measured.rule
    word = "tolerance"
    if rule.compare == "floor":
        word = "ceiling" if rule.bad == "above" else "floor"
    elif rule.compare == "ratio":
        return f"the smallest ratio allowed ({number(rule.tolerance)})"
    return f"the {word} of {number(rule.tolerance)}" + (" times" if rule.compare == "excess" else "")


def _outcome(measured: Measured, verdict: str, p_adjusted: float, n_to_settle: int | None) -> str:
    rule, limit = measured.rule, _limit(measured)
    verb = "exceed" if rule.bad == "above" else "fall below"
    if rule.judge == "point":
        alone = "by the observed value alone, as the rule asks, it is judged"
        return f"{alone} {'to' if verdict == 'fail' else 'not to'} {verb} {limit}"
    if verdict == "fail":
        p = "p < 0.0001" if p_adjusted < 0.0001 else f"p = {p_adjusted:.4f}"
        corrected = "adjusted " if rule.correction == "holm" else ""
        return f"shown to {verb} {limit} ({corrected}{p})"
    if verdict == "inconclusive":
        return f"which does not settle whether {limit} is kept{_settling(measured, n_to_settle)}"
    kept = f"shown not to {verb} {limit}"
    if verdict == "warn" and rule.warn is not None:
        return f"{kept}, but the interval reaches past the warning line of {number(rule.warn)}"
    return kept


def _settling(measured: Measured, n_to_settle: int | None) -> str:
    rule = measured.rule
    alone = measured.low > rule.tolerance if rule.bad == "above" else measured.high < rule.tolerance
    note = " (the interval alone lies beyond it, the corrected test does not reach the level)" if alone else ""
    if n_to_settle is None:
        if math.isclose(measured.value, rule.tolerance, abs_tol=1e-9):
            return f"{note}: at the tolerance itself no number of images would"
        return note
    where = "" if rule.attribute == "overall" else " a group"
    single = measured.arms is not None and measured.arms.clustered and not measured.clustered
    apart = ", each of another cluster," if single else ""
    return (
        f"{note}: about {n_to_settle} {unit(measured)}{apart}{where} would (with {100 * rule.power:g} % power), "
        "if the value is as observed"
    )


def _limits(measured: Measured, verdict: str) -> str:
    rule = measured.rule
    if rule.metric in REGION_METRICS and verdict != "inconclusive":
        return region_limits(measured, verdict)
    if verdict == "fail":
        return f"It does not show why, nor {describe(rule.metric).does_not_show}."
    if verdict == "inconclusive":
        return "It shows neither that the tolerance is kept nor that it is exceeded."
    if rule.compare == "floor":
        return "It does not show that groups are served alike, nor anything about other images."
    return "It does not show that there is no gap, nor anything about other images."


def _left_out(measured: Measured) -> str:
    if not measured.excluded:
        return ""
    names = ", ".join(f"{name} ({count})" for name, count in measured.excluded)
    return f" Left out as smaller than {measured.rule.min_n}: {names}."
