"""Large runs with drawn numbers: what the size, the speed and the readability of reports are tested on.

Every table has the columns and the number of rows that an audit of that size would write; the numbers are drawn from a
seed and hang together only as far as a report needs. Nothing here was measured on a model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from audit.fairness import METRICS
from audit.fairness.paired import LEFT_OUT, RANGE
from audit.findings.stamps import CHECKS, OVERALL
from audit.run import Run, open_run
from audit.run.files import write_json
from audit.run.integrity import table_digests
from audit.run.plan import Plan, cut, write_plan
from audit.run.schema import TABLES
from audit.run.shards import Receipt, write_shard
from audit.run.tables import ROW_GROUP, table_path, write_table

__all__ = ["Size", "build_large"]

Keys = Mapping[str, Sequence[Any]]
_METHODS = ("grad_cam", "saliency", "gradient_x_input", "integrated_gradients", "smooth_grad", "occlusion")
_REGIONS = ("object", "marker", "border")
_CORRUPTIONS = ("gaussian_noise", "gaussian_blur", "jpeg", "brightness", "contrast")
_VERDICTS = ("fail", "inconclusive", "warn", "pass", "pass", "pass")
_MEASURES = ("spearman", "overlap", "distance")
_MAP = 12  # cells along a side of a mean map
_MAP_SIDE = 48


@dataclass(frozen=True)
class Size:
    """How large a run is.

    Attributes
    ----------
    images, models, groups, classes : int
        Predictions are images times models; groups are those of the first of two attributes.
    explained : int
        Images with maps.
    few_groups : int
        Groups of the second attribute.
    every_class : bool
        Whether intersections have rows of every class, as in an audit; else of the first class alone.
    """

    images: int = 2_000
    models: int = 5
    groups: int = 50
    classes: int = 100
    explained: int = 60
    few_groups: int = 4
    every_class: bool = True

    @cached_property
    def model_names(self) -> list[str]:
        return [f"candidate-{place + 1}" for place in range(self.models)]

    @cached_property
    def class_names(self) -> list[str]:
        return [f"class {place:03d}" for place in range(self.classes)]

    @cached_property
    def attributes(self) -> dict[str, list[str]]:
        return {
            "site": [f"site {place + 1:02d}" for place in range(self.groups)],
            "light": [f"light {place + 1}" for place in range(self.few_groups)],
        }

    @cached_property
    def places(self) -> list[tuple[str, str]]:
        """Attribute and group of everybody, of every group and of every intersection."""
        single = [(name, group) for name, groups in self.attributes.items() for group in groups]
        sites, lights = self.attributes.values()
        crossed = [("site x light", f"{site} & {light}") for site in sites for light in lights]
        return [("overall", "all"), *single, *crossed]

    @property
    def single(self) -> list[tuple[str, str]]:
        """Without the intersections."""
        return [place for place in self.places if " x " not in place[0]]


def build_large(folder: Path, size: Size) -> Run:
    """Write a run of that size into a folder, and open it.

    Parameters
    ----------
    folder : Path
        Is made where it is missing.
    size : Size

    Returns
    -------
    Run
        Complete, with every table that a report reads.
    """
    (folder / "thumbnails").mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(5)
    shards = (*cut("predict", size.images, 4096), *cut("explain", size.explained, 4096))
    plan = Plan({"config": {"seed": 0}}, tuple(size.model_names), shards)
    write_plan(folder, plan)
    _maps(folder, size, plan, random)
    _images(folder, size, random)
    for name, frame in {**_fairness(size, random), **_explained(size, random)}.items():
        write_table(folder, name, frame)
    for place in range(min(size.explained, 40)):
        picture = random.integers(0, 255, (12, 12, 3), dtype=np.uint8)
        Image.fromarray(picture).resize((96, 96)).save(folder / "thumbnails" / f"image-{place:07d}.jpg", quality=85)
    write_json(folder / "run.json", {**_record(size, plan), "tables": table_digests(folder)})
    return open_run(folder)


def _maps(folder: Path, size: Size, plan: Plan, random: np.random.Generator) -> None:
    """The explain stage's shards; those of predictions hold nothing that a report reads."""
    [shard] = plan.stage("explain")
    rows = pd.DataFrame({"image_id": [f"image-{place:07d}" for place in range(size.explained)]})
    for model in size.model_names:
        drawn = random.normal(size=(len(_METHODS), size.explained, _MAP_SIDE, _MAP_SIDE)).astype(np.float32)
        maps = {method: list(values) for method, values in zip(_METHODS, drawn, strict=True)}
        write_shard(folder, Receipt(plan.fingerprint, model, shard, {"ok": size.explained}, 32, 1.0), rows, maps)


