"""The sentences of findings about regions of the image: attribution on them, and what hiding them changes."""

from __future__ import annotations

import math

from audit.findings.measured import Measured
from audit.findings.phrases import number, sides, span, unit
from audit.findings.subjects import INTERVENTION_EFFECT

__all__ = ["doubted", "region_facts", "region_limits", "unsettled_region"]


def region_facts(measured: Measured) -> str:
    """What was measured, on whom and how sure: the first half of the sentence."""
    if measured.rule.compare == "excess":
        return _excess_facts(measured)
    return _effect_facts(measured) if measured.rule.compare == "floor" else _gap_facts(measured)


def _subject(measured: Measured) -> str:
    rule = measured.rule
    if rule.metric == INTERVENTION_EFFECT:
        return f"effect on the prediction of hiding region '{rule.region}'"
    return f"share of absolute attribution ({rule.method}) on region '{rule.region}'"


def _excess_facts(measured: Measured) -> str:
    rule = measured.rule
    return (
        f"{measured.model}: {rule.method} puts {measured.share:.1%} of its absolute attribution on region "
        f"'{rule.region}', which covers {measured.area:.1%} of the image; per image that is "
        f"{measured.value:.1f} times its area on average ({100 * (1 - rule.alpha):g} % interval {measured.low:.1f} "
        f"to {measured.high:.1f}, {measured.smallest} {unit(measured)})"
    )


def _gap_facts(measured: Measured) -> str:
    rule, said = measured.rule, sides(measured)
    start = f"{_subject(measured)} is"
    if _effect(measured):
        start = f"hiding region '{rule.region}' changes more predictions than hiding as large an area elsewhere, by"
    matched = "between images of the same label and similar confidence " if rule.matched else ""
    return (
        f"{measured.model}: {start} {said[0]} and {said[1]}: {matched}a gap of {number(measured.value)} (interval "
        f"{span(measured.low, measured.high)}{_joint(measured)}; {measured.smallest} {unit(measured)} in the smaller "
        "group)"
    )


def _effect_facts(measured: Measured) -> str:
    rule = measured.rule
    (_, hidden, *own), (_, control, *other) = measured.sides
    who = "" if rule.attribute == "overall" else f" of {rule.attribute} {measured.group}"
    return (
        f"{measured.model}: hiding region '{rule.region}' changes {number(hidden)} of the predictions{who} (95 % "
        f"interval {span(*own)}), hiding as large an area elsewhere {number(control)} ({span(*other)}): "
        f"{number(measured.value)} more ({100 * (1 - rule.alpha):g} % interval {span(measured.low, measured.high)}"
        f"{_joint(measured)}, {measured.smallest} {unit(measured)})"
    )


def _joint(measured: Measured) -> str:
    return " over all groups together" if measured.taken_together > 1 else ""


def _effect(measured: Measured) -> bool:
    return measured.rule.metric == INTERVENTION_EFFECT


def unsettled_region(measured: Measured) -> str:
    """Why there is nothing to judge."""
    rule = measured.rule
    grouped = rule.attribute != "overall"
    lacking = "has the region" if not _effect(measured) else "has the region hidden, and as large an area elsewhere"
    if grouped and rule.compare == "range":
        undefined = f"fewer than two groups have an image that {lacking}"
        if rule.matched:
            undefined += ", or none of the same label and similar confidence"
    else:
        undefined = f"no {'changed' if _effect(measured) else 'explained'} image {lacking}"
    few = f"it rests on {measured.smallest} {unit(measured)}, fewer than {max(rule.min_n, 2)}"
    if grouped or math.isnan(measured.value):
        few = f"too few groups have at least {max(rule.min_n, 2)} {unit(measured)}"
    reason = {"undefined": f"undefined, as {undefined}", "too_few_clusters": f"not judged, as {few}"}
    place = f" by {rule.attribute}" if grouped else ""
    why = reason.get(measured.status, "not measured")
    return f"{measured.model}: the {_subject(measured)}{place} was {why}. It counts neither as kept nor as exceeded."


def doubted(measured: Measured) -> str:
    """That the method is no evidence on this model: the second half of the sentence."""
    return (
        f"but {measured.rule.method} is stamped not evidence on this model ({measured.doubt}), so it settles nothing, "
        "however many images there are"
    )


def region_limits(measured: Measured, verdict: str) -> str:
    """What a settled finding does not show."""
    failed, ranged = verdict == "fail", measured.rule.compare == "range"
    if _effect(measured):
        if failed:
            return "It does not show why; and it depends on what the region was filled with."
        if ranged:
            return "It does not show that there is no gap, nor anything about other images."
        return (
            "It does not show that the region has no part in the decision: hiding it in another way, or changes that "
            "turn no prediction, are not counted."
        )
    if failed and ranged:
        return "It does not show that decisions rest on the region more in one group: no image was changed to see."
    if failed:
        return "It does not show that the decision rests on the region: no image was changed to see."
    if ranged:
        return "It does not show that there is no gap, nor that the region has no part in the decision."
    return "It does not show that the region has no part in the decision."
