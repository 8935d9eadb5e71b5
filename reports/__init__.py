"""Reports of a run: document tree, figures as data, and the formats that write them.

Reads the run folder only; no model, framework or configuration is needed.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from audit.errors import InputError, RunError, nearest
from audit.run import Run
from audit.run.files import write_bytes, write_text

__all__ = ["REPORT_FORMATS", "write_report"]


def _html(run: Run) -> str:
    from reports.document import build_document
    from reports.html import render_html

    return render_html(build_document(run))


def _pdf(run: Run) -> bytes:
    from reports.document import build_document
    from reports.pdf import render_pdf

    return render_pdf(build_document(run), created=_created(run))


def _markdown(run: Run) -> str:
    from reports.document import build_document
    from reports.markdown import render_markdown

    return render_markdown(build_document(run))


def _json(run: Run) -> str:
    from reports.document import build_document
    from reports.tree_json import render_json

    return render_json(build_document(run))


_FORMATS: dict[str, Callable[[Run], str | bytes]] = {"html": _html, "pdf": _pdf, "md": _markdown, "json": _json}

REPORT_FORMATS: tuple[str, ...] = tuple(_FORMATS)
"""Formats in which a report can be written; also the endings of the files."""


def write_report(run: Run, out: Path | None = None, format: str = "html") -> Path:
    """Write the report of a run.

    Parameters
    ----------
    run : Run
        From `audit.open_run`.
    out : Path, optional
        File to write; ``report.`` and the format in the run's folder by default. A crash leaves the old file or the
        new one.
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
        A table of the run cannot be read, or its record is broken.
    ModuleNotFoundError
        The format needs a package that is not installed: typst for PDF.
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
    content = _FORMATS[format](run)
    if isinstance(content, bytes):
        write_bytes(path, content)
    else:
        write_text(path, content)
    return path


def _created(run: Run) -> datetime:
    """When the run was made, by its record."""
    text = run.record.get("created")
    try:
        return datetime.fromisoformat(text or "")
    except (TypeError, ValueError):
        raise RunError(
            f"created is {text!r}, but a PDF needs a date and time such as 2026-01-15T09:30:00+00:00",
            where=str(run.path / "run.json"),
            fix="restore the run's record, or write the report as html, md or json",
        ) from None
