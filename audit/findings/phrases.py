"""Pieces that the sentences of findings are made of."""

from __future__ import annotations

import math

from audit.fairness import GroupRates
from audit.findings.measured import Measured
from audit.findings.subjects import REGION_METRICS, describe

__all__ = ["number", "sides", "span", "unit"]


def unit(measured: Measured) -> str:
    """What is counted: clusters, or images of some kind."""
    if measured.clustered:
        return "clusters"
    if measured.rule.metric in REGION_METRICS:
        return "images"
    return describe(measured.rule.metric).say_counted(measured.class_name)


def number(value: float) -> str:
    """A share with two digits, with three where they would round to 0 or 1."""
    return f"{value:.3f}" if 0 < abs(value) < 0.01 or 0.99 < abs(value) < 1 else f"{value:.2f}"


def span(low: float, high: float) -> str:
    """An interval."""
    return f"{number(low)} to {number(high)}"


def _arm(arms: GroupRates, place: int, attribute: str, alpha: float, *, first: bool) -> str:
    low, high = arms.intervals(alpha)
    name = arms.groups[place]
    who = {"all": "everybody", "everybody else": name}.get(name, f"{attribute} {name}")
    level = f"{100 * (1 - alpha):g} % interval " if first else ""
    return (
        f"{number(float(arms.rate[place]))} for {who} ({arms.count[place]} of {arms.total[place]}, "
        f"{level}{span(float(low[place]), float(high[place]))})"
    )


def sides(measured: Measured) -> list[str]:
    """The group and what it is compared with, each with its value and interval."""
    rule, arms = measured.rule, measured.arms
    if arms is not None:
        places = range(len(arms.groups))
        return [_arm(arms, place, rule.attribute, rule.alpha, first=place == 0) for place in places]
    said = []
    for place, (group, value, low, high) in enumerate(measured.sides):
        who = "everybody" if group == "all" else f"{rule.attribute} {group}"
        level = "95 % interval " if place == 0 else ""
        said.append(f"{number(value)} for {who}" + ("" if math.isnan(low) else f" ({level}{span(low, high)})"))
    return said
