"""The documents of a bundle, each made from the bundle's own folder alone: what was withheld is in none of them.

The same folder gives the same bytes, so that whoever verifies a bundle makes every document again and compares.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from audit.findings import Check, junit_xml
from audit.run import Run, open_run
from audit.run.schema import TABLES
from audit.run.statements import read_statements, statements_yaml
from reports.bundle.canonical import ATTESTATION, MANIFEST, OUTSIDE
from reports.bundle.crosswalk import crosswalk
from reports.bundle.local_law_144 import Categories, local_law_144_files
from reports.bundle.ml_bom import ml_bom
from reports.bundle.model_card import model_card
from reports.bundle.packs import load_pack
from reports.bundle.request import Request, read_request
from reports.bundle.results import results, results_schema, tables_schema
from reports.bundle.verdicts import check_of
from reports.document import build_document
from reports.html import render_html
from reports.language import speaking
from reports.markdown import render_markdown
from reports.nodes import Document
from reports.pdf import render_pdf
from reports.spreadsheet import csv_text

__all__ = ["DOCUMENTS", "PACKS", "Contents", "documents", "json_bytes"]

PACKS = "packs"
"""Folder of a bundle with the legal packs that the user brought."""


@dataclass(frozen=True)
class Contents:
    """A bundle's folder, opened.

    Attributes
    ----------
    run : Run
        At the level of the bundle.
    request : Request
    """

    run: Run
    request: Request

    @classmethod
    def of(cls, folder: Path) -> Contents:
        """Open a folder that holds tables, record and request."""
        return cls(open_run(folder), read_request(folder))

    @cached_property
    def check(self) -> Check:
        """Verdicts, with waivers."""
        return check_of(self.run, self.request.day)

    @cached_property
    def document(self) -> Document:
        """The report's tree."""
        with speaking(self.request.language):
            return build_document(self.run)

    @property
    def created(self) -> datetime:
        """When the run was computed."""
        return datetime.fromisoformat(str(self.run.record["created"]))

    @property
    def tables(self) -> list[str]:
        """Names of the tables that the bundle holds."""
        return [name for name in TABLES if self.run.has(name)]


def json_bytes(content: Any) -> bytes:
    """JSON values as every document of a bundle is written: sorted, indented, in UTF-8."""
    text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return f"{text}\n".encode()


def _crosswalk(contents: Contents) -> bytes:
    request, run = contents.request, contents.run
    packs = [load_pack(pack_path(run.path, name)) for name in request.packs]
    held = [path.relative_to(run.path).as_posix() for path in run.path.rglob("*") if path.is_file()]
    made = [*DOCUMENTS, *(f"tables/{name}.csv" for name in contents.tables), *_local_law_144(contents)]
    files = sorted({*held, *made} - {*OUTSIDE} | {MANIFEST, ATTESTATION})
    return json_bytes(crosswalk(run, packs, read_statements(run), files, request.day))


def pack_path(folder: Path, name: str) -> str:
    """A pack that ships by its name; one of the user's by its file in the bundle."""
    return str(folder / name) if name.startswith(f"{PACKS}/") else name


def _local_law_144(contents: Contents) -> dict[str, str]:
    request = contents.request
    if request.sex is None or request.race is None:
        return {}
    return local_law_144_files(contents.run, Categories(request.sex, request.race))


DOCUMENTS: dict[str, Callable[[Contents], bytes]] = {
    "results.json": lambda contents: json_bytes(results(contents.run)),
    "schema/results.schema.json": lambda _: json_bytes(results_schema()),
    "schema/tables.json": lambda _: json_bytes(tables_schema()),
    "verdicts.json": lambda contents: json_bytes(contents.check.to_json()),
    "junit.xml": lambda contents: junit_xml(contents.check).encode(),
    "crosswalk.json": _crosswalk,
    "statements.yaml": lambda contents: statements_yaml(read_statements(contents.run)).encode(),
    "report.html": lambda contents: render_html(contents.document).encode(),
    "report.pdf": lambda contents: render_pdf(contents.document, created=contents.created),
    "report.md": lambda contents: render_markdown(contents.document).encode(),
    "modelcard.md": lambda contents: model_card(contents.run).encode(),
    "mlbom.cdx.json": lambda contents: json_bytes(ml_bom(contents.run, spec=contents.request.mlbom)),
}
"""How each document is made, by its place in the bundle. The tables as CSV come beside them."""


def documents(contents: Contents) -> Iterator[tuple[str, bytes]]:
    """Place and bytes of every document, the tables as CSV included."""
    for name, make in DOCUMENTS.items():
        yield name, make(contents)
    for name, text in _local_law_144(contents).items():
        yield name, text.encode()
    for name in contents.tables:
        yield f"tables/{name}.csv", csv_text(contents.run.table(name)).encode()
