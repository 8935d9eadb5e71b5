"""How many wrong group labels overturn a finding: held against trying every way of switching them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from audit.errors import InputError
from audit.fairness import newcombe
from audit.findings import SENSITIVITY_COLUMNS, Policy, judge, parse_policy, sensitivity_table
from audit.findings.random_labels import attenuation
from audit.run.schema import columns
from tests.fairness.tables import CLASSES, repeated, tables
from tests.findings.runs import FEW, RULE, WIDE, Counts

LONDON = {
    ("pos", "pos", "female"): 36, ("pos", "neg", "female"): 13, ("pos", "pos", "male"): 18,
    ("pos", "neg", "male"): 35, ("neg", "neg", "female"): 49, ("neg", "neg", "male"): 53,
}  # fmt: skip
"""Smiles found by a published network among 49 women and 53 men."""
SMILES = {"metric": "true_positive_rate", "class": "pos", "tolerance": 0.1}


def policy(*rules: dict[str, Any]) -> Policy:
    content = [{**RULE, "id": f"r{place}", **rule} for place, rule in enumerate(rules or ({},))]
    return parse_policy({"name": "p", "rules": content})


def sensitivity(
    counts: Counts | tuple[pd.DataFrame, pd.DataFrame], *rules: dict[str, Any]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    data = counts if isinstance(counts, tuple) else tables(repeated(dict(counts)), ("tone",))
    chosen = policy(*rules)
    findings = judge(chosen, *data, None, CLASSES, "pos", draws=199)
    return findings, sensitivity_table(findings, chosen, *data, CLASSES, "pos", draws=199)


def every_way(low: tuple[int, int], high: tuple[int, int], tolerance: float, *, failed: bool) -> int | None:
    """Fewest labels switched between two groups of (found, all), of all four kinds, that end a verdict.

    By Newcombe's interval alone, and by the size below which a group is not judged: what cannot be judged is shown
    neither to fail nor to keep the tolerance.
    """
    (k, n), (j, m) = low, high
    for count in range(1, n + m - 1):
        for out_bad in range(min(count, n - k) + 1):
            for out_good in range(min(count - out_bad, k) + 1):
                for in_good in range(min(count - out_bad - out_good, j) + 1):
                    in_bad = count - out_bad - out_good - in_good
                    size = n - out_bad - out_good + in_good + in_bad
                    other = n + m - size
                    if in_bad > m - j:
                        continue
                    if min(size, other) < 10:
                        return count
                    hits = k - out_good + in_good
                    below, above = newcombe(k + j - hits, other, hits, size, 0.05)
                    shown = max(float(below), -float(above)) > tolerance
                    within = max(abs(float(below)), abs(float(above))) <= tolerance
                    if not (shown if failed else within):
                        return count
    return None


def test_london_smiles_by_hand() -> None:
    findings, table = sensitivity(LONDON, SMILES)
    assert tuple(table.columns) == SENSITIVITY_COLUMNS == tuple(columns("sensitivity"))
    assert (findings.iloc[0]["verdict"], findings.iloc[0]["low"]) == ("fail", pytest.approx(0.2029, abs=5e-5))
    row = table.iloc[0]
    assert (row["labels"], row["flips"]) == (102, every_way((18, 53), (36, 49), 0.1, failed=True)) == (102, 5)
    assert row["share"] == pytest.approx(5 / 102)
    assert row["text"].startswith(
        "m, rule r0: at least 5 of 102 tone labels of male and female (4.9 %) would have to be wrong, in the most "
        "damaging way, for this to be no failure."
    )
    # Four of the men's misses moved to the women and one of the women's finds to the men, or the like.
    assert newcombe(35, 52, 19, 50, 0.05)[0] <= 0.1 < newcombe(35, 51, 19, 51, 0.05)[0]


@pytest.mark.parametrize(
    ("counts", "tolerance", "failed"),
    [((18, 30, 27, 30), 0.05, True), ((12, 30, 20, 25), 0.1, True), ((27, 30, 28, 30), 0.35, False),
     ((50, 60, 52, 55), 0.4, False)],
)  # fmt: skip
def test_equals_trying_every_way(counts: tuple[int, int, int, int], tolerance: float, failed: bool) -> None:
    k, n, j, m = counts
    data = {("pos", "pos", "a"): k, ("pos", "neg", "a"): n - k, ("pos", "pos", "b"): j, ("pos", "neg", "b"): m - j}
    findings, table = sensitivity(data, {**SMILES, "tolerance": tolerance, "correction": "none"})
    assert findings.iloc[0]["verdict"] == ("fail" if failed else "pass")
    expected = every_way((k, n), (j, m), tolerance, failed=failed)
    if not failed:  # the gap may also be made the other way round
        expected = min(expected or 999, every_way((n - k, n), (m - j, m), tolerance, failed=False) or 999)
    assert table.iloc[0]["flips"] == expected
    assert ("at least" in table.iloc[0]["text"]) is True


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 30), st.integers(0, 30), st.floats(0.02, 0.5))
@example(0, 0, 0.5)  # no switch makes a gap, but 21 leave one of the groups too small to be judged
def test_one_switch_fewer_never_does(k: int, j: int, tolerance: float) -> None:
    data = {("pos", "pos", "a"): k, ("pos", "neg", "a"): 30 - k, ("pos", "pos", "b"): j, ("pos", "neg", "b"): 30 - j}
    rule = {**SMILES, "tolerance": tolerance, "correction": "none"}
    findings, table = sensitivity(data, rule)
    verdict, row = findings.iloc[0]["verdict"], table.iloc[0]
    if verdict == "inconclusive":
        assert (row["status"], "no verdict" in row["text"]) == ("undefined", True)
        return
    low, high = ((k, 30), (j, 30)) if k <= j else ((j, 30), (k, 30))
    expected = every_way(low, high, tolerance, failed=verdict == "fail")
    # A failure also needs its permutation test, so it can fall earlier than its interval does.
    assert row["flips"] <= (expected or np.inf) if verdict == "fail" else row["flips"] == expected


@pytest.mark.parametrize(
    "rule",
    [{"compare": "ratio", "tolerance": 0.9}, {"compare": "overall"}, {"compare": "floor", "tolerance": 0.85},
     {"compare": "reference", "reference": "light"}, {"metric": "false_negative_rate"}, {"judge": "point"}],
)  # fmt: skip
def test_every_comparison_has_a_number(rule: dict[str, Any]) -> None:
    findings, table = sensitivity(WIDE, rule)
    assert findings.iloc[0]["verdict"] == "fail"
    row = table.iloc[0]
    assert row["status"] == "ok"
    assert 0 < row["flips"] < row["labels"]


def test_whole_people_move() -> None:
    # 40 people a group with 3 images each, all right or all wrong: 36 and 16 people are recognised.
    rows = [("pos", "pos" if person < found else "neg", group)
            for group, found in (("a", 16), ("b", 36)) for person in range(40) for _ in range(3)]  # fmt: skip
    clusters = [f"{group}{person}" for group in "ab" for person in range(40) for _ in range(3)]
    data = tables(rows, ("tone",), clusters=clusters)
    row = sensitivity(data, {**SMILES, "correction": "none"})[1].iloc[0]
    assert row["labels"] == 80
    people = sensitivity(tables(rows[::3], ("tone",)), {**SMILES, "correction": "none"})[1].iloc[0]
    assert people["labels"] == 80
    # The design effect is that of people, so it takes about as many of them as if each had one image.
    assert abs(row["flips"] - people["flips"]) <= 2
    assert "one a cluster" in row["text"]
    assert "would be enough" in row["text"]


def test_people_in_two_groups_have_a_label_an_image() -> None:
    rows = repeated({("pos", "pos", "a"): 30, ("pos", "neg", "a"): 30, ("pos", "pos", "b"): 58, ("pos", "neg", "b"): 2})
    data = tables(rows, ("tone",), clusters=[f"p{place % 60}" for place in range(120)])
    findings, table = sensitivity(data, {**SMILES, "correction": "none"})
    assert findings.iloc[0]["verdict"] == "fail"
    assert table.iloc[0]["labels"] == 120
    assert 0 < table.iloc[0]["flips"] < 60


def test_small_steps_out_of_the_judged_range_count() -> None:
    # Ten in the smaller group: with one fewer it is too small to be judged.
    counts = {("pos", "pos", "a"): 0, ("pos", "neg", "a"): 10, ("pos", "pos", "b"): 100}
    assert sensitivity(counts, {**SMILES, "correction": "none"})[1].iloc[0]["flips"] == 1


def test_what_has_no_labels_is_not_measured() -> None:
    rules: list[dict[str, Any]] = [{"attribute": "overall", "compare": "floor", "tolerance": 0.9}]
    rules += [{"metric": "equalised_odds"}, {"metric": "f1"}]
    table = sensitivity(WIDE, *rules)[1]
    assert table["status"].tolist() == ["not_measured"] * 3
    assert table["flips"].isna().all()
    assert sensitivity(FEW)[1].iloc[0]["status"] == "undefined"


def test_random_labels_by_hand() -> None:
    assert attenuation(0.1, 0.5) == pytest.approx(0.8)
    # A fifth of 100 are of the first group; a tenth of the labels is wrong: 18 of 26 and 72 of 74 are right.
    assert attenuation(0.1, 0.2) == pytest.approx(18 / 26 + 72 / 74 - 1)
    findings, table = sensitivity(WIDE, {"correction": "none"})
    value, low = findings.iloc[0]["value"], findings.iloc[0]["low"]
    # Groups of equal size: (1 - 2 r) value - (value - low) = tolerance.
    assert table.iloc[0]["random_share"] == pytest.approx((1 - (0.05 + value - low) / value) / 2)
    findings, table = sensitivity(WIDE, {"tolerance": 0.5})
    # high / (1 - 2 r) = tolerance.
    assert table.iloc[0]["random_share"] == pytest.approx((1 - findings.iloc[0]["high"] / 0.5) / 2)
    assert "hide" not in table.iloc[0]["text"]


def test_random_labels_where_there_are_three_groups() -> None:
    counts = {**WIDE, ("pos", "pos", "grey"): 100}
    table = sensitivity(counts, {"correction": "none"})[1]
    assert np.isnan(table.iloc[0]["random_share"])
    assert table.iloc[0]["status"] == "ok"


def test_findings_of_another_policy_are_refused() -> None:
    data = tables(repeated(dict(WIDE)), ("tone",))
    findings = judge(policy({}), *data, None, CLASSES, "pos", draws=99)
    with pytest.raises(InputError, match="finding of rule 'r0', which the policy does not have"):
        sensitivity_table(findings, policy({"id": "other"}), *data, CLASSES, "pos")
