"""Texts in other languages: nothing is missing, nothing is left over, and every place is filled."""

from __future__ import annotations

import ast
import re
import string
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from audit.errors import InputError
from audit.fairness.metrics import METRICS
from audit.findings.stamps import CHECKS
from reports.language import LANGUAGES, language, say, speaking

REPORTS = Path(__file__).resolve().parents[2] / "reports"
OTHERS = [name for name in LANGUAGES if name != "en"]


def test_english_is_what_is_spoken_unless_told() -> None:
    assert language() == "en"
    assert say("{count} of {all}", count=1, all="{all}") == "1 of {all}"


def test_an_unknown_language_is_named() -> None:
    with (
        pytest.raises(InputError, match=r"language 'zn' is unknown, allowed: en, zh.*Did you mean 'zh'"),
        speaking("zn"),
    ):
        pass
    assert language() == "en"


@pytest.mark.parametrize("name", OTHERS)
def test_every_text_is_translated_and_every_translation_used(name: str) -> None:
    said, written = set(_said()), _catalogue(name)
    assert sorted(said - set(written)) == []
    assert sorted(set(written) - said) == []


@pytest.mark.parametrize("name", OTHERS)
def test_a_translation_has_the_places_of_its_text(name: str) -> None:
    wrong = {text: other for text, other in _catalogue(name).items() if _places(text) != _places(other)}
    assert wrong == {}


def _catalogue(name: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for file in sorted((REPORTS / "texts" / name).glob("*.yaml")):
        part = yaml.safe_load(file.read_text("utf-8")) or {}
        differing = {text for text in set(part) & set(found) if part[text] != found[text]}
        assert not differing, f"{file.name} translates otherwise than another file: {differing}"
        found |= part
    return found


def _places(text: str) -> list[str]:
    return sorted(name for _, name, _, _ in string.Formatter().parse(text) if name is not None)


def _said() -> Iterator[str]:
    """Literals given to `say` and `phrase` in code and templates, and the audit's own words that reports say."""
    yield from (check.words for check in CHECKS.values())
    yield from (text for metric in METRICS.values() for text in (metric.words, metric.undefined, metric.does_not_show))
    yield from _described()
    for file in sorted((REPORTS / "templates").glob("*.j2")):
        yield from re.findall(r"say\('([^']+)'", file.read_text("utf-8"))
    for file in sorted(REPORTS.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("say", "phrase"):
                argument = node.args[0]
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    yield argument.value


def _described() -> Iterator[str]:
    """Titles and definitions of the explanation methods, which come into a report by the record of its run."""
    for file in sorted((REPORTS.parent / "audit" / "explanations").glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                value = node.value
                if isinstance(value, ast.Constant) and node.target.id in ("title", "definition"):
                    yield str(value.value).replace(" x ", " × ")
