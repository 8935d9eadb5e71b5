"""The document tree as JSON: the same content, without pictures, and as its published schema says."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, ValidationError

from audit.run import Run
from reports import write_report
from reports.document import build_document
from reports.figures import ForestFigure, ForestRow
from reports.nodes import Cell, Column, Document, FigureBlock, Paragraph, Section, Table
from reports.tree_json import document_schema, render_json
from tests.reports.every_node import document
from tests.reports.hostile import HOSTILE

SCHEMA: dict[str, Any] = json.loads((files("reports") / "schema" / "document.schema.json").read_text(encoding="utf-8"))
VALIDATOR = Draft202012Validator(SCHEMA)


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """Every object of a tree."""
    if isinstance(value, dict):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from objects(item)


def tree(*parts: Any) -> Any:
    return json.loads(render_json(Document("t", "s", complete=True, sections=(Section("a", "A", parts),))))


def test_a_small_document_by_hand() -> None:
    columns, rows = (Column("Group"), Column("Value", numeric=True)), ((Cell("a"), Cell("0.5", claim="groups:m:a")),)
    small = Document(
        "t",
        "s",
        complete=False,
        warning="w",
        sections=(Section("i", "A", (Table("c", columns, rows, source="groups"),)),),
    )
    plain = {"type": "Cell", "kind": "plain", "note": "", "stamp": ""}
    assert json.loads(render_json(small)) == {
        "schema": "faircam-document",
        "version": 1,
        "type": "Document",
        "title": "t",
        "subtitle": "s",
        "complete": False,
        "warning": "w",
        "sections": [
            {
                "type": "Section",
                "identifier": "i",
                "title": "A",
                "blocks": [
                    {
                        "type": "Table",
                        "caption": "c",
                        "columns": [
                            {"type": "Column", "title": "Group", "numeric": False},
                            {"type": "Column", "title": "Value", "numeric": True},
                        ],
                        "rows": [
                            [{**plain, "text": "a", "claim": ""}, {**plain, "text": "0.5", "claim": "groups:m:a"}]
                        ],
                        "note": "",
                        "folded": False,
                        "source": "groups",
                        "total": 0,
                    }
                ],
            }
        ],
        "language": "en",
    }


def test_the_schema_is_valid_and_that_of_the_nodes() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert document_schema() == SCHEMA


def test_a_run_follows_the_schema(sample: Run) -> None:
    text = render_json(build_document(sample))
    VALIDATOR.validate(json.loads(text))
    assert text == render_json(build_document(sample))
    assert text.endswith("}\n")


@pytest.mark.parametrize("name", ["tone-1", *HOSTILE], ids=range(1 + len(HOSTILE)))
def test_every_node_follows_the_schema(name: str) -> None:
    found = json.loads(render_json(document(name, complete=False)))
    VALIDATOR.validate(found)
    assert {one["type"] for one in objects(found)} == {*SCHEMA["$defs"], "Document"}


def test_pictures_are_left_out_and_said_to_be_there() -> None:
    text = render_json(document())
    assert "base64" not in text
    found = list(objects(json.loads(text)))
    assert {one["pictured"] for one in found if one["type"] == "MapTile"} == {True, False}
    assert [one["pictured"] for one in found if one["type"] == "GalleryCard"] == [True, False]
    assert [one["pictures"] for one in found if one["type"] == "SliceCard"] == [["tone-1"]]


def test_figures_keep_their_numbers_and_their_words() -> None:
    figure = ForestFigure("t", "accuracy", (ForestRow("a", 4, 4, 0.5, 0.25, math.nan),))
    [found] = [one for one in objects(tree(FigureBlock(figure))) if one["type"] == "ForestFigure"]
    assert found["description"] == figure.description
    assert [found["rows"][0][key] for key in ("value", "low", "high")] == [0.5, 0.25, None]
    VALIDATOR.validate(tree(FigureBlock(figure)))


@pytest.mark.parametrize("where", ["", "sections/0", "sections/0/blocks/0"])
@pytest.mark.parametrize("harm", ["more", "less", "other"])
def test_the_schema_refuses_what_is_not_a_report(where: str, harm: str) -> None:
    found = tree(Paragraph("x"))
    part = found
    for step in filter(None, where.split("/")):
        part = part[int(step) if step.isdigit() else step]
    VALIDATOR.validate(copy.deepcopy(found))
    if harm == "more":
        part["further"] = 1
    elif harm == "less":
        del part["type"]
    else:
        part["type"] = "Script"
    with pytest.raises(ValidationError):
        VALIDATOR.validate(found)


@given(st.text())
def test_text_is_kept(text: str) -> None:
    found = tree(Paragraph(text))["sections"][0]["blocks"][0]
    if text.isprintable():
        assert found["text"] == text
    VALIDATOR.validate(tree(Paragraph(text)))


def test_write_report(sample: Run, tmp_path: Path) -> None:
    out = write_report(sample, tmp_path / "r.json", "json")
    assert out.read_text(encoding="utf-8") == render_json(build_document(sample))
