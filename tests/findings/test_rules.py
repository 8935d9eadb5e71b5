"""Each kind of rule, by interval and by point, with data that fail it; power, direction, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from audit.errors import ConfigError
from audit.findings import check_policy, default_policy, judge, parse_policy, summary
from tests.fairness.tables import CLASSES, repeated, tables
from tests.findings.runs import FEW, RULE, WIDE, Counts, accuracy

RATES = ("accuracy", "true_positive_rate", "false_positive_rate", "true_negative_rate", "false_negative_rate")


def findings(counts: Counts, *rules: dict[str, Any], **options: Any) -> pd.DataFrame:
    data = tables(repeated(dict(counts)), ("tone",))
    content = [{**RULE, "id": f"r{place}", **rule} for place, rule in enumerate(rules or ({},))]
    return judge(
        parse_policy({"name": "p", "rules": content}),
        *data,
        options.pop("regions", None),
        CLASSES,
        "pos",
        draws=999,
        **options,
    )


SPLIT = {
    ("pos", "pos", "light"): 190, ("pos", "neg", "light"): 10, ("neg", "neg", "light"): 190,
    ("neg", "pos", "light"): 10, ("pos", "pos", "dark"): 120, ("pos", "neg", "dark"): 80,
    ("neg", "neg", "dark"): 120, ("neg", "pos", "dark"): 80,
}  # fmt: skip
"""Light: 0.95 of either class right; dark: 0.60. Both select half of their images."""

FAILING: list[tuple[dict[str, Any], float]] = [
    *(({"metric": name, "compare": "range"}, 0.35) for name in RATES),
    ({"metric": "precision", "compare": "range"}, 0.35),
    ({"compare": "ratio", "tolerance": 0.8}, 0.6 / 0.95),
    ({"compare": "reference", "reference": "light"}, 0.35),
    ({"compare": "reference", "reference": "best"}, 0.35),
    ({"compare": "reference", "reference": "overall"}, 0.35),
    ({"compare": "overall"}, 0.35),
    ({"compare": "floor", "tolerance": 0.9}, 0.6),
    ({"compare": "floor", "tolerance": 0.9, "attribute": "overall"}, 0.775),
    ({"compare": "floor", "tolerance": 0.1, "metric": "false_negative_rate"}, 0.4),
    ({"metric": "balanced_accuracy"}, 0.35),
    ({"metric": "standardised_accuracy"}, 0.35),
    ({"metric": "f1"}, 0.35),
    ({"metric": "macro_f1"}, 0.35),
    ({"metric": "macro_precision"}, 0.35),
    ({"metric": "equalised_odds"}, 0.35),
    ({"metric": "equalised_odds", "compare": "mean"}, 0.35),
]


@pytest.mark.parametrize("judged", ["interval", "point"])
@pytest.mark.parametrize(("rule", "value"), FAILING)
def test_every_kind_of_rule_fails_where_it_should(rule: dict[str, Any], value: float, judged: str) -> None:
    row = findings(SPLIT, {**rule, "judge": judged}).iloc[0]
    assert row["verdict"] == "fail", row["text"]
    assert row["value"] == pytest.approx(value)
    assert ("by the observed value alone" in row["text"]) == (judged == "point")
    assert np.isnan(row["p_adjusted"]) == (judged == "point")


@pytest.mark.parametrize("metric", ["selection_rate", "average_odds"])
@pytest.mark.parametrize("judged", ["interval", "point"])
def test_unequal_selection_fails(metric: str, judged: str) -> None:
    counts = {("pos", "pos", "a"): 180, ("pos", "neg", "a"): 20, ("neg", "neg", "a"): 120, ("neg", "pos", "a"): 80,
              ("pos", "pos", "b"): 100, ("pos", "neg", "b"): 100, ("neg", "neg", "b"): 180, ("neg", "pos", "b"): 20}  # fmt: skip
    row = findings(counts, {"metric": metric, "judge": judged}).iloc[0]
    assert (row["verdict"], row["group"], row["reference"]) == ("fail", "b", "a")
    assert row["value"] == pytest.approx({"selection_rate": 140 / 400, "average_odds": 0.35}[metric])


@pytest.mark.parametrize("judged", ["interval", "point"])
def test_region_rule_fails(judged: str) -> None:
    mass = pd.DataFrame({"model": "m", "image_id": [f"i{place}" for place in range(40)], "method": "saliency",
                         "region": "marker", "share": np.linspace(0.3, 0.5, 40), "area": 0.02, "status": "ok"})  # fmt: skip
    rule = {"metric": "region_share", "attribute": "overall", "compare": "excess", "region": "marker",
            "method": "saliency", "tolerance": 3, "judge": judged}  # fmt: skip
    row = findings(SPLIT, rule, regions=mass).iloc[0]
    assert (row["verdict"], row["value"]) == ("fail", pytest.approx(20.0))


def test_intersections_are_judged_and_need_their_attributes() -> None:
    rows = repeated({("pos", "pos", "a", "x"): 100, ("pos", "pos", "a", "y"): 100,
                     ("pos", "pos", "b", "x"): 100, ("pos", "neg", "b", "y"): 90, ("pos", "pos", "b", "y"): 10})  # fmt: skip
    rules = parse_policy({"name": "p", "rules": [{**RULE, "attribute": "one x two"}]})
    row = judge(rules, *tables(rows, ("one", "two")), None, CLASSES, "pos", draws=99).iloc[0]
    assert (row["group"], row["value"]) == ("b x y", pytest.approx(0.9))
    with pytest.raises(ConfigError, match=r"attribute 'three' is not in the data"):
        judge(parse_policy({"name": "p", "rules": [{**RULE, "attribute": "one x three"}]}),
              *tables(rows, ("one", "two")), None, CLASSES, "pos")  # fmt: skip


def test_direction_of_a_metric_without_one() -> None:
    # The share called "pos" is 0.8 for a and 0.2 for b.
    counts = {("pos", "pos", "a"): 80, ("pos", "neg", "a"): 20, ("pos", "pos", "b"): 20, ("pos", "neg", "b"): 80}
    plain, higher, lower = ({"metric": "selection_rate", "compare": "reference", "reference": "b", **more}
                            for more in ({}, {"direction": "higher"}, {"direction": "lower"}))  # fmt: skip
    table = findings(counts, plain, higher, lower)
    assert table["value"].tolist() == pytest.approx([0.6, -0.6, 0.6])
    assert table["verdict"].tolist() == ["fail", "pass", "fail"]
    ceiling = {"metric": "selection_rate", "compare": "floor", "direction": "lower", "tolerance": 0.5}
    assert findings(counts, ceiling).iloc[0]["group"] == "a"


def test_power_of_the_number_that_would_settle() -> None:
    low, high = findings(FEW, *({"power": power, "correction": "none"} for power in (0.8, 0.95)))["n_to_settle"]
    wanted = [(special.ndtri(0.975) + special.ndtri(power)) ** 2 for power in (0.8, 0.95)]
    assert high / low == pytest.approx(wanted[1] / wanted[0], rel=2e-3)
    assert "would (with 95 % power)" in findings(FEW, {"power": 0.95}).iloc[0]["text"]


def test_the_number_that_would_settle_counts_people_where_there_are() -> None:
    rules = parse_policy({"name": "p", "rules": [RULE]})
    rows = repeated(dict(FEW))
    alone, pairs = (
        judge(rules, *tables(rows, ("tone",), clusters=people), None, CLASSES, "pos", draws=99).iloc[0]["text"]
        for people in ([f"p{place}" for place in range(100)], [f"p{place // 2}" for place in range(100)])
    )
    assert "images, each of another cluster, a group would" in alone
    assert "clusters a group would" in pairs


def test_all_scores_equal_is_an_error_that_says_what_to_check() -> None:
    images, predictions = tables(repeated(dict(WIDE)), ("tone",))
    predictions["probabilities"] = [[0.25, 0.75]] * len(predictions)
    rules = parse_policy({"name": "p", "rules": [{**RULE, "id": "a"}, {**RULE, "id": "b", "compare": "ratio"}]})
    table = judge(rules, images, predictions, None, CLASSES, "pos", draws=99)
    assert table["verdict"].tolist() == ["error"] * 2
    assert table["text"].str.contains("all 800 images the same scores", regex=False).all()
    assert table["text"].str.contains("(0.250, 0.750)", regex=False).all()
    predictions["probabilities"] = [[0.26, 0.74], *[[0.25, 0.75]] * (len(predictions) - 1)]
    assert "error" not in set(judge(rules, images, predictions, None, CLASSES, "pos", draws=99)["verdict"])


def test_model_that_was_expected_but_has_no_predictions() -> None:
    table = findings(WIDE, {}, {"compare": "ratio", "tolerance": 0.95}, models=["m", "other"])
    assert table["model"].tolist() == ["m", "m", "other", "other"]
    assert table["verdict"].tolist() == ["fail", "fail", "error", "error"]
    assert table["value"].isna().tolist() == [False, False, True, True]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 60), st.just(60)), min_size=2, max_size=4), st.floats(0.01, 0.6))
def test_p_and_interval_agree(groups: list[tuple[int, int]], tolerance: float) -> None:
    counts = accuracy(**{f"g{place}": group for place, group in enumerate(groups)})
    row = findings(counts, {"tolerance": tolerance, "correction": "none"}).iloc[0]
    assert row["p"] == row["p_adjusted"]
    # Below alpha only where the interval lies beyond the tolerance; the test of no gap at all may hold it up.
    assert row["p"] >= 0.05 or row["low"] > tolerance
    assert (row["verdict"] == "fail") == (row["p"] < 0.05)
    assert (row["verdict"] == "pass") == (row["high"] <= tolerance)


def test_left_out_groups_are_listed() -> None:
    counts = {**WIDE, ("pos", "pos", "rare"): 1}
    assert "Left out as smaller than 10: rare (1)." in findings(counts).iloc[0]["text"]


@pytest.mark.parametrize(
    ("verdicts", "overall"),
    [
        (["pass", "warn", "inconclusive", "error", "fail", "waived"], "fail"),
        (["pass", "warn", "inconclusive", "waived"], "inconclusive"),
        (["pass", "waived", "warn"], "warn"),
        (["waived", "pass"], "pass"),
        (["waived"], "waived"),
    ],
)
def test_precedence(verdicts: list[str], overall: str) -> None:
    table = pd.DataFrame({"verdict": verdicts, "tier": "required"})
    assert summary(table)["required"] == overall


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tolerance": 10}, r"tolerance is 10.0, allowed: 0 to 1; tolerances are shares: write 0.1 for 10 %"),
        ({"tolerance": float("nan")}, r"'rules.0.tolerance' is nan: Input should be a finite number"),
        ({"tolerance": float("inf")}, "finite number"),
        ({"tolerance": -0.1}, "tolerance is -0.1, allowed: 0 to 1"),
        ({"tolerance": True}, "is True, a number is needed"),
        ({"tolerance": "ten"}, "'rules.0.tolerance' is 'ten'"),
        ({"compare": "ratio", "tolerance": 0}, "which every ratio keeps"),
        ({"warn": -0.1}, "warn is -0.1"),
        ({"alpha": 0.5}, "'rules.0.alpha' is 0.5: Input should be less than 0.5"),
        ({"power": 80}, "'rules.0.power' is 80"),
        ({"min_n": 0}, "'rules.0.min_n' is 0"),
        ({"correction": "benjamini_hochberg"}, "bounds the share of false claims"),
        ({"correction": "bonferoni"}, "'bonferoni', allowed: holm, none"),
        ({"direction": "lower"}, "of metric 'accuracy' higher is better"),
        ({"metric": "selection_rate", "compare": "reference", "reference": "best"}, "reference best needs 'direction'"),
        ({"metric": "equalised_odds", "compare": "floor"}, "allowed: range, mean"),
        ({"metric": "average_odds", "compare": "mean"}, "allowed: range"),
        ({"metric": "equalised_odds", "direction": "higher"}, "it measures a distance"),
        ({"compare": "mean"}, "compare mean is for metric equalised_odds only"),
        ({"metric": "log_loss"}, "'log_loss' has no interval to judge by"),
        ({"tier": "mandatory"}, "allowed: required, supporting, informational"),
    ],
)
def test_what_a_rule_may_not_say(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_policy({"name": "p", "rules": [{**RULE, **change}]})


def test_only_five_keys_must_be_given() -> None:
    rule = {key: value for key, value in RULE.items() if key != "id"}
    (found,) = parse_policy({"name": "p", "rules": [rule]}).rules
    assert (found.id, found.alpha, found.power, found.min_n, found.judge, found.correction, found.direction) == (
        "accuracy-tone", 0.05, 0.8, 10, "interval", "holm", None,
    )  # fmt: skip
    for key in rule:
        with pytest.raises(ConfigError, match=rf"key 'rules\.0\.{key}' is missing"):
            parse_policy({"name": "p", "rules": [{k: v for k, v in rule.items() if k != key}]})


def against(rule: dict[str, Any], groups: set[Any], labels: set[str] | None = None) -> None:
    rules = parse_policy({"name": "p", "rules": [{**RULE, **rule}]})
    check_policy(rules, {"tone": groups}, CLASSES, "pos", [], labels)


@pytest.mark.parametrize("compare", ["range", "ratio", "overall"])
def test_one_group_is_refused_where_groups_are_compared(compare: str) -> None:
    with pytest.raises(ConfigError, match=r"rule 'gap': attribute 'tone' has one group only \(light\)"):
        against({"compare": compare, "tolerance": 0.5}, {"light"})
    against({"compare": "floor", "tolerance": 0.5}, {"light"})
    against({"compare": compare, "tolerance": 0.5}, {"light", None})  # those without a group are one of their own
    against({"compare": compare, "tolerance": 0.5}, {"light", float("nan")})


def test_one_class_is_refused_where_it_says_nothing() -> None:
    with pytest.raises(ConfigError, match=r"all labels are of one class \(pos\)"):
        against({}, {"a", "b"}, {"pos"})
    against({"metric": "true_positive_rate"}, {"a", "b"}, {"pos"})
    with pytest.raises(ConfigError, match="needs images of class 'pos', and no label is"):
        against({"metric": "true_positive_rate"}, {"a", "b"}, {"neg"})


def test_words_of_policies_are_no_group_names() -> None:
    with pytest.raises(ConfigError, match="both a word of policies and a group"):
        against({"compare": "reference", "reference": "best"}, {"best", "worst"})


def test_the_default_policy_is_not_refused_for_one_group() -> None:
    data = tables(repeated(accuracy(light=(90, 100))), ("tone",))
    table = judge(default_policy(["tone"], "pos"), *data, None, CLASSES, "pos", draws=99)
    assert set(table["verdict"]) == {"inconclusive"}
