"""Finding an image: filters, order, and pages of thumbnails to pick one from."""

from __future__ import annotations

from typing import Literal

import pandas as pd
import streamlit as st

from audit.run import Run
from dashboard import data, state
from dashboard.explanations.words import method_order, title
from dashboard.selection import ANY, ORDERS, OUTCOMES, Wish, arrange, outcome_options, pick
from dashboard.text import escape, image_tail
from reports.format import clean, known, plain, rate

__all__ = ["choose_image", "choose_pair", "overlaps"]

_SIZES = ("24", "36", "48")
_HEIGHT = 400
_ONE_ROW = 6
_THUMBNAIL = 120


def choose_image(run: Run, images: pd.DataFrame) -> str:
    """Filters and thumbnails; the image that is picked, which stays picked when filters change.

    Parameters
    ----------
    run : Run
    images : DataFrame
        As `dashboard.selection.explained_images` gives it.
    """
    wish = _filters(run, images)
    order, by, words, size = _order(run, images, wish.model)
    kept = pick(images, wish, run.models, run.record.get("data", {}).get("positive"))
    found = arrange(kept, order, by)
    every = [str(name) for name in images["image_id"]]
    image_id = state.hold("image", every, found[0] if found else every[0])
    st.caption(f"{len(found)} of {len(every)} explained images meet the filters.")
    if not found:
        st.info("No explained image meets these filters. Only a sample of the images is explained.")
        return image_id
    if image_id not in found:
        st.caption(escape(f"The image below, {image_id}, does not meet the filters."))
    here = state.page_number("page", -(-len(found) // size))
    shown = found[(here - 1) * size : here * size]
    height: Literal["content"] | int = _HEIGHT if len(shown) > _ONE_ROW else "content"
    with st.container(horizontal=True, height=height, border=True, gap="small", key="thumbnails"):
        for name in shown:
            value = by.get(name) if order != "data" else None
            _thumbnail(run, name, f"{words} {rate(value)}" if known(value) else "", picked=name == image_id)
    return image_id


def choose_pair(run: Run) -> tuple[str, str]:
    """Two models whose maps were compared; the first pair where there is but one."""
    found = data.distinct(run, "agreement", ("first", "second"))
    pairs = {
        f"{row['first']} and {row['second']}": (str(row["first"]), str(row["second"])) for row in data.records(found)
    }
    if len(pairs) == 1:
        return next(iter(pairs.values()))
    return pairs[state.choose("Models compared", "pair", list(pairs))]


def overlaps(run: Run, pair: tuple[str, str], method: str) -> pd.DataFrame:
    """How alike two models' maps are, on images where both predict the same and the maps can be compared.

    Returns
    -------
    DataFrame
        ``image_id``, ``overlap``, ``spearman``, ``distance``; the least overlap first.
    """
    wanted = (
        ("first", "=", pair[0]),
        ("second", "=", pair[1]),
        ("method", "=", method),
        ("same_prediction", "=", True),
    )
    rows = data.table(run, "agreement", ("image_id", "overlap", "spearman", "distance"), wanted)
    return rows.dropna(subset=["overlap"]).sort_values("overlap", kind="stable")


def _filters(run: Run, images: pd.DataFrame) -> Wish:
    first, second, third = st.columns(3)
    fourth, fifth, sixth = st.columns(3)
    with first:
        model = state.choose("Model whose outcome counts", "model", run.models)
    with second:
        outcome = state.choose("Outcome", "outcome", outcome_options(run), show=lambda name: OUTCOMES[name])
    with third:
        words = {ANY: "agree or not", "yes": "models disagree", "no": "models agree"}
        options = list(words) if len(run.models) > 1 else [ANY]
        disagreement = state.choose("Models", "disagreement", options, show=lambda name: words[name])
    attribute = group = ANY
    names = data.attributes(run)
    if names:
        with fourth:
            attribute = state.choose("Attribute", "by", names, show=plain)
        with fifth:
            groups = sorted(str(value) for value in images[f"attr_{attribute}"].dropna().unique())
            group = state.choose(
                "Group", "group", [ANY, *groups], show=lambda name: "any group" if name == ANY else name
            )
    with sixth:
        confidence = state.span("Confidence of the model", "confidence", (0, 100))
    return Wish(model, attribute, group, outcome, disagreement, confidence)


def _order(run: Run, images: pd.DataFrame, model: str) -> tuple[str, pd.Series, str, int]:
    """Order of the images, the values that it goes by, what these are called, and how many images a page shows."""
    compared = data.distinct(run, "agreement", ("method",))
    options = [name for name in ORDERS if name != "apart" or len(compared)]
    first, second, third, fourth = st.columns(4)
    with first:
        order = state.choose("Order", "order", options, show=lambda name: ORDERS[name])
    with second:
        size = int(state.choose("Images a page", "size", _SIZES))
    if order == "apart":
        with third:
            names = method_order(run, compared["method"])
            method = state.choose("Maps compared", "alike-by", names, show=lambda name: title(run, name))
        with fourth:
            pair = choose_pair(run)
        return order, overlaps(run, pair, method).set_index("image_id")["overlap"], "overlap", size
    return order, images.set_index("image_id")[f"confidence:{model}"], "confidence", size


def _thumbnail(run: Run, image_id: str, words: str, *, picked: bool) -> None:
    with st.container(width=_THUMBNAIL, gap="xsmall"):
        path = run.thumbnail(image_id)
        if path is None:
            st.caption("no picture kept")
        else:
            st.image(path, width=_THUMBNAIL, alt=f"Image {clean(image_id)}")
        if words:
            st.caption(escape(words))
        st.button(
            escape(image_tail(image_id)),
            key=f"pick_{image_id}",
            help=escape(f"Compare models on {image_id}"),
            on_click=state.put,
            args=("image", image_id),
            type="secondary" if picked else "tertiary",
            width="stretch",
        )
