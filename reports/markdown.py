"""Renders a document tree as GitHub-flavoured Markdown: tables as tables, figures in words, pictures left out.

Names are escaped so that they can become neither markup nor HTML, links, mentions or references.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from reports import nodes
from reports.format import clean
from reports.language import say, speaking
from reports.nodes import Document
from reports.palette import STAMPS, stamp_style, stamp_word, verdict_style, verdict_word

__all__ = ["escape", "render_markdown"]

_JOINER = "\u2060"
_DEEPEST = 6
# Signs that mean something wherever they stand.
_MEANT = re.compile(r"([\\`*_{}\[\]<>|~&$])")
# Signs that mean something at the start of a line, and a number with a dot or bracket after it.
_START = re.compile(r"^(?:(#|[-+](?=[-\s]|$)|=(?==|$)|:(?=-))|(\d{1,9})([.)])(?=\s|$))")
# An address makes a link of itself.
_ADDRESS = re.compile(r"(?i)\b(https?|ftp|mailto|xmpp)(:)|\b(www)(\.)")
# A mention, an e-mail address or a reference to an issue is made even of escaped text, unless something comes between.
_CALL = re.compile(r"([@#])(?=\w)|(?<=\w)(@)")


def render_markdown(document: Document) -> str:
    """Render a document.

    Parameters
    ----------
    document : Document

    Returns
    -------
    str
        Markdown that ends with a line break, in the document's language. Equal documents give equal text.
    """
    with speaking(document.language):
        return "\n\n".join(part for part in _parts(document) if part) + "\n"


def _parts(document: Document) -> Iterator[str]:
    yield f"# {escape(document.title) or '–'}"
    yield escape(document.subtitle)
    if not document.complete:
        yield f"> **{say('INCOMPLETE.')}** {escape(document.warning)}".rstrip()
    yield say(
        "Pictures are left out of this format, and figures are given in words; the HTML and PDF reports show both."
    )
    for section in document.sections:
        yield from _block(section, 2)


def escape(text: str) -> str:
    """Text on one line that Markdown reads as text and nothing else.

    Parameters
    ----------
    text : str

    Returns
    -------
    str
        White space is one space each. U+2060, which nobody sees, stands where a mention or an e-mail address would
        otherwise become a link.
    """
    line = " ".join(clean(text).split())
    line = _MEANT.sub(r"\\\1", line)
    line = _ADDRESS.sub(lambda found: (found[1] or found[3]) + "\\" + (found[2] or found[4]), line)
    line = _START.sub(lambda found: f"\\{found[1]}" if found[1] else f"{found[2]}\\{found[3]}", line)
    return _CALL.sub(lambda found: (found[1] or found[2]) + _JOINER, line)


def _block(block: nodes.Block, level: int) -> Iterator[str]:
    writers: dict[type, Callable[[Any, int], Iterator[str]]] = {
        nodes.Section: _section,
        nodes.Folded: _folded,
        nodes.Paragraph: _paragraph,
        nodes.Bullets: _bullets,
        nodes.Callout: _callout,
        nodes.KeyValues: _facts,
        nodes.Code: _code,
        nodes.Table: _table,
        nodes.FigureBlock: _figure,
        nodes.FigureRow: _figures,
        nodes.VerdictCounts: _counts,
        nodes.Findings: _findings,
        nodes.Legend: _legend,
        nodes.StampLegend: _stamps,
        nodes.Panel: _panel,
        nodes.Gallery: _gallery,
        nodes.SliceCards: _slices,
    }
    return writers[type(block)](block, level)


def _heading(title: str, level: int) -> str:
    return f"{'#' * min(level, _DEEPEST)} {escape(title) or '–'}"


def _section(block: nodes.Section, level: int) -> Iterator[str]:
    yield _heading(block.title, level)
    for inner in block.blocks:
        yield from _block(inner, level + 1)


def _folded(block: nodes.Folded, level: int) -> Iterator[str]:
    yield _heading(block.title, level)
    for inner in block.blocks:
        yield from _block(inner, level + 1)


def _paragraph(block: nodes.Paragraph, level: int) -> Iterator[str]:  # noqa: ARG001
    yield escape(block.text)


def _bullets(block: nodes.Bullets, level: int) -> Iterator[str]:  # noqa: ARG001
    yield "\n".join(f"- {escape(item)}" for item in block.items)


def _callout(block: nodes.Callout, level: int) -> Iterator[str]:  # noqa: ARG001
    yield f"> {_bold(block.title)}\n>\n> {escape(block.text)}".rstrip()


def _facts(block: nodes.KeyValues, level: int) -> Iterator[str]:
    if block.title:
        yield _heading(block.title, level)
    yield "\n".join(f"- {_bold(key)} {escape(value)}".rstrip() for key, value in block.items)


def _code(block: nodes.Code, level: int) -> Iterator[str]:
    yield _heading(block.title, level)
    text = "\n".join(clean(block.text).splitlines())
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    yield f"{fence}text\n{text}\n{fence}"


def _table(block: nodes.Table, level: int) -> Iterator[str]:  # noqa: ARG001
    yield _bold(block.caption)
    lines = [_row(escape(column.title) for column in block.columns)]
    lines.append(_row("---:" if column.numeric else "---" for column in block.columns))
    lines += [_row(map(_cell, row)) for row in block.rows]
    yield "\n".join(lines)
    if not block.rows:
        yield say("No rows.")
    source = say("Numbers from table {table}.", table=block.source) if block.source else ""
    yield escape(say(" ").join(filter(None, (block.note, source))))


def _row(cells: Any) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(cell: nodes.Cell) -> str:
    parts = [_bold(cell.text) if cell.kind in ("strong", "verdict") else escape(cell.text)]
    if cell.stamp:
        parts.append(_stamp(cell.stamp))
    if cell.note:
        parts.append(f"({escape(cell.note)})")
    return " ".join(filter(None, parts))


def _bold(text: str) -> str:
    """Bold text, or nothing at all: two pairs of stars with nothing between them are four stars."""
    return f"**{escape(text)}**" if escape(text) else ""


def _stamp(name: str) -> str:
    return f"{escape(stamp_style(name).symbol)} {escape(stamp_word(name))}"


def _verdict(name: str) -> str:
    return f"{escape(verdict_style(name).symbol)} {escape(verdict_word(name))}"


def _figure(block: nodes.FigureBlock, level: int) -> Iterator[str]:  # noqa: ARG001
    stamp = f" {_stamp(block.stamp)}" if block.stamp else ""
    yield f"{_bold(block.caption or block.figure.title)}{stamp}"
    yield escape(block.figure.description)


def _figures(block: nodes.FigureRow, level: int) -> Iterator[str]:
    for item in block.figures:
        yield from _figure(item, level)


def _counts(block: nodes.VerdictCounts, level: int) -> Iterator[str]:  # noqa: ARG001
    yield "\n".join(
        f"- {say('{name}: {value}', name=_verdict(item.verdict), value=item.count)}" for item in block.items
    )


def _findings(block: nodes.Findings, level: int) -> Iterator[str]:  # noqa: ARG001
    yield "\n".join("\n".join(_finding(item)) for item in block.items)


def _finding(item: nodes.Finding) -> Iterator[str]:
    yield f"- **{_verdict(item.verdict)}** {escape(item.text)}".rstrip()
    yield f"  - {escape(' · '.join((item.identifier, *item.details)))}"
    for remark in item.remarks:
        yield f"  - {escape(remark)}"
    if item.claims:
        yield f"  - {say('Rests on')} {say(', ').join(map(escape, item.claims))}"


def _legend(block: nodes.Legend, level: int) -> Iterator[str]:  # noqa: ARG001
    lines = [say("From 0 to the largest value: {methods}", methods=block.unsigned)] if block.unsigned else []
    signed = block.signed
    lines += [say("From against the class to for it, white is 0: {methods}", methods=signed)] if signed else []
    yield "\n".join(f"- {escape(line)}" for line in lines)


def _stamps(block: nodes.StampLegend, level: int) -> Iterator[str]:  # noqa: ARG001
    yield "\n".join(
        f"- {say('{name}: {value}', name=_stamp(name), value=escape(say(style.meaning)))}"
        for name, style in STAMPS.items()
    )


def _tile(tile: Any) -> str:
    stamp = f" {_stamp(tile.stamp)}" if tile.stamp else ""
    return f"- {_bold(tile.method)}{stamp} {escape(tile.alternative)} {escape(tile.caption)}".rstrip()


def _panel(block: nodes.Panel, level: int) -> Iterator[str]:
    yield _heading(block.title, level) + (f" {_stamp(block.stamp)}" if block.stamp else "")
    yield escape(say("Scale from {low} to {high}.", low=block.low, high=block.high))
    yield "\n".join(map(_tile, block.tiles))
    yield escape(block.note)


def _gallery(block: nodes.Gallery, level: int) -> Iterator[str]:
    yield _heading(block.title, level)
    for card in block.cards:
        yield _heading(card.image_id, level + 1)
        yield escape(" · ".join(card.facts))
        for model in card.models:
            told = model.outcome != say("no prediction")
            mark = (say("✓ as labelled") if model.correct else say("✕ not as labelled")) if told else ""
            yield f"{_bold(model.name)} {escape(model.outcome)} {mark}".strip()
            yield "\n".join(map(_tile, model.tiles))


def _slices(block: nodes.SliceCards, level: int) -> Iterator[str]:
    for card in block.items:
        yield f"{_heading(card.title, level)} {escape(card.symbol)} {escape(card.state)}".rstrip()
        yield escape(card.text)
        if card.pictures:
            yield escape(say("Images: {names}", names=say(", ").join(name for _, name in card.pictures)))
        yield escape(card.note)
