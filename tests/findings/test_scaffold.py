"""The policy that `faircam init` writes is one, with every example in it taken out of its comment too."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from audit.findings import load_policy, parse_policy
from audit.findings.waivers import parse_waivers
from audit.scaffold import write_scaffold


def test_policy_and_every_commented_rule_is_valid(tmp_path: Path) -> None:
    path = write_scaffold(tmp_path / "audit")[1]
    assert [rule.id for rule in load_policy(path).rules] == ["accuracy-by-gender"]
    text = path.read_text(encoding="utf-8")
    full = parse_policy(yaml.safe_load(re.sub(r"(?m)^  # (?=- |  )", "  ", text)))
    assert {rule.metric for rule in full.rules} == {
        "accuracy", "true_positive_rate", "equalised_odds", "standardised_accuracy", "selection_rate",
    }  # fmt: skip
    assert all(len(line) <= 120 for line in text.splitlines())


def test_commented_waiver_is_valid(tmp_path: Path) -> None:
    text = write_scaffold(tmp_path / "audit")[1].read_text(encoding="utf-8")
    block = text[text.index("#   - rule: accuracy-by-gender") :]
    (waiver,) = parse_waivers(yaml.safe_load(re.sub(r"(?m)^#   ", "", block)))
    assert waiver.rule == "accuracy-by-gender"


def test_docs_name_every_key() -> None:
    from audit.findings import Policy, Waiver

    text = (Path(__file__).parents[2] / "docs" / "policy.md").read_text(encoding="utf-8")
    rule = Policy.model_json_schema()["$defs"]["Rule"]["properties"]
    assert [key for key in rule if f"`{key}`" not in text] == []
    assert [key for key in Waiver.model_fields if f"{key}:" not in text] == []
