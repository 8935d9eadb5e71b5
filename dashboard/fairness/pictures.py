"""Thumbnails of some images, a page at a time; what an image is and says is told elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from audit.run import Run
from dashboard import overlays, state
from dashboard.text import escape, image_tail
from reports.format import clean, count

__all__ = ["PAGE", "pictures"]

PAGE = 24
"""Thumbnails on a page."""

_SIZE = 96


def pictures(run: Run, names: Sequence[str], key: str, order: str) -> None:
    """A page of the images of which a thumbnail was kept, and how many there are.

    Parameters
    ----------
    run : Run
    names : sequence of str
        Images, in the order in which they are shown.
    key : str
        Of the container; with ``-page``, of the page in the address.
    order : str
        What the order is, in words.
    """
    kept = [name for name in names if run.thumbnail(name) is not None]
    if not kept:
        st.info(f"None of its {len(names)} images was kept as a thumbnail: they were not among those explained.")
        return
    here = state.page_number(f"{key}-page", -(-len(kept) // PAGE))
    shown = kept[(here - 1) * PAGE : here * PAGE]
    with st.container(horizontal=True, gap="small", key=key):
        for name in shown:
            drawn = overlays.picture(run.thumbnail(name))
            with st.container(width=_SIZE, gap=None):
                if drawn is not None:
                    st.image(drawn, width=_SIZE, alt=clean(f"Image {name}"), output_format="PNG")
                st.caption(escape(image_tail(name)))
    st.caption(
        escape(
            f"{count(len(shown))} of {count(len(kept))} with a thumbnail, of {count(len(names))} images; {order}. "
            "Thumbnails are kept of explained images."
        )
    )
