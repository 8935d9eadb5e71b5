"""Robustness and data: who is missing, copies of a file, images known from training, wrong labels, training."""

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
from dashboard.robustness.coverage import gaps_in_coverage, group_counts
from dashboard.robustness.problems import copies, shared_clusters

OpenApp = Callable[..., Any]
PARTS = ("coverage", "problems", "conditions", "labels", "training")


@pytest.fixture
def sample(runs: Path) -> Run:
    return open_run(runs / "sample")


@pytest.fixture
def changed(runs: Path, tmp_path: Path) -> Callable[..., Run]:
    """Function that copies the sample run with other tables and another part on data in its record."""

    def make(tables: dict[str, pd.DataFrame] | None = None, **about: Any) -> Run:
        folder = tmp_path / "changed"
        shutil.copytree(runs / "sample", folder, ignore=shutil.ignore_patterns("shards", "thumbnails"))
        for name, frame in (tables or {}).items():
            write_table(folder, name, frame)
        record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        record["data"] |= about
        (folder / "run.json").write_text(json.dumps(record), encoding="utf-8")
        return open_run(folder)

    return make


def texts(app: Any) -> str:
    parts = [*app.text, *app.markdown, *app.caption, *app.info, *app.warning, *app.header, *app.subheader]
    return "\n".join(str(part.value).replace("\\", "").replace("\N{WORD JOINER}", "") for part in parts)


# Who is in the data


def test_counts_add_up(runs: Path, sample: Run, open_app: OpenApp) -> None:
    app = open_app(runs, "robustness", run="sample", by="marker")
    shown = app.dataframe[0].value.set_index("group")
    images = sample.table("images")
    assert shown["planned"].to_dict() == images["attr_marker"].value_counts().to_dict()
    assert shown["not used"].sum() == (images["status"] != "ok").sum()
    assert shown["share"].sum() == pytest.approx(1)
    assert shown.loc["present", "claim"] == "coverage:marker:present:"
    assert f"{len(images)} images in 2 groups, 1 of them (0.4 %) not used." in texts(app)


def test_population_stands_beside_the_share(changed: Callable[..., Run]) -> None:
    run = changed(population={"marker": {"present": 0.1, "absent": 0.8, "unheard of": 0.1}})
    shown = group_counts(run, "marker").set_index("group")
    assert shown["in the population"].to_dict() == {"absent": 0.8, "present": 0.1}
    absent, present = (shown.loc[name, "share"] for name in ("absent", "present"))
    assert gaps_in_coverage(run, "marker") == [
        "No image at all: unheard of.",
        (
            f"Share unlike that in the declared population: present ({present:.3f} here, 0.100 there), "
            f"absent ({absent:.3f} here, 0.800 there)."
        ),
    ]
    assert "in the population" not in group_counts(run, "tone").columns


def test_who_is_missing_by_hand(changed: Callable[..., Run]) -> None:
    names = ["attribute", "group", "label", "images", "failed", "clusters"]
    rows = [
        ("tone", "dark", None, 40, 0, 4),
        ("tone", "dark", "cross", 40, 0, 4),
        ("tone", "dark", "disc", 0, 0, 0),
        ("tone", "light", None, 60, 0, 30),
        ("tone", "light", "cross", 30, 0, 20),
        ("tone", "light", "disc", 30, 0, 20),
        ("tone", "(missing)", None, 12, 0, 12),
        ("tone", "(missing)", "cross", 6, 0, 6),
        ("tone", "(missing)", "disc", 6, 0, 6),
    ]
    run = changed({"coverage": pd.DataFrame(rows, columns=names)})
    assert gaps_in_coverage(run, "tone") == [
        "Fewer than 10 independent units, so that little can be said: dark (4).",
        "12 images have no value of tone; they are a group of their own.",
        "A class that a group never has, so that its rates are not defined there: dark without disc.",
    ]


# Problems


def test_problems_by_stage(runs: Path, sample: Run, open_app: OpenApp) -> None:
    app = open_app(runs, "robustness", run="sample", data="problems")
    assert len(app.dataframe[0].value) == len(sample.table("problems")) == 2
    assert "decode: 1 unreadable file" in texts(app)
    app.selectbox(key="stage").select("crosscheck").run()
    assert app.query_params["stage"] == "crosscheck"
    assert app.dataframe[0].value["stage"].tolist() == ["crosscheck"]
    assert "No two images are the same file" in texts(app)


def test_copies_by_hand(changed: Callable[..., Run], sample: Run) -> None:
    images = sample.table("images")
    images.loc[[3, 50, 120], "sha256"] = "a" * 64
    images.loc[[4, 60], "sha256"] = "b" * 64
    images.loc[[5, 6], "sha256"] = None
    images.loc[[3, 50, 120], "label"] = ["cross", "disc", "cross"]
    images.loc[[4, 60], "label"] = "disc"
    found = copies(changed({"images": images}))
    assert found["file"].tolist() == ["a" * 64, "b" * 64]
    assert found["images"].tolist() == [3, 2]
    assert found["labels"].tolist() == ["cross, disc", "disc"]
    assert found["image ids"].tolist() == [
        "synthetic-0003, synthetic-0050, synthetic-0120",
        "synthetic-0004, synthetic-0060",
    ]


