"""The demo in small: every step, its files, and going on after a break."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit.data import synthetic
from audit.demo import run_demo
from audit.errors import InputError, ModelError
from audit.run import open_run

pytestmark = pytest.mark.slow


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer images, and PyTorch only: the whole demo is what `make demo` is for."""
    specs = synthetic.DemoSpecs(
        biased_train=synthetic.SyntheticSpec(160, 1, marker_rates=(0.05, 0.95)),
        control_train=synthetic.SyntheticSpec(160, 1),
        validation=synthetic.SyntheticSpec(48, 2),
        test=synthetic.SyntheticSpec(96, 3),
    )
    monkeypatch.setattr("audit.demo.demo_specs", lambda _seed: specs)
    monkeypatch.setattr("audit.demo._FRAMEWORKS", {"torch": "torch"})
    monkeypatch.setattr("audit.demo.DEMO_EPOCHS", 1)
    monkeypatch.setattr("audit.demo._MEASURED", 8)


@pytest.mark.torch
@pytest.mark.usefixtures("small")
def test_every_step_and_again(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    said: list[str] = []
    result = run_demo(tmp_path / "demo", say=said.append)
    assert [run.path.name for run in result.runs] == ["biased", "control"]
    assert all(run.complete for run in result.runs)
    assert all(path.stat().st_size > 10_000 for path in result.reports)
    run = open_run(tmp_path / "demo" / "biased")
    assert set(run.table("training")["model"]) == {"biased-torch"}
    checks = run.table("crosschecks").groupby("method")["status"].agg(set)
    assert checks.pop("layer_cam") == {"not_measured"}  # captum has none
    assert set.union(*checks) <= {"ok", "undefined"}
    assert len(run.table("stamps").query("check == 'overall'")) == 5
    assert "intervention_effect-marker" in set(run.table("findings")["rule"])
    assert "region_share-marker-saliency" in set(run.table("findings")["rule"])
    assert len(said) == 5
    again: list[str] = []
    run_demo(tmp_path / "demo", say=again.append)
    assert again == [line for line in said if line.startswith("Auditing")]
    with pytest.raises(InputError, match="another seed"):
        run_demo(tmp_path / "demo", seed=7)


@pytest.mark.usefixtures("small")
def test_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(InputError, match="holds other things"):
        run_demo(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_without_a_framework(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.demo._FRAMEWORKS", {"torch": "no_such_package"})
    with pytest.raises(ModelError, match=r"faircam\[torch\]"):
        run_demo(tmp_path / "demo")
    assert not (tmp_path / "demo").exists()


def test_init_writes_configs_that_are_valid(tmp_path: Path) -> None:
    from audit.config import AuditConfig, load_config
    from audit.findings import load_policy
    from audit.scaffold import write_scaffold

    written = write_scaffold(tmp_path / "mine")
    assert load_config(AuditConfig, written[0]).models[0].name == "mine"
    assert load_policy(written[1]).rules[0].metric == "accuracy"
    with pytest.raises(InputError, match="exists already"):
        write_scaffold(tmp_path / "mine")
