"""Every bad or odd image has its one outcome, and none takes the process with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from audit.config import Preprocessing
from audit.data.images import decode
from tests.hostile.images import MOST_PIXELS, Case, cases

CASES = cases()


def test_there_are_enough_and_each_has_its_own_name() -> None:
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names) >= 60
    assert sum(case.status != "ok" for case in CASES) >= 40


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_outcome(case: Case, tmp_path: Path) -> None:
    root = tmp_path / "images"
    root.mkdir()
    case.write(root)
    found = decode(root, case.name, Preprocessing(scale=(0.0, 255.0)), MOST_PIXELS)
    assert found.status == case.status, found.detail
    if case.pixels is None:
        assert found.array is None
        assert found.detail
        return
    assert found.array is not None
    assert found.array.shape == case.pixels.shape
    assert np.abs(found.array - case.pixels).max() <= case.tolerance


def test_files_outside_are_never_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    next(case for case in CASES if case.name == "plain-png").write(tmp_path)
    (tmp_path / "plain-png").rename(secret)
    (tmp_path / "images").mkdir()
    for name in ("../secret.png", "./../secret.png", str(secret), "a/../../secret.png"):
        found = decode(tmp_path / "images", name, Preprocessing(), MOST_PIXELS)
        assert found.status in ("outside_root", "missing")
        assert found.sha256 is None