def _drawn(table: str, keys: Keys, random: np.random.Generator, **given: Any) -> pd.DataFrame:
    """Every combination of the keys' values, the other columns given or drawn; a key ``a,b`` holds pairs."""
    codes = np.indices([len(values) for values in keys.values()]).reshape(len(keys), -1)
    frame = pd.DataFrame(index=range(codes.shape[1]))
    for (name, values), code in zip(keys.items(), codes, strict=True):
        for place, column in enumerate(name.split(",")):
            level = [value[place] if "," in name else value for value in values]
            frame[column] = pd.Series(level, dtype=object).to_numpy()[code]
    value = random.beta(9, 2, len(frame))
    half = random.uniform(0.01, 0.08, len(frame))
    numbers = {"value": value, "low": np.maximum(value - half, 0), "high": np.minimum(value + half, 1)}
    drawn: dict[str, Any] = {**numbers, "status": "ok", "method": "clopper_pearson", **given}
    for column, kind in TABLES[table].items():
        if column not in frame:
            frame[column] = drawn[column] if column in drawn else _column(kind, len(frame), random)
    return frame[list(TABLES[table])]


def _column(kind: pa.DataType, size: int, random: np.random.Generator) -> Any:
    if pa.types.is_integer(kind):
        return random.integers(12, 400, size)
    if pa.types.is_boolean(kind):
        return random.random(size) < 0.5
    return random.random(size) if pa.types.is_floating(kind) else None


def _images(folder: Path, size: Size, random: np.random.Generator) -> None:
    """Tables `images` and `predictions`, written from arrays, since a million lists are slow to convert."""
    count = size.images
    names = pa.array([f"image-{place:07d}" for place in range(count)])
    label = random.integers(size.classes, size=count)
    classes = pa.array(size.class_names)
    columns: dict[str, Any] = {
        "image_id": names,
        "path": pa.array([f"images/{place:07d}.jpg" for place in range(count)]),
        "sha256": pa.array([f"{place:064x}" for place in range(count)]),
        "label": classes.take(pa.array(label)),
        "split": pa.array(["test"] * count),
        "cluster": pa.array([f"scene-{place // 3}" for place in range(count)]),
        "status": pa.array(["ok"] * count),
    }
    for name, groups in size.attributes.items():
        columns[f"attr_{name}"] = pa.array(groups).take(pa.array(random.integers(len(groups), size=count)))
    _write(folder, "images", [pa.table(columns)])
    _write(folder, "predictions", [_predictions(size, model, names, label, random) for model in size.model_names])


def _predictions(size: Size, model: str, names: pa.Array, label: Any, random: np.random.Generator) -> pa.Table:
    count, classes = size.images, pa.array(size.class_names)
    predicted = np.where(random.random(count) < 0.85, label, random.integers(size.classes, size=count))
    sure = random.uniform(0.4, 1, count).astype(np.float64)
    chances = np.repeat((1 - sure) / (size.classes - 1), size.classes)
    chances[np.arange(count) * size.classes + predicted] = sure
    offsets = pa.array(np.arange(count + 1, dtype=np.int32) * size.classes)
    columns = {
        "model": pa.array([model] * count),
        "image_id": names,
        "label": classes.take(pa.array(label)),
        "predicted": classes.take(pa.array(predicted)),
        "probabilities": pa.ListArray.from_arrays(offsets, pa.array(chances)),
        "confidence": pa.array(sure),
        "status": pa.array(["ok"] * count),
        "disagrees": pa.array(np.zeros(count, bool)),
    }
    return pa.table(columns)


def _write(folder: Path, name: str, parts: Sequence[pa.Table]) -> None:
    path = table_path(folder, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.concat_tables(parts), path, compression="zstd", row_group_size=ROW_GROUP)


