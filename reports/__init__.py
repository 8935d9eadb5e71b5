"""Reports of a run: document tree, figures as data, and the formats that write them.

Reads the run folder only; no model, framework or configuration is needed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from audit.errors import InputError, nearest
from audit.run import Run
from audit.run.files import write_text

__all__ = ["REPORT_FORMATS", "write_report"]


def _html(run: Run) -> str:
    from reports.document import build_document
    from reports.html import render_html

    return render_html(build_document(run))


_FORMATS: dict[str, Callable[[Run], str]] = {"html": _html}

REPORT_FORMATS: tuple[str, ...] = tuple(_FORMATS)
"""Formats in which a report can be written; also the endings of the files."""


def write_report(run: Run, out: Path | None = None, format: str = "html") -> Path:
    """Write the report of a run.

    Parameters
    ----------
    run : Run
        From `audit.open_run`.
    out : Path, optional
        File to write; ``RUN/report.html`` by default. A crash leaves the old file or the new one.
    format : str
        One of `REPORT_FORMATS`.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InputError
        The format is unknown.
    RunError
        A table of the run cannot be read.
    """
    if format not in _FORMATS:
        raise InputError(
            f"report format '{format}' is unknown, allowed: {', '.join(REPORT_FORMATS)}."
            f"{nearest(format, REPORT_FORMATS)}",
            fix=f"use one of {', '.join(REPORT_FORMATS)}",
        )
    path = Path(out) if out is not None else run.path / f"report.{format}"
    if path.is_dir():
        raise InputError("is a folder", where=str(path), fix="name a file")
    write_text(path, _FORMATS[format](run))
    return path
