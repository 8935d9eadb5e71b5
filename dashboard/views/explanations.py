"""Explanations: images with their maps, groups, interventions, models compared, and whether maps are evidence."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from audit.run import Run
from dashboard import data, parts, state
from dashboard.explanations.agreement import agreement
from dashboard.explanations.changed import changed_image
from dashboard.explanations.concepts import concepts
from dashboard.explanations.gallery import choose_image
from dashboard.explanations.image import one_image
from dashboard.explanations.interventions import interventions
from dashboard.explanations.means import mean_maps
from dashboard.explanations.quality import regions_and_quality
from dashboard.explanations.stamp_table import stamps
from dashboard.selection import explained_images

__all__ = ["page"]

_REGION_LINK = "regions-by"


def page(run: Run) -> None:
    """Show the page."""
    st.title("Explanations")
    if not parts.model_notice(run):
        return
    views = {name: view for name, view in _VIEWS.items() if name != "concepts" or _has_concepts(run)}
    older_link = _REGION_LINK in st.query_params and "part" not in st.query_params
    default = "regions" if older_link else "images"
    part = state.tabs("Part of the page", "part", list(views), default=default, show=lambda name: views[name][0])
    views[part][1](run)


def _has_concepts(run: Run) -> bool:
    asked = (run.record.get("config") or {}).get("concepts")
    return bool(asked) or not data.distinct(run, "concepts", ("concept",)).empty


def _images(run: Run) -> None:
    images = explained_images(run)
    st.header("Explained images")
    if images.empty:
        st.info("No image was explained in this run: the config asks for none, or the run is not that far yet.")
        return
    image_id = choose_image(run, images)
    one_image(run, images, image_id)
    changed_image(run, image_id)


_VIEWS: dict[str, tuple[str, Callable[[Run], None]]] = {
    "images": ("Images", _images),
    "regions": ("Regions and quality", regions_and_quality),
    "means": ("Mean maps", mean_maps),
    "interventions": ("Interventions", interventions),
    "agreement": ("Agreement of models", agreement),
    "stamps": ("Stamps", stamps),
    "concepts": ("Concepts", concepts),
}

if __name__ == "__main__":
    page(data.current())
