"""Pages of pictures of the images that were asked for, and their rows as a file."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from audit.run import Run
from dashboard import columns, data, parts, state
from dashboard.errors.filters import PAGE, in_words
from dashboard.errors.wanted import Places, Wanted, find
from dashboard.text import escape, image_tail
from reports.format import clean, count, known, rate

__all__ = ["NO_IMAGE", "SIZE", "grid", "image_rows"]

SIZE = 24
"""Pictures a page."""

NO_IMAGE = "none"
"""In the address: no image is open."""

_WIDTH = 148


def grid(run: Run, wanted: Wanted, opened: str) -> None:
    """A page of the images that were asked for, a picker of pages, and the download of them all.

    Parameters
    ----------
    run : Run
    wanted : Wanted
    opened : str
        Image that is shown large above.
    """
    found = find(run, wanted)
    usable = int(columns.outcomes(run, wanted.model).usable.sum())
    st.caption(f"{count(len(found))} of {count(usable)} images that {escape(wanted.model)} predicted meet the filters.")
    if not len(found):
        st.info("No image meets these filters.")
        return
    here = state.page_number(PAGE, -(-len(found) // SIZE))
    shown = image_rows(run, wanted.model, found[(here - 1) * SIZE : here * SIZE])
    with st.container(horizontal=True, gap="small", key="errors_grid"):
        for row in data.records(shown):
            _tile(run, row, picked=row["image_id"] == opened)
    if not run.thumbnail(str(shown["image_id"].iloc[0])):
        st.caption("Pictures are kept of the images that were explained; the others are listed by their ids.")
    words = "-".join(in_words(wanted)) or "all"
    parts.download_csv(run, lambda: image_rows(run, wanted.model, found), f"images-{words}", model=wanted.model)


def image_rows(run: Run, model: str, places: Places) -> pd.DataFrame:
    """Images with what a model said of them.

    Returns
    -------
    DataFrame
        ``image_id, label, predicted, outcome, confidence`` and a column a group attribute, in the order of `places`.
    """
    said, every = columns.outcomes(run, model), columns.ids(run)
    right = said.label.codes[places] == said.predicted.codes[places]
    rows = {
        "image_id": every.array.take(places).to_pylist(),
        "label": _names(said.label, places),
        "predicted": _names(said.predicted, places),
        "outcome": np.where(right, "right", "wrong"),
        "confidence": said.confidence[places].astype(np.float64),
    }
    groups = {name: _names(columns.attribute(run, name), places) for name in data.attributes(run)}
    return pd.DataFrame({**rows, **{name: values for name, values in groups.items() if name not in rows}})


def _names(column: columns.Codes, places: Places) -> list[str | None]:
    names = [*column.names, None]
    return [names[value] for value in column.codes[places]]


def _tile(run: Run, row: dict[str, object], *, picked: bool) -> None:
    image = str(row["image_id"])
    with st.container(width=_WIDTH, gap="xsmall", key=f"error_{image}"):
        path = run.thumbnail(image)
        if path is None:
            st.caption("no picture kept")
        else:
            st.image(path, width=_WIDTH, alt=clean(f"Image {image}, truly {row['label']}"))
        sign = "✓" if row["outcome"] == "right" else "✕"
        sure = f", {rate(row['confidence'])}" if known(row["confidence"]) else ""
        lines = (f"true {row['label']}", f"{sign} said {row['predicted']}{sure}")
        st.caption("  \n".join(escape(line) for line in lines))
        st.button(
            escape(image_tail(image)),
            key=f"open_{image}",
            help=escape(f"Show what every model says of {image}"),
            on_click=state.put,
            args=("image", NO_IMAGE if picked else image),
            type="secondary" if picked else "tertiary",
            width="stretch",
        )
