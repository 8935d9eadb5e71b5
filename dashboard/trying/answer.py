"""What a model says of the image: class and probabilities, the audit's numbers beside them, and the maps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from audit.run import Run
from dashboard import data, overlays, state
from dashboard.explanations.look import scale
from dashboard.explanations.stamps import find_stamp, show_stamp
from dashboard.explanations.tiles import TILE, Tile, caption
from dashboard.explanations.words import is_signed, title
from dashboard.overlays import Bytes, Look
from dashboard.places import Place
from dashboard.review import link
from dashboard.text import escape
from dashboard.trying.child import Tried
from reports.format import clean, count, interval, known, plain, rate

__all__ = ["show_answer"]

_MOST_CLASSES = 5
_ALIKE = 1e-3


def show_answer(run: Run, model: str, tried: Tried) -> None:
    """Prediction, what the audit found at this confidence, whether the audit knew the image, and every map."""
    said = tried.said
    st.header("Prediction")
    left, right = st.columns([1, 3])
    with left:
        if tried.picture is not None:
            drawn = overlays.png(tried.picture)
            st.image(drawn, width=tried.picture.shape[1], alt="The image", output_format="PNG")
            st.caption("as the model’s preprocessing frames it")
    with right:
        st.subheader(escape(f"{said['predicted']}, with {rate(said['confidence'])}"), anchor=False)
        _classes("Class", said["probabilities"], "classes")
        if said["own"]:
            _classes("Class of the model itself", said["own"], "own")
    _in_the_audit(run, model, said)
    if said["maps"]:
        _maps(run, model, tried)


def _classes(heading: str, found: Mapping[str, float], key: str) -> None:
    order = sorted(found.items(), key=lambda item: -item[1])[:_MOST_CLASSES]
    frame = pd.DataFrame({heading: [clean(name) for name, _ in order], "Probability": [value for _, value in order]})
    bar = st.column_config.ProgressColumn(min_value=0.0, max_value=1.0, format="%.3f", color="blue")
    st.dataframe(frame, hide_index=True, column_config={"Probability": bar}, key=f"tried_{key}", height="content")
    if len(found) > _MOST_CLASSES:
        st.caption(f"The {_MOST_CLASSES} most probable of {len(found)} classes.")


def _in_the_audit(run: Run, model: str, said: Mapping[str, Any]) -> None:
    """How often the model was right when it was as sure, and its stored answer if the audit had this very file."""
    wanted = (("model", "=", model), ("attribute", "=", "overall"), ("kind", "=", "reliability"))
    bins = data.table(run, "curves", ("position", "x", "n", "value", "low", "high"), wanted).sort_values("position")
    place = int(np.searchsorted(bins["position"].to_numpy(), float(said["confidence"]), side="right")) - 1
    st.subheader("In the audit", anchor=False)
    if 0 <= place < len(bins) and known(bins["value"].iloc[place]):
        upper = bins["position"].iloc[place + 1] if place + 1 < len(bins) else 1.0
        st.text(_as_sure(model, data.records(bins.iloc[[place]])[0], upper))
    else:
        st.text("The audit holds no image that this model predicted with a similar confidence.")
    _same_file(run, model, said)


def _as_sure(model: str, row: Mapping[str, Any], upper: float) -> str:
    images = "1 image" if row["n"] == 1 else f"{count(row['n'])} images"
    return (
        f"Of {images} that {clean(model)} predicted with a confidence of {rate(row['position'])} to {rate(upper)}, a "
        f"share of {rate(row['value'])} {interval(row['low'], row['high'])} was right. That is about images like "
        "those of the audit; whether this one is, nobody checked."
    )


def _same_file(run: Run, model: str, said: Mapping[str, Any]) -> None:
    found = data.table(run, "images", ("image_id", "label"), (("sha256", "=", said["sha256"]),))
    if found.empty:
        st.text("This file is none of the audit’s images, so nothing here says whether the prediction is right.")
        return
    image_id, label = str(found["image_id"].iloc[0]), str(found["label"].iloc[0])
    filters = (("image_id", "=", image_id), ("model", "=", model))
    rows = data.table(run, "predictions", ("predicted", "confidence"), filters)
    if rows.empty or not known(rows["predicted"].iloc[0]):
        st.text(clean(f"This file is image {image_id} of the audit, label {label}; the run holds no prediction of it."))
        return
    stored, confidence = str(rows["predicted"].iloc[0]), float(rows["confidence"].iloc[0])
    st.text(
        clean(
            f"This file is image {image_id} of the audit, label {label}. The run holds {stored} with {rate(confidence)}"
        )
        + (", the same." if _same(said, stored, confidence) else ", which differs: see Provenance for the versions.")
    )
    link(run, Place("errors", {"model": model, "image": image_id}, "This image in the audit"), ":material/image:")


def _same(said: Mapping[str, Any], stored: str, confidence: float) -> bool:
    return bool(said["predicted"] == stored and abs(float(said["confidence"]) - confidence) < _ALIKE)


def _maps(run: Run, model: str, tried: Tried) -> None:
    st.header("Explanations")
    look = _look(run, list(tried.maps))
    said = tried.said
    with st.container(horizontal=True, gap="small", key="tried_maps"):
        for method, row in said["maps"].items():
            shared = {key: said[key] for key in ("target_class", "score", "score_kind")}
            tile = Tile(model, method, {**row, **shared, "target": "predicted"}, tried.maps.get(method))
            _tile(run, tile, tried.picture, look)
    st.caption(
        "A stamp is about this method on this model, from the audit’s images; on one image nothing can be checked."
    )


def _look(run: Run, methods: list[str]) -> Look:
    """Opacity and threshold, and the colour scales in use. Every map has its own strongest colour: there is but one."""
    first, second = st.columns(2)
    with first:
        opacity = state.number("Opacity of the maps", "strength", (0, 100), 70, step=5)
    with second:
        top = state.number("Show the top … of the mass", "top", (5, 100), 100, step=5)
    signs = {is_signed(run, method) for method in methods}
    with st.container(horizontal=True, gap="large", key="tried_scales"):
        if False in signs:
            scale(False, "none", "most", "Without sign.")
        if True in signs:
            scale(True, "against the class", "for the class", "With sign.")
    st.caption(
        "Colours show where, not how much: every map has its own strongest colour, so strengths cannot be compared "
        "between pictures. A map shows what the score responds to; it does not show the cause of the decision."
    )
    return Look(opacity / 100, top / 100)


def _tile(run: Run, tile: Tile, under: Bytes | None, look: Look) -> None:
    """Map, heading, stamp and caption. Unlike the pictures of a run, this one is kept nowhere."""
    with st.container(width=TILE, gap="xsmall"):
        if tile.raw is None:
            st.info(clean(f"No map: {tile.row['reason'] or plain(tile.row['status'])}."))
        else:
            signed = is_signed(run, tile.method)
            limit = overlays.reach([tile.raw], signed=signed)
            drawn = overlays.overlay(tile.raw, under, look, signed=signed, limit=limit)
            alt = f"{title(run, tile.method)} of {tile.model} on the image, {caption(tile)}"
            st.image(overlays.png(drawn), width=drawn.shape[1], alt=clean(alt), output_format="PNG")
        st.markdown(f"**{escape(title(run, tile.method))}**")
        show_stamp(run, find_stamp(run, tile.model, tile.method), f"tried_{tile.method}")
        if tile.raw is not None:
            st.caption(escape(caption(tile)))
