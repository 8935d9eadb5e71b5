"""How alike two models' maps are, by group, and the images on which they say the same and look elsewhere."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import streamlit as st

from audit.run import Run
from dashboard import data, overlays, parts, plots, state
from dashboard.explanations.among import WHOLE, Among, choose_among, group_rows
from dashboard.explanations.gallery import choose_pair, overlaps
from dashboard.explanations.look import choose_look, legends
from dashboard.explanations.stamps import find_stamp, show_stamps
from dashboard.explanations.tiles import Tile, framework, image_tile, map_tile
from dashboard.explanations.words import is_signed, title
from dashboard.forests import mean_forest
from dashboard.overlays import Look
from dashboard.text import escape
from reports.format import clean, rate, status_words

__all__ = ["agreement"]

_MEASURES = {
    "overlap": "overlap of the strongest tenth of the pixels",
    "spearman": "rank correlation of the maps",
    "distance": "distance of the mass, 0 to 2",
}
_WHEN = {"all": "all images", "same": "both predict the same", "different": "predictions differ"}
_PER_PAGE = 12
_WIDTH = 132


def agreement(run: Run) -> None:
    """Charts by group, then the images with the least overlap among those on which both models say the same."""
    st.header("How alike the models’ maps are, by group")
    among = choose_among(run, "agreement_groups")
    if among is None:
        only = len(run.models) < 2
        text = "It takes two models in one run to compare their maps; this run has one."
        if not only:
            text = "Agreement was not computed in this run: it is older than that, or no image was explained."
        st.info(text)
        return
    left, right = st.columns(2)
    with left:
        measure = state.choose("Measure", "alike", list(_MEASURES), show=_MEASURES.__getitem__)
    with right:
        pair = choose_pair(run)
    show_stamps(run, among.method)
    _groups(run, among, measure, pair)
    _apart(run, among.method, pair)


def _groups(run: Run, among: Among, measure: str, pair: tuple[str, str]) -> None:
    wanted = (("first", "=", pair[0]), ("second", "=", pair[1]), ("method", "=", among.method))
    wanted += (("measure", "=", measure), ("attribute", "in", (among.attribute, WHOLE)))  # type: ignore[assignment]
    rows = data.table(run, "agreement_groups", filters=wanted)
    shown = group_rows(rows, among.attribute)
    for place, when in zip(st.columns(2), ("same", "different"), strict=True):
        part = shown[shown["when"] == when]
        with place:
            st.markdown(f"**{escape(_WHEN[when])}**")
            if part["value"].notna().any():
                figure = mean_forest(part, _WHEN[when], f"mean {_MEASURES[measure]}")
                parts.chart(plots.forest(figure, parts.mode()), key=f"alike_{when}", description=figure.description)
            else:
                st.info("No images to compare.")
    st.caption(
        escape(
            f"{title(run, among.method)} of {pair[0]} and {pair[1]} on the same images, mean with 95 % intervals. "
            "Whether two models predict the same is an outcome: the two sides may hold other kinds of images in other "
            "groups. Alike maps are no proof that either is right, and low agreement does not say which looks at the "
            "better place."
        )
    )
    table = shown.drop(columns=["first", "second", "method", "measure", "attribute"])
    table = table.assign(when=table["when"].map(lambda name: _WHEN.get(str(name), str(name))))
    table = table.assign(status=table["status"].map(status_words)).rename(columns={"value": "mean", "when": "images"})
    parts.data_table(run, table, f"agreement-{measure}-{among.method}-{among.attribute}", model="-".join(pair))


def _apart(run: Run, method: str, pair: tuple[str, str]) -> None:
    st.header("Same answer, least alike maps")
    found = overlaps(run, pair, method)
    if found.empty:
        st.info("There is no image on which both models predict the same and both maps were kept.")
        return
    look = choose_look()
    legends(run, [method], look)
    here = state.page_number("apart", -(-len(found) // _PER_PAGE))
    part = found.iloc[(here - 1) * _PER_PAGE : here * _PER_PAGE]
    tiles = _tiles(run, method, pair, tuple(str(name) for name in part["image_id"]))
    with st.container(horizontal=True, gap="medium", key="apart_images"):
        for row in data.records(part):
            _pair(run, row, [tiles[model, str(row["image_id"])] for model in pair], look)
    st.caption(
        f"{len(part)} of {len(found)} images on which both models predict the same, the least overlap first. They are "
        "the extremes of many and prove nothing by themselves."
    )
    parts.download_csv(run, lambda: found, f"least-alike-{method}", model="-".join(pair))


def _tiles(run: Run, method: str, pair: tuple[str, str], images: tuple[str, ...]) -> dict[tuple[str, str], Tile]:
    """The maps of both models on some images, by model and image."""
    wanted = (("image_id", "in", images), ("method", "=", method))
    explained = data.records(data.table(run, "explanations", filters=wanted))
    rows = {(str(row["model"]), str(row["image_id"])): row for row in explained}
    tiles: dict[tuple[str, str], Tile] = {}
    for model in pair:
        raw, stamp = data.maps(run, model, method, images), find_stamp(run, model, method)
        common = Tile(model, method, heading=f"{model}, {framework(run, model)}", width=_WIDTH, stamp=stamp)
        tiles |= {
            (model, image): replace(common, row=rows.get((model, image), {}), raw=raw.get(image)) for image in images
        }
    return tiles


def _pair(run: Run, row: dict[str, Any], tiles: list[Tile], look: Look) -> None:
    """One image with the maps of both models, which share their strongest colour."""
    image = str(row["image_id"])
    method = tiles[0].method
    under = overlays.picture(run.thumbnail(image))
    limit = overlays.reach([tile.raw for tile in tiles if tile.raw is not None], signed=is_signed(run, method))
    with st.container(border=True, width="content", gap="xsmall", key=f"apart_{image}"):
        st.button(
            escape(clean(image)),
            key=f"open_{image}",
            help="Shows every map of this image",
            icon=":material/arrow_forward:",
            type="tertiary",
            on_click=state.put,
            args=("image", image),
            kwargs={"part": "images"},
        )
        st.caption(f"overlap {rate(row['overlap'])}, rank correlation {rate(row['spearman'])}")
        with st.container(horizontal=True, gap="small"):
            image_tile(image, under, _WIDTH)
            for tile in tiles:
                map_tile(run, replace(tile, limit=limit), image, under, look)
