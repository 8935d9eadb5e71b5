"""The Try it page: off unless asked for, never for others, what is missing said, and the audit's answer read back."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from audit.errors import InputError
from audit.run import Run, open_run
from audit.trust import NOTHING, Trust
from dashboard.access import ALLOW_LIST_VARIABLE, Login
from dashboard.server import Server, _environment, command
from dashboard.trying import needed, switch
from dashboard.trying.needed import methods_for, obstacle, places
from dashboard.trying.switch import TRY_IT_VARIABLES, TryIt, try_it, try_it_variables
from tests.dashboard import test_axe
from tests.dashboard.conftest import free_port
from tests.dashboard.test_pages import texts
from tests.tried import audit_built_in

if TYPE_CHECKING:
    from playwright.sync_api import Browser

OpenApp = Callable[..., Any]
axe = test_axe.axe
NAME = "images__test-00003.png"
EVERYWHERE = "0.0.0.0"  # noqa: S104 - to be refused
LOGIN = Login(Path("/allowed"), Path("/secrets"), "https://faircam.example.org")


@pytest.fixture(scope="module")
def built_in(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return audit_built_in(tmp_path_factory.mktemp("built-in"))


@pytest.fixture
def switched_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in try_it_variables(TryIt(tmp_path)).items():
        monkeypatch.setenv(name, value)


def image_of(run: Run) -> Path:
    return run.path.parents[1] / "data" / "images" / "test-00003.png"


def stored(run: Run) -> Any:
    rows = run.table("predictions")
    return rows[rows["image_id"] == NAME].iloc[0]


def said(app: Any) -> str:
    return (
        "\n".join([texts(app), *(item.value for item in app.subheader)])
        .replace("\\", "")
        .replace("\N{WORD JOINER}", "")
    )


def test_it_is_off_unless_asked_for(runs: Path, open_app: OpenApp) -> None:
    assert try_it({}) is None
    app = open_app(runs, "try_it", run="sample")
    assert [title.value for title in app.title] == ["Audits"]  # there is no such page, so the first one comes
    assert "--server.maxUploadSize=1" in command(8600)


@pytest.mark.parametrize(
    ("address", "login"), [(EVERYWHERE, None), ("192.0.2.1", None), ("127.0.0.1", LOGIN), (EVERYWHERE, LOGIN)]
)
def test_it_is_refused_where_others_reach_the_dashboard(
    runs: Path, tmp_path: Path, address: str, login: Login | None
) -> None:
    with pytest.raises(InputError, match="runs models for whoever opens the page"):
        Server(runs, free_port(), address, login, TryIt(tmp_path))


def test_an_allow_list_turns_it_off_whatever_else_is_said(tmp_path: Path) -> None:
    said = try_it_variables(TryIt(tmp_path))
    assert try_it(said) == TryIt(tmp_path.resolve())
    assert try_it({**said, ALLOW_LIST_VARIABLE: "list"}) is None


def test_the_app_hears_of_it_from_the_command_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in TRY_IT_VARIABLES:
        monkeypatch.setenv(name, "/somewhere")
    assert not set(_environment(tmp_path, None)) & set(TRY_IT_VARIABLES)
    assert try_it(_environment(tmp_path, None, TryIt(tmp_path))) == TryIt(tmp_path.resolve(), NOTHING)
    trust = Trust(True, ("a" * 64,))
    assert try_it(_environment(tmp_path, None, TryIt(tmp_path, trust))) == TryIt(tmp_path.resolve(), trust)
    assert f"--server.maxUploadSize={switch.MOST_MEGABYTES}" in command(8600, try_it=TryIt(tmp_path))


def entry(**changes: Any) -> Run:
    """A run with one model, whose section in the config and whose record have these values."""
    model = {"name": "m", "framework": "torch", "architecture": "plain_cnn", "weights": "m.safetensors", **changes}
    record = {"config": {"models": [model]}, "models": [{"name": "m", "framework": model["framework"]}]}
    return Run(Path("/nowhere/runs/m"), record)


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (entry(), r"no file m\.safetensors.*Looked in /base, /nowhere/runs, /nowhere, /\."),
        (entry(architecture="mine.nets:make"), r"runs code of its own, mine\.nets:make.*--trust-code"),
        (entry(framework="callable", function="mine:score", weights=None), "runs code of its own, mine:score"),
        (entry(framework="memory"), "handed over in a notebook"),
        (entry(weights=None), "does not say where this model's file lies"),
    ],
)
def test_what_is_in_the_way_is_said(run: Run, words: str) -> None:
    assert re.search(words, obstacle(run, "m", TryIt(Path("/base"))) or "")


@pytest.mark.parametrize(
    ("framework", "package", "extra"),
    [("torch", "torch", "torch"), ("keras", "tensorflow and keras", "tensorflow"), ("onnx", "onnxruntime", "onnx")],
)
def test_a_missing_framework_is_named_with_its_extra(
    monkeypatch: pytest.MonkeyPatch, framework: str, package: str, extra: str
) -> None:
    monkeypatch.setattr(needed, "find_spec", lambda _name: None)
    words = obstacle(entry(framework=framework), "m", TryIt(Path("/base"))) or ""
    assert words.startswith(f"This model needs {package}, not installed here.")
    assert words.endswith(f"pip install 'faircam[{extra}]'")


def test_the_model_is_looked_for_where_the_dashboard_was_started_and_above_the_run(built_in: Run) -> None:
    base = built_in.path.parents[1]
    assert places(built_in, TryIt(base))[0] == base
    assert obstacle(built_in, "closed-form", TryIt(Path("/base"))) is None


def test_methods_are_those_that_gave_maps(runs: Path, built_in: Run) -> None:
    assert methods_for(built_in, "closed-form") == ["saliency", "grad_cam"]
    assert methods_for(open_run(runs / "sample"), "biased-torch") == ["saliency", "gradient_x_input", "grad_cam"]


@pytest.mark.usefixtures("switched_on")
def test_a_run_whose_model_is_not_here_says_so(runs: Path, open_app: OpenApp) -> None:
    app = open_app(runs, "try_it", run="sample")
    assert "does not say where this model" in app.warning[0].value.replace("\\", "")
    assert not app.file_uploader


@pytest.mark.usefixtures("switched_on")
def test_an_image_is_predicted_as_in_the_audit(built_in: Run, open_app: OpenApp) -> None:
    app = open_app(built_in.path.parent, "try_it", run="built-in")
    button = app.button(key="try_image")
    assert button.disabled
    content = image_of(built_in).read_bytes()
    app.file_uploader(key="tried_image").upload("what <b>ever</b>.png", content, "image/png")
    app.run()
    app.button(key="try_image").click().run()
    assert not app.exception
    assert not app.error
    row = stored(built_in)
    words = said(app)
    assert f"{row['predicted']}, with {row['confidence']:.3f}" in words
    assert f"This file is image {NAME} of the audit, label {row['label']}." in words
    assert f"The run holds {row['predicted']} with {row['confidence']:.3f}, the same." in words
    table = app.dataframe[0].value.set_index("Class")["Probability"]
    found = table[list(built_in.record["data"]["classes"])]
    np.testing.assert_allclose(found, row["probabilities"], atol=1e-6)
    assert words.count("layer features") == 1
    app.file_uploader(key="tried_image").clear()
    app.run()
    assert "the same." not in said(app)
    assert "_faircam_tried" not in app.session_state


@pytest.mark.usefixtures("switched_on")
def test_what_is_no_image_is_refused_on_the_page(built_in: Run, open_app: OpenApp) -> None:
    app = open_app(built_in.path.parent, "try_it", run="built-in")
    app.file_uploader(key="tried_image").upload("x.png", b"<html>", "image/png")
    app.run()
    app.button(key="try_image").click().run()
    assert "the image cannot be used, unsupported" in app.error[0].value.replace("\\", "")


@pytest.mark.browser
@pytest.mark.slow
def test_an_image_of_the_built_in_set_is_tried_in_the_browser(built_in: Run, browser: Browser, axe: str) -> None:
    row = stored(built_in)
    with Server(built_in.path.parent, free_port(), try_it=TryIt(Path("/"))) as server:
        server.wait_until_ready()
        page = browser.new_page(viewport={"width": 1440, "height": 1000})
        page.set_default_timeout(45_000)
        page.goto(f"{server.url}/try_it?run=built-in")
        page.locator("input[type=file]").set_input_files(image_of(built_in))
        press = page.get_by_role("button", name="Predict and explain")
        page.wait_for_function("button => !button.disabled", arg=press.element_handle())
        press.click()
        page.get_by_role("button", name="Cancel").click()
        page.get_by_role("button", name="Cancel").wait_for(state="detached")
        assert page.get_by_role("heading", name="Prediction").count() == 0
        press.click()
        page.get_by_role("heading", name="Prediction").wait_for()
        page.get_by_text(f"{row['predicted']}, with {row['confidence']:.3f}", exact=True).wait_for()
        page.get_by_text(f"{row['predicted']} with {row['confidence']:.3f}, the same.").wait_for()
        maps = page.locator(".st-key-tried_maps img")
        maps.nth(1).wait_for()
        assert maps.count() == 2
        found = {}
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            page.wait_for_timeout(500)
            found[scheme] = test_axe.grave(page, axe)
        assert found == {"light": [], "dark": []}
        page.close()
