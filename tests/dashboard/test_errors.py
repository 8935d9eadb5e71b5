"""The Errors page: which images are found, in which order, what is counted of them, and what its links reopen."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import confusion_matrix

from audit.run import Run, open_run
from audit.run.tables import write_table
from dashboard import columns
from dashboard.columns import Codes, Outcomes
from dashboard.errors.confusion import confusion_table
from dashboard.errors.filters import DEFAULTS, images_query, in_words
from dashboard.errors.gallery import SIZE, image_rows
from dashboard.errors.wanted import Wanted, find, outcome_of
from dashboard.errors.where import error_rates
from dashboard.selection import ANY
from tests.dashboard.runs import HOSTILE

OpenApp = Callable[..., Any]
TORCH, KERAS = "biased-torch", "biased-keras"


@pytest.fixture
def sample(runs: Path) -> Run:
    return open_run(runs / "sample")


def texts(app: Any) -> str:
    parts = [*app.text, *app.markdown, *app.caption, *app.info, *app.warning, *app.title, *app.header, *app.subheader]
    return "\n".join(str(part.value).replace("\\", "") for part in parts)


def told(run: Run, model: str) -> pd.DataFrame:
    """Usable images with what a model says, by pandas."""
    made = run.table("predictions")
    made = made[(made["model"] == model) & (made["status"] == "ok")]
    images = run.table("images")
    return images[images["status"] == "ok"].merge(made[["image_id", "predicted", "confidence"]], on="image_id")


def names(run: Run, wanted: Wanted) -> list[str]:
    return image_rows(run, wanted.model, find(run, wanted))["image_id"].tolist()


# Columns


def test_columns_hold_the_rows_of_the_tables(sample: Run) -> None:
    rows = told(sample, TORCH).set_index("image_id")
    said, every = columns.outcomes(sample, TORCH), list(columns.ids(sample))
    usable = [name for name, fine in zip(every, said.usable, strict=True) if fine]
    assert usable == rows.index.tolist()
    for name in (usable[0], usable[100], usable[-1]):
        place = columns.ids(sample).place(name)
        assert place is not None
        assert said.label.names[said.label.codes[place]] == rows.loc[name, "label"]
        assert said.predicted.names[said.predicted.codes[place]] == rows.loc[name, "predicted"]
        assert said.confidence[place] == pytest.approx(rows.loc[name, "confidence"])
    assert columns.ids(sample).place("nowhere") is None
    tone = columns.attribute(sample, "tone")
    assert [tone.names[code] for code in tone.codes] == sample.table("images")["attr_tone"].tolist()


def test_order_of_predictions_does_not_matter(runs: Path, sample: Run, tmp_path: Path) -> None:
    shutil.copytree(runs / "sample", tmp_path / "shuffled", ignore=shutil.ignore_patterns("shards"))
    made = sample.table("predictions").sample(frac=1, random_state=3)
    made = made[~((made["model"] == TORCH) & (made["image_id"] == "synthetic-0007"))]
    write_table(tmp_path / "shuffled", "predictions", made)
    shuffled = open_run(tmp_path / "shuffled")
    before, after = columns.outcomes(sample, TORCH), columns.outcomes(shuffled, TORCH)
    others = np.arange(len(before.usable)) != 7
    assert not after.usable[7]
    assert after.usable[others].tolist() == before.usable[others].tolist()
    assert after.predicted.codes[others].tolist() == before.predicted.codes[others].tolist()
    assert np.array_equal(after.confidence[others], before.confidence[others], equal_nan=True)


def test_missing_groups_are_a_group(runs: Path, sample: Run, tmp_path: Path) -> None:
    shutil.copytree(runs / "sample", tmp_path / "gaps", ignore=shutil.ignore_patterns("shards"))
    images = sample.table("images")
    images.loc[:4, "attr_marker"] = None
    write_table(tmp_path / "gaps", "images", images)
    found = columns.attribute(open_run(tmp_path / "gaps"), "marker")
    assert found.equal("(missing)").sum() == 5
    assert found.equal("(missing)")[:5].all()


# Filters


def test_outcomes_by_hand() -> None:
    classes = ("cat", "dog", "fox")
    label = Codes(classes, np.array([0, 0, 1, 2, 1], np.int32))
    predicted = Codes(classes, np.array([0, 1, 0, 1, 1], np.int32))
    said = Outcomes(label, predicted, np.full(5, 0.5, np.float32), np.ones(5, bool))
    found = {name: outcome_of(said, name, "cat").tolist() for name in ("wrong", "true-positive", "false-positive")}
    assert found["wrong"] == [False, True, True, True, False]
    assert found["true-positive"] == [True, False, False, False, False]
    assert found["false-positive"] == [False, False, True, False, False]
    assert outcome_of(said, "false-negative", "cat").tolist() == [False, True, False, False, False]
    assert outcome_of(said, "true-negative", "cat").tolist() == [False, False, False, True, True]


def test_wrong_answers_most_confident_first(sample: Run) -> None:
    rows = told(sample, TORCH)
    wrong = rows[rows["label"] != rows["predicted"]]
    ordered = wrong.assign(confidence=wrong["confidence"].astype("float32"))
    ordered = ordered.sort_values("confidence", ascending=False, kind="stable")
    assert names(sample, Wanted(TORCH, "wrong", picture=ANY)) == ordered["image_id"].tolist()
    backwards = ordered.sort_values("confidence", kind="stable")["image_id"].tolist()
    assert names(sample, Wanted(TORCH, "wrong", picture=ANY, sort="unsure")) == backwards
    assert names(sample, Wanted(TORCH, "wrong", picture=ANY, sort="data")) == wrong["image_id"].tolist()


def test_pictures_come_first_and_alone(sample: Run) -> None:
    found = names(sample, Wanted(TORCH, sort="data"))
    kept = [name for name in found if sample.thumbnail(name)]
    assert 0 < len(kept) < len(found)
    assert found[: len(kept)] == kept
    assert names(sample, Wanted(TORCH, sort="data", picture="only")) == kept


def test_filters_meet_what_pandas_finds(sample: Run) -> None:
    rows = told(sample, TORCH)
    other = told(sample, KERAS).set_index("image_id")["predicted"]
    differ = rows["predicted"].to_numpy() != other.reindex(rows["image_id"]).to_numpy()
    sure = rows["confidence"].astype("float32").between(0.7, 0.9)
    cases = {
        Wanted(TORCH, attribute="tone", group="tone-4"): rows["attr_tone"] == "tone-4",
        Wanted(TORCH, attribute="tone"): rows["label"].notna(),
        Wanted(TORCH, label="cross", predicted="disc"): (rows["label"] == "cross") & (rows["predicted"] == "disc"),
        Wanted(TORCH, disagreement="yes"): pd.Series(differ),
        Wanted(TORCH, disagreement="no"): pd.Series(~differ),
        Wanted(TORCH, confidence=(70, 90)): sure,
        Wanted(TORCH, "false-positive"): (rows["label"] == "disc") & (rows["predicted"] == "cross"),
        Wanted(TORCH, "correct", "marker", "present"): (rows["label"] == rows["predicted"])
        & (rows["attr_marker"] == "present"),
        Wanted(TORCH, attribute="tone", group="no such tone"): rows["label"].isna(),
    }
    for wanted, kept in cases.items():
        assert set(names(sample, wanted)) == set(rows.loc[kept.to_numpy(), "image_id"]), wanted


def test_slice_filter_keeps_its_images(sample: Run) -> None:
    members = sample.table("slice_images")
    members = members[members["model"] == TORCH]
    name = members["slice"].iloc[0]
    own = set(members.loc[members["slice"] == name, "image_id"])
    assert own
    assert set(names(sample, Wanted(TORCH, slice=name))) == own


def test_filters_in_words_by_hand() -> None:
    assert in_words(Wanted("m")) == []
    wanted = Wanted("m", "false-negative", "skin_tone", "dark", "cat", "dog", "yes", (50, 100), "s1", "only")
    assert in_words(wanted) == [
        "false negative",
        "skin tone dark",
        "truly cat",
        "predicted dog",
        "models disagree",
        "confidence 50 to 100 %",
        "slice s1",
        "with a picture",
    ]


# Counts


def test_confusion_is_that_of_scikit_learn(sample: Run) -> None:
    table = confusion_table(sample, TORCH, "tone")
    rows = told(sample, TORCH)
    for group in table["group"].unique():
        part = rows if group == "everybody" else rows[rows["attr_tone"] == group]
        expected = confusion_matrix(part["label"], part["predicted"], labels=["cross", "disc"])
        own = table[table["group"] == group].set_index(["label", "predicted"])
        for i, label in enumerate(("cross", "disc")):
            if not expected[i].sum():
                assert label not in own.index
                continue
            for j, predicted in enumerate(("cross", "disc")):
                row = own.loc[(label, predicted)]
                assert (row["images"], row["n"]) == (expected[i, j], expected[i].sum())
                assert row["share"] == pytest.approx(expected[i, j] / expected[i].sum())
                assert row["low"] <= row["share"] <= row["high"]


def test_confusion_interval_is_that_of_the_run(sample: Run) -> None:
    table = confusion_table(sample, TORCH, "tone").set_index(["group", "label", "predicted"])
    groups = sample.table("groups")
    for metric, label in (("true_positive_rate", "cross"), ("false_positive_rate", "disc")):
        rows = groups[
            (groups["model"] == TORCH)
            & (groups["attribute"] == "tone")
            & (groups["metric"] == metric)
            & (groups["class"] == "cross")
            & groups["low"].notna()
        ]
        assert len(rows) >= 5
        for row in rows.to_dict("records"):
            own = table.loc[(row["group"], label, "cross")]
            assert own["n"] == row["n"]
            assert [own["share"], own["low"], own["high"]] == pytest.approx([row["value"], row["low"], row["high"]])


def test_many_classes_keep_the_most_frequent_confusions(runs: Path, sample: Run, tmp_path: Path) -> None:
    shutil.copytree(runs / "sample", tmp_path / "many", ignore=shutil.ignore_patterns("shards"))
    many = [f"c{number:02d}" for number in range(20)]
    images, made = sample.table("images"), sample.table("predictions")
    images["label"] = [many[place % 20] for place in range(len(images))]
    made["label"] = made["image_id"].map(images.set_index("image_id")["label"])
    made["predicted"] = made["label"].where(made["label"] != "c03", "c04")
    write_table(tmp_path / "many", "images", images)
    write_table(tmp_path / "many", "predictions", made)
    record = json.loads((tmp_path / "many" / "run.json").read_text(encoding="utf-8"))
    record["data"] |= {"classes": many, "positive": None}
    (tmp_path / "many" / "run.json").write_text(json.dumps(record), encoding="utf-8")
    table = confusion_table(open_run(tmp_path / "many"), TORCH, None)
    assert table[["group", "label", "predicted", "images", "n", "share"]].to_numpy().tolist() == [
        ["everybody", "c03", "c04", 12, 12, 1.0]
    ]


def test_error_rate_is_what_accuracy_leaves(sample: Run) -> None:
    rates = error_rates(sample, KERAS)
    groups = sample.table("groups")
    accuracy = groups[(groups["model"] == KERAS) & (groups["metric"] == "accuracy")].set_index(["attribute", "group"])
    assert len(rates) == len(accuracy)
    for row in rates.to_dict("records"):
        other = accuracy.loc[(row["attribute"], row["group"])]
        assert row["value"] == pytest.approx(1 - other["value"])
        if pd.notna(other["low"]):
            assert [row["low"], row["high"]] == pytest.approx([1 - other["high"], 1 - other["low"]])
    assert rates["attribute"].iloc[-1] == "overall"
    values = rates["value"].iloc[:-1].dropna().tolist()
    assert values == sorted(values, reverse=True)
    assert rates["claim"].iloc[-1] == "groups:biased-keras:overall:all:accuracy:"


# The page


def buttons(app: Any) -> list[str]:
    return [str(item.key).removeprefix("open_") for item in app.button if str(item.key).startswith("open_")]


def test_page_begins_with_the_error_rate(runs: Path, sample: Run, open_app: OpenApp) -> None:
    app = open_app(runs, "errors", run="sample", model=TORCH)
    rows = told(sample, TORCH)
    wrong = rows[rows["label"] != rows["predicted"]]
    assert f"a share of {len(wrong) / len(rows):.3f} of {len(rows)} images, 95 % interval [" in texts(app)
    assert f"{len(wrong)} of {len(rows)} images that biased-torch predicted meet the filters" in texts(app)
    assert buttons(app) == names(sample, Wanted(TORCH, "wrong", "tone"))[:SIZE]
    assert app.query_params["errors"] == "images"


def test_pages_lead_through_all_images(runs: Path, sample: Run, open_app: OpenApp) -> None:
    every = names(sample, Wanted(TORCH, "wrong", "tone"))
    assert len(every) > 2 * SIZE
    app = open_app(runs, "errors", run="sample", model=TORCH, **{"errors-page": "2"})
    assert buttons(app) == every[SIZE : 2 * SIZE]
    app.selectbox(key="group").select("tone-5").run()
    assert app.query_params["errors-page"] == "1"
    assert buttons(app) == names(sample, Wanted(TORCH, "wrong", "tone", "tone-5"))[:SIZE]


def test_opened_image_shows_every_model_and_leads_to_its_maps(runs: Path, sample: Run, open_app: OpenApp) -> None:
    app = open_app(runs, "errors", run="sample", model=TORCH)
    image = buttons(app)[2]
    app.button(key=f"open_{image}").click().run()
    assert app.query_params["image"] == image
    assert f"Image {image}" in texts(app)
    shown = app.dataframe[0].value.set_index("model")
    made = sample.table("predictions").set_index(["model", "image_id"])
    for model in (TORCH, KERAS):
        row = made.loc[(model, image)]
        assert shown.loc[model, "predicted"] == row["predicted"]
        assert shown.loc[model, "outcome"] == ("right" if row["predicted"] == row["label"] else "wrong")
        assert shown.loc[model, "confidence"] == pytest.approx(row["confidence"], abs=1e-6)
    link = next(item.proto for item in app.get("page_link") if "part=images" in item.proto.query_string)
    assert link.page.endswith("explanations")
    assert parse_qs(link.query_string)["image"] == [image]
    again = open_app(runs, "errors", **{key: str(value) for key, value in app.query_params.items()})
    assert f"Image {image}" in texts(again)
    again.button(key="close_image").click().run()
    assert not again.subheader
    assert again.query_params["image"] == "none"


def test_link_reopens_every_filter(runs: Path, sample: Run, open_app: OpenApp) -> None:
    query = {"outcome-of": "any", "by": "marker", "group": "present", "label": "disc", "predicted": "cross"}
    query |= {"disagreement": "yes", "confidence": "60-95", "picture": "any", "sort": "unsure"}
    app = open_app(runs, "errors", run="sample", model=TORCH, **query)
    for key, value in query.items():
        assert app.query_params[key] == value
    wanted = Wanted(TORCH, ANY, "marker", "present", "disc", "cross", "yes", (60, 95), ANY, ANY, "unsure")
    expected = names(sample, wanted)
    assert expected
    assert buttons(app) == expected[:SIZE]
    app.button(key="clear_filters").click().run()
    assert {key: app.query_params[key] for key in DEFAULTS} == DEFAULTS


def test_groups_and_slices_link_to_their_images(runs: Path, sample: Run, open_app: OpenApp) -> None:
    app = open_app(runs, "errors", run="sample", model=TORCH, errors="where")
    links = [parse_qs(item.proto.query_string) for item in app.get("page_link")]
    worst = error_rates(sample, TORCH)
    worst = worst[worst["attribute"].isin(["tone", "marker"])].iloc[0]
    assert any(link.get("by") == [worst["attribute"]] and link.get("group") == [worst["group"]] for link in links)
    named = sample.table("slices")
    worst_slice = named[named["model"] == TORCH].sort_values("difference", ascending=False)["slice"].iloc[0]
    assert any(link.get("in-slice") == [worst_slice] for link in links)
    assert "claim" in app.dataframe[0].value.columns


def test_query_of_a_link_moves_every_filter_back() -> None:
    query = images_query(Run(Path("/runs/a"), {}), "m", by="tone", group="dark", in_slice="s1")
    assert query == {**DEFAULTS, "run": "a", "model": "m", "errors": "images", "errors-page": "1"} | {
        "by": "tone",
        "group": "dark",
        "in-slice": "s1",
    }


def test_confusion_shows_a_group_beside_everybody(runs: Path, open_app: OpenApp) -> None:
    app = open_app(runs, "errors", run="sample", model=TORCH, errors="confusion", by="tone", confused="tone-5")
    assert app.query_params["confused"] == "tone-5"
    assert "**tone-5**" in texts(app)
    shown = app.dataframe[0].value
    assert set(shown["group"]) >= {"tone-1", "tone-5", "everybody"}
    links = [parse_qs(item.proto.query_string) for item in app.get("page_link")]
    assert any(link.get("label") == ["cross"] and link.get("group") == ["tone-5"] for link in links)


@pytest.mark.parametrize("part", ["images", "where", "confusion"])
@pytest.mark.parametrize("run", ["hostile", "plain", "broken"])
def test_odd_runs(odd_runs: Path, open_app: OpenApp, part: str, run: str) -> None:
    app = open_app(odd_runs, "errors", run=run, errors=part, by="tone", group=HOSTILE)
    assert not app.error
    for item in [*app.markdown, *app.caption, *app.header, *app.info, *app.warning, *app.subheader]:
        assert "<b>" not in item.value
        assert ":red[" not in item.value
    for item in app.button:
        assert "<b>" not in item.label


def test_level_without_rows_says_so(runs: Path, tmp_path: Path, open_app: OpenApp) -> None:
    shutil.copytree(runs / "sample", tmp_path / "public", ignore=shutil.ignore_patterns("shards", "thumbnails"))
    for name in ("images", "predictions", "slice_images"):
        (tmp_path / "public" / "tables" / f"{name}.parquet").unlink()
    record = json.loads((tmp_path / "public" / "run.json").read_text(encoding="utf-8"))
    record["disclosure"] = {"level": "public", "threshold": 10, "withheld": []}
    (tmp_path / "public" / "run.json").write_text(json.dumps(record), encoding="utf-8")
    app = open_app(tmp_path, "errors", run="public")
    assert "withheld at the level “public”" in texts(app)
    assert open_app(tmp_path, "errors", run="public", errors="where").dataframe
