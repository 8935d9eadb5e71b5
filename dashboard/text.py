"""Data as text on screen: names that Markdown or Plotly would read as markup are shown as they are."""

from __future__ import annotations

import html
import re
from datetime import datetime
from typing import Any

from audit.run import Run
from reports.format import clean, short

__all__ = ["csv_name", "escape", "file_name", "image_tail", "mark_up", "run_date"]

_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")
_ADDRESS = re.compile(r"\\[:@]|www(?=\\\.)", re.IGNORECASE)


def escape(text: Any) -> str:
    """Text for a Markdown element or label, every sign of it shown as it stands.

    Streamlit looks for emoji, icons, web and e-mail addresses after Markdown was read, so a colon, an at sign and
    ``www`` are followed by a mark of no width, which keeps their parts apart.
    """
    one_line = " ".join(clean(text).split())
    escaped = _PUNCTUATION.sub(r"\\\1", one_line)
    return _ADDRESS.sub(lambda found: f"{found[0]}\N{WORD JOINER}", escaped)


def mark_up(text: Any, limit: int = 28) -> str:
    """Name for a Plotly text, shortened, none of it read as a tag."""
    return html.escape(short(text, limit), quote=False)


def image_tail(image_id: str, limit: int = 14) -> str:
    """End of an image's id, where ids differ, without the file's ending."""
    name = re.sub(r"\.\w{2,5}$", "", clean(image_id))
    return name if len(name) <= limit else f"…{name[1 - limit :]}"


def run_date(run: Run) -> str:
    """Day on which the run was made, ``YYYY-MM-DD``, or ``undated``."""
    try:
        return datetime.fromisoformat(str(run.record.get("created"))).date().isoformat()
    except ValueError:
        return "undated"


def csv_name(run: Run, model: str, what: str) -> str:
    """File name of a downloaded table."""
    return f"{file_name(run, model, what)}.csv"


def file_name(run: Run, model: str, what: str) -> str:
    """Name of a file, without its ending: what it is, of which run and model, from which day."""
    parts = ["faircam", run.name, model, what, run_date(run)]
    return "_".join(_slug(part) for part in parts)


def _slug(text: str) -> str:
    kept = re.sub(r"[^\w.-]+", "-", clean(text), flags=re.UNICODE).strip("-.")
    return kept[:60] or "unnamed"
