"""The cross-check itself, on providers made up for the test."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from audit.explanations import build, crosscheck
from audit.explanations.crosscheck import Opinion, cross_check
from tests.models.twins import images, numpy_twin

OURS = np.array([[1.0, 2.0], [3.0, 4.0]])


def checked(
    monkeypatch: pytest.MonkeyPatch, explain: Any, ours: np.ndarray = OURS, **options: Any
) -> tuple[list[crosscheck.CrossCheck], list[Any]]:
    asked: list[Any] = []
    module = ModuleType("made_up_provider")

    @contextmanager
    def opened(_adapter: Any, _method: str, settings: Any, seed: int | None) -> Iterator[Any]:
        asked.append((settings, seed))
        yield explain

    module.opened = opened  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "made_up_provider", module)
    monkeypatch.setitem(crosscheck._PROVIDERS, "made up", crosscheck._Provider("other", "numpy", "made_up_provider"))
    adapter: Any = SimpleNamespace(spec=SimpleNamespace(framework="made up"))
    found = cross_check(adapter, images(2), np.array([0, 1]), {"saliency": [ours, ours]}, **options)
    return found, asked


def test_difference_and_rank_correlation_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = np.array([[1.0, 2.0], [4.0, 3.0]])  # off by 1 of at most 4; ranks 1 2 4 3: rho = 1 - 6*2/(4*15)
    (first, second), _ = checked(monkeypatch, lambda _image, _target: Opinion(theirs, "said"))
    assert (first.status, first.image_index, first.note, first.provider) == ("ok", 0, "said", "other")
    assert first.max_difference == pytest.approx(0.25)
    assert first.spearman == pytest.approx(0.8)
    assert second.image_index == 1


def test_what_fails_is_said_for_every_image(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_image: np.ndarray, target: int) -> Opinion:
        if target == 1:
            raise RuntimeError("broken\ninside")
        return Opinion(OURS, "said")

    (first, second), _ = checked(monkeypatch, fails)
    assert first.status == "ok"
    assert (second.status, second.note) == ("not_measured", "other failed: RuntimeError: broken inside")


def test_another_shape_and_empty_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    (first, _), _ = checked(monkeypatch, lambda *_: Opinion(OURS[:1], "said"))
    assert (first.status, first.max_difference) == ("not_measured", None)
    (first, _), _ = checked(monkeypatch, lambda *_: Opinion(OURS, "said"), np.zeros((2, 2)))
    assert (first.status, first.spearman) == ("undefined", None)
    (first, _), _ = checked(monkeypatch, lambda *_: Opinion(np.zeros((2, 2)), "said"), np.zeros((2, 2)))
    assert (first.status, first.max_difference, first.spearman) == ("ok", 0.0, None)
    (first, _), _ = checked(monkeypatch, lambda *_: Opinion(OURS, "said"), np.full((2, 2), np.nan))
    assert first.status == "undefined"


def test_settings_and_seed_reach_the_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    def said(_image: np.ndarray, _target: int) -> Opinion:
        return Opinion(OURS, "said")

    methods = build(["saliency"])
    assert checked(monkeypatch, said, explainers=methods, seed=5)[1] == [(methods["saliency"], 5)]
    assert checked(monkeypatch, said)[1] == [(None, None)]


def test_a_provider_that_cannot_start_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(crosscheck._PROVIDERS, "numpy", crosscheck._Provider("other", "numpy", "no_such_provider"))
    (only,) = cross_check(numpy_twin(), images(1), np.array([0]), {"saliency": [OURS]})
    assert (only.status, only.note) == (
        "not_measured",
        "other failed: ModuleNotFoundError: No module named 'no_such_provider'",
    )
    monkeypatch.setitem(crosscheck._PROVIDERS, "numpy", crosscheck._Provider("other", "no_such_package", "x"))
    (only,) = cross_check(numpy_twin(), images(1), np.array([0]), {"saliency": [OURS]})
    assert (only.status, only.note) == ("not_measured", "other is not installed")


def test_a_framework_without_a_provider_is_not_measured() -> None:
    (only,) = cross_check(numpy_twin(), images(1), np.array([0]), {"saliency": [OURS]})
    assert (only.status, only.provider) == ("not_measured", "none")
    assert "framework 'numpy'" in only.note
