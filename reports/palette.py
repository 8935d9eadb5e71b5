"""The one palette of documents and dashboard: verdicts, statuses and groups, in light and dark.

Colours, symbols and words only; nothing here draws. Words are English until `verdict_word` and `stamp_word` say them.
A verdict or stamp differs by symbol and word as well as by colour, and group colours are those of Okabe and Ito,
which people with colour-blindness can tell apart.
"""

from __future__ import annotations

from dataclasses import dataclass

from reports.language import phrase, say

__all__ = [
    "DARK",
    "GROUP_COLOURS",
    "GROUP_SHAPES",
    "LIGHT",
    "LINE_COLOURS",
    "STAMPS",
    "VERDICTS",
    "VERDICT_ORDER",
    "StampStyle",
    "Theme",
    "VerdictStyle",
    "group_colour",
    "line_colour",
    "stamp_style",
    "stamp_word",
    "verdict_style",
    "verdict_word",
]


@dataclass(frozen=True)
class Theme:
    """Colours of one mode, by the part they play, as ``#rrggbb``."""

    page: str
    surface: str
    raised: str
    ink: str
    muted: str
    line: str
    grid: str
    accent: str
    second: str
    third: str


LIGHT = Theme(
    page="#fbfaf8",
    surface="#ffffff",
    raised="#f3f1ed",
    ink="#1c1e22",
    muted="#5b606a",
    line="#d9d6d0",
    grid="#e9e6e1",
    accent="#0b5c8f",
    second="#a8480a",
    third="#5f3f93",
)
DARK = Theme(
    page="#14161a",
    surface="#1b1e23",
    raised="#24282f",
    ink="#e8e8e6",
    muted="#a3a8b1",
    line="#363b44",
    grid="#2b3038",
    accent="#6db7e8",
    second="#f0a35e",
    third="#c3a6f0",
)


@dataclass(frozen=True)
class VerdictStyle:
    """How a verdict looks and reads.

    Attributes
    ----------
    word : str
        As shown to a reader.
    symbol : str
        One character, different for every verdict.
    meaning : str
        One sentence for a legend.
    light, dark : str
        Colour of symbol and word on the page; at least 4.5 to 1 against it.
    light_fill, dark_fill : str
        Background behind them.
    """

    word: str
    symbol: str
    meaning: str
    light: str
    dark: str
    light_fill: str
    dark_fill: str


VERDICTS: dict[str, VerdictStyle] = {
    "fail": VerdictStyle(
        phrase("Fail"),
        "✕",
        phrase("The rule's limit is shown to be exceeded."),
        "#a3123a",
        "#ff9db0",
        "#fbe9ec",
        "#3d1a24",
    ),
    "error": VerdictStyle(
        phrase("Error"),
        "!",
        phrase("The rule could not be evaluated."),
        "#7a2aa0",
        "#dcaaf5",
        "#f5eafa",
        "#33203e",
    ),
    "inconclusive": VerdictStyle(
        phrase("Inconclusive"),
        "?",
        phrase("The data settle it neither way."),
        "#6a4c00",
        "#e9c46a",
        "#f8f0d8",
        "#352b12",
    ),
    "warn": VerdictStyle(
        phrase("Warn"),
        "▲",
        phrase("Close to the limit, or a supporting rule is exceeded."),
        "#9a4200",
        "#f7ae72",
        "#fcecdf",
        "#3a2514",
    ),
    "waived": VerdictStyle(
        phrase("Waived"),
        "–",
        phrase("Set aside by a named person, with a reason."),
        "#4b515c",
        "#b9bec8",
        "#eeeff1",
        "#2a2e35",
    ),
    "pass": VerdictStyle(
        phrase("Pass"),
        "✓",
        phrase("Shown to lie within the rule's limit."),
        "#0b5c4c",
        "#7fd6bf",
        "#e4f3ef",
        "#16312b",
    ),
}
"""Style of every verdict, in the order in which a document lists them."""

VERDICT_ORDER = tuple(VERDICTS)


@dataclass(frozen=True)
class StampStyle:
    """How the stamp of a method on a model looks and reads.

    Attributes
    ----------
    word : str
        As shown to a reader.
    symbol : str
        One character, different for every stamp.
    meaning : str
        One sentence for a legend.
    like : str
        Verdict whose colours it takes.
    border : str
        CSS border style, different for every stamp.
    """

    word: str
    symbol: str
    meaning: str
    like: str
    border: str


STAMPS: dict[str, StampStyle] = {
    "evidence": StampStyle(
        phrase("Evidence"), "✓", phrase("every deciding check that applies was passed"), "pass", "solid"
    ),
    "not_evidence": StampStyle(phrase("Not evidence"), "✕", phrase("a deciding check failed"), "fail", "double"),
    "inconclusive": StampStyle(
        phrase("Not settled"),
        "?",
        phrase("a check is open: the images settle it neither way, or it was not made"),
        "inconclusive",
        "dashed",
    ),
    "not_measured": StampStyle(
        phrase("Not measured"), "–", phrase("no check was made on this model"), "waived", "dotted"
    ),
}
"""Style of every stamp, in the order in which a legend lists them."""

GROUP_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#f0e442", "#7f7f7f")
"""Okabe and Ito's colours, the strongest first, black replaced by grey so that dark pages show it."""

LINE_COLOURS = ("#1f7fbf", "#d55e00", "#00936b", "#c0629a", "#a97700", "#8a62c4", "#5f8a1e", "#7f7f7f")
"""The same for thin lines, each at least 3 to 1 against light and dark pages."""

GROUP_SHAPES = ("circle", "square", "diamond", "triangle-up", "cross", "triangle-down", "star", "hexagon")
"""A marker to go with each group colour, by Plotly's names."""


def verdict_style(verdict: str | None) -> VerdictStyle:
    """Style of a verdict; an unknown one looks like an error and keeps its own word."""
    if verdict in VERDICTS:
        return VERDICTS[verdict]
    known = VERDICTS["error"]
    word = verdict or phrase("No verdict")
    return VerdictStyle(word, known.symbol, known.meaning, known.light, known.dark, known.light_fill, known.dark_fill)


def stamp_style(stamp: str | None) -> StampStyle:
    """Style of a stamp; an unknown one looks as if nothing was measured and keeps its own word."""
    if stamp in STAMPS:
        return STAMPS[stamp]
    nothing = STAMPS["not_measured"]
    word = stamp or nothing.word
    return StampStyle(word, nothing.symbol, "not a stamp that this version knows", nothing.like, nothing.border)


def verdict_word(verdict: str | None) -> str:
    """A verdict's word in the language spoken; an unknown one keeps its own."""
    word = verdict_style(verdict).word
    return word if verdict and verdict not in VERDICTS else say(word)


def stamp_word(stamp: str | None) -> str:
    """A stamp's word in the language spoken; an unknown one keeps its own."""
    word = stamp_style(stamp).word
    return word if stamp and stamp not in STAMPS else say(word)


def line_colour(position: int) -> str:
    """Colour of a line by its position; after the eighth they begin again."""
    return LINE_COLOURS[position % len(LINE_COLOURS)]


def group_colour(position: int) -> str:
    """Colour of a group by its position; after the eighth they begin again."""
    return GROUP_COLOURS[position % len(GROUP_COLOURS)]
