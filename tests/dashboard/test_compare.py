"""The Compare page: two models on the same images, read from the run or made here, and all models in one table."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from audit.run import Run, open_run
from audit.run.tables import write_table
from dashboard import nodes
from dashboard.compare import pairs
from dashboard.compare.pairs import Candidate, agreement, paired, paired_rows
from reports.figures import Curve, CurvesFigure
from reports.nodes import Cell, Column, Table
from reports.palette import LIGHT
from reports.sections.paired import PairedFacts

OpenApp = Callable[..., Any]
TORCH, KERAS = "biased-torch", "biased-keras"


@pytest.fixture
def sample(runs: Path) -> Run:
    return open_run(runs / "sample")


@pytest.fixture(scope="module")
def two_runs(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample run, and the same after a change: the first model no longer errs on the darkest tone."""
    folder = tmp_path_factory.mktemp("two")
    shutil.copytree(runs / "sample", folder / "before")
    shutil.copytree(runs / "sample", folder / "after")
    record = json.loads((folder / "after" / "run.json").read_text(encoding="utf-8")) | {"name": "after the change"}
    (folder / "after" / "run.json").write_text(json.dumps(record), encoding="utf-8")
    run = open_run(folder / "after")
    dark = set(run.table("images").query("attr_tone == 'tone-6'")["image_id"])
    made = run.table("predictions")
    mended = (made["model"] == TORCH) & made["image_id"].isin(dark) & (made["status"] == "ok")
    write_table(folder / "after", "predictions", made.assign(predicted=made["predicted"].where(~mended, made["label"])))
    findings = run.table("findings")
    flipped = findings.assign(verdict=findings["verdict"].where(findings["model"] != TORCH, "pass"))
    write_table(folder / "after", "findings", flipped)
    (folder / "after" / "tables" / "paired.parquet").unlink()
    return folder


def texts(app: Any) -> str:
    parts = [*app.text, *app.markdown, *app.caption, *app.info, *app.warning, *app.header, *app.subheader]
    return "\n".join(str(part.value).replace("\\", "").replace("\N{WORD JOINER}", "") for part in parts)


def right(run: Run, model: str) -> pd.Series:
    made = run.table("predictions")
    made = made[(made["model"] == model) & (made["status"] == "ok")].set_index("image_id")
    return made["predicted"] == made["label"]


def test_stored_comparison_is_read(sample: Run) -> None:
    found = paired(Candidate(sample, TORCH), Candidate(sample, KERAS))
    pd.testing.assert_frame_equal(found.table, sample.table("paired"), check_dtype=False)
    assert found.attributes == ("tone", "marker")
    assert paired_rows(found)["claim"].iloc[0].startswith("paired:biased-torch:biased-keras:overall:all:")


