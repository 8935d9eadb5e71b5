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
from reports.language import speaking

__all__ = ["REPORT_FORMATS", "write_report"]


def _html(run: Run) -> str:
    from reports.document import build_document
    from reports.html import render_html

    return render_html(build_document(run))


def _pdf(run: Run) -> bytes:
    from reports.document import build_document
    from reports.pdf import render_pdf

    return render_pdf(build_document(run), created=_created(run, "a PDF"))


def _markdown(run: Run) -> str:
    from reports.document import build_document
    from reports.markdown import render_markdown

    return render_markdown(build_document(run))


def _json(run: Run) -> str:
    from reports.document import build_document
    from reports.tree_json import render_json

    return render_json(build_document(run))


def _csv(run: Run) -> str:
    from reports.claims_csv import claims_csv

    return claims_csv(run)


def _junit(run: Run) -> str:
    from audit.findings import junit_xml
    from reports.bundle.verdicts import check_of

    return junit_xml(check_of(run, _created(run, "JUnit").date()))


def _model_card(run: Run) -> str:
    from reports.bundle.model_card import model_card

    return model_card(run)


def _ml_bom(run: Run) -> bytes:
    from reports.bundle.documents import json_bytes
    from reports.bundle.ml_bom import ml_bom

    return json_bytes(ml_bom(run))


_FORMATS: dict[str, Callable[[Run], str | bytes]] = {
    "html": _html,
    "pdf": _pdf,
    "md": _markdown,
    "json": _json,
    "csv": _csv,
    "junit": _junit,
    "modelcard": _model_card,
    "mlbom": _ml_bom,
}
_FILES = {"csv": "results.csv", "junit": "junit.xml", "modelcard": "modelcard.md", "mlbom": "mlbom.cdx.json"}

REPORT_FORMATS: tuple[str, ...] = tuple(_FORMATS)
"""Formats in which a report can be written."""


def write_report(run: Run, out: Path | None = None, format: str = "html", language: str = "en") -> Path:
    """Write the report of a run, or one of the documents that a bundle holds beside it.

    Parameters
    ----------
    run : Run
        From `audit.open_run`.
    out : Path, optional
        File to write; by default ``report.`` and the format, ``results.csv``, ``junit.xml``, ``modelcard.md`` or
        ``mlbom.cdx.json`` in the run's folder. A crash leaves the old file or the new one.
    format : str
        One of `REPORT_FORMATS`. ``csv`` holds every claim of the run, ``junit`` its verdicts with the waivers that were
        in force on the day when the run was computed; `faircam check --junit` judges on another day.
    language : str
        Of the fixed wording of html, pdf, md and json, one of `reports.language.LANGUAGES`; names stay as the user
        gave them, and the other formats are for programs.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InputError
        The format or the language is unknown.
    RunError
        A table of the run cannot be read, or its record is broken.
    ModuleNotFoundError
        The format needs a package that is not installed: typst for PDF, huggingface_hub for a model card.
    """
    if format not in _FORMATS:
        raise InputError(
            f"report format '{format}' is unknown, allowed: {', '.join(REPORT_FORMATS)}."
            f"{nearest(format, REPORT_FORMATS)}",
            fix=f"use one of {', '.join(REPORT_FORMATS)}",
        )
    path = Path(out) if out is not None else run.path / _FILES.get(format, f"report.{format}")
    if path.is_dir():
        raise InputError("is a folder", where=str(path), fix="name a file")
    with speaking(language):
        content = _FORMATS[format](run)
    if isinstance(content, bytes):
        write_bytes(path, content)
    else:
        write_text(path, content)
    return path


def _created(run: Run, needing: str) -> datetime:
    """When the run was made, by its record; an error names the format that needs it."""
    text = run.record.get("created")
    try:
        return datetime.fromisoformat(text or "")
    except (TypeError, ValueError):
        raise RunError(
            f"created is {text!r}, but {needing} needs a date and time such as 2026-01-15T09:30:00+00:00",
            where=str(run.path / "run.json"),
            fix="restore the run's record, or write the report as html, md, json or csv",
        ) from None
