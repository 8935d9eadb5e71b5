"""How many group labels would have to be wrong to overturn a finding: in the worst case, and at random.

The labels are switched in `relabel`; the verdict after it is drawn by the same comparison as before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations as ordered_pairs

import pandas as pd

from audit.errors import InputError
from audit.fairness import METRICS, OVERALL, Comparison, CountTensor, GroupRates, Permutations, compare, rate_units
from audit.findings.applicable import class_of
from audit.findings.judge import verdict_of
from audit.findings.measured import Measured, gather, measured_as, question_of
from audit.findings.policy import Policy, Rule
from audit.findings.random_labels import random_share
from audit.findings.relabel import Switches, labels_of
from audit.run.schema import columns

__all__ = ["SENSITIVITY_COLUMNS", "sensitivity_table"]

SENSITIVITY_COLUMNS = tuple(columns("sensitivity"))
KEPT = ("pass", "warn")
MANY_GROUPS = 5
WAYS, WAYS_OF_MANY = 100, 5
"""Ways to divide the switches between the two groups that are tried before fewer are said not to do; the second
where there are more groups, whose joint intervals take longer."""


def sensitivity_table(
    findings: pd.DataFrame,
    policy: Policy,
    images: pd.DataFrame,
    predictions: pd.DataFrame,
    classes: Sequence[str],
    positive: str | None,
    *,
    draws: int = 9999,
    seed: int = 0,
) -> pd.DataFrame:
    """Compute table `sensitivity`: one row a finding.

    Parameters
    ----------
    findings : DataFrame
        As `judge` gives them, of this policy.
    policy : Policy
    images, predictions : DataFrame
        The run's tables.
    classes : sequence of str
    positive : str or None
    draws, seed : int
        Of the permutation tests: those of the findings.

    Returns
    -------
    DataFrame
        Columns `SENSITIVITY_COLUMNS`. ``labels``: group labels of the two groups at issue among the images that
        the metric counts; a person's label counts once where images come in clusters of one group.
        ``flips``: the smallest number of them that must be switched between the two groups, choosing those
        that change the gap most, for the verdict to change; null where no number does. It is exact where
        every label stands for one image and at most `WAYS` divisions had to be tried, else the smallest that
        was found; the text says which. ``share`` is flips over labels. ``random_share`` is defined in
        `random_labels`. ``status`` is ``undefined`` for an inconclusive finding, which has no verdict to
        overturn, and ``not_measured`` where no group labels or no single rate is concerned.

    Notes
    -----
    A failed finding is overturned when it is no longer a failure (be it inconclusive), a passed one when the
    tolerance is no longer shown to be kept. Holm's correction stays what it is in the findings.
    """
    rules = {rule.id: rule for rule in policy.rules}
    unknown = sorted(set(findings["rule"]) - set(rules))
    if unknown:
        raise InputError(f"finding of rule '{unknown[0]}', which the policy does not have: {sorted(rules)}")
    tensors = gather(policy, images, predictions, None, classes, positive).tensors
    rows = []
    for row in findings.to_dict("records"):
        rule = rules[row["rule"]]
        base = {key: row[key] for key in ("finding_id", "model", "rule", "attribute", "verdict")}
        if rule.metric not in METRICS or not METRICS[rule.metric].is_rate or rule.attribute == OVERALL:
            text = f"{row['model']}, rule {rule.id}: not measured, as it rests on no group labels of a single rate."
            rows.append({**base, "status": "not_measured", "text": text})
            continue
        tensor = tensors.get(str(row["model"]))
        if tensor is None or row["verdict"] == "error":
            text = f"{row['model']}, rule {rule.id}: not measured, as the model could not be judged."
            rows.append({**base, "status": "not_measured", "text": text})
            continue
        raised = row["p_adjusted"] / row["p"] if row["p"] > 0 and row["p_adjusted"] >= row["p"] else 1.0
        case = _Case(rule, tensor, class_of(rule, positive), float(raised), Permutations(draws, seed))
        rows.append({**base, **_row(case)})
    table = pd.DataFrame(rows, columns=list(SENSITIVITY_COLUMNS))
    numbers = dict.fromkeys(("flips", "share", "random_share"), "float64")
    kinds = {**numbers, "labels": "Int64"}
    return table.astype({name: kinds.get(name, "str") for name in SENSITIVITY_COLUMNS})


@dataclass(frozen=True)
class _Case:
    """One rule on one model, judged as often as its labels are changed."""

    rule: Rule
    tensor: CountTensor
    class_name: str | None
    raised: float
    permutations: Permutations

    def rates(self) -> GroupRates:
        return rate_units(self.tensor.along(self.rule.attribute), METRICS[self.rule.metric], self.class_name)

    def item(self, rates: GroupRates) -> Measured:
        """The rule on these rates, as `judge` measures it."""
        return measured_as(self.rule, self.tensor.model, self.class_name, self._compare(rates, self.permutations))

    def verdict(self, rates: GroupRates) -> str:
        """Verdict before the tier is regarded. Only a failure by the interval needs p-values, which can undo it."""
        found = self._compare(rates, None)
        low, high = found.interval(self.rule.alpha)
        nan = float("nan")
        blocked = self.rule.small_groups == "block" and found.excluded
        status = "too_few_clusters" if blocked else found.status
        bare = Measured(self.rule, self.tensor.model, None, None, None, found.value, low, high, nan, status)
        verdict = verdict_of(bare, 0.0)
        if verdict != "fail" or self.rule.judge == "point":
            return verdict
        item = self.item(rates)
        return verdict_of(item, min(1.0, item.p * self.raised))

    def _compare(self, rates: GroupRates, permutations: Permutations | None) -> Comparison:
        stream = (self.tensor.model, self.rule.attribute, self.rule.metric, self.class_name)
        return compare(rates, question_of(self.rule), permutations, stream)


@dataclass(frozen=True)
class _Least:
    """The smallest number of switches that was found."""

    worse: str
    better: str
    labels: int
    flips: int | None
    exact: bool
    whole: bool


def _row(case: _Case) -> dict[str, object]:
    rates = case.rates()
    verdict, item = case.verdict(rates), case.item(rates)
    name = f"{case.tensor.model}, rule {case.rule.id}"
    if verdict not in ("fail", *KEPT):
        text = f"{name}: inconclusive, so there is no verdict that wrong group labels could overturn."
        return {"status": "undefined", "text": text}
    failed = verdict == "fail"

    def overturned(changed: GroupRates) -> bool:
        new = case.verdict(changed)
        return new != "fail" if failed else new not in KEPT

    best: _Least | None = None
    for pair in _pairs(item, rates, failed=failed):
        switches = _switches(case.rule, rates, pair, shrink=failed)
        found = _least(switches, overturned, None if best is None else best.flips)
        best = found if best is None or found.flips is not None else best
    if best is None:
        return {"status": "not_measured", "text": f"{name}: not measured, as there is no second group."}
    random = random_share(item, rates, failed=failed)
    return {
        "labels": best.labels,
        "flips": best.flips,
        "share": None if best.flips is None else best.flips / best.labels,
        "random_share": random,
        "status": "ok",
        "text": f"{name}: {_worst_case(case.rule, best, failed=failed)}{_at_random(random, failed=failed)}",
    }


def _pairs(item: Measured, rates: GroupRates, *, failed: bool) -> Iterator[tuple[int, int]]:
    """The two groups at issue, the worse first; for a rule that is kept, any two that it compares."""
    left_out = {name for name, _ in item.excluded}
    kept = [place for place, name in enumerate(rates.groups) if name not in left_out]
    worse = rates.groups.index(str(item.group))
    others = [place for place, total in enumerate(rates.total) if place != worse and total > 0]
    if item.reference in rates.groups:
        better = rates.groups.index(str(item.reference))
    elif others:
        better = max(others, key=lambda place: int(rates.total[place]))
    else:
        return
    if failed or len(kept) > MANY_GROUPS or len(kept) < 2:
        yield worse, better
    elif item.rule.compare == "reference" and question_of(item.rule).kind == "reference":
        yield from ((place, better) for place in kept if place != better)
    else:
        yield from ordered_pairs(kept, 2)


def _switches(rule: Rule, rates: GroupRates, pair: tuple[int, int], *, shrink: bool) -> Switches:
    higher = rule.better == "higher" if rule.better else bool(rates.rate[pair[0]] <= rates.rate[pair[1]])
    return Switches(labels_of(rates), *pair, higher, shrink)


def _least(switches: Switches, overturned: Callable[[GroupRates], bool], fewer_than: int | None) -> _Least:
    """Search the number of switches by doubling and halving, then try whether one fewer would do in any way.

    Without a `fewer_than` any number will do; else only a smaller one is looked for.
    """
    labels = switches.labels
    ways_tried = WAYS if len(labels.groups) == 2 else WAYS_OF_MANY

    def falls(count: int, ways: int = 1) -> bool:
        return any(overturned(switches.after(count, int(way))) for way in switches.ranked(count)[:ways])

    low, high = 0, None
    for count in switches.counts() if fewer_than is None else _one_less(fewer_than):
        if falls(count, 1 if fewer_than is None else ways_tried):
            high = count
            break
        low = count
    while high is not None and high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if falls(middle) else (middle, high)
    exact = switches.alike
    while high is not None and high > 1:
        exact = exact and len(switches.splits(high - 1)) <= ways_tried
        if not falls(high - 1, ways_tried):
            break
        high -= 1
    worse, better = labels.groups[switches.worse], labels.groups[switches.better]
    whole = labels.whole and bool((labels.trials > 1).any())
    return _Least(worse, better, switches.available, high, exact, whole)


def _one_less(number: int) -> list[int]:
    return [number - 1] if number > 1 else []


def _worst_case(rule: Rule, least: _Least, *, failed: bool) -> str:
    what = f"{rule.attribute} labels of {least.worse} and {least.better}"
    unit = ", one a cluster," if least.whole else ""
    goal = "for this to be no failure" if failed else "for the tolerance not to be shown as kept"
    if least.flips is None:
        return f"no number of wrong labels among the {least.labels} {what}{unit} would be enough {goal}."
    share = f"{100 * least.flips / least.labels:.2g} %"
    number = f"{least.flips} of {least.labels} {what}{unit}".rstrip(",")
    if least.exact:
        return f"at least {number} ({share}) would have to be wrong, in the most damaging way, {goal}."
    return f"{number} ({share}), wrong in the most damaging way that was found, would be enough {goal}."


def _at_random(random: float | None, *, failed: bool) -> str:
    if random is None:
        return ""
    if failed:
        return (
            f" Labels wrong at random make a gap look smaller, not larger; if {100 * random:.2g} % of those that are "
            "right now were switched at random, it would no longer be shown."
        )
    return f" If {100 * random:.2g} % of them were wrong at random, the true gap could lie beyond the tolerance."
