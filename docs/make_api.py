"""Write docs/api from the docstrings of what others build on, so that page and program cannot differ.

The sources are read, not imported: no framework is needed. `PAGES` says what is public.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import griffe

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "api"
PACKAGES = ("audit", "reports")
LINE = 100


class Page(NamedTuple):
    """One file.

    Attributes
    ----------
    title, about : str
    names : tuple of str
        What stands in it, by the name under which it is imported.
    """

    title: str
    about: str
    names: tuple[str, ...]


PAGES = {
    "runs": Page(
        "Audits and runs",
        "Audit what is in memory, open what was audited, find a number again.",
        (
            "audit.audit",
            "audit.open_run",
            "audit.Run",
            "audit.run.find_runs",
            "audit.run.claims.claim_of",
            "audit.run.claims.claims_of",
            "audit.run.claims.claim_parts",
            "audit.run.claims.find_claim",
            "audit.run.integrity.check_integrity",
        ),
    ),
    "models": Page(
        "Models",
        "The seam between faircam and a framework. An adapter of your own keeps the protocol and is held against it by "
        "`audit.testing.check_adapter`.",
        (
            "audit.models.ModelAdapter",
            "audit.models.ModelSpec",
            "audit.models.LayerInfo",
            "audit.models.LayerPass",
            "audit.models.GradientPass",
            "audit.models.adapter.GradientSum",
            "audit.models.adapter.Copies",
            "audit.models.adapter.probabilities",
            "audit.models.adapter.predicted",
        ),
    ),
    "explanations": Page(
        "Methods of explanation",
        "What a method is and how one of your own is added.",
        (
            "audit.explanations.Explainer",
            "audit.explanations.Batch",
            "audit.explanations.Maps",
            "audit.explanations.register",
            "audit.explanations.explainers",
            "audit.explanations.build",
        ),
    ),
    "testing": Page(
        "Conformance suites",
        "Call them from a test of your own; they need no test framework.",
        (
            "audit.testing.check_adapter",
            "audit.testing.AdapterFault",
            "audit.testing.check_explainer",
            "audit.testing.ExplainerFault",
        ),
    ),
    "findings": Page(
        "Policies and verdicts",
        "Rules fixed beforehand, and what a run makes of them.",
        (
            "audit.findings.check_run",
            "audit.findings.Check",
            "audit.findings.load_policy",
            "audit.findings.parse_policy",
            "audit.findings.judge",
            "audit.findings.junit_xml",
            "audit.findings.write_junit",
        ),
    ),
    "reports": Page(
        "Reports, bundles, verification",
        "They read run folders only; neither a framework nor a model is needed.",
        (
            "reports.write_report",
            "reports.comparison.compare_runs",
            "reports.comparison.write_comparison",
            "reports.bundle.make.write_bundle",
            "reports.bundle.make.Given",
            "reports.bundle.request.Request",
            "reports.bundle.levels.Disclosure",
            "reports.verify.verify",
            "reports.verify.Verification",
            "reports.verify.Check",
            "reports.mlflow_log.log_run",
        ),
    ),
    "errors": Page(
        "Errors",
        "One tree; every error says what happened, where, and how to mend it.",
        (
            "audit.errors.FaircamError",
            "audit.errors.InputError",
            "audit.errors.ConfigError",
            "audit.errors.DataError",
            "audit.errors.ModelError",
            "audit.errors.RunError",
            "audit.errors.IncompleteRun",
            "audit.run.integrity.IntegrityError",
        ),
    ),
}

MADE = "Made from the docstrings by `make api`."


def pages() -> dict[str, str]:
    """Content of every file of docs/api, by its name."""
    found = load()
    made = {f"{name}.md": page(one, found) for name, one in PAGES.items()}
    index = "\n".join(f"- [{one.title}]({name}.md). {one.about}" for name, one in PAGES.items())
    tables = "Group metrics, tests and tables are functions of `audit.fairness`; [method.md](../method.md) defines them."
    text = f"# API\n\n{MADE} What is not listed here can change without notice.\n\n{index}\n\n{tables}\n"
    return {"README.md": text, **made}


@cache
def load() -> dict[str, griffe.Object]:
    """Everything that `PAGES` names, by its public name."""
    loader = griffe.GriffeLoader(search_paths=[ROOT], docstring_parser=griffe.Parser.numpy)
    for name in PACKAGES:
        loader.load(name)
    loader.resolve_aliases(external=False)
    return {name: resolved(loader.modules_collection[name]) for one in PAGES.values() for name in one.names}


def resolved(found: griffe.Object | griffe.Alias) -> griffe.Object:
    """The thing itself, where it is imported from elsewhere."""
    return found.final_target if isinstance(found, griffe.Alias) else found


def page(one: Page, found: dict[str, griffe.Object]) -> str:
    """One file."""
    parts = [f"# {one.title}\n\n{one.about} {MADE}\n"]
    for name in one.names:
        parts += written(name, found[name], 2)
    return "\n".join(parts)


def written(name: str, it: griffe.Object, level: int) -> Iterator[str]:
    """Heading, signature, docstring, and of a class its public members."""
    yield f"{'#' * level} `{name}`\n"
    if it.is_function:
        yield f"```python\n{signature(name.rpartition('.')[2], it)}\n```\n"
    if it.is_class and it.bases:
        yield f"Derives from {' and '.join(f'`{base}`' for base in it.bases)}.\n"
    yield from documented(it)
    if it.is_class:
        for member in members(it):
            yield from written(f"{name.rpartition('.')[2]}.{member.name}", member, level + 1)


def members(it: griffe.Object) -> Iterator[griffe.Object]:
    """Public methods and properties of a class that say something of themselves."""
    for member in it.members.values():
        if not member.name.startswith("_") and not member.is_alias and member.has_docstring:
            if member.is_function or "property" in member.labels:
                yield member


def signature(name: str, it: griffe.Function) -> str:
    """A function's head, on one line where it fits."""
    given = list(arguments(it))
    ending = f" -> {it.returns}" if it.returns is not None else ""
    whole = f"{name}({', '.join(given)}){ending}"
    return whole if len(whole) <= LINE else f"{name}(\n" + "".join(f"    {one},\n" for one in given) + f"){ending}"