def _fairness(size: Size, random: np.random.Generator) -> dict[str, pd.DataFrame]:
    models, classes, places = size.model_names, size.class_names, size.places
    single, positive = size.single, size.class_names[0]
    crossings = [place for place in places if place not in set(single)]
    groups_of = [(name, groups[0], groups[-1]) for name, groups in size.attributes.items()]
    plain = [name for name, metric in METRICS.items() if not metric.per_class and metric.least_classes <= len(classes)]
    of_class = [name for name, metric in METRICS.items() if metric.per_class]
    rates = [("accuracy", None), ("true_positive_rate", positive), ("false_positive_rate", positive)]
    asked = [(metric, name, "range") for metric, name in rates]
    asked += [("accuracy", None, "overall"), ("selection_rate", positive, "ratio"), ("equalised_odds", positive, "max")]
    crossed = [("site x light", "site 01 & light 1", "site 02 & light 2")]
    pairs = list(combinations(models, 2))
    levels = [0, 1, 3, 5]
    curves = {"model": models, "attribute,group": places}
    changes = [*rates, (LEFT_OUT, None)]
    ranges = [(name, RANGE) for name in size.attributes]
    return {
        "groups": pd.concat(
            [
                _drawn("groups", {"model": models, "attribute,group": places, "metric": plain}, random),
                *(
                    _drawn(
                        "groups", {"model": models, "attribute,group": of, "metric": of_class, "class": named}, random
                    )
                    for of, named in ((single, classes), (crossings, classes if size.every_class else classes[:1]))
                ),
            ],
            ignore_index=True,
        ),
        "gaps": _drawn(
            "gaps",
            {"model": models, "attribute,group,reference": [*groups_of, *crossed], "metric,class,compare": asked},
            random,
        ),
        "coverage": _drawn("coverage", {"attribute,group": places, "label": [None, *classes]}, random, failed=0),
        "curves": pd.concat(
            [
                _drawn("curves", {**curves, "position": range(15)}, random, kind="reliability", metric="accuracy"),
                _drawn(
                    "curves",
                    {**curves, "metric": [name for name, _ in rates[1:]], "position": range(101)},
                    random,
                    **{"kind": "threshold", "class": positive},
                ),
            ],
            ignore_index=True,
        ).assign(x=lambda frame: frame["position"] / np.where(frame["kind"] == "threshold", 100, 15)),
        "lattice": _drawn(
            "lattice",
            {"model": models, "group,depth": [(name, 2) for _, name in places[1:]], "metric,class": rates},
            random,
        ),
        "shift": _drawn(
            "shift",
            {
                "model": models,
                "attribute,scenario": [(name, f"{group} up by 10 points") for name, group in single[1:]],
                "metric,class": rates,
            },
            random,
        ),
        "paired": _drawn(
            "paired",
            {"first,second": pairs, "attribute,group": [*places, *ranges], "metric,class": changes},
            random,
            difference=random.normal(0, 0.03, len(pairs) * (len(places) + len(ranges)) * len(changes)),
        ),
        "robustness": _drawn(
            "robustness",
            {"model": models, "corruption": _CORRUPTIONS, "severity": levels, "attribute,group": single},
            random,
            metric="accuracy",
        ),
        "robustness_gaps": _drawn(
            "robustness_gaps",
            {
                "model": models,
                "corruption": _CORRUPTIONS,
                "severity": levels,
                "attribute,group,reference": groups_of,
            },
            random,
        ),
        "leakage": _drawn("leakage", {"model": models, "attribute": list(size.attributes)}, random),
        "slices": _drawn(
            "slices", {"model": models, "slice": [f"slice {place}" for place in range(12)]}, random, makeup="site 01"
        ),
        "membership": _drawn("membership", {"model": models, "attribute,group": single}, random),
        "training": _drawn("training", {"model": models, "epoch": range(1, 31)}, random),
        "work": _drawn("work", {"model": models, "stage": ["predict", "explain", "quality"]}, random),
        **_judged(size, random),
    }


def _judged(size: Size, random: np.random.Generator) -> dict[str, pd.DataFrame]:
    """Findings: a rule for every metric, attribute and class that a policy might name."""
    rules = [
        (f"{name}-gap-{place:02d}", name, "accuracy", None) for name in size.attributes for place in range(size.groups)
    ]
    findings = _drawn("findings", {"model": size.model_names, "rule,attribute,metric,class": rules}, random)
    count = len(findings)
    verdicts = np.array(_VERDICTS)[random.integers(len(_VERDICTS), size=count)]
    about = zip(findings["model"], findings["rule"], findings["attribute"], verdicts, strict=True)
    findings = findings.assign(
        finding_id=[f"{place:012x}" for place in range(count)],
        group="site 01",
        reference="site 02",
        threshold=0.05,
        tier="required",
        verdict=verdicts,
        preregistered=True,
        policy_sha256="0" * 64,
        claims=[[] for _ in range(count)],
        text=[
            f"{model}, {rule}: accuracy differs by 0.081 between the groups of {attribute} (site 01 and site 02), 95 % "
            f"interval 0.042 to 0.133, against a limit of 0.05: {verdict}."
            for model, rule, attribute, verdict in about
        ],
    )
    sensitivity = findings[["finding_id", "model", "rule", "attribute", "verdict"]].assign(
        labels=400, flips=9.0, share=0.0225, random_share=0.04, status="ok", text="at least 9 of 400 labels (2.2 %)."
    )
    return {"findings": findings, "sensitivity": sensitivity}


