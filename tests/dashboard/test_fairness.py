"""The Fairness page: verdicts that follow the controls, and what lies beyond the named groups; no browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from audit.fairness import Permutations, Question, count_predictions, measure
from audit.run import open_run
from dashboard.fairness import counted
from dashboard.fairness.groups import _background, _cells, _wide
from dashboard.fairness.verdicts import Cell, Judged, Settings, judge_cells
from dashboard.line_plots import lines
from dashboard.plots import forest
from reports.figures import ForestFigure, ForestRow, Line, LinesFigure, Point
from reports.palette import LIGHT

OpenApp = Callable[..., Any]
CHOSEN = {"run": "sample", "model": "biased-torch", "attribute": "marker", "metric": "accuracy"}
VIEWS = ("groups", "confidence", "unnamed", "map", "conditions")


def texts(app: Any) -> str:
    parts = [*app.text, *app.markdown, *app.caption, *app.info, *app.warning, *app.header]
    return "\n".join(str(part.value) for part in parts)


def verdict(app: Any) -> str:
    """Word of the verdict on the chosen cell."""
    return next(item.value for item in app.markdown if "badge" in item.value).replace("\\", "").split()[1].rstrip("]")


def family(app: Any) -> pd.DataFrame:
    return next(item.value for item in app.dataframe if "verdict" in item.value.columns)


def two_groups(first: tuple[int, int], second: tuple[int, int], *, small: int = 0) -> Cell:
    """Accuracy of two groups given as right out of all, and a third of `small` images, all right."""
    sizes = {"a": first, "b": second, "c": (small, small)}
    rows = [(g, i < right) for g, (right, total) in sizes.items() for i in range(total)]
    images = pd.DataFrame(
        {
            "image_id": [f"i{number}" for number in range(len(rows))],
            "label": ["x", "y"] * (len(rows) // 2) + ["x"] * (len(rows) % 2),
            "status": "ok",
            "cluster": None,
            "attr_g": [g for g, _ in rows],
        }
    )
    other = images["label"].map({"x": "y", "y": "x"})
    right = np.array([ok for _, ok in rows])
    predictions = images[["image_id", "label", "status"]].assign(
        model="m", predicted=images["label"].where(right, other)
    )
    tensor = count_predictions(images, predictions, ["x", "y"], ["g"])["m"]
    found = measure(tensor, "g", ("accuracy", None), Question("range", "higher", 10), Permutations(999, 0))
    return Cell("g", "accuracy", None, found)


def judged(cells: list[Cell], correction: Any = "none", tolerance: float = 0.1) -> list[Judged]:
    return judge_cells("m", cells, Settings(tolerance, 0.05, 10, correction))


def test_verdict_follows_the_tolerance() -> None:
    cell = two_groups((50, 100), (90, 100))
    assert cell.found.value == pytest.approx(0.4)
    low, high = cell.found.interval(0.05)
    verdicts = {
        tolerance: judged([cell], tolerance=tolerance)[0].verdict
        for tolerance in (0.0, low - 0.01, low + 0.01, high - 0.01, high + 0.01)
    }
    assert list(verdicts.values()) == ["fail", "fail", "inconclusive", "inconclusive", "pass"]


def test_corrections_by_hand() -> None:
    cells = [two_groups(a, (90, 100)) for a in ((60, 100), (66, 100), (70, 100), (89, 100))]
    raw = [item.p for item in judged(cells)]
    assert raw == sorted(raw)
    assert raw[0] < 0.01 < raw[2] < raw[3] == 1.0
    assert [item.p_adjusted for item in judged(cells)] == raw
    holm, so_far = [], 0.0
    for place, p in enumerate(raw):
        so_far = max(so_far, min(1.0, (len(raw) - place) * p))
        holm.append(so_far)
    assert [item.p_adjusted for item in judged(cells, "holm")] == pytest.approx(holm)
    bh, so_far = [], 1.0
    for place in reversed(range(len(raw))):
        so_far = min(so_far, raw[place] * len(raw) / (place + 1))
        bh.insert(0, so_far)
    assert [item.p_adjusted for item in judged(cells, "bh")] == pytest.approx(bh)
    assert holm != pytest.approx(bh)


def test_what_cannot_be_compared_takes_no_part_in_the_correction() -> None:
    cells = [two_groups((60, 100), (90, 100)), two_groups((3, 5), (60, 100))]
    for correction in ("holm", "bh"):
        first, second = judged(cells, correction)
        assert first.p_adjusted == first.p
        assert np.isnan(second.p_adjusted)
        assert second.verdict == "inconclusive"
        assert "too few groups" in second.text


def test_small_group_is_named_in_the_sentence() -> None:
    [item] = judged([two_groups((60, 100), (90, 100), small=6)])
    assert "Left out as smaller than 10: c (6)." in item.text


def test_live_interval_is_that_of_the_run(runs: Path, open_app: OpenApp) -> None:
    app = open_app(runs, "fairness", **CHOSEN)
    gaps = open_run(runs / "sample").table("gaps")
    gaps = gaps[(gaps["model"] == "biased-torch") & (gaps["compare"] == "range")].set_index(["attribute", "metric"])
    shown = family(app)
    assert len(shown) == 6
    for row in shown.to_dict("records"):
        wanted = gaps.loc[(row["attribute"], row["metric"].split(",")[0].replace(" ", "_"))]
        assert [row["gap"], row["low"], row["high"]] == pytest.approx([wanted[c] for c in ("value", "low", "high")])
        assert (row["worst group"], row["best group"]) == (wanted["group"], wanted["reference"])


def test_tolerance_moves_the_verdict_and_draws_nothing_anew(
    runs: Path, open_app: OpenApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = {"run": "sample", "model": "biased-torch", "attribute": "marker", "metric": "true_positive_rate"}
    app = open_app(runs, "fairness", **query)
    assert verdict(app) == "Fail"
    monkeypatch.setattr(counted, "measure", None)
    app.slider(key="tolerance").set_value(50).run()
    assert not app.exception
    assert verdict(app) == "Inconclusive"
    assert app.query_params["tolerance"] == "50"
    app.slider(key="tolerance").set_value(0).run()
    assert verdict(app) == "Fail"
    app.selectbox(key="alpha").select("0.01").run()
    assert not app.exception


def test_tolerance_up_turns_a_fail_into_a_pass(runs: Path, open_app: OpenApp) -> None:
    query = {"run": "sample", "model": "biased-keras", "attribute": "marker", "metric": "true_positive_rate"}
    app = open_app(runs, "fairness", **query, tolerance="0", correction="none")
    assert verdict(app) == "Fail"
    app.slider(key="tolerance").set_value(40).run()
    assert verdict(app) == "Pass"
    assert family(app)["verdict"].iloc[0] == "✓ Pass"
    again = open_app(runs, "fairness", **query, tolerance="40", correction="none")
    assert verdict(again) == "Pass"


def test_smallest_group_lists_those_left_out(runs: Path, open_app: OpenApp) -> None:
    app = open_app(runs, "fairness", **CHOSEN | {"attribute": "tone"})
    assert "Left out as smaller than 10: (missing) (3)." in texts(app)
    app.slider(key="min-n").set_value(2).run()
    assert "Left out" not in texts(app)
    app.slider(key="min-n").set_value(19).run()
    assert "Left out as smaller than 19: tone-4 (18), (missing) (3)." in texts(app)
    assert app.query_params["min-n"] == "19"


def test_correction_changes_p(runs: Path, open_app: OpenApp) -> None:
    app = open_app(runs, "fairness", **CHOSEN)
    raw = family(app)["p"].to_numpy()
    holm = family(app)["p_adjusted"].to_numpy()
    app.selectbox(key="correction").select("bh").run()
    bh = family(app)["p_adjusted"].to_numpy()
    app.selectbox(key="correction").select("none").run()
    assert family(app)["p_adjusted"].to_numpy() == pytest.approx(raw)
    assert (raw <= bh + 1e-12).all()
    assert (bh <= holm + 1e-12).all()
    assert holm.sum() > bh.sum() > raw.sum()
    assert app.query_params["correction"] == "none"


def test_metric_without_an_interval_of_differences_has_no_verdict(runs: Path, open_app: OpenApp) -> None:
    app = open_app(runs, "fairness", **CHOSEN | {"metric": "auc"})
    assert "has no verdict here" in texts(app)
    assert not [item for item in app.slider if item.key == "tolerance"]


def test_link_restores_every_control(runs: Path, open_app: OpenApp) -> None:
    wanted = {"tolerance": "3", "min-n": "7", "correction": "bh", "alpha": "0.10", "view": "groups"}
    app = open_app(runs, "fairness", **CHOSEN, **wanted)
    assert {key: app.query_params[key] for key in wanted} == wanted
    assert app.slider(key="tolerance").value == 3
    assert app.selectbox(key="correction").value == "bh"


@pytest.mark.parametrize(
    ("view", "headers"),
    [
        ("confidence", ["Confidence kept within groups of tone", "Rates over the decision threshold by tone"]),
        (
            "unnamed",
            ["Subgroups, searched", "Slices that nobody labelled", "Groups that can be read from the embeddings"],
        ),
        ("conditions", ["Another mix of tone"]),
    ],
)
def test_parts_of_the_page(runs: Path, open_app: OpenApp, view: str, headers: list[str]) -> None:
    app = open_app(runs, "fairness", run="sample", view=view)
    assert [item.value for item in app.header] == headers
    assert app.query_params["view"] == view
    assert not app.info
    assert not app.warning
    assert len(app.dataframe) >= (1 if view == "conditions" else 2)


def test_slice_shows_its_images_and_whether_it_held(runs: Path, open_app: OpenApp) -> None:
    app = open_app(runs, "fairness", run="sample", view="unnamed", model="biased-torch")
    run = open_run(runs / "sample")
    found = run.table("slices")
    first = found[found["model"] == "biased-torch"].sort_values("difference", ascending=False).iloc[0]
    assert f"✕ {first['slice']}\\:" in texts(app).replace("\N{WORD JOINER}", "")
    assert "held-out images" in texts(app)
    rows = run.table("slice_images")
    rows = rows[(rows["model"] == "biased-torch") & (rows["slice"] == first["slice"])]
    kept = [name for name in rows["image_id"] if run.thumbnail(name)]
    assert len(kept) > 5
    assert f"{min(len(kept), 24)} of {len(kept)} with a thumbnail\\, of {len(rows)} images" in texts(app)
    other = found[(found["model"] == "biased-torch") & ~found["confirmed"].astype(bool)].iloc[0]["slice"]
    app.selectbox(key="slice").select(other).run()
    assert app.query_params["slice"] == other
    assert "not confirmed" in texts(app)


def test_subgroups_stand_worst_first(runs: Path, open_app: OpenApp) -> None:
    app = open_app(runs, "fairness", run="sample", view="unnamed", searched="true_positive_rate, cross")
    differences = app.dataframe[0].value["difference"].dropna().tolist()
    assert differences == sorted(differences, reverse=True)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("run", ["plain", "hostile"])
def test_odd_runs(odd_runs: Path, open_app: OpenApp, view: str, run: str) -> None:
    app = open_app(odd_runs, "fairness", run=run, view=view)
    assert not app.error
    for item in [*app.markdown, *app.caption, *app.header, *app.info, *app.warning]:
        assert "<b>" not in item.value
        assert ":red[" not in item.value
    if run == "plain" and view in ("unnamed", "conditions"):
        assert len(app.info) == (3 if view == "unnamed" else 1)
    if run == "plain" and view == "confidence":
        assert "No curves were computed" in texts(app)


@pytest.mark.parametrize("view", VIEWS)
def test_intersections(runs: Path, open_app: OpenApp, view: str) -> None:
    app = open_app(runs, "fairness", run="sample", view=view, attribute="tone x marker")
    assert not app.exception
    assert not app.error


def _row(attribute: str, group: str, metric: str, value: float | None, low: float, high: float) -> dict[str, Any]:
    row = {"attribute": attribute, "group": group, "metric": metric, "class": None, "value": value, "n": 10}
    return row | {"low": low, "high": high, "status": "ok" if value is not None else "undefined"}


def test_heat_table_by_hand() -> None:
    whole = [_row("overall", "all", "accuracy", 0.8, 0.7, 0.9), _row("overall", "all", "brier", 0.2, 0.1, 0.3)]
    own = [
        _row("g", "worse", "accuracy", 0.5, 0.4, 0.6),
        _row("g", "unsure", "accuracy", 0.7, 0.5, 0.85),
        _row("g", "better", "accuracy", 0.95, 0.9, 1.0),
        _row("g", "worse", "brier", 0.4, 0.3, 0.5),
        _row("g", "better", "brier", None, float("nan"), float("nan")),
    ]
    cells = _cells(pd.DataFrame([*own, *whole]), pd.DataFrame(whole))
    shown = _wide(cells, "cell")
    assert shown.index.tolist() == ["worse", "unsure", "better", "everybody"]
    assert shown.loc["worse", "accuracy"] == "▼ 0.500 [0.400, 0.600], n=10"
    assert shown.loc["unsure", "accuracy"] == "0.700 [0.500, 0.850], n=10"
    assert shown.loc["better", "accuracy"].startswith("▲ 0.950")
    assert shown.loc["worse", "Brier score"].startswith("▼ 0.400")
    assert shown.loc["better", "Brier score"].startswith("undefined")
    excess = _wide(cells, "excess")
    assert excess.loc["worse", "accuracy"] == pytest.approx(0.3)
    assert excess.loc["worse", "Brier score"] == pytest.approx(0.2)
    assert excess.loc["better", "accuracy"] == pytest.approx(-0.15)
    assert excess.loc["everybody"].isna().all()
    assert _background(0.3, LIGHT) == f"background-color: {LIGHT.second}60"
    assert _background(-0.125, LIGHT) == f"background-color: {LIGHT.accent}30"
    assert _background(None, LIGHT) == ""


def test_lines_are_told_apart_without_colour() -> None:
    points = (Point(0, 0.5, 0.4, 0.7, 10), Point(1, 0.6))
    drawn = lines(LinesFigure("t", "x", "y", tuple(Line(f"<g{n}>", points, n) for n in range(8)), diagonal=True), LIGHT)
    named = [trace for trace in drawn.data if trace.name]
    assert len({(trace.line.dash, trace.marker.symbol) for trace in named}) == 8
    assert named[0].name == "&lt;g0&gt;"
    assert list(named[0].error_y.array) == pytest.approx([0.2, 0])
    assert list(named[0].error_y.arrayminus) == pytest.approx([0.1, 0])


def test_long_subgroup_names_stand_on_several_lines() -> None:
    row = ForestRow("tone=<dark> & marker=yes", 5, 5, 0.2, 0.1, 0.3)
    drawn = forest(ForestFigure("t", "x", (row,)), LIGHT)
    assert drawn.layout.yaxis.ticktext[0].startswith("tone=&lt;dark&gt; &amp;<br>marker=yes<br>")
    assert (
        drawn.layout.height
        > forest(ForestFigure("t", "x", (ForestRow("a", 5, 5, 0.2, 0.1, 0.3),)), LIGHT).layout.height
    )