def arguments(it: griffe.Function) -> Iterator[str]:
    """Arguments as they are written, without the object of a method."""
    keywords_only = False
    for parameter in it.parameters:
        if parameter.name in ("self", "cls"):
            continue
        if parameter.kind is griffe.ParameterKind.keyword_only and not keywords_only:
            keywords_only = True
            yield "*"
        stars = {griffe.ParameterKind.var_positional: "*", griffe.ParameterKind.var_keyword: "**"}
        text = stars.get(parameter.kind, "") + parameter.name
        keywords_only = keywords_only or parameter.kind is griffe.ParameterKind.var_positional
        if parameter.annotation is not None:
            text += f": {parameter.annotation}"
        if parameter.default is not None and parameter.kind not in stars:
            text += f" = {parameter.default}" if parameter.annotation is not None else f"={parameter.default}"
        yield text


def documented(it: griffe.Object) -> Iterator[str]:
    """The docstring as Markdown, section by section."""
    for section in it.docstring.parsed if it.docstring else ():
        if section.kind is griffe.DocstringSectionKind.text:
            yield plain(section.value) + "\n"
        elif section.kind is griffe.DocstringSectionKind.examples:
            code = "\n".join(text for _, text in section.value)
            yield f"**Examples**\n\n```python\n{code}\n```\n"
        elif section.kind is griffe.DocstringSectionKind.admonition:
            yield f"**{section.title}**\n\n{plain(section.value.description)}\n"
        else:
            typed = not (it.is_function and section.kind is griffe.DocstringSectionKind.parameters)
            items = "".join(item(one, typed=typed) for one in section.value)
            yield f"**{section.kind.value.capitalize()}**\n\n{items}"


def item(one: griffe.DocstringElement, *, typed: bool) -> str:
    """A parameter, an attribute, what is returned or raised, as an item of a list; types stand in a signature too."""
    name = getattr(one, "name", "")
    kind = f"`{str(one.annotation).strip('`()')}`" if typed and one.annotation else ""
    head = f"`{name}`" + (f" ({kind})" if kind else "") if name else kind
    text = " ".join(plain(one.description).split())
    return f"- {head}{': ' if text else ''}{text}\n"


def plain(text: str) -> str:
    """Markdown of what numpydoc writes: code stands between single backticks."""
    return text.replace("``", "`").strip()


def write() -> None:
    """Replace the files of docs/api."""
    FOLDER.mkdir(exist_ok=True)
    made = pages()
    for old in FOLDER.glob("*.md"):
        if old.name not in made:
            old.unlink()
    for name, content in made.items():
        (FOLDER / name).write_text(content, encoding="utf-8")


if __name__ == "__main__":
    write()
