"""Turns a document tree into plain values that the typst template reads: text ready to be set, pictures as files.

Names reach typst as JSON strings only, which it never reads as markup.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, TypeAlias

from audit.run.files import sha256_bytes
from reports import nodes
from reports.figures import Figure, MapTile
from reports.format import NOTHING
from reports.language import say
from reports.maps import DIVERGING, UNSIGNED
from reports.palette import LIGHT, STAMPS, VERDICTS, stamp_style, stamp_word, verdict_style, verdict_word
from reports.pdf_tables import LONGEST, divide, tied
from reports.pdf_text import Typesetter, fitted
from reports.svg import draw

__all__ = ["Printer"]

Value: TypeAlias = dict[str, Any]

_PICTURE = re.compile(r"data:image/(png|jpeg);base64,([A-Za-z0-9+/=]+)", re.ASCII)
_TALL = 1500
_LABELS = {
    ("ForestRow", "label"): 20.0,
    ("ForestRow", "status"): 36.0,
    ("ForestFigure", "axis"): 54.0,
    ("Curve", "name"): 13.0,
    ("CurvesFigure", "axis"): 29.0,
    ("CurvesFigure", "marked_label"): 30.0,
    ("Line", "name"): 15.0,
    ("LinesFigure", "axis"): 29.0,
    ("LinesFigure", "across"): 29.0,
}
"""Widths at which what is written in a figure fits beside it; the whole of it stands in the figure's description."""