def test_page_names_copies_and_known_images(
    changed: Callable[..., Run], sample: Run, tmp_path: Path, open_app: OpenApp
) -> None:
    images = sample.table("images")
    images.loc[[3, 50], "sha256"] = "a" * 64
    images.loc[[3, 50], "label"] = ["cross", "disc"]
    seen = {"stage": "members", "model": "biased-torch", "image_id": "synthetic-0001", "path": "x", "detail": ""}
    problems = pd.concat([sample.table("problems"), pd.DataFrame([seen | {"status": "trained_on"}])])
    changed({"images": images, "problems": problems})
    said = texts(open_app(tmp_path, "robustness", run="changed", data="problems"))
    assert "Files that occur more than once: 1. Images that are copies of another: 1." in said
    assert "Files whose copies bear different labels: 1." in said
    assert "biased-torch: audited images that are also training images, byte by byte: 1." in said
    assert "biased-keras: audited images that are also training images, byte by byte: 0." in said


def test_pictures_that_look_alike_are_listed(
    changed: Callable[..., Run], sample: Run, tmp_path: Path, open_app: OpenApp
) -> None:
    alike = {"stage": "data", "image_id": "synthetic-0007", "path": "x", "status": "looks_alike"}
    alike["detail"] = "looks like synthetic-0003 (5 of 255 bits differ)"
    run = changed({"problems": pd.concat([sample.table("problems"), pd.DataFrame([alike])])})
    record = json.loads((run.path / "run.json").read_text(encoding="utf-8"))
    record["config"]["data"]["look_alikes"] = 9
    (run.path / "run.json").write_text(json.dumps(record), encoding="utf-8")
    app = open_app(tmp_path, "robustness", run="changed", data="problems")
    assert "Images that look like another one before them, in another format or size perhaps: 1." in texts(app)
    assert alike["detail"] in app.dataframe[1].value["detail"].tolist()


def test_clusters_on_both_sides(changed: Callable[..., Run], sample: Run) -> None:
    members = sample.table("members")
    audited = sample.table("images")["cluster"].unique()
    own = members["model"] == "biased-torch"
    members.loc[own, "cluster"] = "elsewhere"
    members.loc[members.index[own][:3], "cluster"] = [audited[0], audited[0], audited[1]]
    run = changed({"members": members})
    assert shared_clusters(run, "biased-torch") == (2, len(audited))


# Wrong labels, training, corrupted images


def test_easiest_verdict_to_overturn_stands_first(runs: Path, sample: Run, open_app: OpenApp) -> None:
    app = open_app(runs, "robustness", run="sample", data="labels", model="biased-torch")
    shown = app.dataframe[0].value
    table = sample.table("sensitivity")
    own = table[table["model"] == "biased-torch"]
    assert len(shown) == len(own)
    shares = shown["share"].dropna().tolist()
    assert shares == sorted(shares)
    told = own[(own["status"] == "ok") & own["text"].notna()].sort_values("share", kind="stable")
    assert told["text"].iloc[0] in [item.value for item in app.text]
    assert shown["claim"].iloc[0].startswith("sensitivity:biased-torch:")


def test_training_says_when_it_over_fits(runs: Path, sample: Run, open_app: OpenApp) -> None:
    app = open_app(runs, "robustness", run="sample", data="training")
    said = texts(app)
    assert "biased-torch: the validation loss was least at epoch" in said
    assert "**biased-keras: accuracy**" in said
    table = next(item.value for item in app.dataframe if "epoch" in item.value.columns)
    assert len(table) == len(sample.table("training"))
    assert "Images known from training, by tone" in said


def test_corrupted_images(runs: Path, sample: Run, open_app: OpenApp) -> None:
    app = open_app(runs, "robustness", run="sample", data="conditions", model="biased-keras", corruption="blur")
    assert "Corrupted images, by tone" in texts(app)
    shown = app.dataframe[0].value
    table = sample.table("robustness")
    own = table[(table["model"] == "biased-keras") & (table["corruption"] == "blur")]
    assert len(shown) == len(own[own["attribute"].isin(["tone", "overall"])])


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("run", ["hostile", "plain", "broken"])
def test_odd_runs(odd_runs: Path, open_app: OpenApp, part: str, run: str) -> None:
    app = open_app(odd_runs, "robustness", run=run, data=part)
    assert not app.error
    assert app.query_params["data"] == part
    for item in [*app.markdown, *app.caption, *app.header, *app.info, *app.warning, *app.subheader]:
        assert "<b>" not in item.value
        assert ":red[" not in item.value
