"""Runs to show, the app under Streamlit's test runner, and the server in a browser."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dashboard.server import RUNS_VARIABLE, Server
from tests.dashboard.runs import HOSTILE, rename_group
from tests.sample_run import build

if TYPE_CHECKING:
    from playwright.sync_api import Browser
    from streamlit.testing.v1 import AppTest

EXPLAINED = (
    *("explanations", "region_mass", "region_groups", "crosschecks", "training", "problems", "mean_maps"),
    *("quality", "quality_groups", "quality_gaps", "stamps", "interventions", "intervention_groups"),
    *("agreement", "agreement_groups"),
)
BEYOND = (
    *("curves", "lattice", "shift", "robustness", "robustness_gaps"),
    *("leakage", "slices", "slice_images", "membership"),
)
APP = Path(__file__).parents[2] / "dashboard" / "app.py"
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one run, ``sample``."""
    folder = tmp_path_factory.mktemp("runs")
    build(folder / "sample")
    return folder


@pytest.fixture(scope="session")
def odd_runs(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of hostile names, one that was broken off, and one without explanations."""
    folder = tmp_path_factory.mktemp("odd")
    shutil.copytree(runs / "sample", folder / "hostile")
    rename_group(folder / "hostile", "tone-1", HOSTILE)
    shutil.copytree(runs / "sample", folder / "plain")
    for name in (*EXPLAINED, *BEYOND):
        (folder / "plain" / "tables" / f"{name}.parquet").unlink()
    (folder / "broken").mkdir()
    record = json.loads((runs / "sample" / "run.json").read_text(encoding="utf-8"))
    record |= {"complete": False, "models": [], "name": "broken off"}
    record["data"]["counts"] = {}
    (folder / "broken" / "run.json").write_text(json.dumps(record), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def scanned_once() -> Iterator[None]:
    """`AppTest` looks through every installed package for components at each run, which takes half of its time."""
    from streamlit.components.v2 import manifest_scanner

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest_scanner, "scan_component_manifests", cache(manifest_scanner.scan_component_manifests))
        yield


@pytest.fixture
def open_app(scanned_once: None, monkeypatch: pytest.MonkeyPatch) -> Callable[..., AppTest]:
    """Function that runs the app over a folder of runs, with query parameters, on one of its pages."""
    from streamlit.testing.v1 import AppTest

    def run(folder: Path, view: str = "overview", /, **query: str) -> AppTest:
        monkeypatch.setenv(RUNS_VARIABLE, str(folder))
        app = AppTest.from_file(str(APP), default_timeout=60)
        for key, value in query.items():
            app.query_params[key] = value
        if view != "audits":
            app.switch_page(f"views/{view}.py")
        app.run()
        assert not app.exception, app.exception
        return app

    return run


@pytest.fixture(scope="module")
def server(runs: Path) -> Iterator[Server]:
    """The dashboard's own server process over the sample run."""
    with Server(runs, free_port()) as started:
        started.wait_until_ready()
        yield started


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """Chromium, driven by Playwright."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    with sync_api.sync_playwright() as play:
        opened = play.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield opened
        opened.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