@dataclass
class Printer:
    """Prepares nodes for the template.

    Attributes
    ----------
    text : Typesetter
    files : dict of str to bytes
        Pictures met so far, by the name under which the template loads them.
    """

    text: Typesetter
    files: dict[str, bytes] = field(default_factory=dict)

    def blocks(self, blocks: tuple[nodes.Block, ...], level: int) -> list[Value]:
        """Values of blocks; headings directly under them have this level."""
        return [value for block in blocks for value in self._block(block, level)]

    def _block(self, block: nodes.Block, level: int) -> Iterator[Value]:
        printers: dict[type, Callable[[Any, int], Iterator[Value]]] = {
            nodes.Section: self._section,
            nodes.Folded: self._folded,
            nodes.Paragraph: self._paragraph,
            nodes.Bullets: self._bullets,
            nodes.Callout: self._callout,
            nodes.KeyValues: self._facts,
            nodes.Code: self._code,
            nodes.Table: self._table,
            nodes.FigureBlock: self._figure,
            nodes.FigureRow: self._figures,
            nodes.VerdictCounts: self._counts,
            nodes.Findings: self._findings,
            nodes.Legend: self._legend,
            nodes.StampLegend: self._stamps,
            nodes.Panel: self._panel,
            nodes.Gallery: self._gallery,
            nodes.SliceCards: self._slices,
        }
        return printers[type(block)](block, level)

    def _section(self, block: nodes.Section, level: int) -> Iterator[Value]:
        yield self._heading(block.title, level, outlined=level <= 2)
        yield from self.blocks(block.blocks, level + 1)

    def _heading(self, title: str, level: int, *, outlined: bool = False, stamp: str = "") -> Value:
        named = title if self.text.line(title) else NOTHING
        return {"kind": "heading", "level": level, "outlined": outlined, **self._stamped(named, stamp)}

    def _folded(self, block: nodes.Folded, level: int) -> Iterator[Value]:
        yield self._heading(block.title, level)
        yield from self.blocks(block.blocks, level + 1)

    def _paragraph(self, block: nodes.Paragraph, level: int) -> Iterator[Value]:  # noqa: ARG002
        yield {"kind": "paragraph", "role": block.kind, "text": self.text.words(block.text)}

    def _bullets(self, block: nodes.Bullets, level: int) -> Iterator[Value]:  # noqa: ARG002
        if block.items:
            yield {"kind": "bullets", "items": [self.text.words(item) for item in block.items]}

    def _callout(self, block: nodes.Callout, level: int) -> Iterator[Value]:  # noqa: ARG002
        title, text = self.text.words(block.title), self.text.words(block.text)
        yield {"kind": "callout", "role": block.kind, "title": title, "text": text}

    def _facts(self, block: nodes.KeyValues, level: int) -> Iterator[Value]:
        if block.title:
            yield self._heading(block.title, level)
        pairs = [[self.text.words(say("{key}", key=key), 24), self.text.words(value)] for key, value in block.items]
        if pairs:
            yield {"kind": "facts", "items": pairs}

    def _code(self, block: nodes.Code, level: int) -> Iterator[Value]:
        yield self._heading(block.title, level)
        yield {"kind": "code", "text": self.text.code(block.text)}

    def _table(self, block: nodes.Table, level: int) -> Iterator[Value]:  # noqa: ARG002
        parts = divide(block)
        rows = [[self._cell(cell) for cell in row] for row in block.rows]
        columns = [{"title": self.text.words(one.title, LONGEST), "numeric": one.numeric} for one in block.columns]
        tall = any(len(cell.text) + len(cell.note) > _TALL for row in block.rows for cell in row)
        for number, part in enumerate(parts, 1):
            of = say(" (part {number} of {parts})", number=number, parts=len(parts)) if len(parts) > 1 else ""
            notes = [block.note if number == len(parts) else ""]
            notes.append(say("Numbers from table {table}.", table=block.source) if block.source else "")
            yield {
                "kind": "table",
                "caption": self.text.words(block.caption + of),
                "columns": [columns[place] for place in part.places],
                "rows": [[row[place] for place in part.places] for row in rows],
                "widths": list(part.widths),
                "fills": part.fills,
                "scale": part.scale,
                "tall": tall,
                "note": self.text.words(say(" ").join(filter(None, notes))),
            }

    def _cell(self, cell: nodes.Cell) -> Value:
        note = self.text.words(tied(cell.note), LONGEST)
        return {"role": cell.kind, "note": note, **self._stamped(tied(cell.text), cell.stamp, LONGEST)}

    def _stamped(self, text: str, stamp: str, limit: int = 28) -> Value:
        return {"text": self.text.words(text, limit), "stamp": self._stamp(stamp) if stamp else None}

    def _stamp(self, stamp: str) -> Value:
        style, word = stamp_style(stamp), self.text.words(stamp_word(stamp))
        word = word.replace(" ", "\u00a0") if stamp in STAMPS else word
        return {"symbol": style.symbol, "word": word, "colour": VERDICTS[style.like].light}

    def _figure(self, block: nodes.FigureBlock, level: int) -> Iterator[Value]:
        yield from self._figures(nodes.FigureRow((block,)), level)

    def _figures(self, block: nodes.FigureRow, level: int) -> Iterator[Value]:  # noqa: ARG002
        items = [self._drawing(item) for item in block.figures]
        if items:
            yield {"kind": "figures", "items": items, "small": block.small}

    def _drawing(self, block: nodes.FigureBlock) -> Value:
        file, ratio = self._draw(block.figure)
        alternative = self.text.line(f"{block.figure.title}. {block.figure.description}")
        caption = self._stamped(block.caption or block.figure.title, block.stamp)
        return {"file": file, "alternative": alternative, "ratio": ratio, **caption}

    def _draw(self, figure: Figure) -> tuple[str, float]:
        """File of a drawing, and its height over its width."""
        svg = draw(self._lettered(figure), "figure")
        for name in LIGHT.__dataclass_fields__:
            svg = svg.replace(f"var(--{name})", getattr(LIGHT, name))
        svg = svg.replace("var(--sans)", ", ".join(f"'{name}'" for name in self.text.fonts.families))
        svg = svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
        svg = re.sub(r"<title .*?</title>|<desc .*?</desc>", "", svg, flags=re.DOTALL)
        view = re.search(r'viewBox="[-\d.e]+ [-\d.e]+ ([\d.e]+) ([\d.e]+)"', svg)
        ratio = float(view.group(2)) / float(view.group(1)) if view else 0.5
        return self._keep(self.text.shapes(svg).encode(), "svg"), ratio

    def _lettered(self, value: Any, place: tuple[str, str] = ("", "")) -> Any:
        """A figure whose names have only characters that the fonts have and fit where they stand."""
        if isinstance(value, str):
            return fitted(self.text.line(value), _LABELS.get(place, math.inf))
        if isinstance(value, tuple):
            return tuple(self._lettered(item) for item in value)
        if is_dataclass(value) and not isinstance(value, type):
            kind, names = type(value).__name__, [one.name for one in fields(value)]
            return replace(value, **{name: self._lettered(getattr(value, name), (kind, name)) for name in names})
        return value

    def _keep(self, content: bytes, ending: str) -> str:
        name = f"{sha256_bytes(content)[:24]}.{ending}"
        self.files[name] = content
        return name

    def _picture(self, uri: str | None) -> str | None:
        """File of a picture that stands in a ``data:`` address; None where it is none."""
        found = _PICTURE.fullmatch(uri or "")
        return self._keep(base64.b64decode(found.group(2)), found.group(1)) if found else None

    def _counts(self, block: nodes.VerdictCounts, level: int) -> Iterator[Value]:  # noqa: ARG002
        items = [{**self._verdict(item.verdict), "count": item.count} for item in block.items]
        yield {"kind": "counts", "items": items}

    def _verdict(self, verdict: str) -> Value:
        style = verdict_style(verdict)
        return {
            "symbol": style.symbol,
            "word": self.text.words(verdict_word(verdict)),
            "colour": style.light,
            "fill": style.light_fill,
        }

    def _findings(self, block: nodes.Findings, level: int) -> Iterator[Value]:  # noqa: ARG002
        items = [self._finding(item) for item in block.items]
        if items:
            yield {"kind": "findings", "items": items}

    def _finding(self, item: nodes.Finding) -> Value:
        remarks = list(item.remarks)
        if item.claims:
            remarks.append(f"{say('Rests on')} {say(', ').join(item.claims)}")
        return {
            "verdict": self._verdict(item.verdict),
            "text": self.text.words(item.text),
            "details": self.text.words(" · ".join((item.identifier, *item.details))),
            "remarks": [self.text.words(remark) for remark in remarks],
        }

    def _legend(self, block: nodes.Legend, level: int) -> Iterator[Value]:  # noqa: ARG002
        if block.unsigned:
            yield self._scale("0", say("largest ({methods})", methods=block.unsigned), signed=False)
        if block.signed:
            text = say("for the class ({methods}; white is 0)", methods=block.signed)
            yield self._scale(say("against"), text, signed=True)

    def _scale(self, low: str, high: str, *, signed: bool) -> Value:
        anchors = list(DIVERGING if signed else UNSIGNED)
        return {"kind": "scale", "low": self.text.words(low), "high": self.text.words(high), "anchors": anchors}

    def _stamps(self, block: nodes.StampLegend, level: int) -> Iterator[Value]:  # noqa: ARG002
        items = [
            {**self._stamp(name), "meaning": self.text.words(say(style.meaning))} for name, style in STAMPS.items()
        ]
        yield {"kind": "stamps", "items": items}

    def _panel(self, block: nodes.Panel, level: int) -> Iterator[Value]:
        yield self._heading(block.title, level, stamp=block.stamp)
        yield self._scale(block.low, block.high, signed=block.signed)
        yield {"kind": "tiles", "items": [self._tile(tile) for tile in block.tiles], "across": 6}
        if block.note:
            yield {"kind": "paragraph", "role": "note", "text": self.text.words(block.note)}

    def _tile(self, tile: MapTile) -> Value:
        words = {"method": self.text.words(tile.method, LONGEST), "caption": self.text.words(tile.caption, LONGEST)}
        stamp = self._stamp(tile.stamp) if tile.stamp else None
        picture, alternative = self._picture(tile.uri), self.text.line(tile.alternative) or self.text.line(tile.method)
        return {
            **words,
            "stamp": stamp,
            "file": picture,
            "alternative": alternative or say("Picture without a description"),
        }

    def _gallery(self, block: nodes.Gallery, level: int) -> Iterator[Value]:
        yield self._heading(block.title, level)
        for card in block.cards:
            yield self._heading(card.image_id, level + 1)
            yield self._beside(card)
            for model in card.models:
                yield {"kind": "outcome", **self._outcome(model)}
                yield {"kind": "tiles", "items": [self._tile(tile) for tile in model.tiles], "across": 6}

    def _beside(self, card: nodes.GalleryCard) -> Value:
        alternative = self.text.line(say("Image {name}", name=card.image_id))
        facts = self.text.words(" · ".join(card.facts))
        return {"kind": "picture", "file": self._picture(card.picture), "alternative": alternative, "text": facts}

    def _outcome(self, model: nodes.GalleryModel) -> Value:
        told = model.outcome != say("no prediction")
        mark = (say("✓ as labelled") if model.correct else say("✕ not as labelled")) if told else ""
        name, outcome = self.text.words(model.name), self.text.words(model.outcome)
        return {"name": name, "outcome": outcome, "mark": mark, "correct": model.correct}

    def _slices(self, block: nodes.SliceCards, level: int) -> Iterator[Value]:
        for card in block.items:
            yield self._heading(card.title, level)
            state = {"symbol": self.text.words(card.symbol), "word": self.text.words(card.state)}
            yield {"kind": "slice", **state, "confirmed": card.confirmed, "text": self.text.words(card.text)}
            found = [
                (self._picture(uri), self.text.line(say("Image {name}", name=name))) for uri, name in card.pictures
            ]
            strip = [{"file": file, "alternative": words} for file, words in found if file is not None]
            if strip:
                yield {"kind": "strip", "items": strip}
            if card.note:
                yield {"kind": "paragraph", "role": "note", "text": self.text.words(card.note)}
