"""One image: what every model says of it, its groups, and the way to its maps."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from audit.run import Run
from dashboard import columns, data, overlays, parts, state
from dashboard.errors.gallery import NO_IMAGE, image_rows
from dashboard.text import escape
from reports.format import clean, plain

__all__ = ["chosen_image", "one_image"]


def chosen_image(run: Run) -> str:
    """The image that the address names, or `NO_IMAGE`."""
    return state.hold("image", _WithNone(columns.ids(run)), NO_IMAGE)


class _WithNone(columns.Ids):
    """Ids of the images, and the word for none of them."""

    def __init__(self, every: columns.Ids) -> None:
        super().__init__(every.array)

    def __contains__(self, name: object) -> bool:
        return name == NO_IMAGE or super().__contains__(name)


def one_image(run: Run, image: str) -> None:
    """The picture, label, groups, every model's answer, and a link to its maps where it was explained."""
    place = columns.ids(run).place(image)
    if place is None:
        return
    with st.container(border=True, key="one_error"):
        _head(image)
        picture, said = st.columns([1, 3])
        with picture:
            drawn = overlays.picture(run.thumbnail(image))
            if drawn is None:
                st.caption("No picture was kept of this image.")
            else:
                st.image(overlays.png(drawn), width=overlays.SIDE, alt=clean(f"Image {image}"), output_format="PNG")
        with said:
            rows = _answers(run, place)
            groups = ", ".join(f"{plain(name)} {rows[name].iloc[0]}" for name in data.attributes(run) if name in rows)
            st.text(clean(f"Label {rows['label'].iloc[0]}." + (f" Groups: {groups}." if groups else "")))
            parts.data_table(run, rows[["model", "predicted", "outcome", "confidence"]], f"image-{image}")
            _maps(run, image)


def _head(image: str) -> None:
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.subheader(escape(f"Image {image}"), anchor=False, width="content")
        st.button("Close", key="close_image", icon=":material/close:", on_click=state.put, args=("image", NO_IMAGE))


def _answers(run: Run, place: int) -> pd.DataFrame:
    """What every model says; a model that has no usable prediction says why not."""
    rows = []
    for model in run.models:
        said = columns.outcomes(run, model)
        row = image_rows(run, model, np.array([place]))
        if not said.usable[place]:
            row = row.assign(predicted=None, outcome="not predicted", confidence=None)
        rows.append(row.assign(model=model).astype({"confidence": "float64"}))
    return pd.concat(rows, ignore_index=True)


def _maps(run: Run, image: str) -> None:
    if image not in data.explained_ids(run):
        st.caption("This image was not explained: only a sample of the images is.")
        return
    query = {"run": run.path.name, "part": "images", "image": image}
    st.page_link(
        "views/explanations.py", label="Its maps, method by method", icon=":material/arrow_forward:", query_params=query
    )
