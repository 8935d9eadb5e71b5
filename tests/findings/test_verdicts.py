"""Policies and verdicts: a planted gap is found, a control stays quiet, the rest is inconclusive and says why."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from audit.errors import ConfigError
from audit.findings import (
    FINDING_COLUMNS,
    Policy,
    default_policy,
    finding_id,
    judge,
    load_policy,
    parse_policy,
    summary,
)
from tests.fairness.tables import CLASSES, pick, repeated, tables

RULE: dict[str, Any] = {
    "metric": "accuracy", "attribute": "a", "compare": "range", "tolerance": 0.05, "tier": "required",
}  # fmt: skip


def policy(*rules: dict[str, Any]) -> Policy:
    return parse_policy({"name": "p", "rules": [{**RULE, "id": f"r{i}", **rule} for i, rule in enumerate(rules)]})


def accuracy(**groups: tuple[int, int]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tables with groups of (correct, all), half of each class."""
    counts: dict[tuple[Any, ...], int] = {}
    for name, (right, total) in groups.items():
        for label, part in (("pos", right // 2), ("neg", right - right // 2)):
            counts[label, label, name] = part
        wrong = total - right
        counts["pos", "neg", name] = wrong // 2
        counts["neg", "pos", name] = wrong - wrong // 2
    return tables(repeated(counts))


def verdicts(rules: Policy, data: tuple[pd.DataFrame, pd.DataFrame], **options: Any) -> pd.DataFrame:
    return judge(rules, *data, options.pop("regions", None), CLASSES, "pos", draws=999, **options)


PLANTED = accuracy(light=(390, 400), dark=(300, 400))
CONTROL = accuracy(light=(992, 1000), dark=(990, 1000))


def test_planted_gap_is_found() -> None:
    table = verdicts(policy({}), PLANTED, preregistered=True, policy_sha256="abc")
    assert tuple(table.columns) == FINDING_COLUMNS
    row = table.iloc[0]
    assert (row["verdict"], row["group"], row["reference"]) == ("fail", "dark", "light")
    assert row["low"] > row["threshold"] == 0.05
    assert row["p_adjusted"] < 0.05
    assert (row["finding_id"], row["policy_sha256"], bool(row["preregistered"])) == (
        finding_id("r0", "m"),
        "abc",
        True,
    )
    assert row["claims"] == ["groups:m:a:dark:accuracy:", "groups:m:a:light:accuracy:", "gaps:m:a:accuracy:"]


def test_text_says_who_how_many_how_sure_and_what_it_does_not_show() -> None:
    text = verdicts(policy({}), PLANTED).iloc[0]["text"]
    for part in ("0.75 for a dark (300 of 400", "0.97 for a light (390 of 400", "95 % interval", "a gap of 0.22",
                 "the tolerance of 0.05", "p = 0.0010", "It does not show why"):  # fmt: skip
        assert part in text


def test_control_stays_quiet() -> None:
    row = verdicts(policy({}), CONTROL).iloc[0]
    assert (row["verdict"], row["p_adjusted"]) == ("pass", 1.0)
    assert "It does not show that there is no gap" in row["text"]


def test_inconclusive_says_how_many_would_settle_it() -> None:
    row = verdicts(policy({}), accuracy(light=(45, 50), dark=(40, 50))).iloc[0]
    assert row["verdict"] == "inconclusive"
    variance = sum((k + 1) / 52 * (1 - (k + 1) / 52) for k in (45, 40))
    assert row["n_to_settle"] == math.ceil((1.959964 + 0.841621) ** 2 * variance / 0.05**2)
    assert f"about {row['n_to_settle']:.0f} images a group would" in row["text"]


def test_at_the_tolerance_none_would() -> None:
    row = verdicts(policy({"tolerance": 0.1}), accuracy(light=(90, 100), dark=(80, 100))).iloc[0]
    assert row["verdict"] == "inconclusive"
    assert math.isnan(row["n_to_settle"])
    assert "at the tolerance itself no number of images would" in row["text"]


def test_warning_band_and_tiers() -> None:
    rules = policy(
        {"tolerance": 0.4, "warn": 0.1},
        {"tolerance": 0.4, "warn": 0.39},
        {"tier": "supporting"},
        {"tier": "informational"},
        {"tolerance": 0.3, "judge": "point"},
        {"tolerance": 0.2, "judge": "point"},
    )
    table = verdicts(rules, PLANTED)
    assert list(table["verdict"]) == ["warn", "pass", "warn", "warn", "pass", "fail"]
    assert table["text"].str.contains("by the observed value alone").tolist() == [False] * 4 + [True] * 2


def test_default_policy_marks_the_planted_gap() -> None:
    table = verdicts(default_policy(["a"], "pos"), PLANTED)
    assert list(table["verdict"]) == ["fail"] * 3
    assert set(table["tier"]) == {"supporting"}
    assert list(table["threshold"]) == [0.05, 0.10, 0.10]


@pytest.mark.parametrize(
    ("rule", "verdict", "value"),
    [
        ({"compare": "ratio", "tolerance": 0.9}, "fail", 300 / 390),
        ({"compare": "ratio", "tolerance": 0.5}, "pass", 300 / 390),
        ({"compare": "reference", "reference": "light"}, "fail", 0.225),
        ({"compare": "reference", "reference": "dark"}, "pass", -0.225),
        ({"compare": "overall", "tolerance": 0.1}, "fail", 0.225),
        ({"compare": "floor", "tolerance": 0.9}, "fail", 0.75),
        ({"compare": "floor", "tolerance": 0.6}, "pass", 0.75),
        ({"compare": "floor", "tolerance": 0.75}, "inconclusive", 0.75),
        ({"compare": "floor", "tolerance": 0.8, "attribute": "overall"}, "pass", 690 / 800),
        ({"compare": "floor", "tolerance": 0.1, "metric": "false_negative_rate"}, "fail", 0.25),
    ],
)
def test_every_comparison(rule: dict[str, Any], verdict: str, value: float) -> None:
    row = verdicts(policy(rule), PLANTED).iloc[0]
    assert row["verdict"] == verdict
    assert row["value"] == pytest.approx(value)


def test_holm_over_the_rules_of_a_model() -> None:
    data = accuracy(light=(186, 200), dark=(163, 200))
    alone = verdicts(policy({"tolerance": 0.04}), data)
    among = verdicts(policy(*[{"tolerance": 0.04}] * 5, {"tolerance": 0.04, "correction": "none"}), data)
    assert alone["verdict"].tolist() == ["fail"]
    assert among["p_adjusted"][0] == pytest.approx(min(1, 5 * alone["p"][0]))
    assert among["verdict"].tolist() == ["inconclusive"] * 5 + ["fail"]
    assert "the corrected test does not reach the level" in among["text"][0]


def test_small_groups_listed_or_blocking() -> None:
    data = accuracy(light=(390, 400), dark=(300, 400), rare=(3, 6))
    table = verdicts(policy({}, {"small_groups": "block"}, {"min_n": 500}), data)
    assert table["verdict"].tolist() == ["fail", "inconclusive", "inconclusive"]
    assert table["text"].str.contains(r"Left out as smaller than 10: rare \(6\)").tolist() == [
        True,
        True,
        False,
    ]
    assert "too few groups have at least 500 images" in table["text"][2]


def test_undefined_is_inconclusive_and_says_so() -> None:
    data = tables(repeated({("pos", "pos", "x"): 30, ("pos", "neg", "y"): 30}))
    row = verdicts(policy({"metric": "false_positive_rate"}), data).iloc[0]
    assert row["verdict"] == "inconclusive"
    assert math.isnan(row["value"])
    assert "undefined, as fewer than two groups have images of other classes than 'pos'" in row["text"]


def test_model_without_any_prediction_is_an_error() -> None:
    images, predictions = PLANTED
    row = verdicts(policy({}), (images, predictions.assign(status="nonfinite"))).iloc[0]
    assert row["verdict"] == "error"
    assert "no prediction of this model counts" in row["text"]


def region_mass(share: float, spread: float, method: str = "gradient_x_input") -> pd.DataFrame:
    rng = np.random.default_rng(0)
    shares = share + spread * rng.normal(size=50)
    return pd.DataFrame(
        {"model": "m", "image_id": [f"i{i}" for i in range(50)], "method": method, "region": "marker",
         "share": shares, "area": 0.02, "status": "ok"}
    )  # fmt: skip


@pytest.mark.parametrize(
    ("share", "spread", "verdict"), [(0.2, 0.02, "fail"), (0.02, 0.005, "pass"), (0.06, 0.02, "inconclusive")]
)
def test_region_that_should_not_matter(share: float, spread: float, verdict: str) -> None:
    rules = default_policy([], None, ["marker"], ["grad_cam", "gradient_x_input", "saliency"], excess=3.0)
    assert "region_share-marker-grad_cam" not in {rule.id for rule in rules.rules}
    table = verdicts(rules, PLANTED, regions=region_mass(share, spread))
    row = pick(table, rule="region_share-marker-gradient_x_input")
    assert (row["verdict"], row["attribute"], row["group"]) == (verdict, "region", "marker")
    assert row["value"] == pytest.approx(share / 0.02, rel=0.2)
    assert row["claims"] == ["region_groups:m:gradient_x_input:marker:overall:all"]
    other = pick(table, rule="region_share-marker-saliency")
    assert other["verdict"] == "inconclusive"
    assert "was not measured" in other["text"]


def test_summary_by_precedence() -> None:
    table = verdicts(policy({}, {"tolerance": 0.9}, {"tolerance": 0.2, "tier": "supporting"}), PLANTED)
    found = summary(table)
    assert found["counts"]["fail"] == 1
    assert (found["overall"], found["required"]) == ("fail", "fail")
    assert summary(table[table["verdict"] == "pass"])["overall"] == "pass"
    assert summary(table[:0]) == {
        "counts": dict.fromkeys(found["counts"], 0),
        "overall": "inconclusive",
        "required": None,
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tollerance": 1}, r"unknown key 'rules.0.tollerance'.*Did you mean 'tolerance'"),
        ({"metric": "acuracy"}, "'acuracy' is unknown.*Did you mean 'accuracy'"),
        ({"metric": "auc"}, "'auc' has no interval to judge by"),
        ({"compare": "rnge"}, "allowed: range, ratio.*Did you mean 'range'"),
        ({"tolerance": 2}, "tolerance is 2.0, allowed: 0 to 1"),
        ({"warn": 0.2}, "warn is 0.2, allowed: at most the tolerance 0.05"),
        ({"compare": "reference"}, "'reference' names the group"),
        ({"attribute": "overall"}, "attribute overall has one group"),
        ({"class": "pos"}, "'class' has no meaning for metric 'accuracy'"),
        ({"metric": "region_share"}, "'region' is needed for metrics region_share"),
    ],
)
def test_bad_rules_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_policy({"name": "p", "rules": [{**RULE, **change}]})


def test_missing_keys_and_repeated_ids_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"key 'rules\.0\.tier' is missing"):
        parse_policy({"name": "p", "rules": [{key: value for key, value in RULE.items() if key != "tier"}]})
    with pytest.raises(ConfigError, match="'accuracy-a' occurs more than once"):
        parse_policy({"name": "p", "rules": [RULE, RULE]})
    with pytest.raises(ConfigError, match=r"unknown key 'ruls'.*Did you mean 'rules'"):
        parse_policy({"name": "p", "rules": [RULE], "ruls": []})


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"attribute": "b"}, r"rule 'r0': attribute 'b' is not in the data, allowed: \['a'\]"),
        ({"metric": "precision", "class": "poz"}, "class 'poz' is no class.*Did you mean 'pos'"),
        ({"compare": "reference", "reference": "dork"}, "reference 'dork' is no group.*Did you mean 'dark'"),
    ],
)
def test_names_that_the_run_lacks_are_refused(rule: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        verdicts(policy(rule), PLANTED)


def test_no_positive_class_is_ever_guessed() -> None:
    with pytest.raises(ConfigError, match="is about one class, and none is named"):
        judge(policy({"metric": "true_positive_rate"}), *PLANTED, None, CLASSES, None)


def test_policy_file(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(
        "name: smiles\napprover: A. Person, head\nrules:\n- {metric: true_positive_rate, class: pos, attribute: a,"
        " compare: range, tolerance: 0.1, warn: 0.05, tier: required}\n",
        encoding="utf-8",
    )
    rule = load_policy(path).rules[0]
    assert (rule.id, rule.class_name, rule.min_n, rule.alpha) == ("true_positive_rate-a", "pos", 10, 0.05)
    assert (rule.judge, rule.small_groups, rule.correction) == ("interval", "exclude_and_list", "holm")
    path.write_text("name: [", encoding="utf-8")
    with pytest.raises(ConfigError, match="is not valid YAML"):
        load_policy(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_policy(tmp_path / "none.yaml")
