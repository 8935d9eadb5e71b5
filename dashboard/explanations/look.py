"""Controls of how maps are shown, and the legend that goes with them."""

from __future__ import annotations

import streamlit as st

from audit.run import Run
from dashboard import overlays, state
from dashboard.explanations.words import is_signed, title
from dashboard.overlays import SCALES, Look
from dashboard.text import escape

__all__ = ["choose_look", "legends", "scale"]

_STRIP = 256
_READ = {
    "mass": (
        "On this scale colours compare models, method by method: each map is divided by its own even spread, and the "
        "strongest colour begins at the same multiple of it in every model."
    ),
    "own": (
        "On this scale colours show where, not how much: each map is divided by its own largest absolute value, so "
        "strengths are not comparable between pictures."
    ),
    "rank": (
        "On this scale colours compare models: a pixel is as strong as the share of the map’s other pixels that are "
        "weaker. Differences between weak pixels look as large as those between strong ones."
    ),
}


def choose_look() -> Look:
    """Opacity, threshold and scale, as the reader sets them."""
    first, second, third = st.columns(3)
    with first:
        help_text = "0 % shows the image alone, 100 % the map alone, in the colours of the legend."
        opacity = state.number("Opacity of the maps", "strength", (0, 100), 70, step=5, help=help_text)
    with second:
        help_text = "Only the strongest pixels that hold this share of the map’s absolute mass; 100 % shows all."
        top = state.number("Show the top … of the mass", "top", (5, 100), 100, step=5, help=help_text)
    with third:
        scale = state.choose("Strongest colour stands for", "scale", list(SCALES), show=lambda name: SCALES[name])
    return Look(opacity / 100, top / 100, scale)


def legends(run: Run, methods: list[str], look: Look) -> None:
    """The colour scales that are in use, with what their ends stand for."""
    signed = [title(run, method) for method in methods if is_signed(run, method)]
    unsigned = [title(run, method) for method in methods if not is_signed(run, method)]
    with st.container(horizontal=True, gap="large", key="scales"):
        if unsigned:
            scale(False, "none", "most", f"Without sign: {', '.join(unsigned)}.")
        if signed:
            scale(True, "against the class", "for the class", f"With sign: {', '.join(signed)}.")
    hidden = f" Only the top {look.top:.0%} of each map’s mass is coloured." if look.top < 1 else ""
    st.caption(
        f"{_READ[look.scale]}{hidden} A map shows what the score responds to; it does not show the cause of the "
        "decision."
    )


def scale(signed: bool, low: str, high: str, words: str) -> None:
    """One colour scale with the words at its ends and below it."""
    alt = "Scale from blue, against, over white to orange, for" if signed else "Scale from dark, none, to bright, most"
    with st.container(width=_STRIP + 24, gap="xsmall"):
        st.image(overlays.png(overlays.legend(signed=signed)), width=_STRIP, alt=alt)
        with st.container(horizontal=True, horizontal_alignment="distribute", width=_STRIP):
            st.caption(low, width="content")
            st.caption(high, width="content")
        st.caption(escape(words))
