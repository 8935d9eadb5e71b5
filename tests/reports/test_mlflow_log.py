"""A run in MLflow: every number read back, names that MLflow takes and that tell every number apart."""

from __future__ import annotations

import hashlib
import io
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.errors import InputError, RunError
from audit.run import Run
from reports.mlflow_log import log_run, logged_metrics
from reports.mlflow_names import LONGEST, mlflow_names
from tests.reports.conftest import Change

HOSTILE = ["<b>Ä & ü</b>", "a/b", "../up", "عربي", "🙂", "x" * 300, "x" * 301, "Tone", "tone", " ", "."]


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch) -> Any:
    """MLflow with its store of files, which it wants to be asked for."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    return pytest.importorskip("mlflow")


def test_names_of_a_few_numbers() -> None:
    """Digits are those of ``sha256sum`` over the word that was changed."""
    paths = [
        ("groups", "plain", "tone x marker", "tone-1 x absent", "true_positive_rate.cross"),
        ("groups", "plain", "tone", "a/b", "accuracy"),
        ("groups", "plain", "age", "25 to < 60", "accuracy"),
        ("groups", "plain", "tone", "Dark", "accuracy"),
        ("groups", "plain", "tone", "dark", "accuracy"),
    ]
    first, second, aged, third, fourth = mlflow_names(paths)
    assert first == "groups/plain/tone x marker/tone-1 x absent/true_positive_rate.cross"
    assert second == "groups/plain/tone/a_b-c14cddc0/accuracy"
    assert aged == "groups/plain/age/25 to below 60-6f95532e/accuracy"
    assert re.fullmatch(r"groups/plain/tone/Dark/accuracy-[0-9a-f]{8}", third)
    assert re.fullmatch(r"groups/plain/tone/dark/accuracy-[0-9a-f]{8}", fourth)
    assert third[-8:] != fourth[-8:]


def test_a_path_that_stands_twice_is_refused() -> None:
    with pytest.raises(RunError, match=r"\['a'\] and \['a'\] have one name in MLflow"):
        mlflow_names([("a",), tuple("a")])


words = st.one_of(st.text(max_size=60), st.sampled_from(HOSTILE))


@given(st.lists(st.tuples(st.just("groups.low"), words, words, words, words), unique=True, max_size=12))
def test_names_hold_for_any_words(paths: list[tuple[str, ...]]) -> None:
    """The rules are MLflow's own: characters, a path that stays as it is, length; and no two names alike."""
    names = mlflow_names(paths)
    assert len({name.casefold() for name in names}) == len(paths)
    for name in names:
        assert re.fullmatch(r"[/A-Za-z0-9_.\- ]+", name)
        assert all(part.strip(" .") == part != "" for part in name.split("/"))
        assert len(name.split("/")) == 5
        assert len(name) <= LONGEST


def test_every_number_is_read_back(sample: Run, mlflow: Any, tmp_path: Path) -> None:
    uri = (tmp_path / "store").as_uri()
    run_id = log_run(sample, uri, "audits")
    client = mlflow.MlflowClient(tracking_uri=uri)
    kept = client.get_run(run_id)
    assert client.get_experiment(kept.info.experiment_id).name == "audits"
    metrics = dict(kept.data.metrics)
    groups, gaps = sample.table("groups"), sample.table("gaps")
    for row in groups.to_dict("records"):
        last = row["metric"] if pd.isna(row["class"]) else f"{row['metric']}.{row['class']}"
        group = str(row["group"])
        if "(" in group:
            group = f"{group.replace('(missing)', 'missing')}-{hashlib.sha256(group.encode()).hexdigest()[:8]}"
        place = f"{row['model']}/{row['attribute']}/{group}/{last}"
        for field in ("value", "low", "high", "n"):
            name = f"groups{'' if field == 'value' else '.' + field}/{place}"
            assert metrics.pop(name, None) == (None if pd.isna(row[field]) else row[field]), name
    for row in gaps.to_dict("records"):
        last = row["metric"] if pd.isna(row["class"]) else f"{row['metric']}.{row['class']}"
        last += "" if row["compare"] == "range" else f".{row['compare']}"
        for field in ("value", "low", "high", "p_adjusted"):
            name = f"gaps{'' if field == 'value' else '.' + field}/{row['model']}/{row['attribute']}/{last}"
            assert metrics.pop(name, None) == (None if pd.isna(row[field]) else row[field]), name
    verdicts = sample.table("findings")["verdict"].value_counts().to_dict()
    assert {name: value for name, value in metrics.items() if value} == {
        f"findings/{verdict}": count for verdict, count in verdicts.items()
    }


