"""Runs whose model can be tried: a record alone for the worker, and a small whole one of the built-in set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from audit.config import AuditConfig, load_config, parse_config
from audit.data.synthetic import SyntheticSpec, draw, write
from audit.engine.crew import InlineCrew
from audit.engine.job import FileSource, Job, OutputMap
from audit.engine.station import describe
from audit.engine.worker import Worker
from audit.explanations.registry import build, describe_method
from audit.models.files import model_digest
from audit.models.loading import load_model
from audit.pipeline import execute, silent
from audit.preflight import preflight
from audit.run import Run
from audit.run.schema import SCHEMA_VERSION

SIZE = 32
CLASSES = ("cross", "disc")


def write_record(config: Path, run: Path, classes: tuple[str, ...]) -> Path:
    """A run folder with nothing but the record, as trying an image reads it."""
    audit = load_config(AuditConfig, config)
    models = [
        {"name": each.name, "framework": each.framework, "sha256": model_digest(each, config.parent)}
        for each in audit.models
    ]
    methods = {name: describe_method(each) for name, each in build(audit.explanations.methods).items()}
    record = {
        "schema_version": SCHEMA_VERSION,
        "name": audit.name,
        "config": audit.model_dump(mode="json"),
        "models": models,
        "methods": methods,
        "data": {"classes": list(classes)},
        "complete": True,
    }
    run.mkdir(parents=True)
    (run / "run.json").write_text(json.dumps(record), encoding="utf-8")
    return run


def audit_built_in(folder: Path, images: int = 24) -> Run:
    """Audit the closed-form NumPy model on images of the built-in synthetic set, in this process."""
    write({"test": draw(SyntheticSpec(images=images, seed=3, size=SIZE))}, folder / "data")
    random = np.random.default_rng(11)
    np.savez(
        folder / "model.npz",
        W1=random.normal(size=(3, 4)),
        b1=random.normal(size=4),
        W2=random.normal(size=(4, 2)),
        b2=np.zeros(2),
        input_shape=np.array([SIZE, SIZE, 3]),
    )
    content: dict[str, Any] = {
        "name": "built-in set (synthetic)",
        "data": {"manifest": "data/manifest.csv", "groups": ["tone"]},
        "positive": "cross",
        "models": [
            {
                "name": "closed-form",
                "framework": "numpy",
                "weights": "model.npz",
                "preprocessing": {"size": [SIZE, SIZE]},
                "classes": list(CLASSES),
            }
        ],
        "explanations": {"methods": ["saliency", "grad_cam"], "sample": 4, "cross_check": 0},
    }
    config = parse_config(AuditConfig, content, where="test")
    checked = preflight(config, folder)
    (model,) = config.models
    outputs = OutputMap.build(model, checked.classes)
    adapter = load_model(model, folder, outputs.own, config.execution)
    source = FileSource(checked.dataset, model.preprocessing, config.data.max_pixels)
    crew = InlineCrew(Worker(Job.build(config, model.name, source, outputs), adapter), describe(adapter.spec))
    return execute(checked, {model.name: crew}, folder / "runs" / "built-in", {}, silent)
