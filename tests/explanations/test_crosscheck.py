"""The cross-check itself, on providers made up for the test."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from audit.explanations import crosscheck
from audit.explanations.crosscheck import Opinion, cross_check
from tests.models.twins import images, numpy_twin

OURS = np.array([[1.0, 2.0], [3.0, 4.0]])


def checked(monkeypatch: pytest.MonkeyPatch, explain: Any, ours: np.ndarray = OURS) -> list[crosscheck.CrossCheck]:
    module = ModuleType("made_up_provider")

    @contextmanager
    def opened(_adapter: Any, _method: str) -> Iterator[Any]:
        yield explain

    module.opened = opened  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "made_up_provider", module)
    monkeypatch.setitem(crosscheck._PROVIDERS, "made up", crosscheck._Provider("other", "numpy", "made_up_provider"))
    adapter: Any = SimpleNamespace(spec=SimpleNamespace(framework="made up"))
    return cross_check(adapter, images(2), np.array([0, 1]), {"saliency": [ours, ours]})


def test_difference_and_rank_correlation_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = np.array([[1.0, 2.0], [4.0, 3.0]])  # off by 1 of at most 4; ranks 1 2 4 3: rho = 1 - 6*2/(4*15)
    first, second = checked(monkeypatch, lambda _image, _target: Opinion(theirs, "said"))
    assert (first.status, first.image_index, first.note, first.provider) == ("ok", 0, "said", "other")
    assert first.max_difference == pytest.approx(0.25)
    assert first.spearman == pytest.approx(0.8)
    assert second.image_index == 1


def test_what_fails_is_said_for_every_image(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_image: np.ndarray, target: int) -> Opinion:
        if target == 1:
            raise RuntimeError("broken\ninside")
        return Opinion(OURS, "said")

    first, second = checked(monkeypatch, fails)
    assert first.status == "ok"
    assert (second.status, second.note) == ("not_measured", "other failed: RuntimeError: broken inside")


def test_another_shape_and_empty_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    (first, _) = checked(monkeypatch, lambda *_: Opinion(OURS[:1], "said"))
    assert (first.status, first.max_difference) == ("not_measured", None)
    (first, _) = checked(monkeypatch, lambda *_: Opinion(OURS, "said"), np.zeros((2, 2)))
    assert (first.status, first.spearman) == ("undefined", None)
    (first, _) = checked(monkeypatch, lambda *_: Opinion(np.zeros((2, 2)), "said"), np.zeros((2, 2)))
    assert (first.status, first.max_difference, first.spearman) == ("ok", 0.0, None)
    (first, _) = checked(monkeypatch, lambda *_: Opinion(OURS, "said"), np.full((2, 2), np.nan))
    assert first.status == "undefined"


def test_a_framework_without_a_provider_is_not_measured() -> None:
    (only,) = cross_check(numpy_twin(), images(1), np.array([0]), {"saliency": [OURS]})
    assert (only.status, only.provider) == ("not_measured", "none")
    assert "framework 'numpy'" in only.note