def _explained(size: Size, random: np.random.Generator) -> dict[str, pd.DataFrame]:
    models, single = size.model_names, size.single
    seen = [f"image-{place:07d}" for place in range(size.explained)]
    quality = ["deletion_pixel", "insertion_pixel", "road", "randomisation", "sensitivity", "gini"]
    measures = [*quality, *(f"share:{name}" for name in _REGIONS)]
    effects = [f"effect_{name}:marker" for name in ("changed", "drop")]
    ends = [(name, groups[0], groups[-1]) for name, groups in size.attributes.items()]
    matched = ["none", "label_confidence"]
    methods = list(_METHODS)
    pairs = list(combinations(models, 2))
    maps = [(name, group, kind) for name, group in single for kind in ("mean", "difference")]
    every = {"model": models, "method": methods}
    drawn_maps = len(models) * len(methods) * len(maps)
    return {
        "explanations": _drawn(
            "explanations",
            {"model": models, "image_id": seen, "method": methods},
            random,
            layer="conv5",
            target="predicted",
            target_class=size.class_names[0],
            score_kind="logit",
        ),
        "region_groups": _drawn(
            "region_groups",
            {**every, "region": _REGIONS, "attribute,group": size.places},
            random,
            method_interval="t",
        ),
        "stamps": pd.concat(
            [
                _drawn("stamps", {**every, "check": list(CHECKS)}, random, result="passed", text=""),
                _drawn("stamps", {**every, "check": [OVERALL]}, random, result="evidence", text=""),
            ],
            ignore_index=True,
        ),
        "quality_groups": _drawn(
            "quality_groups", {**every, "measure": quality, "attribute,group": size.places}, random
        ),
        "quality_gaps": pd.concat(
            [
                _drawn(
                    "quality_gaps",
                    {**every, "measure": measures, "attribute,group,reference": ends, "matching": matched},
                    random,
                ),
                _drawn(
                    "quality_gaps",
                    {"model": models, "measure": effects, "attribute,group,reference": ends, "matching": matched},
                    random,
                    method="",
                ),
            ],
            ignore_index=True,
        ),
        "intervention_groups": _drawn(
            "intervention_groups",
            {
                "model": models,
                "region": _REGIONS,
                "action": ["hide", "control", "effect"],
                "measure": ["changed", "drop"],
                "attribute,group": single,
            },
            random,
        ),
        "agreement": _drawn(
            "agreement", {"first,second": pairs, "method": methods, "image_id": seen}, random, same_prediction=True
        ),
        "agreement_groups": _drawn(
            "agreement_groups",
            {
                "first,second": pairs,
                "method": methods,
                "measure": _MEASURES,
                "when": ["all", "same", "different"],
                "attribute,group": single,
            },
            random,
        ),
        "mean_maps": _drawn(
            "mean_maps",
            {**every, "attribute,group,kind": maps},
            random,
            height=_MAP,
            width=_MAP,
            map=list(random.normal(0, 0.01, (drawn_maps, _MAP * _MAP))),
        ),
        "crosschecks": _drawn(
            "crosschecks", {**every, "image_id": seen[:8]}, random, provider="captum", max_difference=1e-7, note=""
        ),
    }


def _record(size: Size, plan: Plan) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "run_id": plan.fingerprint[:12],
        "name": f"drawn run, {size.groups} groups, {size.classes} classes, {size.models} models",
        "created": "2026-01-15T09:30:00+00:00",
        "faircam": "0.1.0",
        "fingerprint": plan.fingerprint,
        "config": {"seed": 0, "explanations": {"methods": list(_METHODS)}},
        "models": [
            {"name": name, "framework": "torch", "classes": size.class_names, "sha256": "0" * 64, "parameters": 11_000}
            for name in size.model_names
        ],
        "data": {
            "planned": size.images,
            "classes": size.class_names,
            "positive": size.class_names[0],
            "attributes": [{"name": name, "provenance": "by construction"} for name in size.attributes],
            "intersections": [list(size.attributes)],
            "regions": list(_REGIONS),
            "cluster": "scene",
        },
        "policy": {"sha256": "0" * 64, "name": "drawn"},
        "complete": True,
    }
