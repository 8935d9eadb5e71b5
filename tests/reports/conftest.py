"""One sample run for all tests of reports, and a way to change a copy of it."""

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
from tests.sample_run import build

Change = Callable[..., Run]


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The sample run; not to be changed."""
    return build(tmp_path_factory.mktemp("sample") / "run")


@pytest.fixture
def changed(sample: Run, tmp_path: Path) -> Change:
    """Copy the sample with other tables, other top-level keys of the record, or without some tables."""

    def change(tables: dict[str, pd.DataFrame] | None = None, without: tuple[str, ...] = (), **record: Any) -> Run:
        folder = tmp_path / "run"
        shutil.copytree(sample.path, folder)
        for name in without:
            (folder / "tables" / f"{name}.parquet").unlink()
        for name, frame in (tables or {}).items():
            write_table(folder, name, frame)
        content = {**sample.record, **record}
        (folder / "run.json").write_text(json.dumps(content), encoding="utf-8")
        return open_run(folder)

    return change
