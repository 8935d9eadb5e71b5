"""Renders a document tree as a PDF through typst: tagged (PDF/UA-1), for archives (PDF/A-2a), the same bytes each time.

Fonts come with Python packages, so that the same report looks the same on every machine.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

from audit.errors import InputError
from reports.language import say, speaking
from reports.nodes import Document
from reports.palette import LIGHT
from reports.pdf_text import Fonts, Typesetter, find_fonts
from reports.pdf_tree import Printer
from reports.sections.summary import SUMMARY

__all__ = ["render_pdf"]

_STANDARDS: list[Any] = ["a-2a", "ua-1"]
_TEMPLATE = "report.typ"


def render_pdf(document: Document, *, created: datetime) -> bytes:
    """Render a document.

    Parameters
    ----------
    document : Document
        Its language is that of the renderer's own wording, and the one that screen readers go by.
    created : datetime
        Date of the run, which becomes that of the file; a time without a zone counts as UTC.

    Returns
    -------
    bytes
        A PDF 1.7 file that keeps to PDF/UA-1 and PDF/A-2a as far as typst checks them. Equal documents give equal
        bytes with the same versions of typst and of the fonts.

    Raises
    ------
    InputError
        The fixed wording has characters that no font at hand has.
    ModuleNotFoundError
        typst is not installed.
    """
    import typst

    fonts = find_fonts()
    printer = Printer(Typesetter(fonts))
    with speaking(document.language):
        words = _words()
        _readable(words, fonts, document.language)
        content = _content(document, printer, created, words)
    with tempfile.TemporaryDirectory(prefix="faircam-") as place:
        folder = Path(place)
        _lay_out(folder, content, printer.files)
        book = typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=list(fonts.folders))
        moment = int(_utc(created).timestamp())
        return typst.compile(
            folder / _TEMPLATE, root=folder, font_paths=book, pdf_standards=_STANDARDS, timestamp=moment
        )


def _lay_out(folder: Path, content: Mapping[str, Any], pictures: Mapping[str, bytes]) -> None:
    """Write what typst reads: the template, the report's values and its pictures."""
    for name, picture in pictures.items():
        (folder / name).write_bytes(picture)
    text = json.dumps(content, ensure_ascii=False, allow_nan=False)
    (folder / "report.json").write_text(text, encoding="utf-8")
    template = (files("reports") / "templates" / _TEMPLATE).read_text(encoding="utf-8")
    (folder / _TEMPLATE).write_text(template, encoding="utf-8")


def _words() -> dict[str, str]:
    """What the template itself writes."""
    return {
        "kicker": say("faircam audit report"),
        "contents": say("Contents"),
        "incomplete": say("INCOMPLETE"),
        "page": say("Page {page} of {pages}", page="{page}", pages="{pages}"),
        "no_rows": say("No rows."),
        "closing": say(
            "What was measured, on whom, how sure, and what it does not show. Every number comes from the tables of "
            "the run."
        ),
    }


def _content(document: Document, printer: Printer, created: datetime, words: Mapping[str, str]) -> dict[str, Any]:
    """Everything that the template reads."""
    text = printer.text
    summary = printer.blocks(tuple(one for one in document.sections if one.identifier == SUMMARY), 1)
    blocks = printer.blocks(tuple(one for one in document.sections if one.identifier != SUMMARY), 1)
    title, subtitle, warning = (text.words(one) for one in (document.title, document.subtitle, document.warning))
    plain = text.line(document.title) or words["kicker"]
    state = "" if document.complete else say("INCOMPLETE: ")
    return {
        "words": {name: text.words(word) for name, word in words.items()},
        "language": document.language,
        "fonts": list(printer.text.fonts.families),
        "colours": {name: getattr(LIGHT, name) for name in LIGHT.__dataclass_fields__},
        "date": _date(created),
        "name": f"{state}{plain} – {words['kicker']}",
        "running": _short(plain),
        "title": title or words["kicker"],
        "subtitle": subtitle,
        "complete": document.complete,
        "warning": warning,
        "missing": _missing(text),
        "summary": summary,
        "blocks": blocks,
    }


def _missing(text: Typesetter) -> str:
    """What is said of characters that stand as code points; empty where there are none."""
    if not text.missing:
        return ""
    count, example = len(text.missing), f"⟨U+{min(text.missing, key=lambda code: (code < 0x300, code)):04X}⟩"
    said = [
        say(
            "Characters that the fonts of this file lack stand as their code points, such as {example}; there are "
            "{count} of them.",
            example=example,
            count=count,
        )
    ]
    if not text.fonts.chinese:
        said.append(say("The package noto-cjk-sans-otc brings those of Chinese, Japanese and Korean."))
    return say(" ").join(said)


def _short(text: str, limit: int = 60) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC) if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _date(created: datetime) -> dict[str, int]:
    moment = _utc(created)
    return {part: getattr(moment, part) for part in ("year", "month", "day", "hour", "minute", "second")}


def _readable(words: Mapping[str, str], fonts: Fonts, language: str) -> None:
    """Refuse a language whose wording would come out as code points."""
    probe = Typesetter(fonts)
    for word in words.values():
        probe.line(word)
    if probe.missing:
        raise InputError(
            f"the fonts at hand lack {len(probe.missing)} characters of a report in '{language}'",
            fix="install a font for it: pip install noto-cjk-sans-otc brings Chinese, Japanese and Korean",
        )
