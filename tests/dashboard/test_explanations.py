"""The Explanations page part by part, with the values of the run's tables; no browser."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from audit.run import Run, open_run
from audit.run.files import write_json
from audit.run.tables import empty_table, write_table
from dashboard.explanations.changed import change_rows
from dashboard.explanations.means import long_cells
from dashboard.explanations.stamp_table import check_rows
from dashboard.explanations.words import (
    action_words,
    definition,
    is_signed,
    meaning,
    measure_words,
    method_order,
    stamp_mark,
    title,
)
from dashboard.forests import EVERYBODY, mean_forest
from dashboard.selection import arrange

OpenApp = Callable[..., Any]
PARTS = ("images", "regions", "means", "interventions", "agreement", "stamps")
TORCH, KERAS = "biased-torch", "biased-keras"


def texts(app: Any) -> str:
    parts = [*app.text, *app.markdown, *app.caption, *app.info, *app.warning, *app.header]
    return "\n".join(str(part.value) for part in parts).replace("\\", "").replace("\N{WORD JOINER}", "")


def popovers(app: Any) -> list[str]:
    def inside(block: Any) -> Iterator[str]:
        for child in block.children.values():
            if getattr(child, "type", "") == "popover":
                yield child.proto.popover.label
            if hasattr(child, "children"):
                yield from inside(child)

    return list(inside(app._tree))


def picks(app: Any) -> list[str]:
    return [str(button.key).removeprefix("pick_") for button in app.button if str(button.key).startswith("pick_")]


def frame(app: Any, *columns: str) -> pd.DataFrame:
    return next(item.value for item in app.dataframe if set(columns) <= set(item.value.columns))


@pytest.fixture(scope="module")
def sample(runs: Path) -> Run:
    return open_run(runs / "sample")


# Images


def test_no_map_without_stamp_target_layer_and_score(runs: Path, sample: Run, open_app: OpenApp) -> None:
    app = open_app(runs, "explanations")
    image = app.query_params["image"]
    explained = sample.table("explanations", filters=[("image_id", "=", image)])
    captions = [item.value.replace("\\", "") for item in app.caption if "\\(predicted\\)" in item.value]
    assert len(captions) == len(explained) == 6
    for row in explained.to_dict("records"):
        layer = f"layer {row['layer']}" if pd.notna(row["layer"]) else "at the input"
        wanted = f"for {row['target_class']} (predicted), {layer}, logit {row['score']:.4g}; strongest colour from"
        assert sum(text.startswith(wanted) for text in captions) >= 1
    assert popovers(app) == [":green-badge[✓ Evidence]"] * 5 + [":red-badge[✕ Not evidence]"]


def test_checks_are_behind_the_stamp(runs: Path, sample: Run, open_app: OpenApp) -> None:
    app = open_app(runs, "explanations", methods="grad_cam")
    said = texts(app)
    stamps = sample.table("stamps", filters=[("model", "=", KERAS), ("method", "=", "grad_cam")])
    for row in stamps.to_dict("records"):
        assert row["text"] in said
    assert "- ✕ rank correlation with the maps of the model with shuffled weights: 0.95" in said
    assert "It does not say that a person reads them rightly" in said
    assert "Grad-CAM: activations of the named layer" in said
    assert len(popovers(app)) == 2


def test_how_maps_are_shown_is_in_the_link(runs: Path, open_app: OpenApp) -> None:
    wanted = {"strength": "40", "top": "25", "scale": "rank", "methods": "saliency,grad_cam", "rows": "method"}
    app = open_app(runs, "explanations", **wanted)
    assert {key: app.query_params[key] for key in wanted} == wanted
    assert app.slider(key="strength").value == 40
    assert app.slider(key="top").value == 25
    assert app.multiselect(key="methods").value == ["saliency", "grad_cam"]
    assert [item.value for item in app.subheader] == ["Saliency", "Grad\\-CAM"]
    said = texts(app)
    assert "Only the top 25% of each map’s mass is coloured" in said
    assert said.count("**biased-torch, PyTorch**") == 2
    assert "biased-keras: Predicts" in said
    assert "strongest colour from" not in said
    app.multiselect(key="methods").set_value([]).run()
    assert app.query_params["methods"] == "all"
    assert len(app.subheader) == 3


def test_image_shows_what_hiding_a_region_does(runs: Path, sample: Run, open_app: OpenApp) -> None:
    rows = sample.table("interventions")
    image = rows.loc[rows["changed"].fillna(False).astype(bool), "image_id"].iloc[0]
    shown = frame(open_app(runs, "explanations", image=image), "what was changed")
    own = rows[rows["image_id"] == image]
    assert len(shown) == len(own) == 12
    assert shown["model"].tolist() == [TORCH] * 6 + [KERAS] * 6
    hidden = own[(own["model"] == TORCH) & (own["region"] == "object") & (own["action"] == "hide")].iloc[0]
    mine = shown[(shown["model"] == TORCH) & (shown["region"] == "object")]
    assert mine["what was changed"].tolist() == [
        "region hidden",
        "equal area hidden elsewhere, 1",
        "equal area hidden elsewhere, 2",
    ]
    assert mine["probability before"].iloc[0] == pytest.approx(hidden["probability"])
    assert mine["drop"].iloc[0] == pytest.approx(hidden["probability"] - hidden["probability_after"])


def test_change_in_words_by_hand() -> None:
    key = {"model": "m", "region": "r", "area": 0.1, "predicted": "cat", "probability": 0.9, "detail": ""}
    after = {"predicted_after": "dog", "changed": True, "probability_after": 0.2, "status": "ok"}
    nothing = {"predicted_after": None, "changed": None, "probability_after": None, "status": "undefined"}
    rows = pd.DataFrame(
        [
            key | after | {"action": "swap", "detail": "from x.png"},
            key | after | {"action": "control", "predicted_after": "cat", "changed": False, "probability_after": 0.9},
            key | nothing | {"action": "hide", "detail": "the image does not show the region"},
        ]
    )
    shown = change_rows(rows)
    assert shown["what was changed"].tolist() == [
        "region hidden",
        "equal area hidden elsewhere, 1",
        "region of another image put in (from x.png)",
    ]
    assert shown["prediction"].tolist() == [
        "– not made: the image does not show the region",
        "= stays cat",
        "✕ cat becomes dog",
    ]
    assert shown["drop"].tolist() == pytest.approx([np.nan, 0.0, 0.7], nan_ok=True)


# The gallery


def test_gallery_by_confidence_keeps_the_selection(runs: Path, sample: Run, open_app: OpenApp) -> None:
    explained = list(dict.fromkeys(sample.table("explanations")["image_id"]))
    sure = sample.table("predictions", filters=[("model", "=", KERAS)]).set_index("image_id")["confidence"]
    sure = sure.reindex(explained)
    app = open_app(runs, "explanations", model=KERAS, order="unsure", confidence="50-80", image=explained[3])
    wanted = sure[(sure >= 0.5) & (sure <= 0.8)].sort_values(kind="stable")
    assert picks(app) == wanted.index[:24].tolist()
    assert f"{len(wanted)} of 48 explained images" in texts(app)
    assert app.query_params["image"] == explained[3]
    app.slider(key="confidence").set_value((95, 100)).run()
    assert app.query_params["confidence"] == "95-100"
    assert app.query_params["image"] == explained[3]
    assert picks(app) == sure[(sure >= 0.95) & (sure <= 1)].sort_values(kind="stable").index[:24].tolist()


def test_gallery_of_the_same_answer_and_the_least_alike_maps(runs: Path, sample: Run, open_app: OpenApp) -> None:
    rows = sample.table("agreement", filters=[("method", "=", "grad_cam"), ("same_prediction", "=", True)])
    wanted = rows.sort_values("overlap", kind="stable")
    app = open_app(runs, "explanations", **{"order": "apart", "alike-by": "grad_cam", "size": "48"})
    assert picks(app) == wanted["image_id"].tolist()
    assert f"overlap {wanted['overlap'].iloc[0]:.3f}" in texts(app)


def test_order_by_hand() -> None:
    by = pd.Series({"a": 0.5, "b": 0.1, "c": None, "d": 0.9})
    names = ["a", "b", "c", "d"]
    assert arrange(names, "data", by) == names
    assert arrange(names, "unsure", by) == ["b", "a", "d", "c"]
    assert arrange(names, "sure", by) == ["d", "a", "b", "c"]
    assert arrange(["a", "c", "d"], "apart", by) == ["a", "d"]


# Groups


def test_quality_by_group_and_its_gaps(runs: Path, sample: Run, open_app: OpenApp) -> None:
    query = {"part": "regions", "method": "saliency", "regions-by": "marker", "measure": "insertion_mean"}
    app = open_app(runs, "explanations", **query)
    groups = sample.table("quality_groups")
    groups = groups[(groups["method"] == "saliency") & (groups["measure"] == "insertion_mean")]
    wanted = groups[groups["attribute"] == "marker"].set_index(["model", "group"])
    shown = frame(app, "mean", "low").set_index(["model", "group"])
    for key in wanted.index:
        assert shown.loc[key, ["mean", "low", "high"]].tolist() == pytest.approx(
            wanted.loc[key, ["value", "low", "high"]].tolist()
        )
    assert shown.index[len(shown) // 2 - 1] == (TORCH, EVERYBODY)
    gaps = sample.table("quality_gaps")
    gaps = gaps[
        (gaps["method"] == "saliency") & (gaps["measure"] == "insertion_mean") & (gaps["attribute"] == "marker")
    ]
    seen = app.dataframe[-1].value
    assert seen["between"].tolist() == ["all images", "same label, similar confidence", "right and wrong apart"] * 2
    own = gaps[gaps["model"] == TORCH].set_index("matching")
    for place, matching in enumerate(("none", "label_confidence")):
        row, stored = seen.iloc[place], own.loc[matching]
        assert row[["gap", "low", "high"]].tolist() == pytest.approx(stored[["value", "low", "high"]].tolist())
        assert row[["p", "p_adjusted"]].tolist() == pytest.approx(stored[["p", "p_adjusted"]].tolist())
        assert (row["higher group"], row["lower group"]) == (stored["group"], stored["reference"])
    assert pd.isna(seen["p"].iloc[2])
    assert "larger is more faithful" in texts(app)


def test_shares_by_region_stand_beside_their_gaps(runs: Path, sample: Run, open_app: OpenApp) -> None:
    query = {"part": "regions", "method": "grad_cam", "regions-by": "tone", "region": "marker"}
    app = open_app(runs, "explanations", **query)
    stored = sample.table("region_groups")
    stored = stored[(stored["method"] == "grad_cam") & (stored["region"] == "marker") & (stored["attribute"] == "tone")]
    stored = stored.set_index(["model", "group"])
    shown = frame(app, "mean share").set_index(["model", "group"])
    for key in stored.index:
        assert shown.loc[key, "mean share"] == pytest.approx(stored.loc[key, "value"], nan_ok=True)
    assert "share of attribution in marker" in texts(app)
    assert popovers(app) == [":green-badge[✓ Evidence]", ":red-badge[✕ Not evidence]"]


def test_older_link_to_a_region_opens_its_part(runs: Path, open_app: OpenApp) -> None:
    app = open_app(runs, "explanations", **{"region": "marker", "method": "saliency", "regions-by": "overall"})
    assert app.query_params["part"] == "regions"
    assert app.selectbox(key="regions-by").value == "overall"
    assert "A gap takes groups" in texts(app)


def test_mean_maps_and_their_differences(runs: Path, sample: Run, open_app: OpenApp) -> None:
    app = open_app(runs, "explanations", **{"part": "means", "method": "grad_cam", "regions-by": "marker"})
    stored = sample.table("mean_maps")
    stored = stored[(stored["method"] == "grad_cam") & (stored["attribute"] == "marker")]
    stored = stored.set_index(["model", "group", "kind"])
    shown = frame(app, "largest, times even").set_index(["model", "group", "kind"])
    for key in stored.index:
        even = 24 * 24 * stored.loc[key, "largest"]
        assert shown.loc[key, "largest, times even"] == pytest.approx(even)
        assert shown.loc[key, "p"] == pytest.approx(stored.loc[key, "p"], nan_ok=True)
    one = stored.loc[TORCH, "present", "difference"]
    assert f"difference up to {24 * 24 * one['largest']:.1f} × even, p" in texts(app)
    assert "Explained: the logit of the predicted class, layer relu2" in texts(app)
    assert popovers(app) == [":green-badge[✓ Evidence]", ":red-badge[✕ Not evidence]"]


def test_cells_of_mean_maps_for_the_download() -> None:
    rows = pd.DataFrame(
        [
            {"model": "m", "group": "g", "kind": "mean", "height": 2, "width": 3, "map": [0, 1, 2, 3, 4, 5]},
            {"model": "m", "group": "h", "kind": "mean", "height": 2, "width": 3, "map": None},
        ]
    )
    cells = long_cells(rows)
    assert len(cells) == 6
    assert cells[["row", "column", "value"]].to_numpy().tolist()[3:5] == [[1, 0, 3], [1, 1, 4]]
    assert long_cells(rows.iloc[1:]).empty


def test_interventions_by_group(runs: Path, sample: Run, open_app: OpenApp) -> None:
    query = {"part": "interventions", "region": "object", "regions-by": "tone", "change": "drop"}
    app = open_app(runs, "explanations", **query)
    stored = sample.table("intervention_groups")
    stored = stored[(stored["region"] == "object") & (stored["measure"] == "drop") & (stored["attribute"] == "tone")]
    stored = stored.set_index(["model", "action", "group"])
    shown = frame(app, "what was changed").set_index(["model", "what was changed", "group"])
    assert len(shown) == len(stored) + 6
    for model, action, group in stored.index:
        wanted = stored.loc[(model, action, group), ["value", "low", "high"]].astype(float).tolist()
        found = shown.loc[(model, action_words(action), group), ["value", "low", "high"]].astype(float).tolist()
        assert found == pytest.approx(wanted, nan_ok=True)
    gaps = sample.table("quality_gaps")
    gap = gaps[(gaps["measure"] == "effect_drop:object") & (gaps["attribute"] == "tone") & (gaps["model"] == TORCH)]
    assert frame(app, "gap")["gap"].iloc[0] == pytest.approx(gap.set_index("matching").loc["none", "value"])
    app.selectbox(key="action").select("hide").run()
    assert not app.exception
    assert not [item for item in app.dataframe if "gap" in item.value.columns]


def test_agreement_by_group_and_its_gallery(runs: Path, sample: Run, open_app: OpenApp) -> None:
    query = {"part": "agreement", "method": "grad_cam", "regions-by": "marker", "alike": "spearman"}
    app = open_app(runs, "explanations", **query)
    stored = sample.table("agreement_groups")
    stored = stored[(stored["method"] == "grad_cam") & (stored["measure"] == "spearman")]
    stored = stored[(stored["attribute"] == "marker") & (stored["when"] == "same")].set_index("group")
    shown = frame(app, "images", "mean")
    shown = shown[shown["images"] == "both predict the same"].set_index("group")
    for group in stored.index:
        assert shown.loc[group, "mean"] == pytest.approx(stored.loc[group, "value"])
    rows = sample.table("agreement", filters=[("method", "=", "grad_cam"), ("same_prediction", "=", True)])
    wanted = rows.sort_values("overlap", kind="stable")
    opened = [button for button in app.button if str(button.key).startswith("open_")]
    assert [str(button.key).removeprefix("open_") for button in opened] == wanted["image_id"].tolist()[:12]
    assert popovers(app)[2:4] == [":green-badge[✓ Evidence]", ":red-badge[✕ Not evidence]"]
    opened[2].click().run()
    assert app.query_params["part"] == "images"
    assert app.query_params["image"] == wanted["image_id"].iloc[2]


# Stamps


def test_stamps_of_every_method_on_every_model(runs: Path, open_app: OpenApp) -> None:
    app = open_app(runs, "explanations", part="stamps", method="grad_cam", model=KERAS)
    matrix = app.dataframe[0].value.set_index("method")
    assert matrix.columns.tolist() == [TORCH, KERAS]
    assert matrix.loc["Grad-CAM"].tolist() == ["✓ Evidence", "✕ Not evidence"]
    assert matrix.loc["Saliency"].tolist() == ["✓ Evidence", "✓ Evidence"]
    checks = app.dataframe[1].value.set_index("what is checked")
    row = checks.loc["rank correlation with the maps of the model with shuffled weights"]
    assert row[["result", "wanted", "decides"]].tolist() == ["✕ failed", "at most", "yes"]
    assert row[["value", "threshold"]].astype(float).tolist() == pytest.approx([0.95, 0.9])
    assert "It does not say that a person reads them rightly" in texts(app)


def test_check_that_decides_nothing_says_so() -> None:
    row = {"check": "beats_edges", "n": 3, "value": -0.1, "low": -0.2, "high": 0.3, "threshold": 0.0, "text": ""}
    shown = check_rows(pd.DataFrame([row | {"result": "inconclusive"}])).iloc[0]
    assert (shown["result"], shown["wanted"], shown["decides"]) == ("? not settled", "above", "no, shown only")


def test_stamps_differ_by_shape_and_word() -> None:
    marks = [stamp_mark(name) for name in ("evidence", "not_evidence", "inconclusive", "not_measured")]
    assert len({mark.symbol for mark in marks}) == len({mark.word for mark in marks}) == 4


# Words, old runs, hostile names


def test_words_come_from_the_record_and_fall_back_on_old_ones(tmp_path: Path) -> None:
    said = {"title": "My map", "definition": "what it does", "signed": True, "provider": "captum", "settings": {"a": 1}}
    run = Run(tmp_path, {"methods": {"mine": said, "saliency": {"title": "Saliency"}}})
    assert title(run, "mine") == "My map"
    assert definition(run, "mine") == "what it does. Implementation: captum. Settings: a 1."
    assert is_signed(run, "mine")
    assert method_order(run, ["edges", "saliency", "mine", "random"]) == ["mine", "saliency", "edges", "random"]
    old = Run(tmp_path, {})
    assert title(old, "grad_cam") == "Grad-CAM"
    assert is_signed(old, "gradient_x_input")
    assert not is_signed(old, "saliency")
    assert title(old, "edges") == "edge detector"


def test_measures_in_words() -> None:
    assert measure_words("deletion_blur") == "faithfulness: deletion area, blurred"
    assert "smaller is more faithful" in meaning("deletion_blur")
    assert "larger is more faithful" in meaning("insertion_mean")
    assert measure_words("share:left_eye") == "share of attribution in left eye"
    assert measure_words("new_measure") == "new measure"
    assert meaning("new_measure") == ""


@pytest.mark.parametrize(
    ("part", "sentence"),
    [
        ("images", "No image was explained in this run"),
        ("regions", "Quality of explanations was not measured in this run; add `quality:` to the config."),
        ("means", "Mean maps were not computed in this run"),
        ("interventions", "What hiding a region changes was not measured in this run; add `interventions:` to"),
        ("agreement", "Agreement was not computed in this run"),
        ("stamps", "Whether maps are evidence was not measured in this run; add `quality:` to the config."),
    ],
)
def test_old_run_says_what_it_lacks(odd_runs: Path, open_app: OpenApp, part: str, sentence: str) -> None:
    app = open_app(odd_runs, "explanations", run="plain", part=part)
    assert not app.error
    assert sentence in texts(app)


def test_maps_without_stamps_say_so(runs: Path, tmp_path: Path, open_app: OpenApp) -> None:
    shutil.copytree(runs / "sample", tmp_path / "sample")
    for name in ("stamps", "interventions", "intervention_groups", "agreement"):
        (tmp_path / "sample" / "tables" / f"{name}.parquet").unlink()
    app = open_app(tmp_path, "explanations")
    assert popovers(app) == [":gray-badge[– Not measured]"] * 6
    assert "This run holds no stamps; add quality: to the config to have methods checked." in texts(app)
    assert "What hiding a region changes was not measured" in texts(app)
    assert "least alike" not in " ".join(app.selectbox(key="order").options)


@pytest.mark.parametrize("part", PARTS)
def test_hostile_names_are_escaped(odd_runs: Path, open_app: OpenApp, part: str) -> None:
    app = open_app(odd_runs, "explanations", run="hostile", part=part)
    assert not app.error
    for item in [*app.markdown, *app.caption, *app.header, *app.subheader, *app.info, *app.warning]:
        assert "<b>" not in item.value
        assert ":red[" not in item.value
        assert "](http" not in item.value


def test_concepts_are_shown_where_the_run_has_some(runs: Path, tmp_path: Path, open_app: OpenApp) -> None:
    folder = tmp_path / "sample"
    shutil.copytree(runs / "sample", folder)
    row = {"model": TORCH, "concept": "dark", "layer": "relu2", "target_class": "cross", "n": 20, "value": 0.7}
    row |= {"low": 0.5, "high": 0.9, "random": 0.5, "p": 0.02, "accuracy": 0.8, "status": "ok"}
    groups = [("overall", "all"), ("marker", "present"), ("marker", "absent")]
    table = pd.DataFrame([row | {"attribute": attribute, "group": group} for attribute, group in groups])
    write_table(folder, "concepts", table)
    app = open_app(tmp_path, "explanations", part="concepts")
    assert app.header[0].value == "Concepts, by group"
    shown = frame(app, "share").set_index("group")
    assert shown.index.tolist() == ["absent", "present", EVERYBODY]
    assert shown.loc["present", ["share", "random", "accuracy"]].tolist() == [0.7, 0.5, 0.8]
    write_table(folder, "concepts", empty_table("concepts"))
    assert open_app(tmp_path, "explanations", part="concepts").warning
    record = open_run(folder).record
    record["config"]["concepts"] = [{"name": "dark"}]
    write_json(folder / "run.json", record)
    assert "could not be measured on any image" in texts(open_app(tmp_path, "explanations", part="concepts"))


def test_forest_of_means_holds_every_end() -> None:
    rows = pd.DataFrame(
        {
            "group": ["a", EVERYBODY],
            "n": [3, 9],
            "clusters": [3, 9],
            "value": [-0.5, 0.25],
            "low": [-0.75, None],
            "high": [-0.25, None],
            "status": "ok",
        }
    )
    figure = mean_forest(rows, "t", "x")
    assert figure.reference == 0.25
    assert [row.emphasis for row in figure.rows] == ["none", "whole"]
    assert figure.bounds == pytest.approx((-0.81, 0.31))
    assert mean_forest(rows.head(1), "t", "x", zero=True).bounds == pytest.approx((-0.795, 0.045))
