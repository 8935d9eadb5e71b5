"""Explanations: one image across models and methods side by side, found by filters, and where attribution falls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd
import streamlit as st

from audit.run import Run
from dashboard import data, overlays, parts, state
from dashboard.overlays import Bytes
from dashboard.regions import region_section
from dashboard.selection import ANY, OUTCOMES, Wish, explained_images, outcome_options, pick
from dashboard.text import escape, image_tail
from reports.format import clean, known, method_words, number, plain, rate, status_words
from reports.maps import NORMALISATION, SIGNED_METHODS

__all__ = ["page"]

_PER_PAGE = 24
_GALLERY = 372
_ONE_ROW = 6
_TILE = 168
_THUMBNAIL = 120
_IMAGE = "image"


@dataclass(frozen=True)
class _View:
    """What is shown: an image, its pixels where they were kept, and how strongly maps lie over it (0 to 1)."""

    image_id: str
    under: Bytes | None
    strength: float


def page(run: Run) -> None:
    """Show the page."""
    st.title("Explanations")
    if not parts.model_notice(run):
        return
    images = explained_images(run)
    if images.empty:
        st.info("No image was explained in this run: the config asks for none, or the run is not that far yet.")
    else:
        wish = _filters(run, images)
        found = pick(images, wish, run.models, run.record.get("data", {}).get("positive"))
        image_id = _thumbnails(run, images, found)
        _comparison(run, images, image_id)
    region_section(run)


def _filters(run: Run, images: pd.DataFrame) -> Wish:
    first, second, third = st.columns(3)
    fourth, fifth, _ = st.columns(3)
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
    return Wish(model, attribute, group, outcome, disagreement)


def _thumbnails(run: Run, images: pd.DataFrame, found: list[str]) -> str:
    """Page of thumbnails to pick from; returns the image that is picked."""
    every = [str(name) for name in images["image_id"]]
    image_id = state.hold("image", every, found[0] if found else every[0])
    st.caption(f"{len(found)} of {len(every)} explained images meet the filters.")
    if not found:
        st.info("No explained image meets these filters. Only a sample of the images is explained.")
        return image_id
    if image_id not in found:
        st.caption(escape(f"The image below, {image_id}, does not meet the filters."))
    pages = -(-len(found) // _PER_PAGE)
    here = state.page_number("page", pages)
    shown = found[(here - 1) * _PER_PAGE : here * _PER_PAGE]
    height: Literal["content"] | int = _GALLERY if len(shown) > _ONE_ROW else "content"
    with st.container(horizontal=True, height=height, border=True, gap="small", key="thumbnails"):
        for name in shown:
            _thumbnail(run, name, picked=name == image_id)
    return image_id


def _thumbnail(run: Run, image_id: str, *, picked: bool) -> None:
    with st.container(width=_THUMBNAIL, gap="xsmall"):
        path = run.thumbnail(image_id)
        if path is None:
            st.caption("no picture kept")
        else:
            st.image(path, width=_THUMBNAIL, alt=f"Image {clean(image_id)}")
        st.button(
            escape(image_tail(image_id)),
            key=f"pick_{image_id}",
            help=escape(f"Compare models on {image_id}"),
            on_click=state.put,
            args=("image", image_id),
            type="primary" if picked else "tertiary",
            width="stretch",
        )


def _comparison(run: Run, images: pd.DataFrame, image_id: str) -> None:
    st.header(escape(f"Image {image_id}"))
    row = images[images["image_id"] == image_id].iloc[0]
    groups = ", ".join(f"{plain(name)} {row[f'attr_{name}']}" for name in data.attributes(run))
    st.text(clean(f"Label {row['label']}." + (f" Groups: {groups}." if groups else "")))
    strength = state.number("Overlay strength", "strength", (0, 100), 70, step=5, help="0 % shows the image alone.")
    explained = data.table(run, "explanations", filters=(("image_id", "=", image_id),))
    predicted = data.table(run, "predictions", filters=(("image_id", "=", image_id),))
    under = overlays.picture(run.thumbnail(image_id))
    for model in run.models:
        _model_row(run, model, predicted, explained, _View(image_id, under, strength / 100))
    _legend(sorted(set(explained["method"])))
    what = f"explanations-{image_id}"
    with st.expander("These explanations as a table"):
        parts.data_table(run, explained, what, empty="No explanation of this image was kept.")


def _model_row(run: Run, model: str, predicted: pd.DataFrame, explained: pd.DataFrame, view: _View) -> None:
    under, image_id, strength = view.under, view.image_id, view.strength
    st.subheader(escape(model), anchor=False)
    st.text(_decision(predicted[predicted["model"] == model]))
    rows = data.records(explained[explained["model"] == model])
    with st.container(horizontal=True, gap="small", key=f"tiles_{model}"):
        _tile(_IMAGE, f"Image {image_id}", under, "small copy, as the model’s preprocessing frames it")
        for row in rows:
            method = str(row["method"])
            raw = data.maps(run, model, method, image_id) if row["status"] == "ok" else None
            drawn = None if raw is None else overlays.overlay(raw, method, under, strength)
            words = method_words(method)
            _tile(words, f"{words} of {model} on image {image_id}", drawn, _caption(row, drawn is None))
    if not rows:
        st.info(escape(f"{model}: no explanation of this image was kept."))


def _decision(rows: pd.DataFrame) -> str:
    if rows.empty or not known(rows.iloc[0]["predicted"]):
        return "No prediction: " + (status_words(rows.iloc[0]["status"]) if len(rows) else "not measured") + "."
    row = rows.iloc[0]
    judged = "correct" if row["predicted"] == row["label"] else "wrong"
    return clean(f"Predicts {row['predicted']} with {rate(row['confidence'])}: {judged}.")


def _tile(title: str, alternative: str, drawn: Any, caption: str) -> None:
    with st.container(width=_TILE, gap="xsmall"):
        st.markdown(f"**{escape(title)}**")
        if drawn is None:
            st.info("No picture was kept." if title == _IMAGE else "No map was kept.")
        else:
            st.image(drawn, width=_TILE, alt=clean(alternative), output_format="PNG")
        if caption:
            st.caption(escape(caption))


def _caption(row: dict[str, Any], missing: bool) -> str:
    if row["status"] != "ok":
        return f"Not made: {status_words(row['status'])}."
    target = f"for {row['target_class']} ({plain(str(row['target']))})"
    layer = f", layer {row['layer']}" if known(row["layer"]) else ""
    score = f"{plain(str(row['score_kind']))} {number(row['score'])}" if known(row["score"]) else "score not recorded"
    kept = "Measured; its map was not kept, " if missing else ""
    return f"{kept}{target}{layer}, {score}"


def _legend(methods: list[str]) -> None:
    signed = [method_words(method) for method in methods if method in SIGNED_METHODS]
    unsigned = [method_words(method) for method in methods if method not in SIGNED_METHODS]
    with st.container(horizontal=True, gap="large", key="scales"):
        if unsigned:
            with st.container(width=330, gap="xsmall"):
                st.image(overlays.legend(signed=False), width=256, alt="Scale from dark, none, to bright, most")
                st.caption(escape(f"Unsigned ({', '.join(unsigned)}): from dark, none, to bright, most."))
        if signed:
            with st.container(width=330, gap="xsmall"):
                st.image(overlays.legend(signed=True), width=256, alt="Scale from blue, against, to orange, for")
                st.caption(escape(f"Signed ({', '.join(signed)}): blue against the class, orange for it."))
    st.caption(
        f"For display {NORMALISATION}: colours show where, not how much, and are not comparable between pictures. "
        "A map shows what the score responds to; it does not show the cause of the decision."
    )


if __name__ == "__main__":
    page(data.current())
