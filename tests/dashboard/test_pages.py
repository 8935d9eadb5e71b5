"""What each page shows of the sample run, and of runs that lack something; no browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audit.run import open_run
from reports.palette import verdict_style
from tests.dashboard.runs import HOSTILE

OpenApp = Callable[..., Any]


def texts(app: Any) -> str:
    parts = [*app.text, *app.markdown, *app.caption, *app.info, *app.warning, *app.title, *app.header]
    return "\n".join(str(part.value) for part in parts)


def test_overview_lists_failing_findings_first(runs: Path, open_app: OpenApp) -> None:
    app = open_app(runs)
    findings = open_run(runs / "sample").table("findings")
    said = [item.value for item in app.text]
    fails = findings.loc[findings["verdict"] == "fail", "text"].tolist()
    assert len(fails) > 1
    assert [text for text in said if text in set(findings["text"])][: len(fails)] == fails
    numbers = {metric.label.split()[-1]: int(metric.value) for metric in app.metric}
    counted = findings["verdict"].value_counts()
    shown = {verdict_style(verdict).word: int(number) for verdict, number in counted.items()}
    assert numbers == {"Fail": 0, "Pass": 0} | shown


def test_overview_links_name_run_model_and_cell(runs: Path, open_app: OpenApp) -> None:
    link = open_app(runs).get("page_link")[0].proto
    assert "run=sample" in link.query_string
    assert "model=biased-torch" in link.query_string
    assert "attribute=tone" in link.query_string
    assert "metric=accuracy" in link.query_string


def test_finding_on_a_region_links_to_its_chart(runs: Path, open_app: OpenApp) -> None:
    links = [item.proto for item in open_app(runs).get("page_link")]
    about = next(link for link in links if "part=regions" in link.query_string)
    assert about.page.endswith("explanations")
    assert "region=marker" in about.query_string
    assert "method=saliency" in about.query_string
    assert "model=biased-torch" in about.query_string
    effect = next(link for link in links if "part=interventions" in link.query_string)
    assert "region=marker" in effect.query_string
    assert "regions-by=overall" in effect.query_string
    assert effect.label.replace("\\", "") == "effect of hiding marker, biased-torch"


def test_overview_counts_add_up(runs: Path, open_app: OpenApp) -> None:
    app = open_app(runs, by="marker")
    table = next(item.value for item in app.dataframe if "total" in item.value.columns)
    images = open_run(runs / "sample").table("images")
    usable = images[images["status"] == "ok"]
    assert int(table["total"].sum()) == len(usable)
    assert table.set_index("group")["total"].to_dict() == usable["attr_marker"].value_counts().to_dict()


def test_fairness_shows_the_cell_of_the_address(runs: Path, open_app: OpenApp) -> None:
    query = {"run": "sample", "model": "biased-keras", "attribute": "marker"}
    app = open_app(runs, "fairness", **query, metric="false_positive_rate", **{"class": "cross"})
    assert "False positive rate" in app.header[0].value
    groups = open_run(runs / "sample").table("groups")
    wanted = groups[
        (groups["model"] == "biased-keras")
        & (groups["attribute"] == "marker")
        & (groups["metric"] == "false_positive_rate")
        & (groups["class"] == "cross")
    ].set_index("group")
    shown = app.dataframe[0].value.set_index("group")
    for group in wanted.index:
        assert shown.loc[group, "value"] == pytest.approx(wanted.loc[group, "value"])
        assert shown.loc[group, "n"] == wanted.loc[group, "n"]
    assert shown.index[-1] == "everybody"


def test_fairness_says_why_a_value_is_undefined(runs: Path, open_app: OpenApp) -> None:
    groups = open_run(runs / "sample").table("groups")
    row = groups[groups["value"].isna()].iloc[0]
    query = {key: str(row[key]) for key in ("model", "attribute", "metric", "class")}
    app = open_app(runs, "fairness", run="sample", **query)
    assert "Not defined or not shown for" in texts(app)
    assert str(row["group"]) in texts(app)


def test_change_of_a_filter_changes_the_address(runs: Path, open_app: OpenApp) -> None:
    app = open_app(runs, "fairness")
    app.selectbox(key="attribute").select("marker").run()
    app.selectbox(key="metric").select("auc").run()
    assert app.query_params["attribute"] == "marker"
    assert app.query_params["metric"] == "auc"
    again = open_app(runs, "fairness", **{key: str(value) for key, value in app.query_params.items()})
    assert again.selectbox(key="attribute").value == "marker"
    assert again.selectbox(key="metric").value == "auc"
    assert again.header[0].value == app.header[0].value


def test_link_to_what_is_not_there_says_so(runs: Path, open_app: OpenApp) -> None:
    app = open_app(runs, "fairness", run="sample", attribute="colour")
    assert any("colour" in item.value for item in app.warning)
    assert app.selectbox(key="attribute").value == "tone"


def test_explanations_filter_by_outcome_and_disagreement(runs: Path, open_app: OpenApp) -> None:
    run = open_run(runs / "sample")
    explained = set(run.table("explanations")["image_id"])
    made = run.table("predictions")
    wide = made[made["image_id"].isin(explained)].pivot(index="image_id", columns="model", values="predicted")
    label = made.drop_duplicates("image_id").set_index("image_id")["label"].reindex(wide.index)
    false_positive = (label != "cross") & (wide["biased-torch"] == "cross")
    differ = wide["biased-torch"] != wide["biased-keras"]
    app = open_app(runs, "explanations", model="biased-torch", outcome="false-positive", disagreement="yes")
    assert f"{int((false_positive & differ).sum())} of {len(explained)} explained images" in texts(app)
    picked = [button.key for button in app.button if str(button.key).startswith("pick_")]
    assert picked == [f"pick_{name}" for name in wide.index[false_positive & differ]]


def test_explanations_show_each_model_and_method(runs: Path, open_app: OpenApp) -> None:
    app = open_app(runs, "explanations")
    assert [item.value for item in app.subheader] == ["biased\\-torch\\, PyTorch", "biased\\-keras\\, Keras"]
    said = texts(app)
    for words in ("Saliency", "Gradient × input", "Grad\\-CAM"):
        assert said.count(f"**{words}**") == 2
    assert "layer relu2" in said
    assert "logit" in said
    assert "On this scale colours compare models" in said


def test_picking_a_thumbnail_moves_the_address(runs: Path, open_app: OpenApp) -> None:
    app = open_app(runs, "explanations")
    button = [item for item in app.button if str(item.key).startswith("pick_")][3]
    button.click().run()
    image = str(button.key).removeprefix("pick_")
    assert app.query_params["image"] == image
    again = open_app(runs, "explanations", **{key: str(value) for key, value in app.query_params.items()})
    assert any(image in item.value.replace("\\", "") for item in again.header)


def test_provenance_checks_the_plan_and_offers_every_table(runs: Path, open_app: OpenApp) -> None:
    app = open_app(runs, "provenance")
    assert "equal to the record" in texts(app)
    written = {path.stem for path in (runs / "sample" / "tables").glob("*.parquet")}
    options = {str(option).replace(" ", "_") for option in app.selectbox(key="table").options}
    assert options == written
    files = {str(item.key) for item in app.download_button}
    assert files >= {"table_csv", "table_parquet", "report_html", "report_pdf", "report_md", "report_json"}


def test_changed_plan_is_reported(runs: Path, tmp_path: Path, open_app: OpenApp) -> None:
    import shutil

    shutil.copytree(runs / "sample", tmp_path / "sample")
    plan = tmp_path / "sample" / "plan.json"
    plan.write_text(plan.read_text(encoding="utf-8").replace('"rows": 240', '"rows": 241'), encoding="utf-8")
    app = open_app(tmp_path, "provenance")
    assert any("was changed after it was written" in item.value for item in app.warning)


@pytest.mark.parametrize("page", ["overview", "fairness", "explanations", "provenance"])
def test_broken_off_run_says_incomplete(odd_runs: Path, open_app: OpenApp, page: str) -> None:
    app = open_app(odd_runs, page, run="broken")
    assert any(item.value.startswith("INCOMPLETE: 0 of 240") for item in app.warning)
    assert not app.error


@pytest.mark.parametrize("page", ["overview", "fairness", "explanations", "provenance"])
def test_run_without_explanations_says_so(odd_runs: Path, open_app: OpenApp, page: str) -> None:
    app = open_app(odd_runs, page, run="plain")
    assert not app.error
    if page == "explanations":
        assert "No image was explained" in texts(app)


@pytest.mark.parametrize("page", ["overview", "fairness", "explanations", "provenance"])
def test_names_with_markup_are_escaped(odd_runs: Path, open_app: OpenApp, page: str) -> None:
    app = open_app(odd_runs, page, run="hostile")
    assert not app.error
    for item in [*app.markdown, *app.caption, *app.header, *app.info, *app.warning]:
        assert "<b>" not in item.value
        assert ":red[" not in item.value
        assert "](http" not in item.value


def test_link_with_markup_is_escaped(runs: Path, open_app: OpenApp) -> None:
    app = open_app(runs, "fairness", run="sample", attribute=HOSTILE)
    assert app.warning
    assert all("<b>" not in item.value and ":red[" not in item.value for item in app.warning)


def test_run_picker_lists_every_run(odd_runs: Path, open_app: OpenApp) -> None:
    app = open_app(odd_runs, run="plain")
    same = "sample run (synthetic)"
    wanted = {"broken off (incomplete)", f"{same}, in hostile", f"{same}, in plain"}
    assert set(app.selectbox(key="run").options) == wanted
    app.selectbox(key="run").select_index(0).run()
    assert not app.exception
