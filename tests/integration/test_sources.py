"""The same pictures from files, from a dataset of `datasets` and from torchvision: the same audit, in worker processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from audit.run import Run, open_run
from tests.integration.small import CLASSES, faircam, write_audit

pytestmark = pytest.mark.slow

GROUPS = ["light", {"column": "size", "bins": [20], "provenance": "measured"}]


def audited(folder: Path, name: str, data: dict[str, Any], *options: str) -> Run:
    """Audit the small set with another `data` section; region maps are left out, they are not in the datasets."""
    common = {"groups": GROUPS, "intersections": [["light", "size"]], "cluster": "person"}
    config = write_audit(folder / name, data={**common, **data})
    done = faircam("run", config, "--out", folder / name / "run", *options)
    assert done.returncode == 0, done.stderr
    run = open_run(folder / name / "run")
    assert run.complete
    return run


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("files")
    return audited(folder, "files", {"manifest": "images.csv"})


def test_huggingface(files: Run, tmp_path: Path) -> None:
    """Every table that does not name images is the same, and every image has the digest of its file."""
    datasets = pytest.importorskip("datasets")
    root = files.path.parent
    table = pd.read_csv(root / "images.csv", dtype="str", keep_default_na=False)
    content = table.to_dict("list")
    content["image"] = [{"bytes": (root / name).read_bytes(), "path": None} for name in table["image"]]
    content["size"] = [None if value == "" else value for value in content["size"]]
    saved = datasets.Dataset.from_dict(content).cast_column("image", datasets.Image())
    saved.save_to_disk(tmp_path / "saved")
    run = audited(tmp_path, "hf", {"huggingface": str(tmp_path / "saved")})
    assert run.table("images")["sha256"].tolist() == files.table("images")["sha256"].tolist()
    same(files, run)
    assert "datasets" in run.record["environment"]["versions"]


@pytest.mark.torch
def test_torchvision(files: Run, tmp_path: Path) -> None:
    pytest.importorskip("torchvision")
    root = files.path.parent
    table = pd.read_csv(root / "images.csv", dtype="str", keep_default_na=False)
    for row, (name, label) in enumerate(zip(table["image"], table["label"], strict=True)):
        folder = tmp_path / "photos" / label
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{row:04d}.png").write_bytes((root / name).read_bytes())
    order = table.sort_values("label", kind="stable").reset_index(drop=True)
    joined = order.assign(image=[f"{place:06d}" for place in range(len(order))])
    joined.drop(columns="label").to_csv(tmp_path / "who.csv", index=False)
    source = {"name": "ImageFolder", "root": str(tmp_path / "photos")}
    data = {"torchvision": source, "attributes_table": str(tmp_path / "who.csv")}
    run = audited(tmp_path, "tv", data)
    ours, plain = counted(run), counted(files)
    pd.testing.assert_frame_equal(ours, plain)
    assert list(run.table("images")["label"]) == sorted(CLASSES * 30)
    assert run.table("images")["sha256"].str.len().eq(64).all()


def test_cached_shards_are_those_of_the_same_bytes(tmp_path: Path) -> None:
    """A second run over the saved dataset takes over every shard; another picture in a row makes its shard anew."""
    datasets = pytest.importorskip("datasets")
    write_audit(tmp_path / "source")
    table = pd.read_csv(tmp_path / "source" / "images.csv", dtype="str", keep_default_na=False)
    pictures = [(tmp_path / "source" / name).read_bytes() for name in table["image"]]
    content = table.drop(columns="image").to_dict("list")
    content["size"] = [value or None for value in content["size"]]
    cache = ("--cache", str(tmp_path / "cache"))

    def saved(name: str, images: list[bytes]) -> Run:
        cells = [{"bytes": image, "path": None} for image in images]
        made = datasets.Dataset.from_dict({**content, "image": cells}).cast_column("image", datasets.Image())
        made.save_to_disk(tmp_path / name / "saved")
        return audited(tmp_path, f"{name}-audit", {"huggingface": str(tmp_path / name / "saved")}, *cache)

    first = saved("first", pictures)
    kept = len(list((tmp_path / "cache").rglob("*.parquet")))
    assert kept > 0
    changed = saved("changed", [pictures[1], *pictures[1:]])
    assert len(list((tmp_path / "cache").rglob("*.parquet"))) > kept
    before, after = first.table("predictions"), changed.table("predictions")
    assert before["confidence"][0] != after["confidence"][0]
    assert before["confidence"][1:].tolist() == after["confidence"][1:].tolist()


def same(first: Run, second: Run) -> None:
    """Predictions and everything counted from them agree to the last bit."""
    columns = ["model", "label", "predicted", "probabilities", "confidence", "status"]
    pd.testing.assert_frame_equal(first.table("predictions")[columns], second.table("predictions")[columns])
    for name in ("groups", "gaps", "coverage"):
        pd.testing.assert_frame_equal(first.table(name), second.table(name), obj=name)


def counted(run: Run) -> pd.DataFrame:
    """Group values and numbers, which the order of the images does not change."""
    groups = run.table("groups").sort_values(["attribute", "group", "metric", "class"]).reset_index(drop=True)
    return groups[["attribute", "group", "metric", "class", "n", "clusters", "value"]]
