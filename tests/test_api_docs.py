"""docs/api is what the docstrings say, and the docstrings say what a caller needs."""

from __future__ import annotations

import ast
import importlib.util
import sys
import textwrap
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from tests.conftest import ROOT

griffe = pytest.importorskip("griffe", reason="griffelib is not installed")


@pytest.fixture(scope="module")
def maker() -> Iterator[ModuleType]:
    """docs/make_api.py, which is in no package."""
    spec = importlib.util.spec_from_file_location("make_api", ROOT / "docs" / "make_api.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_api"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["make_api"]


@pytest.fixture(scope="module")
def public(maker: ModuleType) -> dict[str, Any]:
    """Everything that is documented."""
    return maker.load()


def test_pages_are_up_to_date(maker: ModuleType) -> None:
    made = maker.pages()
    written = {path.name: path.read_text(encoding="utf-8") for path in maker.FOLDER.glob("*")}
    assert sorted(written) == sorted(made), "run `make api`"
    assert [name for name in made if written[name] != made[name]] == [], "run `make api`"


def sections(it: Any) -> dict[str, Any]:
    return {section.kind.value: section.value for section in it.docstring.parsed}


def raises(it: Any) -> bool:
    """Whether the body raises an error itself, what is inside other functions left out."""
    inner = (ast.FunctionDef, ast.Lambda, ast.ClassDef)
    stack: list[ast.AST] = list(ast.parse(textwrap.dedent(it.source)).body[0].body)  # type: ignore[attr-defined]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.Raise):
            return True
        if not isinstance(node, inner):
            stack.extend(ast.iter_child_nodes(node))
    return False


def test_functions_say_what_they_take_give_and_raise(public: dict[str, Any]) -> None:
    lacking = []
    for name, it in public.items():
        if not it.is_function:
            continue
        said = sections(it)
        given = [parameter.name for parameter in it.parameters]
        if given != [parameter.name for parameter in said.get("parameters", ())]:
            lacking.append(f"{name}: parameters {given}")
        if str(it.returns) != "None" and "returns" not in said:
            lacking.append(f"{name}: returns")
        if raises(it) and "raises" not in said:
            lacking.append(f"{name}: raises")
    assert lacking == []


def test_members_of_classes_say_what_they_are_and_raise(maker: ModuleType, public: dict[str, Any]) -> None:
    lacking = []
    for name, it in public.items():
        if not it.is_class:
            continue
        assert it.has_docstring, name
        for member in it.members.values():
            if member.name.startswith("_") or not (member.is_function or "property" in member.labels):
                continue
            if not member.has_docstring:
                lacking.append(f"{name}.{member.name}")
            elif member.is_function and raises(member) and "raises" not in sections(member):
                lacking.append(f"{name}.{member.name}: raises")
    assert lacking == []


def test_fields_of_dataclasses_are_explained(public: dict[str, Any]) -> None:
    """A dataclass's docstring names its fields, all of them."""
    lacking = []
    for name, it in public.items():
        if it.is_class and "dataclass" in it.labels:
            named = [one.name for kind in ("attributes", "parameters") for one in sections(it).get(kind, ())]
            said = {name for several in named for name in several.split(", ")}
            fields = {
                member.name
                for member in it.members.values()
                if member.is_attribute and "property" not in member.labels and "instance-attribute" in member.labels
            }
            lacking += [f"{name}.{field}" for field in sorted(fields - said)]
    assert lacking == []


def test_a_page_shows_signature_and_sections(maker: ModuleType) -> None:
    page = maker.pages()["runs.md"]
    assert "## `audit.open_run`\n\n```python\nopen_run(path: str | Path) -> Run\n```\n" in page
    assert "**Parameters**\n\n- `path`: The run folder, as given to `faircam run --out`.\n" in page
    assert "**Raises**\n\n- `RunError`: The folder is no run" in page
