"""Changing a sample run into one that is harder to show."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from audit.run import open_run
from audit.run.schema import TABLES
from audit.run.tables import write_table

HOSTILE = "=1+1 *a* <b>b</b> [l](http://x.invalid) :red[r] :material/home: :smile: $x^2$ `c` # & \\ %{x} \u202eend"
"""A group's name with everything that Markdown, HTML, LaTeX, Plotly and a spreadsheet would act on."""


def rename_group(folder: Path, old: str, new: str) -> None:
    """Replace a group's name in every table of a run, and in the sentences that name it."""
    run = open_run(folder)
    for name in TABLES:
        if not run.has(name):
            continue
        frame = run.table(name)
        for column in frame.columns:
            if pd.api.types.is_string_dtype(frame[column]):
                frame[column] = frame[column].str.replace(old, new, regex=False)
        write_table(folder, name, frame)
