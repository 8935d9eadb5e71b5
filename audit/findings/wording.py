"""The sentences of findings: what was measured, on whom, how sure, and what it does not show."""

from __future__ import annotations

import math

from audit.fairness import GroupRates
from audit.findings.measured import Measured, question_of
from audit.findings.subjects import REGION_SHARE, describe

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
    if measured.status != "ok":
        return f"{_unsettled(measured)}{_left_out(measured)}"
    facts = _region_facts(measured) if measured.rule.metric == REGION_SHARE else _rate_facts(measured)
    outcome = _outcome(measured, verdict, p_adjusted, n_to_settle)
    return f"{facts}, {outcome}. {_limits(measured, verdict)}{_left_out(measured)}"


def _unit(measured: Measured) -> str:
    if measured.clustered:
        return "clusters"
    if measured.rule.metric == REGION_SHARE:
        return "images"
    return describe(measured.rule.metric).say_counted(measured.class_name)


def _subject(measured: Measured) -> str:
    rule = measured.rule
    if rule.metric == REGION_SHARE:
        return f"share of absolute attribution ({rule.method}) on region '{rule.region}'"
    return describe(rule.metric).say(measured.class_name)


def _unsettled(measured: Measured) -> str:
    rule = measured.rule
    if rule.metric == REGION_SHARE:
        reason = {
            "undefined": "undefined, as no explained image has the region",
            "too_few_clusters": f"not judged, as it rests on {measured.smallest} {_unit(measured)}, fewer than "
            f"{max(rule.min_n, 2)}",
        }.get(measured.status, "not measured")
        return f"{measured.model}: the {_subject(measured)} was {reason}. It counts neither as kept nor as exceeded."
    if rule.small_groups == "block" and measured.excluded and measured.status == "too_few_clusters":
        why = f"the rule is blocked by groups with fewer than {rule.min_n} {_unit(measured)}"
    else:
        why = UNSETTLED[measured.status].format(
            counted=describe(rule.metric).say_counted(measured.class_name),
            min_n=rule.min_n,
            unit=_unit(measured),
        )
    place = "" if rule.attribute == "overall" else f" by {rule.attribute}"
    return f"{measured.model}: {_subject(measured)}{place}: {why}. It counts neither as kept nor as exceeded."


def _number(value: float) -> str:
    return f"{value:.3f}" if 0 < abs(value) < 0.01 or 0.99 < abs(value) < 1 else f"{value:.2f}"


def _span(low: float, high: float) -> str:
    return f"{_number(low)} to {_number(high)}"


def _arm(arms: GroupRates, place: int, attribute: str, alpha: float, *, first: bool) -> str:
    low, high = arms.intervals(alpha)
    name = arms.groups[place]
    who = {"all": "everybody", "everybody else": name}.get(name, f"{attribute} {name}")
    level = f"{100 * (1 - alpha):g} % interval " if first else ""
    return (
        f"{_number(float(arms.rate[place]))} for {who} ({arms.count[place]} of {arms.total[place]}, "
        f"{level}{_span(float(low[place]), float(high[place]))})"
    )


def _sides(measured: Measured) -> list[str]:
    """The group and what it is compared with, each with its value and interval."""
    rule, arms = measured.rule, measured.arms
    if arms is not None:
        places = range(len(arms.groups))
        return [_arm(arms, place, rule.attribute, rule.alpha, first=place == 0) for place in places]
    said = []
    for place, (group, value, low, high) in enumerate(measured.sides):
        who = "everybody" if group == "all" else f"{rule.attribute} {group}"
        level = "95 % interval " if place == 0 else ""
        said.append(f"{_number(value)} for {who}" + ("" if math.isnan(low) else f" ({level}{_span(low, high)})"))
    return said


def _rate_facts(measured: Measured) -> str:
    rule = measured.rule
    sides = _sides(measured)
    start = f"{measured.model}: {_subject(measured)} is {sides[0]}"
    span = _span(measured.low, measured.high)
    joint = " over all groups together" if measured.taken_together > 1 else ""
    if rule.compare == "floor":
        return f"{start}, the {'largest' if rule.bad == 'above' else 'smallest'} value (interval {span}{joint})"
    what = {"ratio": "a ratio of smallest to largest of", "mean": "a mean gap in both rates of"}.get(
        question_of(rule).kind, "a gap of"
    )
    return f"{start} and {sides[1]}: {what} {_number(measured.value)} (interval {span}{joint})"


def _region_facts(measured: Measured) -> str:
    rule = measured.rule
    return (
        f"{measured.model}: {rule.method} puts {measured.share:.1%} of its absolute attribution on region "
        f"'{rule.region}', which covers {measured.area:.1%} of the image; per image that is "
        f"{measured.value:.1f} times its area on average ({100 * (1 - rule.alpha):g} % interval {measured.low:.1f} "
        f"to {measured.high:.1f}, {measured.smallest} {_unit(measured)})"
    )


def _limit(measured: Measured) -> str:
    rule = measured.rule
    word = "tolerance"
    if rule.compare == "floor":
        word = "ceiling" if rule.bad == "above" else "floor"
    elif rule.compare == "ratio":
        return f"the smallest ratio allowed ({_number(rule.tolerance)})"
    return f"the {word} of {_number(rule.tolerance)}" + (" times" if rule.compare == "excess" else "")


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
        return f"{kept}, but the interval reaches past the warning line of {_number(rule.warn)}"
    return kept


def _settling(measured: Measured, n_to_settle: int | None) -> str:
    rule = measured.rule
    alone = measured.low > rule.tolerance if rule.bad == "above" else measured.high < rule.tolerance
    note = " (the interval alone lies beyond it, the corrected test does not reach the level)" if alone else ""
    if n_to_settle is None:
        if math.isclose(measured.value, rule.tolerance, abs_tol=1e-9):
            return f"{note}: at the tolerance itself no number of images would"
        return note
    where = "" if rule.metric == REGION_SHARE or rule.attribute == "overall" else " a group"
    single = measured.arms is not None and measured.arms.clustered and not measured.clustered
    apart = ", each of another cluster," if single else ""
    return (
        f"{note}: about {n_to_settle} {_unit(measured)}{apart}{where} would (with {100 * rule.power:g} % power), "
        "if the value is as observed"
    )


def _limits(measured: Measured, verdict: str) -> str:
    rule = measured.rule
    if rule.metric == REGION_SHARE and verdict == "fail":
        return "It does not show that the decision rests on the region: no image was changed to see."
    if rule.metric == REGION_SHARE and verdict != "inconclusive":
        return "It does not show that the region has no part in the decision."
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