def test_tags_parameters_and_artefacts(sample: Run, mlflow: Any, tmp_path: Path) -> None:
    uri = (tmp_path / "store").as_uri()
    run_id = log_run(sample, uri, "audits")
    client = mlflow.MlflowClient(tracking_uri=uri)
    kept = client.get_run(run_id)
    tags, verdicts = kept.data.tags, sample.table("findings")["verdict"].value_counts()
    assert tags["faircam.fingerprint"] == sample.record["fingerprint"]
    assert tags["faircam.complete"] == "true"
    assert tags["faircam.findings.fail"] == str(verdicts["fail"])
    assert tags["faircam.findings.waived"] == "0"
    assert tags["mlflow.runName"] == sample.name
    assert kept.data.params["model/biased-torch/framework"] == "torch"
    assert kept.data.params["classes"] == '["cross", "disc"]'
    assert kept.info.status == "FINISHED"
    names = {item.path for item in client.list_artifacts(run_id)}
    assert names == {"metrics.csv", "report.html", "run.json", "tables"}
    tables = {Path(item.path).name for item in client.list_artifacts(run_id, "tables")}
    assert tables == {path.name for path in (sample.path / "tables").glob("*.parquet")}
    folder = Path(kept.info.artifact_uri.removeprefix("file://"))
    mapping = pd.read_csv(folder / "metrics.csv")
    assert mapping["name"].is_unique
    assert set(mapping.loc[mapping["value"].notna(), "name"]) <= set(kept.data.metrics)
    assert (folder / "tables" / "groups.parquet").read_bytes() == (
        sample.path / "tables" / "groups.parquet"
    ).read_bytes()
    assert (folder / "report.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_hostile_names_and_numbers_that_are_not_finite(changed: Change, mlflow: Any, tmp_path: Path) -> None:
    """Every group in an attribute of any characters keeps its own number; what is infinite or undefined is listed."""
    row = {"model": "m:1", "attribute": "ton\n", "metric": "accuracy", "class": None, "n": 4, "clusters": 4}
    rows = [{**row, "group": name, "value": place / 7} for place, name in enumerate(HOSTILE)]
    rows += [{**row, "group": "inf", "value": float("inf")}, {**row, "group": "nan", "value": float("nan")}]
    frame = pd.DataFrame(rows).assign(low=None, high=None, method="none", status="ok")
    run = changed({"groups": frame, "gaps": pd.DataFrame(columns=run_columns())})
    uri = (tmp_path / "store").as_uri()
    run_id = log_run(run, uri, "Ä/b 🙂")
    kept = mlflow.MlflowClient(tracking_uri=uri).get_run(run_id).data.metrics
    numbers = [item for item in logged_metrics(run) if item.field == "value"]
    assert [kept.get(item.name) for item in numbers] == [*(place / 7 for place in range(len(HOSTILE))), None, None]


def run_columns() -> list[str]:
    from audit.run.schema import columns

    return columns("gaps")


def test_an_incomplete_run_says_so(changed: Change, mlflow: Any, tmp_path: Path) -> None:
    uri = (tmp_path / "store").as_uri()
    kept = mlflow.MlflowClient(tracking_uri=uri).get_run(log_run(changed(complete=False), uri, "audits"))
    assert kept.data.tags["faircam.complete"] == "false"
    assert kept.data.tags["mlflow.note.content"].startswith("The run is INCOMPLETE.")


def test_a_store_that_cannot_be_opened(
    sample: Run, mlflow: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"ftp://nowhere: MLflow says: .* Fix: name another store"):
        log_run(sample, "ftp://nowhere", "audits")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "false")
    with pytest.raises(InputError, match=r"MLflow says: .* sqlite:///mlflow.db is a store in one local file"):
        log_run(sample, (tmp_path / "store").as_uri(), "audits")


def test_mapping_is_the_same_whenever_it_is_made(sample: Run) -> None:
    first, second = (pd.DataFrame([vars(item) for item in logged_metrics(sample)]) for _ in range(2))
    pd.testing.assert_frame_equal(first, second)
    written = io.StringIO()
    first.to_csv(written, index=False)
    assert str(sample.path) not in written.getvalue()
