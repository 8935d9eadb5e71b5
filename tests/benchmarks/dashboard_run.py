"""A run of drawn numbers with 20 attributes, as large as asked for: what the dashboard's speed is measured on.

It has the tables of `tests.large_run`, and what pages read beyond them: embeddings, rows and maps of explained images,
thumbnails. Groups, labels and predictions hang together through `coverage` alone; nothing was measured on a model.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from audit.fairness.coverage import coverage_table
from audit.run import Run, open_run
from audit.run.files import write_json
from audit.run.integrity import table_digests
from audit.run.plan import Plan, cut, write_plan
from audit.run.schema import TABLES
from audit.run.shards import Receipt, write_shard
from audit.run.tables import ROW_GROUP, table_path, write_table
from tests.large_run import Size, build_large

__all__ = ["Wide", "cached_run"]

_METHODS = ("grad_cam", "saliency", "gradient_x_input", "integrated_gradients", "smooth_grad", "occlusion")
_REGIONS = ("object", "marker", "border")
_GROUPS = (40, 4, 2, 3, 4, 5, 6, 8)
_FINE, _COARSE = 112, 14
_DIMENSIONS = 128
_VERSION = 2


@dataclass(frozen=True)
class Wide(Size):
    """A run of many attributes; 10 classes, and no more findings than a policy of some rules an attribute makes.

    Attributes
    ----------
    width : int
        Attributes, of 2 to 40 groups.
    embedded : int
        Images with an embedding, at most.
    clustered : bool
        Whether three images in a row are of one cluster.
    """

    images: int = 200_000
    models: int = 5
    groups: int = 5
    classes: int = 10
    explained: int = 500
    width: int = 20
    embedded: int = 20_000
    clustered: bool = False

    @cached_property
    def attributes(self) -> dict[str, list[str]]:
        names = ["site", "light", *(f"attribute {place + 1:02d}" for place in range(2, self.width))]
        sizes = [_GROUPS[place] if place < 2 else _GROUPS[2 + place % 6] for place in range(self.width)]
        return {
            name: [f"{name} {group + 1}" for group in range(size)]
            for name, size in zip(names[: self.width], sizes, strict=True)
        }

    @cached_property
    def places(self) -> list[tuple[str, str]]:
        single = [(name, group) for name, groups in self.attributes.items() for group in groups]
        first, second = list(self.attributes.values())[:2]
        crossed = [("site x light", f"{one} x {two}") for one in first for two in second]
        return [("overall", "all"), *single, *crossed]


def cached_run(cache: Path, size: Wide) -> Run:
    """The run of a size, made once in a cache folder.

    Returns
    -------
    Run
        In a folder of its own, which is a folder of runs with this one.
    """
    kind = "clusters" if size.clustered else "no-clusters"
    folder = cache / f"v{_VERSION}-{size.images}x{size.models}-{size.width}-{kind}" / "run"
    if not folder.exists():
        partial = folder.with_name(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        _build(partial, size)
        partial.rename(folder)
    return open_run(folder)


def _build(folder: Path, size: Wide) -> None:
    build_large(folder, size)
    random = np.random.default_rng(9)
    names = [f"image-{place:07d}" for place in range(size.explained)]
    if not size.clustered:
        _without_clusters(folder)
    images = pd.read_parquet(table_path(folder, "images"))
    for name, rows in _image_rows(size, names, random):
        write_table(folder, name, rows)
    write_table(folder, "coverage", coverage_table(images, list(size.attributes), [["site", "light"]]))
    _embeddings(folder, size, random)
    _pictures(folder, names, random)
    plan = Plan({"config": {"seed": 0}}, tuple(size.model_names), tuple(cut("explain", size.explained, 512)))
    write_plan(folder, plan)
    _maps(folder, size, plan, names, random)
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    record["name"] = f"{size.images * size.models:,} drawn predictions"
    record["fingerprint"] = plan.fingerprint
    record["data"] |= {"counts": {"ok": size.images}, "intersections": [["site", "light"]]}
    record["config"] |= {"interventions": {}, "quality": {}, "embeddings": {}}
    write_json(folder / "run.json", record | {"tables": table_digests(folder)})


def _without_clusters(folder: Path) -> None:
    path = table_path(folder, "images")
    table = pq.read_table(path)
    place = table.column_names.index("cluster")
    table = table.set_column(place, "cluster", pa.nulls(table.num_rows, pa.string()))
    pq.write_table(table, path, compression="zstd", row_group_size=ROW_GROUP)


def _crossed(**values: Sequence[Any]) -> pd.DataFrame:
    """Every combination of some values."""
    return pd.DataFrame(list(product(*values.values())), columns=list(values))


def _image_rows(size: Wide, names: list[str], random: np.random.Generator) -> Iterator[tuple[str, pd.DataFrame]]:
    """Tables with a row an explained image."""
    models, own = size.model_names, list(_METHODS)
    mass = _crossed(model=models, image_id=names, method=own, region=_REGIONS)
    yield "region_mass", mass.assign(share=random.random(len(mass)), area=0.2, status="ok")
    quality = _crossed(model=models, image_id=names[:200], method=own, measure=["road", "gini", "sensitivity"])
    yield "quality", quality.assign(value=random.random(len(quality)), status="ok", detail="")
    changed = _crossed(
        model=models, image_id=names, region=_REGIONS, action=["hide", "control", "control 2", "swap"]
    ).replace({"action": {"control 2": "control"}})
    count = len(changed)
    yield (
        "interventions",
        changed.assign(
            area=0.2,
            predicted=size.class_names[0],
            predicted_after=size.class_names[1],
            changed=random.random(count) < 0.2,
            probability=random.random(count),
            probability_after=random.random(count),
            positive_after=random.random(count),
            status="ok",
            detail="",
        ),
    )
    most = size.images - 1
    slices = _crossed(model=models, slice=[f"slice {place}" for place in range(12)], number=range(200))
    picked = [f"image-{place:07d}" for place in random.integers(0, min(most, 5000), len(slices))]
    halves = np.where(random.random(len(slices)) < 0.5, "found", "tested")
    yield (
        "slice_images",
        slices.drop(columns="number").assign(image_id=picked, half=halves, distance=random.random(len(slices))),
    )
    problems = pd.DataFrame({"image_id": names[:100]})
    given = {"stage": "explain", "model": models[0], "path": "", "status": "undefined", "detail": "drawn"}
    yield "problems", problems.assign(**given)[list(TABLES["problems"])]


def _embeddings(folder: Path, size: Wide, random: np.random.Generator) -> None:
    """Vectors around a centre for each tenth of the images."""
    count = min(size.embedded, size.images)
    centres = random.normal(0, 1, (10, _DIMENSIONS))
    parts = []
    for model in size.model_names:
        rows = np.sort(random.choice(size.images, count, replace=False))
        vectors = (centres[rows % 10] + random.normal(0, 0.8, (count, _DIMENSIONS))).astype(np.float32)
        offsets = pa.array(np.arange(count + 1, dtype=np.int32) * _DIMENSIONS)
        columns = {
            "model": pa.array([model] * count),
            "image_id": pa.array([f"image-{row:07d}" for row in rows]),
            "embedding": pa.ListArray.from_arrays(offsets, pa.array(vectors.ravel())),
            "status": pa.array(["ok"] * count),
        }
        parts.append(pa.table(columns))
    table = pa.concat_tables(parts)
    pq.write_table(table, table_path(folder, "embeddings"), compression="zstd", row_group_size=ROW_GROUP)


def _pictures(folder: Path, names: list[str], random: np.random.Generator) -> None:
    for name in names:
        coarse = Image.fromarray(random.integers(0, 255, (8, 8, 3), dtype=np.uint8))
        coarse.resize((96, 96), Image.Resampling.BICUBIC).save(folder / "thumbnails" / f"{name}.jpg", quality=85)


def _maps(folder: Path, size: Wide, plan: Plan, names: list[str], random: np.random.Generator) -> None:
    for model in size.model_names:
        for shard in plan.stage("explain"):
            own = names[shard.start : shard.stop]
            rows = pd.DataFrame({"image_id": own, "status": "ok"})
            sides = {method: _COARSE if method == "grad_cam" else _FINE for method in _METHODS}
            drawn = {
                method: list(random.standard_normal((len(own), side, side), dtype=np.float32))
                for method, side in sides.items()
            }
            receipt = Receipt(plan.fingerprint, model, shard, {"ok": len(own)}, 32, 1.0)
            write_shard(folder, receipt, rows, drawn)
