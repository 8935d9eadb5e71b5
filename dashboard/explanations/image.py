"""One image across methods, models and frameworks, side by side."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pandas as pd
import streamlit as st

from audit.run import Run
from dashboard import data, overlays, parts, state
from dashboard.explanations.look import choose_look, legends
from dashboard.explanations.tiles import Tile, framework, image_tile, map_tile
from dashboard.explanations.words import is_signed, method_order, title
from dashboard.overlays import Bytes, Look
from dashboard.text import escape
from reports.format import clean, known, plain, rate, status_words

__all__ = ["one_image"]

_ROWS = {"model": "a row a model", "method": "a row a method"}


@dataclass(frozen=True)
class _View:
    """What is shown of an image, and how."""

    run: Run
    image_id: str
    under: Bytes | None
    look: Look
    tiles: dict[tuple[str, str], Tile]
    methods: list[str]
    predicted: pd.DataFrame


def one_image(run: Run, images: pd.DataFrame, image_id: str) -> None:
    """Facts, controls, and every map of an image.

    Parameters
    ----------
    run : Run
    images : DataFrame
        As `dashboard.selection.explained_images` gives it.
    image_id : str
    """
    st.header(escape(f"Image {image_id}"))
    row = images[images["image_id"] == image_id].iloc[0]
    groups = ", ".join(f"{plain(name)} {row[f'attr_{name}']}" for name in data.attributes(run))
    st.text(clean(f"Label {row['label']}." + (f" Groups: {groups}." if groups else "")))
    explained = data.table(run, "explanations", filters=(("image_id", "=", image_id),))
    names = method_order(run, explained["method"])
    look = choose_look()
    left, right = st.columns([2, 1], vertical_alignment="bottom")
    with left:
        methods = state.several("Methods", "methods", names, show=lambda name: title(run, name)) if names else []
    with right:
        by = state.tabs("Arrangement", "rows", list(_ROWS), show=_ROWS.__getitem__)
    legends(run, methods, look)
    made = data.explained_predictions(run)
    predicted = made[made["image_id"] == image_id]
    under = overlays.picture(run.thumbnail(image_id))
    view = _View(run, image_id, under, look, _tiles(run, explained, image_id, methods), methods, predicted)
    if by == "method":
        for name in run.models:
            st.text(f"{clean(name)}: {_decision(predicted[predicted['model'] == name])}")
    for name in run.models if by == "model" else methods:
        _row(view, name, by)
    with st.expander("These explanations as a table"):
        shown = explained.assign(method=[title(run, str(name)) for name in explained["method"]])
        parts.data_table(run, shown, f"explanations-{image_id}", empty="No explanation of this image was kept.")


def _tiles(run: Run, explained: pd.DataFrame, image_id: str, methods: list[str]) -> dict[tuple[str, str], Tile]:
    """A tile for every row of `explanations`; the maps of one method share their strongest colour."""
    rows = {(str(row["model"]), str(row["method"])): row for row in data.records(explained)}
    raw = {key: data.maps(run, *key, (image_id,)).get(image_id) for key in rows if key[1] in methods}
    limits = {
        method: overlays.reach(
            [values for key, values in raw.items() if key[1] == method and values is not None],
            signed=is_signed(run, method),
        )
        for method in methods
    }
    return {key: Tile(*key, rows[key], values, limit=limits[key[1]]) for key, values in raw.items()}


def _row(view: _View, name: str, by: str) -> None:
    run = view.run
    st.subheader(escape(f"{name}, {framework(run, name)}" if by == "model" else title(run, name)), anchor=False)
    if by == "model":
        st.text(_decision(view.predicted[view.predicted["model"] == name]))
    wanted = [(name, method) for method in view.methods] if by == "model" else [(m, name) for m in run.models]
    found = [key for key in wanted if key in view.tiles]
    with st.container(horizontal=True, gap="small", key=f"tiles_{name}"):
        image_tile(view.image_id, view.under)
        for model, method in found:
            heading = title(run, method) if by == "model" else f"{model}, {framework(run, model)}"
            tile = replace(view.tiles[model, method], heading=heading)
            map_tile(run, tile, view.image_id, view.under, view.look)
    if not found:
        st.info(escape(f"{name}: no explanation of this image was kept."))


def _decision(rows: pd.DataFrame) -> str:
    if rows.empty or not known(rows.iloc[0]["predicted"]):
        return "No prediction: " + (status_words(rows.iloc[0]["status"]) if len(rows) else "not measured") + "."
    row = rows.iloc[0]
    judged = "correct" if row["predicted"] == row["label"] else "wrong"
    return clean(f"Predicts {row['predicted']} with {rate(row['confidence'])}: {judged}.")
