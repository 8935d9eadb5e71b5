"""Renders a document tree as JSON: what a report says with its claims, for programs to read; pictures are left out.

Every object names its node in ``type``; its other keys are those of the node. The schema is made from the nodes
themselves and stands in ``reports/schema/document.schema.json``.
"""

from __future__ import annotations

import dataclasses
import json
import math
import types
from collections.abc import Iterator
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from reports import figures, nodes
from reports.format import clean
from reports.language import speaking
from reports.nodes import Document

__all__ = ["SCHEMA_VERSION", "document_schema", "render_json"]

SCHEMA_VERSION = 1
"""Raised when a reader of the previous version could misread a report."""

SCHEMA_NAME = "faircam-document"

_FIGURES = (figures.ForestFigure, figures.CurvesFigure, figures.LinesFigure)
# Pictures by node and field; in their place stands whether there is one, or whose they are.
_PICTURES = {"MapTile": "uri", "GalleryCard": "picture"}
_STRIPS = {"SliceCard": "pictures"}
_SHOWN = "pictured"


def render_json(document: Document) -> str:
    """Render a document.

    Parameters
    ----------
    document : Document

    Returns
    -------
    str
        JSON text that ends with a line break. Figures keep their data and are described in words; values that are
        not finite are null. Equal documents give equal text.
    """
    with speaking(document.language):
        tree = {"schema": SCHEMA_NAME, "version": SCHEMA_VERSION, **_value(document)}
    return json.dumps(tree, ensure_ascii=False, separators=(",", ":"), allow_nan=False) + "\n"


def _value(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, tuple | list):
        return [_value(item) for item in value]
    if not dataclasses.is_dataclass(value):
        return value
    name = type(value).__name__
    tree: dict[str, Any] = {"type": name}
    for field in dataclasses.fields(value):
        content = getattr(value, field.name)
        if _PICTURES.get(name) == field.name:
            tree[_SHOWN] = content is not None
        elif _STRIPS.get(name) == field.name:
            tree[field.name] = [clean(image) for _, image in content]
        else:
            tree[field.name] = _value(content)
    if isinstance(value, _FIGURES):
        tree["description"] = clean(value.description)
    return tree


def document_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of what `render_json` writes, made from the nodes' own annotations.

    Returns
    -------
    dict
        No object may have keys that its node does not have.
    """
    names = {**vars(nodes), **vars(figures)}
    definitions = {one.__name__: _object(one, names) for one in _classes(Document, names)}
    whole = definitions.pop("Document")
    head = {"schema": {"const": SCHEMA_NAME}, "version": {"const": SCHEMA_VERSION}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Report of a faircam run",
        "description": _summary(Document),
        **whole,
        "properties": {**head, **whole["properties"]},
        "required": [*head, *whole["required"]],
        "$defs": dict(sorted(definitions.items())),
    }


def _classes(root: type, names: dict[str, Any]) -> list[type]:
    """Every node that can stand below one, itself included."""
    found: list[type] = []
    waiting = [root]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.append(one)
            for hint in _hints(one, names).values():
                waiting += [part for part in _parts(hint) if isinstance(part, type) and dataclasses.is_dataclass(part)]
    return found


def _parts(hint: Any) -> Iterator[Any]:
    yield hint
    for inner in get_args(hint):
        yield from _parts(inner)


def _hints(one: type, names: dict[str, Any]) -> dict[str, Any]:
    return get_type_hints(one, globalns=names)


def _object(one: type, names: dict[str, Any]) -> dict[str, Any]:
    properties: dict[str, Any] = {"type": {"const": one.__name__}}
    for name, hint in _hints(one, names).items():
        if _PICTURES.get(one.__name__) == name:
            properties[_SHOWN] = {"type": "boolean", "description": "Whether the printed report shows a picture."}
        elif _STRIPS.get(one.__name__) == name:
            words = "Names of the images that the printed report shows."
            properties[name] = {"type": "array", "items": {"type": "string"}, "description": words}
        else:
            properties[name] = _schema(hint)
    if one in _FIGURES:
        properties["description"] = {"type": "string", "description": "The figure in words."}
    return {
        "type": "object",
        "description": _summary(one),
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


_PLAIN = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}


def _schema(hint: Any) -> dict[str, Any]:
    if hint in _PLAIN:
        # A number that is not finite has no place in JSON and is written as null.
        return {"type": ["number", "null"]} if hint is float else {"type": _PLAIN[hint]}
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Literal:
        return {"enum": list(inner)}
    if origin in (Union, types.UnionType):
        return {"anyOf": [_schema(part) for part in inner]}
    if origin is tuple and inner[-1] is Ellipsis:
        return {"type": "array", "items": _schema(inner[0])}
    if origin is tuple:
        return {
            "type": "array",
            "prefixItems": [_schema(part) for part in inner],
            "minItems": len(inner),
            "items": False,
        }
    if dataclasses.is_dataclass(hint):
        return {"$ref": f"#/$defs/{getattr(hint, '__name__', '')}"}
    raise TypeError(f"no JSON Schema for the annotation {hint!r}")


def _summary(one: type) -> str:
    return (one.__doc__ or "").strip().split("\n")[0]
