"""The filters of the Errors page: what they are called in the address, and what they are set to."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import streamlit as st

from audit.fairness.rows import sorted_groups
from audit.run import Run
from dashboard import columns, data, state
from dashboard.errors.wanted import PICTURES, SORTS, Wanted
from dashboard.selection import ANY, OUTCOMES, outcome_options
from dashboard.text import escape
from reports.format import clean, plain

__all__ = ["DEFAULTS", "OUTCOME", "PAGE", "choose_images", "images_query", "in_words"]

OUTCOME, PAGE = "outcome-of", "errors-page"
"""Query parameters: the outcome, and the page of the grid."""

DEFAULTS = {
    OUTCOME: "wrong",
    "group": ANY,
    "label": ANY,
    "predicted": ANY,
    "disagreement": ANY,
    "confidence": "0-100",
    "in-slice": ANY,
    "picture": "first",
    "sort": "sure",
}
"""What each filter is set to where nobody moved it."""

_MODELS = {ANY: "agree or not", "yes": "models disagree", "no": "models agree"}
_ASKED = "_faircam_errors_asked"


def images_query(run: Run, model: str, **filters: str) -> dict[str, str]:
    """Query of a link to images of this page; filters that are not named are at their defaults.

    Parameters
    ----------
    run : Run
    model : str
    **filters
        Query parameters with their values, underscores for hyphens, such as ``by``, ``group`` and ``outcome_of``.
    """
    named = {key.replace("_", "-"): value for key, value in filters.items()}
    return {"run": run.path.name, "model": model, "errors": "images", **DEFAULTS, PAGE: "1", **named}


def choose_images(run: Run, model: str) -> Wanted:
    """Widgets, and what they ask for. A filter that is moved leads back to the first page."""
    first, *others = st.columns(3)
    with first:
        outcome = state.choose(
            "Outcome", OUTCOME, outcome_options(run), default=DEFAULTS[OUTCOME], show=OUTCOMES.__getitem__
        )
    among = _group(run, others)
    with st.expander("More filters and order"):
        wanted = _more(run, model, outcome, among)
    if st.session_state.get(_ASKED, wanted) != wanted:
        state.put(PAGE, "1")
    st.session_state[_ASKED] = wanted
    _moved(wanted)
    return wanted


def in_words(wanted: Wanted) -> list[str]:
    """Filters that leave images out, a phrase each."""
    said = [OUTCOMES[wanted.outcome]] if wanted.outcome != ANY else []
    if wanted.group != ANY:
        said.append(f"{plain(wanted.attribute)} {wanted.group}")
    said += [f"truly {wanted.label}"] if wanted.label != ANY else []
    said += [f"predicted {wanted.predicted}"] if wanted.predicted != ANY else []
    said += [_MODELS[wanted.disagreement]] if wanted.disagreement != ANY else []
    if wanted.confidence != (0, 100):
        said.append(f"confidence {wanted.confidence[0]} to {wanted.confidence[1]} %")
    said += [f"slice {wanted.slice}"] if wanted.slice != ANY else []
    said += ["with a picture"] if wanted.picture == "only" else []
    return [clean(phrase) for phrase in said]


def _group(run: Run, places: Sequence[AbstractContextManager[Any]]) -> tuple[str, str]:
    names = data.attributes(run)
    if not names:
        return ANY, ANY
    with places[0]:
        attribute = state.choose("Attribute", "by", names, show=plain)
    with places[1]:
        groups = [ANY, *sorted_groups(set(columns.attribute(run, attribute).names))]
        return attribute, state.choose("Group", "group", groups, show=lambda name: _any(name, "any group"))


def _more(run: Run, model: str, outcome: str, among: tuple[str, str]) -> Wanted:
    said = columns.outcomes(run, model)
    first, second, third = st.columns(3)
    with first:
        label = _class("True class", "label", said.label.names)
        sort = state.choose("Order", "sort", list(SORTS), show=SORTS.__getitem__)
    with second:
        predicted = _class("Predicted class", "predicted", said.predicted.names)
        picture = state.choose("Pictures", "picture", list(PICTURES), show=PICTURES.__getitem__)
    with third:
        options = list(_MODELS) if len(run.models) > 1 else [ANY]
        disagreement = state.choose("Models", "disagreement", options, show=_MODELS.__getitem__)
        found = data.distinct(run, "slices", ("slice",), (("model", "=", model),))["slice"].dropna()
        slices = [ANY, *(str(name) for name in found)]
        title = "Slice that nobody labelled"
        piece = state.choose(title, "in-slice", slices, show=lambda name: _any(name, "any image"))
    confidence = state.span("Confidence of the model", "confidence", (0, 100))
    return Wanted(model, outcome, *among, label, predicted, disagreement, confidence, piece, picture, sort)


def _class(title: str, key: str, names: tuple[str, ...]) -> str:
    return state.choose(title, key, [ANY, *names], show=lambda name: _any(name, "any class"))


def _any(name: str, words: str) -> str:
    return words if name == ANY else name


def _moved(wanted: Wanted) -> None:
    """What the filters are set to, and a button that puts them back."""
    said = in_words(wanted)
    if said == [OUTCOMES[DEFAULTS[OUTCOME]]]:
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption(escape(f"Shown: {', '.join(said) or 'every usable image'}."), width="content")
        st.button(
            "Back to all wrong answers", key="clear_filters", on_click=_clear, type="tertiary", icon=":material/undo:"
        )


def _clear() -> None:
    state.put(PAGE, "1", **DEFAULTS)
