"""Errors: the images a model got wrong, where it errs most, and which class is taken for which."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from audit.run import Run
from dashboard import columns, data, parts, state
from dashboard.errors.confusion import confusion
from dashboard.errors.filters import choose_images
from dashboard.errors.gallery import NO_IMAGE, grid
from dashboard.errors.one import chosen_image, one_image
from dashboard.errors.where import lead, worst_groups, worst_slices
from dashboard.text import escape
from reports.format import clean

__all__ = ["page"]


def page(run: Run) -> None:
    """Show the page."""
    st.title("Errors")
    if not parts.model_notice(run):
        return
    with st.container(key="errors_model"):
        model = state.choose("Model", "model", run.models)
    st.text(clean(lead(run, model)))
    part = state.tabs("Part of the page", "errors", list(_VIEWS), show=lambda name: _VIEWS[name][0])
    if part != "where" and not (len(columns.ids(run)) and run.has("predictions")):
        level = (run.record.get("disclosure") or {}).get("level")
        withheld = f"Rows on single images are withheld at the level “{escape(level)}”." if level else ""
        st.info(withheld or "The run holds no predictions of single images yet. Finish it with `faircam run --resume`.")
        return
    _VIEWS[part][1](run, model)


def _images(run: Run, model: str) -> None:
    st.header("Images")
    wanted = choose_images(run, model)
    opened = chosen_image(run)
    if opened != NO_IMAGE:
        one_image(run, opened)
    grid(run, wanted, opened)


def _where(run: Run, model: str) -> None:
    worst_slices(run, model)
    worst_groups(run, model)


_VIEWS: dict[str, tuple[str, Callable[[Run, str], None]]] = {
    "images": ("Images", _images),
    "where": ("Where it errs most", _where),
    "confusion": ("Confusion by group", confusion),
}

if __name__ == "__main__":
    page(data.current())
