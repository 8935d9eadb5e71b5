"""False alarms of whole audits in which every group is served alike: any ``fail`` among all rules is one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from audit.fairness import METRICS, CountTensor, Question, count_predictions, measure, newcombe, rate_units
from audit.findings import Policy, Rule, judge
from tests.study.draws import cluster_chances, cluster_sizes
from tests.study.figures import Row, counted

__all__ = [
    "ALPHA",
    "METRIC_NAMES",
    "SCENARIOS",
    "Scenario",
    "alarm",
    "false_alarms",
    "four_fifths",
    "null_audit",
    "policy",
]

ALPHA = 0.05
GROUPS = 12
CLASSES = ("no", "yes")
METRIC_NAMES = ("accuracy", "true_positive_rate", "false_positive_rate", "selection_rate", "precision")
RIGHT = 0.9
"""Chance that an image of either class is classified correctly, in every group."""


@dataclass(frozen=True)
class Scenario:
    """Groups of equal truth.

    Parameters
    ----------
    name : str
        Its name in the table.
    sizes : tuple of int
        Images in each group; clusters where there are any.
    icc : float, optional
        Intra-cluster correlation of class and of error, in clusters of 2 to 5 images; None: no clusters.
    mixed : bool
        Whether a cluster's images fall into groups at random, instead of all into one.
    part : float
        Part of the study's audits that is made of it.
    """

    name: str
    sizes: tuple[int, ...]
    icc: float | None = None
    mixed: bool = False
    part: float = 1.0


UNEQUAL = (30, 40, 50, 60, 80, 100, 120, 150, 200, 300, 500, 800)
SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("200 images a group", (200,) * GROUPS),
        Scenario("60 clusters a group", (60,) * GROUPS, icc=0.6),
        Scenario("30 to 800 images a group", UNEQUAL, part=0.5),
        Scenario("60 clusters a group, each over several groups", (60,) * GROUPS, icc=0.6, mixed=True, part=0.5),
    )
}


def policy() -> Policy:
    """Five rules over the groups, each at tolerance 0, under Holm."""
    rules = [
        Rule(
            metric=metric,
            class_name=CLASSES[1] if METRICS[metric].per_class else None,
            attribute="group",
            compare="range",
            tolerance=0.0,
            alpha=ALPHA,
            tier="required",
        )
        for metric in METRIC_NAMES
    ]
    return Policy(name="null", rules=tuple(rules))


@dataclass(frozen=True)
class Audit:
    """Tables of a run with one model, `m`, and one attribute, `group`."""

    images: pd.DataFrame
    predictions: pd.DataFrame

    @cached_property
    def tensor(self) -> CountTensor:
        """Its counts."""
        return count_predictions(self.images, self.predictions, CLASSES, ("group",))["m"]


def null_audit(scenario: Scenario, rng: np.random.Generator) -> Audit:
    """An audit in which class mix and errors are the same for every group."""
    group = np.repeat(np.arange(len(scenario.sizes)), scenario.sizes)
    cluster = None
    shape = len(group)
    if scenario.icc is not None:
        cluster = np.repeat(np.arange(shape), cluster_sizes(rng, shape))
        group = group[cluster]
    chances = []
    for rate in (0.5, RIGHT):
        own = cluster_chances(rng, shape, rate, scenario.icc or 0.0, "beta")
        chances.append(own if cluster is None else own[cluster])
    if scenario.mixed:
        group = rng.permutation(group)
    label, right = (rng.random(len(group)) < chance for chance in chances)
    names = np.array(CLASSES, dtype=object)
    ids = np.char.add("i", np.arange(len(group)).astype(str)).astype(object)
    images = pd.DataFrame({"image_id": ids, "label": names[label.astype(int)], "status": "ok"})
    images["cluster"] = None if cluster is None else np.char.add("c", cluster.astype(str)).astype(object)
    images["attr_group"] = np.char.add("g", np.char.zfill(group.astype(str), 2)).astype(object)
    predictions = pd.DataFrame({"model": "m", "image_id": ids, "label": images["label"]})
    predictions["predicted"] = names[(label == right).astype(int)]
    predictions["status"] = "ok"
    return Audit(images, predictions)


def alarm(audit: Audit, rules: Policy, *, draws: int, seed: int) -> bool:
    """Whether the product's `judge` fails any rule.

    It is spared where it cannot: a ``fail`` under Holm over m rules means that one of them has a p-value
    below alpha / m, hence an interval that leaves the tolerance out at that level. The screen takes twice
    that level, so that it errs towards judging.
    """
    if not may_fail(audit.tensor, rules):
        return False
    return judged(audit, rules, draws=draws, seed=seed)


def judged(audit: Audit, rules: Policy, *, draws: int, seed: int) -> bool:
    """Whether `judge` fails any rule, without the shortcut."""
    findings = judge(rules, audit.images, audit.predictions, None, CLASSES, CLASSES[1], draws=draws, seed=seed)
    return bool((findings["verdict"] == "fail").any())


def may_fail(tensor: CountTensor, rules: Policy) -> bool:
    """Whether any rule's interval is above its tolerance at twice the level of Holm's first step."""
    for rule in rules.rules:
        question = Question("range", METRICS[rule.metric].direction, rule.min_n)
        found = measure(tensor, "group", (rule.metric, rule.class_name), question)
        if found.interval(2 * rule.alpha / len(rules.rules))[0] > rule.tolerance:
            return True
    return False


def false_alarms(name: str, *, start: int, audits: int, draws: int, seed: int) -> list[Row]:
    """Alarms among null audits `start` to ``start + audits``; naive ways of judging beside, and the shortcut checked once."""
    scenario, rules = SCENARIOS[name], policy()
    hits = dict.fromkeys(("any fail (Holm, permutation test and interval)", "any of 60 tests, uncorrected"), 0)
    hits |= dict.fromkeys(("any observed range above 0.05", "any observed range above 0.1"), 0)
    for number in range(start, start + audits):
        audit = null_audit(scenario, np.random.default_rng([seed, len(name), number]))
        found = alarm(audit, rules, draws=draws, seed=number)
        if number == start:
            agreed = found == judged(audit, rules, draws=draws, seed=number)
        single, ranges = naive(audit.tensor)
        for key, hit in zip(hits, (found, single, ranges > 0.05, ranges > 0.1), strict=True):
            hits[key] += int(hit)
    keys = {"part": "false alarms", "quantity": "alarm", "setting": name, "groups": len(scenario.sizes)}
    icc = np.nan if scenario.icc is None else scenario.icc
    rows = [counted(count, audits, method=key, icc=icc, **keys) for key, count in hits.items()]
    return [*rows, counted(int(agreed), 1, **(keys | {"quantity": "shortcut decides as judge does"}))]


def naive(tensor: CountTensor) -> tuple[bool, float]:
    """Whether some group differs from the rest by a single 95 % interval, and the largest observed range."""
    cells = tensor.along("group")
    single, largest = False, 0.0
    for metric in METRIC_NAMES:
        rates = rate_units(cells, METRICS[metric], CLASSES[1])
        low, high = newcombe(rates.count, rates.total, rates.count.sum() - rates.count, rates.total.sum() - rates.total)
        single = single or bool(((low > 0) | (high < 0)).any())
        largest = max(largest, float(np.nanmax(rates.rate) - np.nanmin(rates.rate)))
    return single, largest


def four_fifths(*, groups: int, n: int, rate: float, audits: int, seed: int) -> list[Row]:
    """How often the smallest observed selection rate is below four fifths of the largest where all are equal."""
    counts = np.random.default_rng([seed, 45]).binomial(n, rate, size=(audits, groups))
    hits = int((counts.min(axis=1) < 0.8 * counts.max(axis=1)).sum())
    keys = {"part": "false alarms", "quantity": "alarm", "setting": f"{n} images a group", "groups": groups}
    return [counted(hits, audits, method="four-fifths rule on the observed rates", rate=rate, **keys)]
