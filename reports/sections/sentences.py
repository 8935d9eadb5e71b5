"""Findings in another language than the English in which the run holds them: sentences made of their rows.

What the run wrote stands below as it is, so that nothing is lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from audit.fairness import METRICS
from reports.format import clean, count, interval, known, rate
from reports.language import language, phrase, say
from reports.palette import VERDICTS
from reports.sections.facts import Facts
from reports.sections.gravest import judged

__all__ = ["finding_words", "flipped_words", "original_words"]

_OUTCOMES = {
    "fail": phrase("It is shown to lie beyond the limit."),
    "inconclusive": phrase("It is not settled whether the limit is kept."),
    "pass": phrase("It is shown to lie within the limit."),
}
_LIMITS = {
    "inconclusive": phrase("It shows neither that the limit is kept nor that it is exceeded."),
    "pass": phrase("It does not show that there is no gap, nor anything about other images."),
}


def finding_words(facts: Facts, row: Mapping[str, Any], text: str) -> str:
    """The sentence of a finding: that of the run in English, else one made of its columns."""
    if language() == "en":
        return text
    what = say("{model}: {name}", model=clean(row["model"]), name=judged(facts, row))
    verdict = str(row["verdict"])
    if not known(row["value"]):
        said = [say("{what} was not measured, or has no value.", what=what)]
    else:
        numbers = {"value": rate(row["value"]), "limit": rate(row["threshold"]), "interval": _interval(row)}
        said = [say("{what}: {value}{interval}, limit {limit}.", what=what, **numbers)]
    if verdict in VERDICTS:
        said.append(say(_OUTCOMES.get(verdict, VERDICTS[verdict].meaning)))
    if verdict == "inconclusive" and known(row["n_to_settle"]):
        said.append(
            say("About {number} would settle it, if the value is as observed.", number=count(row["n_to_settle"]))
        )
    return say(" ").join([*said, *_limit(row)])


def _interval(row: Mapping[str, Any]) -> str:
    if not known(row["low"]) or not known(row["high"]):
        return say(" (no interval)")
    return say(" (interval {bounds})", bounds=interval(row["low"], row["high"]))


def _limit(row: Mapping[str, Any]) -> list[str]:
    """What the finding does not show."""
    verdict, metric = str(row["verdict"]), METRICS.get(str(row["metric"]))
    if verdict == "fail":
        if metric is None:
            return [say("It does not show why.")]
        unseen = say(metric.does_not_show, **{"class": clean(row["class"])})
        return [say("It does not show why, nor {what}.", what=unseen)]
    return [say(_LIMITS[verdict])] if verdict in _LIMITS else []


def flipped_words(row: Mapping[str, Any], text: str) -> str:
    """How many wrong group labels would overturn a verdict, of a row of table `sensitivity`."""
    if language() == "en":
        return text
    total = count(row["labels"])
    if not known(row["flips"]):
        said = [say("no number of wrong labels among {labels} would overturn the verdict.", labels=total)]
    else:
        numbers = {"flips": count(row["flips"]), "labels": total, "share": _percent(row["share"])}
        said = [say("{flips} of {labels} labels ({share}), wrong in the most damaging way, would.", **numbers)]
    if known(row["random_share"]):
        said.append(say("Wrong at random, it would take {share} of them.", share=_percent(row["random_share"])))
    return say(" ").join(said)


def _percent(share: Any) -> str:
    return f"{100 * float(share):.2g} %"


def original_words(text: str) -> tuple[str, ...]:
    """The sentence that the run holds, where the report is not in its language."""
    return () if language() == "en" else (say("Original wording: {text}", text=text),)
