"""One map on the page: never without its stamp, layer, target and score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass, field
from typing import Any

import numpy as np
import streamlit as st

from audit.run import Run
from dashboard import data, overlays
from dashboard.explanations.stamps import Stamp, find_stamp, show_stamp
from dashboard.explanations.words import is_signed, title
from dashboard.overlays import Bytes, Look
from dashboard.text import escape
from reports.format import clean, known, number, plain, status_words

__all__ = ["TILE", "Tile", "caption", "framework", "image_tile", "map_tile"]

TILE = overlays.SIDE
"""Width of a tile on the page."""


@dataclass(frozen=True)
class Tile:
    """A map and what belongs to it.

    Attributes
    ----------
    model, method : str
    row : mapping
        Row of table `explanations`.
    raw : ndarray or None
        ``(h, w)``; None where no map was kept.
    heading : str
        What stands above it.
    limit : float
        Where the strongest colour begins on the scale `mass`, in multiples of an even spread.
    width : int
        In pixels.
    stamp : Stamp, optional
        Looked up where left out.
    """

    model: str
    method: str
    row: Mapping[str, Any] = field(default_factory=dict)
    raw: np.ndarray | None = None
    heading: str = ""
    limit: float = 1.0
    width: int = TILE
    stamp: Stamp | None = None


def image_tile(image_id: str, under: Bytes | None, width: int = TILE) -> None:
    """The image itself."""
    with st.container(width=width, gap="xsmall"):
        if under is None:
            st.info("No picture was kept.")
        else:
            st.image(
                overlays.png(under, width),
                width=min(width, under.shape[1]),
                alt=clean(f"Image {image_id}"),
                output_format="PNG",
            )
        st.markdown("**image**")
        st.caption("small copy, as the model’s preprocessing frames it")


def map_tile(run: Run, tile: Tile, image_id: str, under: Bytes | None, look: Look) -> None:
    """Map, heading, stamp and caption, one below another: pictures in a row stand level, however long names are."""
    with st.container(width=tile.width, gap="xsmall"):
        if tile.raw is None:
            st.info("No map was kept.")
        else:
            about = (str(run.path), data.changed(run, "explanations"), tile.model, tile.method, image_id)
            shown = (*astuple(look), tile.limit, is_signed(run, tile.method), tile.width)
            picture, width = _drawn(about, shown, tile.raw, under)
            alt = f"{title(run, tile.method)} of {tile.model} on image {image_id}, {caption(tile)}"
            st.image(picture, width=width, alt=clean(alt), output_format="PNG")
        st.markdown(f"**{escape(tile.heading)}**")
        stamp = tile.stamp or find_stamp(run, tile.model, tile.method)
        show_stamp(run, stamp, f"{tile.model}_{tile.method}_{image_id}")
        scale = (
            f"; strongest colour from {tile.limit:.1f} × even on"
            if tile.raw is not None and look.scale == "mass"
            else ""
        )
        st.caption(escape(caption(tile) + scale))


@st.cache_data(max_size="48MB", show_spinner=False)
def _drawn(
    about: tuple[str, int, str, str, str],  # noqa: ARG001  part of the cache's key, in place of the arrays
    shown: tuple[float, float, str, float, bool, int],
    _raw: np.ndarray,
    _under: Bytes | None,
) -> tuple[bytes, int]:
    """A map over its image as a PNG file no wider than its tile, and its width."""
    opacity, top, scale, limit, signed, width = shown
    drawn = overlays.overlay(_raw, _under, Look(opacity, top, scale), signed=signed, limit=limit)
    return overlays.png(drawn, width), min(width, drawn.shape[1])


def caption(tile: Tile) -> str:
    """Target, layer and score of a map, and why there is none."""
    row = tile.row
    if not row:
        return "not explained"
    status = str(row["status"])
    if status != "ok" and tile.raw is None:
        return f"Not made: {status_words(status)}."
    target = f"for {row['target_class']} ({plain(str(row['target']))})"
    layer = f"layer {row['layer']}" if known(row["layer"]) else "at the input"
    score = f"{plain(str(row['score_kind']))} {number(row['score'])}" if known(row["score"]) else "score not recorded"
    doubt = f"; {status_words(status)}" if status != "ok" else ""
    kept = "Measured; its map was not kept, " if tile.raw is None else ""
    return f"{kept}{target}, {layer}, {score}{doubt}"


def framework(run: Run, model: str) -> str:
    """In which framework a model runs."""
    names = {"torch": "PyTorch", "keras": "Keras", "onnx": "ONNX", "numpy": "NumPy"}
    found = str(run.model(model).get("framework") or "framework not recorded")
    return names.get(found, found)
