"""What every command prints through: names from data stay text, whatever a terminal would make of them."""

from __future__ import annotations

import re
import sys

from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["legible", "output", "plain", "table"]

_BREAKS = re.compile("[\t-\r\x85\u2028\u2029]")
# Controls, escape among them; lone surrogates, which cannot be written; marks that turn a line around.
_STEERING = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069\ufffe\uffff]")


def legible(text: object) -> str:
    """Text on one line that a terminal shows and does not obey; every sign that would steer it becomes U+FFFD."""
    return _STEERING.sub("\ufffd", _BREAKS.sub(" ", str(text)))


def plain(text: object, style: str = "") -> Text:
    """The same for rich, which reads no markup in it."""
    return Text(legible(text), style=style)


def output() -> Console:
    """Standard output, 120 columns wide where that is no terminal."""
    return Console(soft_wrap=True, highlight=False, width=None if sys.stdout.isatty() else 120)


def table(*columns: str) -> Table:
    """An empty table without lines."""
    made = Table(show_header=True, header_style="bold", box=None, pad_edge=False)
    for name in columns:
        made.add_column(name, overflow="fold")
    return made
