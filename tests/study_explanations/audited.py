"""One task of the study: train a network, audit it through the real pipeline, keep the tables that verdicts rest on."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from audit.data.synthetic import REGION_NAMES
from audit.notebook import audit
from audit.run import Run
from tests.study_explanations.methods import METHODS, register_fakes
from tests.study_explanations.networks import Network, scaled

__all__ = ["POSITIVE", "TABLES", "audit_network", "done", "read", "settings"]

TABLES = ("images", "predictions", "quality", "crosschecks", "region_mass", "interventions")
"""Raw tables of a run; all the figures are computed from them anew."""

POSITIVE = "cross"


def settings(network: Network, methods: Sequence[str]) -> dict[str, Any]:
    """Settings of the audit: the defaults, but for what no stamp and no verdict rests on."""
    return {
        "name": network.name,
        "classes": list(network.test.class_names),
        "positive": POSITIVE,
        "seed": network.seed,
        "regions": {"names": REGION_NAMES, "should_not_matter": ["marker"]},
        "explanations": {"methods": list(methods), "sample": 96},
        "quality": {"road": False, "copies": 0},
        "interventions": {"sample": "all"},
        "execution": {"threads": 1, "micro_batch": 64, "device": "cpu"},
    }


def audit_network(network: Network, work: Path, methods: Sequence[str] = tuple(METHODS)) -> Path:
    """Train and audit a network.

    Parameters
    ----------
    network : Network
    work : Path
        Folder of all networks. Each gets a folder of its own, which appears when it is whole.
    methods : sequence of str
        All of the study by default.

    Returns
    -------
    Path
        Its folder: `TABLES` as Parquet, and ``facts.json``.
    """
    import torch

    torch.set_num_threads(1)
    register_fakes()
    started = time.process_time()
    model, accuracy = network.trained()
    trained = time.process_time()
    test = network.test
    with tempfile.TemporaryDirectory(prefix="study-explanations-") as folder:
        run = audit(
            model,
            scaled(test),
            [test.class_names[label] for label in test.labels],
            regions=test.region_maps(),
            out=Path(folder) / "run",
            settings=settings(network, methods),
            progress=False,
        )
        seconds = {"training": trained - started, "audit": time.process_time() - trained}
        facts = {"recipe": _recipe(network, methods), "validation_accuracy": accuracy, "seconds": seconds}
        return _kept(run, facts, work / network.name)


def _recipe(network: Network, methods: Sequence[str]) -> dict[str, Any]:
    return {"network": asdict(network), "settings": json.loads(json.dumps(settings(network, methods)))}


def _kept(run: Run, facts: dict[str, Any], target: Path) -> Path:
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for name in TABLES:
        run.table(name).to_parquet(partial / f"{name}.parquet")
    (partial / "facts.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")
    shutil.rmtree(target, ignore_errors=True)
    return partial.rename(target)


def done(network: Network, work: Path, methods: Sequence[str] = tuple(METHODS)) -> bool:
    """Whether the network was audited already, by the same recipe."""
    facts = work / network.name / "facts.json"
    return facts.exists() and json.loads(facts.read_text(encoding="utf-8"))["recipe"] == _recipe(network, methods)


def read(network: Network, work: Path) -> tuple[dict[str, pd.DataFrame], dict[str, Any]]:
    """Tables and facts of an audited network."""
    folder = work / network.name
    tables = {name: pd.read_parquet(folder / f"{name}.parquet") for name in TABLES}
    return tables, json.loads((folder / "facts.json").read_text(encoding="utf-8"))
