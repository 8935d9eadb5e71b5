"""The embedding map: points by hand, a fixed sample, colours with shapes, and images picked from the address."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest

from audit.run import open_run
from audit.run.tables import write_table
from dashboard.columns import Ids
from dashboard.fairness import embedding_points
from dashboard.fairness.embedding import scatter
from dashboard.fairness.embedding_points import Points, points, projections
from reports.palette import GROUP_SHAPES, LIGHT
from tests.dashboard.runs import HOSTILE

OpenApp = Callable[..., Any]
MODEL = "biased-torch"


def texts(app: Any) -> str:
    parts = [*app.text, *app.markdown, *app.caption, *app.info, *app.warning, *app.header]
    return "\n".join(str(part.value) for part in parts)


def small_run(folder: Path, vectors: list[list[float]], *, status: str = "ok") -> Any:
    """A run of as many images as vectors, with nothing else."""
    names = [f"i{place}" for place in range(len(vectors))]
    about = {"path": "", "sha256": "", "split": "", "cluster": None, "status": "ok", "label": "x"}
    write_table(folder, "images", pd.DataFrame({"image_id": names}).assign(**about))
    rows = pd.DataFrame({"image_id": names, "model": "m", "status": status, "embedding": vectors})
    write_table(folder, "embeddings", pd.concat([rows.assign(model="other"), rows], ignore_index=True))
    (folder / "run.json").write_text('{"schema_version": 1}', encoding="utf-8")
    return open_run(folder)


def test_points_on_a_line_by_hand(tmp_path: Path) -> None:
    """Two dimensions that rise together hold one component; standardised, its ends lie 2 root(2) / root(2/3) apart."""
    found = points(small_run(tmp_path, [[0, 0], [1, 10], [2, 20]]), "m", "pca")
    assert found is not None
    assert found.spread == pytest.approx((1.0, 0.0))
    away = np.sqrt(2) / np.sqrt(2 / 3)
    assert np.abs(found.xy[:, 0]) == pytest.approx([away, 0, away])
    assert found.xy[:, 1] == pytest.approx([0, 0, 0])
    assert (found.images, found.dimensions) == (3, 2)


def test_points_are_those_of_scikit_learn(runs: Path) -> None:
    from sklearn.decomposition import PCA

    run = open_run(runs / "sample")
    found = points(run, MODEL, "pca")
    rows = run.table("embeddings")
    rows = rows[(rows["model"] == MODEL) & (rows["status"] == "ok")]
    raw = np.array(rows["embedding"].tolist(), np.float64)
    flat = np.clip((raw - raw.mean(axis=0)) / raw.std(axis=0), -5, 5)
    wanted = PCA(2).fit(flat)
    assert found is not None
    assert found.spread == pytest.approx(wanted.explained_variance_ratio_, rel=1e-2)
    theirs = wanted.transform(flat)
    for axis in (0, 1):
        assert abs(np.corrcoef(found.xy[:, axis], theirs[:, axis])[0, 1]) > 0.999
    ids = run.table("images")["image_id"]
    assert [ids[place] for place in found.place] == rows["image_id"].tolist()


def test_a_large_table_is_drawn_from_by_a_fixed_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding_points, "MOST", 20)
    monkeypatch.setattr(embedding_points, "_AT_ONCE", 7)
    values = np.random.default_rng(0).normal(size=(50, 3))
    first, second = (points(small_run(tmp_path / name, values.tolist()), "m", "pca") for name in ("first", "second"))
    assert first is not None
    assert second is not None
    assert len(first.place) == 20 < first.images == 50
    assert (first.place == second.place).all()
    assert (np.diff(first.place) > 0).all()
    picked = values[first.place]
    flat = (picked - picked.mean(axis=0)) / picked.std(axis=0)
    assert np.hypot(*first.xy.T).max() <= np.linalg.norm(flat, axis=1).max() + 1e-6
    assert np.corrcoef(first.xy[:, 0], second.xy[:, 0])[0, 1] == pytest.approx(1)


@pytest.mark.parametrize("vectors", [[[1.0, 2.0]] * 5, [[1.0, 2.0]]], ids=["all alike", "too few"])
def test_no_map_without_embeddings_that_differ(tmp_path: Path, vectors: list[list[float]]) -> None:
    assert points(small_run(tmp_path, vectors), "m", "pca") is None


def test_no_map_of_failed_embeddings(tmp_path: Path) -> None:
    assert points(small_run(tmp_path, [[0, 0], [1, 1], [2, 3]], status="nonfinite"), "m", "pca") is None


def test_umap_is_offered_where_it_is_installed(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    class FakeUMAP:
        def __init__(self, **options: Any) -> None:
            asked.update(options)

        def fit_transform(self, given: np.ndarray) -> np.ndarray:
            return given[:, :2] * 2

    module = ModuleType("umap")
    module.UMAP = FakeUMAP  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "umap", module)
    monkeypatch.setattr(embedding_points, "find_spec", lambda _: object())
    assert projections() == ["pca", "umap"]
    run = open_run(runs / "sample")
    laid, plain = points(run, MODEL, "umap"), points(run, MODEL, "pca")
    assert laid is not None
    assert plain is not None
    assert laid.xy == pytest.approx(plain.xy * 2)
    assert laid.spread == ()
    assert asked["random_state"] == 0


def drawn(names: list[str]) -> Any:
    import pyarrow as pa

    found = Points(
        np.arange(len(names)), np.random.default_rng(1).normal(size=(len(names), 2)), len(names), 2, (0.6, 0.3)
    )
    return scatter(found, names, Ids(pa.array([f"i{place}" for place in range(len(names))])), LIGHT)


def test_names_differ_by_shape_and_colour_and_all_points_are_drawn() -> None:
    names = [f"g{place % 12}" for place in range(120)] + ["g0", HOSTILE]
    figure = drawn(names)
    traces = figure.data
    assert sum(len(trace.x) for trace in traces) == len(names)
    assert [trace.marker.symbol for trace in traces] == list(GROUP_SHAPES)
    assert len({trace.marker.color for trace in traces}) == len(GROUP_SHAPES)
    assert traces[-1].name.startswith("all others")
    assert all(trace.type == "scattergl" for trace in traces)
    assert not any("<b>" in str(item) for trace in traces for item in trace.customdata)


def test_wrong_is_drawn_over_right() -> None:
    figure = drawn(["wrong", "right", "no prediction", "right"])
    assert [trace.name for trace in figure.data] == ["right (2)", "wrong (1)", "no prediction (1)"]


def test_map_says_what_it_does_not_show(runs: Path, open_app: OpenApp) -> None:
    app = open_app(runs, "fairness", run="sample", model=MODEL, view="map")
    said = texts(app)
    assert "is no evidence" in said
    assert "239 images with an embedding are drawn" in said
    assert "of the spread of 12 dimensions" in said
    assert "Draw around points" in said
    assert app.query_params["colour"] == "outcome"


def test_picked_part_of_the_map_is_in_the_address(runs: Path, open_app: OpenApp) -> None:
    run = open_run(runs / "sample")
    app = open_app(runs, "fairness", run="sample", model=MODEL, view="map", **{"map-x": "0-30", "map-y": "50-100"})
    found = points(run, MODEL, "pca")
    assert found is not None
    low, high = found.xy.min(axis=0), found.xy.max(axis=0)
    share = (found.xy - low) / (high - low)
    inside = (share[:, 0] <= 0.3) & (share[:, 1] >= 0.5)
    assert 0 < inside.sum() < len(inside)
    ids = run.table("images")["image_id"]
    table = app.dataframe[0].value
    assert table["image_id"].tolist() == [ids[place] for place in found.place[inside]]
    wrong = (table["label"] != table["predicted"]).sum()
    assert f"{inside.sum()} images, {wrong} of them wrong" in texts(app)
    assert (table["outcome"].eq("wrong") == (table["label"] != table["predicted"])).all()


def test_more_pictures_than_a_page_come_in_pages(runs: Path, open_app: OpenApp) -> None:
    query = {"map-x": "0-99", "map-page": "2"}
    app = open_app(runs, "fairness", run="sample", model=MODEL, view="map", **query)
    assert not app.exception
    assert app.query_params["map-page"] == "2"
    found = next(item.value for item in app.caption if "with a thumbnail" in item.value).split()
    shown, kept = int(found[0]), int(found[2])
    assert 24 < kept <= 48
    assert shown == kept - 24


def test_run_without_embeddings_says_so(odd_runs: Path, open_app: OpenApp, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(odd_runs / "plain", tmp_path / "plain")
    (tmp_path / "plain" / "tables" / "embeddings.parquet").unlink()
    app = open_app(tmp_path, "fairness", run="plain", view="map")
    assert "There is no map: it needs" in texts(app)
