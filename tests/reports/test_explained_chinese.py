"""Sections on explanations in Chinese: the same numbers, names and claims as in English, and no English sentence."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import pytest

from audit.run import Run
from reports.language import speaking
from reports.nodes import Section
from reports.sections.checks import crosschecks, training
from reports.sections.explanations import explanations
from reports.sections.facts import Facts
from reports.sections.interventions import interventions
from reports.sections.mean_maps import mean_maps

Build = Callable[[Facts], Section | None]
NUMBER = re.compile(r"\d+(?:\.\d+)?")
ENGLISH = re.compile(r"[a-z]{2,} [a-z]{2,} [a-z]{2,}")


@pytest.mark.parametrize("build", [explanations, interventions, mean_maps, crosschecks, training])
def test_chinese_says_the_same(sample: Run, build: Build) -> None:
    english = list(texts(build(Facts(sample))))
    with speaking("zh"):
        chinese = list(texts(build(Facts(sample))))
    assert len(english) == len(chinese)
    for (where, one), (_, other) in zip(english, chinese, strict=True):
        assert sorted(NUMBER.findall(one)) == sorted(NUMBER.findall(other)), (where, one, other)
    held = recorded(sample)
    left = [other for _, other in chinese if ENGLISH.search(other) and not any(text in other for text in held)]
    assert left == []


def texts(node: Any, where: str = "") -> Iterator[tuple[str, str]]:
    """Every text of a node and its place, pictures left out."""
    if isinstance(node, str):
        yield where, "" if node.startswith("data:") else node
    elif isinstance(node, tuple):
        for place, item in enumerate(node):
            yield from texts(item, f"{where}[{place}]")
    elif is_dataclass(node):
        for one in fields(node):
            yield from texts(getattr(node, one.name), f"{where}.{one.name}")


def recorded(run: Run) -> set[str]:
    """Texts that the run itself holds, which no report translates."""
    columns = (("crosschecks", "note"), ("interventions", "detail"), ("quality", "detail"), ("problems", "detail"))
    return {str(text) for name, column in columns for text in run.table(name)[column].dropna() if str(text)}
