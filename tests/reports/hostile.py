"""Group names that formats stumble over, and a small run that uses them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from audit.run import Run
from audit.run.tables import write_table
from tests.hostile.names import texts

HOSTILE = (*texts(), "", "---", "- item", "~", "yes", "{a: 1}", "long words " * 27)
"""The corpus, and what YAML or a line's beginning takes for something else."""


def named_run(folder: Path, names: Sequence[str], attribute: str = "tone", models: Sequence[str] = ("m",)) -> Run:
    """A run whose groups have these names; the value of each tells its place, and nothing was measured on anything."""
    rows = []
    for step, model in enumerate(models):
        key = {"model": model, "metric": "accuracy", "class": None, "method": "clopper_pearson", "status": "ok"}
        for place, name in enumerate(names):
            value = (place + 1 + 1000 * step) / 10_000
            bounds = {"value": value, "low": value / 2, "high": value * 2}
            rows.append({**key, **bounds, "attribute": attribute, "group": name, "n": place + 1, "clusters": place + 1})
    write_table(folder, "groups", pd.DataFrame(rows))
    record = {
        "name": "named",
        "complete": True,
        "created": "2026-01-15T09:30:00+00:00",
        "fingerprint": "f" * 64,
        "models": [{"name": name, "framework": "torch", "sha256": "0" * 64} for name in models],
        "data": {"attributes": [{"name": attribute, "provenance": "self-reported"}], "classes": ["a", "b"]},
    }
    return Run(folder, record)
