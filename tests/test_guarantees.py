"""Every guarantee names the test that keeps it, and the test is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))


def promises() -> list[str]:
    """Items of the list of what is in scope."""
    scope = PAGE.split("## In scope")[1].split("## Out of scope")[0]
    return [" ".join(item.split()) for item in re.findall(r"(?ms)^- (.*?)(?=^- |^#|\Z)", scope)]


@pytest.mark.parametrize(("file", "name"), NAMED, ids=[name for _, name in NAMED])
def test_the_named_test_exists(file: str, name: str) -> None:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_promise_names_a_test() -> None:
    assert len(promises()) >= 20
    assert [item for item in promises() if "::test_" not in item] == []


def test_the_policy_leads_to_the_page_and_names_files_that_exist() -> None:
    policy = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    assert "docs/guarantees.md" in policy
    named = re.findall(r"`(tests/[\w/]+\.py)`", policy + PAGE)
    assert [file for file in named if not (ROOT / file).is_file()] == []
