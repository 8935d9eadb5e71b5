"""Renders a document tree as one self-contained HTML file: no script, nothing loaded from anywhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from reports.figures import Figure
from reports.format import clean
from reports.language import say, speaking
from reports.maps import DIVERGING, UNSIGNED, css_gradient
from reports.nodes import Block, Document
from reports.palette import DARK, LIGHT, STAMPS, VERDICTS, Theme, stamp_style, stamp_word, verdict_style, verdict_word
from reports.svg import draw

__all__ = ["render_html"]


def render_html(document: Document) -> str:
    """Render a document.

    Parameters
    ----------
    document : Document

    Returns
    -------
    str
        A whole HTML page, in the document's language. Equal documents give equal text.
    """
    environment = Environment(
        loader=PackageLoader("reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_clean,
    )
    environment.globals |= {
        "kind": _kind,
        "draw": _numbered(),
        "say": say,
        "verdict": verdict_style,
        "verdict_word": verdict_word,
        "known_verdicts": tuple(VERDICTS),
        "stamp_style": stamp_style,
        "stamp_word": stamp_word,
        "known_stamps": tuple(STAMPS),
        "unsigned": css_gradient(UNSIGNED),
        "signed": css_gradient(DIVERGING),
    }
    with speaking(document.language):
        return environment.get_template("report.html.j2").render(document=document, colours=Markup(_colours()))  # noqa: S704


def _clean(value: Any) -> Any:
    """Whatever text a template writes holds no character that HTML cannot."""
    return clean(value) if type(value) is str else value


def _kind(block: Block) -> str:
    """Name of a node's class, by which the template chooses how to write it."""
    return type(block).__name__


def _numbered() -> Callable[[Figure], Markup]:
    """Draw figures under identifiers that count up through the page."""
    drawn = 0

    def drawing(figure: Figure) -> Markup:
        nonlocal drawn
        drawn += 1
        return Markup(draw(figure, f"figure{drawn}"))  # noqa: S704 - matplotlib escapes every label

    return drawing


def _colours() -> str:
    """CSS variables of both modes; every value comes from the palette."""
    light, dark = _variables(LIGHT, "light"), _variables(DARK, "dark")
    printed = f"@media print{{:root{{color-scheme:light;{light}}}}}"
    modes = f":root{{color-scheme:light dark;{light}}}@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}"
    return modes + printed


def _variables(theme: Theme, mode: str) -> str:
    values: dict[str, Any] = {name: getattr(theme, name) for name in theme.__dataclass_fields__}
    for name, style in VERDICTS.items():
        values[f"verdict-{name}"] = getattr(style, mode)
        values[f"verdict-{name}-fill"] = getattr(style, f"{mode}_fill")
    return "".join(f"--{name}:{value};" for name, value in values.items())
