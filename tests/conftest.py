"""What every test shares: where the real data is, a browser, and no silent skips in CI."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["MPLBACKEND"] = "Agg"

with contextlib.suppress(ImportError):
    import triton  # noqa: F401 - must come before TensorFlow: both bring LLVM, and the other order ends the process

with contextlib.suppress(ImportError):
    import torch

    torch.set_warn_always(True)  # else a warning is an error only in the first test that meets it

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder with the real data and models; the test is skipped without it."""
    folder = Path(os.environ.get("FAIRCAM_SHARED", ROOT.parent / "shared"))
    if not (folder / "data" / "london").is_dir():
        pytest.skip(f"no real data at {folder}; set FAIRCAM_SHARED")
    return folder


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of the browser; the test is skipped without it."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium on PATH")
    return path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put files with slow tests first, so that none is left for one process at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Turn a skip into a failure where CI says that these tests must run."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    wanted = set(filter(None, os.environ.get("FAIRCAM_NO_SKIP", "").split(",")))
    if report.skipped and any(item.get_closest_marker(name) for name in wanted):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, and must not be here: {report.longrepr}"
