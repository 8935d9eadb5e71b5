"""The palette as Streamlit theme options, light and dark. One colour of its own, no Streamlit."""

from __future__ import annotations

from reports.palette import DARK, LIGHT, VERDICTS, Theme, VerdictStyle

__all__ = ["BADGE_COLOURS", "theme_options"]

BADGE_COLOURS = {
    "fail": "red",
    "error": "violet",
    "inconclusive": "yellow",
    "warn": "orange",
    "waived": "gray",
    "pass": "green",
}
"""Streamlit's colour name under which each verdict's colours are registered."""

_LIGHT_INK = "#121418"
"""Streamlit writes captions in this colour at 60 %: the palette's ink would leave them below 4.5 to 1."""


def theme_options() -> dict[str, str]:
    """Streamlit options that give both modes the palette; the browser's preference picks the mode."""
    options = {
        "theme.baseRadius": "6px",
        "theme.headingFontSizes": '["1.9rem","1.4rem","1.1rem","1rem","1rem","1rem"]',
        "theme.headingFontWeights": "[700,600,600,600,600,600]",
        "theme.paddingTop": "1.5rem",
        "theme.paddingBottom": "3rem",
        "theme.metricValueFontSize": "1.5rem",
        "theme.showWidgetBorder": "true",
        "theme.showSidebarBorder": "true",
    }
    for mode, theme in (("light", LIGHT), ("dark", DARK)):
        options |= {f"theme.{mode}.{key}": value for key, value in _mode(mode, theme).items()}
    return options


def _mode(mode: str, theme: Theme) -> dict[str, str]:
    text = _LIGHT_INK if mode == "light" else theme.ink
    options = {
        "primaryColor": theme.accent,
        "backgroundColor": theme.page,
        "secondaryBackgroundColor": theme.raised,
        "textColor": text,
        "linkColor": theme.accent,
        "codeTextColor": text,
        "borderColor": theme.line,
        "dataframeBorderColor": theme.line,
        "dataframeHeaderBackgroundColor": theme.raised,
        "sidebar.backgroundColor": theme.raised,
        "sidebar.secondaryBackgroundColor": theme.surface,
        "blueColor": theme.accent,
    }
    for verdict, name in BADGE_COLOURS.items():
        ink, fill = _colours(VERDICTS[verdict], mode)
        options |= {f"{name}Color": ink, f"{name}TextColor": ink, f"{name}BackgroundColor": fill}
    return options


def _colours(style: VerdictStyle, mode: str) -> tuple[str, str]:
    return (style.light, style.light_fill) if mode == "light" else (style.dark, style.dark_fill)
