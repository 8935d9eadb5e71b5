"""Try it: one image of one's own, predicted and explained by an audited model, in a process beside the server."""

from __future__ import annotations

from typing import Any

import streamlit as st

from audit.errors import FaircamError
from audit.run import Run
from dashboard import data, parts, state
from dashboard.explanations.words import title
from dashboard.text import escape
from dashboard.trying.answer import show_answer
from dashboard.trying.child import SECONDS, Limits, Step, Tried, try_image
from dashboard.trying.needed import methods_for, obstacle, places
from dashboard.trying.switch import MOST_MEGABYTES, TryIt, try_it

__all__ = ["page"]

_TRIED = "_faircam_tried"
_TYPES = ["png", "jpg", "jpeg", "bmp", "gif", "webp", "tif", "tiff", "ppm"]
_ABOUT = (
    "One image says nothing about groups, and nothing about how often the model errs: it is a look, not evidence. "
    "Nothing is stored: the image joins neither the run nor its numbers, lies in a temporary folder only while it is "
    "worked on, and stays in this server’s memory until it is removed here or the page is closed."
)
_OFF = "Images cannot be tried here. `faircam dashboard RUNS --try-it` starts a dashboard of your own that can."


def page(run: Run) -> None:
    """Show the page."""
    st.title("Try it")
    asked = try_it()
    if asked is None:
        st.info(_OFF)
        return
    st.text(_ABOUT)
    if not parts.model_notice(run):
        return
    model = state.choose("Model", "model", run.models)
    hindrance = obstacle(run, model, asked)
    if hindrance is not None:
        st.session_state.pop(_TRIED, None)
        st.warning(escape(hindrance))
        return
    _form(run, model, asked)


def _form(run: Run, model: str, asked: TryIt) -> None:
    """Image, methods, the button, and what came of it."""
    image = st.file_uploader("Image", _TYPES, key="tried_image", max_upload_size=MOST_MEGABYTES)
    names = methods_for(run, model)
    methods = state.several("Methods", "tried", names, show=lambda name: title(run, name)) if names else []
    st.caption(
        f"Methods and settings are the audit’s. At most {SECONDS:.0f} s and half of this machine’s memory; RISE, "
        "occlusion and their like take many passes."
    )
    pressed = st.button(
        "Predict and explain" if names else "Predict",
        key="try_image",
        icon=":material/play_arrow:",
        disabled=image is None,
    )
    if image is None:
        st.session_state.pop(_TRIED, None)
        return
    about = (str(run.path), model, image.file_id)
    if pressed:
        st.session_state.pop(_TRIED, None)
        order = {"run": str(run.path), "model": model, "methods": methods, **asked.trust.as_json()}
        order |= {"places": [str(place) for place in places(run, asked)]}
        tried = _work(order, image.getvalue())
        if tried is not None:
            st.session_state[_TRIED] = (about, tried)
    kept: tuple[Any, Tried] | None = st.session_state.get(_TRIED)
    if kept is not None and kept[0] == about:
        show_answer(run, model, kept[1])


def _work(order: dict[str, Any], content: bytes) -> Tried | None:
    """Bar and button to cancel while the process works; its error in place of a result."""
    place = st.empty()
    with place.container(border=True, key="trying"):
        bar = st.progress(0.0, text="starting …")
        st.button("Cancel", key="cancel_trying", icon=":material/stop:", type="tertiary")

    def told(step: Step) -> None:
        bar.progress(min(step.done / step.of, 1.0), text=escape(f"{step.done + 1} of {step.of}: {step.words} …"))

    try:
        return try_image(order, content, Limits.of_this_machine(MOST_MEGABYTES * 2**20), told)
    except FaircamError as error:
        st.error(escape(str(error)))
        return None
    finally:
        place.empty()


if __name__ == "__main__":
    page(data.current())