def test_the_other_way_round_is_made_here(sample: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    few = pairs.compare_runs
    monkeypatch.setattr(pairs, "compare_runs", lambda runs, models: few(runs, models, draws=99))
    there = paired(Candidate(sample, TORCH), Candidate(sample, KERAS)).table.copy()
    back = paired(Candidate(sample, KERAS), Candidate(sample, TORCH)).table.copy()
    keys = ["attribute", "group", "metric", "class"]
    for table in (there, back):
        table["class"] = table["class"].astype("object").where(table["class"].notna(), "")
    both = there[there["metric"] == "accuracy"].merge(back, on=keys)
    rates = both[both["group"] != "(range)"]
    assert len(rates) >= 8
    assert rates["difference_x"].tolist() == pytest.approx((-rates["difference_y"]).tolist())
    assert rates["only_first_x"].tolist() == rates["only_second_y"].tolist()


def test_agreement_by_counting(sample: Run) -> None:
    found = agreement(paired(Candidate(sample, TORCH), Candidate(sample, KERAS)), "tone").set_index("group")
    first, second = right(sample, TORCH), right(sample, KERAS)
    tone = sample.table("images").set_index("image_id")["attr_tone"].reindex(first.index)
    for group in ("everybody", "tone-1", "tone-5"):
        own = tone.notna() if group == "everybody" else tone == group
        counted = {
            "n": own.sum(),
            "both": (own & first & second).sum(),
            "only_first": (own & first & ~second).sum(),
            "only_second": (own & ~first & second).sum(),
            "neither": (own & ~first & ~second).sum(),
        }
        assert {name: found.loc[group, name] for name in counted} == counted


def test_two_runs_are_paired_image_by_image(two_runs: Path, open_app: OpenApp) -> None:
    app = open_app(two_runs, "compare", run="before", first=f"before/{TORCH}", second=f"after/{TORCH}")
    before, after = open_run(two_runs / "before"), open_run(two_runs / "after")
    one, two = right(before, TORCH), right(after, TORCH)
    said = texts(app)
    assert f"from {one.mean():.3f} to {two.mean():.3f}" in said
    assert f"right only after: {int((~one & two).sum())}, right only before: 0" in said
    assert "better for tone-6; worse for nobody" in said
    assert app.query_params["first"] == f"before/{TORCH}"
    assert app.query_params["second"] == f"after/{TORCH}"
    app.segmented_control(key="compared").set_value("verdicts").run()
    assert "verdicts changed" in texts(app)
    assert {"Before", "After"} <= set(app.dataframe[0].value.columns)


def test_forest_follows_attribute_and_metric(runs: Path, sample: Run, open_app: OpenApp) -> None:
    query = {"first": f"sample/{TORCH}", "second": f"sample/{KERAS}", "attribute": "marker"}
    app = open_app(runs, "compare", run="sample", **query, changed="false positive rate, cross")
    rows = sample.table("paired")
    rows = rows[(rows["attribute"] == "marker") & (rows["metric"] == "false_positive_rate")].set_index("group")
    shown = app.dataframe[0].value.set_index("marker")
    assert shown.loc["present", "Change"] == f"{rows.loc['present', 'difference']:+.3f}"
    assert "paired:biased-torch:biased-keras:marker:present" in shown.loc["present", "claims"]
    assert {str(item.key) for item in app.download_button} >= {"download_comparison"}


def test_release_table_holds_every_model(two_runs: Path, open_app: OpenApp) -> None:
    app = open_app(two_runs, "compare", run="before", compared="release")
    shown = app.dataframe[0].value
    assert len(shown) == 4
    fails = open_run(two_runs / "before").table("findings").query("verdict == 'fail'")["model"].value_counts()
    own = shown.set_index("Model")
    assert int(own.loc[f"{TORCH}, sample run (synthetic)", "Fail"]) == fails[TORCH]
    assert int(own.loc[f"{TORCH}, after the change", "Fail"]) == 0
    app.multiselect(key="audits").set_value(["after"]).run()
    assert app.query_params["audits"] == "after"
    assert len(app.dataframe[0].value) == 2


def test_agreement_page(runs: Path, open_app: OpenApp) -> None:
    app = open_app(runs, "compare", run="sample", compared="agreement", attribute="tone")
    shown = app.dataframe[0].value
    assert shown["group"].iloc[0] == "everybody"
    counted = shown[["both right", "only the first right", "only the second right", "neither right"]].sum(axis=1)
    assert counted.tolist() == shown["n"].tolist()


def test_runs_over_other_images_say_why(runs: Path, tmp_path: Path, open_app: OpenApp) -> None:
    for name in ("here", "there"):
        shutil.copytree(runs / "sample", tmp_path / name, ignore=shutil.ignore_patterns("shards", "thumbnails"))
    images = open_run(tmp_path / "there").table("images")
    write_table(tmp_path / "there", "images", images.assign(sha256="0" * 64))
    app = open_app(tmp_path, "compare", run="here", first=f"here/{TORCH}", second=f"there/{TORCH}")
    assert "image 'synthetic-0000' is another file" in texts(app)
    assert "The two cannot be compared" in texts(app)
    assert not app.error


def test_large_comparison_waits_for_its_button(
    two_runs: Path, open_app: OpenApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pairs, "_MANY_IMAGES", 100)
    query = {"first": f"before/{KERAS}", "second": f"after/{KERAS}"}
    app = open_app(two_runs, "compare", run="before", **query)
    assert "making one takes a while" in texts(app)
    assert not app.dataframe
    app.button(key="compare_now").click().run()
    assert "Everybody: the share of images classified correctly goes from" in texts(app)
    assert "making one takes a while" not in texts(open_app(two_runs, "compare", run="before", **query))


@pytest.mark.parametrize("part", ["changed", "verdicts", "agreement", "release"])
@pytest.mark.parametrize("run", ["hostile", "plain", "broken"])
def test_odd_runs(odd_runs: Path, open_app: OpenApp, part: str, run: str) -> None:
    app = open_app(odd_runs, "compare", run=run, compared=part)
    assert not app.error
    for item in [*app.markdown, *app.caption, *app.header, *app.info, *app.warning, *app.subheader]:
        assert "<b>" not in item.value
        assert ":red[" not in item.value


# Sections of a report on a page


def test_table_of_a_report_as_a_frame() -> None:
    rows = (
        (Cell("a"), Cell("0.1", claim="groups:m:x:a:accuracy:"), Cell("2", note="of 9")),
        (Cell("b"), Cell("0.2", claim="groups:m:x:b:accuracy:"), Cell("3")),
    )
    frame = nodes.table_frame(Table("t", (Column("Group"), Column("Value"), Column("Value")), rows))
    assert frame.columns.tolist() == ["Group", "Value", "Value 2", "claims"]
    assert frame.loc[0].tolist() == ["a", "0.1", "2 (of 9)", "groups:m:x:a:accuracy:"]
    empty = nodes.table_frame(Table("t", (Column("Group"),), ()))
    assert empty.columns.tolist() == ["Group"]


def test_curves_over_epochs_leave_out_what_is_not_known() -> None:
    curves = (Curve("training", (0.5, None, 0.25)), Curve("validation", (0.5, 0.75, 1.0), dashed=True))
    drawn = nodes.draw(CurvesFigure("t", "loss", (1, 2, 3), curves, 1, "least"), LIGHT)
    assert [list(trace.x) for trace in drawn.data] == [[1, 3], [1, 2, 3]]
    assert [list(trace.y) for trace in drawn.data] == [[0.5, 0.25], [0.5, 0.75, 1.0]]
    assert [shape.x0 for shape in drawn.layout.shapes] == [1]
    again = nodes.draw(CurvesFigure("t", "loss", (1, 2, 3), curves, 1, "least"), LIGHT)
    assert len(again.layout.shapes) == 1


def test_facts_are_those_of_the_report(sample: Run) -> None:
    found = paired(Candidate(sample, TORCH), Candidate(sample, KERAS))
    assert isinstance(found, PairedFacts)
    assert found.clustered
    assert found.positive == "cross"
