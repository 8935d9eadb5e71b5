"""Texts of a report in the reader's language: English in the code, others in files that a translator can add to.

A text is written in English where it is used, with named places such as ``{images}``, and goes through `say`. A
language is a folder under ``reports/texts`` with YAML files, each a mapping from the English text to its translation;
a text that it lacks stays English. Names of groups, classes and models are the user's own and are never translated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from audit.errors import InputError, nearest

__all__ = ["LANGUAGES", "check_language", "language", "phrase", "say", "speaking"]

_TEXTS = Path(__file__).with_name("texts")

LANGUAGES: tuple[str, ...] = ("en", *sorted(folder.name for folder in _TEXTS.iterdir() if folder.is_dir()))
"""Languages that reports can be written in."""

_spoken: ContextVar[str] = ContextVar("spoken", default="en")


def say(text: str, /, **values: Any) -> str:
    """A text in the language spoken, with its places filled.

    Parameters
    ----------
    text : str
        In English, with named places in braces; a brace that is meant as such is doubled.
    **values
        What stands in the places.

    Returns
    -------
    str
    """
    return catalogue(_spoken.get()).get(text, text).format(**values)


def phrase(text: str, /) -> str:
    """Mark an English text that is said later, by `say` on a name: it is returned as it is."""
    return text


def language() -> str:
    """The language spoken, such as ``en``."""
    return _spoken.get()


@contextmanager
def speaking(name: str) -> Iterator[None]:
    """Within it, `say` speaks this language.

    Raises
    ------
    InputError
        There are no texts in it.
    """
    token = _spoken.set(check_language(name))
    try:
        yield
    finally:
        _spoken.reset(token)


def check_language(name: str) -> str:
    """Refuse a language that there are no texts in."""
    if name not in LANGUAGES:
        raise InputError(
            f"language '{name}' is unknown, allowed: {', '.join(LANGUAGES)}.{nearest(name, LANGUAGES)}",
            fix=f"use one of {', '.join(LANGUAGES)}",
        )
    return name


@lru_cache(maxsize=8)
def catalogue(name: str) -> Mapping[str, str]:
    """Translations of a language, by English text; English has none."""
    found: dict[str, str] = {}
    for file in sorted((_TEXTS / name).glob("*.yaml")) if name != "en" else ():
        found |= yaml.safe_load(file.read_text("utf-8")) or {}
    return found
